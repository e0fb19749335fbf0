"""The picture decides: every fusion is trained on the controlled set and must use its picture.

Scores are F1 of exact spans with their types, or of pairs: with one entity or pair per post, the accuracy in
per cent. The training is the real one, with a tiny text encoder and a picture encoder without weights; only
the test of uncertainty uses an exported folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_training import save_encoder  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn.functional import avg_pool2d  # noqa: E402

import twofold  # noqa: E402
from twofold.config import (  # noqa: E402
    BottleneckConfig,
    Config,
    DataConfig,
    EvidentialConfig,
    ModelConfig,
    RelationsConfig,
    TrainingConfig,
)
from twofold.corpora import open_corpus  # noqa: E402
from twofold.encoders.image import ImageEncoder  # noqa: E402
from twofold.models.build import FUSIONS  # noqa: E402
from twofold.posts import Post  # noqa: E402
from twofold.preprocessing.images import PictureSettings  # noqa: E402
from twofold.synthetic.controlled import TASKS, write_controlled  # noqa: E402
from twofold.training import loop, run  # noqa: E402

CONDITIONS = ("matched", "no_picture", "blank", "mismatched", "unambiguous", "unambiguous_mismatched")
BASELINES = {"concat", "dirichlet"}
CHANCE = 50.0
EARLY = {"bottleneck": 3, "multigranular": 5}
"""Epochs for fusions that take large steps; the others get 6."""
Scores = Mapping[str, float]


class PlacedColours(ImageEncoder):
    """Mean colours of a grid of cells, each at its own position among the V values of a region."""

    def __init__(self, grid: int = 4) -> None:
        super().__init__()
        self.grid = grid
        self.settings = PictureSettings(resize=32, crop=32)
        self.regions, self.width = grid**2, 4 * grid**2
        self.fingerprint = f"placed-colours-{grid}"

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, S, S) to regions (B, R, V)."""
        cells = avg_pool2d(pixels, pixels.shape[2] // self.grid).flatten(2).transpose(1, 2)  # (B, R, 3)
        values = torch.cat([cells, torch.ones_like(cells[:, :, :1])], 2)  # (B, R, 4)
        place = torch.eye(self.regions)
        return (place.unsqueeze(2) * values.unsqueeze(2)).flatten(2)  # (B, R, R·4)


def words_of(task: str) -> list[str]:
    templates = TASKS[task]
    frames = [*templates.ambiguous, *(frame for frames in templates.unambiguous.values() for frame in frames)]
    return sorted({word for frame in frames for word in re.findall("[a-z]{2,}", frame)})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the set and an encoder for each task."""
    folder = tmp_path_factory.mktemp("controlled")
    for task in TASKS:
        write_controlled(folder / task, task)
        save_encoder(folder / f"{task}-encoder", words_of(task), width=32)
    return folder


@pytest.fixture(autouse=True)
def placed_colours(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Trainings use `PlacedColours`, and cache features beside the set."""
    monkeypatch.setenv("TWOFOLD_CACHE", str(place / "cache"))
    monkeypatch.setattr(run, "load_image_encoder", lambda name: PlacedColours())


def config(place: Path, task: str, fusion: str, dev: Iterable[str], epochs: int = 6) -> Config:
    data = place / task
    return Config(
        DataConfig((str(data / "train.jsonl"),), tuple(str(data / f"{name}.jsonl") for name in dev)),
        ModelConfig(
            task=task, text_encoder=f"{data}-encoder", fusion=fusion, modalities=("picture",),
            window_pieces=48, context_words=4, weights="float32",
            evidential=EvidentialConfig(loss_weight=0.5),  # its warm-up takes 400 steps, here are fewer
            bottleneck=BottleneckConfig(hidden_size=64),
            relations=RelationsConfig(markers="untyped", tagger=""),  # the set has argument types
        ),
        TrainingConfig(
            epochs=epochs, patience=0, batch_size=32, encoder_lr=3e-3, head_lr=3e-3, crf_lr=1e-2,
            ema_decay=0.9, freeze_embeddings=False, token_masking=0.0, threads=1, device="cpu",
            precision="float32",
        ),
    )  # fmt: skip


@pytest.fixture
def learned(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that trains and returns the last epoch's score in each condition; nothing is exported."""
    monkeypatch.setattr(run, "publish_model", lambda *args: None)
    score = loop.Trainer._score

    def last_score(trainer: loop.Trainer) -> dict[str, float]:
        last = len(trainer.rows) == trainer.config.epochs - 1
        return score(trainer) if last else dict.fromkeys(trainer.data.dev, 0.0)

    monkeypatch.setattr(loop.Trainer, "_score", last_score)

    def train_and_score(task: str, fusion: str) -> Scores:
        settings = config(place, task, fusion, CONDITIONS, EARLY.get(fusion, 6))
        out = run.train(settings, tmp_path / "model", lambda line: None)
        last = json.loads(Path(f"{out}.training/log.jsonl").read_text().splitlines()[-1])
        return {Path(name).stem: value for name, value in last["dev"].items()}

    return train_and_score


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "fusion",
    [
        pytest.param(name, marks=pytest.mark.thorough) if name in BASELINES else name
        for name in sorted(set(FUSIONS) - {"text_only"})
    ],
)
def test_the_picture_decides(learned, task: str, fusion: str) -> None:
    found = learned(task, fusion)
    assert found["matched"] >= 95
    assert found["no_picture"] == pytest.approx(CHANCE, abs=5)  # never above, by construction
    assert found["blank"] == pytest.approx(CHANCE, abs=15)
    assert found["mismatched"] < 10
    assert found["unambiguous"] >= 95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", TASKS)
def test_text_alone_is_at_chance(learned, task: str) -> None:
    found = learned(task, "text_only")
    for name in ("matched", "no_picture", "blank", "mismatched"):
        assert found[name] == pytest.approx(CHANCE, abs=5)
    assert found["unambiguous"] == found["unambiguous_mismatched"] == 100


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("quick_export")
def test_a_wrong_picture_makes_the_evidential_model_less_certain(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    settings = config(place, "entities", "evidential", ["dev"], epochs=10)
    model = twofold.load(run.train(settings, tmp_path / "m", print))

    def uncertainty(name: str) -> float:
        """Mean predictive variance, aleatoric and epistemic, of the entities of a file."""
        posts = [post for post in open_corpus(place / "entities" / f"{name}.jsonl") if isinstance(post, Post)]
        entities = [entity for extraction in model.extract(posts) for entity in extraction.entities]
        assert len(entities) == len(posts)
        return sum(e.uncertainty.aleatoric + e.uncertainty.epistemic for e in entities) / len(entities)

    # Where the text alone determines the type. The factor varies between trainings, from 1.03 to 3.4.
    assert uncertainty("unambiguous_mismatched") > uncertainty("unambiguous")
    assert uncertainty("no_picture") > 1.3 * uncertainty("matched")
    assert uncertainty("mismatched") == pytest.approx(uncertainty("matched"), rel=0.3)  # shuffled pictures
