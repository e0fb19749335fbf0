"""``twofold evaluate --pictures``: options, progress, and the figures as lines and as plain data."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twofold.errors import ConfigError
from twofold.evaluation.bootstrap import Interval
from twofold.evaluation.paired_bootstrap import Difference
from twofold.evaluation.trust_report import plain
from twofold.posts import Post
from twofold.robustness.report import OWN, Change, ConditionFigures, Verdict, WitnessReport, witness_report

if TYPE_CHECKING:
    from twofold.pipeline import Extractor
    from twofold.robustness.conditions import Called

_EVERY_S = 15.0
_HOLDS = {True: "holds", False: "DOES NOT HOLD", None: "cannot be told"}


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """Options of the witness stand."""
    group = parser.add_argument_group("sources on the witness stand")
    group.add_argument(
        "--pictures",
        action="store_true",
        help="also read each post with another post's picture, a blank, noisy, blurred, occluded, missing "
        "and corrupt one, and say what that does to predictions and uncertainties",
    )
    group.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="with --pictures: N posts, drawn at random (all that have one)",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="with --pictures: of what is drawn (0)"
    )
    group.add_argument(
        "--hide-alt-text", action="store_true", help="with --pictures: the picture alone, without alt texts"
    )


class WitnessStand:
    """Keeps the posts that have pictures, and examines them at the end.

    Args:
        args: the options above.

    Raises:
        ConfigError: options that want --pictures came without it, or a sample of no posts.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args, self._posts = args, list[Post]()
        self._called: Called | None = None
        self._reports: dict[str, WitnessReport] = {}
        if not args.pictures and (args.sample is not None or args.hide_alt_text):
            raise ConfigError("--sample and --hide-alt-text belong to --pictures", do="add --pictures")
        if args.sample is not None and args.sample < 2:
            raise ConfigError(f"--sample is {args.sample}", expected="2 or more posts, to exchange pictures")

    def add(self, post: Post) -> None:
        """Keep a post, where it is wanted."""
        if self._args.pictures:
            self._posts.append(replace(post, alt_text=None) if self._args.hide_alt_text else post)

    def examine(self, extractor: Extractor, tell: Callable[[str], None]) -> None:
        """Examine the model, where that is wanted; ``tell`` is told how far it is."""
        if not self._args.pictures:
            return
        from twofold.robustness.conditions import call, conditions
        from twofold.robustness.evaluation import examine

        self._called = call(self._posts, self._args.seed, self._args.sample)
        witnesses = self._called.witnesses
        names = conditions([witness.post for witness in witnesses])
        tell(f"pictures: {len(witnesses):,} posts, each under {len(names)} conditions: {', '.join(names)}")
        heard = examine(extractor, witnesses, self._args.batch_size, _Steps(len(witnesses), tell))
        self._reports = {
            name: witness_report(said.stands, said.alike, seed=self._args.seed)
            for name, said in heard.items()
        }

    def record(self) -> dict[str, Any]:
        """For a file."""
        called = self._called
        if called is None:
            return {}
        posts = {
            "witnesses": len(called.witnesses),
            "without_picture": called.without,
            "unreadable": called.unreadable,
            "not_in_sample": called.passed_over,
        }
        options = {"seed": self._args.seed, "alt_text": not self._args.hide_alt_text}
        return {"witness": {"posts": posts, **options, **plain(self._reports)}}

    def lines(self) -> Iterator[str]:
        """For a person to read."""
        called = self._called
        if called is None:
            return
        left = (called.without, called.unreadable, called.passed_over)
        yield f"pictures on the witness stand: {len(called.witnesses)} posts"
        yield "not called: {} without a picture, {} with an unreadable one, {} not in the sample".format(
            *left
        )
        yield "changes are from the own picture; [95 % over posts]; what the figures mean: docs/confidence.md"
        for what, report in self._reports.items():
            yield ""
            yield from _report(what, report)
        yield ""


