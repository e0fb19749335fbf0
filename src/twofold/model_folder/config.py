"""The configuration of a model folder: ``config.json``, checked when read.

Of the other files it knows only which ones a task needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from twofold.conventions import RULES, Convention, Conventions
from twofold.errors import ConfigError, ModelError
from twofold.preprocessing.entity_markers import Markers, read_markers
from twofold.preprocessing.images import FITS, RESAMPLING, PictureSettings
from twofold.preprocessing.modalities import VISUAL
from twofold.reading import not_json, read_text

NO_RELATION = "None"
"""The class of pairs without a relation."""
TASK_FILES: Mapping[str, tuple[str, ...]] = {"entities": ("decoder.safetensors",), "relations": ()}
"""Files that only folders of this task need."""
_LONGEST_NAME = 200
RENEW = "get the folder again, or train the model again"
"""What to do about a damaged folder."""

_TEXT_NUMBERS = ("window_pieces", "context_words", "pad_token_id", "hidden_size")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TextInput:
    """Input and output of the text encoder.

    Attributes:
        window_pieces: longest input in word pieces, special pieces included.
        context_words: words of context on either side of a window of a long post.
        pad_token_id: piece that pads short rows.
        hidden_size: D, width of its states.
        equal_lengths: whether only texts of equal length may share a batch, so that a text has exactly the
            same states in any. Folders of earlier versions mix lengths.
    """

    window_pieces: int
    context_words: int
    pad_token_id: int
    hidden_size: int
    equal_lengths: bool = False


@dataclass(frozen=True, slots=True)
class PictureInput:
    """Input and output of the picture encoder.

    Attributes:
        settings: how a picture is resized, cropped and normalised.
        regions: R, number of regions.
        hidden_size: V, width of a region.
        max_crops: crops of a picture, at most, for models that use crops.
    """

    settings: PictureSettings
    regions: int
    hidden_size: int
    max_crops: int


@dataclass(frozen=True, slots=True)
class RelationInput:
    """Input and labels of a relation model.

    Attributes:
        argument_types: types (head, tail) that each relation was seen with in training.
        markers: entity markers put around head and tail, in a text of its own for each pair; None for
            levitated markers, which read all pairs of a window in one pass.
        symmetric: symmetric relations, for which either argument may be predicted as the head.
    """

    argument_types: Mapping[str, frozenset[tuple[str, str]]]
    markers: Markers | None
    symmetric: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FolderConfig:
    """``config.json``.

    Attributes:
        name: the model's name, written with each extraction.
        task: "entities" or "relations".
        labels: the K tags, or the K relations, "None" among them.
        fusion: name of the fusion it was trained with.
        modalities: M modalities in the order of the graph's output, "text" first.
        text: see `TextInput`.
        picture: see `PictureInput`; None for a model that does not use pictures.
        twofold_version: version that wrote it.
        relation: see `RelationInput`; None for a tagger.
        shared_files: files that are in the parent folder, a tagger's.
        conventions: annotation conventions that the model knows.
    """

    name: str
    task: str
    labels: tuple[str, ...]
    fusion: str
    modalities: tuple[str, ...]
    text: TextInput
    picture: PictureInput | None
    twofold_version: str
    relation: RelationInput | None = None
    shared_files: tuple[str, ...] = ()
    conventions: Conventions = field(default_factory=Conventions)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model folder.

    Raises:
        ModelError: there is none.
    """
    try:
        value = json.loads(read_text(path))
        json.dumps(value, ensure_ascii=False).encode()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", where=str(path), do=RENEW) from error
    except UnicodeEncodeError as error:
        raise ModelError("a text has half of a surrogate pair", where=str(path), do=RENEW) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"is {not_json(error)}", where=str(path), do=RENEW) from error
    if not isinstance(value, dict):
        raise ModelError("holds no JSON object", where=str(path), do=RENEW)
    return value


def get(raw: object, key: str, kind: type[T] | tuple[type[T], ...], where: str) -> T:
    """A value of a JSON object, of the type it must have.

    Raises:
        ModelError: it is missing or of another type.
    """
    value = raw.get(key) if isinstance(raw, Mapping) else None
    huge = isinstance(value, int) and abs(value) >= 2**63  # JSON has integers that no float can hold
    if not isinstance(value, kind) or isinstance(value, bool) or huge:
        raise ModelError(f"{key} is missing or of the wrong type", where=where, do=RENEW)
    return value


