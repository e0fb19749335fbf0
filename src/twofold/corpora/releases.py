"""Known releases of the public corpora, recognised by the MD5 of the file.

MD5 identifies a file here; it does not protect against deliberate changes. It reads no posts, but computes a
digest of posts read elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from twofold.posts import Post
from twofold.reading import open_file, real_path

_MAX_BYTES = 32 * 1024 * 1024  # every known file is far smaller
_TITLES = {
    "twitter2015": ("Twitter-2015", "the original labels (UMT release)"),
    "twitter2017": ("Twitter-2017", "the labels of the UMT release"),
    "mnre": ("MNRE", "version 2"),
    "wnut17": ("WNUT-17", "emerging entities, six types"),
    "btc": ("Broad Twitter Corpus", "PER, LOC and ORG"),
    "tweebank": ("Tweebank-NER", "version 1.0"),
}


@dataclass(frozen=True, slots=True)
class Release:
    """One file of a known release.

    Attributes:
        md5: of the file as released.
        dataset: short name, as in picture and alt-text tables.
        title: name for people to read.
        split: train, valid or test.
        labels: which version of the labels it carries.
        posts: posts (relation instances for MNRE, sentences for WNUT-17).
        entities: spans by lenient counting; None for relation data.
        tokens: number of tokens; None if the file was not available.
        content: digest of texts and entities, see `ContentDigest`; None if the file was not available.
    """

    md5: str
    dataset: str
    title: str
    split: str
    labels: str
    posts: int
    entities: int | None = None
    tokens: int | None = None
    content: str | None = None


def _release(
    dataset: str,
    split: str,
    md5: str,
    posts: int,
    entities: int | None = None,
    tokens: int | None = None,
    content: str | None = None,
) -> Release:
    title, labels = _TITLES[dataset]
    return Release(md5, dataset, title, split, labels, posts, entities, tokens, content)


class ContentDigest:
    """Digest of the texts and entities of posts in their order, the same in every format that holds them.

    Attributes:
        posts: number of posts so far. tokens: tokens of those that are tokenized. entities: their entities.
    """

    def __init__(self) -> None:
        self._digest = hashlib.md5(usedforsecurity=False)
        self.posts = self.tokens = self.entities = 0

    def add(self, post: Post) -> None:
        """Add the next post."""
        spans = [(entity.start, entity.end, entity.type) for entity in post.entities or ()]
        self.posts += 1
        self.tokens += len(post.tokens or ())
        self.entities += len(spans)
        self._digest.update(f"{post.text}\n{spans}\n".encode("utf-8", "surrogatepass"))

    def __str__(self) -> str:
        return self._digest.hexdigest()


RELEASES = (
    _release(
        "twitter2015",
        "train",
        "4dac4b9635d85f13b6e6a49dbfedd473",
        4000,
        6352,
        64439,
        content="c7db628a5c5e1bf1c3713ccf6d7e1177",
    ),
    _release(
        "twitter2015",
        "valid",
        "17dfa4e7af64fba89c1bb6a7eaca2781",
        1000,
        1594,
        16178,
        content="8d1fecbd4b0e8089e83cc9d32dc2ada0",
    ),
    _release("twitter2015", "test", "b9a4d75baa76cb7311bd440fd6215524", 3257, 5207),
    _release(
        "twitter2017",
        "train",
        "aa48e6b5b55de94e4254835f75955a6e",
        3373,
        6049,
        53007,
        content="50a29a094463b065ec433ad7b6484583",
    ),
    _release(
        "twitter2017",
        "valid",
        "5404c00d469f24da4dcd9bd99fe44b71",
        723,
        1324,
        11309,
        content="8516134259b5f962e047e0513c13df79",
    ),
    _release(
        "twitter2017",
        "test",
        "11ae49ea798f605fee58cdfe219b6196",
        723,
        1351,
        11330,
        content="2414ec9e77324a7ed0998411f2fd3133",
    ),
    _release("mnre", "train", "9243445779149af4f3ca87cf3c7520fb", 12247),
    _release("mnre", "valid", "c821120cab8885e1f157ae80e13c77e7", 1624),
    _release("mnre", "test", "752689de8750aa04d6b30bae72ee1319", 1614),
    _release(
        "wnut17",
        "train",
        "c213127d9438fb2c64fe0fabe8644489",
        3394,
        content="14d2efecbad9ef720730d65a7665ed79",
    ),
    _release(
        "wnut17",
        "valid",
        "29ad3845ac26a060fa3eecce3eb6c0fb",
        1009,
        content="3ad54c2b07459de4724691a6e9942ccf",
    ),
    _release(
        "wnut17", "test", "811aac4001facfa08a1b56ee0a9c094a", 1287, content="d1b083fba19780ea0798dd9f50dd114c"
    ),
    _release(
        "btc", "train", "0e0d49001bc36b59d31ba6021cb26747", 6338, content="eb44c48fdc3c61037f4554286f2ee6bf"
    ),
    _release(
        "btc", "valid", "b7ac1208e672619721993992f3436997", 1001, content="54ab36328d22dc206f2eb78c129cadf0"
    ),
    _release(
        "tweebank",
        "train",
        "d7b463d90d0eb0410812a3f4bb9de747",
        1639,
        content="97edfdf22a28e872b6fe0d489dff42b0",
    ),
    _release(
        "tweebank",
        "valid",
        "5e8844104ad3ff65cb83284e0969ea3d",
        710,
        content="9d95310ccf0ebe655acb55bcc0092b89",
    ),
)
"""Twitter: jefferyYu/UMT; MNRE: thecharm/MNRE; WNUT-17: leondz/emerging_entities_17;
Broad Twitter Corpus: GateNLP/broad_twitter_corpus (sections A, B, E, G and half of H; the other half of H for
dev); Tweebank-NER: mit-ccc/TweebankNLP."""

_BY_MD5 = {release.md5: release for release in RELEASES}


def md5_of(path: Path) -> str:
    """MD5 of a file's bytes, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with open_file(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def release_of(path: Path) -> Release | None:
    """The known release with exactly the bytes of this file; None if there is none."""
    return _BY_MD5.get(md5_of(path)) if path.stat().st_size <= _MAX_BYTES else None


