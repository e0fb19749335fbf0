"""A whole training: files in, a published model folder out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from twofold.config import TAGGERS_ENCODER, AugmentationConfig, Config, DataConfig, WordsConfig
from twofold.config_limits import check_limits
from twofold.conventions import Convention, Conventions
from twofold.encoders.adapters import merge_adapters
from twofold.encoders.image import ImageEncoder, load_image_encoder
from twofold.encoders.text import TextEncoder, load_text_encoder
from twofold.errors import ConfigError
from twofold.model_folder.combine import write_combined
from twofold.model_folder.folder import ModelFolder, open_folder
from twofold.model_folder.place import reserved
from twofold.models.build import build_model, choose
from twofold.models.joint import JointModel
from twofold.models.multimodal import MultimodalModel
from twofold.posts import Post
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.modalities import VISUAL
from twofold.preprocessing.semantic_augmentation import Neighbours
from twofold.preprocessing.word_pieces import WindowTokenizer
from twofold.reading import read_bytes
from twofold.training.augmentation import augmented
from twofold.training.checkpoint import average_with, load_initial_weights
from twofold.training.datasets import Corpus, read_training_data, read_unlabelled
from twofold.training.distillation import check_distillation, distilled_examples, open_teachers
from twofold.training.distributed import Processes, joined
from twofold.training.entities import EntityTask
from twofold.training.examples import (
    Example,
    Features,
    allowed_by_entities,
    allowed_without_types,
    entities_in,
)
from twofold.training.frozen_text import with_precomputed_text
from twofold.training.joint import joint_data, relation_settings, with_tagger
from twofold.training.learning_curve import Row
from twofold.training.loop import Log, Trainer, TrainingData, choose_device
from twofold.training.picture_features import PictureFeatureExtractor, cache_folder, no_features
from twofold.training.publish import TrainedModel, TrainingRecord, publish_model
from twofold.training.relations import RelationTask
from twofold.training.semantic_augmentation import load_neighbours, with_neighbours
from twofold.training.tagger_encoder import TaggerEncoder, load_tagger_encoder, tagger_folder
from twofold.training.task import Task

WORK = "training"
"""Suffix of the folder beside the model folder with log, curve, checkpoint and weights."""
TASKS: Mapping[str, Callable[[Config, Log], Task]] = {"entities": EntityTask, "relations": RelationTask}
"""Each task by name."""


def train(config: Config, out: Path, log: Log, *, fresh: bool = False) -> Path:
    """Train and publish, together with other processes where a launcher started several.

    Args:
        config: see `twofold.config`.
        out: the model folder; an unfinished training there is resumed.
        log: called with lines of progress.
        fresh: start from scratch even where there is a checkpoint.

    Returns:
        ``out``.

    Raises:
        ConfigError: no training or dev file, an unknown name, or a number out of range.
        TrainingError: a loss, gradient, feature or weight is NaN or infinite, or another process ended.
        DataError: a file cannot be read, a checkpoint there belongs to another training, or another
            training has the same ``out``.
        ModelError: ``out`` holds something that is not a model.
        MissingExtraError: a package with embedded weights is not installed.
    """
    check_limits(config)
    with joined() as processes:
        if not processes.first:
            log = _no_log
        with reserved(out) if processes.first else nullcontext(Path(os.path.realpath(out))) as place:
            _train(config, place, log, fresh, processes)
            processes.wait()  # until the folder is there
    return out


def _no_log(line: str) -> None:
    """The log of a process that is not the first."""


def _train(config: Config, out: Path, log: Log, fresh: bool, processes: Processes) -> None:
    work = Path(f"{out}.{WORK}")
    with processes.first_before_others():
        setup = set_up_training(config, log)
        if fresh and processes.first:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
    if config.model.joint:
        _train_joint(config, setup, out, work, log, processes)
        return
    initial = _load_initial_weights(setup.model, config, log)
    identity = _identity(config, setup)
    rows = Trainer(setup.model, setup.data, config.training, work, identity, log, processes).run()
    if not processes.first:
        return
    average_with(setup.model, initial, config.training.initial_weights_share)
    _publish(config, setup, rows, out, work, log)


def _train_joint(
    config: Config, tagger: TrainingSetup, out: Path, work: Path, log: Log, processes: Processes
) -> None:
    settings = relation_settings(config)
    with processes.first_before_others():
        pairs = set_up_training(settings, log, tagger.model.text)
    initial = _load_initial_weights(tagger.model, config, log)
    _load_initial_weights(pairs.model, settings, log)
    model = JointModel(tagger.model, pairs.model)
    identities = [_identity(own, x) for own, x in ((config, tagger), (settings, pairs))]
    conventions = tagger.conventions
    data = joint_data(
        tagger.data, pairs.data, tagger.model.head.labels, conventions.vector(conventions.default)
    )
    rows = Trainer(model, data, config.training, work, " ".join(identities), log, processes).run()
    if not processes.first:
        return
    average_with(model, initial, config.training.initial_weights_share)
    _publish(config, dataclasses.replace(tagger, model=model), rows, work / "tagger", work, log)
    folder = open_folder(work / "tagger")
    settings = with_tagger(settings, folder.path)
    task = RelationTask(settings, log)
    train_sets, dev_sets = (
        [dataclasses.replace(corpus, posts=task.prepare_posts(corpus.posts)) for corpus in corpora]
        for corpora in (pairs.train_sets, pairs.dev_sets)
    )
    model.relations.__dict__["text"] = TaggerEncoder(folder)
    pairs = dataclasses.replace(pairs, task=task, train_sets=train_sets, dev_sets=dev_sets)
    _publish(settings, pairs, rows, work / "relations", work, log)
    write_combined(folder, open_folder(work / "relations"), out)


def _load_initial_weights(model: MultimodalModel, config: Config, log: Log) -> dict[str, Tensor]:
    path = config.training.initial_weights
    part = "relations." if config.model.task == "relations" else ""  # of a joint model
    return load_initial_weights(model, Path(path), log, part) if path else {}


def _publish(
    config: Config, setup: TrainingSetup, rows: Sequence[Row], out: Path, work: Path, log: Log
) -> None:
    model = setup.model
    parameters = _parameters(model, setup.image)
    merge_adapters(model.text)
    record = TrainingRecord(config, setup.train_sets, setup.dev_sets, setup.unreadable, rows, parameters)
    image = setup.image.cpu() if setup.image else None
    trained = TrainedModel(model.cpu(), image, setup.neighbours, setup.task, setup.conventions)
    publish_model(trained, record, out, work, log)


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """Everything that a training needs before its first step.

    Attributes:
        task: what is learned.
        train_sets: training posts, prepared by the task.
        dev_sets: dev posts, likewise.
        model: untrained.
        image: picture encoder, where the model uses pictures.
        neighbours: nearest neighbours of words, where the model uses them.
        data: examples and features.
        unreadable: "post id: reason" of each picture that could not be read.
        conventions: annotation conventions that the model learns.
    """

    task: Task
    train_sets: list[Corpus]
    dev_sets: list[Corpus]
    model: MultimodalModel
    image: ImageEncoder | None
    neighbours: Neighbours | None
    data: TrainingData
    unreadable: list[str]
    conventions: Conventions


def set_up_training(config: Config, log: Log, text: TextEncoder | None = None) -> TrainingSetup:
    """Read the data, build the model, compute features.

    Arguments and errors are those of `train`, and ``text``: an encoder to share; None to load that of the
    configuration.
    """
    check_limits(config)
    if not config.data.all_train or not config.data.all_dev:
        raise ConfigError("no training or no dev file", where="[data]", expected="train and dev files")
    check_distillation(config)
    device = choose_device(config.training)
    seed_everything(config.training.seed, config.training.threads)
    task = choose(TASKS, config.model.task, "task")(config, log)
    train_sets, dev_sets = (
        [dataclasses.replace(corpus, posts=task.prepare_posts(corpus.posts)) for corpus in corpora]
        for corpora in read_training_data(config.data, task.gold, log)
    )
    posts = [post for corpus in train_sets for post in corpus.posts]
    labels = task.labels(posts)
    text = _text_encoder(config) if text is None else text
    neighbours = load_neighbours(config.model, text, log)
    task.prepare_encoder(text)
    uses_pictures = any(name in VISUAL for name in config.model.modalities)
    image = load_image_encoder(config.model.image_encoder) if uses_pictures else None
    seed_everything(config.training.seed, config.training.threads)
    vectors = neighbours.width if neighbours else 0
    conventions = conventions_of(config.data, config.model.words)
    teachers = open_teachers(config.data.teachers, labels, conventions)
    counts = task.counts(posts, labels)
    model = build_model(config.model, labels, text, image, counts, vectors, conventions.size)
    features = _features(train_sets + dev_sets, image, config, log)
    if image is not None and model.fusion.perturbs_pictures:
        model.fusion.set_blank_pictures(
            _feature_extractor(image, config, log).blank_features(config.model.modalities)
        )
    plain = _training_data(model, task, train_sets, dev_sets, features, config, conventions, teachers, log)
    data = with_neighbours(plain, neighbours)
    if config.training.encoder_lr == 0:
        data = with_precomputed_text(data, text, model.fusion.modalities, device, log)
    return TrainingSetup(
        task, train_sets, dev_sets, model, image, neighbours, data, features.unreadable, conventions
    )


def _text_encoder(config: Config) -> TextEncoder:
    if config.model.text_encoder != TAGGERS_ENCODER:
        return load_text_encoder(config.model.text_encoder)
    tagger, rate = config.model.relations.tagger, config.training.encoder_lr
    if config.model.task != "relations" or not tagger or rate:
        raise ConfigError(
            f"text_encoder {TAGGERS_ENCODER!r} with the task {config.model.task}, the tagger {tagger!r} and "
            f"encoder_lr {rate:g}",
            where="[model]",
            expected="the task relations, a tagger in [model.relations], and encoder_lr = 0",
        )
    return load_tagger_encoder(tagger)


def _parameters(model: MultimodalModel, image: ImageEncoder | None) -> dict[str, int]:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    frozen = sum(p.numel() for p in image.parameters()) if image else 0
    total = sum(size for size, _ in sizes)
    return {"total": total + frozen, "trainable": sum(size for size, trained in sizes if trained)}


def seed_everything(seed: int, threads: int) -> None:
    """Set the seeds of all generators, and the number of CPU threads (0 keeps it)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)


