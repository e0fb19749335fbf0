"""Optional packages, which the light core does not install, imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twofold.errors import MissingExtraError


def extra_module(name: str, extra: str, purpose: str) -> Any:
    """Import a module of a package that an extra installs.

    Args:
        name: name of the module.
        extra: the extra that installs its package.
        purpose: what needs it, as the subject of a sentence ("Parquet files").

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} need the package {name.partition('.')[0]}",
            expected=f"the extra {extra}",
            do=f"install it: pip install 'twofold[{extra}]'",
        ) from error
