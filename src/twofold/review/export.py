"""Finished reviews as labelled posts, which `twofold train`, `calibrate` and `data check` read.

Only posts that a reviewer finished are exported: their entities are complete. A post whose reviewers differ
is left out, or takes the result of the reviewer who finished it last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twofold.corpora.confinement import lies_in
from twofold.corpora.convert import to_record
from twofold.errors import DataError
from twofold.files import Input, OutputFile, write_whole
from twofold.posts import Post
from twofold.review.decisions import PostReview, same_result
from twofold.review.store import ReviewStore


@dataclass(slots=True)
class Export:
    """Counts of an export.

    Attributes:
        written: posts. entities: in them. relations: in them, without "None".
        disagreed: posts whose reviewers differ. unfinished: posts that nobody has finished.
        outside: posts written whose picture lies outside the folder of the file, so that readers refuse it
            without ``--allow-outside``.
    """

    written: int = 0
    entities: int = 0
    relations: int = 0
    disagreed: int = 0
    unfinished: int = 0
    outside: int = 0


def labelled_posts(store: ReviewStore, *, last_decides: bool = False) -> Iterator[tuple[Post, bool]]:
    """Each post that a reviewer finished, and whether its reviewers agree.

    Args:
        store: the review.
        last_decides: whether the last reviewer to finish decides where reviewers differ.
    """
    for number, of_post in sorted(store.reviews().items()):
        finished = {name: review for name, review in of_post.items() if review.status == "finished"}
        if not finished:
            continue
        agreed = same_result(list(finished.values()))
        name = next(iter(finished)) if agreed or not last_decides else store.last_finished(number, finished)
        yield _labelled(store, number, finished[name]), agreed


def _labelled(store: ReviewStore, number: int, review: PostReview) -> Post:
    stored = store.post(number)
    # Pairs that the model did not relate were not reviewed: no relations means unknown, not none.
    relations = review.final_relations or None
    return Post(
        id=stored.proposal.id,
        text=stored.proposal.text,
        image=stored.picture,
        alt_text=stored.alt_text,
        entities=review.final_entities,
        relations=relations,
    )


def export(
    store: ReviewStore,
    target: Path | OutputFile,
    *,
    last_decides: bool = False,
    inputs: tuple[Input, ...] = (),
) -> Export:
    """Write the finished posts as JSON Lines; the file appears whole, or not at all if there are no posts.

    Args:
        store: the review.
        target: the file, or an output opened for it.
        last_decides: as in `labelled_posts`.
        inputs: files that must not be the target.

    Raises:
        DataError: the file cannot be written, or there is nothing to write.
    """
    result = Export()
    path = target if isinstance(target, Path) else target.path
    with write_whole(target, lambda: result.written > 0, inputs) as output:
        for post, agreed in labelled_posts(store, last_decides=last_decides):
            if not agreed:
                result.disagreed += 1
            if not agreed and not last_decides:
                continue
            line = json.dumps(to_record(post, path.parent), ensure_ascii=False) + "\n"
            output.write(line.encode("utf-8"))
            result.written += 1
            result.entities += len(post.entities or ())
            result.relations += sum(relation.type != "None" for relation in post.relations or ())
            result.outside += isinstance(post.image, Path) and not lies_in(post.image, path.parent)
    left_out = 0 if last_decides else result.disagreed
    result.unfinished = store.count - result.written - left_out
    if not result.written:
        raise DataError(
            "no post is finished, so there is nothing to export"
            if not left_out
            else f"the reviewers differ on every finished post ({left_out:,})",
            where=str(store.path),
            expected="at least one post that a reviewer has finished"
            + (" with the result of the others" if left_out else ""),
            do="review some posts first" if not left_out else "let the last reviewer decide (--last-decides)",
        )
    return result
