"""Write the report: one HTML file that needs no network, no other file, and no script to be read.

What the page does not know: whether an entity is right. It shows how sure the model was and why, puts
the least sure first, and leaves the judgement to the reader.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import twofold
from twofold.files import OutputFile
from twofold.posts import Entity, Extraction, Post, Rejected, Relation
from twofold.report.least_confident import LeastConfidentPosts
from twofold.report.post_view import PostView
from twofold.report.summary import Summary
from twofold.report.templates import asset, page_output, template

POST_LIMIT = 500
"""Posts a report shows; a browser must still open it."""
REJECTED_LIMIT = 200
"""Rejected lines a report shows."""
_TYPES = {"PER": 0, "LOC": 1, "ORG": 2, "MISC": 3}
_TYPE_COLOURS = 8
_SOURCES = {"text": 0, "picture": 1, "alt_text": 2}
_SOURCE_COLOURS = 5


def write_report(
    extractions: Iterable[tuple[Post, Extraction]],
    path: Path | OutputFile,
    *,
    model: str,
    rejected: Sequence[Rejected] = (),
    limit: int = POST_LIMIT,
) -> None:
    """Write one self-contained HTML file.

    Memory does not grow with the number of posts: all are counted, and the ``limit`` that need a
    person's eye most (lowest confidence first) are shown, which the page says. The file appears whole or
    not at all.

    Args:
        extractions: each post with what was found in it; consumed as a stream.
        path: file to write, whose folder is made where it is absent, or an output opened for it.
        model: name of the model, for the heading.
        rejected: input records that could not become posts. Looked at after the last extraction, so a
            list that is still filling while the stream is read is welcome.
        limit: posts to show, at most.

    Raises:
        DataError: where the file cannot be written.
    """
    summary, least_confident = Summary(), LeastConfidentPosts(limit)
    with page_output(path) as output:
        least_confident.fill(extractions, summary)
        for part in _page(summary, least_confident.posts(), model, rejected):
            output.write(part.encode("utf-8"))


def _page(summary: Summary, posts: list[PostView], model: str, rejected: Sequence[Rejected]) -> Iterator[str]:
    script = asset("extraction_report.js")
    types = _numbered(_TYPES, summary.types, _TYPE_COLOURS)
    sources = _numbered(_SOURCES, summary.shares, _SOURCE_COLOURS)
    return template("extraction_report.html.j2").generate(
        summary=summary,
        posts=posts,
        model=model,
        rejected=rejected[:REJECTED_LIMIT],
        rejected_count=len(rejected),
        types=types,
        sources=sources,
        scale=_scales(e for post in posts for e in post.entities),
        link_scale=_scales(r for post in posts for r in post.relations),
        limited=any(_limited(post) for post in posts),
        version=twofold.__version__,
        style=asset("page.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _limited(post: PostView) -> bool:
    """Whether anything in it was measured against a limit, or has a set."""
    items: tuple[Entity | Relation, ...] = (*post.entities, *post.relations)
    return any(item.review is not None or item.candidates is not None for item in items)


def _numbered(known: dict[str, int], present: Iterable[str], colours: int) -> dict[str, int]:
    """A number of the palette for each name: the known ones keep theirs, others follow in order."""
    numbers = dict(known)
    for name in present:
        numbers.setdefault(name, len(numbers) % colours)
    return numbers


def _scales(items: Iterable[Entity | Relation]) -> dict[str, float]:
    """What a full bar of each uncertainty stands for: the 95th percentile of those shown.

    The values have no natural upper end, and one outlier must not flatten all other bars. Entities and
    relations come from two models, whose values do not compare.
    """
    known = [item.uncertainty for item in items if item.uncertainty is not None]
    return {
        "aleatoric": _percentile([u.aleatoric for u in known]),
        "epistemic": _percentile([u.epistemic for u in known]),
    }


def _percentile(values: list[float]) -> float:
    return max(sorted(values)[int(0.95 * (len(values) - 1))], 1e-9) if values else 1.0
