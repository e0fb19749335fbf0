"""Conversion of posts from one format to another, with a count of what the target cannot hold.

JSON Lines holds all fields of a post. IMGID blocks hold tokens, labels and an id that names the picture;
CoNLL columns hold the same, with id, picture and alternative text in ``# name = value`` lines; MNRE holds one
relation per line with its tokens and the picture's name. It writes no pictures.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twofold.corpora.bio import TagSpan, TokenSpan, tags_as_written
from twofold.corpora.confinement import lies_in
from twofold.corpora.formats import Format
from twofold.corpora.regions import region_record
from twofold.errors import InputError
from twofold.files import Input, write_whole
from twofold.posts import Entity, Image, Post, RefusedPicture, Rejected, Relation
from twofold.preprocessing.segmentation import segment_post
from twofold.reading import real_path

_MNRE_ID = re.compile(r"(.+)#\d+", re.DOTALL)
_FIELD_SEPARATOR = re.compile(r"[\t\n]|\r\Z")
_TAG_SEPARATOR = re.compile(r"[\t\n\r]")


@dataclass(slots=True)
class Conversion:
    """Result of a conversion.

    Attributes:
        written: posts written.
        rejected: records of the source that could not be read.
        unsupported: "origin: reason" of posts that the target format cannot hold at all.
        losses: by what was lost, how often: entities and relations are counted one by one, all else by post.
        without_picture: posts whose picture is written as a file name only, since its folder was not given.
        outside: posts whose picture lies outside the folder of the written file, where readers refuse it.
    """

    written: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)
    without_picture: int = 0
    outside: int = 0

    @property
    def exit_code(self) -> int:
        """0 every record was written, 1 some were not, 2 none was."""
        if not self.written:
            return 2
        return int(bool(self.rejected or self.unsupported))


Losses = Counter[str]
Writer = Callable[[Post, Path, Losses], str]


def convert(
    items: Iterable[Post | Rejected], target: Path, to: Format, inputs: Iterable[Input] = ()
) -> Conversion:
    """Write posts to a file of another format; the file appears when it is complete, or not at all.

    Args:
        items: as `open_corpus` yields them.
        target: the file; an existing one is replaced. Not written if there is no post to write.
        to: its format.
        inputs: files that the items are read from; none of them may be the target.

    Raises:
        DataError: the file cannot be written.
    """
    result = Conversion()
    write = _WRITERS[to]
    with write_whole(target, lambda: result.written > 0, inputs) as stream:
        for item in items:
            if isinstance(item, Rejected):
                result.rejected.append(item)
                continue
            if isinstance(item.image, RefusedPicture):  # it is not opened here: keep its path
                item = dataclasses.replace(item, image=item.image.path)
            try:
                stream.write(write(item, target.parent, result.losses).encode("utf-8"))
                result.written += 1
                result.without_picture += item.image is None and bool(item.picture_name)
                result.outside += to == "jsonl" and _is_outside(item, target.parent)
            except InputError as error:
                result.unsupported.append(f"{error.where}: {error.what}")
    return result


def to_record(post: Post, folder: Path) -> dict[str, Any]:
    """The post as a JSON object; `parse_post` reads it back.

    Args:
        post: the post.
        folder: folder that the path of its picture is made relative to.
    """
    record: dict[str, Any] = {"id": post.id, "text": post.text}
    if post.tokens is not None:
        record["tokens"] = [post.text[start:end] for start, end in post.tokens]
    if post.image is not None or post.picture_name:
        record["image"] = _image(post.image or post.picture_name, folder)
    if post.alt_text is not None:
        record["alt_text"] = post.alt_text
    if post.regions is not None:
        record["regions"] = [region_record(region) for region in post.regions]
    if post.entities is not None:
        record["entities"] = [_span(entity) for entity in post.entities]
    if post.relations is not None:
        record["relations"] = [_relation(relation) for relation in post.relations]
    return record


def _image(image: Image | str, folder: Path) -> str | dict[str, str]:
    if isinstance(image, str):
        return image
    if isinstance(image, bytes):
        return {"base64": base64.b64encode(image).decode("ascii")}
    image = image.path if isinstance(image, RefusedPicture) else image
    absolute = real_path(image.parent) / image.name  # ".." is wrong after a link that is not resolved
    try:
        return Path(os.path.relpath(absolute, real_path(folder))).as_posix()
    except ValueError:  # another drive on Windows
        return absolute.as_posix()


def _is_outside(post: Post, folder: Path) -> bool:
    return isinstance(post.image, Path) and not lies_in(post.image, folder)


def _span(entity: Entity) -> dict[str, Any]:
    span: dict[str, Any] = {
        "start": entity.start,
        "end": entity.end,
        "text": entity.text,
        "type": entity.type,
    }
    return span if entity.well_formed else {**span, "well_formed": False}


def _relation(relation: Relation) -> dict[str, Any]:
    return {"head": _span(relation.head), "tail": _span(relation.tail), "type": relation.type}


def _to_jsonl(post: Post, folder: Path, losses: Losses) -> str:
    return json.dumps(to_record(post, folder), ensure_ascii=False) + "\n"


def _to_imgid(post: Post, folder: Path, losses: Losses) -> str:
    name = _field(str(post.id), "id", post)
    if not name or "\0" in name:
        raise _unsupported(post, "the id cannot be used as the name of a picture")
    _count_loss(losses, isinstance(post.id, int), "whole-number ids, which come back as text")
    _count_loss(losses, post.alt_text is not None, "alternative texts")
    _count_loss(losses, bool(post.regions), "regions of pictures")
    _count_loss(losses, _named_otherwise(post, f"{name}.jpg"), "pictures that are not named <id>.jpg")
    return f"IMGID:{name}\n{_rows(post, losses)}\n"


def _to_conll(post: Post, folder: Path, losses: Losses) -> str:
    comments = {"id": post.id, "alt_text": post.alt_text}
    if not isinstance(post.image, bytes) and (post.image or post.picture_name):
        comments["image"] = str(_image(post.image or post.picture_name, folder))
    _count_loss(losses, isinstance(post.image, bytes), "pictures given as bytes")
    _count_loss(losses, bool(post.regions), "regions of pictures")
    lines = (f"# {name} = {json.dumps(value)}\n" for name, value in comments.items() if value is not None)
    return f"{''.join(lines)}{_rows(post, losses)}\n"


def _named_otherwise(post: Post, name: str) -> bool:
    return isinstance(post.image, bytes) or _picture_name(post, name) != name


def _picture_name(post: Post, default: str) -> str:
    """Name of the picture's file, or of a picture without a file; the default if the post has none."""
    return post.image.name if isinstance(post.image, Path) else post.picture_name or default


