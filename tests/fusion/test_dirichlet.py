"""Dirichlet fusion: its mathematics against torch.distributions and integrals, modalities, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.distributions import Categorical, kl_divergence  # noqa: E402
from torch.distributions import Dirichlet as Reference  # noqa: E402

from twofold.config import DirichletConfig, ModelConfig  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.fusion.dirichlet import (  # noqa: E402
    Dirichlet,
    entropy_of_mean,
    expected_cross_entropy,
    kl_to_uniform,
    mean_entropy,
    mutual_information,
    vacuity,
)
from twofold.models.build import FUSIONS, FusionSpec  # noqa: E402

WIDTHS = {"picture": 6, "alt_text": 8}


def alphas(rows: int = 40, outputs: int = 4) -> Tensor:
    """Concentrations from 1.01 to about 50."""
    torch.manual_seed(3)
    return 1.01 + torch.rand(rows, outputs, dtype=torch.float64).pow(4) * 50


# --- mathematics -----------------------------------------------------------------------------------------


def test_divergence_is_that_of_the_reference() -> None:
    alpha = alphas()
    expected = kl_divergence(Reference(alpha), Reference(torch.ones_like(alpha)))
    torch.testing.assert_close(kl_to_uniform(alpha), expected)
    assert kl_to_uniform(torch.ones(3)).item() == pytest.approx(0, abs=1e-6)


def test_expected_cross_entropy_is_the_integral() -> None:
    """Of one output among two, p is a beta variable: E[−log p] by Gauss–Legendre quadrature."""
    alpha = torch.tensor([[1.5, 4.0], [7.0, 2.5]], dtype=torch.float64)
    place, weight = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(400))
    p = (place + 1) / 2
    for row in alpha:
        density = torch.exp(Reference(row).log_prob(torch.stack([p, 1 - p], 1)))
        integral = (weight / 2 * density * -torch.log(p)).sum()
        found = expected_cross_entropy(row, torch.tensor([1.0, 0.0], dtype=torch.float64))
        assert found.item() == pytest.approx(integral.item(), rel=1e-4)


def test_uncertainties_are_those_of_sampled_distributions() -> None:
    alpha = alphas(6)
    torch.manual_seed(0)
    drawn = Reference(alpha).sample((40_000,))
    each = Categorical(probs=drawn).entropy().mean(0)
    torch.testing.assert_close(mean_entropy(alpha), each, atol=0.01, rtol=0)
    torch.testing.assert_close(entropy_of_mean(alpha), Categorical(probs=Reference(alpha).mean).entropy())
    assert (mutual_information(alphas()) > 0).all()
    firm = torch.full((4,), 1e5, dtype=torch.float64)  # so much evidence that p is known
    assert mutual_information(firm).item() == pytest.approx(0, abs=1e-4)


def test_vacuity_is_one_without_evidence_and_falls_with_it() -> None:
    assert vacuity(torch.ones(2, 5)).tolist() == [1.0, 1.0]
    assert vacuity(torch.tensor([6.0, 1, 1, 1, 1])).item() == pytest.approx(0.5)


# --- fusion ----------------------------------------------------------------------------------------------


def make(slot_size: int = 1, **options: float) -> Dirichlet:
    """As it could be after training: modalities give evidence."""
    torch.manual_seed(0)
    spec = FusionSpec(ModelConfig(dirichlet=DirichletConfig(**options)), "ABCDE", 8, WIDTHS, slot_size)
    fusion = FUSIONS["dirichlet"](spec)
    assert isinstance(fusion, Dirichlet)
    for name in WIDTHS:
        torch.nn.init.normal_(fusion.heads[name].weight)
    return fusion.eval()


def inputs() -> tuple[Tensor, Tensor, dict[str, ModalityStates]]:
    torch.manual_seed(1)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    picture = ModalityStates(torch.randn(2, 9, 6), torch.ones(2, 9, dtype=torch.bool))
    alt = ModalityStates(torch.randn(2, 3, 8), torch.tensor([[True, True, False], [True, True, True]]))
    return torch.randn(2, 7, 8), mask, {"picture": picture, "alt_text": alt}


def without(source: ModalityStates) -> ModalityStates:
    return ModalityStates(source.states, torch.zeros_like(source.mask))


@pytest.mark.parametrize("slots", [None, torch.tensor([[[0, 3]], [[2, 1]]])])
def test_an_absent_modality_adds_nothing(slots: Tensor | None) -> None:
    fusion = make(1 if slots is None else 2)
    words, mask, sources = inputs()
    none = fusion(words, mask, {}, slots).emissions
    masked = fusion(words, mask, {name: without(x) for name, x in sources.items()}, slots).emissions
    torch.testing.assert_close(masked, none)
    assert none.shape == (2, 7 if slots is None else 1, 5)
    assert (fusion(words, mask, sources, slots).emissions - none).abs().max() > 0.01


def test_evidence_of_modalities_adds_up() -> None:
    fusion = make()
    words, mask, sources = inputs()

    def evidence(*names: str) -> Tensor:
        return fusion.concentrations(fusion(words, mask, {n: sources[n] for n in names})) - 1

    parts = evidence("picture") + evidence("alt_text") - evidence()
    torch.testing.assert_close(evidence("picture", "alt_text"), parts)
    assert (evidence("picture") > evidence()).all()


def test_before_training_a_modality_gives_little_evidence_to_every_output_alike() -> None:
    fusion = Dirichlet(8, 5, WIDTHS).eval()
    words, mask, sources = inputs()
    assert fusion.modalities == ("text", "picture", "alt_text")
    assert fusion.scale.item() == 2
    assert not fusion.bias.any()
    alone = fusion.concentrations(fusion(words, mask, {}))
    beside = fusion.concentrations(fusion(words, mask, {"picture": sources["picture"]}))
    torch.testing.assert_close(beside - alone, torch.full((2, 7, 5), np.log1p(np.exp(-3.0)).item()))
    text = torch.nn.functional.softplus(fusion.heads["text"](words))
    torch.testing.assert_close(alone, 1 + text)
    torch.testing.assert_close(fusion(words, mask, {}).emissions, 2 * torch.log(alone))


def test_dropout_reaches_text_and_modalities_in_training_only() -> None:
    fusion = make()
    words, mask, sources = inputs()
    assert fusion.drop.p == 0.1
    with torch.no_grad():
        fusion.heads["text"].weight.zero_()  # what varies then comes from the picture
    for given in ({"picture": sources["picture"]}, {}):
        one, two = (fusion.train()(words, mask, given).emissions for _ in range(2))
        assert torch.equal(one, two) != bool(given)
        one, two = (fusion.eval()(words, mask, given).emissions for _ in range(2))
        assert torch.equal(one, two)
    varied = make().train()
    assert not torch.equal(varied(words, mask, {}).emissions, varied(words, mask, {}).emissions)


def test_the_loss_of_a_single_slot_is_that_of_the_slot() -> None:
    fusion = make(kl_weight=0.0)
    words, mask, sources = inputs()
    one = torch.zeros_like(mask)
    one[1, 2] = True
    fused = fusion(words, mask, sources)
    expected = expected_cross_entropy(fusion.concentrations(fused)[1, 2], torch.eye(5)[3])
    torch.testing.assert_close(fusion.loss(fused, torch.full((2, 7), 3), one), expected)


def test_emissions_are_logits_of_the_expected_output() -> None:
    fusion = make()
    fused = fusion(*inputs())
    alpha = fusion.concentrations(fused)
    with torch.no_grad():
        fusion.scale.fill_(1.0)
    logits = fusion(*inputs()).emissions
    torch.testing.assert_close(torch.softmax(logits, 2), alpha / alpha.sum(2, keepdim=True))


def test_masked_elements_and_words_have_no_influence() -> None:
    fusion = make()
    words, mask, sources = inputs()
    tags = torch.randint(0, 5, (2, 7))
    before = fusion(words, mask, sources)
    alt = sources["alt_text"]
    states = alt.states.masked_fill(~alt.mask.unsqueeze(2), 9.0)
    words = words.masked_fill(~mask.unsqueeze(2), 7.0)
    after = fusion(words, mask, sources | {"alt_text": ModalityStates(states, alt.mask)})
    torch.testing.assert_close(before.emissions[mask], after.emissions[mask])
    other = tags.masked_fill(~mask, 3)
    torch.testing.assert_close(fusion.loss(before, tags, mask), fusion.loss(after, other, mask))


def test_the_loss_is_the_sum_of_its_terms_and_the_weight_of_the_divergence_rises() -> None:
    fusion = make(loss_weight=0.5, kl_weight=2.0)
    words, mask, sources = inputs()
    tags = torch.randint(0, 5, (2, 7))
    fused = fusion(words, mask, sources)
    alpha = fusion.concentrations(fused)[mask]
    gold = torch.nn.functional.one_hot(tags[mask], 5)
    known = expected_cross_entropy(alpha, gold)
    wrong = kl_to_uniform(torch.where(gold.bool(), torch.ones_like(alpha), alpha))
    for steps, part in ((0, 0.0), (100, 0.25), (400, 1.0), (900, 1.0)):
        fusion.steps.fill_(steps)
        expected = 0.5 * (known + 2 * part * wrong).mean()
        torch.testing.assert_close(fusion.loss(fused, tags, mask), expected)
    fusion.train().loss(fused, tags, mask)
    assert fusion.steps.item() == 901


@pytest.mark.parametrize("given", [(), ("picture",), ("alt_text",), ("picture", "alt_text")])
def test_gradients_are_finite_with_any_subset(given: tuple[str, ...]) -> None:
    fusion = make().train()
    words, mask, sources = inputs()
    words.requires_grad_(True)
    fused = fusion(words, mask, {name: sources[name] for name in given})
    fusion.steps.fill_(400)
    (fused.emissions.sum() + fusion.loss(fused, torch.zeros(2, 7, dtype=torch.long), mask)).backward()
    assert torch.isfinite(words.grad).all()
    for name, view in fusion.views.items():
        reached = [p.grad is not None and bool(p.grad.abs().max() > 0) for p in view.parameters()]
        assert any(reached) == (name in given)
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in view.parameters())


def test_a_post_without_words_in_the_batch_is_finite() -> None:
    fusion = make()
    words, mask, sources = inputs()
    mask = torch.zeros_like(mask)
    loss = fusion.loss(fusion(words, mask, sources), torch.zeros(2, 7, dtype=torch.long), mask)
    assert loss.item() == 0


@pytest.mark.slow
@pytest.mark.thorough
def test_the_exported_graph_agrees(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    from twofold.models.multimodal import MultimodalModel
    from twofold.models.word_states import PlainWords
    from twofold.training.export import export_fusion

    class Encoder(torch.nn.Module):
        width = 8

    model = MultimodalModel(Encoder(), make(), torch.nn.Identity(), PlainWords()).eval()
    export_fusion(model, list(WIDTHS.values()), tmp_path / "fusion.onnx")
    words, mask, sources = inputs()
    words, mask = words[:1, :5], mask[:1, :5]
    given = {name: ModalityStates(x.states[:1], x.mask[:1]) for name, x in sources.items()}
    shapes = torch.ones(1, 5, dtype=torch.long)
    expected = model.fuse(words, shapes, mask, given).emissions.detach().numpy()
    feed = {"words": words, "shapes": shapes, "word_mask": mask}
    feed |= {name: x.states for name, x in given.items()}
    feed |= {f"{name}_mask": x.mask for name, x in given.items()}
    session = runtime.InferenceSession(str(tmp_path / "fusion.onnx"))
    (found,) = session.run(None, {name: x.numpy() for name, x in feed.items()})
    np.testing.assert_allclose(found, expected, atol=1e-4)
