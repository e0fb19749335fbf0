"""The same step on a Ray cluster: whichever process dies, no part is lost or repeated."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_model

from twofold.batch.ray_engine import StreamItem, _in_order, run_on_ray
from twofold.batch.step import Step
from twofold.errors import ConfigError, DataError, MissingExtraError


def test_parts_are_put_in_order_and_used_once():
    rows: list[StreamItem] = [(1, "b"), (0, "a"), (1, "b"), (3, "d"), (0, "a"), (4, None), (2, "c")]
    found: list[object] = [*_in_order(rows)]
    assert found == ["a", "b", "c", "d"]
    assert list(_in_order([(0, None)])) == []


@pytest.mark.parametrize("rows", [[], [(0, "a")], [(0, "a"), (2, "c"), (3, None)], [(0, "a"), (1, "b")]])
def test_a_missing_part_ends_the_run(rows):
    with pytest.raises(DataError, match=r"not the next one.*to resume"):
        list(_in_order(rows))


def test_the_error_of_an_actor_is_raised_unchanged():
    error = pickle.loads(pickle.dumps(MissingExtraError("no GPU", where="device cuda", do="add one")))
    parts = _in_order([(1, error), (0, "a")])
    with pytest.raises(MissingExtraError, match="device cuda: no GPU; add one"):
        list(parts)


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"need the package ray.*twofold\[ray\]"):
        next(run_on_ray(Step(), None, []))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("set the `--address` flag"), "cluster at 'auto'; expected"),
        (ValueError("Invalid address format"), "cluster at 'auto': Invalid address format; expected"),
        (RuntimeError("Failed to connect to GCS"), "cluster at 'auto': Failed to connect to GCS; expected"),
    ],
)
def test_without_a_cluster_at_its_address_the_error_says_what_to_do(monkeypatch, error, message):
    def refuse(**options):
        raise error

    stub = SimpleNamespace(is_initialized=lambda: False, init=refuse)
    monkeypatch.setitem(sys.modules, "ray", stub)
    monkeypatch.setitem(sys.modules, "ray.data", SimpleNamespace())
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(ConfigError) as caught:
        next(run_on_ray(Step(), None, []))
    assert str(caught.value).startswith(f"RAY_ADDRESS: Ray cannot connect to a {message}")
    assert str(caught.value).endswith("; start a cluster, or unset RAY_ADDRESS, so that Ray starts one here")
    monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(type(error), match=str(error)):
        next(run_on_ray(Step(), None, []))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra ray)")
def test_a_cluster_survives_the_death_of_a_node_of_the_command_and_of_a_process(tmp_path):
    model = tiny_model.build(tmp_path / "model")
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    slow_machine = {"RAY_raylet_start_wait_time_s": "300"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(here / "ray_runs.py"), str(model), str(tmp_path)],
        env=os.environ | slow_machine | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"check"')]
    found = {item.pop("check"): item for item in lines}
    assert found["a node killed"] == {"same": True, "parts": 32, "nodes": 2}, done.stderr
    assert found["deadly"]["rejected"] == [1, 0]
    assert "the process that read it died" in found["deadly"]["rejects"]
    refused = found["changed input"]["error"]
    assert re.fullmatch(
        "DataError: rows 1 to 4 of the input changed since.* to discard what was done", refused
    )
    gpus = found["gpus"]
    assert gpus["none"].startswith(
        "ConfigError: device cuda: the cluster has no GPU; expected a node with a GPU"
    )
    assert gpus["gpus"] in (["0"], ["1"], ["0", "1"])  # when the pool grows is up to Ray
    assert gpus["order"] == list(range(32))
    assert re.match(r"MissingExtraError: device cuda: .* has no CUDAExecutionProvider", gpus["no_build"])
    run = found["the command killed"]
    assert run["midway"], run
    assert run["codes"] == [1, -signal.SIGKILL, 2, 1], run  # a record is rejected
    assert "the earlier run had a different --min-confidence: none, now 0.5" in run["refused"]
    assert re.search("resuming an unfinished run: .* rows are already done", run["ended"])
    assert run["same"]
