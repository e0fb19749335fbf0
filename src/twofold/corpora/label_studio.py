"""Labelled tasks in the export format "JSON" of Label Studio, which `twofold export` also writes.

The text is ``data.text``, in a plain ``Text`` tag; ``data.id``, ``data.image`` and ``data.alt_text`` are read
if present. Of several annotations the one marked as ground truth is read, else the last updated one; skipped
ones are ignored. Spans are ``labels`` with one label, relations ``relation`` with one. Label Studio counts
offsets in code points, older versions in UTF-16 units: the ``text`` of a span shows which. It does not read
predictions, nor labels of other kinds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from twofold.corpora.attachments import Attachments
from twofold.corpora.column_names import DEFAULT_COLUMNS
from twofold.corpora.json_array import items_of
from twofold.corpora.json_types import kind_of
from twofold.corpora.jsonl import parse_row
from twofold.corpora.lines import display_path, rejected
from twofold.corpora.utf16 import from_utf16
from twofold.errors import InputError
from twofold.posts import Post, Rejected

LOCAL_FILES = "/data/local-files/?d="
"""Address at which Label Studio serves the files of a local folder."""
NO_PICTURE = (
    "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # 1 x 1, transparent
)
"""Placeholder for the picture of a post without one: every task needs a picture if any has one."""
_EXPECTED = 'a task of Label Studio: {"data": {"text": "…"}, "annotations": […]}'
_IMAGE = "an address or a path"


def read_label_studio(path: Path, attachments: Attachments) -> Iterator[Post | Rejected]:
    """Posts of a file of tasks, in order.

    Args:
        path: an array of tasks, as JSON in UTF-8; it is read incrementally.
        attachments: where pictures and alternative texts are.
    """
    for number, (task, raw) in enumerate(items_of(path, _EXPECTED), start=1):
        origin = f"{display_path(path)}:task {number}"
        try:
            if isinstance(task, InputError):
                raise task
            yield _post(task, number, origin, path.parent, attachments)
        except InputError as error:
            found = rejected(error, raw.encode("utf-8", "backslashreplace"))
            yield dataclasses.replace(found, origin=origin)


def _post(task: object, number: int, origin: str, folder: Path, attachments: Attachments) -> Post:
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(task, Mapping) or not isinstance(data, Mapping):
        raise InputError(f"the task is {kind_of(task)} without data", expected=_EXPECTED)
    text = data.get("text")
    if not isinstance(text, str):
        raise InputError(f"data.text is {kind_of(text)}", expected="the text of the post")
    record = {"id": data.get("id", task.get("id", number)), "text": text, "alt_text": data.get("alt_text")}
    name = ""
    if isinstance(image := data.get("image"), str) and image not in ("", NO_PICTURE):
        record["image"], name = _picture(image, attachments)
    elif image is not None and not isinstance(image, str):
        raise InputError(f"data.image is {kind_of(image)}", expected=_IMAGE)
    post = parse_row(record | _gold(task, text), origin, folder, attachments, DEFAULT_COLUMNS)
    return dataclasses.replace(post, picture_name=name) if name and post.image is None else post


def _picture(address: str, attachments: Attachments) -> tuple[str | None, str]:
    """The picture as in JSON Lines, or None and its name if its file is not given."""
    if address.startswith("data:"):
        return address, ""
    if address.startswith(LOCAL_FILES):
        return unquote(address.removeprefix(LOCAL_FILES)), ""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise InputError(f"data.image is {address[:80]!r}: {error}", expected=_IMAGE) from error
    if not parts.scheme and not address.startswith("/data/"):
        return address, ""
    name = unquote(parts.path.rpartition("/")[2])
    return (name, "") if attachments.images is not None else (None, name)


# --- labels ------------------------------------------------------------------------------------------


class _Span(NamedTuple):
    id: str
    record: dict[str, Any]


def _gold(task: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Entities and relations of a task; empty if it is unlabelled."""
    annotation = _chosen(task.get("annotations"))
    if annotation is None:
        return {}
    results = annotation.get("result") or []
    if not isinstance(results, list) or not all(isinstance(item, Mapping) for item in results):
        raise InputError(f"the annotation's result is {kind_of(results)}", expected="a list of objects")
    spans = [_span(item, text) for item in results if "value" in item and _is_span(item)]
    by_id = {span.id: span.record for span in spans}
    relations = [_relation(item, by_id) for item in results if item.get("type") == "relation"]
    entities = [span.record for span in spans]
    return {"entities": entities} | ({"relations": relations} if relations else {})


def _chosen(annotations: object) -> Mapping[str, Any] | None:
    """The annotation to read; None if there is none."""
    if not isinstance(annotations, list):
        return None
    usable = [x for x in annotations if isinstance(x, Mapping) and not x.get("was_cancelled")]
    return max(  # of equals the last
        reversed(usable),
        key=lambda x: (bool(x.get("ground_truth")), str(x.get("updated_at") or "")),
        default=None,
    )


def _is_span(item: Mapping[str, Any]) -> bool:
    kind = item.get("type")
    if kind in ("hypertextlabels", "paragraphlabels"):
        raise InputError(f"the labels are {kind}", expected="labels of a plain Text tag")
    return kind == "labels" and isinstance(item["value"], Mapping) and "start" in item["value"]


def _span(item: Mapping[str, Any], text: str) -> _Span:
    value = item["value"]
    start, end = (value.get(key) for key in ("start", "end"))
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in (start, end)):
        raise InputError(f"a span runs from {start!r:.20} to {end!r:.20}", expected="whole numbers")
    surface = value.get("text")
    if isinstance(surface, str) and (end > len(text) or text[start:end] != surface):
        begin, stop = from_utf16(text, start), from_utf16(text, end)
        if begin is None or stop is None or text[begin:stop] != surface:
            raise InputError(
                f"a span says {surface!r:.60}, but the text from {start} to {end} is {text[start:end]!r:.60}",
                expected="the same words, counted in code points or in UTF-16 units",
                do="label the task again",
            )
        start, end = begin, stop
    return _Span(
        str(item.get("id")), {"start": start, "end": end, "type": _label(value.get("labels"), "span")}
    )


def _relation(item: Mapping[str, Any], spans: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    arguments = [spans.get(str(item.get(key))) for key in ("from_id", "to_id")]
    if None in arguments:
        raise InputError(
            "a relation refers to an unknown span", expected="from_id and to_id of two spans of the text"
        )
    head, tail = reversed(arguments) if item.get("direction") == "left" else arguments
    return {"head": head, "tail": tail, "type": _label(item.get("labels"), "relation")}


def _label(labels: object, what: str) -> str:
    if not isinstance(labels, Sequence) or len(labels) != 1 or not isinstance(labels[0], str):
        raise InputError(f"a {what} has the labels {labels!r:.60}", expected="one label")
    return labels[0]
