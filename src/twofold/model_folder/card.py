"""The model card: what a model was trained on and its metrics, for people and for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from twofold.model_folder.card_calibration import HEADING, Card, calibration_section
from twofold.model_folder.markdown import table

_SHORT = {"precision": "P", "recall": "R", "f1": "F1"}
_DECODERS = {"viterbi": "Viterbi decoding", "f1": "F1-optimal decoding"}
_SECTION = re.compile(r"^## (?:Calibration|Trust|Calibrated again)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
"""The section on calibration, under all names that it has had."""
_TITLE = re.compile(r"\A# .*\n")
_ORIGIN = re.compile(r"\n*^Calibrated copy of .*\n", re.MULTILINE)


class TaskText(NamedTuple):
    """Texts of a card that depend on the task.

    Attributes:
        what: what the model extracts. scores: what its scores are of. counted: how they were counted.
        predicted: name of the predictions, in the plural. use: how the model is used.
    """

    what: str
    scores: str
    counted: str
    predicted: str
    use: str


TASK_TEXTS: Mapping[str, TaskText] = {
    "entities": TaskText(
        "Named entities in posts",
        "exact spans",
        "Lenient counts as conlleval does, strict counts only gold spans that begin with `B-`.",
        "entities",
        "`twofold extract posts.jsonl --model FOLDER`, or `twofold.load(FOLDER).extract(posts)`.",
    ),
    "relations": TaskText(
        "Relations between pairs of entities in posts",
        "gold pairs",
        "Micro averages without the class `None`; accuracy counts all pairs. The baselines know the types "
        "of head and tail alone, as the tagger predicts them: *typed majority* is the most frequent class in "
        "training, which may be `None` throughout; *typed majority of relations* leaves `None` out.",
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
    """The card as a page; parts that the card lacks are left out."""
    texts = TASK_TEXTS[card["task"]]
    parts = [f"# {card['name']}", *_origin(card)]
    parts += _training(card, texts) if "train" in card else [f"{texts.what}."]
    if "scores" in card:
        decoder = _DECODERS.get(card.get("scores_decoder", ""))
        title = ", ".join(part for part in (texts.scores, decoder, "per cent") if part)
        parts += [f"## Scores on dev ({title})", _score_table(card["scores"]), texts.counted]
    parts += _conventions(card)
    parts += [f"## {HEADING}", calibration_section(card, texts.predicted), "## Use", texts.use]
    return "\n\n".join(parts) + "\n"


def with_calibration(page: str, card: Card) -> str:
    """The same page with the calibration section of the card; all other text stays, manual notes too."""
    section = f"## {HEADING}\n\n{calibration_section(card, TASK_TEXTS[card['task']].predicted)}\n\n"
    first = _SECTION.search(page)
    rest = _SECTION.sub("", page[first.start() :]) if first else ""
    before = page[: first.start()] if first else f"{page.rstrip()}\n\n".lstrip()
    return f"{before}{section}{rest}".rstrip("\n") + "\n"


def with_name(page: str, card: Card) -> str:
    """The same page with the name of the card as its title, and below it the model that was calibrated."""
    body = _ORIGIN.sub("\n", _TITLE.sub("", page), count=1).lstrip("\n")
    return "\n\n".join([f"# {card['name']}", *_origin(card), body]).rstrip("\n") + "\n"


def _origin(card: Card) -> list[str]:
    origin = card.get("calibrated_from")
    if origin is None:
        return []
    return [f"Calibrated copy of `{origin['name']}` (manifest SHA-256 {origin['manifest_sha256'][:16]}…)."]


def _conventions(card: Card) -> list[str]:
    known = card.get("conventions")
    if not known:
        return []
    rows = [[name, c["mentions"], c["hashtags"]] for name, c in known["named"].items()]
    default = known["default"]
    rows.append(
        [
            "default" + (f" (as {default['corpus']})" * bool(default["corpus"])),
            default["mentions"],
            default["hashtags"],
        ]
    )
    return [
        "## Annotation conventions",
        "Chosen with `--convention`, `--mentions` and `--hashtags`. A dev file is scored under its own.",
        table(["convention", "mentions", "hashtags"], rows),
    ]


def _training(card: Card, texts: TaskText) -> list[str]:
    return [
        f"{texts.what}; fusion `{card['fusion']}`, weights {card['weights']}{_arithmetic(card)}, "
        f"seed {card['seed']}, trained with Twofold {card['twofold']}. "
        f"Epoch {card['chosen_epoch']} of {card['epochs']}, selected on dev alone; no test data was used.",
        "## Data",
        _data_table(card),
        f"Unreadable pictures in training and dev: {card['unreadable_pictures']}.",
    ]


def _arithmetic(card: Card) -> str:
    """The arithmetic of the graphs; empty for cards that do not contain it."""
    arithmetic = [
        f"arithmetic of the {name} {card[key]}"
        for name, key in (
            ("text encoder", "arithmetic"),
            ("picture encoder", "picture_arithmetic"),
            ("fusion", "fusion_arithmetic"),
        )
        if key in card
    ]
    if not arithmetic:
        return ""
    change = f"F1 on dev {card['f1_change']:+.2f}" if "f1_change" in card else "as trained"
    return f", {', '.join(arithmetic)} ({change})"


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
