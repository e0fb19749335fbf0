"""A whole training: files in, a published model folder out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from twofold.config import Config
from twofold.config_limits import check_limits
from twofold.encoders.adapters import merge_adapters
from twofold.encoders.image import ImageEncoder, load_image_encoder
from twofold.encoders.text import load_text_encoder
from twofold.errors import ConfigError
from twofold.model_folder.place import reserved
from twofold.models.build import build_model, choose
from twofold.models.multimodal import MultimodalModel
from twofold.posts import Post
from twofold.preprocessing.images import FeatureCache
from twofold.preprocessing.modalities import VISUAL
from twofold.preprocessing.semantic_augmentation import Neighbours
from twofold.preprocessing.word_pieces import Pieces
from twofold.training.datasets import Corpus, read_corpora
from twofold.training.entities import Entities
from twofold.training.examples import Example, Features
from twofold.training.frozen_text import with_text_states
from twofold.training.loop import Material, Tell, Trainer, choose_device
from twofold.training.picture_features import FeatureMaker, cache_folder, no_features
from twofold.training.publish import Facts, publish_model
from twofold.training.relations import Relations
from twofold.training.semantic_augmentation import load_neighbours, with_neighbours
from twofold.training.task import Task

WORK = "training"
"""Folder beside the model's files with log, curve, checkpoint and weights."""
TASKS: Mapping[str, Callable[[Config, Tell], Task]] = {"entities": Entities, "relations": Relations}
"""What differs from task to task."""


def train(config: Config, out: Path, tell: Tell, *, fresh: bool = False) -> Path:
    """Train and publish.

    Args:
        config: what, on what, and how; see `twofold.config`.
        out: the model folder; an unfinished training found there is gone on with.
        tell: gets lines of progress.
        fresh: start anew even where a checkpoint is.

    Returns:
        ``out``.

    Raises:
        ConfigError: no training or dev file, a name that is not known, or a number outside of its limits.
        TrainingError: the training came to NaN or infinite numbers.
        DataError: a file cannot be read, a checkpoint there belongs to another training, or another
            training has the same ``out``.
        ModelError: something that is not a model is in the place.
        MissingExtraError: a package with embedded weights is not installed.
    """
    check_limits(config)
    with reserved(out) as place:
        _train(config, place, tell, fresh)
    return out


def _train(config: Config, out: Path, tell: Tell, fresh: bool) -> None:
    ready = make_ready(config, tell)
    work, corpora = Path(f"{out}.{WORK}"), ready.train_sets + ready.dev_sets
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    model, identity = ready.model, _identity(config, corpora)
    rows = Trainer(model, ready.material, config.training, work, identity, tell).run()
    parameters = _parameters(model, ready.image)
    merge_adapters(model.text)
    facts = Facts(config, ready.train_sets, ready.dev_sets, ready.unreadable, rows, parameters)
    image = ready.image.cpu() if ready.image else None
    publish_model(model.cpu(), image, ready.neighbours, ready.task, facts, out, work, tell)


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything that a training needs before its first step.

    Attributes:
        task: what is learned. train_sets, dev_sets: posts, as the task prepares them.
        model: untrained. image: encoder of pictures, where it looks at them. neighbours: of words, likewise.
        material: examples and features.
        unreadable: "post id: reason" of each picture that could not be read.
    """

    task: Task
    train_sets: list[Corpus]
    dev_sets: list[Corpus]
    model: MultimodalModel
    image: ImageEncoder | None
    neighbours: Neighbours | None
    material: Material
    unreadable: list[str]


def make_ready(config: Config, tell: Tell) -> Ready:
    """Read the data, build the model, compute what is computed once. Arguments and errors as of `train`."""
    check_limits(config)
    if not config.data.train or not config.data.dev:
        raise ConfigError("no training or no dev file", where="[data]", expected="train and dev files")
    seed_everything(config.training.seed, config.training.threads)
    task = choose(TASKS, config.model.task, "task")(config, tell)
    train_sets, dev_sets = (
        [dataclasses.replace(corpus, posts=task.prepare(corpus.posts)) for corpus in corpora]
        for corpora in _corpora(config, task, tell)
    )
    posts = [post for corpus in train_sets for post in corpus.posts]
    labels = task.labels(posts)
    text = load_text_encoder(config.model.text_encoder)
    neighbours = load_neighbours(config.model, text, tell)
    task.equip(text)
    looks = any(name in VISUAL for name in config.model.modalities)
    image = load_image_encoder(config.model.image_encoder) if looks else None
    seed_everything(config.training.seed, config.training.threads)
    vectors = neighbours.width if neighbours else 0
    model = build_model(config.model, labels, text, image, task.counts(posts, labels), vectors)
    features = _features(train_sets + dev_sets, image, config, tell)
    if image is not None and model.fusion.perturbs_pictures:
        model.fusion.set_blank_pictures(_maker(image, config, tell).blanks(config.model.modalities))
    material = with_neighbours(_material(model, task, train_sets, dev_sets, features, config), neighbours)
    if config.training.encoder_lr == 0:
        device = choose_device(config.training)
        material = with_text_states(material, text, model.fusion.modalities, device, tell)
    return Ready(task, train_sets, dev_sets, model, image, neighbours, material, features.unreadable)


def _parameters(model: MultimodalModel, image: ImageEncoder | None) -> dict[str, int]:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    frozen = sum(p.numel() for p in image.parameters()) if image else 0
    total = sum(size for size, _ in sizes)
    return {"total": total + frozen, "trainable": sum(size for size, trained in sizes if trained)}


def seed_everything(seed: int, threads: int) -> None:
    """Set the seeds of all generators, and the number of CPU threads (0 leaves it)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)


