"""Concat: its text-only limit, masks, slots, what it can and cannot do."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twofold.fusion.concat import Concat, PooledVector  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.fusion.text_only import TextOnly  # noqa: E402

Inputs = tuple[torch.Tensor, torch.Tensor, dict[str, ModalityStates]]


def inputs() -> Inputs:
    torch.manual_seed(1)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    picture = ModalityStates(torch.randn(2, 9, 6) * 30, torch.ones(2, 9, dtype=torch.bool))
    alt = ModalityStates(torch.randn(2, 3, 8), torch.tensor([[True, True, False], [True, True, True]]))
    return torch.randn(2, 7, 8), mask, {"picture": picture, "alt_text": alt}


def trained(slot_size: int = 1) -> Concat:
    """With weights as they could be after training: none of them zero."""
    torch.manual_seed(0)
    fusion = Concat(8, 5, {"picture": 6, "alt_text": 8}, slot_size, hidden_size=4).eval()
    torch.nn.init.normal_(fusion.score.weight)
    return fusion


def same_text(fusion: Concat, slot_size: int = 1) -> TextOnly:
    """`TextOnly` with the weights that the fusion has for the text."""
    twin = TextOnly(8, 5, slot_size)
    twin.score.weight.data = fusion.score.weight.data[:, : 8 * slot_size].clone()
    twin.score.bias.data = fusion.score.bias.data.clone()
    return twin


def without(source: ModalityStates) -> ModalityStates:
    return ModalityStates(source.states, torch.zeros_like(source.mask))


def test_a_pooled_vector_is_that_of_the_mean_over_real_elements() -> None:
    pool = PooledVector(8, 4).eval()
    source = inputs()[2]["alt_text"]
    means = torch.stack([source.states[0, :2].mean(0), source.states[1].mean(0)])
    torch.testing.assert_close(pool(source), torch.tanh(pool.project[0](pool.norm(means))))


def test_a_vector_is_dropped_out_in_training_and_gives_no_gradient_to_its_encoder() -> None:
    assert PooledVector(8, 4).project[2].p == 0.1
    pool, source = PooledVector(8, 64, 0.5).train(), inputs()[2]["alt_text"]
    source.states.requires_grad_(True)
    vector = pool(source)
    assert (vector == 0).float().mean() == pytest.approx(0.5, abs=0.2)
    vector.sum().backward()
    assert source.states.grad is None


def test_vectors_have_size_128_by_default() -> None:
    fusion = Concat(8, 5, {"picture": 6, "alt_text": 8}, 2)
    assert fusion.score.in_features == 2 * 8 + 2 * 128
    assert fusion.modalities == ("text", "picture", "alt_text")


@pytest.mark.parametrize("slots", [None, torch.tensor([[[0, 3]], [[2, 1]]])])
def test_without_modalities_it_is_text_only(slots: torch.Tensor | None) -> None:
    slot_size = 1 if slots is None else 2
    fusion = trained(slot_size)
    words, mask, sources = inputs()
    expected = same_text(fusion, slot_size)(words, mask, {}, slots).emissions
    torch.testing.assert_close(fusion(words, mask, {}, slots).emissions, expected)
    masked = {name: without(source) for name, source in sources.items()}
    torch.testing.assert_close(fusion(words, mask, masked, slots).emissions, expected)


def test_before_training_modalities_change_nothing() -> None:
    fusion = Concat(8, 5, {"picture": 6, "alt_text": 8}).eval()
    words, mask, sources = inputs()
    torch.testing.assert_close(fusion(words, mask, sources).emissions, fusion(words, mask, {}).emissions)


def test_a_modality_shifts_all_words_of_a_post_alike() -> None:
    fusion = trained()
    words, mask, sources = inputs()
    shift = fusion(words, mask, sources).emissions - fusion(words, mask, {}).emissions  # (B, S, K)
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift))
    assert (shift[0, 0] - shift[1, 0]).abs().max() > 0.1


def test_masked_elements_and_words_have_no_influence() -> None:
    fusion = trained()
    words, mask, sources = inputs()
    before = fusion(words, mask, sources).emissions
    alt = sources["alt_text"]
    states = alt.states.masked_fill(~alt.mask.unsqueeze(2), float("inf"))
    words = words.masked_fill(~mask.unsqueeze(2), 7.0)
    after = fusion(words, mask, sources | {"alt_text": ModalityStates(states, alt.mask)}).emissions
    assert torch.equal(before[mask], after[mask])


@pytest.mark.parametrize("given", [(), ("picture",), ("alt_text",), ("picture", "alt_text")])
def test_gradients_are_finite_and_reach_the_modalities_that_took_part(given: tuple[str, ...]) -> None:
    fusion = trained().train()
    words, mask, sources = inputs()
    words.requires_grad_(True)
    fused = fusion(words, mask, {name: sources[name] for name in given})
    assert fusion.loss(fused, torch.zeros(2, 7, dtype=torch.long), mask) == 0
    fused.emissions.square().sum().backward()
    assert torch.isfinite(words.grad).all()
    for name, pool in fusion.pools.items():
        reached = [p.grad is not None and bool((p.grad != 0).any()) for p in pool.parameters()]
        assert all(reached) == (name in given)
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in pool.parameters())
