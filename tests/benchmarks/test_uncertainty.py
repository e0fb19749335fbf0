"""The whole comparison on a tiny corpus: it trains, resumes, checks, and writes metrics and tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import uncertainty
from quick_export import quick_exports
from tiny_training import line, save_encoder
from uncertainty import main

from twofold.errors import DataError
from twofold.training import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.thorough,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(900),
]

CONFIG = """
[model]
text = "{encoder}"
sources = ["alt_text"]
window_pieces = 48
context_words = 4

[training]
epochs = 9
patience = 0
batch_size = 6
encoder_lr = 5e-3
head_lr = 1e-2
crf_lr = 1e-2
average = 0.5
token_masking = 0.0
device = "cpu"
precision = "float32"
"""
MODELS = [
    "log_linear-1",
    "log_linear-2",
    "prior_corrected-1",
    "discounted-1",
    "monig-1",
    "default-1",
    "dirichlet-1",
    "concat-1",
]
ENSEMBLE, DROPOUT = "log_linear, ensemble of 2", "log_linear-1, MC dropout"


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Export quickly, since the exported graphs are tested with the fusions."""
    with quick_exports():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DATA folder in the layout that the command expects, and a configuration."""
    folder = tmp_path_factory.mktemp("uncertainty")
    for part in ("twitter2017", "pictures/standins", "captions"):
        (folder / part).mkdir(parents=True)
    (folder / "captions" / "captions.tsv").write_text("image\tcaption\n", encoding="utf-8")
    (folder / "twitter2017" / "train.txt").write_text("".join(map(line, range(24))), encoding="utf-8")
    (folder / "twitter2017" / "valid.txt").write_text("".join(map(line, range(40))), encoding="utf-8")
    encoder = save_encoder(folder / "encoder")
    (folder / "tiny.toml").write_text(CONFIG.format(encoder=encoder.as_posix()), encoding="utf-8")
    return folder


def command(data: Path, *options: str) -> dict:
    paths = [
        "--data",
        data,
        "-o",
        data / "models",
        "--config",
        data / "tiny.toml",
        "--json",
        data / "u.json",
    ]
    main(
        [*map(str, paths), "--members", "2", "--passes", "3", "--resamples", "20", "--epochs", "3", *options]
    )
    file = data / "u.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


@pytest.fixture(scope="module")
def found(data: Path) -> dict:
    """Trained in two commands, as on two machines, then evaluated."""
    assert command(data, "--train-only", "--only", "log_linear*") == {}
    return command(data)


def test_every_method_is_listed_with_its_passes_and_trainings(found: dict) -> None:
    assert list(found["methods"]) == [MODELS[0], DROPOUT, ENSEMBLE, *MODELS[2:]]
    costs = {row["method"]: (row["passes"], row["trainings"]) for row in found["own"]}
    assert costs == dict.fromkeys(MODELS[:1] + MODELS[2:], (1, 1)) | {DROPOUT: (3, 1), ENSEMBLE: (2, 2)}
    names = [(row["method"], row["measure"]) for row in found["own"]]
    assert len(set(names)) == len(names)
    assert names == [(row["method"], row["measure"]) for row in found["common"]]
    measures = {method: {m for name, m in names if name == method} for method in found["methods"]}
    assert measures["monig-1"] == measures["log_linear-1"]
    assert {"aleatoric", "epistemic", "total", "1/√γ", "−(γ+2α)"} < measures["monig-1"]
    assert measures["concat-1"] == {
        f"{name}{more}" for name in ("CRF marginal", "softmax of emissions") for more in ("", ", temperature")
    }
    assert len(measures["dirichlet-1"] - measures["concat-1"]) == 4


def test_metrics_are_of_one_half_and_temperatures_of_the_other(found: dict) -> None:
    assert found["posts"] + found["calibration_posts"] == 40
    assert found["evaluated_on"].startswith("second half")
    suffix = ", temperature"
    for rows in (found["own"], found["common"]):
        scaled = {row["measure"].removesuffix(suffix) for row in rows if row["measure"].endswith(suffix)}
        for row in rows:
            assert (row["temperature"] is not None) == row["measure"].endswith(suffix)
            assert ("ece" in row["metrics"]) == (row["measure"].removesuffix(suffix) in scaled)
    assert len(found["seeds"][0]["metrics"]["aurc"]["values"]) == 2


def test_the_common_spans_are_those_of_the_first_model(found: dict) -> None:
    own = [row for row in found["own"] if row["method"] == "log_linear-1"]
    common = [row for row in found["common"] if row["method"] == "log_linear-1"]
    for a, b in zip(own, common, strict=True):
        assert {k: b["metrics"][k] for k in a["metrics"]} == a["metrics"]


def test_the_table_has_a_line_for_every_row(data: Path, found: dict) -> None:
    lines = (data / "u.md").read_text(encoding="utf-8").splitlines()
    rows = sum(line.startswith("| ") for line in lines)
    assert rows == 3 + len(found["own"]) + len(found["common"]) + len(found["seeds"])


def test_finished_models_are_not_trained_again_and_other_settings_are_refused(
    data: Path, found: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncertainty, "train", lambda *args: pytest.fail("trained again"))
    assert command(data) == found
    other = command(data, "--collect", "--only", "concat-1", "--on", str(data / "twitter2017" / "train.txt"))
    assert (other["posts"], other["evaluated_on"]) == (24, "twitter2017/train.txt")
    assert other["calibration_posts"] == found["calibration_posts"]
    assert list(other["methods"]) == ["concat-1", "concat-1, MC dropout"]
    text = (data / "tiny.toml").read_text(encoding="utf-8")
    (data / "tiny.toml").write_text(text.replace("encoder_lr = 5e-3", "encoder_lr = 1e-3"), encoding="utf-8")
    with pytest.raises(DataError, match="other settings"):
        command(data)
    (data / "tiny.toml").write_text(text, encoding="utf-8")


def test_a_network_that_does_not_match_its_folder_is_refused(
    data: Path, found: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights next to the folder are of another training."""
    models = data / "models"
    weights = [models / f"log_linear-{seed}-3.training" / "weights.safetensors" for seed in (1, 2)]
    original = weights[0].read_bytes()
    weights[0].write_bytes(weights[1].read_bytes())
    try:
        with pytest.raises(DataError, match="differ by"):
            command(data, "--collect", "--only", "log_linear-1")
    finally:
        weights[0].write_bytes(original)


def test_a_killed_training_resumes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        pass

    def kill_in_epoch_2(name: str, line: str) -> None:
        if line.startswith("epoch 2/"):
            raise Killed

    monkeypatch.setattr(uncertainty, "_print_line", kill_in_epoch_2)
    options = ("-o", str(tmp_path), "--only", "concat-1", "--train-only")
    with pytest.raises(Killed):
        command(data, *options)
    assert (tmp_path / "concat-1-3.training" / "checkpoint.pt").exists()
    lines: list[str] = []
    monkeypatch.setattr(uncertainty, "_print_line", lambda name, line: lines.append(line))
    command(data, *options)
    assert any(line.startswith("resuming after epoch") for line in lines)
    assert run.WORK in {path.suffix[1:] for path in tmp_path.iterdir()}
