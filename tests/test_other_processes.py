"""A loaded model in other processes: pickled, spawned, forked."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_model

import twofold
from twofold.conventions import Convention
from twofold.errors import ModelError
from twofold.model_folder.folder import open_folder, write_manifest
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.records import to_line

POSTS = [{"id": i, "text": f"Anna Smith left paris with NASA {'and Bob ' * i}"} for i in range(9)]
CAN_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def lines(extractor) -> list[str]:
    return [to_line(extraction) for extraction in extractor.extract(POSTS)]


def sent(extractor):
    return pickle.loads(pickle.dumps(extractor))


def test_an_extractor_arrives_with_its_options(both, tmp_path, monkeypatch):
    monkeypatch.chdir(both.parent)
    options = {"threads": 1, "cache": Path("features"), "max_characters": 99, "relation_model": "relations"}
    extractor = twofold.load("tagger", **options)
    package = pickle.dumps(extractor)
    assert len(package) < 2000  # it contains no graph
    monkeypatch.chdir(tmp_path)  # relative paths refer to the folder of the sender
    arrived = pickle.loads(package)
    assert lines(arrived) == lines(extractor)
    assert (arrived.pipeline.max_characters, arrived.name) == (99, "tiny+tiny-relations")
    assert arrived.relations == extractor.relations != ()
    assert not (tmp_path / "features").exists()
    assert sent(twofold.load(both, relation_model=False)).relations == ()
    assert lines(sent(arrived)) == lines(extractor)


def test_the_convention_in_use_arrives(both):
    extractor = twofold.load(both, threads=1)
    extractor.pipeline.convention = Convention("none", "mark")
    assert sent(extractor).pipeline.convention == Convention("none", "mark")


def test_another_shipped_model_is_refused_on_arrival(both, monkeypatch):
    monkeypatch.setattr("twofold.pipeline.extractor.default_folder", lambda: both)
    package = pickle.dumps(twofold.load(threads=1))
    monkeypatch.setattr("twofold.pipeline.extractor.default_folder", lambda: both.parent / "tagger")
    with pytest.raises(ModelError, match="not the model that was sent"):
        pickle.loads(package)


def test_another_model_in_the_folder_is_refused_on_arrival(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    package = pickle.dumps(twofold.load(folder, threads=1))
    (folder / "calibration.json").write_text('{"temperature": 2.0}', encoding="utf-8")
    write_manifest(folder)
    with pytest.raises(
        ModelError, match=r"not the model that was sent.*the model 'tiny'.*copy the model folder"
    ):
        pickle.loads(package)


def test_an_extractor_not_made_by_load_cannot_be_pickled(both):
    with pytest.raises(TypeError, match=r"twofold\.load"):
        pickle.dumps(twofold.Extractor(InferencePipeline(open_folder(both))))


@pytest.mark.slow
def test_spawned_processes_give_the_same(both):
    extractor = twofold.load(both, threads=2)
    before = lines(extractor)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(lines, [extractor] * 3) == [before] * 3


@CAN_FORK
@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_forked_processes_give_the_same_and_end(both, threads):
    """Forking with open graphs, while a thread of the parent runs them."""
    program = f"""
import multiprocessing, threading
import twofold
from twofold.records import to_line
extractor = twofold.load({str(both)!r}, threads={threads})
def lines(_=None):
    return [to_line(extraction) for extraction in extractor.extract({POSTS!r})]
before, stop = lines(), threading.Event()
def work():
    while not stop.is_set():
        lines()
busy = threading.Thread(target=work)
busy.start()
with multiprocessing.get_context("fork").Pool(4) as pool:
    same = pool.map(lines, range(4), chunksize=1) == [before] * 4
    pool.close()
    pool.join()
stop.set()
busy.join()
print(same, lines() == before)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "True True", done.stderr
