"""Labels exported by doccano and Prodigy, converted to the form of this project's own JSON Lines.

doccano: ``"label": [[0, 4, "PER"]]`` (older versions ``labels``), or ``entities`` with ``start_offset``,
``end_offset`` and ``label``, and ``relations`` between their ids. Prodigy: ``spans`` with ``start``, ``end``
and ``label``, ``relations`` with ``head_span`` and ``child_span``, ``tokens`` as objects; an ``answer`` other
than ``accept`` means that the labels are not gold, and ``_input_hash`` replaces a missing ``id``. A ``label``
or ``spans`` of another form (a class of the whole text, for instance) is ignored. The entities of a result of
`twofold extract` are predictions, not labels. It checks no offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twofold.corpora.json_types import as_python, is_missing
from twofold.corpora.result_record import is_result
from twofold.errors import InputError

Record = Mapping[str, Any]
_NAMES = {"start_offset": "start", "end_offset": "end", "label": "type"}


def entities_key(record: Record) -> str:
    """The key that holds the post's labelled spans: ``entities``, or a tool's own if only that is there."""
    if not is_missing(record.get("entities")):
        return "entities"
    others = (key for key, fits in _KEYS.items() if key in record and _is_list_of(fits, record[key]))
    return next(others, "entities")


def is_gold(record: Record) -> bool:
    """Whether the labels are gold: not in a result, nor in a record rejected or ignored in Prodigy."""
    if is_result(record):
        return False
    return "_input_hash" not in record or record.get("answer", "accept") == "accept"


def id_key(record: Record) -> str:
    """The key that holds the post's id."""
    return "_input_hash" if "id" not in record and "_input_hash" in record else "id"


def span_record(item: object) -> object:
    """A span with the keys start, end and type; anything else unchanged."""
    item = as_python(item)
    if isinstance(item, (list, tuple)):
        if len(item) != 3:
            raise InputError(f"is the list {item!r:.80}", expected='[start, end, "type"]')
        return dict(zip(("start", "end", "type"), item, strict=True))
    if not isinstance(item, Mapping) or "type" in item or not _NAMES.keys() & item.keys():
        return item
    return {_NAMES.get(key, key): value for key, value in item.items()}


def relation_record(item: object, entities: object) -> object:
    """A relation with the keys head, tail and type; anything else unchanged.

    Args:
        item: the relation.
        entities: the post's labelled spans, unconverted, for relations that refer to them by id.
    """
    if not isinstance(item, Mapping) or "head_span" in item or "from_id" not in item:
        return _prodigy_relation(item)
    arguments = [_by_id(item, key, entities) for key in ("from_id", "to_id")]
    return {"head": arguments[0], "tail": arguments[1], "type": item.get("type")}


def token_texts(tokens: object) -> object:
    """The words of tokens that are objects with a ``text``; other tokens unchanged."""
    if not isinstance(tokens, (list, tuple)):
        return tokens
    return [token["text"] if isinstance(token, Mapping) and "text" in token else token for token in tokens]


def _prodigy_relation(item: object) -> object:
    if not isinstance(item, Mapping) or "head_span" not in item:
        return item
    head, tail = span_record(item["head_span"]), span_record(item.get("child_span"))
    return {"head": head, "tail": tail, "type": item.get("label")}


def _by_id(item: Record, key: str, entities: object) -> object:
    for entity in entities if isinstance(entities, Sequence) else ():
        if isinstance(entity, Mapping) and "id" in entity and entity["id"] == item.get(key):
            return span_record(entity)
    raise InputError(f"{key} is {item.get(key)!r:.40}", expected="the id of one of the post's entities")


def _is_list_of(fits: Callable[[object], bool], value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(map(fits, value))


def _is_triple(item: object) -> bool:
    return isinstance(item, (list, tuple))


def _is_span(item: object) -> bool:
    return isinstance(item, Mapping) and "start" in item


_KEYS = {"label": _is_triple, "labels": _is_triple, "spans": _is_span}
