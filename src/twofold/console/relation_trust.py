"""Trust reports of relations as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twofold.console.trust import trust_lines
from twofold.evaluation.trust_report import ALL
from twofold.scoring.relation_trust import RelationTrustReport


def relation_trust_lines(reports: Sequence[RelationTrustReport]) -> Iterator[str]:
    """Every report, with an empty line after each."""
    for item in reports:
        yield from trust_lines(item.report, item.title, [ALL])
        if item.not_annotated:
            yield f"not scored: {item.not_annotated} more, whose pairs are not annotated"
        yield ""
