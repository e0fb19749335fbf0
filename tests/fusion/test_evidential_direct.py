"""System A, form `direct`, against NumPy written from the formulas of the works it builds on.

Two posts of three words, four tags, text and picture; the second post has no picture and one word of padding.
"""

from __future__ import annotations

from dataclasses import replace

import nig_by_hand as by_hand
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from twofold.config import EvidentialConfig, ModelConfig  # noqa: E402
from twofold.fusion.attention import CrossAttention  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.fusion.evidential_direct import DirectSettings, EvidentialDirect  # noqa: E402
from twofold.fusion.nig import Discounted, LogLinear, MoNIG, Pooling, PriorCorrected  # noqa: E402
from twofold.models.build import FUSIONS, FusionSpec  # noqa: E402

B, W, D, N, V, H, K = 2, 3, 6, 4, 5, 8, 4
"""Posts, words, width, regions, their width, hidden size, tags."""
SETTINGS = DirectSettings(H, evidence_weight=0.7, regulariser_weight=0.03)
SMALL, TINY = 1e-4, 1e-6
"""What is added to γ; to α and β."""
MASK = torch.tensor([[True, True, True], [True, True, False]])
TARGETS = torch.tensor([[0, 2, 1], [3, 0, 0]])
POOLINGS = {
    "monig": MoNIG,
    "prior_corrected": PriorCorrected,
    "discounted": Discounted,
    "log_linear": lambda detached: LogLinear(D, 2, detached),
}


def make(pooling: str = "monig") -> EvidentialDirect:
    torch.manual_seed(1)
    rule: Pooling = POOLINGS[pooling](detached=False)
    for weight in rule.parameters():
        nn.init.normal_(weight)
    return EvidentialDirect(D, K, {"picture": V}, rule, settings=SETTINGS).double().eval()


