"""The model card: what a model was made of and how well it does, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Card = Mapping[str, Any]


def write_card(folder: Path, card: Card) -> None:
    """Write ``card.json`` and ``README.md``."""
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(to_markdown(card), encoding="utf-8", newline="\n")


def to_markdown(card: Card) -> str:
    """The card as a page."""
    fit = card["calibration"]
    parts = [
        f"# {card['name']}",
        f"Named entities in posts; fusion `{card['fusion']}`, weights {card['weights']}, "
        f"seed {card['seed']}, made with Twofold {card['twofold']}. "
        f"Epoch {card['chosen_epoch']} of {card['epochs']}, chosen on dev alone; no test data was looked at.",
        "## Data",
        _data_table(card),
        f"Pictures that could not be read in training and dev: {card['unreadable_pictures']}.",
        "## Scores on dev (exact spans, per cent)",
        _score_table(card["scores"]),
        "Lenient counts as conlleval does, strict counts only gold spans that begin with `B-`.",
        "## Calibration",
        f"One temperature, {fit['temperature']:.3f}, fitted on {fit['predictions']} predicted spans of dev: "
        f"expected calibration error (15 bins) {fit['ece_before']:.4f} before, {fit['ece_after']:.4f} after. "
        "Both are measured on the data it was fitted on.",
        "## Use",
        "`twofold extract posts.jsonl --model FOLDER`, or `twofold.load(FOLDER).extract(posts)`.",
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
    rows = ["| file | counted | type | P | R | F1 | gold |", "|---|---|---|---|---|---|---|"]
    for name, counted in scores.items():
        for way, types in counted.items():
            for kind, s in types.items():
                cells = (name, way, kind, s["precision"], s["recall"], s["f1"], s["gold"])
                rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)
