"""Parts of models from other installed packages, found by entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from twofold.errors import ConfigError

T = TypeVar("T")


def find_part(own: Mapping[str, Callable[..., T]], name: str, group: str, what: str) -> Callable[..., T]:
    """Look up a part of a model; only the package that provides it is imported.

    Args:
        own: the parts of Twofold by name, which take precedence.
        name: name in the configuration.
        group: group of entry points of other packages, such as ``twofold.fusions``.
        what: key of the configuration.

    Raises:
        ConfigError: no package has a part of that name, several have, or it cannot be imported.
    """
    if name in own:
        return own[name]
    others = [point for point in entry_points(group=group) if point.name not in own]
    found = [point for point in others if point.name == name]
    if not found:
        known = [*own, *sorted({point.name for point in others})]
        raise ConfigError(f"got {name!r}", where=what, expected="one of " + ", ".join(known))
    if len(found) > 1:
        packages = ", ".join(sorted(_package(point) for point in found))
        raise ConfigError(
            f"{name!r} is in several packages: {packages}", where=what, do="uninstall all but one"
        )
    return _load(found[0], what)


def _load(point: EntryPoint, what: str) -> Callable[..., T]:
    try:
        part: Callable[..., T] = point.load()
    except Exception as error:  # whatever the module of another package raises
        raise ConfigError(
            f"{point.name!r} of the package {_package(point)} cannot be imported: {error!r}",
            where=what,
            expected=f"{point.value} to exist",
        ) from error
    return part


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "?"
