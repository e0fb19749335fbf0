"""Levitated markers: a pair by hand, alone and with other pairs, and with every fusion."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch.nn.functional import gelu, layer_norm  # noqa: E402

from twofold.config import ModelConfig, MultigranularConfig, RelationsConfig  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.models.build import FUSIONS, FusionSpec  # noqa: E402
from twofold.models.pair_states import PairFusion, PairLayer, PairStates  # noqa: E402

WIDTH = 8


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def random_mask(posts: int, words: int) -> torch.Tensor:
    mask = torch.ones(posts, words, dtype=torch.bool)
    mask[-1, words - 2 :] = False
    return mask


def test_a_layer_is_attention_over_the_own_pair_and_the_words() -> None:
    """By hand, marker by marker and head by head."""
    heads = 2
    layer = PairLayer(WIDTH, heads, 4 * WIDTH).eval()
    words, markers, mask = torch.randn(2, 5, WIDTH), torch.randn(2, 3, 2, WIDTH), random_mask(2, 5)
    with torch.no_grad():
        read = layer.read(markers, words, mask)
        attention, size = layer.attention, WIDTH // heads
        for post in range(2):
            for pair in range(3):
                for side in range(2):
                    marker = markers[post, pair, side]
                    keys = torch.cat([markers[post, pair], words[post, mask[post]]])
                    parts = []
                    for head in range(heads):
                        at = slice(head * size, (head + 1) * size)
                        query = attention.query(marker)[at]
                        scores = attention.key(keys)[:, at] @ query / math.sqrt(size)
                        parts.append(scores.softmax(0) @ attention.value(keys)[:, at])
                    added = attention.out(torch.cat(parts))
                    norm, last = layer.attention_norm, layer.feed_forward_norm
                    first = layer_norm(marker + added, (WIDTH,), norm.weight, norm.bias)
                    up, _, down = layer.feed_forward
                    expected = layer_norm(first + down(gelu(up(first))), (WIDTH,), last.weight, last.bias)
                    torch.testing.assert_close(read[post, pair, side], expected, atol=1e-5, rtol=1e-5)


def test_a_pair_is_the_same_alone_and_with_others() -> None:
    pairs = PairStates(WIDTH, 3).eval()
    words, mask = torch.randn(2, 7, WIDTH), random_mask(2, 7)
    slots = torch.randint(0, 5, (2, 6, 4))
    with torch.no_grad():
        after, together = pairs(words, mask, slots)
        for post in range(2):
            real = int(mask[post].sum())
            for pair in range(6):
                own = words[post : post + 1, :real], mask[post : post + 1, :real]
                alone_words, alone = pairs(*own, slots[post : post + 1, pair : pair + 1])
                torch.testing.assert_close(together[post, pair], alone[0, 0], atol=1e-6, rtol=1e-5)
                torch.testing.assert_close(after[post, :real], alone_words[0], atol=1e-6, rtol=1e-5)


def test_head_and_tail_differ() -> None:
    pairs = PairStates(WIDTH, 1).eval()
    words, mask = torch.randn(1, 4, WIDTH), torch.ones(1, 4, dtype=torch.bool)
    _, both = pairs(words, mask, torch.tensor([[[0, 1, 2, 2], [2, 2, 0, 1]]]))
    assert not torch.allclose(both[0, 0, 0], both[0, 1, 1], atol=1e-3)


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_every_fusion_scores_a_pair_as_if_it_were_alone(name: str) -> None:
    config = ModelConfig(
        task="relations",
        fusion=name,
        relations=RelationsConfig(),
        multigranular=MultigranularConfig(hidden_size=8),
    )
    fusion = FUSIONS[name](FusionSpec(config, ["None", "a", "b"], WIDTH, {"picture": 5}, 2))
    model = PairFusion(PairStates(WIDTH), fusion).eval()
    words, mask, slots = torch.randn(2, 7, WIDTH), random_mask(2, 7), torch.randint(0, 5, (2, 4, 4))
    picture = ModalityStates(torch.randn(2, 3, 5), torch.tensor([[True] * 3, [False] * 3]))
    with torch.no_grad():
        together = model(words, mask, {"picture": picture}, slots)
        assert together.emissions.shape == (2, 4, 3)
        for pair in range(4):
            alone = model(words, mask, {"picture": picture}, slots[:, pair : pair + 1])
            torch.testing.assert_close(
                together.emissions[:, pair], alone.emissions[:, 0], atol=1e-5, rtol=1e-5
            )
            if together.pooled is not None and alone.pooled is not None:
                torch.testing.assert_close(
                    together.pooled[:, :, pair], alone.pooled[:, :, 0], atol=1e-5, rtol=1e-4
                )
