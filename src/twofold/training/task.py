"""What differs between tasks in a training: the interface that each task implements.

Everything else (reading, features, loop, export, card) is the same for all tasks and uses them only through
this interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from twofold.conventions import Convention
from twofold.encoders.text import TextEncoder
from twofold.heads.contract import Head
from twofold.posts import Post
from twofold.preprocessing.word_pieces import WindowTokenizer
from twofold.training.dev_scores import Score
from twofold.training.examples import Example

Metrics = Mapping[str, Any]
DevConventions = Mapping[str, Convention]


class Task(Protocol):
    """A task, made from the configuration of a training.

    Attributes:
        gold: field of `Post` with the gold labels.
        score: metric by which the best epoch is chosen.
    """

    gold: str
    score: Score

    def prepare_posts(self, posts: Sequence[Post]) -> list[Post]:
        """The posts as the model will see them, in training and on dev."""

    def labels(self, posts: Sequence[Post]) -> list[str]:
        """Names of the model's outputs, from the posts of training."""

    def counts(self, posts: Sequence[Post], labels: Sequence[str]) -> list[int]:
        """Number of training examples of each label, for heads that use it; [] where none does."""

    def prepare_encoder(self, text: TextEncoder) -> None:
        """Prepare the text encoder for this task: add its marker tokens."""

    def examples(
        self,
        posts: Sequence[Post],
        rows: Sequence[Mapping[str, int]],
        tokenizer: WindowTokenizer,
        labels: Sequence[str],
    ) -> list[Example]:
        """Examples of posts; ``rows`` are those of `Features`."""

    def training_instances(self, posts: Sequence[Post]) -> list[Post]:
        """Posts of training with all instances to learn from, one post for each post given."""

    def describe(self, posts: Sequence[Post]) -> dict[str, Any]:
        """Entries of ``config.json`` that only this task has, from the posts of training."""

    def write_head(self, head: Head, folder: Path) -> None:
        """Write the files that a model folder needs of the head."""

    def measure(
        self,
        folder: Path,
        dev: Mapping[str, Sequence[Post]],
        train: Sequence[Post],
        conventions: DevConventions,
    ) -> Metrics:
        """Calibrate a written folder on all dev posts, then score each dev file; the manifest is written.

        Args:
            folder: a model folder.
            dev: posts by the name of their file.
            train: posts of training.
            conventions: annotation convention of each dev file by its name.

        Returns:
            ``dev``: metrics by name of the file, matching rule and type, ``all`` for all types together.
            ``calibration`` and ``calibration_summary``: see `twofold.calibration.write.card_record`.
        """

    def headlines(self, dev: Metrics) -> Iterator[str]:
        """One line of scores for each dev file."""
