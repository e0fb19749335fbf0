"""Low-rank adapters: they start at the pretrained encoder, train few weights, and merge completely."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_text import TEXT, save_text  # noqa: E402

from twofold.encoders.adapters import add_lora, merge_adapters, no_adapters  # noqa: E402
from twofold.encoders.text import TextEncoder, load_text_encoder  # noqa: E402
from twofold.errors import ConfigError, MissingExtraError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
IDS = torch.arange(5, 13).repeat(2, 1)
MASK = torch.ones_like(IDS)
needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


def states(encoder: TextEncoder) -> torch.Tensor:
    with torch.no_grad():
        return encoder.eval()(IDS, MASK)


def trained(encoder: TextEncoder) -> dict[str, torch.Tensor]:
    return {name: p for name, p in encoder.named_parameters() if p.requires_grad}


@needs_peft
@pytest.mark.parametrize("name", TEXT)
def test_each_family_is_adapted_trained_and_merged(name: str, tmp_path: Path) -> None:
    encoder = load_text_encoder(str(save_text(name, tmp_path)[0]))
    before, weights = states(encoder), sum(p.numel() for p in encoder.parameters())
    names = {n for n, _ in encoder.named_parameters()}
    add_lora(encoder, 2)
    torch.testing.assert_close(states(encoder), before)
    small = trained(encoder)
    assert small
    assert all("lora_" in name for name in small)
    assert all(min(p.shape) == 2 for p in small.values())
    assert encoder.word_embeddings.weight.shape[0] > 5
    frozen = {n: p.clone() for n, p in encoder.named_parameters() if not p.requires_grad}
    optimiser, towards = torch.optim.AdamW(small.values(), 0.05), torch.randn(before.shape)
    for _ in range(2):
        optimiser.zero_grad()
        (encoder.train()(IDS, MASK) * towards).sum().backward()
        optimiser.step()
    assert all(torch.equal(p, frozen[n]) for n, p in encoder.named_parameters() if n in frozen)
    after = states(encoder)
    assert (after - before).abs().max() > 0.01
    merge_adapters(encoder)
    torch.testing.assert_close(states(encoder), after, atol=1e-5, rtol=1e-4)
    assert {n for n, _ in encoder.named_parameters()} == names
    assert sum(p.numel() for p in encoder.parameters()) == weights


@needs_peft
def test_rows_of_added_tokens_stay_trainable(tmp_path: Path) -> None:
    encoder = load_text_encoder(str(save_text("bert", tmp_path)[0]))
    encoder.add_tokens(["<s>", "<o>"])
    add_lora(encoder, 2)
    others = [name for name in trained(encoder) if "lora_" not in name]
    assert [name.rpartition("backbone.")[2].split(".")[-2:] for name in others] == [["added", "weight"]]


@needs_peft
def test_a_rank_below_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="adapter_rank is 0"):
        add_lora(load_text_encoder(str(save_text("bert", tmp_path)[0])), 0)


def test_without_peft_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_text_encoder(str(save_text("bert", tmp_path)[0]))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install -e .\.\[train,adapters\]"):
        add_lora(encoder, 8)


def test_without_adapters_nothing_changes(tmp_path: Path) -> None:
    encoder = load_text_encoder(str(save_text("bert", tmp_path)[0]))
    before, backbone = states(encoder), encoder.backbone
    no_adapters(encoder, 8)
    merge_adapters(encoder)
    assert encoder.backbone is backbone
    assert torch.equal(states(encoder), before)