def dataset_of(path: Path, release: Release | None) -> str:
    """Short name of the data set: of the release, else of the folder ("Twitter-2015" → twitter2015)."""
    return release.dataset if release else re.sub(r"[^a-z0-9]", "", real_path(path).parent.name.lower())


def same_content(content: str) -> Release | None:
    """The release with this digest of texts and entities, in a file of any bytes; None if there is none."""
    return next((release for release in RELEASES if release.content == content), None)


def resembles(posts: int, tokens: int) -> Release | None:
    """The Twitter release of the size of a file with another hash, which is probably a changed copy of it.

    Args:
        posts: posts in the file.
        tokens: tokens in the file; of several releases with as many posts, the nearest in tokens is taken.
    """
    near = [
        (abs((release.tokens or tokens) - tokens), release)
        for release in RELEASES
        if release.entities is not None and release.posts == posts
    ]
    distance, release = min(near, key=lambda pair: pair[0], default=(0, None))
    return release if release and distance <= (release.tokens or tokens) // 50 else None


def note_of(content: ContentDigest) -> str:
    """Note on the origin of posts in a file that is not a known release; may be empty."""
    same = same_content(str(content))
    if same is not None:
        return note_on_copy(same)
    similar = resembles(content.posts, content.tokens)
    return note_on(similar, content.entities) if similar else ""


def note_on_copy(release: Release) -> str:
    """Note on a file that has the posts of a release but other bytes."""
    return f"the texts and entities of {release.title} {release.split}, {release.labels}, in another file"


def note_on(release: Release, entities: int) -> str:
    """Note on a file that resembles a release but is not one."""
    count = f"{entities} entities, the original has {release.entities}"
    note = f"as many posts as {release.title} {release.split}, but another hash ({count})"
    if release.dataset != "twitter2015":
        return f"{note}: a changed copy; scores on it are not comparable with the original's"
    return (
        f"{note}: a changed copy. A relabelled Twitter-2015 is in circulation (with HVPNeT's release); "
        "scores on it are not comparable with the original's. This check cannot tell which copy yours is"
    )
