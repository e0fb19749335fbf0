"""Docs of spaCy in a DocBin (``.spacy``), as ``spacy train`` and ``DocBin().from_disk`` read them.

Texts are cut into tokens by spaCy's rules of a language; an entity that begins or ends inside a token is
widened to the whole of it. Results keep everything in ``doc._.twofold`` (see `twofold.spacy_component`), and
every Doc has the id of its post in ``doc.user_data``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twofold.corpora.convert import Conversion
from twofold.errors import ConfigError
from twofold.exports.annotated import Annotated
from twofold.extras import extra_module
from twofold.files import OutputFile
from twofold.posts import Post, Rejected
from twofold.spacy_component import register, set_entities


def write_spacy(
    items: Iterable[Annotated | Rejected], target: OutputFile, language: str = "en"
) -> Conversion:  # fmt: skip
    """Write a DocBin; all Docs are in memory until its end.

    Args:
        items: what to write; rejected records are counted.
        target: takes the bytes.
        language: code of the language whose tokens are used, such as "en" or "xx".

    Raises:
        MissingExtraError: spaCy is not installed.
        ConfigError: spaCy does not know the language.
    """
    spacy, tokens = (extra_module(name, "spacy", "Files of spaCy") for name in ("spacy", "spacy.tokens"))
    register()
    try:
        nlp = spacy.blank(language)
    except ImportError as error:
        raise ConfigError(
            f"spaCy does not know the language {language!r}", expected="such as en or xx"
        ) from error
    docs, result = tokens.DocBin(store_user_data=True), Conversion()
    for item in items:
        if isinstance(item, Rejected):
            result.rejected.append(item)
            continue
        docs.add(_doc(nlp, item, result))
        result.written += 1
    target.write(docs.to_bytes())
    return result


def _doc(nlp: Any, item: Annotated, result: Conversion) -> Any:
    post = item.post
    doc = nlp.make_doc(post.text)
    doc.user_data["id"] = post.id
    doc._.twofold = item.record if item.record is not None else _record(post)
    kept = set_entities(doc)
    entities = post.entities or ()
    exact = {(entity.start, entity.end) for entity in entities}
    widened = sum((span.start_char, span.end_char) not in exact for span in kept)
    for what, count in (
        ("the exact ends of entities inside a token", widened),
        ("entities that overlap a more confident one", len(entities) - len(kept)),
        ("pictures", int(post.image is not None)),
    ):
        if count:
            result.losses[what] += count
    return doc


def _record(post: Post) -> dict[str, Any]:
    """Gold labels in the form of results; a relation between others than the entities is left out."""
    entities = [{"start": e.start, "end": e.end, "text": e.text, "type": e.type} for e in post.entities or ()]
    place = {(entity["start"], entity["end"]): i for i, entity in enumerate(entities)}
    ends = [((r.head.start, r.head.end), (r.tail.start, r.tail.end), r.type) for r in post.relations or ()]
    relations = [
        {"head": place[head], "tail": place[tail], "type": type_}
        for head, tail, type_ in ends
        if head in place and tail in place
    ]
    return {"id": post.id, "text": post.text, "entities": entities, "relations": relations}
