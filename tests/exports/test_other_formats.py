"""Exports to brat, spaCy and CoNLL, read back."""

from __future__ import annotations

import json
import re

import pytest
from exports import results
from exports.results import IDS, TEXTS, extractions, labels

from twofold.cli.main import main
from twofold.corpora import open_corpus
from twofold.exports.brat import brat_name


def export(folder, target, to, *options) -> int:
    found, posts = results.write(folder)
    return main(["export", str(found), str(target), "--to", to, "--posts", str(posts), *options])


def parsed(folder, name) -> tuple[list, list, list]:
    """Entities, relations and notes of a document of brat, by the rules of its format."""
    text = (folder / f"{name}.txt").read_bytes().decode("utf-8")
    entities, relations, notes = {}, [], []
    for line in (folder / f"{name}.ann").read_bytes().decode("utf-8").splitlines():
        number, kind, *words = line.split("\t")
        if number[0] == "T":
            type_, _, places = kind.partition(" ")
            parts = [tuple(map(int, part.split(" "))) for part in places.split(";")]
            assert " ".join(text[start:end] for start, end in parts) == words[0]
            assert not any("\n" in text[start:end] for start, end in parts)
            entities[number] = (parts[0][0], parts[-1][1], type_)
        elif number[0] == "R":
            type_, head, tail = re.fullmatch(r"([\w-]+) Arg1:(T\d+) Arg2:(T\d+)", kind).groups()
            relations.append((entities[head][0], entities[tail][0], type_))
        else:
            notes.append((kind, *words))
    return sorted(entities.values()), sorted(relations), notes


def test_brat(tmp_path, capsys):
    folder = tmp_path / "brat"
    assert export(tmp_path, folder, "brat") == 0
    assert "pictures (1)" in capsys.readouterr().err
    for number, extraction in enumerate(extractions(), start=1):
        entities, relations = labels(extraction)
        found = parsed(folder, f"{number:06d}")
        assert found[0] == [(start, end, type_) for start, end, _, type_ in entities]
        assert found[1] == [(head, tail, brat_name(type_)) for head, tail, type_ in relations]
        assert len(found[2]) == len(entities) + len(relations)
    assert parsed(folder, "000001")[2][0] == ("AnnotatorNotes T1", "confidence 0.910")
    config = (folder / "annotation.conf").read_text(encoding="utf-8").split("\n")
    assert config[: config.index("[relations]")] == ["[entities]", "PER", "LOC", "ORG"]
    assert "per_loc_place_of_residence\tArg1:<ENTITY>, Arg2:<ENTITY>" in config
    index = (folder / "index.tsv").read_text(encoding="utf-8").splitlines()
    assert index[1:3] == ['000001\t"a 1"', "000002\t2"]
    assert main(["export", str(tmp_path / "out.jsonl"), str(folder), "--to", "brat"]) == 2
    assert "something already" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*.part"))


def test_spacy(tmp_path):
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed")
    from spacy.tokens import DocBin

    assert export(tmp_path, tmp_path / "posts.spacy", "spacy") == 0
    docs = list(DocBin().from_disk(tmp_path / "posts.spacy").get_docs(spacy.blank("en").vocab))
    assert [(doc.user_data["id"], doc.text) for doc in docs] == list(zip(IDS, TEXTS, strict=True))
    for doc, extraction in zip(docs, extractions(), strict=True):
        entities = [(e.start_char, e.end_char, e.text, e.label_) for e in doc.ents]
        relations = [(r.head.start_char, r.tail.start_char, r.type) for r in doc._.relations]
        assert (sorted(entities), sorted(relations)) == labels(extraction)
        assert [e._.confidence for e in doc.ents] == [e.confidence for e in extraction.entities]


def test_gold_labels_for_spacy(tmp_path, capsys):
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed")
    from spacy.tokens import DocBin

    spans = [{"start": 0, "end": 3, "type": "PER"}, {"start": 10, "end": 12, "type": "LOC"}]
    gold = json.dumps({"id": 1, "text": "Ada-Li in Turin", "entities": spans})
    (tmp_path / "gold.jsonl").write_text(gold, encoding="utf-8")
    assert main(["export", str(tmp_path / "gold.jsonl"), str(tmp_path / "g.spacy"), "--to", "spacy"]) == 0
    (doc,) = DocBin().from_disk(tmp_path / "g.spacy").get_docs(spacy.blank("en").vocab)
    assert [(e.text, e.label_, e._.confidence) for e in doc.ents] == [
        ("Ada", "PER", None),
        ("Turin", "LOC", None),
    ]
    assert "inside a token (1)" in capsys.readouterr().err
    other = ["export", str(tmp_path / "gold.jsonl"), str(tmp_path / "h.spacy"), "--to", "spacy"]
    assert main([*other, "--language", "qq"]) == 2
    assert "does not know the language 'qq'" in capsys.readouterr().err


def test_conll(tmp_path, capsys):
    assert export(tmp_path, tmp_path / "posts.conll", "conll") == 0
    posts = {post.id: post for post in open_corpus(tmp_path / "posts.conll")}
    for extraction in extractions():
        if extraction.text:
            found = [(e.text.replace("\n", " "), e.type) for e in posts[extraction.id].entities]
            assert found == [(e.text.replace("\n", " "), e.type) for e in extraction.entities]
    assert posts["a 1"].image == tmp_path / "photos" / "a b.png"
    assert "relations (2)" in capsys.readouterr().err
