"""Softmax over classes and the three treatments of imbalanced classes."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from twofold.heads.class_losses import ClassLoss, LogitAdjusted, Weighted  # noqa: E402
from twofold.heads.classifier import SoftmaxClassifier  # noqa: E402

COUNTS = [60, 30, 10]
LABELS = ["None", "a", "b"]


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    targets = torch.tensor([[0, 1], [2, 9]])
    return torch.randn(2, 2, 3), targets, torch.tensor([[True, True], [True, False]])


@pytest.mark.parametrize("balance", [ClassLoss(), Weighted(COUNTS, 0.5), LogitAdjusted(COUNTS, 1.0)])
def test_loss_is_the_sum_over_real_slots_and_ignores_masked_ones(balance: ClassLoss) -> None:
    emissions, targets, mask = batch()
    loss = SoftmaxClassifier(LABELS, balance)(emissions, targets, mask)
    singles = [balance(emissions[b : b + 1, s : s + 1], targets[b : b + 1, s : s + 1]) for b, s in
               ((0, 0), (0, 1), (1, 0))]  # fmt: skip
    torch.testing.assert_close(loss, torch.stack([singles[0] + singles[1], singles[2]]).flatten())
    emissions[1, 1] = 1e6
    torch.testing.assert_close(SoftmaxClassifier(LABELS, balance)(emissions, targets, mask), loss)


def test_best_class_of_each_real_slot() -> None:
    emissions, _, mask = batch()
    classifier = SoftmaxClassifier(LABELS, ClassLoss())
    assert classifier.labels == ("None", "a", "b")
    found = classifier.decode(emissions, mask)
    assert found == [emissions[0].argmax(1).tolist(), [int(emissions[1, 0].argmax())]]


def test_weights_have_mean_one_over_the_examples_and_equal_shares_at_strength_one() -> None:
    seen = torch.tensor(COUNTS, dtype=torch.float)
    for strength in (0.0, 0.5, 1.0):
        weights = Weighted(COUNTS, strength).get_buffer("weights")
        assert float((weights * seen).sum() / seen.sum()) == pytest.approx(1)
    equal = Weighted(COUNTS, 1.0).get_buffer("weights") * seen
    torch.testing.assert_close(equal, torch.full((3,), 100 / 3))


def test_weighted_loss_by_hand() -> None:
    """Without examples a class counts as one: n = 4, 1, 1; n^-1/2 = 1/2, 1, 1; Σn / Σ(n n^-1/2) = 6 / 4."""
    loss = Weighted([4, 1, 0], 0.5)(torch.zeros(1, 3, 3), torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(loss, math.log(3) * torch.tensor([[0.75, 1.5, 1.5]]))


def test_adjusted_loss_by_hand() -> None:
    """n = 6, 3, 1; at strength 2 scores gain log πₖ², with π² = 0.36, 0.09, 0.01, which add up to 0.46."""
    loss = LogitAdjusted([6, 3, 0], 2.0)(torch.zeros(1, 3, 3), torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(loss, torch.tensor([[0.46 / 0.36, 0.46 / 0.09, 0.46 / 0.01]]).log())


@pytest.mark.parametrize("kind", [Weighted, LogitAdjusted])
def test_class_counts_are_not_in_the_state_dict(kind: type[ClassLoss]) -> None:
    balance = kind(COUNTS, 0.5)
    assert list(balance.buffers())
    assert not balance.state_dict()


def test_strength_zero_is_plain_cross_entropy() -> None:
    emissions, targets, _ = batch()
    targets = targets.clamp(max=2)
    for other in (Weighted(COUNTS, 0.0), LogitAdjusted(COUNTS, 0.0)):
        torch.testing.assert_close(other(emissions, targets), ClassLoss()(emissions, targets))


def test_adjusted_scores_do_not_learn_class_frequencies() -> None:
    """Without any feature the best plain scores are the log frequencies, the adjusted ones equal."""
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor(COUNTS)).unsqueeze(0)
    best = {}
    for name, balance in (("plain", ClassLoss()), ("adjusted", LogitAdjusted(COUNTS, 1.0))):
        scores = torch.zeros(3, requires_grad=True)
        optimiser = torch.optim.LBFGS([scores], max_iter=100, line_search_fn="strong_wolfe")

        def closure(scores=scores, balance=balance, optimiser=optimiser):
            optimiser.zero_grad()
            loss = balance(scores.expand(1, 100, 3), targets).mean()
            loss.backward()
            return loss

        optimiser.step(closure)
        best[name] = torch.softmax(scores.detach(), 0)
    torch.testing.assert_close(best["plain"], torch.tensor(COUNTS) / 100, atol=1e-3, rtol=0)
    torch.testing.assert_close(best["adjusted"], torch.full((3,), 1 / 3), atol=1e-3, rtol=0)
