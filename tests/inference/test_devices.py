"""Graphs on a GPU, with a mock of ONNX Runtime's sessions: what is requested, and what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import tiny_model
from batch_runs import posts, write

import twofold
from twofold.cli.main import main
from twofold.errors import ConfigError, MissingExtraError

GPU, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
POSTS = posts(12)
Session = onnxruntime.InferenceSession


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def gpu(monkeypatch):
    """A mock of ONNX Runtime's GPU build: its sessions run on the CPU.

    Returns what was requested of it, and in ``used`` the providers that sessions claim to use.
    """
    requested: dict[str, Any] = {"opened": [], "used": [GPU, CPU]}

    class OnGpu:
        def __init__(self, path, options, providers, **more):
            if isinstance(requested["used"], Exception):
                raise requested["used"]
            requested["opened"].append((Path(path).name, providers, options, more))
            self._session = Session(path, options, providers=[CPU])

        def get_providers(self):
            return requested["used"]

        def __getattr__(self, name):
            return getattr(self._session, name)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [GPU, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnGpu)

    def libraries():
        print("Failed to load libcudnn.so.9")  # as the function does
        requested["opened"].append("libraries")

    monkeypatch.setattr(onnxruntime, "preload_dlls", libraries, raising=False)
    return requested


def test_a_gpu_is_requested_and_gives_the_results_of_the_cpu(model, gpu):
    extractor = twofold.load(model, device="cuda", threads=1)
    assert list(extractor.extract(POSTS)) == list(twofold.load(model, threads=1).extract(POSTS))
    assert extractor.device == pickle.loads(pickle.dumps(extractor)).device == "cuda"
    opened = [item for item in gpu["opened"] if item != "libraries"]
    on_gpu, on_cpu = opened[: len(opened) // 2], opened[len(opened) // 2 :]
    assert gpu["opened"][0] == "libraries"
    for _, providers, options, more in on_gpu:
        assert [providers[0][0], providers[1]] == [GPU, CPU]
        assert providers[0][1]["use_tf32"] == "0"  # calibrated on float32
        assert options.use_deterministic_compute
        assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        assert more == {"enable_fallback": 0}
    assert {item[0] for item in on_gpu} == {item[0] for item in on_cpu} == {"text.onnx", "fusion.onnx"}
    assert all(providers == [CPU] and not more for _, providers, _, more in on_cpu)


def test_there_are_two_devices(model):
    with pytest.raises(ConfigError, match=r"device is 'gpu'; expected cpu or cuda"):
        twofold.load(model, device="gpu")


def test_the_cpu_build_is_refused_with_what_to_install(model, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    extractor = twofold.load(model, device="cuda")  # as on a machine that only submits the work
    with pytest.raises(
        MissingExtraError, match=f"device cuda: .* has no {GPU}, only {CPU}; .*onnxruntime-gpu"
    ):
        list(extractor.extract(POSTS))


@pytest.mark.parametrize(
    ("used", "reason"),
    [
        ([CPU], "cannot use a GPU, and fell back to the CPU"),
        (RuntimeError("no CUDA-capable device"), "cannot open the graph on a GPU: no CUDA-capable device"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_refused_before_anything_is_written(
    model, gpu, tmp_path, monkeypatch, capsys, used, reason
):
    gpu["used"] = used
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "posts.jsonl", POSTS)
    for out in ("found/", "found.jsonl"):
        assert main(["extract", "posts.jsonl", "--model", str(model), "-o", out, "--device", "cuda"]) == 2
        message = capsys.readouterr().err
        assert f"fusion.onnx: device cuda: ONNX Runtime {onnxruntime.__version__} {reason}" in message
        assert "expected an NVIDIA GPU" in message
        assert "or use the device cpu" in message
    assert [path.name for path in tmp_path.iterdir()] == ["posts.jsonl"]


def test_standard_output_holds_results_and_nothing_else(model, gpu, capsys):
    assert main(["extract", "--text", "Anna left", "--model", str(model), "--device", "cuda"]) == 0
    shown = capsys.readouterr()
    assert [entity["text"] for entity in json.loads(shown.out)["entities"]] == ["Anna"]
    assert "Failed to load libcudnn" in shown.err


def test_a_run_is_not_resumed_on_another_device(model, gpu, tmp_path, capsys):
    source, out = write(tmp_path / "posts.jsonl", POSTS), f"{tmp_path}/found/"
    arguments = ["extract", str(source), "--model", str(model), "-o", out]
    assert main([*arguments, "--device", "cuda"]) == 0
    assert main(arguments) == 2
    assert "the earlier run had a different --device: cuda, now cpu" in capsys.readouterr().err


def test_8_bit_products_give_a_warning_on_a_gpu(model, caplog):
    twofold.load(model, device="cuda")
    twofold.load()
    assert not caplog.messages
    twofold.load(device="cuda")  # the shipped model
    (message,) = caplog.messages
    assert message.count(".onnx") == 3  # text, and the fusions of entities and relations
    assert "text.onnx" in message.partition(": 8-bit matrix products")[0]
    assert 'weights = "float32" or "8bit_weights"' in message
