"""System A's textbook form against NumPy written from the formulas of its parents."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from twofold.fusion.contract import Source  # noqa: E402
from twofold.fusion.evidential_direct import CrossAttention, EvidentialDirect  # noqa: E402
from twofold.fusion.nig import EVIDENCE_CAP, MoNIG, PriorCorrected  # noqa: E402

B, W, D, N, V, H, K = 2, 3, 6, 4, 5, 8, 4
"""Posts, words, width, regions, their width, width of a view, tags."""
LAMBDA_E, LAMBDA = 0.7, 0.03

Array = np.ndarray


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


def cap(x: Array, most: float) -> Array:
    return most * np.tanh(x / most)


def head(states: Array, layer: torch.nn.Linear) -> tuple[Array, Array, Array, Array]:
    """δ, γ, α, β (…, K), all four from the states."""
    scores = states @ layer.weight.detach().numpy().astype(float).T + layer.bias.detach().numpy()
    o1, o2, o3, o4 = np.moveaxis(scores.reshape(*states.shape[:-1], K, 4), -1, 0)
    return (
        o1,
        cap(softplus(o2) + 1e-6, EVIDENCE_CAP),
        1 + cap(softplus(o3) + 1e-6, EVIDENCE_CAP - 1),
        softplus(o4) + 1e-6,
    )


def student_t_nll(delta: Array, gamma: Array, alpha: Array, beta: Array, target: Array) -> Array:
    """−log t(y; df 2α, location δ, scale² β(1+γ)/(γα))."""
    df, scale2 = 2 * alpha, beta * (1 + gamma) / (gamma * alpha)
    lgamma = np.vectorize(math.lgamma)
    density = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * np.log(math.pi * df * scale2)
    result: Array = -(density - (df + 1) / 2 * np.log1p((target - delta) ** 2 / (df * scale2)))
    return result


def penalty(nig: tuple[Array, Array, Array, Array], target: Array) -> Array:
    delta, gamma, alpha, _ = nig
    return student_t_nll(*nig, target) + LAMBDA * np.abs(target - delta) * (2 * gamma + alpha)


def monig(nigs: list[tuple[Array, Array, Array, Array]]) -> tuple[Array, Array, Array, Array]:
    """Eq. 9, over the modalities that are there."""
    delta, gamma, alpha, beta = (np.stack(part) for part in zip(*nigs, strict=True))
    total = gamma.sum(0)
    mean = (gamma * delta).sum(0) / total
    spread = 0.5 * (gamma * (delta - mean) ** 2).sum(0)
    return mean, total, alpha.sum(0) + (len(nigs) - 1) / 2, beta.sum(0) + spread


@pytest.fixture
def fusion() -> EvidentialDirect:
    torch.manual_seed(1)
    made = EvidentialDirect(
        D, K, {"picture": V}, MoNIG(detach=False), inner=H, evidence_weight=LAMBDA_E, regulariser_weight=LAMBDA
    )
    return made.eval()


@pytest.fixture
def words() -> torch.Tensor:
    return torch.randn(B, W, D, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def picture() -> Source:
    """The first post has three regions, the second no picture."""
    states = torch.randn(B, N, V, generator=torch.Generator().manual_seed(3))
    return Source(states, torch.tensor([[True, True, True, False], [False] * 4]))


MASK = torch.tensor([[True, True, True], [True, True, False]])
TARGETS = torch.tensor([[0, 2, 1], [3, 0, 0]])


def by_hand(
    fusion: EvidentialDirect, words: torch.Tensor, picture: Source
) -> tuple[list[Array], list[tuple[Array, ...]], list[list[tuple[Array, ...]]]]:
    """Emissions, pooled NIGs and the NIGs of each modality, post by post."""
    view = fusion.views["picture"](words, picture).detach().numpy().astype(float)
    emissions, pooled, single = [], [], []
    for b in range(B):
        nigs = [head(words[b].numpy().astype(float), fusion.heads["text"])]
        if picture.mask[b].any():
            nigs.append(head(view[b], fusion.heads["picture"]))
        pooled.append(monig(nigs))
        single.append(nigs)
        emissions.append(fusion.scale.item() * pooled[-1][0] + fusion.bias.detach().numpy())
    return emissions, pooled, single


def test_every_number_of_the_fusion(fusion, words, picture):
    fused = fusion(words, MASK, {"picture": picture})
    emissions, pooled, single = by_hand(fusion, words, picture)
    assert fused.present.tolist() == [[True, True], [True, False]]
    for b in range(B):
        np.testing.assert_allclose(fused.emissions[b].detach(), emissions[b], rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(fused.fused[b].detach(), np.stack(pooled[b]), rtol=2e-5)
        for m, nig in enumerate(single[b]):
            np.testing.assert_allclose(fused.evidence[b, m].detach(), np.stack(nig), rtol=2e-5)
        gamma = np.stack([nig[1] for nig in single[b]])
        np.testing.assert_allclose(fused.share[b, : len(gamma)].detach(), gamma / gamma.sum(0), rtol=2e-5)
    assert not fused.share[1, 1].any()


def test_every_term_of_the_loss(fusion, words, picture):
    """NLL + λR of each modality that is there and of the pooled NIG, mean over real words and tags, times λₑ."""
    _, pooled, single = by_hand(fusion, words, picture)
    terms = []
    for b in range(B):
        target = np.eye(K)[TARGETS[b].numpy()]
        total = penalty(pooled[b], target) + sum(penalty(nig, target) for nig in single[b])
        terms += [total[w] for w in range(W) if MASK[b, w]]
    expected = LAMBDA_E * np.mean(terms)
    loss = fusion.loss(fusion(words, MASK, {"picture": picture}), TARGETS, MASK)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_word_of_padding_costs_nothing(fusion, words, picture):
    other = TARGETS.clone()
    other[1, 2] = 2
    fused = fusion(words, MASK, {"picture": picture})
    assert fusion.loss(fused, TARGETS, MASK) == fusion.loss(fused, other, MASK)


def test_gradients_reach_everything_as_finite_differences_say(fusion, words, picture):
    """No gradient is detached: words, states and every parameter learn from the loss just as it changes."""
    double = fusion.double()
    leaves = [words.double().requires_grad_(), picture.states.double().requires_grad_()]

    def loss(text: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        fused = double(text, MASK, {"picture": Source(states, picture.mask)})
        # γ, α and β are made in single precision
        return double.loss(fused, TARGETS, MASK) + fused.emissions.square().mean()

    loss(*leaves).backward()
    step = 1e-2
    for number, leaf in enumerate(leaves):
        for place in [(0, 0, 0), (0, 1, 2), (1, 0, 3)]:
            moved = [x.detach().clone() for x in leaves]
            moved[number][place] += step
            above = loss(*moved).item()
            moved[number][place] -= 2 * step
            slope = (above - loss(*moved).item()) / (2 * step)
            assert leaf.grad[place].item() == pytest.approx(slope, rel=2e-2, abs=1e-4)
    idle = [n for n, p in double.named_parameters() if p.grad is None or not p.grad.any()]
    # A key's bias moves all of a word's scores alike.
    assert idle in ([], ["views.picture.key.bias"])


def test_alpha_and_beta_go_below_the_floors_of_the_other_form(fusion, words):
    with torch.no_grad():
        fusion.heads["text"].bias.view(K, 4)[:, 2:] = -12.0
        fusion.heads["text"].weight.zero_()
    _, _, alpha, beta = fusion(words, MASK, {}).evidence[:, 0].unbind(1)
    assert ((alpha > 1) & (alpha < 1.001)).all()
    assert ((beta > 0) & (beta < 0.001)).all()


@pytest.mark.parametrize("sources", [{}, {"picture": None}])
def test_a_masked_source_changes_nothing(fusion, words, picture, sources):
    torch.manual_seed(5)
    masked = {n: Source(torch.randn(B, N, V) * 100, torch.zeros(B, N, dtype=torch.bool)) for n in sources}
    alone, beside = fusion(words, MASK, {}), fusion(words, MASK, masked)
    assert torch.equal(alone.emissions, beside.emissions)
    assert torch.equal(alone.fused, beside.fused)
    assert torch.equal(fusion.loss(alone, TARGETS, MASK), fusion.loss(beside, TARGETS, MASK))


def test_another_pool(fusion, words, picture):
    fusion.pooling = PriorCorrected(detach=False)
    fused = fusion(words, MASK, {"picture": picture})
    alpha = fused.evidence[0, :, 2].detach().numpy()
    np.testing.assert_allclose(fused.fused[0, 2].detach(), 1 + (alpha - 1).sum(0), rtol=1e-5)


def test_cross_attention_against_the_formula(words, picture):
    layer = CrossAttention(D, V, H, heads=2)
    with torch.no_grad():
        states = layer.norm(picture.states)[0, :3]  # the masked region is not there
        query, key, value = layer.query(words)[0], layer.key(states), layer.value(states)
        parts = [
            torch.softmax(query[:, h] @ key[:, h].T / (H / 2) ** 0.5, -1) @ value[:, h]
            for h in (slice(0, H // 2), slice(H // 2, H))
        ]
        expected = layer.out(torch.cat(parts, 1))
        np.testing.assert_allclose(layer(words, picture)[0], expected, rtol=1e-4, atol=1e-6)
