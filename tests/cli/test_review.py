"""``twofold review``: the server as a separate process, and the commands without a page."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from review.queue_of_posts import result, write_results

from twofold.cli.main import main
from twofold.corpora import open_corpus
from twofold.review.decisions import Decision
from twofold.review.store import ReviewStore

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "out.jsonl", result("a", 0.9, 0.4), result("b", 0.6))


def begin(results: Path, *options: str) -> ReviewStore:
    """Begin a review with the command; there is nothing to export yet."""
    main(["review", str(results), "--figures", *options])
    return ReviewStore(results.with_name("out.jsonl.review"))


def test_decisions_become_training_data(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = begin(results)
    store.decide(0, "ada", [Decision("entity", 1, "correct", type="PER"), Decision("finish")])
    store.close()
    assert main(["review", str(results), "--export", str(tmp_path / "train.jsonl"), "--figures"]) == 0
    printed = capsys.readouterr()
    assert "1 post with 2 entities and 0 relations" in printed.err
    assert "finished: 1 of 2 posts" in printed.out
    assert "wrong among the entities decided: 50.0 %" in printed.out
    assert "decided   wrong (confidences)   wrong (decisions)" in printed.out
    (post,) = open_corpus(tmp_path / "train.jsonl")
    assert [(e.text, e.type) for e in post.entities] == [("Ada Berg", "PER"), ("Bob", "PER")]
    assert main(["data", "check", str(tmp_path / "train.jsonl")]) == 0


def test_pictures_and_alt_texts_come_from_the_posts(results: Path, tmp_path: Path) -> None:
    posts = [{"id": i, "text": result()["text"], "image": "p.jpg", "alt_text": "x"} for i in "ab"]
    write_results(tmp_path / "posts.jsonl", *posts)
    store = begin(
        results, "--posts", str(tmp_path / "posts.jsonl"), "--choose-from", "EVENT, PER", "--overlap", "1"
    )
    assert (store.post(0).picture, store.post(1).alt_text) == (tmp_path / "p.jpg", "x")
    assert store.types == ["EVENT", "PER", "ORG"]
    assert [store.next("ada"), store.next("bob")] == [0, 0]
    store.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["absent.jsonl", "--figures"], "cannot be read"),
        (["out.jsonl", "--figures", "--overlap", "2"], "--overlap"),
        (["out.jsonl", "--last-decides"], "--export"),
        (["out.jsonl", "--figures", "--images", "."], "--posts"),
        (["out.jsonl", "--export", "train.jsonl"], "no post is finished"),
        (["out.jsonl", "--export", "out.jsonl"], "is the same file"),
        (["out.jsonl", "--figures", "--posts", "out.jsonl", "--store", "absent/x.db"], "cannot be written"),
        (["posts.jsonl", "--figures"], "posts.jsonl:1: holds posts, not results; expected results of"),
        (["out.jsonl", "--figures", "--posts", "posts.jsonl"], "the post 'a' of this result is not among"),
    ],
)
def test_mistakes_are_reported(
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(results.parent)
    posts = write_results(results.with_name("posts.jsonl"), {"id": 1, "text": "Ada", "entities": None})
    before = results.read_bytes()
    assert main(["review", *options]) == 2
    assert message in capsys.readouterr().err
    assert results.read_bytes() == before
    assert set(results.parent.iterdir()) == {results, posts}


@pytest.mark.parametrize("option", ["--export", "--store"])
def test_standard_output_is_refused(results: Path, capsys: Capture, option: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["review", str(results), option, "-"])
    assert "standard output" in capsys.readouterr().err


def test_a_review_belongs_to_its_results(results: Path, capsys: Capture) -> None:
    begin(results).close()
    write_results(results, result("z", 0.1))
    assert main(["review", str(results), "--figures"]) == 2
    assert "other results" in capsys.readouterr().err


@contextmanager
def running(results: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command as a process, and its port."""
    program = [sys.executable, "-m", "twofold", "review", str(results), "--port", "0"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    yield process, int(found[1])
                    break
            else:
                pytest.fail("it never listened")
        finally:
            process.kill()


def ask(port: int, path: str, body: dict | None = None) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"}
    try:
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        return content
    finally:
        connection.close()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_review_loses_no_decision_and_is_resumed(results: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra serve")
    accept = {"reviewer": "ada", "decisions": [{"about": "entity", "item": 0, "answer": "accept"}]}
    with running(results) as (process, port):
        number = ask(port, "/v1/review/next", {"reviewer": "ada"})["post"]["number"]
        ask(port, f"/v1/review/posts/{number}", accept)
        process.send_signal(signal.SIGKILL)
    with running(results) as (process, port):
        found = ask(port, "/v1/review/next", {"reviewer": "ada"})["post"]
        assert (found["number"], found["entities"][0]["answer"]) == (number, "accept")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_without_the_extra_the_error_names_it(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from twofold.cli import network_options

    monkeypatch.setattr(network_options.importlib.util, "find_spec", lambda name: None)
    assert main(["review", str(results)]) == 2
    assert "twofold[serve]" in capsys.readouterr().err
    assert not results.with_name("out.jsonl.review").exists()