def _rows(post: Post, losses: Losses) -> str:
    _count_losses(losses, len(post.relations or ()), "relations")
    _count_loss(
        losses,
        post.entities is None,
        "missing labels: an unlabelled post is read back as labelled without entities",
    )
    token_spans = _token_spans(post, losses)
    tags = tags_as_written(len(token_spans), _tag_spans(post, token_spans, losses))
    tokens = (_field(post.text[start:end], "token", post) for start, end in token_spans)
    return "".join(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True))


def _token_spans(post: Post, losses: Losses) -> list[TokenSpan]:
    """Tokens of the post, or its words where it is raw text."""
    token_spans = segment_post(post) if post.tokens is None else list(post.tokens)
    words = " ".join(post.text[start:end] for start, end in token_spans)
    _count_loss(losses, words != post.text, "white space and invisible characters between the words")
    return token_spans


def _tag_spans(post: Post, token_spans: list[TokenSpan], losses: Losses) -> list[TagSpan]:
    spans: list[TagSpan] = []
    for entity in post.entities or ():
        first, last = _tokens_of(entity, token_spans)
        if first < 0:
            losses["entities that begin or end inside a token"] += 1
        elif spans and first < spans[-1].end:
            losses["entities that overlap an earlier one"] += 1
        else:
            type_ = _field(entity.type, "entity type", post, _TAG_SEPARATOR)
            spans.append(TagSpan(first, last, type_, entity.well_formed))
    return spans


def _tokens_of(entity: Entity, token_spans: list[TokenSpan]) -> tuple[int, int]:
    """First token and one past the last; (−1, −1) if the entity does not begin and end with a token."""
    first = next((i for i, (start, _) in enumerate(token_spans) if start == entity.start), -1)
    last = next((i for i, (_, end) in enumerate(token_spans) if end == entity.end), -1)
    return (first, last + 1) if 0 <= first <= last else (-1, -1)


def _to_mnre(post: Post, folder: Path, losses: Losses) -> str:
    if not post.relations:
        raise _unsupported(post, "it has no relation, and MNRE holds nothing else")
    _count_losses(losses, len(post.entities or ()), "entities")
    _count_loss(losses, post.alt_text is not None, "alternative texts")
    _count_loss(losses, bool(post.regions), "regions of pictures")
    name = _mnre_picture(post)
    _count_loss(losses, _named_otherwise(post, name), "paths of pictures; only their names are kept")
    token_spans = _token_spans(post, losses)
    tokens = [post.text[start:end] for start, end in token_spans]
    return "".join(
        repr(
            {
                "token": tokens,
                "h": _argument(relation.head, tokens, token_spans, post),
                "t": _argument(relation.tail, tokens, token_spans, post),
                "img_id": name,
                "relation": relation.type,
            }
        )
        + "\n"
        for relation in post.relations
    )


def _mnre_picture(post: Post) -> str:
    """The name that the id carries if the post came from MNRE, else the picture's, else one from the id."""
    if match := _MNRE_ID.fullmatch(str(post.id)):
        return match[1]
    return _picture_name(post, f"{post.id}.jpg")


def _argument(
    entity: Entity, tokens: list[str], token_spans: list[TokenSpan], post: Post
) -> Mapping[str, object]:
    first, last = _tokens_of(entity, token_spans)
    if first < 0:
        raise _unsupported(post, f"{entity.text!r} begins or ends inside a token")
    return {"name": " ".join(tokens[first:last]), "pos": [first, last]}


def _field(value: str, what: str, post: Post, separator: re.Pattern[str] = _FIELD_SEPARATOR) -> str:
    if separator.search(value):
        raise _unsupported(post, f"the {what} {value[:40]!r} holds a TAB or a line end")
    return value


def _unsupported(post: Post, reason: str) -> InputError:
    return InputError(reason, where=post.origin or f"post {post.id}")


def _count_loss(losses: Losses, lost: bool, what: str) -> None:
    _count_losses(losses, int(lost), what)


def _count_losses(losses: Losses, count: int, what: str) -> None:
    if count:
        losses[what] += count


_WRITERS: dict[Format, Writer] = {
    "jsonl": _to_jsonl,
    "imgid": _to_imgid,
    "conll": _to_conll,
    "mnre": _to_mnre,
}
