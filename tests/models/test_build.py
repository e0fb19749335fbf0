"""Names to objects: the options of system B's ablations, and unknown names."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from twofold.config import ModelConfig, MultigranularConfig  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402
from twofold.fusion.multigranular import Multigranular  # noqa: E402
from twofold.models.build import build_model  # noqa: E402

LABELS = ["O", "B-PER", "I-PER"]
FULL = ModelConfig(fusion="multigranular", modalities=("picture", "objects"))


class Encoder(torch.nn.Module):
    """A stub encoder, of which only the width is used."""

    width = 8


def fusion(config: ModelConfig, labels: list[str] = LABELS) -> Multigranular:
    built = build_model(config, labels, Encoder(), Encoder(), neighbours=4).fusion
    assert isinstance(built, Multigranular)
    return built


def options(**values: object) -> ModelConfig:
    return replace(FULL, multigranular=MultigranularConfig(**values))


@pytest.mark.parametrize("form", ["corrected", "faithful"])
def test_the_full_model_has_all_parts(form):
    whole = fusion(options(form=form))
    assert whole.modalities == ("text", "picture", "objects", "neighbours")
    assert whole.augment is not None
    assert whole.auxiliary is not None
    assert whole.auxiliary_weight == 0.5


@pytest.mark.parametrize("form", ["corrected", "faithful"])
def test_each_ablation_leaves_one_part_out(form):
    assert fusion(options(form=form, augmentation="none")).augment is None
    assert fusion(options(form=form, augmentation="none")).modalities == ("text", "picture", "objects")
    assert set(fusion(replace(options(form=form), modalities=("objects",))).interactions) == {"objects"}
    assert set(fusion(replace(options(form=form), modalities=("picture",))).interactions) == {"picture"}
    without = fusion(options(form=form, auxiliary_weight=0.0))
    assert without.auxiliary is None
    assert without.encode_auxiliary is None


def test_each_form_and_augmentation_mode_has_its_own_module():
    kinds = {
        type(fusion(options(form=form, augmentation_mode=augment)).augment)
        for form in ("corrected", "faithful")
        for augment in ("add", "gate")
    }
    assert len(kinds) == 4


@pytest.mark.parametrize("form", ["corrected", "faithful"])
def test_relations_have_no_auxiliary_task(form):
    config = replace(options(form=form), task="relations")
    built = fusion(config, ["None", "/per/org/member_of"])
    assert built.auxiliary is None
    assert built.score.in_features == 2 * 8


@pytest.mark.parametrize("key", ["form", "augmentation_mode"])
def test_unknown_names_are_errors(key):
    with pytest.raises(ConfigError, match=f"{key}: got 'magic'; expected one of"):
        fusion(options(**{key: "magic"}))


@pytest.mark.parametrize("hidden_size", [0, 10, -4])
def test_a_hidden_size_that_the_heads_do_not_divide_is_an_error(hidden_size):
    with pytest.raises(ConfigError, match="expected a multiple of 4"):
        fusion(options(hidden_size=hidden_size))


def test_a_modality_without_its_encoder_is_an_error():
    with pytest.raises(ConfigError, match="got 'neighbours'"):
        build_model(FULL, LABELS, Encoder(), Encoder())
