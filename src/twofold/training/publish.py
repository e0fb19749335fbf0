"""From a trained model to a model folder: export, calibrate, evaluate at inference, write the manifest.

Calibration and scores of the card come from the files of the folder itself, as users will run them, not from
the network in memory.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from twofold.calibration.write import write_json
from twofold.config import Config, ModelConfig, read_config, to_toml
from twofold.conventions import Conventions
from twofold.corpora.post_file import name_of
from twofold.encoders.image import ImageEncoder
from twofold.model_folder.card import write_card
from twofold.model_folder.folder import FORMAT, open_folder, publish, write_manifest
from twofold.models.build import TASKS, modality_widths
from twofold.models.multimodal import MultimodalModel
from twofold.preprocessing.modalities import VISUAL
from twofold.preprocessing.semantic_augmentation import MODALITY, Neighbours
from twofold.reading import real_path
from twofold.training.arithmetic import choose_arithmetic
from twofold.training.datasets import Corpus
from twofold.training.export import export_fusion, export_image, export_text
from twofold.training.learning_curve import Row
from twofold.training.loop import Log
from twofold.training.quantise_pictures import sample_pixels
from twofold.training.tagger_encoder import TaggerEncoder
from twofold.training.task import Metrics, Task
from twofold.version import __version__


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What the model card says about a training.

    Attributes:
        config: of the training.
        train: training files.
        dev: files on which the epoch was chosen.
        unreadable: pictures that could not be read.
        rows: learning curve.
        parameters: numbers of parameters, ``total`` (the picture encoder's included) and ``trainable``.
    """

    config: Config
    train: Sequence[Corpus]
    dev: Sequence[Corpus]
    unreadable: Sequence[str]
    rows: Sequence[Row]
    parameters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What is exported.

    Attributes:
        model: the trained network, on the CPU.
        image: picture encoder, where there is one.
        neighbours: nearest neighbours of words, where the model uses them.
        task: what was learned.
        conventions: annotation conventions that it has learned.
    """

    model: MultimodalModel
    image: ImageEncoder | None
    neighbours: Neighbours | None
    task: Task
    conventions: Conventions = field(default_factory=Conventions)


def publish_model(trained: TrainedModel, record: TrainingRecord, out: Path, work: Path, log: Log) -> None:
    """Write the model folder ``out``; ``work`` holds log and curve, and temporary files."""
    model, image, neighbours, task = trained.model, trained.image, trained.neighbours, trained.task
    folder = work / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    train = [post for corpus in record.train for post in corpus.posts]
    dev = {corpus.name: corpus.posts for corpus in record.dev}
    image = image if any(name in VISUAL for name in model.fusion.modalities) else None
    widths = modality_widths(model.text, image) | ({MODALITY: neighbours.width} if neighbours else {})
    others = [widths[name] for name in model.fusion.modalities[1:]]
    conventions = trained.conventions
    shared: list[str] = []
    if isinstance(model.text, TaggerEncoder):
        shared = _copy_shared_graphs(model.text, image, record.config, folder)
    else:
        export_text(model.text, folder / "text.onnx")
    slot_size = TASKS[record.config.model.task][0]
    export_fusion(model, others, folder / "fusion.onnx", slot_size, conventions.size)
    if image is not None and "picture" not in shared:
        export_image(image, folder / "picture.onnx")
    if neighbours is not None:
        neighbours.save(folder)
    model.text.tokenizer.save(str(folder / "tokenizer.json"))
    task.write_head(model.head, folder)
    described = _folder_config(trained, record.config, image) | task.describe(train)
    write_json(folder / "config.json", described)
    log("exported; calibrating and scoring on dev")
    dev_conventions = {corpus.name: conventions.of_corpus(corpus.convention) for corpus in record.dev}
    weights = record.config.model.weights
    quantise_picture = weights == "8bit" and "picture" not in shared
    pictures = sample_pixels(train, image.settings) if image is not None and quantise_picture else []
    measure = partial(task.measure, folder, dev, train, dev_conventions)
    arithmetic, measured, full_precision = choose_arithmetic(folder, weights, measure, log, pictures, shared)
    for name in ("log.jsonl", "curve.png"):
        shutil.copyfile(work / name, folder / name)
    (folder / "training.toml").write_text(to_toml(_without_paths(record)), encoding="utf-8", newline="\n")
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors makes its files private
    write_card(folder, _card(record, conventions, measured, full_precision) | arithmetic)
    write_manifest(folder)
    open_folder(folder)
    publish(folder, out)
    (work / "checkpoint.pt").unlink(missing_ok=True)
    for line in task.headlines(measured["dev"]):
        log(line)
    if "note" in measured["calibration"]:
        note = measured["calibration"]["note"]
        log(f"calibration: a temperature only, no thresholds and no prediction sets: {note}")


def _copy_shared_graphs(
    text: TaggerEncoder, image: ImageEncoder | None, config: Config, folder: Path
) -> list[str]:
    """Copy the graphs of the tagger on whose states a model was trained, so that one run serves both.

    Returns:
        Their names: ``text``, and ``picture`` where ``image`` is the tagger's picture encoder, too.
    """
    tagger, shared = text.folder, ["text"]
    settings, recorded = tagger.config.picture, tagger.path / "training.toml"
    same = image is not None and settings is not None and settings.settings == image.settings
    if same and recorded.is_file():
        name = read_config(recorded).model.image_encoder
        shared += ["picture"] * (name == _encoder_name(config.model.image_encoder))
    for graph in shared:
        shutil.copyfile(tagger.file(f"{graph}.onnx"), folder / f"{graph}.onnx")
    return shared


def _folder_config(trained: TrainedModel, config: Config, image: ImageEncoder | None) -> dict[str, Any]:
    model, picture = trained.model, None
    if image is not None:
        s = image.settings
        picture = {"resize": s.resize, "crop": s.crop, "mean": list(s.mean), "std": list(s.std)}
        picture |= {"fit": s.fit, "resample": s.resample}
        picture |= {"regions": image.regions, "hidden_size": image.width, "max_crops": config.model.max_crops}
    return {
        "format": FORMAT,
        "twofold_version": __version__,
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
            "equal_lengths": model.text.equal_lengths,
        },
        "picture": picture,
        "conventions": trained.conventions.to_json(),
    }


def _without_paths(record: TrainingRecord) -> Config:
    """The configuration with names of files instead of paths, which are private."""
    data = record.config.data
    named = dataclasses.replace(
        data,
        train=_names(data.train),
        dev=_names(data.dev),
        corpora=tuple(
            dataclasses.replace(
                corpus, train=_names(corpus.train), dev=_names(corpus.dev), partial=_names(corpus.partial)
            )
            for corpus in data.corpora
        ),
        held_out=_names(data.held_out),
        unlabelled=_names(data.unlabelled),
        teachers=_names(data.teachers),
        images=Path(data.images).name,
        alt_text=Path(data.alt_text).name,
    )
    training, model = record.config.training, model_without_paths(record.config.model)
    first = training.initial_weights
    training = dataclasses.replace(training, initial_weights=first and name_of(Path(first)))
    return dataclasses.replace(record.config, data=named, model=model, training=training)


def _names(files: Sequence[str]) -> tuple[str, ...]:
    return tuple(name_of(Path(file)) for file in files)


def model_without_paths(model: ModelConfig) -> ModelConfig:
    """The settings of a model as a published folder has them: names of local files instead of paths."""
    options, relations = model.multigranular, model.relations
    return dataclasses.replace(
        model,
        text_encoder=_encoder_name(model.text_encoder),
        image_encoder=_encoder_name(model.image_encoder),
        joint=Path(model.joint).name,
        multigranular=dataclasses.replace(options, augmentation=Path(options.augmentation).name),
        relations=dataclasses.replace(relations, tagger=Path(relations.tagger).name),
    )


def _encoder_name(name: str) -> str:
    """Name of the folder of a local encoder; a name on the hub ("owner/model") as it is."""
    local = Path(name).is_absolute() or Path(name).is_dir()
    return real_path(name).name if local else name


def _card(
    record: TrainingRecord, conventions: Conventions, measured: Metrics, full_precision: Metrics
) -> dict[str, Any]:
    def described_files(corpora: Sequence[Corpus]) -> list[Mapping[str, Any]]:
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
        "name": record.config.model.name,
        "twofold": __version__,
        "task": record.config.model.task,
        "fusion": record.config.model.fusion,
        "weights": "float32" if record.config.model.weights == "float32" else "8bit",
        "seed": record.config.training.seed,
        "train": described_files(record.train),
        "dev": described_files(record.dev),
        "unreadable_pictures": len(record.unreadable),
        "parameters": dict(record.parameters),
        "epochs": len(record.rows),
        "chosen_epoch": max(record.rows, key=lambda row: float(row["score"]))["epoch"],
        **({"scores_decoder": "viterbi"} if record.config.model.task == "entities" else {}),
        "scores": measured["dev"],
        "scores_full_precision": full_precision["dev"],
        "conventions": conventions.to_json(),
        "calibration_summary": measured["calibration_summary"],
        "calibration": measured["calibration"],
    }