def _features(corpora: Sequence[Corpus], image: ImageEncoder | None, config: Config, log: Log) -> Features:
    posts = [post for corpus in corpora for post in corpus.posts]
    if image is None:
        return no_features(posts)
    features = _feature_extractor(image, config, log).features(posts, config.model.modalities)
    sizes = ", ".join(f"{len(table.counts)} for {name}" for name, table in features.tables.items())
    log(f"pictures: {sizes}; {len(features.unreadable)} unreadable")
    for line in features.unreadable[:20]:
        log(f"  unreadable: {line}")
    return features


def _feature_extractor(image: ImageEncoder, config: Config, log: Log) -> PictureFeatureExtractor:
    cache = FeatureCache(cache_folder(), image.fingerprint)
    return PictureFeatureExtractor(image, cache, choose_device(config.training), log, config.model.max_crops)


def _training_data(
    model: MultimodalModel,
    task: Task,
    train_sets: Sequence[Corpus],
    dev_sets: Sequence[Corpus],
    features: Features,
    config: Config,
    conventions: Conventions,
    teachers: Sequence[ModelFolder],
    log: Log,
) -> TrainingData:
    window = min(config.model.window_pieces, model.text.max_pieces)
    tokenizer = WindowTokenizer(model.text.tokenizer, window, config.model.context_words, model.text.pad_id)
    next_row = 0

    labels = model.head.labels

    def example_maker(corpus: Corpus, posts: Sequence[Post]) -> Callable[[Sequence[Post]], list[Example]]:
        """A function from posts of a corpus to examples; their features are the next rows."""
        nonlocal next_row
        rows = features.rows[next_row : next_row + len(posts)]
        next_row += len(posts)
        convention = conventions.vector(conventions.of_corpus(corpus.convention))

        def allowed(example: Example, post: Post) -> list[int]:
            if corpus.partial:
                return allowed_by_entities(len(example.targets), entities_in(post, example.window), labels)
            return allowed_without_types(example.targets, labels, corpus.unannotated)

        return lambda posts: [
            example._replace(convention=convention, allowed=allowed(example, posts[example.post]))
            for example in task.examples(posts, rows, tokenizer, labels)
        ]

    instances = [task.training_instances(corpus.posts) for corpus in train_sets]
    makers = [example_maker(corpus, posts) for corpus, posts in zip(train_sets, instances, strict=True)]
    dev = {corpus.name: example_maker(corpus, corpus.posts)(corpus.posts) for corpus in dev_sets}
    tables = {name: table for name, table in features.tables.items() if name in model.fusion.modalities}
    options, seed = config.training.augmentation, config.training.seed
    distilled: list[Example] = []
    if teachers:
        unlabelled = read_unlabelled(config.data, log)
        distilled = distilled_examples(unlabelled, teachers, conventions, tokenizer, labels, log)
    augments = options != AugmentationConfig() and config.model.task == "entities"

    def examples(epoch: int | None) -> list[Example]:
        rows = (
            make(posts if epoch is None else augmented(posts, options, seed, epoch))
            for make, posts in zip(makers, instances, strict=True)
        )
        return [*chain.from_iterable(rows), *distilled]

    return TrainingData(examples(None), dev, tables, task.score, augmented=examples if augments else None)


