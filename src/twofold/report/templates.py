"""What all pages share: their template environment, files of this package, numbers, and writing at one go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from twofold.errors import DataError
from twofold.posts import in_words
from twofold.report.escaping import shorten, visible


def template(name: str) -> jinja2.Template:
    """A template of this package."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(visible=visible, shorten=shorten, percent=percent, small=small)
    environment.filters.update(in_words=in_words)
    return environment.from_string(asset(name))


def asset(name: str) -> Markup:
    """A file of this package that goes into the page as it is."""
    return Markup(resources.files("twofold.report").joinpath(name).read_text(encoding="utf-8"))


def percent(share: float) -> str:
    """Whole per cent; never 100 or 0 for what is only close to it."""
    whole = f"{100 * share:.0f}"
    if whole == "100" and share < 1:
        return ">99"
    return "<1" if whole == "0" and share > 0 else whole


def small(value: float) -> str:
    """A number ≥ 0 without a unit, short enough for a column."""
    if value >= 1e6:
        return f"{value:.1e}"
    if value >= 10:
        return f"{value:,.1f}"
    return "<0.001" if 0 < value < 0.001 else f"{value:.3f}"


def write_whole(path: Path, parts: Iterator[str]) -> None:
    """Write a page; it appears whole or not at all.

    Raises:
        DataError: where the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(parts)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"the report cannot be written: {error.strerror}", where=str(path), do="give another place for it"
        ) from error
