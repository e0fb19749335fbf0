"""From a trained tagger to a model folder: export, calibrate, score through the one inference path, seal.

The temperature is fitted and the figures of the card are measured on the files of the folder itself,
as anyone will use them, not on the network in memory.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import twofold
from twofold.config import Config, to_toml
from twofold.encoders.image import ImageEncoder
from twofold.evaluation.spans import SpanScore, SpanScores, TwoCounts
from twofold.heads.crf import CRF
from twofold.models.build import source_widths
from twofold.models.multimodal import MultimodalModel
from twofold.pipeline import Extractor
from twofold.posts import Post
from twofold.runtime.decoding import TagSpan
from twofold.runtime.folder import FORMAT, open_folder, publish, seal
from twofold.runtime.reading import Reading
from twofold.runtime.scene import VISUAL
from twofold.training.card import write_card
from twofold.training.compress import compress
from twofold.training.curve import Row
from twofold.training.examples import tag_words
from twofold.training.export import export_fusion, export_image, export_text
from twofold.training.loop import Tell
from twofold.training.material import Corpus
from twofold.trust.temperature import TemperatureFit, fit_on_spans

Scores = dict[str, Any]
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
    model: MultimodalModel, image: ImageEncoder | None, facts: Facts, out: Path, work: Path, tell: Tell
) -> None:
    """Write the model folder ``out``; ``work`` holds log and curve, and gets the parts."""
    part = work / "folder"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _write_parts(model, image, facts.config, part)
    tell("exported; calibrating and scoring on dev")
    in_full = _calibrate_and_score(part, facts)
    measured = in_full
    if facts.config.model.weights == "8bit":
        for graph in GRAPHS:
            if (part / graph).exists():
                compress(part / graph, part / graph)
        measured = _calibrate_and_score(part, facts)
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
    for name, score in measured["dev"].items():
        tell(f"dev {name}: lenient F1 {score['lenient']['all']['f1']:.2f}")


def _write_parts(model: MultimodalModel, image: ImageEncoder | None, config: Config, part: Path) -> None:
    widths = source_widths(model.text, image)
    export_text(model.text, part / "text.onnx")
    export_fusion(model, [widths[name] for name in model.fusion.sources[1:]], part / "fusion.onnx")
    looks = image is not None and any(name in VISUAL for name in model.fusion.sources)
    if image is not None and looks:
        export_image(image, part / "picture.onnx")
    model.text.tokenizer.save(str(part / "tokenizer.json"))
    assert isinstance(model.head, CRF)
    moves, start, end = (x.detach().cpu().contiguous().numpy() for x in model.head.potentials())
    save_file({"transitions": moves, "start": start, "end": end}, part / "decoder.safetensors")
    _write_json(part / "config.json", _folder_config(model, image if looks else None, config))


def _folder_config(model: MultimodalModel, image: ImageEncoder | None, config: Config) -> dict[str, Any]:
    picture = None
    if image is not None:
        s = image.settings
        picture = {"resize": s.resize, "crop": s.crop, "mean": list(s.mean), "std": list(s.std)}
        picture |= {"fit": s.fit, "filter": s.filter}
        picture |= {"regions": image.regions, "width": image.width, "crops": config.model.max_crops}
    return {
        "format": FORMAT,
        "twofold": twofold.__version__,
        "name": config.model.name,
        "task": config.model.task,
        "labels": list(model.head.labels),
        "fusion": config.model.fusion,
        "sources": list(model.fusion.sources),
        "text": {
            "window_pieces": min(config.model.window_pieces, model.text.max_pieces),
            "context_words": config.model.context_words,
            "pad_id": model.text.pad_id,
            "width": model.text.width,
        },
        "picture": picture,
    }


def _calibrate_and_score(part: Path, facts: Facts) -> Scores:
    """Fit the temperature on all dev posts, then score each dev file; the folder is left sealed."""
    _write_json(part / "calibration.json", {"temperature": 1.0})
    seal(part)
    extractor = Extractor(open_folder(part))
    readings = {corpus.name: list(extractor.read(corpus.posts)) for corpus in facts.dev}
    fit = _fit(extractor, [reading for group in readings.values() for reading in group])
    _write_json(part / "calibration.json", asdict(fit) | {"fitted_on": list(readings)})
    seal(part)
    dev = {name: score_readings(extractor, group) for name, group in readings.items()}
    return {"dev": dev, "calibration": asdict(fit)}


def _fit(extractor: Extractor, readings: Sequence[Reading]) -> TemperatureFit:
    gold = [_gold(extractor, reading) for reading in readings]
    return fit_on_spans(extractor.decoder, [reading.emissions for reading in readings], gold)


def _gold(extractor: Extractor, reading: Reading) -> list[TagSpan]:
    labels = extractor.folder.config.labels
    tags = tag_words(reading.words, reading.post.entities or (), labels)
    return extractor.decoder.spans_of(np.array(tags))


def score_readings(extractor: Extractor, readings: Sequence[Reading]) -> Scores:
    """Lenient and strict scores, in per cent, overall (``all``) and by type."""
    counts = TwoCounts()
    for begin in range(0, len(readings), 256):
        group = readings[begin : begin + 256]
        for reading, extraction in zip(group, extractor.decode(group), strict=True):
            found = [(e.start, e.end, e.type) for e in extraction.entities]
            counts.add(_gold_spans(reading.post), found)
    return {"lenient": _figures(counts.lenient.scores()), "strict": _figures(counts.strict.scores())}


def _gold_spans(post: Post) -> list[tuple[tuple[int, int, str], bool]]:
    return [((e.start, e.end, e.type), e.well_formed) for e in post.entities or ()]


def _figures(scores: SpanScores) -> dict[str, dict[str, float]]:
    def row(score: SpanScore) -> dict[str, float]:
        values = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
        return {name: round(100 * value, 2) for name, value in values.items()} | {"gold": score.gold}

    return {"all": row(scores.overall)} | {kind: row(score) for kind, score in scores.types.items()}


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
    return dataclasses.replace(facts.config, data=named)


def _card(facts: Facts, measured: Scores, in_full: Scores) -> dict[str, Any]:
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
        "fusion": facts.config.model.fusion,
        "weights": facts.config.model.weights,
        "seed": facts.config.training.seed,
        "train": told(facts.train),
        "dev": told(facts.dev),
        "unreadable_pictures": len(facts.unreadable),
        "parameters": dict(facts.parameters),
        "epochs": len(facts.rows),
        "chosen_epoch": max(facts.rows, key=lambda row: float(row["score"]))["epoch"],
        "scores": measured["dev"],
        "scores_full_precision": in_full["dev"],
        "calibration": measured["calibration"],
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
