"""Attention layers against those of PyTorch, and the number of heads."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from twofold.fusion.attention import (  # noqa: E402
    CrossAttention,
    GatedCrossAttention,
    TransformerLayer,
    heads_of_64,
    mask_by_addition,
    mask_by_value,
    split_heads,
)
from twofold.fusion.contract import Fusion, ModalityStates, gather_slots  # noqa: E402

MASK = torch.tensor([[True] * 5, [True, False, True, False, False]])


@pytest.mark.parametrize(
    ("width", "heads"),
    [(1, 1), (63, 1), (64, 1), (96, 1), (128, 2), (130, 2), (192, 3), (200, 2), (384, 6), (768, 12)],
)
def test_heads_have_size_64_or_more(width, heads):
    assert heads_of_64(width) == heads


def test_a_head_takes_consecutive_numbers():
    states = torch.arange(12.0).reshape(1, 2, 6)
    assert split_heads(states, 3).tolist() == [[[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]]


def test_a_transformer_layer_is_that_of_pytorch():
    torch.manual_seed(0)
    ours = TransformerLayer(12, 3, 20).eval()
    theirs = nn.TransformerEncoderLayer(12, 3, 20, activation="gelu", batch_first=True).eval()
    attention = ours.attention
    with torch.no_grad():
        for parameter in ours.parameters():
            nn.init.normal_(parameter, std=0.5)
        parts = (attention.query, attention.key, attention.value)
        theirs.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    for name, part in (
        ("self_attn.out_proj", attention.out),
        ("norm1", ours.attention_norm),
        ("linear1", ours.feed_forward[0]),
        ("linear2", ours.feed_forward[2]),
        ("norm2", ours.feed_forward_norm),
    ):
        theirs.get_submodule(name).load_state_dict(part.state_dict())
    states = torch.randn(2, 5, 12)
    with torch.no_grad():
        torch.testing.assert_close(ours(states, states, MASK), theirs(states, src_key_padding_mask=~MASK))


def test_dropout_of_the_layer_and_of_its_weights():
    layer = TransformerLayer(4, 2, 4, dropout=0.2, attention_dropout=0.3, mask_scores=mask_by_addition)
    assert (layer.drop.p, layer.attention.drop.p) == (0.2, 0.3)
    assert layer.attention.mask_scores is mask_by_addition
    plain = TransformerLayer(4, 2, 4)
    assert (plain.drop.p, plain.attention.drop.p, plain.attention.mask_scores) == (0.1, 0.1, mask_by_value)


def test_weights_of_the_attention_are_dropped_out_in_training():
    torch.manual_seed(0)
    layer = TransformerLayer(4, 2, 4, dropout=0.0, attention_dropout=0.5)
    states = torch.randn(2, 5, 4)
    one, two = (layer.train()(states, states, MASK) for _ in range(2))
    assert not torch.equal(one, two)
    one, two = (layer.eval()(states, states, MASK) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("kind", [CrossAttention, GatedCrossAttention])
def test_cross_attention_has_four_heads_by_default(kind):
    assert kind(6, 5, 8).heads == 4
    assert kind(6, 5, 8, 2).heads == 2


def test_gated_cross_attention_gives_no_gradient_to_words_and_modality():
    layer = GatedCrossAttention(6, 5, 8)
    words, states = torch.randn(2, 3, 6, requires_grad=True), torch.randn(2, 5, 5, requires_grad=True)
    layer(words, ModalityStates(states, MASK)).sum().backward()
    assert words.grad is None
    assert states.grad is None
    assert all(p.grad is not None for p in layer.parameters())


# --- what all fusions share ---------------------------------------------------------------------------


def test_a_slot_is_the_concatenation_of_its_words():
    states = torch.arange(24.0).reshape(2, 4, 3)
    slots = torch.tensor([[[0, 3], [2, 2]], [[1, 0], [3, 1]]])
    found = gather_slots(states, slots)
    expected = [[torch.cat([states[b, w] for w in slot]) for slot in slots[b].tolist()] for b in range(2)]
    assert torch.equal(found, torch.stack([torch.stack(row) for row in expected]))
    assert gather_slots(states, None) is states


def test_a_warm_up_rises_to_one_in_training_and_stays_there():
    fusion = Fusion()
    fusion.register_buffer("steps", torch.zeros((), dtype=torch.long))
    assert [fusion._warm_up(4) for _ in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    fusion.steps.fill_(2)
    assert [fusion.eval()._warm_up(4) for _ in range(2)] == [0.5, 0.5]
    assert fusion._warm_up(0) == fusion._warm_up(1) == 1
