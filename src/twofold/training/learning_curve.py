"""The learning curve as a picture and as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def write_log(rows: Sequence[Row], path: Path) -> None:
    """Write one line of JSON per epoch."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8", newline="\n")


def draw_curve(rows: Sequence[Row], path: Path) -> None:
    """Loss and dev F1 over epochs, as PNG.

    Args:
        rows: one mapping per epoch with ``epoch``, ``loss`` and ``dev`` (F1 in per cent by file).
        path: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row["epoch"] for row in rows]
    left = figure.add_subplot()
    left.plot(epochs, [row["loss"] for row in rows], color="0.6", label="training loss")
    left.set(xlabel="epoch", ylabel="training loss")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right = left.twinx()
    for name in rows[0]["dev"] if rows else ():
        right.plot(epochs, [row["dev"][name] for row in rows], marker="o", label=f"dev F1, {name}")
    right.set_ylabel("dev F1, per cent")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)
