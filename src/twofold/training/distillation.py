"""Knowledge distillation: training examples from what trained taggers predict on unlabelled posts.

The target is the mean of the tag marginals of several teachers (an ensemble; Hinton et al. 2015, "Distilling
the Knowledge in a Neural Network") instead of gold tags. Teachers and student encode a post under the same
annotation convention, one of those that the student learns, chosen by a hash of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from twofold.config import Config
from twofold.conventions import Convention, Conventions
from twofold.crf.batches import padded_batches
from twofold.errors import ConfigError
from twofold.model_folder.folder import ModelFolder, open_folder
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Post
from twofold.preprocessing.word_pieces import WindowTokenizer
from twofold.training.examples import Example, make_examples
from twofold.training.tagger_encoder import tagger_folder

Marginals = NDArray[np.float16]
"""Probabilities (W, K) of tags."""
_GROUP = 2048  # posts at a time


def check_distillation(config: Config) -> None:
    """Check that ``unlabelled`` and ``teachers`` are given together, and for a tagger.

    Raises:
        ConfigError: they are not.
    """
    posts, teachers = len(config.data.unlabelled), len(config.data.teachers)
    if bool(posts) != bool(teachers) or (posts and config.model.task != "entities"):
        raise ConfigError(
            f"{posts} unlabelled files and {teachers} teachers for the task {config.model.task}",
            where="[data]",
            expected="both or neither, for a tagger",
        )


def distilled_examples(
    posts: Sequence[Post],
    teachers: Sequence[ModelFolder],
    conventions: Conventions,
    tokenizer: WindowTokenizer,
    labels: Sequence[str],
    log: Callable[[str], object],
) -> list[Example]:
    """Examples of unlabelled posts with the predictions of the teachers as targets.

    Args:
        posts: their pictures, alternative texts and labels are not used.
        teachers: folders of taggers, see `open_teachers`.
        conventions: those that the student learns.
        tokenizer: of the student.
        labels: the K tags of the student.
        log: called with lines of progress.
    """
    texts = [Post(post.id, post.text) for post in posts]
    learned = list(conventions.named.values()) or [conventions.default]
    chosen = [_choose(post, len(learned)) for post in texts]
    pipelines = [InferencePipeline(folder) for folder in teachers]
    found: dict[int, Marginals] = {}
    for number, convention in enumerate(learned):
        own = [i for i, choice in enumerate(chosen) if choice == number]
        found |= zip(own, _mean([texts[i] for i in own], pipelines, convention, labels), strict=True)
        log(f"unlabelled posts: {len(own)} labelled by {len(teachers)} teachers, {convention}")
    return [
        example._replace(
            marginals=found[example.post][example.window.start : example.window.end],
            convention=conventions.vector(learned[chosen[example.post]]),
        )
        for example in make_examples(texts, [{}] * len(texts), tokenizer, labels)
    ]


def open_teachers(names: Sequence[str], labels: Sequence[str], conventions: Conventions) -> list[ModelFolder]:
    """Open and check the model folders of the teachers.

    Args:
        names: see `tagger_folder`.
        labels: the tags of the student.
        conventions: those that the student learns.

    Raises:
        ModelError: one is not a model folder.
        ConfigError: one has other tags, or does not know the conventions.
    """
    opened = [open_folder(tagger_folder(name)) for name in names]
    for folder in opened:
        config = folder.config
        if set(config.labels) != set(labels):
            raise ConfigError(
                f"its tags are {', '.join(config.labels) or 'none'}",
                where=f"[data] teachers: {folder.path}",
                expected=f"a tagger with the tags {', '.join(labels)}",
            )
        if missing := set(conventions.named) - set(config.conventions.named):
            raise ConfigError(
                f"it does not know the conventions {', '.join(sorted(missing))}",
                where=f"[data] teachers: {folder.path}",
                expected="a tagger trained on corpora of the same names",
            )
    return opened


def _choose(post: Post, count: int) -> int:
    """Number of a convention, 0 to count − 1, from a hash of the post's text."""
    return int.from_bytes(sha256(post.text.encode("utf-8", "surrogatepass")).digest()[:4], "big") % count


def _mean(
    posts: Sequence[Post],
    teachers: Sequence[InferencePipeline],
    convention: Convention,
    labels: Sequence[str],
) -> Iterator[Marginals]:
    """Mean of the teachers' marginals for each post."""
    by_teacher = [_marginals(teacher, posts, convention, labels) for teacher in teachers]
    for row in zip(*by_teacher, strict=True):
        yield np.mean(row, axis=0).astype(np.float16)


def _marginals(
    pipeline: InferencePipeline, posts: Sequence[Post], convention: Convention, labels: Sequence[str]
) -> Iterator[NDArray[np.float64]]:
    pipeline.convention = convention
    order = [pipeline.decoder.labels.index(label) for label in labels]
    for begin in range(0, len(posts), _GROUP):
        emissions = [post.emissions for post in pipeline.encode(posts[begin : begin + _GROUP])]
        found = [np.zeros((len(x), len(labels))) for x in emissions]
        for batch, padded, mask in padded_batches(emissions):
            marginals = pipeline.decoder.tag_marginals(padded, mask)[:, :, order]
            for i, row in zip(batch, marginals, strict=True):
                found[i] = row[: len(emissions[i])]
        yield from found
