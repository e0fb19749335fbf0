"""From a trained model to a model folder: export, calibrate, score through the one inference path, seal.

The temperature is fitted and the figures of the card are measured on the files of the folder itself,
as anyone will use them, not on the network in memory.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import twofold
from twofold.calibration.write import write_json
from twofold.config import Config, to_toml
from twofold.encoders.image import ImageEncoder
from twofold.model_folder.card import write_card
from twofold.model_folder.folder import FORMAT, open_folder, publish, seal
from twofold.models.build import TASKS, modality_widths
from twofold.models.multimodal import MultimodalModel
from twofold.preprocessing.modalities import VISUAL
from twofold.preprocessing.semantic_augmentation import MODALITY, Neighbours
from twofold.training.datasets import Corpus
from twofold.training.export import export_fusion, export_image, export_text
from twofold.training.learning_curve import Row
from twofold.training.loop import Tell
from twofold.training.quantise import compress
from twofold.training.task import Figures, Task

GRAPHS = ("text.onnx", "picture.onnx", "fusion.onnx")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card must tell of a training.

    Attributes:
        config: of the training.
        train: training files. dev: files it was chosen on.
        unreadable: pictures that could not be read.
        rows: learning curve.
        parameters: how many, ``total`` (the picture encoder's included) and ``trainable``.
    """

    config: Config
    train: Sequence[Corpus]
    dev: Sequence[Corpus]
    unreadable: Sequence[str]
    rows: Sequence[Row]
    parameters: Mapping[str, int]


def publish_model(
    model: MultimodalModel,
    image: ImageEncoder | None,
    neighbours: Neighbours | None,
    task: Task,
    facts: Facts,
    out: Path,
    work: Path,
    tell: Tell,
) -> None:
    """Write the model folder ``out``; ``work`` holds log and curve, and gets the parts."""
    part = work / "folder"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    train = [post for corpus in facts.train for post in corpus.posts]
    dev = {corpus.name: corpus.posts for corpus in facts.dev}
    looks = any(name in VISUAL for name in model.fusion.modalities)
    widths = modality_widths(model.text, image) | ({MODALITY: neighbours.width} if neighbours else {})
    others = [widths[name] for name in model.fusion.modalities[1:]]
    _write_graphs(model, image if looks else None, others, part, TASKS[facts.config.model.task][0])
    if neighbours is not None:
        neighbours.save(part)
    model.text.tokenizer.save(str(part / "tokenizer.json"))
    task.write_head(model.head, part)
    described = _folder_config(model, image if looks else None, facts.config) | task.describe(train)
    write_json(part / "config.json", described)
    tell("exported; calibrating and scoring on dev")
    in_full = task.measure(part, dev, train)
    measured = in_full
    if facts.config.model.weights == "8bit":
        for graph in GRAPHS:
            if (part / graph).exists():
                compress(part / graph, part / graph)
        measured = task.measure(part, dev, train)
    for name in ("log.jsonl", "curve.png"):
        shutil.copyfile(work / name, part / name)
    (part / "training.toml").write_text(to_toml(_without_paths(facts)), encoding="utf-8", newline="\n")
    for file in part.iterdir():
        file.chmod(0o644)  # safetensors makes its files private
    write_card(part, _card(facts, measured, in_full))
    seal(part)
    open_folder(part)
    publish(part, out)
    (work / "checkpoint.pt").unlink(missing_ok=True)
    for line in task.headlines(measured["dev"]):
        tell(line)
    if "note" in measured["calibration"]:
        note = measured["calibration"]["note"]
        tell(f"calibration: a temperature only, no thresholds and no prediction sets: {note}")


def _write_graphs(
    model: MultimodalModel, image: ImageEncoder | None, others: Sequence[int], part: Path, places: int
) -> None:
    export_text(model.text, part / "text.onnx")
    export_fusion(model, others, part / "fusion.onnx", places)
    if image is not None:
        export_image(image, part / "picture.onnx")


def _folder_config(model: MultimodalModel, image: ImageEncoder | None, config: Config) -> dict[str, Any]:
    picture = None
    if image is not None:
        s = image.settings
        picture = {"resize": s.resize, "crop": s.crop, "mean": list(s.mean), "std": list(s.std)}
        picture |= {"fit": s.fit, "resample": s.filter}
        picture |= {"regions": image.regions, "hidden_size": image.width, "max_crops": config.model.max_crops}
    return {
        "format": FORMAT,
        "twofold_version": twofold.__version__,
        "name": config.model.name,
        "task": config.model.task,
        "labels": list(model.head.labels),
        "fusion": config.model.fusion,
        "modalities": list(model.fusion.modalities),
        "text": {
            "window_pieces": min(config.model.window_pieces, model.text.max_pieces),
            "context_words": config.model.context_words,
            "pad_token_id": model.text.pad_id,
            "hidden_size": model.text.width,
        },
        "picture": picture,
    }


def _without_paths(facts: Facts) -> Config:
    """The configuration with files by name only: where they lay is nobody else's business."""
    data = facts.config.data
    named = dataclasses.replace(
        data,
        train=tuple(corpus.name for corpus in facts.train),
        dev=tuple(corpus.name for corpus in facts.dev),
        images=Path(data.images).name,
        alt_text=Path(data.alt_text).name,
    )
    options = facts.config.model.multigranular
    options = dataclasses.replace(options, augmentation=Path(options.augmentation).name)
    model = dataclasses.replace(facts.config.model, multigranular=options)
    return dataclasses.replace(facts.config, data=named, model=model)


def _card(facts: Facts, measured: Figures, in_full: Figures) -> dict[str, Any]:
    def told(corpora: Sequence[Corpus]) -> list[Mapping[str, Any]]:
        return [
            {
                "name": c.name,
                "sha256": c.sha256,
                "release": c.release or "not a known release",
                "posts": len(c.posts),
                "with_picture": sum(post.image is not None for post in c.posts),
                "with_alt_text": sum(post.alt_text is not None for post in c.posts),
                "rejected": len(c.rejected),
            }
            for c in corpora
        ]

    return {
        "name": facts.config.model.name,
        "twofold": twofold.__version__,
        "task": facts.config.model.task,
        "fusion": facts.config.model.fusion,
        "weights": facts.config.model.weights,
        "seed": facts.config.training.seed,
        "train": told(facts.train),
        "dev": told(facts.dev),
        "unreadable_pictures": len(facts.unreadable),
        "parameters": dict(facts.parameters),
        "epochs": len(facts.rows),
        "chosen_epoch": max(facts.rows, key=lambda row: float(row["score"]))["epoch"],
        **({"scores_decoder": "viterbi"} if facts.config.model.task == "entities" else {}),
        "scores": measured["dev"],
        "scores_full_precision": in_full["dev"],
        "calibration_summary": measured["calibration_summary"],
        "calibration": measured["calibration"],
    }