def _strings(raw: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    items: list[object] = get(raw, key, list, where)
    if not items or not all(isinstance(item, str) for item in items):
        raise ModelError(f"{key} is not a list of names", where=where, do=RENEW)
    return tuple(map(str, items))


def parse_config(raw: Mapping[str, Any], where: str) -> FolderConfig:
    """The configuration in a parsed ``config.json``.

    Raises:
        ModelError: something is missing, of the wrong type, or unknown to this version.
    """
    task = get(raw, "task", str, where)
    if task not in TASK_FILES:
        raise ModelError(
            f"the model is for the task {task!r}",
            where=where,
            expected=" or ".join(TASK_FILES),
            do="install a newer Twofold",
        )
    if "conventions" not in raw:
        raise ModelError(
            "conventions is missing: the model was written before they were an input",
            where=where,
            expected="conventions, null for none",
            do="train the model again",
        )
    text = get(raw, "text", dict, where)
    window, context, pad, width = (get(text, key, int, where) for key in _TEXT_NUMBERS)
    labels = _strings(raw, "labels", where)
    if task == "entities":
        _check_tags(labels, where)
    config = FolderConfig(
        name=_name(raw, where),
        task=task,
        labels=labels,
        fusion=get(raw, "fusion", str, where),
        modalities=_strings(raw, "modalities", where),
        text=TextInput(window, context, pad, width, text.get("equal_lengths") is True),
        picture=_picture(raw["picture"], where) if raw.get("picture") is not None else None,
        twofold_version=get(raw, "twofold_version", str, where),
        relation=_relation(raw, where) if task == "relations" else None,
        shared_files=_strings(raw, "shared_files", where) if raw.get("shared_files") else (),
        conventions=_conventions(raw, where) if raw["conventions"] is not None else Conventions(),
    )
    if any(name in VISUAL for name in config.modalities) != (config.picture is not None):
        raise ModelError("modalities and picture do not agree", where=where, do=RENEW)
    return config


def _name(raw: Mapping[str, Any], where: str) -> str:
    """The model's name, which goes into outputs, tables and reports."""
    name = get(raw, "name", str, where)
    if not name.isprintable() or not 1 <= len(name) <= _LONGEST_NAME:
        expected = f"1 to {_LONGEST_NAME} printable characters"
        raise ModelError(f"name is {name[:80]!r}", where=where, expected=expected, do=RENEW)
    return name


def _check_tags(labels: Sequence[str], where: str) -> None:
    """Check the tags: decoding an invalid one would silently lose entities."""
    types = {label[2:] for label in labels[1:]}
    tags = {f"{prefix}-{kind}" for kind in types for prefix in "BI"}
    named = all(kind.isprintable() and kind.strip() for kind in types)
    if labels[0] != "O" or len(labels) != len(tags) + 1 or set(labels[1:]) != tags or not named:
        raise ModelError(
            f"labels are {', '.join(map(repr, labels))}"[:200],
            where=where,
            expected="'O', then 'B-X' and 'I-X' for each type X",
            do=RENEW,
        )


def _conventions(raw: Mapping[str, Any], where: str) -> Conventions:
    table = get(raw, "conventions", dict, where)
    named, default = get(table, "named", dict, where), get(table, "default", dict, where)

    def convention(row: object, corpus: str) -> Convention:
        mentions, hashtags = (get(row, key, str, where) for key in ("mentions", "hashtags"))
        try:
            return Convention(mentions, hashtags, corpus)
        except ConfigError as error:
            raise ModelError(f"conventions: {error.what}", where=where, do=RENEW) from error

    corpora = {name: convention(row, name) for name, row in named.items()}
    corpus = get(default, "corpus", str, where)
    if not corpora or not {"", *RULES}.isdisjoint(corpora) or corpus not in ("", *corpora):
        raise ModelError(
            f"conventions name {', '.join(corpora) or 'no corpus'}; the default follows {corpus!r}"[:200],
            where=where,
            expected="named corpora, and a default that follows one of them or none",
            do=RENEW,
        )
    return Conventions(corpora, convention(default, corpus))


def _relation(raw: Mapping[str, Any], where: str) -> RelationInput:
    labels = _strings(raw, "labels", where)
    if NO_RELATION not in labels or len(set(labels)) < len(labels):
        raise ModelError(
            f"labels are {', '.join(labels)}"[:200],
            where=where,
            expected=f"distinct labels, {NO_RELATION!r} among them",
            do=RENEW,
        )
    argument_types = get(raw, "argument_types", dict, where)
    symmetric = _strings(raw, "symmetric", where) if raw.get("symmetric") else ()
    for what, names in (("argument_types", set(argument_types)), ("symmetric", set(symmetric))):
        if unknown := names - set(labels):
            raise ModelError(
                f"{what} name {', '.join(sorted(unknown))}"[:200],
                where=where,
                expected="relations among the labels",
                do=RENEW,
            )
    types = {name: frozenset(_types(name, pairs, where)) for name, pairs in argument_types.items()}
    return RelationInput(types, read_markers(raw.get("markers"), where), frozenset(symmetric))


def _types(relation: str, pairs: object, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(pairs, list):
        raise ModelError(f"argument_types of {relation} are {pairs!r}"[:200], where=where, do=RENEW)
    for pair in pairs:
        match pair:
            case [str(head), str(tail)]:
                yield head, tail
            case _:
                raise ModelError(
                    f"argument_types of {relation} hold {pair!r}"[:200],
                    where=where,
                    expected="a type of the head and one of the tail",
                    do=RENEW,
                )


def _picture(raw: object, where: str) -> PictureInput:
    mean, std = (_numbers(raw, key, where) for key in ("mean", "std"))
    assert isinstance(raw, Mapping)
    settings = PictureSettings(
        get(raw, "resize", int, where),
        get(raw, "crop", int, where),
        mean,
        std,
        fit=_choice(raw, "fit", FITS, where),
        resample=_choice(raw, "resample", tuple(RESAMPLING), where),
    )
    sizes = [get(raw, key, int, where) for key in ("regions", "hidden_size", "max_crops")]
    return PictureInput(settings, *sizes)


def _numbers(raw: object, key: str, where: str) -> tuple[float, ...]:
    items: list[object] = get(raw, key, list, where)
    return tuple(float(get({key: item}, key, (int, float), where)) for item in items)


def _choice(raw: Mapping[str, Any], key: str, known: Sequence[str], where: str) -> str:
    value = get(raw, key, str, where)
    if value not in known:
        raise ModelError(f"{key} is {value!r}", where=where, expected=f"one of {', '.join(known)}", do=RENEW)
    return value
