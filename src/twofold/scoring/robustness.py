"""Robustness of a model to pictures: the same posts with mismatched, blank, perturbed and missing ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from twofold.errors import ConfigError
from twofold.evaluation.trust_report import to_json
from twofold.pipeline.listener import Listener
from twofold.posts import Post
from twofold.robustness.conditions import Sample, conditions, sample_posts
from twofold.robustness.evaluation import evaluate_conditions
from twofold.robustness.report import RobustnessReport, robustness_report

if TYPE_CHECKING:
    from twofold.pipeline.inference_pipeline import InferencePipeline

_LOG_INTERVAL_S = 15.0


@dataclass(frozen=True, slots=True)
class RobustnessOptions:
    """How robustness is evaluated.

    Attributes:
        sample: maximum number of posts, drawn at random from those with a readable picture; None for all.
        seed: seed of the sample, of the mismatched pictures and of the bootstrap.
        hide_alt_text: whether to remove the alt text, so that only the picture supports the text.

    Raises:
        ConfigError: a sample of fewer than two posts.
    """

    sample: int | None = None
    seed: int = 0
    hide_alt_text: bool = False

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 2:
            raise ConfigError(f"--sample is {self.sample}", expected="2 or more posts, to mismatch pictures")


@dataclass(frozen=True, slots=True)
class RobustnessResult:
    """Reports on entities and relations, with the sample and the options they are based on.

    Attributes:
        sample: the posts, and numbers of those left out.
        options: the options of the evaluation.
        reports: by task, ``entities`` and ``relations``.
    """

    sample: Sample
    options: RobustnessOptions
    reports: dict[str, RobustnessReport]

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        posts = {
            "evaluated": len(self.sample.posts),
            "without_picture": self.sample.without_picture,
            "unreadable": self.sample.unreadable,
            "not_in_sample": self.sample.not_in_sample,
        }
        options = {"seed": self.options.seed, "alt_text": not self.options.hide_alt_text}
        return {"posts": posts, **options, **to_json(self.reports)}


def evaluate_robustness(
    pipeline: InferencePipeline,
    posts: Sequence[Post],
    options: RobustnessOptions,
    *,
    types: Mapping[str, str],
    batch_size: int,
    listener: Listener,
) -> RobustnessResult:
    """Predict posts under every condition of their pictures, and compare.

    Args:
        pipeline: the model.
        posts: posts with gold labels.
        options: see `RobustnessOptions`.
        types: new names of types of the predictions; those of the gold are mapped already.
        batch_size: posts whose conditions are predicted together.
        listener: receives progress.

    Raises:
        DataError: there are no two different pictures.
    """
    if options.hide_alt_text:
        posts = [replace(post, alt_text=None) for post in posts]
    sample = sample_posts(posts, options.seed, options.sample)
    names = conditions([item.post for item in sample.posts])
    count = len(sample.posts)
    listener.log(f"robustness: {count:,} posts, each under {len(names)} conditions: {', '.join(names)}")
    found = evaluate_conditions(pipeline, sample.posts, batch_size, _Steps(count, listener), types)
    reports = {
        name: robustness_report(item.conditions, item.same_as_missing, seed=options.seed)
        for name, item in found.items()
    }
    return RobustnessResult(sample, options, reports)


class _Steps:
    """Logs at intervals how many posts are done."""

    def __init__(self, total: int, listener: Listener) -> None:
        self._total, self._listener = total, listener
        self._begin = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._last >= _LOG_INTERVAL_S:
            self._last = now
            left = (now - self._begin) * (self._total - done) / done
            self._listener.log(f"robustness: {done:,} of {self._total:,} posts, about {left:.0f} s left")
