"""``--columns`` and ``--number-rows``: commands that read posts find fields by other names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import tiny_model

from twofold.cli.main import main
from twofold.corpora import open_corpus
from twofold.corpora.post_file import read_posts
from twofold.errors import ConfigError
from twofold.review.store import ReviewStore

NAMES = ("--columns", "id=tweet_id,text=full_text")
GOLD = json.dumps([{"start": 0, "end": 4, "type": "PER"}])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model.build(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two labelled posts whose columns have other names."""
    path = tmp_path / "posts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["tweet_id", "full_text", "entities", "alt_text"])
        rows.writerows([[i, f"Anna left paris {i}", GOLD, f"gate {i}"] for i in range(2)])
    return path


def test_evaluate(model: str, table: Path, tmp_path: Path) -> None:
    assert main(["evaluate", model, str(table), *NAMES, "--json", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["data"]["posts"] == 2
    assert main(["evaluate", model, str(table), "--columns", "text=full_text", "--number-rows"]) == 0


def test_calibrate(model: str, table: Path, tmp_path: Path) -> None:
    with table.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[i, f"Anna left paris {i}", GOLD, ""] for i in range(2, 40)])
    assert main(["calibrate", model, str(table), "-o", str(tmp_path / "out"), *NAMES]) == 0


def test_data(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(table), *NAMES]) == 0
    assert "2 posts" in capsys.readouterr().out
    assert main(["data", "convert", str(table), str(tmp_path / "out.jsonl"), "--to", "jsonl", *NAMES]) == 0
    assert [post.id for post in open_corpus(tmp_path / "out.jsonl")] == ["0", "1"]


def test_posts_of_results(model: str, table: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.jsonl"
    assert main(["extract", str(table), "--model", model, *NAMES, "-o", str(found)]) == 0
    posts = ["--posts", str(table), *NAMES]
    target = tmp_path / "tasks.json"
    assert main(["export", str(found), str(target), "--to", "label-studio", *posts]) == 0
    assert "gate 1" in target.read_text(encoding="utf-8")
    assert main(["review", str(found), "--figures", *posts]) == 0
    store = ReviewStore(found.with_name("found.jsonl.review"))
    assert {store.post(i).alt_text for i in range(2)} == {"gate 0", "gate 1"}
    store.close()


def test_in_python(table: Path) -> None:
    posts = list(read_posts(table, columns={"text": "full_text"}, number_rows=True))
    assert [post.id for post in posts] == [f"{table}:2", f"{table}:3"]
    with pytest.raises(ConfigError, match="unknown field 'tweet_id'"):
        read_posts(table, columns={"tweet_id": "id"})
