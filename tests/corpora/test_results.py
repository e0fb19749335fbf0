"""Results of `twofold extract`: every format gives the records of its JSON Lines, and none gives labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_model

from twofold.batch.part_formats import PART_FORMATS, encode
from twofold.cli.main import main
from twofold.corpora import open_corpus, parse_post
from twofold.corpora.results import holds_results, no_labels, result_files, result_records
from twofold.errors import DataError
from twofold.posts import (
    Entity,
    Extraction,
    PictureReport,
    Post,
    Relation,
    SourceEvidence,
    Truncation,
    Uncertainty,
)
from twofold.records import to_record

pytest.importorskip("pyarrow", reason="needs the extra scale")

TEXT = 'Ada met\n"Bob", 😀; said\tshe'
ADA = Entity(
    0, 3, "Ada", "PER", 0.875, Uncertainty(0.5, 0.25), {"text": SourceEvidence(1.0, 0.5, 0.25)},
    review=True, candidates=("PER", "none"),
)  # fmt: skip
BOB = Entity(9, 12, "Bob", "PER", 0.5)
FOUND = [
    Extraction(
        "a", TEXT, (ADA, BOB), PictureReport("unreadable", "missing"), "m", (),
        (Relation(BOB, ADA, "/per/per/peer", 0.75),), (Truncation("pairs", 64, 90),),
    ),
    Extraction("b", "", (), PictureReport("none"), "m"),
]  # fmt: skip


def written(folder: Path, format_: str, carried: tuple[str, ...] = ()) -> Path:
    path = folder / f"found.{format_}"
    values = dict.fromkeys(carried, "en")
    posts = [Post(x.id, x.text, carried=values) for x in FOUND]
    path.write_bytes(encode([*zip(posts, FOUND, strict=True)], format_, carried, header=True))
    return path


def records(path: Path) -> list[dict]:
    return [record for _, record in result_records(path)]


@pytest.mark.parametrize("format_", PART_FORMATS)
def test_every_format_gives_the_same_records(tmp_path, format_):
    path = written(tmp_path, format_)
    assert holds_results(path)
    assert records(path) == [to_record(extraction) for extraction in FOUND]
    assert [r["carried"] for r in records(written(tmp_path, format_, ("lang",)))] == [{"lang": "en"}] * 2


@pytest.mark.parametrize("format_", PART_FORMATS)
def test_results_are_read_as_unlabelled_posts(tmp_path, format_):
    posts = list(open_corpus(written(tmp_path, format_)))
    assert [(post.id, post.text, post.entities, post.relations) for post in posts] == [
        ("a", TEXT, None, None),
        ("b", "", None, None),
    ]


def test_a_result_from_python_is_unlabelled_but_a_post_with_its_keys_is_not():
    assert parse_post(to_record(FOUND[0])).entities is None
    labelled = {"id": 1, "text": "Ada", "entities": [{"start": 0, "end": 3, "type": "PER"}]}
    assert len(parse_post(labelled | {"model": "iPhone", "picture": "a.jpg"}).entities) == 1


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize("format_", ["jsonl.gz", "csv", "parquet"])
def test_a_folder_is_read_part_by_part(model, tmp_path, capsys, monkeypatch, format_):
    lines = [json.dumps({"id": str(i), "text": f"Anna left NASA {i}"}) for i in range(5)]
    posts, folder = tmp_path / "posts.jsonl", tmp_path / "found"
    posts.write_text("\n".join(["{}", *lines]), encoding="utf-8")
    run = ["extract", "--model", str(model), "--threads", "1", str(posts), "-o"]
    assert main([*run, str(tmp_path / "plain.jsonl")]) == 1
    assert main([*run, f"{folder}/", "--format", format_, "--shard-rows", "1"]) == 1
    assert len(result_files(folder)) == 6  # one of them without a result
    plain = [json.loads(line) for line in (tmp_path / "plain.jsonl").read_text("utf-8").splitlines()]
    assert records(folder) == plain
    assert any(entity["sources"] for record in plain for entity in record["entities"])
    capsys.readouterr()
    assert main(["export", str(folder), str(tmp_path / "tasks.json"), "--to", "label-studio"]) == 0
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    assert [task["data"]["id"] for task in tasks] == [record["id"] for record in plain]
    assert main(["review", str(folder), "--figures"]) == 0
    monkeypatch.chdir(folder)
    assert main(["review", ".", "--figures"]) == 0  # the same review
    assert "finished: 0 of 5 posts" in capsys.readouterr().out
    (folder / "_manifest" / "done.json").unlink()
    assert main(["export", str(folder), str(tmp_path / "again.json"), "--to", "label-studio"]) == 2
    assert "is not finished" in capsys.readouterr().err


def test_what_is_not_a_result_is_refused_by_name(tmp_path):
    post, table = tmp_path / "posts.jsonl", tmp_path / "posts.csv"
    post.write_text('{"id": 1, "text": "Ada", "entities": null}\n', encoding="utf-8")
    table.write_text("id,text\n1,Ada\n", encoding="utf-8")
    for path in (post, table):
        assert not holds_results(path)
        with pytest.raises(DataError, match=r"posts\.\w+:\d: holds posts, not results; .*twofold extract"):
            records(path)
    (tmp_path / "rejects.jsonl").write_text('{"origin": "a:1", "reason": "x", "raw": ""}', encoding="utf-8")
    with pytest.raises(DataError, match=r"rejects\.jsonl:1: is not a result"):
        records(tmp_path / "rejects.jsonl")
    (tmp_path / "found.csv").write_text(
        "id,text,entities,relations,picture_status,picture_reason,model,truncated\n1,Ada,[,[],none,,m,\n"
    )
    with pytest.raises(DataError, match=r"found\.csv:2: entities is not JSON"):
        records(tmp_path / "found.csv")
    with pytest.raises(DataError, match="a folder without results"):
        records(tmp_path)
    assert not holds_results(tmp_path)


def test_data_without_labels_are_named_as_results(tmp_path, capsys):
    path = written(tmp_path, "csv.gz")
    assert "is a result of `twofold extract`, not labels" in str(no_labels(str(path), "labels"))
    assert "no labelled post" in str(no_labels("", "labels"))
    assert main(["data", "check", str(path)]) == 0
    assert "is a result of `twofold extract`, not labels: export it" in capsys.readouterr().out
