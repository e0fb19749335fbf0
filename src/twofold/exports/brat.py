"""Writes a folder for brat: a ``.txt`` and an ``.ann`` for each post, and their ``annotation.conf``.

Offsets count code points, as in brat. Confidences are in notes. ``index.tsv`` maps files to ids of posts.
Names of types keep only letters, digits, "-" and "_", the only characters that brat allows.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from twofold.corpora.convert import Conversion
from twofold.errors import DataError
from twofold.exports.annotated import Annotated
from twofold.locks import lock_place
from twofold.posts import Entity, Post, Rejected, Relation

CONFIG = "annotation.conf"
INDEX = "index.tsv"


def write_brat(items: Iterable[Annotated | Rejected], target: Path) -> Conversion:
    """Write the folder; it appears whole, or not at all if there is nothing to write.

    Args:
        items: what to write; rejected records are counted.
        target: a new folder.

    Raises:
        DataError: the folder already exists, or cannot be written.
    """
    if target.exists():
        raise DataError("already exists", where=str(target), expected="a new folder")
    result = Conversion()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock_place(target):
            _write_whole(items, target, result)
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror}",
            where=str(target),
            expected="a folder inside a writable one",
        ) from error
    return result


def _write_whole(items: Iterable[Annotated | Rejected], target: Path, result: Conversion) -> None:
    part = target.with_name(f".{target.name[:100]}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        _write(items, part, result)
        if result.written:
            part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(items: Iterable[Annotated | Rejected], folder: Path, result: Conversion) -> None:
    types, relations = dict[str, None](), dict[str, None]()
    with (folder / INDEX).open("w", encoding="utf-8", newline="\n") as index:
        index.write("file\tid\n")
        for item in items:
            if isinstance(item, Rejected):
                result.rejected.append(item)
                continue
            result.written += 1
            name, post = f"{result.written:06d}", item.post
            index.write(f"{name}\t{json.dumps(post.id)}\n")
            (folder / f"{name}.txt").write_bytes(post.text.encode("utf-8"))
            (folder / f"{name}.ann").write_bytes("".join(annotation_lines(post)).encode("utf-8"))
            types |= dict.fromkeys(brat_name(entity.type) for entity in post.entities or ())
            relations |= dict.fromkeys(brat_name(relation.type) for relation in post.relations or ())
            _count_losses(post, result)
    arguments = "Arg1:<ENTITY>, Arg2:<ENTITY>"
    config = ["[entities]", *types, "[relations]", *(f"{name}\t{arguments}" for name in relations)]
    config += ["[events]", "[attributes]", ""]
    (folder / CONFIG).write_text("\n".join(config), encoding="utf-8", newline="\n")


def _count_losses(post: Post, result: Conversion) -> None:
    if post.image is not None or post.picture_name:
        result.losses["pictures"] += 1
    if empty := sum(not _holds_words(entity) for entity in post.entities or ()):
        result.losses["entities that consist of line ends only"] += empty
    kept = {_key(entity) for entity in post.entities or () if _holds_words(entity)}
    if lost := sum(not _joins(relation, kept) for relation in post.relations or ()):
        result.losses["relations between spans that are not entities"] += lost
    names = [x.type for x in post.entities or ()] + [x.type for x in post.relations or ()]
    if altered := sum(brat_name(name) != name for name in names):
        result.losses["names of types with characters other than letters, digits, - and _"] += altered


def annotation_lines(post: Post) -> Iterator[str]:
    """Lines of the ``.ann`` file of a post."""
    entities = [entity for entity in post.entities or () if _holds_words(entity)]
    numbers = {_key(entity): f"T{i}" for i, entity in reversed([*enumerate(entities, start=1)])}
    notes = 0
    for i, entity in enumerate(entities, start=1):
        number = f"T{i}"
        offsets, words = _parts(entity)
        yield f"{number}\t{brat_name(entity.type)} {offsets}\t{words}\n"
        if entity.confidence is not None:
            notes += 1
            yield _note(notes, number, entity.confidence)
    for i, relation in enumerate(_between_entities(post, numbers), start=1):
        head, tail = numbers[_key(relation.head)], numbers[_key(relation.tail)]
        yield f"R{i}\t{brat_name(relation.type)} Arg1:{head} Arg2:{tail}\n"
        if relation.confidence is not None:
            notes += 1
            yield _note(notes, f"R{i}", relation.confidence)


def _between_entities(post: Post, numbers: dict[tuple[int, int], str]) -> Iterator[Relation]:
    for relation in post.relations or ():
        if _joins(relation, numbers.keys()):
            yield relation


def _joins(relation: Relation, spans: Collection[tuple[int, int]]) -> bool:
    return _key(relation.head) in spans and _key(relation.tail) in spans


def _holds_words(entity: Entity) -> bool:
    """Whether brat can represent the entity: a span of line ends only is empty there."""
    return not set(entity.text) <= set("\r\n")


def _parts(entity: Entity) -> tuple[str, str]:
    """Offsets and words of a span, which brat requires to be split at line ends."""
    parts = [(m.start() + entity.start, m.group()) for m in re.finditer(r"[^\n\r]+", entity.text)]
    offsets = ";".join(f"{start} {start + len(words)}" for start, words in parts)
    return offsets, " ".join(words for _, words in parts)


def _note(number: int, of: str, confidence: float) -> str:
    return f"#{number}\tAnnotatorNotes {of}\tconfidence {confidence:.3f}\n"


def brat_name(name: str) -> str:
    """A type name that brat allows: ``per_org_member_of`` for ``/per/org/member_of``."""
    return re.sub(r"[^\w-]+", "_", name, flags=re.ASCII).strip("_") or "type"


def _key(entity: Entity) -> tuple[int, int]:
    return entity.start, entity.end
