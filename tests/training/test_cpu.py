"""Byte dropout is as random as it should be, and the model is restored after training."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch import nn  # noqa: E402

from twofold.encoders.text import load_text_encoder  # noqa: E402
from twofold.training.cpu import ByteDropout, cpu_optimised  # noqa: E402

CPU = torch.device("cpu")


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dropout_rate_is_as_configured_and_the_mean_stays(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    drop = ByteDropout(p).train()
    out = drop(torch.ones(301, 307, dtype=dtype)).float()
    part = round(256 * p) / 256
    assert float((out == 0).float().mean()) == pytest.approx(
        part, abs=4 * (part * (1 - part) / out.numel()) ** 0.5
    )
    assert float(out.max()) == pytest.approx(1 / (1 - part), rel=0.005)
    assert float(out.mean()) == pytest.approx(1, rel=0.02)


def test_masks_of_neighbours_and_of_calls_are_uncorrelated() -> None:
    torch.manual_seed(0)
    drop = ByteDropout(0.5).train()
    one, other = (drop(torch.ones(100_000)) > 0 for _ in range(2))
    for pair in ((one, other), *((one[:-lag], one[lag:]) for lag in (1, 2, 7, 8, 64))):
        correlation = torch.corrcoef(torch.stack(pair).float())[0, 1]
        assert abs(float(correlation)) < 0.015


def test_the_seed_fixes_the_mask_and_gradients_pass_through_it() -> None:
    drop = ByteDropout(0.3).train()
    x = torch.ones(50, 3, requires_grad=True)
    torch.manual_seed(1)
    first = drop(x)
    torch.manual_seed(1)
    assert torch.equal(first, drop(x))
    first.sum().backward()
    assert torch.equal(x.grad, first.detach())


def test_nothing_is_dropped_at_inference() -> None:
    x = torch.randn(5)
    assert ByteDropout(0.5).eval()(x) is x
    assert ByteDropout(0.0).train()(x) is x
    assert ByteDropout(0.5).train()(torch.zeros(0, 4)).shape == (0, 4)


def test_an_optimised_encoder_gives_the_same_states_and_is_restored(encoder: Path) -> None:
    text = load_text_encoder(str(encoder)).eval()
    ids = torch.randint(5, 30, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    before, parts = text(ids, mask), [type(module) for module in text.modules()]
    with cpu_optimised(text, CPU):
        assert torch.allclose(text(ids, mask)[mask.bool()], before[mask.bool()], atol=1e-5)
        assert not any(type(module) is nn.Dropout for module in text.modules())
        assert text.backbone.config._attn_implementation == "eager"
        text.train()
        assert not torch.equal(text(ids, mask), text(ids, mask))
        text.eval()
    assert [type(module) for module in text.modules()] == parts
    assert not any(module.training for module in text.modules())
    assert torch.equal(text(ids, mask), before)


def test_models_on_a_gpu_are_unchanged(encoder: Path) -> None:
    text = load_text_encoder(str(encoder))
    with cpu_optimised(text, torch.device("cuda")):
        assert any(type(module) is nn.Dropout for module in text.modules())
