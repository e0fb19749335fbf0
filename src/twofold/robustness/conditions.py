"""The conditions that a post is read under: with its own picture, with a wrong one, a spoiled one, with none.

Text and, unless hidden, alt text stay. What was found in a picture beforehand (`Post.regions`) goes with the
picture: another post's has that post's, a spoiled one keeps its own, where there is nothing to be seen there
is none. All is fixed by a seed and the posts. It does not know models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

from twofold.errors import DataError, PictureError
from twofold.posts import Post
from twofold.preprocessing.blank_pictures import blank
from twofold.preprocessing.images import content_hash
from twofold.robustness.perturbations import SPOILED, readable, spoiled, torn

OWN, SWAPPED, BLANK, MISSING, CORRUPT, TEXT = "own", "swapped", "blank", "missing", "corrupt", "text"


class Witness(NamedTuple):
    """A post with a picture that can be read.

    Attributes:
        post: the post.
        other: the post whose picture it gets in exchange; never of the same content.
    """

    post: Post
    other: Post


class Called(NamedTuple):
    """Posts called to the stand, and why the others were not.

    Attributes:
        witnesses: in the order of their posts.
        without: posts that have no picture.
        unreadable: posts whose own picture cannot be read.
        passed_over: posts that were not drawn into the sample.
    """

    witnesses: list[Witness]
    without: int
    unreadable: int
    passed_over: int


def call(posts: Sequence[Post], seed: int = 0, sample: int | None = None) -> Called:
    """Choose posts and who exchanges pictures with whom.

    Args:
        posts: any.
        seed: of the exchange, and of the sample.
        sample: posts to choose at most, drawn from those whose pictures can be read; None for all.

    Raises:
        DataError: no two different pictures are there to be exchanged.
    """
    pictured = [post for post in posts if post.image is not None]
    seen = [(post, key) for post in pictured if (key := _key(post)) is not None]
    chosen = seen
    if sample is not None and sample < len(seen):
        numbers = sorted(Random(f"sample {seed}").sample(range(len(seen)), sample))
        chosen = [seen[i] for i in numbers]
    others = derangement([key for _, key in chosen], seed)
    witnesses = [Witness(post, chosen[other][0]) for (post, _), other in zip(chosen, others, strict=True)]
    left = len(posts) - len(pictured), len(pictured) - len(seen), len(seen) - len(chosen)
    return Called(witnesses, *left)


def derangement(keys: Sequence[str], seed: int = 0) -> list[int]:
    """For each item the number of another whose key is a different one; each is taken once where that can be.

    Raises:
        DataError: there are no two different keys.
    """
    random = Random(f"exchange {seed}")
    numbers = list(range(len(keys)))
    random.shuffle(numbers)
    groups: dict[str, list[int]] = {}
    for i in numbers:
        groups.setdefault(keys[i], []).append(i)
    if len(groups) < 2:
        raise DataError(
            f"{len(keys)} posts with a picture that can be read, {len(groups)} of them different",
            expected="two different pictures at least, to exchange",
            do="give the folder of the pictures with --images",
        )
    line = [i for group in groups.values() for i in group]
    largest = max(groups.values(), key=len)
    if 2 * len(largest) > len(line):  # too many of one kind for all to be exchanged one to one
        rest = [i for i in line if keys[i] != keys[largest[0]]]
        return [(rest if key == keys[largest[0]] else largest)[i % len(rest)] for i, key in enumerate(keys)]
    # Equal ones lie together, so that as many places on as the longest run, there is always another.
    to = dict(zip(line, line[len(largest) :] + line[: len(largest)], strict=True))
    return [to[i] for i in range(len(keys))]


def conditions(posts: Sequence[Post]) -> tuple[str, ...]:
    """Names of the conditions for these posts, ``own`` first; ``text`` only where any has an alt text."""
    described = any(post.alt_text for post in posts)
    return (OWN, SWAPPED, BLANK, *SPOILED, MISSING, CORRUPT, *((TEXT,) if described else ()))


def placed(witness: Witness, condition: str) -> Post:
    """A post under a condition.

    Raises:
        PictureError: its picture could be read before and can no longer.
    """
    post = witness.post
    if condition in SPOILED and post.image is not None:
        return replace(post, image=spoiled(condition, post.image, str(post.id)))
    return _PLACED[condition](witness)


def _bare(witness: Witness) -> Post:
    return replace(witness.post, image=None, regions=None)


def _torn(witness: Witness) -> Post:
    image = witness.post.image
    return replace(witness.post, image=torn(image) if image is not None else None, regions=None)


_PLACED: dict[str, Callable[[Witness], Post]] = {
    OWN: lambda witness: witness.post,
    SWAPPED: lambda witness: replace(witness.post, image=witness.other.image, regions=witness.other.regions),
    BLANK: lambda witness: replace(witness.post, image=blank(), regions=None),
    MISSING: _bare,
    CORRUPT: _torn,
    TEXT: lambda witness: replace(_bare(witness), alt_text=None),
}


def _key(post: Post) -> str | None:
    """Hash of a picture's content; None where it cannot be read."""
    if post.image is None or not readable(post.image):
        return None
    try:
        return content_hash(post.image)
    except PictureError:
        return None
