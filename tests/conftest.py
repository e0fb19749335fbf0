"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data that lies beside a checkout where it is at hand; never in the repository."""
    folder = Path(os.environ.get("TWOFOLD_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real data not at hand: no folder {folder.name}/data beside the checkout")
    return folder
