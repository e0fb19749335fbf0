"""The cards of a model folder, read from ``card.json``; written as Markdown in `pages`.

It does not know how anything on them was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofold.errors import ModelError
from twofold.model_folder.card import to_markdown
from twofold.model_folder.card_calibration import Card
from twofold.model_folder.config import read_json
from twofold.model_folder.folder import ModelFolder, open_folder

FILE = "card.json"


def read_card(path: Path) -> dict[str, Any]:
    """The card of a model folder, with that of its relation model, if any, under ``relations``.

    Raises:
        ModelError: the folder is not a complete model folder or has no card, or the card cannot be read.
    """
    folder = open_folder(path)
    inner = folder.relations
    return _own(folder) | ({"relations": _own(inner)} if inner is not None else {})


def pages(card: Card, where: str) -> Iterator[str]:
    """The card as pages of Markdown: the model's, then that of its relation model, if any.

    Args:
        card: from `read_card`. where: its origin, for messages.

    Raises:
        ModelError: a value of the card is missing or of the wrong type.
    """
    for part in (card, card.get("relations")):
        if part is not None:
            yield _page(part, where)


def _page(card: Card, where: str) -> str:
    try:
        return to_markdown(card)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            "the model card cannot be read: a value is missing or of the wrong type",
            where=where,
            expected=f"a {FILE} as `twofold train` writes it",
            do="get the model folder again",
        ) from error


def _own(folder: ModelFolder) -> dict[str, Any]:
    path = folder.path / FILE
    if not path.is_file():
        raise ModelError(
            "the model folder has no model card",
            where=str(path),
            expected="a folder that `twofold train` wrote",
            do="twofold calibrate MODEL DATA -o OUT writes a card with calibration metrics",
        )
    config = folder.config
    return {"name": config.name, "task": config.task} | read_json(path)
