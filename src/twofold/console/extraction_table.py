"""Extractions as a table on a terminal, printed post by post.

The relations of a post follow its entities, with head and tail in the colours of their types; an arrow points
to the tail unless the relation holds in both directions. A "?" marks predictions to review; other candidates
are listed below them. A narrow terminal leaves out the evidence, then the uncertainty, but never type or
confidence.
"""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twofold.console.text import printable
from twofold.posts import Entity, Extraction, Relation, in_words

_TYPE_COLOURS = {"PER": "magenta", "LOC": "green", "ORG": "cyan", "MISC": "yellow"}
_STATUS = {"read": "picture read", "none": "no picture", "unreadable": "picture unreadable"}
_MODALITIES = {"alt_text": "alt"}
_TYPE_WIDTH = 6
_CONFIDENCE_WIDTH = 5
_OPTIONAL = {"uncertainty": 13, "evidence": 33}
"""Widths of the columns that a narrow terminal leaves out, the last one first."""
_HEADINGS = {"uncertainty": "aleat./epist."}
"""Headings that say more than the name of the column."""
_NAME_WIDTH = 16
"""Smallest width of the names for which an optional column is shown."""


class ExtractionTable:
    """Prints each post's text with its entities and relations beneath.

    Args:
        console: the console to print on.
        symmetric: types of relations that hold in both directions.
    """

    def __init__(self, console: Console, symmetric: Collection[str] = ()) -> None:
        self._console = console
        self._symmetric = symmetric
        self._has_header = False
        self._name_width, self._optional = _fit(console.width)

    def add(self, extraction: Extraction) -> None:
        """Print one post."""
        if not self._has_header:
            self._console.print(self._grid(header=True))
            self._has_header = True
        picture = extraction.picture
        status = f"{_STATUS[picture.status]}: {picture.reason}" if picture.reason else _STATUS[picture.status]
        title = Text.assemble(
            (printable(str(extraction.id)), "bold"),
            ("  " + printable(status), "red" if extraction.picture.status == "unreadable" else "dim"),
        )
        self._console.print(title, soft_wrap=True)
        self._console.print(Text(printable(extraction.text)), soft_wrap=True)
        grid = self._grid()
        for entity in extraction.entities:
            grid.add_row(_mark(entity), _name(entity), _type(entity), *self._values(entity))
            if others := _others(entity):
                grid.add_row("", others)
        if not extraction.entities:
            grid.add_row("", Text("(no entity)", "dim"))
        self._console.print(grid)
        for relation in extraction.relations:
            self._print_relation(relation)
        self._console.print()

    def _print_relation(self, relation: Relation) -> None:
        """Print a relation in one line if it fits beside the numbers, else its arguments in the next line."""
        grid, width = Table.grid(padding=(0, 1)), self._name_width + 1 + _TYPE_WIDTH
        grid.add_column(width=2)
        grid.add_column(width=width, overflow="ellipsis", no_wrap=True)
        self._add_values(grid)
        joint = " " if relation.type in self._symmetric else " → "
        head, tail = _name(relation.head), _name(relation.tail)
        whole = Text.assemble(head, f" {printable(relation.words)}{joint}", tail)
        fits = whole.cell_len <= width
        first = whole if fits else printable(relation.words)
        grid.add_row(_mark(relation), first, *self._values(relation))
        if others := _others(relation):
            grid.add_row("", others)
        self._console.print(grid)
        if not fits:
            joint = ", " if relation.type in self._symmetric else joint
            self._console.print(Text.assemble("     ", head, joint, tail), soft_wrap=True)

    def _grid(self, header: bool = False) -> Table:
        # Widths are fixed, so that the columns of all posts are aligned.
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2)
        for width in (self._name_width, _TYPE_WIDTH):
            grid.add_column(width=width, overflow="ellipsis", no_wrap=True)
        self._add_values(grid)
        if header:
            names = ("entity", "type", "conf.", *(_HEADINGS.get(name, name) for name in self._optional))
            grid.add_row("", *(Text(name, "bold underline") for name in names))
        return grid

    def _add_values(self, grid: Table) -> None:
        for width in (_CONFIDENCE_WIDTH, *(_OPTIONAL[name] for name in self._optional)):
            grid.add_column(width=width, overflow="ellipsis", no_wrap=True)

    def _values(self, item: Entity | Relation) -> tuple[str | Text, ...]:
        cells: dict[str, str | Text] = {"uncertainty": _uncertainty(item), "evidence": _evidence(item)}
        confidence = "" if item.confidence is None else f"{item.confidence:.2f}"
        return confidence, *(cells[name] for name in self._optional)


def _fit(width: int) -> tuple[int, list[str]]:
    """The width of the names in a terminal of this width, and the optional columns shown."""
    left = width - (2 + 1 + 1 + _TYPE_WIDTH + 1 + _CONFIDENCE_WIDTH)
    shown = []
    for name, columns in _OPTIONAL.items():
        if left - (columns + 1) < _NAME_WIDTH:
            break
        shown.append(name)
        left -= columns + 1
    return max(left, 8), shown


def _type(entity: Entity) -> Text:
    return Text(printable(entity.type), _colour(entity))


def _mark(item: Entity | Relation) -> str | Text:
    return Text("?", "bold red") if item.review else ""


def _others(item: Entity | Relation) -> Text | None:
    """The other candidates in the prediction set."""
    named = in_words if isinstance(item, Relation) else str
    others = [named(kind) for kind in item.candidates or () if kind != item.type]
    return Text(f"  or {printable(', '.join(others))}", "dim") if others else None


def _name(entity: Entity) -> Text:
    return Text(printable(entity.text), f"bold {_colour(entity)}")


def _colour(entity: Entity) -> str:
    return _TYPE_COLOURS.get(entity.type, "blue")


def _uncertainty(item: Entity | Relation) -> str:
    """Aleatoric and epistemic uncertainty, separated by a slash."""
    known = item.uncertainty
    return "" if known is None else f"{known.aleatoric:.2f}/{known.epistemic:.2f}"


def _evidence(item: Entity | Relation) -> Text:
    shares = (f"{_MODALITIES.get(name, name)} {100 * e.share:.0f}%" for name, e in item.sources.items())
    return Text(" · ".join(shares))
