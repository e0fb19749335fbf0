"""Which data was evaluated: file, hash, published release, and counts."""

from __future__ import annotations

from dataclasses import dataclass

from twofold.corpora.post_file import PostFile
from twofold.corpora.releases import md5_of, note_on, release_of, resembles


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What was evaluated.

    Attributes:
        path: the file; None where posts came without one.
        md5: of its bytes.
        release: which published release it is, and whose labels.
        note: that it resembles a release without being it, and what that means.
        posts: labelled posts.
        rejected: records that could not become posts.
        unlabelled: posts without labels of what the model predicts, left out.
    """

    path: str | None
    md5: str | None
    release: str | None
    note: str | None
    posts: int
    rejected: int
    unlabelled: int


def data_facts(
    source: object, *, posts: int, rejected: int, unlabelled: int, tokens: int, gold: int
) -> DataFacts:
    """Facts on a `PostFile`, or on other posts.

    Args:
        source: where the posts came from.
        posts, rejected, unlabelled: see `DataFacts`.
        tokens: of the posts that come in tokens.
        gold: number of gold entities.
    """
    if not isinstance(source, PostFile):
        return DataFacts(None, None, None, None, posts, rejected, unlabelled)
    release = release_of(source.path)
    like = None if release else resembles(posts, tokens)
    return DataFacts(
        path=str(source.path),
        md5=md5_of(source.path),
        release=f"{release.title} {release.split}, {release.labels}" if release else None,
        note=note_on(like, gold) if like else None,
        posts=posts,
        rejected=rejected,
        unlabelled=unlabelled,
    )
