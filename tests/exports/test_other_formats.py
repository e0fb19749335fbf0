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
    """Parse a brat document into entities, relations and notes, by the rules of the format."""
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
    assert "already exists" in capsys.readouterr().err
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


def test_relations_of_a_token_with_itself_are_not_kept_for_spacy(tmp_path, capsys):
    pytest.importorskip("spacy", reason="spaCy is not installed")
    spans = [{"start": 0, "end": 5, "type": "PER"}, {"start": 6, "end": 11, "type": "PER"}]
    relations = [{"head": spans[0], "tail": spans[1], "type": "peer"}]
    post = {"id": 1, "text": "Obama&Biden went", "entities": spans, "relations": relations}
    assert exported(tmp_path, "spacy", post) == 0
    err = capsys.readouterr().err
    assert "relations between entities in the same tokens (1)" in err
    assert "entities that overlap a more confident one (1)" in err


def test_conll(tmp_path, capsys):
    assert export(tmp_path, tmp_path / "posts.conll", "conll") == 0
    posts = {post.id: post for post in open_corpus(tmp_path / "posts.conll")}
    for extraction in extractions():
        if extraction.text:
            found = [(e.text.replace("\n", " "), e.type) for e in posts[extraction.id].entities]
            assert found == [(e.text.replace("\n", " "), e.type) for e in extraction.entities]
    assert posts["a 1"].image == tmp_path / "photos" / "a b.png"
    assert "relations (3)" in capsys.readouterr().err


def exported(tmp_path, to: str, *posts: dict, options: tuple[str, ...] = ()) -> int:
    lines = "".join(json.dumps(post) + "\n" for post in posts)
    (tmp_path / "in.jsonl").write_text(lines, encoding="utf-8")
    return main(["export", str(tmp_path / "in.jsonl"), str(tmp_path / "out"), "--to", to, *options])


def test_brat_keeps_entities_with_equal_spans_and_drops_those_of_line_ends(tmp_path, capsys):
    spans = [(0, 3, "PER"), (0, 3, "MISC"), (3, 5, "LOC"), (5, 8, "PER")]
    entities = [{"start": start, "end": end, "type": type_} for start, end, type_ in spans]
    relations = [{"head": entities[0], "tail": entities[3], "type": "peer"}]
    post = {"id": 1, "text": "Ada\n\nBob", "entities": entities, "relations": relations}
    assert exported(tmp_path, "brat", post) == 0
    assert (tmp_path / "out" / "000001.ann").read_text(encoding="utf-8").splitlines() == [
        "T1\tPER 0 3\tAda", "T2\tMISC 0 3\tAda", "T3\tPER 5 8\tBob", "R1\tpeer Arg1:T1 Arg2:T3",
    ]  # fmt: skip
    assert "entities that consist of line ends only (1)" in capsys.readouterr().err


def test_ids_are_not_used_as_file_names(tmp_path):
    ids = ["../../a", "/a", "..", "", "a" * 300, "\x00", "\x1b[31m", "a\nb\tc"]
    assert exported(tmp_path, "brat", *({"id": id_, "text": "a", "entities": []} for id_ in ids)) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out"}
    names = {f"{i:06d}.{end}" for i in range(1, 9) for end in ("txt", "ann")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"annotation.conf", "index.tsv"}
    lines = (tmp_path / "out" / "index.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert [json.loads(line.partition("\t")[2]) for line in lines] == ids


def test_a_second_run_into_one_folder_of_brat_is_refused(tmp_path, capsys):
    from twofold.locks import lock_place

    with lock_place(tmp_path / "out"):
        assert exported(tmp_path, "brat", {"id": 1, "text": "a", "entities": []}) == 2
    assert "another run is writing there" in capsys.readouterr().err


RESULT = {"id": 1, "text": "Ada met Bob", "relations": [], "picture": {"status": "none"}, "model": "tiny"}
ADA = {"start": 0, "end": 3, "type": "PER"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entities": None}, "entities is null"),
        ({"entities": [[0, 3, "PER"]]}, "an entity is a list"),
        ({"entities": [{"start_offset": 0, "end_offset": 3, "label": "PER"}]}, "an entity is an object"),
        ({"entities": [ADA], "relations": [{"head": 0, "tail": 1, "type": "x"}]}, "the relation is"),
        ({"entities": [ADA | {"confidence": "high"}]}, "confidence is 'high'"),
    ],
)
def test_an_invalid_result_is_reported_with_its_line(tmp_path, capsys, change, message):
    good = RESULT | {"entities": []}
    assert exported(tmp_path, "brat", good, RESULT | change, options=("--min-confidence", "0.5")) == 2
    assert f"in.jsonl:2: {message}" in capsys.readouterr().err


def test_labels_without_a_confidence_are_kept(tmp_path):
    unsure = ADA | {"start": 8, "end": 11, "confidence": 0.4}
    self_ = [{"head": 0, "tail": 0, "type": "self", "confidence": None}]
    post = RESULT | {"entities": [ADA | {"confidence": None}, unsure], "relations": self_}
    assert exported(tmp_path, "label-studio", post, options=("--min-confidence", "0.5")) == 0
    (task,) = json.loads((tmp_path / "out").read_text(encoding="utf-8"))
    assert [item["type"] for item in task["predictions"][0]["result"]] == ["labels", "relation"]


@pytest.mark.parametrize("to", ["brat", "spacy"])
def test_relations_between_spans_that_are_not_entities_are_counted(tmp_path, capsys, to):
    if to == "spacy":
        pytest.importorskip("spacy", reason="spaCy is not installed")
    relations = [{"head": ADA, "tail": {"start": 8, "end": 11}, "type": type_} for type_ in ("x", "y")]
    post = {"id": 1, "text": "Ada met Bob", "entities": [ADA], "relations": relations}
    assert exported(tmp_path, to, post) == 0
    assert "relations between spans that are not entities (2)" in capsys.readouterr().err


def test_standard_output_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, _ = results.write(tmp_path)
    for options in (["-"], ["tasks.json", "--config", "-"]):
        with pytest.raises(SystemExit, match="2"):
            main(["export", str(found), *options, "--to", "label-studio"])
        assert "'-' names standard output, which is not written here" in capsys.readouterr().err


def test_posts_that_extract_rejected_are_skipped(tmp_path, capsys):
    found, posts = results.write(tmp_path)
    records = [json.loads(line) for line in posts.read_text(encoding="utf-8").splitlines()]
    records[1] = {"id": "too long", "text": "a" * 300_000}
    posts.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    run = ["export", str(found), str(tmp_path / "out.conll"), "--to", "conll", "--posts", str(posts)]
    assert main(run) == 0
    assert [post.id for post in open_corpus(tmp_path / "out.conll")] == IDS
    capsys.readouterr()
    posts.write_text("\n".join(map(json.dumps, records[:2])), encoding="utf-8")
    (tmp_path / "out.conll").unlink()
    assert main(run) == 2
    assert "out.jsonl:2: the post 2 of this result is not among" in capsys.readouterr().err
    assert not (tmp_path / "out.conll").exists()
