"""Extractions as a table for a person at a terminal, printed post by post as they come."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twofold.cli.main import printable
from twofold.posts import Entity, Extraction

_TYPE_COLOURS = {"PER": "magenta", "LOC": "green", "ORG": "cyan", "MISC": "yellow"}
_STATUS = {"read": "picture read", "none": "no picture", "unreadable": "picture unreadable"}
_SOURCES = {"alt_text": "alt"}


class ExtractionTable:
    """Prints each post's text with its entities beneath.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = False

    def add(self, extraction: Extraction) -> None:
        """Print one post."""
        if not self._begun:
            self._console.print(self._grid(header=True))
            self._begun = True
        picture = extraction.picture
        status = f"{_STATUS[picture.status]}: {picture.reason}" if picture.reason else _STATUS[picture.status]
        title = Text.assemble(
            (printable(str(extraction.id)), "bold"),
            ("  " + printable(status), "red" if _bad(extraction) else "dim"),
        )
        self._console.print(title, soft_wrap=True)
        self._console.print(Text(printable(extraction.text)), soft_wrap=True)
        grid = self._grid()
        for entity in extraction.entities:
            grid.add_row(*_cells(entity))
        if not extraction.entities:
            grid.add_row("", Text("(no entity)", "dim"))
        self._console.print(grid)
        self._console.print()

    def _grid(self, header: bool = False) -> Table:
        # Widths are fixed, so that the columns of one post stand under those of the last.
        entity = max(16, self._console.width - 64)
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        for width in (entity, 6, 5):
            grid.add_column(width=width, overflow="ellipsis", no_wrap=True)
        grid.add_column(width=13, overflow="ellipsis", no_wrap=True)
        grid.add_column(width=33, overflow="ellipsis", no_wrap=True)
        if header:
            names = ("entity", "type", "conf.", "noise/doubt", "evidence")
            grid.add_row("", *(Text(name, "bold underline") for name in names))
        return grid


def _bad(extraction: Extraction) -> bool:
    return extraction.picture.status == "unreadable"


def _cells(entity: Entity) -> tuple[str | Text, ...]:
    colour = _TYPE_COLOURS.get(entity.type, "blue")
    unsure = entity.uncertainty
    sources = (
        f"{_SOURCES.get(name, name)} {100 * source.share:.0f}%" for name, source in entity.sources.items()
    )
    return (
        "",
        Text(printable(entity.text), f"bold {colour}"),
        Text(printable(entity.type), colour),
        "" if entity.confidence is None else f"{entity.confidence:.2f}",
        "" if unsure is None else f"{unsure.aleatoric:.2f}/{unsure.epistemic:.2f}",
        Text(" · ".join(sources)),
    )
