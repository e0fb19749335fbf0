"""Which data was evaluated: file, hash, published release, and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twofold.corpora.post_file import PostFile
from twofold.corpora.releases import ContentDigest, md5_of, note_of, release_of


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What was evaluated.

    Attributes:
        path: the file; None where the posts are not from a file.
        md5: MD5 of its bytes.
        release: the published release that it is, and the source of its labels.
        note: whether it resembles a release without being it, and what that means.
        posts: number of labelled posts.
        rejected: number of records that are not valid posts.
        unlabelled: number of posts without labels of what the model predicts, left out.
        types: new names of entity types, of gold and predictions; "" for a dropped type.
    """

    path: str | None
    md5: str | None
    release: str | None
    note: str | None
    posts: int
    rejected: int
    unlabelled: int
    types: Mapping[str, str] = field(default_factory=dict)


def data_facts(
    source: object,
    *,
    content: ContentDigest,
    posts: int,
    rejected: int,
    unlabelled: int,
    types: Mapping[str, str],
) -> DataFacts:
    """Facts about a `PostFile`, or about other posts.

    Args:
        source: where the posts came from.
        content: digest of the labelled posts, as they were read.
        posts, rejected, unlabelled, types: see `DataFacts`.
    """
    if not isinstance(source, PostFile):
        return DataFacts(None, None, None, None, posts, rejected, unlabelled, types)
    release = release_of(source.path)
    return DataFacts(
        path=str(source.path),
        md5=md5_of(source.path),
        release=f"{release.title} {release.split}, {release.labels}" if release else None,
        note=None if release else note_of(content) or None,
        posts=posts,
        rejected=rejected,
        unlabelled=unlabelled,
        types=types,
    )
