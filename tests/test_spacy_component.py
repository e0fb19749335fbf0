"""The component in real spaCy pipelines."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

import twofold
from twofold.errors import ConfigError, DataError, InputError, MissingExtraError
from twofold.records import to_record
from twofold.spacy_component import SPAN_EXTENSIONS, register, set_entities

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


def with_results(nlp, words, entities, relations=()):
    """A Doc of words with results: entities as (first character, end, type, confidence)."""
    from spacy.tokens import Doc

    doc = Doc(nlp.vocab, words=list(words))
    names = ("start", "end", "type", "confidence")
    doc._.twofold = {
        "entities": [dict(zip(names, entity, strict=True)) for entity in entities],
        "relations": [{"head": head, "tail": tail, "type": "peer"} for head, tail in relations],
    }
    return doc


def test_of_entities_in_the_same_token_the_most_confident_is_kept(nlp):
    entities = [(0, 3, "PER", 0.6), (4, 7, "PER", 0.9), (8, 11, "LOC", 0.7), (12, 17, "LOC", 0.8)]
    doc = with_results(nlp, ["Ada&Bob#Ulm", "Paris"], entities, [(0, 1), (1, 0), (2, 3)])
    assert [(span.text, span.label_) for span in set_entities(doc)] == [
        ("Ada&Bob#Ulm", "PER"),
        ("Paris", "LOC"),
    ]
    assert [span._.confidence for span in doc.ents] == [0.9, 0.8]
    assert doc[0:1]._.confidence is None  # a span without a type
    # A relation of a span with itself says nothing; the exact one is still in doc._.twofold.
    assert [(r.head.text, r.tail.text) for r in doc._.relations] == [("Ada&Bob#Ulm", "Paris")]
    assert len(doc._.twofold["relations"]) == 3


def test_a_chain_of_overlaps_keeps_what_overlaps_nothing_kept(nlp):
    entities = [(0, 5, "PER", 0.5), (4, 9, "PER", 0.6), (8, 11, "PER", 0.7)]
    doc = with_results(nlp, ["aaa", "bbb", "ccc"], entities)
    assert [span.text for span in set_entities(doc)] == ["aaa bbb", "ccc"]


@pytest.mark.parametrize(
    ("overwrite", "expected"),
    [
        (True, [("Anna Smith", "PER"), ("left", "X"), ("paris", "LOC"), ("NASA", "ORG")]),
        (False, [("Anna Smith", "PER"), ("left", "X"), ("paris", "LOC"), ("with NASA", "X")]),
    ],
)
def test_entities_of_other_components_stay(spacy, both, overwrite, expected):
    nlp = spacy.blank("en")
    patterns = [("left", "X"), ("with NASA", "X")]
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"pattern": pattern, "label": label, "id": "mine"} for pattern, label in patterns])
    nlp.add_pipe("twofold", config={"model": str(both), "threads": 1, "overwrite_ents": overwrite})
    doc = nlp(TEXTS[0])
    assert [(span.text, span.label_) for span in doc.ents] == expected
    assert {span.ent_id_ for span in doc.ents if span.label_ == "X"} == {"mine"}
    assert len(doc._.twofold["entities"]) == 3


@pytest.mark.parametrize("text", ["Anna " * 20, "a picture that is a number"], ids=["long", "picture"])
def test_spacy_s_error_handler_is_called(spacy, both, text):
    nlp = spacy.blank("en")
    nlp.add_pipe("twofold", config={"model": str(both), "threads": 1, "max_characters": 40}, name="ours")
    docs = [nlp.make_doc(x) for x in ("Anna left", text, "Bob saw Carl")]
    docs[1]._.image = 3 if "picture" in text else None
    with pytest.raises(InputError, match=r"doc 1: .*(40|number 3)"):
        list(nlp.pipe(docs))
    failed = []
    nlp.set_error_handler(lambda name, pipe, bad, error: failed.append((name, pipe.name, *bad, str(error))))
    assert list(nlp.pipe(docs)) == [docs[0], docs[2]]
    assert docs[2].ents
    assert nlp(docs[1]) is docs[1]
    assert [names[:3] for names in failed] == [("ours", "ours", docs[1])] * 2
    assert [names[3][:7] for names in failed] == ["doc 1: ", "doc 0: "]


def test_evaluation_and_labels(spacy, both):
    from spacy.training import Example

    nlp = spacy.blank("en")
    nlp.add_pipe("twofold", config={"model": str(both), "threads": 1})
    gold = {"entities": [(0, 10, "PER"), (16, 21, "ORG")]}
    scores = nlp.evaluate([Example.from_dict(nlp.make_doc(TEXTS[0]), gold)])
    assert (scores["ents_p"], scores["ents_r"]) == (1 / 3, 1 / 2)
    assert scores["ents_f"] == pytest.approx(0.4)
    assert set(nlp.pipe_labels["twofold"]) == {"PER", "LOC", "ORG", "MISC"}
    assert nlp.config["training"]["score_weights"]["ents_f"] == 1


def test_a_missing_folder_of_pictures_is_an_error_at_once(spacy, both, tmp_path):
    config = {"model": str(both), "threads": 1, "images": str(tmp_path / "nope")}
    with pytest.raises(DataError, match="nope: no such folder"):
        spacy.blank("en").add_pipe("twofold", config=config)


@pytest.mark.parametrize("image", [Path("a.jpg"), "a.jpg", b"\x89PNG", None])
def test_a_doc_bin_keeps_the_picture(spacy, nlp, image):
    from spacy.tokens import DocBin

    doc = nlp.make_doc("Anna left")
    doc._.image, doc._.alt_text = image, "a gate"
    (read,) = DocBin().from_bytes(DocBin(docs=[doc], store_user_data=True).to_bytes()).get_docs(nlp.vocab)
    assert read._.image == doc._.image == (str(image) if isinstance(image, Path) else image)
    assert read._.alt_text == "a gate"


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
