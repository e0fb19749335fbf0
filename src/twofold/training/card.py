"""The model card: what a model was made of and how well it does, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

Card = Mapping[str, Any]
_SHORT = {"precision": "P", "recall": "R", "f1": "F1"}


class Words(NamedTuple):
    """How a card speaks of a task.

    Attributes:
        what: what the model finds. scores: what its scores are of. counted: how they were counted.
        predicted: what the temperature was fitted on. use: how the model is used.
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
        "spans",
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
    """The card as a page."""
    fit, words = card["calibration"], WORDS[card["task"]]
    parts = [
        f"# {card['name']}",
        f"{words.what}; fusion `{card['fusion']}`, weights {card['weights']}, "
        f"seed {card['seed']}, made with Twofold {card['twofold']}. "
        f"Epoch {card['chosen_epoch']} of {card['epochs']}, chosen on dev alone; no test data was looked at.",
        "## Data",
        _data_table(card),
        f"Pictures that could not be read in training and dev: {card['unreadable_pictures']}.",
        f"## Scores on dev ({words.scores}, per cent)",
        _score_table(card["scores"]),
        words.counted,
        "## Calibration",
        f"One temperature, {fit['temperature']:.3f}, fitted on {fit['predictions']} "
        f"predicted {words.predicted} of dev: expected calibration error (15 bins) "
        f"{fit['ece_before']:.4f} before, {fit['ece_after']:.4f} after. "
        "Both are measured on the data it was fitted on.",
        "## Use",
        words.use,
    ]
    return "\n\n".join(parts) + "\n"


def _data_table(card: Card) -> str:
    rows = [
        "| part | file | release | posts | with picture | with alt text | SHA-256 |",
        "|---|---|---|---|---|---|---|",
    ]
    for part in ("train", "dev"):
        for c in card[part]:
            cells = (part, c["name"], c["release"], c["posts"], c["with_picture"], c["with_alt_text"])
            rows.append("| " + " | ".join(map(str, cells)) + f" | {c['sha256'][:16]}… |")
    return "\n".join(rows)


def _score_table(scores: Card) -> str:
    lines = [
        (name, way, kind, row)
        for name, counted in scores.items()
        for way, kinds in counted.items()
        for kind, row in kinds.items()
    ]
    keys = list(lines[0][3])
    head = ["file", "counted", "type", *(_SHORT.get(key, key) for key in keys)]
    rows = [head, ["---"] * len(head)]
    rows += [[*names, *(str(row.get(key, "")) for key in keys)] for *names, row in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
