"""Extractions as a table for a person at a terminal, printed post by post as they come.

Under the entities of a post stand its relations, head and tail in the colours of their types. A "?" stands
before what a person should review, and under an entity or relation what else its set of types holds.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twofold.console.text import printable
from twofold.posts import Entity, Extraction, Relation, in_words

_TYPE_COLOURS = {"PER": "magenta", "LOC": "green", "ORG": "cyan", "MISC": "yellow"}
_STATUS = {"read": "picture read", "none": "no picture", "unreadable": "picture unreadable"}
_SOURCES = {"alt_text": "alt"}
_TYPE_WIDTH = 6


class ExtractionTable:
    """Prints each post's text with its entities and relations beneath.

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
            if others := _others(entity):
                grid.add_row("", others)
        if not extraction.entities:
            grid.add_row("", Text("(no entity)", "dim"))
        self._console.print(grid)
        for relation in extraction.relations:
            self._print_relation(relation)
        self._console.print()

    def _print_relation(self, relation: Relation) -> None:
        """In one line where it fits beside the figures; else its ends have the next line to themselves."""
        grid, width = Table.grid(padding=(0, 1)), self._width + 1 + _TYPE_WIDTH
        grid.add_column(width=2)
        grid.add_column(width=width, overflow="ellipsis", no_wrap=True)
        self._add_figures(grid)
        whole = _arrow(relation)
        fits = whole.cell_len <= width
        grid.add_row(_mark(relation), whole if fits else printable(relation.words), *_figures(relation))
        if others := _others(relation):
            grid.add_row("", others)
        self._console.print(grid)
        if not fits:
            ends = Text.assemble("     ", _name(relation.head), " → ", _name(relation.tail))
            self._console.print(ends, soft_wrap=True)

    @property
    def _width(self) -> int:
        return max(16, self._console.width - 64)

    def _grid(self, header: bool = False) -> Table:
        # Widths are fixed, so that the columns of one post stand under those of the last.
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        for width in (self._width, _TYPE_WIDTH):
            grid.add_column(width=width, overflow="ellipsis", no_wrap=True)
        self._add_figures(grid)
        if header:
            names = ("entity", "type", "conf.", "noise/doubt", "evidence")
            grid.add_row("", *(Text(name, "bold underline") for name in names))
        return grid

    def _add_figures(self, grid: Table) -> None:
        for width in (5, 13, 33):
            grid.add_column(width=width, overflow="ellipsis", no_wrap=True)


def _bad(extraction: Extraction) -> bool:
    return extraction.picture.status == "unreadable"


def _cells(entity: Entity) -> tuple[str | Text, ...]:
    return _mark(entity), _name(entity), Text(printable(entity.type), _colour(entity)), *_figures(entity)


def _mark(of: Entity | Relation) -> str | Text:
    return Text("?", "bold red") if of.review else ""


def _others(of: Entity | Relation) -> Text | None:
    """What else the set of types holds."""
    named = in_words if isinstance(of, Relation) else str
    others = [named(kind) for kind in of.candidates or () if kind != of.type]
    return Text(f"  or {printable(', '.join(others))}", "dim") if others else None


def _arrow(relation: Relation) -> Text:
    return Text.assemble(_name(relation.head), f" {printable(relation.words)} → ", _name(relation.tail))


def _name(entity: Entity) -> Text:
    return Text(printable(entity.text), f"bold {_colour(entity)}")


def _colour(entity: Entity) -> str:
    return _TYPE_COLOURS.get(entity.type, "blue")


def _figures(of: Entity | Relation) -> tuple[str | Text, ...]:
    unsure = of.uncertainty
    sources = (f"{_SOURCES.get(name, name)} {100 * source.share:.0f}%" for name, source in of.sources.items())
    return (
        "" if of.confidence is None else f"{of.confidence:.2f}",
        "" if unsure is None else f"{unsure.aleatoric:.2f}/{unsure.epistemic:.2f}",
        Text(" · ".join(sources)),
    )
