"""Evidential fusion: absent modalities, shares, gradients, wrong pictures in training."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from twofold.config import EvidentialConfig, ModelConfig  # noqa: E402
from twofold.fusion.contract import FusionOutput, ModalityStates  # noqa: E402
from twofold.fusion.evidential import (  # noqa: E402
    BLANK_EVIDENCE_WEIGHT,
    Evidential,
    EvidentialSettings,
    PicturePerturbation,
    VarianceHead,
)
from twofold.fusion.nig import Discounted, LogLinear, MoNIG, Pooling, PriorCorrected, from_scores  # noqa: E402
from twofold.fusion.text_only import TextOnly  # noqa: E402
from twofold.models.build import FUSIONS, FusionSpec  # noqa: E402

POOLINGS = [MoNIG, PriorCorrected, Discounted, lambda: LogLinear(8, 3)]


def make(pooling: Pooling) -> Evidential:
    torch.manual_seed(0)
    return Evidential(
        8, 5, {"picture": 6, "alt_text": 8}, pooling, settings=EvidentialSettings(hidden_size=4)
    ).eval()


def inputs() -> tuple[torch.Tensor, torch.Tensor, dict[str, ModalityStates]]:
    torch.manual_seed(1)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    picture = ModalityStates(torch.randn(2, 9, 6), torch.ones(2, 9, dtype=torch.bool))
    alt = ModalityStates(torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.bool))
    return torch.randn(2, 7, 8), mask, {"picture": picture, "alt_text": alt}


def without(source: ModalityStates) -> ModalityStates:
    return ModalityStates(torch.zeros_like(source.states), torch.zeros_like(source.mask))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_masked_modality_is_the_same_as_none(pooling) -> None:
    fusion = make(pooling())
    words, mask, sources = inputs()
    masked = fusion(words, mask, {name: without(s) for name, s in sources.items()})
    none = fusion(words, mask, {})
    torch.testing.assert_close(masked.emissions, none.emissions)
    torch.testing.assert_close(masked.pooled, none.pooled)
    text = none.evidence[:, 0]
    torch.testing.assert_close(none.pooled, text)  # the text-only limit is the text's own NIG
    assert (none.share[:, 0] == 1).all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_shares_sum_to_one_over_present_modalities(pooling) -> None:
    words, mask, sources = inputs()
    fused = make(pooling())(words, mask, sources | {"picture": without(sources["picture"])})
    torch.testing.assert_close(fused.share.sum(1), torch.ones(2, 7, 5))
    assert (fused.share[:, 1] == 0).all()


@pytest.mark.parametrize("given", [(), ("picture",), ("alt_text",), ("picture", "alt_text")])
def test_finite_forward_and_backward_with_any_subset(given: tuple[str, ...]) -> None:
    fusion = make(LogLinear(8, 3)).train()
    words, mask, sources = inputs()
    words.requires_grad_(True)
    fused = fusion(words, mask, {name: sources[name] for name in given})
    tags = torch.zeros(2, 7, dtype=torch.long)
    (fused.emissions.sum() + fusion.loss(fused, tags, mask)).backward()
    assert torch.isfinite(words.grad).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in fusion.parameters())


def test_a_modality_without_real_elements_is_finite() -> None:
    words, mask, sources = inputs()
    empty = ModalityStates(sources["picture"].states[:, :1] * 0, sources["picture"].mask[:, :1] & False)
    assert torch.isfinite(make(MoNIG())(words, mask, {"picture": empty}).emissions).all()


def test_training_leaves_out_the_text_at_random_and_only_where_another_modality_is_present() -> None:
    fusion = make(MoNIG())
    fusion.settings = replace(fusion.settings, text_dropout=0.7)
    words, mask, sources = inputs()
    sources["alt_text"].mask[1] = False
    many = (words.repeat(1000, 1, 1), mask.repeat(1000, 1))
    given = {
        n: ModalityStates(s.states.repeat(1000, 1, 1), s.mask.repeat(1000, 1)) for n, s in sources.items()
    }
    present = fusion.train()(*many, given).present
    assert present[:, 0].float().mean() == pytest.approx(0.3, abs=0.05)
    assert present[:, 1].all()
    assert torch.equal(present[:, 2], given["alt_text"].mask.any(1))
    alone = fusion(*many, {"alt_text": given["alt_text"]}).present
    assert alone[1::2, 0].all()  # posts that have nothing else
    assert fusion.eval()(*many, given).present[:, 0].all()


def test_training_fits_the_targets() -> None:
    fusion = make(PriorCorrected()).train()
    words, mask, sources = inputs()
    tags = torch.randint(0, 5, (2, 7))
    optimiser = torch.optim.Adam(fusion.parameters(), 0.05)
    for _ in range(60):
        loss = fusion.loss(fusion(words, mask, sources), tags, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    fused: FusionOutput = fusion.eval()(words, mask, sources)
    assert (fused.emissions.argmax(2) == tags)[mask].float().mean() > 0.9


def test_text_only_is_a_linear_map() -> None:
    fusion = TextOnly(8, 5)
    words, mask, sources = inputs()
    torch.testing.assert_close(fusion(words, mask, sources).emissions, fusion.score(words))
    assert fusion.loss(fusion(words, mask, sources), torch.zeros(2, 7, dtype=torch.long), mask) == 0


# --- blank pictures in training ---------------------------------------------------------------------

BLANK = torch.stack([torch.full((4, 6), 3.0), torch.full((4, 6), -3.0)])
"""Two blank pictures of four elements."""


def blanking(probability: float) -> Evidential:
    torch.manual_seed(0)
    settings = EvidentialSettings(4, text_dropout=0, pictures=PicturePerturbation(probability))
    fusion = Evidential(8, 5, {"picture": 6, "alt_text": 8}, MoNIG(), settings=settings)
    fusion.drop = torch.nn.Dropout(0.0)
    fusion.set_blank_pictures({"picture": BLANK})
    return fusion.train()


def test_pictures_are_replaced_by_any_of_the_blanks_in_training_only() -> None:
    fusion = blanking(1.0)
    torch.manual_seed(4)
    blanks = torch.randn(2, 4, 6)  # their elements differ
    fusion.set_blank_pictures({"picture": blanks})
    words, mask, sources = inputs()
    options = []
    for blank in blanks:  # its four elements, repeated
        picture = ModalityStates(
            torch.cat([blank, blank, blank])[:9].expand(2, 9, 6), sources["picture"].mask
        )
        options.append(fusion.eval()(words, mask, {**sources, "picture": picture}).evidence)
    drawn = set()
    for _ in range(20):
        shown = fusion.train()(words, mask, sources)
        assert shown.loss_inputs.blank.tolist() == [[False, True, False]] * 2
        for row in range(2):
            distances = [(shown.evidence[row] - option[row]).abs().max().item() for option in options]
            assert min(distances) < 1e-6 < max(distances)
            drawn.add((row, distances.index(min(distances))))
    assert len(drawn) == 4
    own = fusion.eval()(words, mask, sources)
    assert own.loss_inputs is None
    assert all((own.evidence - option).abs().max() > 1e-3 for option in options)


def test_a_post_without_a_picture_gets_no_blank() -> None:
    fusion = blanking(1.0)
    words, mask, sources = inputs()
    sources["picture"].mask[1] = False
    fused = fusion(words, mask, sources)
    assert fused.loss_inputs.blank.tolist() == [[False, True, False], [False, False, False]]
    assert not fused.present[1, 1]
    assert fusion(words, mask, {"alt_text": sources["alt_text"]}).loss_inputs is None


def test_the_loss_of_a_blank_picture_is_its_mean_gamma() -> None:
    words, mask, sources = inputs()
    tags = torch.randint(0, 5, (2, 7))
    fusion = blanking(1.0)
    fusion.settings = replace(fusion.settings, warmup_steps=0)
    fused = fusion(words, mask, sources)
    without = fused._replace(loss_inputs=None)
    gamma = fused.evidence[:, 1, 1]  # (B, W, K)
    expected = BLANK_EVIDENCE_WEIGHT * torch.cat([gamma[0], gamma[1, :4]]).mean()
    claimed = fusion.loss(fused, tags, mask) - fusion.loss(without, tags, mask)
    torch.testing.assert_close(claimed, expected, atol=1e-5, rtol=1e-4)


def mismatching(probability: float, blank: float = 0.0) -> Evidential:
    torch.manual_seed(0)
    pictures = PicturePerturbation(blank, probability)
    settings = EvidentialSettings(4, text_dropout=0, pictures=pictures)
    fusion = Evidential(8, 5, {"picture": 6, "whole": 6, "alt_text": 8}, MoNIG(), settings=settings)
    fusion.drop = torch.nn.Dropout(0.0)
    fusion.set_blank_pictures({"picture": BLANK, "whole": BLANK[:, :1]})
    return fusion.train()


def pictured() -> tuple[torch.Tensor, torch.Tensor, dict[str, ModalityStates]]:
    """Six posts, of which the last two have no picture."""
    torch.manual_seed(2)
    states = torch.randn(6, 9, 6)
    seen = torch.arange(9) < torch.tensor([9, 4, 9, 7, 0, 0]).unsqueeze(1)
    whole = ModalityStates(states.mean(1, keepdim=True), seen[:, :1].clone())
    captions = ModalityStates(torch.randn(6, 5, 8), torch.ones(6, 5, dtype=torch.bool))
    sources = {"picture": ModalityStates(states, seen), "whole": whole, "alt_text": captions}
    return torch.randn(6, 7, 8), torch.ones(6, 7, dtype=torch.bool), sources


def test_mismatched_pictures_are_those_of_one_post_in_all_modalities() -> None:
    fusion, (words, mask, sources) = mismatching(1.0), pictured()
    fusion.eval()
    options = []  # evidence where all posts have the picture of one of them
    for other in range(4):
        given = {n: ModalityStates(s.states[[other] * 6], s.mask[[other] * 6]) for n, s in sources.items()}
        options.append(fusion(words, mask, given | {"alt_text": sources["alt_text"]}).evidence)
    drawn = set()
    for _ in range(30):
        shown = fusion.train()(words, mask, sources)
        assert not shown.loss_inputs.blank.any()  # none is blank, and none adds to the loss
        assert not shown.present[4:, 1:3].any()
        for row in range(4):
            apart = [(shown.evidence[row] - option[row]).abs().max().item() for option in options]
            assert min(apart) < 1e-6
            drawn.add((row, apart.index(min(apart))))
    assert len(drawn) == 16


def test_a_picture_is_blank_or_mismatched_or_its_own() -> None:
    fusion, (words, mask, sources) = mismatching(0.3, blank=0.3), pictured()
    words, mask = words[:2].repeat(500, 1, 1), mask[:2].repeat(500, 1)
    many = {
        n: ModalityStates(s.states[:2].repeat(500, 1, 1), s.mask[:2].repeat(500, 1))
        for n, s in sources.items()
    }
    own = fusion.eval()(words, mask, many).evidence[:, 1]
    shown = fusion.train()(words, mask, many)
    blank = shown.loss_inputs.blank[:, 1]
    assert (shown.loss_inputs.blank[:, 2] == blank).all()  # both sources are of one picture
    assert blank.float().mean() == pytest.approx(0.3, abs=0.05)
    changed = ((shown.evidence[:, 1] - own).abs() > 1e-6).flatten(1).any(1)
    assert changed[blank].all()
    mismatched = (changed & ~blank).float().mean()
    assert mismatched == pytest.approx(0.3 / 2, abs=0.04)  # half of the others have the same picture


@pytest.mark.parametrize(("blank", "mismatched"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1)])
def test_blank_pictures_are_needed_only_where_pictures_are_replaced(blank: float, mismatched: float) -> None:
    assert mismatching(mismatched, blank).perturbs_pictures == (blank + mismatched > 0)


def test_blank_pictures_are_not_saved() -> None:
    plain = Evidential(8, 5, {"picture": 6, "alt_text": 8}, MoNIG(), settings=EvidentialSettings(4))
    assert blanking(0.5).state_dict().keys() == plain.state_dict().keys()


@pytest.mark.slow
def test_a_blank_picture_gets_less_evidence_than_a_real_one_after_training() -> None:
    fusion = blanking(0.5)
    optimiser = torch.optim.Adam(fusion.parameters(), 0.01)
    words, mask, sources = inputs()
    tags = torch.randint(0, 5, (2, 7))
    for _ in range(150):
        loss = fusion.loss(fusion(words, mask, sources), tags, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    own = fusion.eval()(words, mask, sources).evidence[:, 1, 1][mask].mean()
    grey = ModalityStates(
        torch.zeros(2, 9, 6), sources["picture"].mask
    )  # halfway between the two blanks, and not seen in training
    blank = ModalityStates(BLANK[:1, :1].expand(2, 9, 6), sources["picture"].mask)
    for picture in (grey, blank):
        claimed = fusion(words, mask, {**sources, "picture": picture}).evidence[:, 1, 1][mask].mean()
        assert claimed < 0.7 * own


@pytest.mark.parametrize("name", ["text", "picture"])
def test_the_variance_falls_as_the_probability_of_one_output_rises(name: str) -> None:
    lead = torch.linspace(1.4, 12, 9).view(9, 1, 1)  # of the first of five, more likely than not from 1.39 on
    logits = lead * torch.tensor([1.0, 0, 0, 0, 0])
    level = torch.ones(9, 1, 5, 1)
    nig = from_scores(torch.cat([logits.unsqueeze(3), level, VarianceHead(name)(logits)], 3))
    assert (nig.aleatoric.diff(dim=0) < 0).all()


def test_variance_scores_are_linear_in_the_log_variance_and_log_entropy_of_the_probabilities() -> None:
    head = VarianceHead("text")
    logits = torch.tensor([[[2.0, 0.0, -1.0]]])
    probabilities = [math.exp(x) for x in (2.0, 0.0, -1.0)]
    probabilities = [x / sum(probabilities) for x in probabilities]
    entropy = math.log(-sum(p * math.log(p) for p in probabilities) + 1e-3)
    features = torch.tensor([[math.log(p * (1 - p) + 1e-4), entropy] for p in probabilities])
    expected = features @ head.scores.weight.T + head.scores.bias
    torch.testing.assert_close(head(logits)[0, 0], expected)


def test_a_certain_prediction_is_finite_forward_and_backward() -> None:
    head = VarianceHead("text")
    scores = head(torch.tensor([[[400.0, 0.0, -400.0]]]))
    scores.sum().backward()
    assert torch.isfinite(scores).all()
    assert torch.isfinite(head.scores.weight.grad).all()


def test_alpha_and_beta_give_no_gradient_to_delta() -> None:
    fusion = make(MoNIG())
    words, mask, sources = inputs()
    alpha_and_beta = fusion(words, mask, sources).evidence[:, :, 2:].sum()
    alpha_and_beta.backward()
    assert not fusion.delta_heads["text"].weight.grad.any()
    assert fusion.variance_heads["picture"].scores.weight.grad.abs().sum() > 0


# --- before training, and by name --------------------------------------------------------------------


def untrained(outputs: int = 9) -> tuple[Evidential, FusionOutput]:
    """A new fusion, and its output for normalised words and a picture."""
    torch.manual_seed(0)
    fusion = Evidential(64, outputs, {"picture": 6}, LogLinear(64, 2)).eval()
    words = torch.nn.functional.layer_norm(torch.randn(4, 20, 64), (64,))
    picture = ModalityStates(torch.randn(4, 9, 6), torch.ones(4, 9, dtype=torch.bool))
    return fusion, fusion(words, torch.ones(4, 20, dtype=torch.bool), {"picture": picture})


def test_before_training_a_modality_revises_nothing_and_has_no_share() -> None:
    fusion, output = untrained()
    assert fusion.modalities == ("text", "picture")
    assert fusion.scale.item() == 4.5  # the scale at which δ = 1 is the score of an easy word
    torch.testing.assert_close(output.evidence[:, 1, 0], output.evidence[:, 0, 0])
    assert (output.share[:, 0] == 1).all()


def test_before_training_gamma_is_near_two_for_the_text_and_a_third_for_others() -> None:
    _, output = untrained()
    gamma = output.evidence[:, :, 1].transpose(0, 1).flatten(1)
    assert gamma.mean(1).tolist() == pytest.approx([2.1, 0.31], abs=0.05)
    assert (gamma.std(1) < 0.3 * gamma.mean(1)).all()


def test_before_training_the_log_linear_pool_gives_the_text_e_times_the_weight_of_others() -> None:
    _, output = untrained()
    gamma, pooled = output.evidence[:, :, 1], output.pooled[:, 1]
    expected = (math.e * gamma[:, 0] + gamma[:, 1]) / (math.e + 1)
    torch.testing.assert_close(pooled, expected)


@pytest.mark.parametrize("outputs", [5, 9, 23])
@pytest.mark.parametrize(("name", "gamma"), [("text", 2.12), ("picture", 0.313)])
def test_before_training_the_variance_is_near_a_tenth_where_all_outputs_are_equally_probable(
    outputs: int, name: str, gamma: float
) -> None:
    logits = torch.zeros(1, 1, outputs)
    level = torch.full((1, 1, outputs, 1), math.log(math.expm1(gamma)))
    nig = from_scores(torch.cat([logits.unsqueeze(3), level, VarianceHead(name)(logits)], 3))
    variance = nig.aleatoric + nig.epistemic
    assert ((variance > 0.09) & (variance < 0.18)).all()


def test_dropout_reaches_every_head_in_training_only() -> None:
    fusion = make(MoNIG())
    torch.nn.init.normal_(fusion.delta_heads["picture"].weight)
    fusion.settings = replace(fusion.settings, text_dropout=0.0)
    words, mask, sources = inputs()
    one, two = (fusion.train()(words, mask, sources).evidence for _ in range(2))
    for modality, parameter in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert not torch.equal(one[:, modality, parameter], two[:, modality, parameter])
    one, two = (fusion.eval()(words, mask, sources).evidence for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("pooling", "kind"),
    [("", PriorCorrected), ("monig", MoNIG), ("prior_corrected", PriorCorrected), ("discounted", Discounted),
     ("log_linear", LogLinear)],
)  # fmt: skip
def test_the_options_are_those_of_the_configuration(pooling: str, kind: type) -> None:
    options = EvidentialConfig("revision", pooling, 0.2, 0.3, blank_pictures=0.4, mismatched_pictures=0.1)
    config = ModelConfig(evidential=options)
    fusion = FUSIONS["evidential"](FusionSpec(config, "ABC", 8, {"picture": 6}, 2))
    assert isinstance(fusion, Evidential)
    assert fusion.settings == replace(
        EvidentialSettings(),
        evidence_weight=0.2,
        regulariser_weight=0.3,
        pictures=PicturePerturbation(blank=0.4, mismatched=0.1),
    )
    assert type(fusion.pooling) is kind
    assert fusion.pooling.detached
