"""Graphs on a GPU, with a stand-in for ONNX Runtime's sessions: what is asked for, and what is refused."""

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
    """ONNX Runtime as its build for GPUs is: sessions say where they run, and run on the processor.

    Gives what was asked of it, and in ``used`` the providers that sessions say they use.
    """
    asked: dict[str, Any] = {"opened": [], "used": [GPU, CPU]}

    class OnGpu:
        def __init__(self, path, options, providers, **more):
            if isinstance(asked["used"], Exception):
                raise asked["used"]
            asked["opened"].append((Path(path).name, providers, options, more))
            self._session = Session(path, options, providers=[CPU])

        def get_providers(self):
            return asked["used"]

        def __getattr__(self, name):
            return getattr(self._session, name)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [GPU, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnGpu)

    def libraries():
        print("Failed to load libcudnn.so.9")  # as the function does
        asked["opened"].append("libraries")

    monkeypatch.setattr(onnxruntime, "preload_dlls", libraries, raising=False)
    return asked


def test_a_gpu_is_asked_for_and_gives_what_the_processor_gives(model, gpu):
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


def test_the_build_for_processors_is_refused_with_what_to_install(model, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    extractor = twofold.load(model, device="cuda")  # as where a cluster is told what to do
    with pytest.raises(
        MissingExtraError, match=f"device cuda: .* has no {GPU}, only {CPU}; .*onnxruntime-gpu"
    ):
        list(extractor.extract(POSTS))


@pytest.mark.parametrize(
    ("used", "said"),
    [
        ([CPU], "cannot use a GPU, and took the processor"),
        (RuntimeError("no CUDA-capable device"), "cannot open the graph on a GPU: no CUDA-capable device"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_refused_before_anything_is_written(
    model, gpu, tmp_path, monkeypatch, capsys, used, said
):
    gpu["used"] = used
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "posts.jsonl", POSTS)
    for out in ("found/", "found.jsonl"):
        assert main(["extract", "posts.jsonl", "--model", str(model), "-o", out, "--device", "cuda"]) == 2
        message = capsys.readouterr().err
        assert f"fusion.onnx: device cuda: ONNX Runtime {onnxruntime.__version__} {said}" in message
        assert "expected a GPU of NVIDIA" in message
        assert "or take the device cpu" in message
    assert [path.name for path in tmp_path.iterdir()] == ["posts.jsonl"]


def test_standard_output_holds_results_and_nothing_else(model, gpu, capsys):
    assert main(["extract", "--text", "Anna left", "--model", str(model), "--device", "cuda"]) == 0
    shown = capsys.readouterr()
    assert [entity["text"] for entity in json.loads(shown.out)["entities"]] == ["Anna"]
    assert "Failed to load libcudnn" in shown.err


def test_a_run_does_not_go_on_on_another_device(model, gpu, tmp_path, capsys):
    source, out = write(tmp_path / "posts.jsonl", POSTS), f"{tmp_path}/found/"
    arguments = ["extract", str(source), "--model", str(model), "-o", out]
    assert main([*arguments, "--device", "cuda"]) == 0
    assert main(arguments) == 2
    assert "an unfinished run is here with another --device: cuda, and now cpu" in capsys.readouterr().err


def test_products_in_8_bits_are_told_where_the_device_is_a_gpu(model, caplog):
    twofold.load(model, device="cuda")
    twofold.load()
    assert not caplog.messages
    twofold.load(device="cuda")  # the model of the package
    (message,) = caplog.messages
    assert message.count(".onnx") == 3  # text, and the fusions of entities and relations
    assert "text.onnx" in message.partition(": multiplied in 8 bits")[0]
    assert 'weights = "float32" or "8bit_weights"' in message
