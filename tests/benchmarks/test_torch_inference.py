"""Inference in PyTorch: effects of dropout, windows of long posts, posts without words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_inference import TorchTagger, set_dropout  # noqa: E402

from twofold.config import Config  # noqa: E402
from twofold.encoders.text import load_text_encoder  # noqa: E402
from twofold.fusion.contract import FusionOutput  # noqa: E402
from twofold.models.build import build_model  # noqa: E402
from twofold.posts import Post  # noqa: E402
from twofold.preprocessing.segmentation import segment_post  # noqa: E402
from twofold.training.examples import collate  # noqa: E402

LABELS = ["O", "B-PER", "I-PER"]
POSTS = [
    Post(1, "sunset in New York with Ada", alt_text="a city at night"),
    Post(2, ""),
    Post(3, "lunch in Rome"),
    Post(4, "abcdefgh ijklmnop qrst uvwxyz " * 4),  # several windows
    *(Post(i, "off to Rome now", alt_text="a city") for i in range(5, 45)),  # several batches
]


@pytest.fixture
def tagger(config: Config) -> TorchTagger:
    torch.manual_seed(0)
    text = load_text_encoder(config.model.text_encoder)
    text.token_masking = 0.5
    model = build_model(config.model, LABELS, text, None)
    nn.init.normal_(model.fusion.delta_heads["alt_text"].weight)
    return TorchTagger(config, model, None)


def emissions(fused: FusionOutput) -> dict[str, torch.Tensor]:
    return {"emissions": fused.emissions}


def silent(line: str) -> None:
    pass


def test_without_dropout_outputs_equal_those_of_the_model(tagger: TorchTagger) -> None:
    prepared = tagger.prepare(POSTS, silent)
    found = tagger.predict(prepared, emissions)["emissions"]
    assert [len(x) for x in found] == [len(segment_post(post)) for post in POSTS]
    assert sum(example.post == 3 for example in prepared.examples) > 1
    with torch.no_grad():
        batch = collate([e for e in prepared.examples if e.post in (0, 2)], {}, 0)
        expected = tagger.model.eval()(batch).emissions
    np.testing.assert_allclose(found[0], expected[0, : len(found[0])], atol=1e-5)
    np.testing.assert_allclose(found[2], expected[1, : len(found[2])], atol=1e-5)


def test_a_pass_with_dropout_depends_on_its_seed_only(tagger: TorchTagger) -> None:
    prepared = tagger.prepare(POSTS, silent)
    state = torch.get_rng_state()
    first, again, other = (
        tagger.predict(prepared, emissions, dropout=seed)["emissions"] for seed in (1, 1, 2)
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), state)  # the global random state is unchanged
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not len(a) or np.abs(a - c).max() > 1e-3  # also in the last batches
    plain = tagger.predict(prepared, emissions)["emissions"]
    np.testing.assert_allclose(plain[0], tagger.predict(prepared, emissions)["emissions"][0])


def test_no_randomness_other_than_dropout_is_active(tagger: TorchTagger) -> None:
    """With every dropout at 0 nothing is random: no token masking, no modality or text dropout."""
    for part in tagger.model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    tagger.model.modality_dropout = 0.9
    fusion = tagger.model.fusion
    fusion.settings = dataclasses.replace(fusion.settings, text_dropout=0.9)
    prepared = tagger.prepare(POSTS, silent)
    plain, dropped = (tagger.predict(prepared, emissions, dropout=x)["emissions"] for x in (None, 1))
    for a, b in zip(plain, dropped, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_set_dropout_switches_every_dropout_on_and_off(tagger: TorchTagger) -> None:
    model = tagger.model
    for on in (True, False):
        set_dropout(model, on)
        modes = [part.training for part in model.modules() if isinstance(part, nn.Dropout)]
        assert len(modes) > 3
        assert set(modes) == {on}
        assert not model.training
        assert not model.text.training
        assert not model.fusion.training
        assert model.text.backbone.training == on


def test_the_mean_of_many_passes_is_their_expectation(tagger: TorchTagger) -> None:
    """Only the fusion's dropout is on, and δ is linear in the dropped states: the mean is a plain pass."""
    model = tagger.model
    for part in model.modules():
        if isinstance(part, nn.Dropout) and part is not model.fusion.drop:
            part.p = 0.0
    model.fusion.drop.p = 0.4
    prepared = tagger.prepare([Post(1, "off to Rome now")] * 400, silent)

    def text_delta(fused: FusionOutput) -> dict[str, torch.Tensor]:
        assert fused.evidence is not None
        return {"delta": fused.evidence[:, 0, 0]}  # δ of the text, linear in the dropped states

    plain = np.stack(tagger.predict(prepared, text_delta)["delta"])
    drawn = np.stack([np.stack(tagger.predict(prepared, text_delta, dropout=i)["delta"]) for i in range(4)])
    assert drawn.std() > 0
    error = drawn.std((0, 1)) / np.sqrt(4 * 400)
    assert (np.abs(drawn.mean((0, 1)) - plain[0]) < 5 * error + 1e-6).all()