def words() -> Tensor:
    return torch.randn(B, W, D, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def picture() -> ModalityStates:
    """The first post has three regions, the second no picture."""
    states = torch.randn(B, N, V, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return ModalityStates(states, torch.tensor([[True, True, True, False], [False] * 4]))


def head(states: Tensor, layer: nn.Linear) -> by_hand.Nig:
    """δ, γ, α, β (W, K), all four from the states; weights and biases in the order of the outputs' four."""
    scores = states.detach().numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    o1, o2, o3, o4 = np.moveaxis(scores.reshape(W, K, 4), 2, 0)
    gamma = by_hand.capped(by_hand.softplus(o2) + SMALL, by_hand.CAP)
    floor = 1 + TINY
    alpha = floor + by_hand.capped(by_hand.softplus(o3), by_hand.CAP - floor)
    return o1, gamma, alpha, TINY + by_hand.softplus(o4)


def modalities_by_hand(fusion: EvidentialDirect) -> list[list[by_hand.Nig]]:
    """NIGs of the modalities that each post has."""
    view = fusion.views["picture"](words(), picture())
    text = [head(words()[b], fusion.heads["text"]) for b in range(B)]
    return [[text[0], head(view[0], fusion.heads["picture"])], [text[1]]]


def pooled_by_hand(fusion: EvidentialDirect, pooling: str) -> list[by_hand.PooledNig]:
    """The pooled NIG and the weights of each post."""
    found = []
    for b, nigs in enumerate(modalities_by_hand(fusion)):
        scores = np.zeros((len(nigs), W))
        if pooling == "log_linear":
            scores = fusion.pooling.weight_scores(words())[b, :, : len(nigs)].T.detach().numpy()
        found.append(by_hand.pooled(pooling, nigs, scores))
    return found


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_number_of_the_fusion(pooling):
    fusion = make(pooling)
    output = fusion(words(), MASK, {"picture": picture()})
    single, pooled = modalities_by_hand(fusion), pooled_by_hand(fusion, pooling)
    assert output.present.tolist() == [[True, True], [True, False]]
    for b, (nig, share) in enumerate(pooled):
        np.testing.assert_allclose(output.pooled[b].detach(), np.stack(nig), rtol=1e-7)
        emissions = fusion.scale.item() * nig[0] + fusion.bias.detach().numpy()
        np.testing.assert_allclose(output.emissions[b].detach(), emissions, rtol=1e-7)
        there = len(single[b])
        np.testing.assert_allclose(output.evidence[b, :there].detach(), np.stack(single[b]), rtol=1e-7)
        np.testing.assert_allclose(output.share[b, :there].detach(), share, rtol=1e-7)
        assert not output.share[b, there:].any()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_term_of_the_loss(pooling):
    """λₑ times the mean, over real words and tags, of NLL + λR of each modality and of the pooled NIG."""
    fusion = make(pooling)
    single, pooled = modalities_by_hand(fusion), pooled_by_hand(fusion, pooling)
    terms = []
    for b in range(B):
        target = np.eye(K)[TARGETS[b].numpy()]
        total = sum(by_hand.loss(nig, target, 0.03) for nig in [*single[b], pooled[b][0]])
        terms += [total[w] for w in range(W) if MASK[b, w]]
    output = fusion(words(), MASK, {"picture": picture()})
    assert fusion.loss(output, TARGETS, MASK).item() == pytest.approx(0.7 * np.mean(terms), rel=1e-7)


def test_padding_words_add_nothing_to_the_loss():
    fusion, other = make(), TARGETS.clone()
    other[1, 2] = 2
    output = fusion(words(), MASK, {"picture": picture()})
    assert fusion.loss(output, TARGETS, MASK) == fusion.loss(output, other, MASK)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_no_gradient_is_detached(pooling):
    """The loss has the gradient of finite differences in words, regions and all parameters."""
    fusion, mask = make(pooling), picture().mask

    def loss(words: Tensor, regions: Tensor, *parameters: Tensor) -> Tensor:
        values = dict(zip(names, parameters, strict=True))
        given = (words, MASK, {"picture": ModalityStates(regions, mask)})
        output = torch.func.functional_call(fusion, values, given)
        return fusion.loss(output, TARGETS, MASK) + output.emissions.square().mean()

    names = [name for name, _ in fusion.named_parameters()]
    parameters = [p.detach().requires_grad_() for p in fusion.parameters()]
    leaves = (words().requires_grad_(), picture().states.requires_grad_(), *parameters)
    assert torch.autograd.gradcheck(loss, leaves, eps=1e-6, atol=1e-5, fast_mode=True)
    gradients = dict(
        zip(["words", "regions", *names], torch.autograd.grad(loss(*leaves), leaves), strict=True)
    )
    # The bias of the keys moves all scores of a word alike.
    assert {name for name, g in gradients.items() if g.abs().max() < 1e-12} == {"views.picture.key.bias"}


def test_alpha_and_beta_have_the_bounds_of_theory_and_no_other_floor():
    fusion = make()
    with torch.no_grad():
        fusion.heads["text"].weight.zero_()
        fusion.heads["text"].bias.view(K, 4)[:, 2:] = -200.0
    for dtype in (torch.float64, torch.float32):
        output = fusion.to(dtype)(words().to(dtype), MASK, {})
        _, _, alpha, beta = output.evidence[:, 0].unbind(1)
        assert ((alpha > 1) & (alpha < 1.00001)).all()
        assert ((beta > 0) & (beta < 0.00001)).all()
        assert torch.isfinite(fusion.loss(output, TARGETS, MASK))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_masked_modality_is_the_same_as_none_and_leaves_the_text_unchanged(pooling):
    fusion = make(pooling)
    masked = ModalityStates(picture().states * 100, torch.zeros(B, N, dtype=torch.bool))
    none, beside = fusion(words(), MASK, {}), fusion(words(), MASK, {"picture": masked})
    torch.testing.assert_close(none.pooled, none.evidence[:, 0])
    assert torch.equal(none.emissions, beside.emissions)
    assert torch.equal(none.pooled, beside.pooled)
    assert torch.equal(fusion.loss(none, TARGETS, MASK), fusion.loss(beside, TARGETS, MASK))


def test_cross_attention_against_the_formula():
    torch.manual_seed(4)
    layer = CrossAttention(D, V, H, heads=2).double()
    with torch.no_grad():
        states = layer.norm(picture().states)[0, :3]  # without the masked region
        query, key, value = layer.query(words())[0], layer.key(states), layer.value(states)
        parts = [
            torch.softmax(query[:, h] @ key[:, h].T / (H / 2) ** 0.5, -1) @ value[:, h]
            for h in (slice(0, H // 2), slice(H // 2, H))
        ]
        torch.testing.assert_close(layer(words(), picture())[0], torch.cat(parts, 1))


# --- by name -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pooling", "kind"),
    [("", MoNIG), ("monig", MoNIG), ("prior_corrected", PriorCorrected), ("discounted", Discounted),
     ("log_linear", LogLinear)],
)  # fmt: skip
def test_the_form_is_chosen_by_name_with_monig_as_its_pooling(pooling, kind):
    options = EvidentialConfig("direct", pooling, loss_weight=0.2, regulariser_weight=0.3)
    config = ModelConfig(evidential=options)
    fusion = FUSIONS["evidential"](FusionSpec(config, "ABCD", D, {"picture": V}, 1))
    assert isinstance(fusion, EvidentialDirect)
    assert fusion.modalities == ("text", "picture")
    assert fusion.settings == replace(DirectSettings(), evidence_weight=0.2, regulariser_weight=0.3)
    assert type(fusion.pooling) is kind
    assert not fusion.pooling.detached


def test_a_pair_is_scored_from_the_states_of_its_two_words():
    config = ModelConfig(evidential=EvidentialConfig("direct", "log_linear"))
    torch.manual_seed(0)
    fusion = FUSIONS["evidential"](FusionSpec(config, "ABC", D, {"picture": V}, 2)).double().eval()
    slots = torch.tensor([[[0, 2]], [[1, 0]]])
    output = fusion(words(), MASK, {"picture": picture()}, slots)
    assert output.emissions.shape == (B, 1, 3)
    pair = torch.cat([words()[0, 0], words()[0, 2]])
    torch.testing.assert_close(output.evidence[0, 0, 0, 0], fusion.heads["text"](pair).view(3, 4)[:, 0])


def test_dropout_reaches_every_head_in_training_only():
    fusion = make()
    one, two = (fusion.train()(words(), MASK, {"picture": picture()}).evidence[0] for _ in range(2))
    assert (one != two).flatten(2).any(2).all()
    one, two = (fusion.eval()(words(), MASK, {"picture": picture()}).evidence for _ in range(2))
    assert torch.equal(one, two)