def _features(corpora: Sequence[Corpus], image: ImageEncoder | None, config: Config, tell: Tell) -> Features:
    posts = [post for corpus in corpora for post in corpus.posts]
    if image is None:
        return no_features(posts)
    features = _maker(image, config, tell).features(posts, config.model.modalities)
    sizes = ", ".join(f"{len(table.counts)} for {name}" for name, table in features.tables.items())
    tell(f"pictures: {sizes}; {len(features.unreadable)} unreadable")
    for line in features.unreadable[:20]:
        tell(f"  unreadable: {line}")
    return features


def _maker(image: ImageEncoder, config: Config, tell: Tell) -> FeatureMaker:
    cache = FeatureCache(cache_folder(), image.fingerprint)
    return FeatureMaker(image, cache, choose_device(config.training), tell, config.model.max_crops)


def _material(
    model: MultimodalModel,
    task: Task,
    train_sets: Sequence[Corpus],
    dev_sets: Sequence[Corpus],
    features: Features,
    config: Config,
) -> Material:
    window = min(config.model.window_pieces, model.text.max_pieces)
    pieces = Pieces(model.text.tokenizer, window, config.model.context_words, model.text.pad_id)
    done = 0

    def examples(posts: Sequence[Post]) -> list[Example]:
        nonlocal done
        rows = features.rows[done : done + len(posts)]
        done += len(posts)
        return task.examples(posts, rows, pieces, model.head.labels)

    tables = {name: table for name, table in features.tables.items() if name in model.fusion.modalities}
    train_examples = [example for corpus in train_sets for example in examples(task.lessons(corpus.posts))]
    return Material(train_examples, {c.name: examples(c.posts) for c in dev_sets}, tables, task.score)


def _identity(config: Config, corpora: Sequence[Corpus]) -> str:
    """Changes with anything that changes the weights."""
    plain = asdict(config)
    plain.pop("data")
    plain["hashes"] = [corpus.sha256 for corpus in corpora]
    plain["types"] = [
        (relation.head.type, relation.tail.type)  # given by a tagger, which may have been trained anew
        for corpus in corpora
        for post in corpus.posts
        for relation in post.relations or ()
    ]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _corpora(config: Config, task: Task, tell: Tell) -> tuple[list[Corpus], list[Corpus]]:
    """Training and dev files with gold for the task; tells what was read."""
    train_sets, dev_sets = (
        read_corpora(files, config.data, task.gold) for files in (config.data.train, config.data.dev)
    )
    for part, corpora in (("train", train_sets), ("dev", dev_sets)):
        for corpus in corpora:
            what = corpus.release or "not a known release"
            tell(f"{part}: {corpus.name}, {len(corpus.posts)} posts, {what}")
            if corpus.rejected:
                tell(f"  {len(corpus.rejected)} records rejected, the first: {corpus.rejected[0].reason}")
    return train_sets, dev_sets
