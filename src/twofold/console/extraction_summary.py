"""Reports an extraction: warnings as they occur, and one line of counts at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from twofold.batch.counts import Counts
from twofold.console.outputs import RejectLog
from twofold.console.progress import Progress
from twofold.console.text import counted
from twofold.posts import Extraction, Post

_NAMED = 20
"""Number of warnings, such as unreadable pictures, printed on stderr; the others are counted."""


@dataclass
class WarningLog:
    """Prints the first warnings, and at the end how many more there were.

    Attributes:
        log: prints a message.
        shown: number of printed warnings.
    """

    log: Callable[[str], None]
    shown: int = 0

    def add(self, warnings: Sequence[str]) -> None:
        """Print some warnings, up to the limit."""
        for warning in warnings[: max(0, _NAMED - self.shown)]:
            self.shown += 1
            self.log(warning)

    def end(self, total: int) -> None:
        """Print how many of all warnings were not shown."""
        if total > self.shown:
            self.log(f"and {total - self.shown:,} more such warnings; see the picture status in the output")


@dataclass
class ExtractionSummary:
    """Counts what was extracted, and prints warnings.

    Attributes:
        progress: prints the warnings.
        rejected: the rejected lines.
    """

    progress: Progress
    rejected: RejectLog
    _counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._warnings = WarningLog(self.progress.log)

    @property
    def counts(self) -> Counts:
        """The counts so far."""
        return dataclasses.replace(self._counts, rejected=len(self.rejected))

    def add(self, post: Post, extraction: Extraction) -> None:
        """Count one post and what was extracted from it."""
        self._warnings.add(self._counts.add(post, extraction))
        self.progress.step(post)

    def end(self) -> None:
        """Print how many warnings were not shown."""
        self._warnings.end(self._counts.warnings)


def summary_line(
    counts: Counts,
    seconds: float,
    places: Sequence[object],
    *,
    related: bool,
    reviewed: bool,
    relations_reviewed: bool,
) -> str:
    """All counts in one line.

    Args:
        counts: of the run.
        seconds: duration of the run.
        places: files or folders that were written.
        related: whether relations were extracted, too.
        reviewed: whether entities were marked for review.
        relations_reviewed: whether relations were marked for review.
    """
    parts = (
        counted(counts.posts, "post"),
        counted(counts.entities, "entity"),
        *_to_review(counts.review, reviewed),
        *([counted(counts.relations, "relation")] if related else []),
        *_to_review(counts.relations_to_review, relations_reviewed and related),
        f"{counted(counts.unreadable, 'picture')} unreadable",
        f"{counted(counts.rejected, 'line')} rejected",
    )
    where = f" -> {', '.join(map(str, places))}" if places else ""
    return f"{', '.join(parts)}; {seconds:.1f} s{where}"


def _to_review(number: int, wanted: bool) -> list[str]:
    return [f"{number:,} of them marked for review"] if wanted else []
