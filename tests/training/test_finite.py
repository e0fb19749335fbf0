"""A training with NaN or infinite values ends with an error, never with a model."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from twofold.config import Config  # noqa: E402
from twofold.errors import ConfigError, DataError, TrainingError  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.locks import lock_place  # noqa: E402
from twofold.training.loop import Trainer  # noqa: E402
from twofold.training.run import set_up_training, train  # noqa: E402


def silent(line: str) -> None:
    pass


def trainer(config: Config, folder: Path) -> Trainer:
    setup = set_up_training(config, silent)
    return Trainer(setup.model, setup.data, config.training, folder, "identity", silent)


def test_nan_weights_are_named_with_their_step(config: Config, tmp_path: Path) -> None:
    training = trainer(config, tmp_path)
    with torch.no_grad():
        next(training.model.head.parameters()).fill_(math.nan)
    with pytest.raises(TrainingError, match=r"epoch 1, step 1: the weights head\..* hold NaN"):
        training.run()
    assert not (tmp_path / "weights.safetensors").exists()


def test_an_infinite_loss_stops_before_the_weights_change(
    config: Config, tmp_path: Path, monkeypatch
) -> None:
    training = trainer(config, tmp_path)
    before = {name: x.detach().clone() for name, x in training.model.named_parameters()}
    loss = training.model.loss
    monkeypatch.setattr(training.model, "loss", lambda fused, batch: loss(fused, batch) * math.inf)
    with pytest.raises(TrainingError, match="epoch 1, step 1: the loss is inf; expected finite numbers"):
        training.run()
    after = training.model.named_parameters()
    assert [name for name, x in after if not torch.equal(x, before[name])] == []


def test_nan_features_are_named_by_their_modality(config: Config, tmp_path: Path, monkeypatch) -> None:
    training = trainer(config, tmp_path)
    collate = sys.modules["twofold.training.loop"].collate

    def broken(group, tables, pad_id):
        batch = collate(group, tables, pad_id)
        states = torch.full((len(batch.input_ids), 1, 3), math.nan)
        mask = torch.ones(states.shape[:2], dtype=torch.bool)
        return batch._replace(states={"picture": ModalityStates(states, mask)})

    monkeypatch.setattr("twofold.training.loop.collate", broken)
    monkeypatch.setattr(training.model, "loss", lambda fused, batch: fused.emissions.sum() * math.nan)
    monkeypatch.setattr(training.model, "forward", lambda batch, call=training.model.forward: call(
        batch._replace(states={})))  # fmt: skip
    with pytest.raises(TrainingError, match="features of the modality picture hold NaN"):
        training.run()


@pytest.mark.parametrize(("key", "value"), [("epochs", -1), ("head_lr", math.nan), ("batch_size", 0)])
def test_numbers_out_of_range_are_refused_before_training(config, tmp_path, key, value) -> None:
    wrong = dataclasses.replace(config, training=dataclasses.replace(config.training, **{key: value}))
    with pytest.raises(ConfigError, match=f"training.{key} is {value}"):
        train(wrong, tmp_path / "model", silent)
    assert not list(tmp_path.iterdir())


def test_a_second_training_of_one_model_is_refused_and_leaves_the_first_alone(config, tmp_path) -> None:
    with lock_place(tmp_path / "model"), pytest.raises(DataError, match="another run is writing there"):
        train(config, tmp_path / "model", silent, fresh=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_checkpoint_on_a_full_disk_is_an_error(config: Config, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"checkpoint\.pt: cannot be written"):
        trainer(config, tmp_path).run()
