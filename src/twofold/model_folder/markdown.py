"""Markdown tables whose columns are also aligned in plain text."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; columns of numbers are right-aligned.

    Args:
        head: names of the columns. rows: of as many cells each.
    """
    cells = [list(head), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(_numeric(row[i]) for row in cells[1:]) and len(cells) > 1 for i in range(len(head))]
    rule = ["-" * (width - 1) + ":" if r else "-" * width for width, r in zip(widths, right, strict=True)]
    return "\n".join(_line(row, widths, right) for row in [cells[0], rule, *cells[1:]])


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    aligned = zip(row, widths, right, strict=True)
    return "| " + " | ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in aligned) + " |"


def _numeric(cell: str) -> bool:
    return not cell or cell[0] in "–-0123456789"
