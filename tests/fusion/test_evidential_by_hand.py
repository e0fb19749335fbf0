"""System A, form `revision`: every number, every term of the loss and every gradient against plain NumPy.

The NumPy code below follows the formulas of docs/systems/evidential.md. Where the fusion detaches a value,
the NumPy code holds that value fixed while parameters change, so that its finite differences are the gradient
that the fusion must have.

Two posts of three words, four tags, text and picture; the second post has no picture and a word of padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import nig_by_hand as by_hand
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from twofold.fusion.contract import FusionOutput, ModalityStates  # noqa: E402
from twofold.fusion.evidential import BlankPictures, Evidential, EvidentialSettings  # noqa: E402
from twofold.fusion.nig import Discounted, LogLinear, MoNIG, PriorCorrected  # noqa: E402

B, W, D, N, V, H, K = 2, 3, 6, 4, 5, 8, 4
"""Posts, words, width, regions, their width, hidden size, tags."""
HEADS, WARMUP, WEIGHT, REGULARISER, BLANK = 4, 4, 0.7, 0.03, 0.1
MASK = np.array([[True, True, True], [True, True, False]])
TARGETS = np.array([[0, 2, 1], [3, 0, 0]])
REAL_REGIONS = np.array([[True, True, True, False], [False] * 4])
"""Mask of the regions."""
POOLINGS = {
    "monig": MoNIG,
    "prior_corrected": PriorCorrected,
    "discounted": Discounted,
    "log_linear": lambda: LogLinear(D, 2),
}
Array = by_hand.Array
Leaves = Mapping[str, Array]


def make(pooling: str = "monig", **settings: object) -> Evidential:
    """After its warm-up, without dropout; no parameter is zero."""
    torch.manual_seed(1)
    chosen = EvidentialSettings(
        H, evidence_weight=WEIGHT, regulariser_weight=REGULARISER, text_dropout=0.0, warmup_steps=WARMUP
    )
    fusion = Evidential(D, K, {"picture": V}, POOLINGS[pooling](), settings=replace(chosen, **settings))
    for parameter in fusion.parameters():
        nn.init.normal_(parameter, std=0.5) if parameter.ndim else nn.init.constant_(parameter, 1.7)
    fusion.drop = nn.Dropout(0.0)
    fusion.steps.fill_(WARMUP)
    return fusion.double().eval()


def leaves_of(fusion: Evidential) -> dict[str, Array]:
    """All parameters by name, and ``words`` (B, W, D) and ``regions`` (B, N, V)."""
    random = np.random.default_rng(2)
    given = {"words": random.standard_normal((B, W, D)), "regions": random.standard_normal((B, N, V))}
    return given | {name: p.detach().numpy().copy() for name, p in fusion.named_parameters()}


def run(fusion: Evidential, leaves: Leaves) -> FusionOutput:
    regions = torch.as_tensor(leaves["regions"])
    modalities = {"picture": ModalityStates(regions, torch.as_tensor(REAL_REGIONS))}
    return fusion(torch.as_tensor(leaves["words"]), torch.as_tensor(MASK), modalities)


# --- the formulas ------------------------------------------------------------------------------------


class ByHand:
    """The fusion of one post, from leaves; values without a gradient come from ``fixed`` where it is given.

    Args:
        pooling: name of the rule.
        leaves: parameters, words and regions.
        post: its number.
        present: whether text and picture take part.
        fixed: the same post with unchanged leaves.
    """

    def __init__(
        self,
        pooling: str,
        leaves: Leaves,
        post: int,
        present: tuple[bool, bool],
        fixed: ByHand | None = None,
    ) -> None:
        self.leaves, self.fixed, self.held = leaves, fixed, {}
        words, regions = leaves["words"][post], leaves["regions"][post][REAL_REGIONS[post]]
        delta_text = self.linear("delta_heads.text", words) / 4.5
        text = self.nig("text", delta_text, self.linear("gamma_heads.text", words))
        self.nigs, weights = [text], np.zeros((2, W, K))
        if len(regions):
            fixed_words = self.hold("words", words)
            view = self.view(fixed_words, self.hold("regions", regions))
            delta = delta_text + self.linear("delta_heads.picture", view) / 4.5
            gamma = self.linear("gamma_heads.picture", np.concatenate([view, fixed_words], 1))
            self.nigs.append(self.nig("picture", delta, gamma))
        there = [m for m in range(2) if present[m]]
        scores = np.zeros((2, W))
        if pooling == "log_linear":
            scores = self.linear("pooling.weight_scores", words).T
        self.pooled, weights[there] = by_hand.pooled(
            pooling, [self.nigs[m] for m in there], scores[there], self.hold
        )
        self.emissions = leaves["scale"] * self.pooled[0] + leaves["bias"]
        revision = np.abs(weights[1] * (self.nigs[-1][0] - delta_text))
        self.share = np.stack([np.abs(delta_text) + 1e-6, revision])
        self.share /= self.share.sum(0)
        self.there = there

    def hold(self, name: str, value: Array) -> Array:
        """The value; that of ``fixed`` if it is given."""
        self.held[name] = value
        return value if self.fixed is None else self.fixed.held[name]

    def linear(self, name: str, states: Array) -> Array:
        result: Array = states @ self.leaves[f"{name}.weight"].T + self.leaves[f"{name}.bias"]
        return result

    def norm(self, name: str, states: Array) -> Array:
        centred = states - states.mean(1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        result: Array = scaled * self.leaves[f"{name}.weight"] + self.leaves[f"{name}.bias"]
        return result

    def view(self, words: Array, regions: Array) -> Array:
        """LayerNorm of the attention output of all heads, times the tanh of a map of the word."""
        at = "views.picture"
        states, parts = self.norm(f"{at}.norm", regions), []
        query, key, value = self.linear(f"{at}.query", words), *(
            self.linear(f"{at}.{name}", states) for name in ("key", "value")
        )  # fmt: skip
        for columns in np.split(np.arange(H), HEADS):
            weights = np.exp(query[:, columns] @ key[:, columns].T / np.sqrt(H / HEADS))
            parts.append(weights / weights.sum(1, keepdims=True) @ value[:, columns])
        gate = np.tanh(self.linear(f"{at}.context", words))
        return self.norm(f"{at}.out_norm", np.concatenate(parts, 1)) * gate

    def nig(self, name: str, delta: Array, gamma: Array) -> by_hand.Nig:
        """γ from its scores; α and β from p(1−p) and the entropy of the softmax of s·δ + b."""
        logits = self.hold("scale", self.leaves["scale"]) * self.hold(f"{name} delta", delta)
        exponentials = np.exp(logits + self.hold("bias", self.leaves["bias"]))
        p = exponentials / exponentials.sum(1, keepdims=True)
        entropy = -(p * np.log(p)).sum(1, keepdims=True)
        features = np.stack([np.log(p * (1 - p) + 1e-4), np.log(entropy + 1e-3) + 0 * p], 2)
        alpha, beta = np.moveaxis(self.linear(f"variance_heads.{name}.scores", features), 2, 0)
        return (
            delta,
            by_hand.capped(by_hand.softplus(gamma) + 1e-4, 20),
            2 + by_hand.capped(by_hand.softplus(alpha), 18),
            0.05 + by_hand.softplus(beta),
        )

    def loss(self, target: Array) -> Array:
        """Σ of NLL + λR over the pooled NIG and the modalities that take part, (W, K)."""
        delta, gamma, alpha, beta = self.pooled
        total = by_hand.loss((delta, self.hold("pooled γ", gamma), alpha, beta), target, REGULARISER)
        for m in self.there:
            delta, gamma, alpha, beta = self.nigs[m]
            fixed = gamma if m == 0 else self.hold("picture γ", gamma)
            total = total + by_hand.loss((delta, fixed, alpha, beta), target, REGULARISER)
        return total


PRESENT = [(True, True), (True, False)]
TEXT_LEFT_OUT = [(False, True), (True, False)]
"""Text and picture of each post; the text stays where there is no other modality."""


def both_posts(
    pooling: str,
    leaves: Leaves,
    present: list[tuple[bool, bool]] = PRESENT,
    fixed: list[ByHand] | None = None,
) -> list[ByHand]:
    return [ByHand(pooling, leaves, b, present[b], None if fixed is None else fixed[b]) for b in range(B)]


def mean_loss(posts: list[ByHand]) -> float:
    """λₑ times the mean over real words and all tags."""
    terms = [post.loss(np.eye(K)[TARGETS[b]])[MASK[b]] for b, post in enumerate(posts)]
    return float(WEIGHT * np.concatenate(terms).mean())


# --- the fusion against them ---------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("present", [PRESENT, TEXT_LEFT_OUT], ids=["all", "text left out"])
def test_every_number_of_the_fusion(pooling, present):
    fusion = make(pooling, text_dropout=0.0 if present is PRESENT else 1.0)
    leaves = leaves_of(fusion)
    output = run(fusion.train(), leaves)
    assert output.present.tolist() == [list(row) for row in present]
    for b, post in enumerate(both_posts(pooling, leaves, present)):
        nigs = np.stack(post.nigs)
        np.testing.assert_allclose(output.evidence[b, : len(nigs)].detach(), nigs, rtol=1e-7)
        np.testing.assert_allclose(output.pooled[b].detach(), np.stack(post.pooled), rtol=1e-7)
        np.testing.assert_allclose(output.emissions[b].detach(), post.emissions, rtol=1e-7)
        np.testing.assert_allclose(output.share[b].detach(), post.share, rtol=1e-7)
    assert not output.share[1, 1].any()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("present", [PRESENT, TEXT_LEFT_OUT], ids=["all", "text left out"])
def test_every_term_of_the_loss(pooling, present):
    fusion = make(pooling, text_dropout=0.0 if present is PRESENT else 1.0)
    leaves = leaves_of(fusion)
    loss = fusion.loss(run(fusion.train(), leaves), torch.as_tensor(TARGETS), torch.as_tensor(MASK))
    assert loss.item() == pytest.approx(mean_loss(both_posts(pooling, leaves, present)), rel=1e-7)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_gradient_with_detached_values_held_fixed(pooling):
    fusion = make(pooling)
    leaves = leaves_of(fusion)
    found = {name: torch.as_tensor(leaves[name]).requires_grad_() for name in ("words", "regions")}
    found |= dict(fusion.named_parameters())
    modalities = {"picture": ModalityStates(found["regions"], torch.as_tensor(REAL_REGIONS))}
    output = fusion(found["words"], torch.as_tensor(MASK), modalities)
    random = np.random.default_rng(3).standard_normal((B, W, K))
    loss = fusion.loss(output, torch.as_tensor(TARGETS), torch.as_tensor(MASK))
    (loss + (output.emissions * torch.as_tensor(random)).sum()).backward()
    unmoved = both_posts(pooling, leaves)
    assert mean_loss(unmoved) == pytest.approx(loss.item(), rel=1e-6)  # the loss, too, holds values fixed

    def total(moved: Leaves) -> float:
        posts = both_posts(pooling, moved, fixed=unmoved)
        emissions = sum((post.emissions * random[b]).sum() for b, post in enumerate(posts))
        return mean_loss(posts) + float(emissions)

    for name, leaf in leaves.items():
        expected = np.zeros(leaf.shape)
        for place in np.ndindex(leaf.shape):
            step = np.zeros(leaf.shape)
            step[place] = 1e-5
            above, below = (total({**leaves, name: leaf + sign * step}) for sign in (1, -1))
            expected[place] = (above - below) / 2e-5
        gradient = found[name].grad
        of_fusion = np.zeros(leaf.shape) if gradient is None else gradient.numpy()
        np.testing.assert_allclose(of_fusion, expected, rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_weight_rises_linearly_during_the_warm_up_and_in_training_only():
    fusion = make()
    leaves = leaves_of(fusion)
    output, tags, mask = run(fusion, leaves), torch.as_tensor(TARGETS), torch.as_tensor(MASK)
    whole = fusion.loss(output, tags, mask).item()
    fusion.steps.zero_()
    assert fusion.loss(output, tags, mask) == 0  # evaluation is no step
    fusion.train()
    risen = [fusion.loss(output, tags, mask).item() / whole for _ in range(WARMUP + 2)]
    assert risen == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 1, 1])


def test_without_a_warm_up_the_weight_is_full_from_the_first_step():
    fusion = make(warmup_steps=0)
    fusion.steps.zero_()
    leaves = leaves_of(fusion)
    loss = fusion.train().loss(run(fusion, leaves), torch.as_tensor(TARGETS), torch.as_tensor(MASK))
    assert loss.item() == pytest.approx(mean_loss(both_posts("monig", leaves)), rel=1e-7)


def test_blank_pictures_add_a_tenth_of_their_mean_gamma_to_the_loss_with_its_gradient():
    """The mean is over real words, here the first two, and over tags; of the first post's picture alone."""
    fusion = make()
    leaves = leaves_of(fusion)
    output, tags = run(fusion, leaves), torch.as_tensor(TARGETS)
    mask = torch.as_tensor(MASK) & torch.tensor([[True, True, False], [True, True, True]])
    blank = BlankPictures(torch.tensor([[False, True], [False, False]]))
    with_blank, without = (fusion.loss(output._replace(loss_inputs=x), tags, mask) for x in (blank, None))
    post = both_posts("monig", leaves)[0]
    gamma = post.nigs[1][1]
    assert (with_blank - without).item() == pytest.approx(BLANK * gamma[:2].mean(), rel=1e-7)
    (with_blank - without).backward()
    # dγ of the bias: the slope of the cap times that of softplus, at the scores that γ came from.
    softplus = 20 * np.arctanh(gamma / 20) - 1e-4
    slope = (1 - (gamma / 20) ** 2) * (1 - np.exp(-softplus))
    expected = BLANK * slope[:2].sum(0) / (2 * K)
    np.testing.assert_allclose(fusion.gamma_heads["picture"].bias.grad, expected, rtol=1e-6)


def test_padding_words_have_no_influence():
    fusion = make()
    leaves = leaves_of(fusion)
    other = {**leaves, "words": leaves["words"] + 100 * (~MASK)[:, :, None]}
    tags = np.where(MASK, TARGETS, 3)
    mask = torch.as_tensor(MASK)
    one = fusion.loss(run(fusion, leaves), torch.as_tensor(TARGETS), mask)
    assert one > 0.1
    assert torch.equal(fusion.loss(run(fusion, other), torch.as_tensor(tags), mask), one)
