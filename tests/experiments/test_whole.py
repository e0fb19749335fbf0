"""A whole table on a tiny corpus: killed at any moment, it ends with the results of one never killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import quick_reproduce
from tiny_training import save_encoder, write_corpus

from twofold.experiments.plan import runs_of
from twofold.experiments.runs import Runs
from twofold.experiments.table import read_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TABLE = """
seeds = [1]

[model]
text = "{encoder}"
window_pieces = 48
context_words = 4
weights = "float32"

[training]
epochs = 3
patience = 0
batch_size = 6
encoder_lr = 5e-3
head_lr = 1e-2
crf_lr = 1e-2
average = 0.5
precision = "float32"
device = "cpu"

[data.tiny]
train = ["train.jsonl"]
dev = ["dev.jsonl"]
report = "dev.jsonl"

[methods.text_only.model]
fusion = "text_only"
modalities = []

[methods.concat.model]
fusion = "concat"
modalities = ["alt_text"]

[methods.broken.model]
fusion = "no_such_fusion"
"""
SLOW_EXIT = 300


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_corpus(tmp_path_factory.mktemp("table"))
    encoder = save_encoder(folder / "encoder")
    (folder / "tiny.toml").write_text(TABLE.format(encoder=encoder.as_posix()), encoding="utf-8")
    return folder / "tiny.toml"


def command(table: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, quick_reproduce.__file__, str(table), "-o", str(out), *options]


def finish(table: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(table, out, *options), capture_output=True, text=True, timeout=SLOW_EXIT)


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SLOW_EXIT
    while not list(folder.glob(pattern)):
        assert process.poll() is None, f"it ended before {pattern} was there"
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a table without interruption, two jobs at a time, with one run that fails."""
    out = tmp_path_factory.mktemp("whole")
    done = finish(table, out, "--jobs", "2")
    assert done.returncode == 1, done.stderr
    assert "tiny/broken/1: failed" in done.stdout
    assert "no_such_fusion" in done.stdout
    return out


def results(table: Path, out: Path) -> dict[str, dict]:
    runs = Runs(out / "runs")
    found = {run.method: runs.result(run) for run in runs_of(read_table(table))}
    return {name: dict(result) for name, result in found.items() if result is not None}


def test_results_of_a_whole_table(table: Path, whole: Path) -> None:
    found = results(table, whole)
    assert set(found) == {"text_only", "concat"}
    summary = json.loads((whole / "tiny.json").read_text(encoding="utf-8"))
    assert summary["missing"] == ["tiny/broken/1"]
    for row in summary["data"][0]["methods"]:
        # The dev scores of the card and the counts of the report are of the same model on the same file.
        card = next(iter(found[row["name"]]["dev"].values()))
        assert row["scores"]["lenient"]["all"]["f1"]["mean"] == pytest.approx(
            card["lenient"]["all"]["f1"], abs=0.01
        )
        assert row["scores"]["lenient"]["all"]["f1"]["mean"] > 50
        assert 0 < row["parameters"]["trainable"] <= row["parameters"]["total"]
        assert row["seconds"]["relative"] > 0
    assert not list(whole.glob("runs/*/model*"))
    assert "dev; epoch chosen on it" in (whole / "tiny.md").read_text(encoding="utf-8")
    assert "lunch" not in (whole / "tiny.json").read_text(encoding="utf-8")


def test_a_killed_table_resumes(table: Path, whole: Path, tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("wb") as stream:
        process = subprocess.Popen(command(table, tmp_path, "--only", "concat"), stdout=stream, stderr=stream)
        wait_for("runs/*/model.training/checkpoint.pt", tmp_path, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    time.sleep(0.5)  # the processes that it started end with it
    assert results(table, tmp_path) == {}
    done = finish(table, tmp_path, "--only", "concat", "--keep-models")
    assert done.returncode == 0, done.stdout + done.stderr
    again, before = results(table, tmp_path)["concat"], results(table, whole)["concat"]
    assert again["outcomes"] == before["outcomes"]
    assert [row["loss"] for row in again["epochs"]] == [row["loss"] for row in before["epochs"]]
    log = next(tmp_path.glob("runs/*/log.txt")).read_text(encoding="utf-8")
    assert log.count("resuming after epoch") == 1
    model = next(tmp_path.glob("runs/*/model"))
    assert (model / "manifest.json").exists()
    # A run killed between model and result is evaluated, not trained again.
    written = (model / "manifest.json").stat().st_mtime_ns
    (model.parent / "result.json").unlink()
    assert finish(table, tmp_path, "--only", "concat", "--keep-models").returncode == 0
    assert results(table, tmp_path)["concat"]["outcomes"] == before["outcomes"]
    assert (model / "manifest.json").stat().st_mtime_ns == written


def test_finished_runs_are_left_alone(table: Path, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.glob("runs/*/result.json")}
    reproduce = [sys.executable, "-m", "twofold", "reproduce", str(table), "-o", str(whole)]
    done = subprocess.run([*reproduce, "--only", "text_only", "concat"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "started" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in whole.glob("runs/*/result.json")} == before
    listed = finish(table, whole, "--list").stdout.splitlines()
    assert [line.split("\t")[:2] for line in listed] == [
        ["done", "tiny/text_only/1"], ["done", "tiny/concat/1"], ["to do", "tiny/broken/1"],
    ]  # fmt: skip
