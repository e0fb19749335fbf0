"""The report of `extract`: one HTML file, readable without network, other files or its script.

The page does not know whether an entity is right. It shows the confidence and the shares of the modalities,
puts the posts of lowest confidence first, and leaves the decision to the reader.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from twofold.files import OutputFile, write_whole
from twofold.posts import Entity, Extraction, Post, Rejected, Relation
from twofold.report.least_confident import LeastConfidentPosts
from twofold.report.post_view import PostView
from twofold.report.summary import Summary
from twofold.report.templates import load_template, read_asset
from twofold.report.uncertainty_levels import uncertainty_levels
from twofold.version import __version__

POST_LIMIT = 500
"""Posts a report shows at most, so that a browser can open it."""
REJECTED_LIMIT = 200
"""Rejected lines a report shows at most."""
_TYPE_COLOURS = {"PER": 0, "LOC": 1, "ORG": 2, "MISC": 3}
_TYPE_PALETTE = 8
_MODALITY_COLOURS = {"text": 0, "picture": 1, "alt_text": 2}
_MODALITY_PALETTE = 5


def write_report(
    extractions: Iterable[tuple[Post, Extraction]],
    path: Path | OutputFile,
    *,
    model: str,
    symmetric: Collection[str] = (),
    rejected: Sequence[Rejected] = (),
    limit: int = POST_LIMIT,
) -> None:
    """Write one self-contained HTML file.

    Memory does not grow with the number of posts: all are counted, and the ``limit`` of lowest confidence
    are shown, which the page says. The file appears whole or not at all.

    Args:
        extractions: each post with its extraction; consumed as a stream.
        path: file to write, whose folder is created if it is missing, or an output opened for it.
        model: name of the model, for the heading.
        symmetric: types of relations that hold in both directions; they are shown without an arrow.
        rejected: input records that could not become posts. Read after the last extraction, so the list
            may still grow while the stream is consumed.
        limit: maximum number of posts to show.

    Raises:
        DataError: where the file cannot be written.
    """
    summary, least_confident = Summary(), LeastConfidentPosts(limit)
    with write_whole(path, make_folder=True) as output:
        least_confident.collect(extractions, summary)
        for part in _page(summary, least_confident.posts(), model, symmetric, rejected):
            output.write(part.encode("utf-8"))


def _page(
    summary: Summary,
    posts: list[PostView],
    model: str,
    symmetric: Collection[str],
    rejected: Sequence[Rejected],
) -> Iterator[str]:
    script = read_asset("extraction_report.js")
    entities = [entity for post in posts for entity in post.entities]
    relations = [relation for post in posts for relation in post.relations]
    items: list[Entity | Relation] = [*entities, *relations]
    return load_template("extraction_report.html.j2").generate(
        summary=summary,
        posts=posts,
        model=model,
        symmetric=symmetric,
        rejected=rejected[:REJECTED_LIMIT],
        rejected_count=len(rejected),
        type_colours=_colours(_TYPE_COLOURS, summary.entity_types, _TYPE_PALETTE),
        modality_colours=_colours(_MODALITY_COLOURS, summary.modality_shares, _MODALITY_PALETTE),
        entity_levels=uncertainty_levels(entities),
        relation_levels=uncertainty_levels(relations),
        reviewed=any(item.review is not None or item.candidates is not None for item in items),
        multimodal=any(len(item.sources) > 1 for item in items),
        version=__version__,
        style=read_asset("page.css") + read_asset("marks.css") + read_asset("extraction_report.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _colours(known: dict[str, int], present: Iterable[str], palette: int) -> dict[str, int]:
    """A colour of the palette for each name: the known ones keep theirs, others follow in order."""
    numbers = dict(known)
    for name in present:
        numbers.setdefault(name, len(numbers) % palette)
    return numbers
