"""Writes spaCy Docs to a DocBin (``.spacy``), which ``spacy train`` and ``DocBin().from_disk`` read.

Texts are tokenized by spaCy's rules for a language; an entity that begins or ends inside a token is expanded
to the whole token. Results keep everything in ``doc._.twofold`` (see `twofold.spacy_component`), and the id
of the post is in ``doc.user_data``.
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
    """Write a DocBin; all Docs are in memory until it is written.

    Args:
        items: what to write; rejected records are counted.
        target: output for the DocBin.
        language: code of the language whose tokenizer is used, such as "en" or "xx".

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
            f"spaCy does not know the language {language!r}", expected="a code such as en or xx"
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
    expanded = sum((span.start_char, span.end_char) not in exact for span in kept)
    held = doc._.twofold.get("relations") or ()
    for what, count in (
        ("exact boundaries of entities that begin or end inside a token", expanded),
        ("entities that overlap a more confident one", len(entities) - len(kept)),
        ("relations between entities in the same tokens", len(held) - len(doc._.relations)),
        ("relations between spans that are not entities", len(post.relations or ()) - len(held)),
        ("pictures", int(post.image is not None)),
    ):
        if count:
            result.losses[what] += count
    return doc


def _record(post: Post) -> dict[str, Any]:
    """Gold labels in the form of results; relations between spans that are not entities are left out."""
    entities = [{"start": e.start, "end": e.end, "text": e.text, "type": e.type} for e in post.entities or ()]
    index = {(entity["start"], entity["end"]): i for i, entity in enumerate(entities)}
    pairs = [((r.head.start, r.head.end), (r.tail.start, r.tail.end), r.type) for r in post.relations or ()]
    relations = [
        {"head": index[head], "tail": index[tail], "type": type_}
        for head, tail, type_ in pairs
        if head in index and tail in index
    ]
    return {"id": post.id, "text": post.text, "entities": entities, "relations": relations}