def conventions_of(data: DataConfig, words: WordsConfig) -> Conventions:
    """The conventions of the corpora of a training; none where its data names no corpora.

    Raises:
        ConfigError: the default names no corpus of the data.
    """
    named = {c.name: Convention(c.mentions, c.hashtags, c.name) for c in data.corpora if c.name}
    rules = Conventions(named, Convention(words.mentions, words.hashtags))
    return Conventions(named, rules.choose(words.convention)) if named else rules


def _identity(config: Config, setup: TrainingSetup) -> str:
    """A hash of everything that changes the weights."""
    corpora = setup.train_sets + setup.dev_sets
    plain = asdict(config)
    plain.pop("data")
    for name, files in (
        ("unlabelled", [Path(file) for file in config.data.unlabelled]),
        ("teachers", [tagger_folder(name) / "manifest.json" for name in config.data.teachers]),
    ):
        if files:
            plain[name] = [hashlib.sha256(read_bytes(file)).hexdigest() for file in files]
    if first := config.training.initial_weights:
        plain["training"]["initial_weights"] = hashlib.sha256(read_bytes(Path(first))).hexdigest()
    plain["conventions"] = setup.conventions.to_json()
    plain["corpora"] = [corpus.identity for corpus in corpora]
    plain["types"] = [
        (relation.head.type, relation.tail.type)  # predicted by a tagger, which may have changed
        for corpus in corpora
        for post in corpus.posts
        for relation in post.relations or ()
    ]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
