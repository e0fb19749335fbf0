"""Conditions of a post's picture: the original, a mismatched, blank, perturbed, missing or corrupt one.

The text stays the same, and so does the alt text unless it is hidden. Regions (`Post.regions`) belong to the
picture: a mismatched picture brings those of its own post, a perturbed one keeps its regions, blank, corrupt
and missing ones have none. Results depend only on the posts and a seed. This module does not know models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

from twofold.errors import DataError, PictureError
from twofold.posts import Post
from twofold.preprocessing.blank_pictures import blank
from twofold.preprocessing.picture_files import content_hash
from twofold.robustness.condition_results import (
    BLANK,
    CORRUPT,
    MISMATCHED,
    MISSING,
    ORIGINAL,
    TEXT_ONLY,
)
from twofold.robustness.perturbations import PERTURBATIONS, perturb, readable, truncated


class SampledPost(NamedTuple):
    """A post with a readable picture.

    Attributes:
        post: the post.
        other: the post whose picture replaces its own under ``mismatched``; never the same picture.
    """

    post: Post
    other: Post


class Sample(NamedTuple):
    """Posts to evaluate, and numbers of those left out.

    Attributes:
        posts: in the order of the data.
        without_picture: number of posts without a picture.
        unreadable: number of posts whose picture cannot be read.
        not_in_sample: number of posts that were not drawn into the sample.
    """

    posts: list[SampledPost]
    without_picture: int
    unreadable: int
    not_in_sample: int


def sample_posts(posts: Sequence[Post], seed: int = 0, sample: int | None = None) -> Sample:
    """Choose posts, and the mismatched picture of each.

    Args:
        posts: any posts.
        seed: seed of both choices.
        sample: maximum number of posts, drawn from those with readable pictures; None for all.

    Raises:
        DataError: there are no two different pictures.
    """
    pictured = [post for post in posts if post.image is not None]
    keyed = [(post, key) for post in pictured if (key := _key(post)) is not None]
    chosen = keyed
    if sample is not None and sample < len(keyed):
        indices = sorted(Random(f"sample {seed}").sample(range(len(keyed)), sample))
        chosen = [keyed[i] for i in indices]
    others = derangement([key for _, key in chosen], seed)
    sampled = [SampledPost(post, chosen[other][0]) for (post, _), other in zip(chosen, others, strict=True)]
    left_out = len(posts) - len(pictured), len(pictured) - len(keyed), len(keyed) - len(chosen)
    return Sample(sampled, *left_out)


def derangement(keys: Sequence[str], seed: int = 0) -> list[int]:
    """For each item, the index of another one with a different key; each is used once where possible.

    Raises:
        DataError: there are no two different keys.
    """
    random = Random(f"exchange {seed}")
    indices = list(range(len(keys)))
    random.shuffle(indices)
    groups: dict[str, list[int]] = {}
    for i in indices:
        groups.setdefault(keys[i], []).append(i)
    if len(groups) < 2:
        raise DataError(
            f"{len(keys)} posts with a readable picture, {len(groups)} different pictures among them",
            expected="at least two different pictures, to mismatch them",
            do="give the folder of the pictures with --images",
        )
    order = [i for group in groups.values() for i in group]
    largest = max(groups.values(), key=len)
    if 2 * len(largest) > len(order):  # too many equal pictures to use each once
        rest = [i for i in order if keys[i] != keys[largest[0]]]
        return [(rest if key == keys[largest[0]] else largest)[i % len(rest)] for i, key in enumerate(keys)]
    # Equal keys are adjacent, so a shift by the length of the longest run always leads to a different key.
    shifted = dict(zip(order, order[len(largest) :] + order[: len(largest)], strict=True))
    return [shifted[i] for i in range(len(keys))]


def conditions(posts: Sequence[Post]) -> tuple[str, ...]:
    """Names of the conditions for these posts, ``original`` first; ``text_only`` if one has alt text."""
    described = any(post.alt_text for post in posts)
    return (
        ORIGINAL,
        MISMATCHED,
        BLANK,
        *PERTURBATIONS,
        MISSING,
        CORRUPT,
        *((TEXT_ONLY,) if described else ()),
    )


def under_condition(sampled: SampledPost, condition: str) -> Post:
    """A post under a condition.

    Raises:
        PictureError: its picture was readable before and no longer is.
    """
    post = sampled.post
    if condition in PERTURBATIONS and post.image is not None:
        return replace(post, image=perturb(condition, post.image, str(post.id)))
    return _CONDITIONS[condition](sampled)


def _without_picture(sampled: SampledPost) -> Post:
    return replace(sampled.post, image=None, regions=None)


def _truncated(sampled: SampledPost) -> Post:
    image = sampled.post.image
    return replace(sampled.post, image=truncated(image) if image is not None else None, regions=None)


_CONDITIONS: dict[str, Callable[[SampledPost], Post]] = {
    ORIGINAL: lambda sampled: sampled.post,
    MISMATCHED: lambda sampled: replace(
        sampled.post, image=sampled.other.image, regions=sampled.other.regions
    ),
    BLANK: lambda sampled: replace(sampled.post, image=blank(), regions=None),
    MISSING: _without_picture,
    CORRUPT: _truncated,
    TEXT_ONLY: lambda sampled: replace(_without_picture(sampled), alt_text=None),
}


def _key(post: Post) -> str | None:
    """Hash of a picture's content; None where it cannot be read."""
    if post.image is None or not readable(post.image):
        return None
    try:
        return content_hash(post.image)
    except PictureError:
        return None
