"""The model card: what a model was made of and how well it does, for people and for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from twofold.model_folder.card_calibration import HEADING, Card, trust_section
from twofold.model_folder.markdown import table

_SHORT = {"precision": "P", "recall": "R", "f1": "F1"}
_TRUST = re.compile(r"^## (?:Trust|Calibration|Calibrated again)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
"""The section on trust, under all names that it has had."""


class Words(NamedTuple):
    """How a card speaks of a task.

    Attributes:
        what: what the model finds. scores: what its scores are of. counted: how they were counted.
        predicted: what it predicts. use: how the model is used.
    """

    what: str
    scores: str
    counted: str
    predicted: str
    use: str


WORDS: Mapping[str, Words] = {
    "entities": Words(
        "Named entities in posts",
        "exact spans",
        "Lenient counts as conlleval does, strict counts only gold spans that begin with `B-`.",
        "entities",
        "`twofold extract posts.jsonl --model FOLDER`, or `twofold.load(FOLDER).extract(posts)`.",
    ),
    "relations": Words(
        "Relations between pairs of entities in posts",
        "given pairs",
        "Micro averages without the class `None`; accuracy counts all pairs. The baselines look at the types "
        "of head and tail alone, as the tagger gives them: *typed majority* says what training held most "
        "often, which may be `None` throughout; *typed majority of relations* leaves `None` out.",
        "relations",
        "`twofold combine TAGGER FOLDER -o MODEL`, then `twofold extract posts.jsonl --model MODEL`.",
    ),
}


def write_card(folder: Path, card: Card) -> None:
    """Write ``card.json`` and ``README.md``."""
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(to_markdown(card), encoding="utf-8", newline="\n")


def to_markdown(card: Card) -> str:
    """The card as a page; what it does not hold, the page does not have."""
    words = WORDS[card["task"]]
    parts = [f"# {card['name']}", *(_made(card, words) if "train" in card else [f"{words.what}."])]
    if "scores" in card:
        parts += [f"## Scores on dev ({words.scores}, per cent)", _score_table(card["scores"]), words.counted]
    parts += [f"## {HEADING}", trust_section(card, words.predicted), "## Use", words.use]
    return "\n\n".join(parts) + "\n"


def with_trust(page: str, card: Card) -> str:
    """The same page with the section on trust as the card has it now; all else stays, notes of people too."""
    section = f"## {HEADING}\n\n{trust_section(card, WORDS[card['task']].predicted)}\n\n"
    first = _TRUST.search(page)
    rest = _TRUST.sub("", page[first.start() :]) if first else ""
    before = page[: first.start()] if first else f"{page.rstrip()}\n\n".lstrip()
    return f"{before}{section}{rest}".rstrip("\n") + "\n"


def _made(card: Card, words: Words) -> list[str]:
    return [
        f"{words.what}; fusion `{card['fusion']}`, weights {card['weights']}, "
        f"seed {card['seed']}, made with Twofold {card['twofold']}. "
        f"Epoch {card['chosen_epoch']} of {card['epochs']}, chosen on dev alone; no test data was looked at.",
        "## Data",
        _data_table(card),
        f"Pictures that could not be read in training and dev: {card['unreadable_pictures']}.",
    ]


def _data_table(card: Card) -> str:
    head = ["part", "file", "release", "posts", "with picture", "with alt text", "SHA-256"]
    keys = ("name", "release", "posts", "with_picture", "with_alt_text")
    rows = [
        [part, *(c[key] for key in keys), f"{c['sha256'][:16]}…"]
        for part in ("train", "dev")
        for c in card[part]
    ]
    return table(head, rows)


def _score_table(scores: Card) -> str:
    lines = [
        (name, way, kind, row)
        for name, counted in scores.items()
        for way, kinds in counted.items()
        for kind, row in kinds.items()
    ]
    keys = list(lines[0][3])
    head = ["file", "counted", "type", *(_SHORT.get(key, key) for key in keys)]
    return table(head, [[*names, *(row.get(key, "") for key in keys)] for *names, row in lines])