class _Steps:
    """Says every now and then how many posts are done."""

    def __init__(self, total: int, tell: Callable[[str], None]) -> None:
        self._total, self._tell = total, tell
        self._begin = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._last >= _EVERY_S:
            self._last = now
            left = (now - self._begin) * (self._total - done) / done
            self._tell(f"pictures: {done:,} of {self._total:,} posts, about {left:.0f} s left")


# --- shown -------------------------------------------------------------------------------------------


def _report(what: str, report: WitnessReport) -> Iterator[str]:
    figures = report.conditions
    told = "entities" if what == "entities" else "relations of given pairs"
    yield f"{told}, {report.posts} posts, per cent"
    yield f"{'picture':10} {'F1':>5} {'change':20}  {'strict':8} {'flipped':17} {'own changed':12} its share"
    yield from (f"{name:10} {_outcome(name, figures[name])}" for name in figures)
    yield ""
    yield f"uncertainty of the same {_SAME[what]}, mean over posts, times 1000"
    yield from _uncertainties({name: condition.asked for name, condition in figures.items()})
    yield ""
    yield f"uncertainty of the {what} that are found, times 1000"
    yield from _uncertainties({name: condition.found for name, condition in figures.items()})
    yield ""
    apart = (f"{name} {_percent(value)}" for name, value in report.told_apart.items())
    yield f"AUROC of the picture's own uncertainty, another's against the own: {', '.join(apart)}"
    for verdict in report.verdicts.values():
        yield from _verdict(verdict)


_SAME = {
    "entities": "questions (entities found with the own picture)",
    "relations": "questions (every given pair)",
}


def _outcome(name: str, figures: ConditionFigures) -> str:
    own = "–" if figures.strict_f1 is None else f"{100 * figures.strict_f1:.2f}"
    cells = [f"{'–':20} ", f"{own:8}", f"{'–':17}", f"{'–':12}"]
    if name != OWN:
        strict = figures.strict_f1_change
        cells = [
            f"{_signed(figures.f1_change):20} ",
            f"{'–' if strict is None else f'{100 * strict.value:+.2f}':8}",
            f"{_percent(figures.flipped):17}",
            f"{_number(figures.changed.value):12}",
        ]
    return " ".join([f"{100 * figures.f1:5.2f}", *cells, _number(figures.share.value)])


def _uncertainties(rows: Mapping[str, Mapping[str, Change]]) -> Iterator[str]:
    measures = ("aleatoric", "epistemic", "confidence")
    yield f"{'picture':10} " + " ".join(f"{name:28}" for name in measures) + " posts"
    for name, row in rows.items():
        cells = [
            f"{1000 * row[m].value:.1f}" if name == OWN else _thousandths(row[m].change) for m in measures
        ]
        yield f"{name:10} " + " ".join(f"{cell:28}" for cell in cells) + f" {row['confidence'].posts}"


def _thousandths(change: Interval) -> str:
    if not math.isfinite(change.value):
        return "–"
    value, low, high = (f"{1000 * part:+.2f}" for part in change)
    return f"{value} [{low}, {high}]"


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield f"{_HOLDS[verdict.holds]}: {verdict.claim}"
    yield from (f"    {name:28} {_figure(value)}" for name, value in verdict.figures.items())


def _figure(value: Interval) -> str:
    if not math.isfinite(value.value):
        return "–"
    if not math.isfinite(value.low):
        return f"{100 * value.value:g} % of posts"
    return f"{value.value:+.5f} [{value.low:+.5f}, {value.high:+.5f}]"


def _signed(value: Difference) -> str:
    return f"{100 * value.value:+.2f} [{100 * value.low:+.2f}, {100 * value.high:+.2f}]"


def _percent(value: Interval) -> str:
    return f"{_number(value.value)} [{_number(value.low)}–{_number(value.high)}]"


def _number(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "–"
