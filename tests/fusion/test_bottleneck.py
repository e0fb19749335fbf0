"""System C: text-only limits, masks, noise, regularisers; and how the faithful form differs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from twofold.config import BottleneckConfig, ModelConfig  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402
from twofold.fusion.bottleneck import Bottleneck, EmbeddedElements  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.fusion.text_only import TextOnly  # noqa: E402
from twofold.fusion.variational import (  # noqa: E402
    infonce,
    jsd,
    kl_to_standard_normal,
    mean_element,
    negative_pairs,
    sum_mean_reduction,
)
from twofold.models.build import FUSIONS, FusionSpec  # noqa: E402

FORMS = ["corrected", "faithful"]
WIDTHS = {"picture": 6, "alt_text": 8}
TASKS = {"entities": 1, "relations": 2}


def make(form: str = "corrected", task: str = "entities", widths: dict[str, int] = WIDTHS, **options: object):
    torch.manual_seed(0)
    chosen = BottleneckConfig(form=form, hidden_size=16, **options)
    config = ModelConfig(fusion="bottleneck", task=task, bottleneck=chosen)
    fusion = FUSIONS["bottleneck"](FusionSpec(config, "ABCDE", 8, widths, TASKS[task]))
    assert isinstance(fusion, Bottleneck)
    return fusion.eval()


def with_random_readout(fusion: Bottleneck) -> Bottleneck:
    """As it could be after training: what is added to the words is no longer zero."""
    torch.nn.init.normal_(fusion.readout.project.weight)
    torch.nn.init.normal_(fusion.readout.project.bias)
    return fusion


def inputs() -> tuple[Tensor, Tensor, dict[str, ModalityStates]]:
    torch.manual_seed(1)
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[1, 4:] = False
    picture = ModalityStates(40 * torch.randn(3, 9, 6), torch.ones(3, 9, dtype=torch.bool))
    alt_mask = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    return (
        torch.randn(3, 7, 8),
        mask,
        {"picture": picture, "alt_text": ModalityStates(torch.randn(3, 3, 8), alt_mask)},
    )


def without(source: ModalityStates) -> ModalityStates:
    return ModalityStates(source.states, torch.zeros_like(source.mask))


# --- the text-only limit


@pytest.mark.parametrize("task", TASKS)
def test_without_a_visual_modality_the_corrected_form_is_text_only(task: str) -> None:
    fusion = with_random_readout(make(task=task)).train()  # noise must have no influence either
    words, mask, sources = inputs()
    slots = None if task == "entities" else torch.tensor([[[0, 3]], [[2, 1]], [[5, 6]]])
    twin = TextOnly(8, 5, TASKS[task])
    twin.score.load_state_dict(fusion.score.state_dict())
    expected = twin(words, mask, {}, slots).emissions
    for given in ({}, {name: without(s) for name, s in sources.items()}):
        fused = fusion(words, mask, given, slots)
        assert torch.equal(fused.emissions, expected)
        assert fusion.loss(fused, torch.zeros(3, 7, dtype=torch.long), mask) == 0


def test_before_training_the_corrected_form_is_text_only_with_any_modality() -> None:
    fusion = make()
    words, mask, sources = inputs()
    assert torch.equal(fusion(words, mask, sources).emissions, fusion(words, mask, {}).emissions)


def test_without_a_visual_modality_the_faithful_form_scores_the_latents_of_the_text() -> None:
    fusion = make("faithful")
    words, mask, sources = inputs()
    expected = fusion.score(fusion.encode_text.mean(words, words, mask, mask))
    torch.testing.assert_close(fusion(words, mask, {}).emissions, expected)
    masked = {name: without(s) for name, s in sources.items()}
    torch.testing.assert_close(fusion(words, mask, masked).emissions, expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_post_without_modalities_does_not_depend_on_those_of_other_posts(form: str) -> None:
    fusion = make(form) if form == "faithful" else with_random_readout(make(form))
    words, mask, sources = inputs()
    picture = sources["picture"]
    picture.mask[2] = False  # and it has no alt text either
    torch.testing.assert_close(
        fusion(words, mask, sources).emissions[2], fusion(words, mask, {}).emissions[2]
    )


# --- masks, and the influence of modalities


def test_masked_elements_have_no_influence_in_the_corrected_form() -> None:
    fusion = with_random_readout(make(alignment_weight=1.0, text_kl_weight=1.0, picture_kl_weight=1.0))
    words, mask, sources = inputs()
    targets = torch.zeros(3, 7, dtype=torch.long)
    before = fusion(words, mask, sources)
    alt = sources["alt_text"]
    sources["alt_text"] = ModalityStates(alt.states.masked_fill(~alt.mask.unsqueeze(2), 1e6), alt.mask)
    after = fusion(words.masked_fill(~mask.unsqueeze(2), 50.0), mask, sources)
    torch.testing.assert_close(before.emissions[mask], after.emissions[mask])
    torch.testing.assert_close(fusion.loss(before, targets, mask), fusion.loss(after, targets, mask))


@pytest.mark.parametrize(("form", "leaks"), [("corrected", False), ("faithful", True)])
def test_padding_leaks_in_the_faithful_form_only(form: str, leaks: bool) -> None:
    fusion = make(form) if leaks else with_random_readout(make(form))
    words, mask, sources = inputs()
    alone = {name: ModalityStates(s.states[1:2], s.mask[1:2]) for name, s in sources.items()}
    short = fusion(words[1:2, :4], mask[1:2, :4], alone).emissions[0]
    padded = fusion(words, mask, sources).emissions[1, :4]
    assert torch.allclose(short, padded, atol=1e-5) != leaks


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", WIDTHS)
def test_every_modality_can_change_every_word(form: str, name: str) -> None:
    fusion = make(form) if form == "faithful" else with_random_readout(make(form))
    words, mask, sources = inputs()
    changed = sources | {name: ModalityStates(sources[name].states.flip(2), sources[name].mask)}
    difference = (fusion(words, mask, sources).emissions - fusion(words, mask, changed).emissions).abs()
    there = mask & sources[name].mask.any(1, keepdim=True)
    assert (difference.amax(2)[there] > 1e-5).all()


def test_a_large_scale_of_states_changes_nothing_after_normalisation() -> None:
    fusion = with_random_readout(make())
    words, mask, sources = inputs()
    larger = ModalityStates(sources["picture"].states * 100, sources["picture"].mask)
    one, other = (fusion(words, mask, {"picture": x}).emissions for x in (sources["picture"], larger))
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_the_faithful_form_has_one_projection_per_width() -> None:
    shared = make("faithful", widths={"whole": 6, "crops": 6})
    assert len(shared.visual_sequence.project) == 1
    assert len(make("corrected", widths={"whole": 6, "crops": 6}).visual_sequence.project) == 2


# --- noise


@pytest.mark.parametrize(
    ("form", "task", "random"),
    [
        ("corrected", "entities", False),
        ("corrected", "relations", False),
        ("faithful", "entities", False),
        ("faithful", "relations", True),
    ],
)
def test_only_faithful_relations_are_random_at_inference(form: str, task: str, random: bool) -> None:
    fusion = make(form, task) if form == "faithful" else with_random_readout(make(form, task))
    words, mask, sources = inputs()
    slots = None if task == "entities" else torch.tensor([[[0, 3]], [[2, 1]], [[5, 6]]])
    one, two = (fusion(words, mask, sources, slots).emissions for _ in range(2))
    assert torch.equal(one, two) != random
    fusion.train()
    one, two = (fusion(words, mask, sources, slots).emissions for _ in range(2))
    assert not torch.equal(one, two)


# --- the loss


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    words, mask, sources = inputs()
    fusion = make(alignment_weight=0.5, text_kl_weight=0.25, picture_kl_weight=0.125)
    fused = fusion(words, mask, sources)
    x = fused.loss_inputs
    expected = (
        0.5 * jsd(fusion.critic(x.text, x.picture), x.negatives, x.has_picture)
        + 0.25 * sum_mean_reduction(kl_to_standard_normal(x.text_mean, x.text_log_variance), x.text_mask)
        + 0.125
        * sum_mean_reduction(kl_to_standard_normal(x.picture_mean, x.picture_log_variance), x.picture_mask)
    )
    torch.testing.assert_close(fusion.loss(fused, torch.zeros(3, 7, dtype=torch.long), mask), expected)
    assert x.picture_mask.sum() == 3 * 9 + 2 + 3
    torch.testing.assert_close(x.text[0], x.text_mean[0].mean(0))  # at inference Z is μ
    again = make(alignment="infonce", alignment_weight=1.0, text_kl_weight=0.0, picture_kl_weight=0.0)
    expected = infonce(again.critic(x.text, x.picture), x.negatives, x.has_picture)
    torch.testing.assert_close(again.loss(fused, torch.zeros(3, 7, dtype=torch.long), mask), expected)


@pytest.mark.parametrize("form", FORMS)
def test_the_inputs_of_the_regularisers(form: str) -> None:
    fusion = make(form)
    words, mask, sources = inputs()
    sources["picture"].mask[2] = False  # and it has no alt text either
    x = fusion(words, mask, sources).loss_inputs
    assert fusion.modalities == ("text", "picture", "alt_text")
    assert x.has_picture.tolist() == [True, True, False]
    assert torch.equal(x.negatives, negative_pairs(sources.values()))
    assert x.text_mask.tolist() == [[True] * 7, [True] * 4 + [False] * 3, [False] * 7]
    real = torch.cat([s.mask for s in sources.values()], 1)
    here = real if form == "corrected" else x.has_picture.unsqueeze(1).expand(-1, 12)
    assert torch.equal(x.picture_mask, here)
    torch.testing.assert_close(x.text, mean_element(x.text_mean, mask))  # at inference Z is μ
    summary = mean_element(x.picture_mean, real) if form == "corrected" else x.picture_mean[:, 0]
    torch.testing.assert_close(x.picture, summary)
    nothing = fusion(words, mask, {}).loss_inputs
    assert not nothing.negatives.any()
    assert not nothing.picture_mask.any()


def test_elements_are_normalised_projected_and_marked_with_their_modality() -> None:
    fusion = make()
    _, _, sources = inputs()
    embed = fusion.visual_sequence
    assert list(embed.norm.parameters()) == []
    states, real = embed(sources)
    assert torch.equal(real, torch.cat([sources["picture"].mask, sources["alt_text"].mask], 1))
    for name, part in (("picture", states[:, :9]), ("alt_text", states[:, 9:])):
        source = sources[name]
        normalised = torch.nn.functional.layer_norm(source.states, source.states.shape[2:])
        expected = embed.project[name](normalised) + embed.embedding[name]
        torch.testing.assert_close(part[source.mask], expected[source.mask])


def test_embeddings_of_modalities_start_small() -> None:
    torch.manual_seed(0)
    start = EmbeddedElements({"picture": 6}, 4000).embedding["picture"]
    assert start.std().item() == pytest.approx(0.02, rel=0.05)
    assert start.mean().item() == pytest.approx(0, abs=0.002)


def test_posts_without_a_picture_are_not_regularised() -> None:
    fusion = make(alignment_weight=1.0, text_kl_weight=1.0, picture_kl_weight=1.0)
    words, mask, sources = inputs()
    sources["picture"].mask[2] = False
    before = fusion.loss(fusion(words, mask, sources), torch.zeros(3, 7, dtype=torch.long), mask)
    words[2] *= -3
    after = fusion.loss(fusion(words, mask, sources), torch.zeros(3, 7, dtype=torch.long), mask)
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("alignment", ["jsd", "infonce", "rolled_jsd"])
@pytest.mark.parametrize("given", [(), ("picture",), ("alt_text",), ("picture", "alt_text")])
def test_gradients_are_finite_with_any_subset(form: str, alignment: str, given: tuple[str, ...]) -> None:
    fusion = make(form, alignment=alignment).train()
    words, mask, sources = inputs()
    words.requires_grad_(True)
    fused = fusion(words, mask, {name: sources[name] for name in given})
    loss = fusion.loss(fused, torch.zeros(3, 7, dtype=torch.long), mask)
    (fused.emissions.square().mean() + loss).backward()
    assert torch.isfinite(words.grad).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in fusion.parameters())
    assert all(s.states.grad is None for s in sources.values())


def test_a_post_without_words_is_finite() -> None:
    fusion = with_random_readout(make()).train()
    words, mask, sources = inputs()
    mask[0] = False
    fused = fusion(words, mask, sources)
    (fused.emissions[mask].sum() + fusion.loss(fused, torch.zeros(3, 7, dtype=torch.long), mask)).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in fusion.parameters())


@pytest.mark.slow
def test_a_stronger_bottleneck_lets_less_through() -> None:
    """With the KL alone, latents go to N(0, I): nothing of the picture is left in them."""
    fusion = make(alignment_weight=0.0, text_kl_weight=1.0, picture_kl_weight=1.0).train()
    words, mask, sources = inputs()
    optimiser = torch.optim.Adam(fusion.parameters(), 0.1)
    for _ in range(100):
        loss = fusion.loss(fusion(words, mask, sources), torch.zeros(3, 7, dtype=torch.long), mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = fusion.eval()(words, mask, sources).loss_inputs
    assert x.picture_mean[x.picture_mask].abs().max() < 0.1
    assert x.picture_log_variance[x.picture_mask].abs().max() < 0.2


@pytest.mark.parametrize("key", ["form", "alignment", "kl_reduction"])
def test_an_unknown_name_is_an_error(key: str) -> None:
    options = dataclasses.replace(BottleneckConfig(), **{key: "magic"})
    config = ModelConfig(fusion="bottleneck", bottleneck=options)
    with pytest.raises(ConfigError, match="got 'magic'") as caught:
        FUSIONS["bottleneck"](FusionSpec(config, "AB", 8, WIDTHS, 1))
    assert caught.value.where == key


# --- export


class Graph(nn.Module):
    def __init__(self, fusion: Bottleneck) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, words: Tensor, mask: Tensor, states: Tensor, there: Tensor, slots: Tensor) -> Tensor:
        fused = self.fusion(words, mask, {"picture": ModalityStates(states, there)}, slots)
        return fused.emissions


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["corrected", pytest.param("faithful", marks=pytest.mark.thorough)])
def test_the_exported_graph_agrees_and_holds_no_noise(form: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    fusion = make(form, "relations", {"picture": 6})
    fusion = fusion if form == "faithful" else with_random_readout(fusion)
    posts, count, elements = (torch.export.Dim(x) for x in ("posts", "words", "elements"))
    example = (
        torch.randn(2, 6, 8), torch.ones(2, 6, dtype=torch.bool), torch.randn(2, 5, 6),
        torch.ones(2, 5, dtype=torch.bool), torch.tensor([[[1, 2]], [[0, 5]]]),
    )  # fmt: skip
    axes = ({0: posts, 1: count}, {0: posts, 1: count}, {0: posts, 1: elements}, {0: posts, 1: elements})
    names = ["words", "mask", "states", "there", "slots"]
    program = torch.onnx.export(
        Graph(fusion).eval(), example, input_names=names, output_names=["emissions"],
        dynamic_shapes=(*axes, {0: posts}), dynamo=True, verbose=False,
    )  # fmt: skip
    program.save(str(tmp_path / "fusion.onnx"))
    kinds = {node.op_type for node in onnx.load(tmp_path / "fusion.onnx").graph.node}
    assert not any("Random" in kind or kind == "ArgMin" for kind in kinds)  # nor what only the loss needs
    session = runtime.InferenceSession(str(tmp_path / "fusion.onnx"))
    fusion.reparameterise = lambda mean, log_variance, training: mean  # as in the graph of faithful relations
    for rows, length, seen in ((1, 3, 4), (5, 11, 9)):
        there = torch.ones(rows, seen, dtype=torch.bool)
        there[0] = False
        mask = torch.ones(rows, length, dtype=torch.bool)
        mask[-1, 2:] = False
        given = (torch.randn(rows, length, 8), mask, 9 * torch.randn(rows, seen, 6), there)
        given += (torch.randint(0, 3, (rows, 1, 2)),)
        with torch.no_grad():
            expected = Graph(fusion)(*given).numpy()
        (found,) = session.run(None, {n: x.numpy() for n, x in zip(names, given, strict=True)})
        np.testing.assert_allclose(found, expected, atol=1e-4)
