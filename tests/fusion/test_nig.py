"""NIG head, loss and poolings against algebra and SciPy's Student-t."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from twofold.fusion.nig import (  # noqa: E402
    BETA_FLOOR,
    EVIDENCE_CAP,
    NIG,
    Discounted,
    LogLinear,
    MoNIG,
    Pooling,
    PriorCorrected,
    from_scores,
    nll,
    regulariser,
)


def stack(*sources: tuple[float, float, float, float]) -> NIG:
    """M modalities as (1, M, 1, 1) tensors."""
    table = torch.tensor(sources, dtype=torch.float64)
    return NIG(*(table[:, i].reshape(1, -1, 1, 1) for i in range(4)))


def pool(rule: Pooling, *sources: tuple[float, float, float, float], present: list[int] | None = None) -> NIG:
    mask = torch.tensor(present or [1] * len(sources), dtype=torch.float64).reshape(1, -1, 1, 1)
    nig, share = rule(stack(*sources), mask, torch.zeros(1, 1, 3))
    assert share.sum().item() == pytest.approx(1)
    return NIG(*(x.squeeze() for x in nig))


def even_pool(count: int) -> LogLinear:
    rule = LogLinear(3, count).double()
    torch.nn.init.zeros_(rule.weight_scores.bias)
    return rule


class Evenly(Pooling):
    """Log-linear pool with equal weights."""

    def forward(self, nig: NIG, present: torch.Tensor, words: torch.Tensor) -> tuple[NIG, torch.Tensor]:
        return even_pool(nig.delta.shape[1])(nig, present, words.double())


def test_loss_is_minus_log_density_of_student_t() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = torch.Generator().manual_seed(0)
    for _ in range(50):
        d, g, a, b, y = torch.rand(5, generator=random, dtype=torch.float64) * 3 + 0.1
        a = a + 1
        scale = math.sqrt(b * (1 + g) / (g * a))
        expected = -stats.t.logpdf(y, df=2 * a, loc=d, scale=scale)
        assert nll(NIG(d, g, a, b), y).item() == pytest.approx(expected, abs=1e-9)


def test_the_scale_of_the_student_t_whose_variance_is_the_sum_of_both_uncertainties() -> None:
    nig = NIG(*(torch.rand(4, 50, dtype=torch.float64) + 0.2))
    nig = nig._replace(alpha=nig.alpha + 1)
    variance = nig.student_t_scale**2 * nig.alpha / (nig.alpha - 1)  # of a t with 2α degrees of freedom
    torch.testing.assert_close(variance, nig.aleatoric + nig.epistemic)
    torch.testing.assert_close(nig.epistemic_proxy**2 * nig.aleatoric, nig.epistemic)
    assert NIG(0.0, 0.5, 3.0, 1.0).evidence == 6.5


def test_monig_of_equal_modalities_is_more_confident_and_the_log_linear_pool_is_not() -> None:
    one = (0.3, 1.0, 2.0, 1.0)
    fused = pool(MoNIG(), one, one)
    assert fused.aleatoric.item() == pytest.approx(0.571, abs=5e-4)
    assert fused.epistemic.item() == pytest.approx(0.286, abs=5e-4)
    again = pool(Evenly(), one, one)
    assert [x.item() for x in again] == pytest.approx(one)


@pytest.mark.parametrize(("distance", "expected"), [(0, 0.571), (1, 0.643), (2, 0.857), (4, 1.714)])
def test_monig_disagreement_enters_through_beta(distance: float, expected: float) -> None:
    fused = pool(MoNIG(), (0.0, 1.0, 2.0, 1.0), (distance, 1.0, 2.0, 1.0))
    assert fused.aleatoric.item() == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("rule", [MoNIG(), PriorCorrected()])
def test_summations_commute_and_associate(rule: Pooling) -> None:
    sources = [(0.1, 0.7, 1.5, 0.4), (0.9, 2.0, 3.0, 1.0), (-0.4, 0.2, 1.1, 2.0)]
    whole = pool(rule, *sources)
    reversed_order = pool(rule, *sources[::-1])
    pair = pool(rule, *sources[:2])
    stepwise = pool(rule, tuple(x.item() for x in pair), sources[2])
    for other in (reversed_order, stepwise):
        assert [x.item() for x in other] == pytest.approx([x.item() for x in whole])


@pytest.mark.parametrize("rule", [MoNIG(), PriorCorrected(), Discounted(), Evenly()])
def test_a_masked_modality_leaves_the_other_unchanged(rule: Pooling) -> None:
    one, other = (0.3, 1.0, 2.0, 1.0), (5.0, 3.0, 4.0, 9.0)
    assert [x.item() for x in pool(rule, one, other, present=[1, 0])] == pytest.approx(one)


def test_no_evidence_changes_nothing_only_when_prior_corrected() -> None:
    one, nothing = (0.3, 1.0, 2.0, 1.0), (0.9, 1e-9, 1 + 1e-9, 1e-9)
    assert [x.item() for x in pool(PriorCorrected(), one, nothing)] == pytest.approx(one, abs=1e-6)
    assert pool(MoNIG(), one, nothing).aleatoric.item() == pytest.approx(0.4, abs=1e-6)  # α gains 3/2


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 0.05), (19.0, 3.0)])
def test_discounted_a_modality_without_evidence_counts_as_absent(alpha: float, beta: float) -> None:
    one = (0.3, 1.0, 2.0, 1.0)
    assert [x.item() for x in pool(Discounted(), one, (0.9, 1e-9, alpha, beta))] == pytest.approx(
        one, abs=1e-6
    )
    kept = pool(PriorCorrected(), one, (0.9, 1e-9, alpha, beta))
    assert kept.alpha.item() == pytest.approx(1 + 1 + alpha - 1)


def test_discounted_modalities_of_equal_gamma_are_summed_in_full_and_others_by_their_noise() -> None:
    sources = [(0.1, 0.7, 2.5, 0.4), (0.9, 0.7, 3.0, 1.0), (-0.4, 0.7, 4.1, 2.0)]
    in_full = [x.item() for x in pool(PriorCorrected(), *sources)]
    assert [x.item() for x in pool(Discounted(), *sources)] == pytest.approx(in_full)
    assert [x.item() for x in pool(Discounted(), *sources[::-1])] == pytest.approx(in_full)
    sure, unsure = NIG(0.0, 3.0, 5.0, 1.0), NIG(0.0, 0.25, 3.0, 2.0)
    parts = [nig.aleatoric / (nig.aleatoric + nig.epistemic) for nig in (sure, unsure)]
    fused = pool(Discounted(), tuple(sure), tuple(unsure))
    weight = parts[1] / parts[0]
    assert fused.alpha.item() == pytest.approx(1 + 4 + weight * 2)
    assert fused.beta.item() == pytest.approx(1 + weight * 2)


def test_parameters_stay_in_their_ranges() -> None:
    nig = from_scores(torch.randn(1000, 4) * 50)
    assert (nig.gamma > 0).all()
    assert (nig.gamma <= EVIDENCE_CAP).all()
    assert (nig.alpha > 1).all()
    assert (nig.alpha <= EVIDENCE_CAP).all()
    assert (nig.beta >= BETA_FLOOR).all()
    for value in (*nig, nig.aleatoric, nig.epistemic, nll(nig, torch.ones(1000))):
        assert torch.isfinite(value).all()


def test_regulariser_is_evidence_times_error() -> None:
    nig = NIG(*(torch.tensor(x) for x in (0.25, 2.0, 3.0, 1.0)))
    assert regulariser(nig, torch.tensor(1.0)).item() == pytest.approx(0.75 * (2 * 2 + 3))


@pytest.mark.parametrize("pooling", [MoNIG(), PriorCorrected(), Discounted(), LogLinear(4, 2)])
def test_the_confidence_of_the_pool_gives_no_gradient_to_predictions_and_weights(pooling: Pooling) -> None:
    torch.manual_seed(0)
    delta = torch.randn(2, 2, 3, 5, requires_grad=True)
    rest = [torch.rand(2, 2, 3, 5) + 2 for _ in range(3)]
    pooled, _ = pooling(NIG(delta, *rest), torch.ones(2, 2, 1, 1), torch.randn(2, 3, 4))
    if pooled.beta.requires_grad or pooled.alpha.requires_grad:
        (pooled.alpha + pooled.beta).sum().backward()
    assert delta.grad is None or not delta.grad.any()
    assert all(weight.grad is None or not weight.grad.any() for weight in pooling.parameters())
