"""What differs from task to task in a training: the contract that each task meets.

Everything else (reading, features, loop, export, card) is the same for all and knows tasks only by this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from twofold.encoders.text import TextEncoder
from twofold.heads.contract import Head
from twofold.posts import Post
from twofold.preprocessing.word_pieces import Pieces
from twofold.training.dev_scores import Score
from twofold.training.examples import Example

Figures = Mapping[str, Any]


class Task(Protocol):
    """A task, made from the options of a training.

    Attributes:
        gold: field of `Post` that a post must carry to be learned from.
        score: figure of merit by which the epoch is chosen.
    """

    gold: str
    score: Score

    def prepare(self, posts: Sequence[Post]) -> list[Post]:
        """The same posts as they are learned from."""

    def labels(self, posts: Sequence[Post]) -> list[str]:
        """Names of the model's outputs, from the posts of training."""

    def counts(self, posts: Sequence[Post], labels: Sequence[str]) -> list[int]:
        """How often each label was seen, for heads that look at it; [] where none does."""

    def equip(self, text: TextEncoder) -> None:
        """Give the text encoder what posts of this task need."""

    def examples(
        self,
        posts: Sequence[Post],
        rows: Sequence[Mapping[str, int]],
        pieces: Pieces,
        labels: Sequence[str],
    ) -> list[Example]:
        """Examples of posts; ``rows`` are those of `Features`."""

    def lessons(self, posts: Sequence[Post]) -> list[Post]:
        """Posts of training with what may be learned from them beyond their gold; one for one."""

    def describe(self, posts: Sequence[Post]) -> dict[str, Any]:
        """What ``config.json`` says of the task alone, from the posts of training."""

    def write_head(self, head: Head, folder: Path) -> None:
        """Write what a folder needs of the head."""

    def measure(self, folder: Path, dev: Mapping[str, Sequence[Post]], train: Sequence[Post]) -> Figures:
        """Calibrate a written folder on all dev posts, then score each dev file; leaves the folder sealed.

        Returns:
            ``dev``: figures by name of the file, way of counting and kind, ``all`` for all kinds together.
            ``calibration`` and ``calibration_summary``: see `twofold.calibration.write.card_record`.
        """

    def headlines(self, dev: Figures) -> Iterator[str]:
        """A line a dev file that says how good the model is."""
