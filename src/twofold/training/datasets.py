"""Read the files of a training: their posts, and the records that cannot be read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from twofold.config import DataConfig
from twofold.corpora import open_corpus
from twofold.corpora.annotations import with_arguments, without_marks
from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.corpora.overlap import Digest, text_digest
from twofold.corpora.post_file import name_of
from twofold.corpora.releases import ContentDigest, release_of
from twofold.corpora.results import no_labels
from twofold.errors import DataError
from twofold.posts import Post, Rejected
from twofold.reading import read_bytes
from twofold.synthetic.unmasking import unmasked


@dataclass(frozen=True, slots=True)
class Corpus:
    """One file.

    Attributes:
        name: "folder/file".
        posts: labelled posts.
        rejected: records that could not be read.
        sha256: of the file's bytes.
        release: which known release it is; "" for none.
        convention: name of its annotation convention; "" where it is unknown.
        unannotated: types of the training that it does not annotate: a word outside its entities may belong
            to an entity of such a type.
        partial: whether only some of its entities are annotated; the labels of other words are unknown.
    """

    name: str
    posts: list[Post]
    rejected: list[Rejected]
    sha256: str
    release: str
    convention: str = ""
    unannotated: frozenset[str] = frozenset()
    partial: bool = False

    @property
    def identity(self) -> tuple[str, str, str, list[str], bool]:
        """Everything in it that changes the weights of a model trained on it."""
        digest = ContentDigest()
        for post in self.posts:
            digest.add(post)
        return self.sha256, str(digest), self.convention, sorted(self.unannotated), self.partial


def read_training_data(
    data: DataConfig, gold: str, log: Callable[[str], object]
) -> tuple[list[Corpus], list[Corpus]]:
    """Read training and dev files.

    Training posts are left out where their text, regardless of case, links, mentions and punctuation (see
    `corpora.overlap`), is in a held-out file, or in a dev file of another convention. A training file with
    partial annotation is compared with all dev files. Posts with the text of another dev post stay, and are
    counted in the log.

    Args:
        data: the files.
        gold: field of `Post` with the gold labels.
        log: called with lines on what was read and what was left out.

    Raises:
        DataError: as `read_corpora`; a corpus has entities of a type that is not among its
            ``annotated_types``; or no post of a training file is left.
    """
    train, dev = (read_corpora(files, data, gold) for files in (data.all_train, data.all_dev))
    types = {entity.type for corpus in train for post in corpus.posts for entity in post.entities or ()}
    train = [
        _with_unannotated(corpus, file, data, types)
        for corpus, file in zip(train, data.all_train, strict=True)
    ]
    dev = [
        _with_unannotated(corpus, file, data, types) for corpus, file in zip(dev, data.all_dev, strict=True)
    ]
    evaluated = _digests(post for corpus in dev for post in corpus.posts)
    held_out = _digests(post for file in data.held_out for post in _records(file, data))
    for i, (corpus, file) in enumerate(zip(train, data.all_train, strict=True)):
        _log_read("train", corpus, log)
        others = _digests(
            post for c in dev if corpus.partial or c.convention != corpus.convention for post in c.posts
        )
        kept = [post for post in corpus.posts if text_digest(post.text) not in held_out | others]
        if left_out := len(corpus.posts) - len(kept):
            log(f"  {left_out} left out: their texts are in held-out files or in dev files of another corpus")
        if shared := sum(text_digest(post.text) in evaluated for post in kept):
            log(f"  {shared} have the text of a dev post, which makes the scores on dev too high")
        if not kept:
            raise DataError(
                "all its texts are in held-out files or in dev files of another corpus",
                where=file,
                expected="training posts that are not evaluation posts",
                do="remove it from train, or the other files from dev and held_out",
            )
        if data.corpus_of(file).unmask:
            kept = [unmasked(post) for post in kept]
        train[i] = replace(corpus, posts=kept)
    for corpus in dev:
        _log_read("dev", corpus, log)
    return train, dev


def read_unlabelled(data: DataConfig, log: Callable[[str], object]) -> list[Post]:
    """Posts of ``data.unlabelled`` without labels and pictures; masks become plausible users and links.

    Posts whose text is in a dev or held-out file are left out.

    Args:
        data: the files.
        log: called with lines on what was read and what was left out.

    Raises:
        DataError: a file cannot be read, or no post is left.
    """
    others = _digests(post for file in (*data.all_dev, *data.held_out) for post in _records(file, data))
    posts: list[Post] = []
    for file in data.unlabelled:
        read = [record for record in _records(file, data) if isinstance(record, Post)]
        kept = [post for post in read if text_digest(post.text) not in others]
        log(f"unlabelled: {name_of(Path(file))}, {len(kept)} posts, {len(read) - len(kept)} left out")
        posts += [unmasked(Post(post.id, post.text)) for post in kept]
    if data.unlabelled and not posts:
        raise DataError(
            "no post in it, or only posts of dev and held-out files",
            where=", ".join(data.unlabelled),
            expected="unlabelled posts",
        )
    return posts


def _log_read(part: str, corpus: Corpus, log: Callable[[str], object]) -> None:
    log(f"{part}: {corpus.name}, {len(corpus.posts)} posts, {corpus.release or 'not a known release'}")
    if corpus.rejected:
        log(f"  {len(corpus.rejected)} records rejected, the first: {corpus.rejected[0].reason}")


def _digests(records: Iterable[Post | Rejected]) -> set[Digest | None]:
    """Digests of the texts, without those of texts that normalisation empties."""
    return {text_digest(record.text) for record in records if isinstance(record, Post)} - {None}


def _with_unannotated(corpus: Corpus, file: str, data: DataConfig, types: Set[str]) -> Corpus:
    annotated = data.corpus_of(file).annotated_types
    found = {entity.type for post in corpus.posts for entity in post.entities or ()} - {""}
    if annotated and (wrong := found - set(annotated)):
        raise DataError(
            f"entities of type {', '.join(sorted(wrong))}",
            where=file,
            expected=f"only the annotated_types of its [[data.corpora]]: {', '.join(annotated)}",
            do='add the type there, or map it in types (type = "" drops it)',
        )
    return replace(corpus, unannotated=frozenset(types - set(annotated) if annotated else ()))


def read_corpora(files: Sequence[str], data: DataConfig, gold: str = "entities") -> list[Corpus]:
    """Read labelled files, each with the settings of the corpus that names it.

    Args:
        files: paths.
        data: where pictures and alternative texts are, and the settings of corpora.
        gold: field of `Post` with the gold labels.

    Raises:
        DataError: a file is missing, holds no labelled post, or is named twice.
    """
    if len(set(files)) < len(files):
        raise DataError(f"a file is named twice among {', '.join(files)}", expected="each file once")
    return [_read(file, data, gold) for file in files]


def _read(file: str, data: DataConfig, gold: str) -> Corpus:
    path, read, rejected = Path(file), list[Post](), list[Rejected]()
    rules = data.corpus_of(file)
    partial = file in rules.partial
    for record in _records(file, data):
        if isinstance(record, Rejected):
            rejected.append(record)
        else:
            read.append(record)
    if partial:
        read = [with_arguments(post) for post in merge_posts_of_one_text(read)]
    marks = "@" * (rules.mentions == "name") + "#" * (rules.hashtags == "name") if rules.name else ""
    posts = [
        without_marks(post, marks) if marks else post for post in read if getattr(post, gold) is not None
    ]
    if not posts:
        raise no_labels(file, f"posts with {gold}", "check it with `twofold data check`")
    release = release_of(path)
    named = f"{release.title} {release.split}, {release.labels}" if release else ""
    digest = hashlib.sha256(read_bytes(path)).hexdigest()
    convention = rules.name or (release.dataset if release else "")
    return Corpus(name_of(path), posts, rejected, digest, named, convention, partial=partial)


def _records(file: str, data: DataConfig) -> Iterator[Post | Rejected]:
    rules = data.corpus_of(file)
    return open_corpus(
        file,
        images=Path(data.images) if data.images else None,
        alt_text=Path(data.alt_text) if data.alt_text else None,
        types=rules.types or None,
        merge_mentions=rules.merge_mentions or None,
        allow_outside=data.allow_outside,
    )
