"""Writes tasks for Label Studio, and the labelling configuration whose names they use.

Results become ``predictions`` (pre-annotations to correct), gold labels ``annotations``. Entities are
``labels`` of a plain ``Text``, for which Label Studio uses the given offsets; relations lead from head to
tail. The score of a task is the lowest confidence in it, so that the least certain tasks can be sorted first.
`corpora.label_studio` reads the annotated tasks. Pictures are opened only to embed them.
"""

from __future__ import annotations

import base64
import json
import mimetypes
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from twofold.corpora.convert import Conversion
from twofold.corpora.label_studio import LOCAL_FILES, NO_PICTURE
from twofold.corpora.utf16 import to_utf16
from twofold.errors import PictureError
from twofold.exports.annotated import Annotated
from twofold.files import OutputFile
from twofold.posts import Entity, Post, RefusedPicture, Rejected, Relation
from twofold.preprocessing.picture_files import file_bytes


@dataclass(frozen=True)
class LabelStudioOptions:
    """How tasks are written.

    Attributes:
        folder: paths of pictures are relative to it.
        address: prefix of the path of a picture.
        embed: whether tasks contain the pictures themselves instead of paths.
        utf16: whether offsets count UTF-16 code units, as in old versions of Label Studio.
        types, relations: more types of entities and of relations to choose from, besides those that occur.
    """

    folder: Path = field(default_factory=Path)
    address: str = LOCAL_FILES
    embed: bool = False
    utf16: bool = False
    types: Collection[str] = ()
    relations: Collection[str] = ()


class TaskWriter:
    """Writes tasks one by one, and their configuration at the end.

    Args:
        tasks: output for the tasks, as JSON.
        config: output for the labelling configuration, as XML.
        options: how to write them.
        result: counts what was written, and what was lost.
    """

    def __init__(
        self, tasks: OutputFile, config: OutputFile, options: LabelStudioOptions, result: Conversion
    ) -> None:
        self._tasks, self._config, self._options, self._result = tasks, config, options, result
        self._types, self._relations = dict.fromkeys(options.types), dict.fromkeys(options.relations)
        self._pictures = self._alt_texts = False

    def add(self, item: Annotated) -> None:
        """Write one task."""
        task = json.dumps(self._task(item), ensure_ascii=False)
        self._tasks.write((",\n" if self._result.written else "[\n").encode() + task.encode("utf-8"))
        self._result.written += 1

    def finish(self) -> None:
        """End the tasks, and write the configuration."""
        self._tasks.write(b"\n]\n" if self._result.written else b"[]\n")
        config = labelling_config(
            self._types, self._relations, pictures=self._pictures, alt_texts=self._alt_texts
        )
        self._config.write(config.encode("utf-8"))

    def _task(self, item: Annotated) -> dict[str, Any]:
        post = item.post
        picture = self._picture(post)
        self._pictures |= picture != NO_PICTURE
        self._alt_texts |= post.alt_text is not None
        data = {"id": post.id, "text": post.text, "image": picture, "alt_text": post.alt_text or ""}
        results = self._results(post)
        if item.record is None:
            return {"data": data} | ({} if post.entities is None else {"annotations": [{"result": results}]})
        for entity in item.record.get("entities") or ():
            self._types |= dict.fromkeys(name for name in entity.get("candidates") or () if name != "none")
        prediction = {"model_version": str(item.record.get("model", "")), "result": results}
        scores = [x.confidence for x in post.entities or ()] + [x.confidence for x in post.relations or ()]
        known = [score for score in scores if score is not None]
        return {"data": data, "predictions": [prediction | ({"score": min(known)} if known else {})]}

    def _results(self, post: Post) -> list[dict[str, Any]]:
        entities = list(enumerate(post.entities or ()))
        ids = {_key(entity): f"e{i}" for i, entity in entities}
        results = [self._span(entity, f"e{i}", post.text) for i, entity in entities]
        for relation in post.relations or ():
            head, tail = _key(relation.head), _key(relation.tail)
            if head in ids and tail in ids:
                self._relations[relation.type] = None
                results.append(_relation(relation, ids[head], ids[tail]))
            else:
                self._result.losses["relations between spans that are not entities"] += 1
        return results

    def _span(self, entity: Entity, id_: str, text: str) -> dict[str, Any]:
        self._types[entity.type] = None
        start, end = entity.start, entity.end
        if self._options.utf16:
            start, end = to_utf16(text, start), to_utf16(text, end)
        value = {"start": start, "end": end, "text": entity.text, "labels": [entity.type]}
        span = {"id": id_, "from_name": "label", "to_name": "text", "type": "labels", "value": value}
        return span if entity.confidence is None else span | {"score": entity.confidence}

    def _picture(self, post: Post) -> str:
        """Address of a picture, or the picture itself as a data URL."""
        image, losses = post.image, self._result.losses
        if isinstance(image, RefusedPicture):
            losses["pictures outside the folder of the posts"] += 1
            return NO_PICTURE
        if isinstance(image, bytes) or (image is not None and self._options.embed):
            try:
                data = base64.b64encode(file_bytes(image)).decode("ascii")
            except PictureError:
                losses["pictures that cannot be read"] += 1
                return NO_PICTURE
            kind = mimetypes.guess_type(image.name)[0] if isinstance(image, Path) else None
            return f"data:{kind or 'image/jpeg'};base64,{data}"
        if image is None:
            return self._options.address + quote(post.picture_name) if post.picture_name else NO_PICTURE
        try:
            path = image.absolute().relative_to(self._options.folder.absolute())
        except ValueError:
            losses["pictures outside the folder of the posts"] += 1
            return NO_PICTURE
        return self._options.address + quote(path.as_posix())


def _key(entity: Entity) -> tuple[int, int]:
    return entity.start, entity.end


def _relation(relation: Relation, head: str, tail: str) -> dict[str, Any]:
    found = {
        "type": "relation", "from_id": head, "to_id": tail, "direction": "right", "labels": [relation.type],
    }  # fmt: skip
    return found if relation.confidence is None else found | {"score": relation.confidence}


def labelling_config(
    types: Iterable[str], relations: Iterable[str], *, pictures: bool = False, alt_texts: bool = False
) -> str:
    """The labelling configuration of the tasks, as XML.

    Args:
        types: entity types. relations: types of relations.
        pictures: whether tasks have pictures. alt_texts: whether they have descriptions.
    """
    lines = ["<View>"]
    lines += ['  <Labels name="label" toName="text">']
    lines += [f"    <Label value={quoteattr(name)}/>" for name in types]
    lines += ["  </Labels>", '  <Text name="text" value="$text"/>']
    if names := list(relations):
        lines += [
            "  <Relations>",
            *(f"    <Relation value={quoteattr(x)}/>" for x in names),
            "  </Relations>",
        ]
    if pictures:
        lines.append('  <Image name="image" value="$image"/>')
    if alt_texts:
        lines.append('  <Text name="alt_text" value="$alt_text"/>')
    return "\n".join([*lines, "</View>", ""])


def write_label_studio(
    items: Iterable[Annotated | Rejected],
    tasks: OutputFile,
    config: OutputFile,
    options: LabelStudioOptions | None = None,
) -> Conversion:
    """Write tasks and their configuration.

    Args:
        items: what to write; rejected records are counted.
        tasks, config, options: see `TaskWriter`.
    """
    result = Conversion()
    writer = TaskWriter(tasks, config, options or LabelStudioOptions(), result)
    for item in items:
        if isinstance(item, Rejected):
            result.rejected.append(item)
        else:
            writer.add(item)
    writer.finish()
    return result
