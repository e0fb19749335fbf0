"""The component in real spaCy pipelines."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

import twofold
from twofold.errors import ConfigError, InputError, MissingExtraError
from twofold.records import to_record
from twofold.spacy_component import SPAN_EXTENSIONS, register

TEXTS = ["Anna Smith left paris with NASA", "nothing", "Bob saw Carl"]


@pytest.fixture(scope="module")
def spacy():
    found = pytest.importorskip("spacy", reason="spaCy is not installed")
    register()
    return found


@pytest.fixture(scope="module")
def nlp(spacy, both):
    pipeline = spacy.blank("en")
    pipeline.add_pipe("twofold", config={"model": str(both), "threads": 1})
    return pipeline


@pytest.fixture(scope="module")
def records(both):
    extractor = twofold.load(both, threads=1)
    return [to_record(x) for x in extractor.extract({"id": 0, "text": text} for text in TEXTS)]


def test_entities_and_relations_with_their_fields(nlp, records):
    for doc, record in zip(nlp.pipe(TEXTS), records, strict=True):
        entities = [(e.start_char, e.end_char, e.text, e.label_) for e in doc.ents]
        assert entities == [(e["start"], e["end"], e["text"], e["type"]) for e in record["entities"]]
        for span, entity in zip(doc.ents, record["entities"], strict=True):
            assert {name: getattr(span._, name) for name in SPAN_EXTENSIONS} == {
                name: entity.get(name) for name in SPAN_EXTENSIONS
            }
        relations = [(r.head, r.tail, r.type, r.confidence, r.sources) for r in doc._.relations]
        assert relations == [
            (doc.ents[r["head"]], doc.ents[r["tail"]], r["type"], r["confidence"], r["sources"])
            for r in record["relations"]
        ]
        assert doc._.twofold["text"] == doc.text
    assert any(record["relations"] for record in records)
    assert nlp("nothing")[0:1]._.confidence is None  # a span that is not an entity


def test_the_picture_of_a_doc_must_be_in_its_folder(spacy, both, tmp_path):
    photo = Path(__file__).parents[1] / "examples" / "photos" / "brandenburgGate.jpg"
    (tmp_path / "in").mkdir()
    for place in ("in/a.jpg", "out.jpg"):
        (tmp_path / place).write_bytes(photo.read_bytes())
    nlp = spacy.blank("en")
    nlp.add_pipe(
        "twofold",
        config={
            "model": str(both),
            "threads": 1,
            "relations": False,
            "images": str(tmp_path / "in"),
        },
    )
    found = {}
    for image in ("a.jpg", "../out.jpg", photo.read_bytes(), None):
        doc = nlp.make_doc("Anna left")
        doc._.image, doc._.alt_text = image, "a gate"
        found[str(image)[:9]] = nlp(doc)._.twofold
    assert [record["picture"]["status"] for record in found.values()] == [
        "read", "unreadable", "read", "none",
    ]  # fmt: skip
    assert set(found["a.jpg"]["entities"][0]["sources"]) == {"text", "picture", "alt_text"}
    assert found["a.jpg"]["relations"] == []
    doc = nlp.make_doc("Anna left")
    doc._.image = 3
    with pytest.raises(InputError, match="doc 0: image is the number 3"):
        nlp(doc)


def test_entities_inside_a_token_are_expanded_and_do_not_overlap(spacy, nlp, both):
    from spacy.tokens import Doc

    text = "Anna left paris"
    words = spacy.tokens.Doc(nlp.vocab, words=["Anna left", " paris"], spaces=[False, False])
    assert words.text == text
    doc = nlp(words)
    assert [(span.text, span.label_) for span in doc.ents] == [("Anna left", "PER"), (" paris", "LOC")]
    assert [(e["start"], e["end"]) for e in doc._.twofold["entities"]] == [(0, 4), (10, 15)]
    one = nlp(Doc(nlp.vocab, words=[text], spaces=[False]))
    assert len(one.ents) == 1
    best = max(one._.twofold["entities"], key=lambda entity: entity["confidence"])
    assert (one.ents[0].label_, one.ents[0]._.confidence) == (best["type"], best["confidence"])


def test_a_doc_bin_keeps_everything(spacy, nlp):
    from spacy.tokens import DocBin

    docs = list(nlp.pipe(TEXTS))
    stored = DocBin(docs=docs, store_user_data=True).to_bytes()
    for doc, read in zip(docs, DocBin().from_bytes(stored).get_docs(nlp.vocab), strict=True):
        assert json.dumps(read._.twofold) == json.dumps(doc._.twofold)
        assert [(e.text, e.label_, e._.confidence) for e in read.ents] == [
            (e.text, e.label_, e._.confidence) for e in doc.ents
        ]
        assert [(r.head.text, r.type) for r in read._.relations] == [
            (r.head.text, r.type) for r in doc._.relations
        ]


def test_a_pipeline_is_saved_and_read_and_runs_in_processes(spacy, nlp, tmp_path):
    nlp.to_disk(tmp_path / "pipeline")
    again = spacy.load(tmp_path / "pipeline")
    expected = [[(e.text, e.label_) for e in doc.ents] for doc in nlp.pipe(TEXTS)]
    assert [[(e.text, e.label_) for e in doc.ents] for doc in again.pipe(TEXTS)] == expected
    docs = again.pipe(TEXTS, n_process=2, batch_size=2)
    assert [[(e.text, e.label_) for e in doc.ents] for doc in docs] == expected


def test_an_extension_name_in_use_is_refused(spacy):
    from spacy.tokens import Span

    ours = Span.remove_extension("confidence")
    Span.set_extension("confidence", default=0.5)
    try:
        with pytest.raises(ConfigError, match=r"Span\._\.confidence is already used"):
            register()
    finally:
        Span.remove_extension("confidence")
        Span.set_extension("confidence", getter=ours[2])
    register()


def test_without_spacy_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy.language", None)
    with pytest.raises(MissingExtraError, match=r"need the package spacy.*twofold\[spacy\]"):
        register()


def test_the_entry_point_registers_the_component(spacy):
    pyproject = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    section = pyproject.partition('[project.entry-points."spacy_factories"]')[2]
    module, name = re.search(r'^twofold = "([\w.]+):(\w+)"', section, re.MULTILINE).groups()
    assert callable(getattr(importlib.import_module(module), name))
    assert spacy.blank("en").has_factory("twofold")
    with pytest.raises(AttributeError, match="no attribute 'component'"):
        importlib.import_module(module).component  # noqa: B018
