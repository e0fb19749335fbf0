"""What all pages share: their template environment, files of this package, numbers, and writing at one go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from twofold.files import OutputFile
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


@contextmanager
def page_output(path: Path | OutputFile) -> Iterator[OutputFile]:
    """Where a page goes, opened at once; it appears when the block ends well, and whole.

    Args:
        path: the file, whose folder is made where it is absent, or an output that was opened for it.

    Raises:
        DataError: where the file cannot be written.
    """
    output = path if isinstance(path, OutputFile) else OutputFile(Path(path), make_folder=True)
    try:
        yield output
    except BaseException:
        output.abandon()
        raise
    output.finish()
