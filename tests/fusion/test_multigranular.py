"""System B: its formulas by algebra, absent modalities, masks, faults of the original, the auxiliary task."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from itertools import combinations, pairwise, product
from math import exp, log

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from twofold.fusion import multigranular as corrected  # noqa: E402
from twofold.fusion import multigranular_faithful as faithful  # noqa: E402
from twofold.fusion.attention import Attention, mask_by_addition, mask_by_value  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.fusion.multigranular import AuxiliaryTask, Multigranular, Sizes  # noqa: E402
from twofold.models.span_task import SpanTask  # noqa: E402

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
WIDTHS = {"picture": 6, "objects": 8}
NAMES = ("picture", "objects", "neighbours")
D = 8
SIZES = Sizes(D, 5, WIDTHS, 1)


def auxiliary() -> AuxiliaryTask:
    return AuxiliaryTask(SpanTask(D, LABELS), 0.5)


FORMS = {
    "corrected, added": lambda: corrected.corrected(SIZES, 4, corrected.AddedNeighbours(D, 3), auxiliary()),
    "corrected, gated": lambda: corrected.corrected(SIZES, 4, corrected.GatedNeighbours(D, 3), auxiliary()),
    "faithful, added": lambda: faithful.faithful(SIZES, faithful.OriginalAddedNeighbours(D, 3), auxiliary()),
    "faithful, gated": lambda: faithful.faithful(SIZES, faithful.OriginalGatedNeighbours(D, 3), auxiliary()),
}
forms = pytest.mark.parametrize("form", FORMS)
CORRECTED = ["corrected, added", "corrected, gated"]


def make(form: str, *, trained: bool = True) -> Multigranular:
    """A fusion; if ``trained``, all its weights are random."""
    return deepcopy(_made(form, trained))


@cache
def _made(form: str, trained: bool) -> Multigranular:
    torch.manual_seed(0)
    fusion = FORMS[form]().eval()
    if trained:
        with torch.no_grad():
            for parameter in fusion.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return fusion


def inputs() -> tuple[torch.Tensor, torch.Tensor, dict[str, ModalityStates]]:
    """Two posts of seven and four words."""
    torch.manual_seed(1)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    sources = {
        "picture": ModalityStates(torch.randn(2, 9, 6) * 5, torch.ones(2, 9, dtype=torch.bool)),
        "objects": ModalityStates(torch.randn(2, 4, 8), torch.arange(4) < torch.tensor([[4], [2]])),
        "neighbours": ModalityStates(torch.randn(2, 7, 3), mask & (torch.arange(7) != 2)),
    }
    return torch.randn(2, 7, D), mask, sources


def without(source: ModalityStates) -> ModalityStates:
    return ModalityStates(torch.full_like(source.states, torch.nan), torch.zeros_like(source.mask))


# --- no modality -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", CORRECTED)
def test_without_modalities_it_is_self_attention_and_a_linear_map(form):
    fusion = make(form)
    words, mask, sources = inputs()
    limit = fusion.score(fusion.encode(words, mask))
    torch.testing.assert_close(fusion(words, mask, {}).emissions, limit)
    masked = fusion(words, mask, {name: without(source) for name, source in sources.items()})
    torch.testing.assert_close(masked.emissions, limit, rtol=0, atol=0)


@pytest.mark.parametrize("form", CORRECTED)
def test_before_training_modalities_add_nothing_to_a_linear_map_of_the_words(form):
    fusion = make(form, trained=False)
    words, mask, sources = inputs()
    sources.pop("neighbours")  # a gate that starts at 0.98 lets a little through
    torch.testing.assert_close(fusion(words, mask, sources).emissions, fusion.score(words))


def test_added_neighbours_start_at_zero_and_gated_ones_near_it():
    words, _, sources = inputs()
    added, gated = corrected.AddedNeighbours(D, 3), corrected.GatedNeighbours(D, 3)
    torch.testing.assert_close(added(words, sources["neighbours"]), words)
    assert (gated(words, sources["neighbours"]) - words).abs().max() < 0.15 * words.abs().max()


@pytest.mark.parametrize("form", CORRECTED)
def test_a_post_without_a_modality_does_not_depend_on_posts_with_it(form):
    fusion = make(form)
    words, mask, sources = inputs()
    here = torch.tensor([[True], [False]])
    mixed = {name: ModalityStates(s.states, s.mask & here) for name, s in sources.items()}
    limit = fusion(words, mask, {}).emissions
    together = fusion(words, mask, mixed).emissions
    torch.testing.assert_close(together[1], limit[1])
    assert not torch.allclose(together[0], limit[0])


@forms
def test_a_masked_modality_is_the_same_as_none(form):
    fusion = make(form)
    words, mask, sources = inputs()
    masked = fusion(words, mask, {name: without(source) for name, source in sources.items()})
    torch.testing.assert_close(masked.emissions, fusion(words, mask, {}).emissions)


# --- masks -------------------------------------------------------------------------------------------


@forms
def test_masked_elements_have_no_influence(form):
    fusion = make(form)
    words, mask, sources = inputs()
    before = fusion(words, mask, sources).emissions
    for name, source in sources.items():
        other = source.states.masked_fill(~source.mask.unsqueeze(2), torch.nan)
        changed = sources | {name: ModalityStates(other, source.mask)}
        torch.testing.assert_close(fusion(words, mask, changed).emissions, before)


@forms
@pytest.mark.parametrize("name", ["picture", "objects"])
def test_further_padding_and_another_order_change_nothing(form, name):
    fusion = make(form)
    words, mask, sources = inputs()
    states, real = sources[name]
    longer = ModalityStates(
        torch.cat([states, torch.randn(2, 3, states.shape[2])], 1),
        torch.cat([real, torch.zeros(2, 3, dtype=torch.bool)], 1),
    )
    order = torch.randperm(longer.states.shape[1])
    shuffled = ModalityStates(longer.states[:, order], longer.mask[:, order])
    before = fusion(words, mask, sources).emissions
    for source in (longer, shuffled):
        torch.testing.assert_close(fusion(words, mask, sources | {name: source}).emissions, before)


@forms
def test_padding_words_change_neither_scores_nor_loss(form):
    fusion = make(form)
    words, mask, sources = inputs()
    tags = torch.tensor([[1, 2, 0, 3, 4, 0, 0], [0, 3, 0, 1, 9, 9, 9]])
    fused = fusion(words, mask, sources)
    other = fusion(words.masked_fill(~mask.unsqueeze(2), 50.0), mask, sources)
    torch.testing.assert_close(other.emissions[mask], fused.emissions[mask])
    loss = fusion.loss(fused, tags, mask)
    torch.testing.assert_close(fusion.loss(other, tags.masked_fill(~mask, 1), mask), loss)


@forms
@pytest.mark.parametrize("given", [c for n in range(4) for c in combinations(NAMES, n)])
def test_finite_forward_and_backward_with_any_subset(form, given):
    fusion = make(form).train()
    words, mask, sources = inputs()
    words.requires_grad_(True)
    chosen = {name: sources[name] for name in given} | {
        name: without(sources[name]) for name in NAMES[:1] if name not in given
    }
    fused = fusion(words, mask, chosen)
    (
        fused.emissions.square().sum() + fusion.loss(fused, torch.zeros(2, 7, dtype=torch.long), mask)
    ).backward()
    assert torch.isfinite(words.grad).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in fusion.parameters())


@forms
def test_every_weight_gets_a_gradient_if_all_modalities_are_present(form):
    fusion = make(form)
    words, mask, sources = inputs()
    fused = fusion(words, mask, sources)
    (
        fused.emissions.square().sum() + fusion.loss(fused, torch.zeros(2, 7, dtype=torch.long), mask)
    ).backward()
    still = {name for name, p in fusion.named_parameters() if p.grad is None or not p.grad.any()}
    # The keys' bias shifts all scores of a query alike; a dummy is attended to only if nothing else is real.
    assert {name.rpartition(".")[2] for name in still if "key.bias" not in name} <= {"dummy"}


# --- formulas ----------------------------------------------------------------------------------------


def gate_of(first: torch.Tensor, second: torch.Tensor, gate: nn.Module) -> torch.Tensor:
    scores = first @ gate.first.weight.T + second @ gate.second.weight.T + gate.first.bias
    weight = 1 / (1 + torch.exp(-scores))
    return weight * first + (1 - weight) * second


PATHS = [
    (corrected.CoarseInteraction(D, 6, 4), corrected.FineInteraction(D, 6, 4), 4),
    (faithful.OriginalCoarseInteraction(D, 6), faithful.OriginalFineInteraction(D, 6), D),
]


@pytest.mark.parametrize(("coarse", "fine", "width"), PATHS, ids=["corrected", "faithful"])
def test_the_two_gates_swap_their_inputs(coarse, fine, width):
    """F₁ = g₁P₁ + (1−g₁)P₂ and F₂ = g₂P₄ + (1−g₂)P₃: P₁, P₃ are direct, P₂, P₄ go back to the text."""
    torch.manual_seed(0)
    direct, back = torch.randn(2, 7, width), torch.randn(2, 7, width)
    with torch.no_grad():
        torch.testing.assert_close(coarse.mix(direct, back), gate_of(direct, back, coarse.gate))
        torch.testing.assert_close(fine.mix(direct, back), gate_of(back, direct, fine.gate))
        for module in (coarse.gate, fine.gate):
            nn.init.constant_(module.first.bias, 100.0)  # both gates open
        torch.testing.assert_close(coarse.mix(direct, back), direct)
        torch.testing.assert_close(fine.mix(direct, back), back)


@forms
def test_which_modality_has_which_gate(form):
    paths = make(form).interactions
    assert "Coarse" in type(paths["picture"]).__name__
    assert "Fine" in type(paths["objects"]).__name__


@pytest.mark.parametrize("make_paths", [corrected.CoarseInteraction, corrected.FineInteraction])
def test_paths_are_those_of_the_paper(make_paths):
    torch.manual_seed(0)
    paths = make_paths(D, 6, 4).eval()
    encoded, mask, sources = inputs()
    x, real = sources["picture"]
    queries, states = paths.query(encoded), paths.norm(x)
    first, last = paths.project(states).chunk(2, 2)
    own = paths.self_direct(first, first, real)
    own_reverse = paths.self_reverse(last, last, real)
    direct = paths.direct(queries, own, real)  # C(S, X)
    back = paths.reverse(queries, paths.to_words(own_reverse, queries, mask), real)  # C(S, C(X′, S))
    torch.testing.assert_close(paths(encoded, mask, sources["picture"]), paths.mix(direct, back))


def test_the_merge_is_a_residual_of_the_views():
    torch.manual_seed(0)
    join = corrected.Merge(D, 4, 2).eval()
    nn.init.normal_(join.up.weight)
    encoded, views = torch.randn(1, 3, D), [torch.randn(1, 3, 4), torch.zeros(1, 3, 4)]
    merged = torch.relu(torch.cat(views, 2) @ join.project.weight.T + join.project.bias)
    yes, no = torch.tensor([True]), torch.tensor([False])
    torch.testing.assert_close(join(encoded, views, [yes, no]), encoded + merged @ join.up.weight.T)
    torch.testing.assert_close(join(encoded, views, [no, no]), encoded)


def test_the_original_merge_is_a_linear_map_of_words_and_views():
    torch.manual_seed(0)
    join = faithful.OriginalMerge(D, 2).eval()
    encoded, views = torch.randn(1, 3, D), [torch.randn(1, 3, D), torch.randn(1, 3, D)]
    linear = join.project[1]
    merged = torch.relu(torch.cat(views, 2) @ linear.weight.T + linear.bias)
    expected = torch.cat([encoded, merged], 2) @ join.out.weight.T + join.out.bias
    torch.testing.assert_close(join(encoded, views, []), expected)


def test_the_original_merge_uses_a_single_modality_unchanged():
    torch.manual_seed(0)
    join = faithful.OriginalMerge(D, 1).train()  # no dropout either
    encoded, view = torch.randn(1, 3, D), torch.randn(1, 3, D)
    expected = torch.cat([encoded, view], 2) @ join.out.weight.T + join.out.bias
    torch.testing.assert_close(join(encoded, [view], []), expected)


def test_the_gate_of_neighbours_starts_near_the_word_alone():
    augment = corrected.GatedNeighbours(D, 3)
    assert augment.gate.first.bias.tolist() == [4.0] * D
    with torch.no_grad():
        augment.gate.first.weight.zero_()
        augment.gate.second.weight.zero_()
    words, _, sources = inputs()
    states, mask = sources["neighbours"]
    mapped = augment.map(nn.functional.layer_norm(states, (3,)))
    gate = 1 / (1 + exp(-4))  # 0.98
    expected = gate * words + (1 - gate) * mapped
    torch.testing.assert_close(augment(words, sources["neighbours"])[mask], expected[mask])


def test_norms_of_states_have_no_weights_and_the_merge_adds_no_bias():
    for norm in (
        corrected.AddedNeighbours(D, 3).norm,
        corrected.GatedNeighbours(D, 3).norm,
        corrected.CoarseInteraction(D, 6, 4).norm,
    ):
        assert list(norm.parameters()) == []
    assert corrected.Merge(D, 4, 2).up.bias is None


def test_no_gradient_goes_to_the_encoders_of_modalities():
    for form in FORMS:
        fusion = make(form)
        words, mask, sources = inputs()
        names = ("picture", "objects") if "faithful" in form else NAMES
        for name in names:
            sources[name].states.requires_grad_(True)
        fusion(words.requires_grad_(True), mask, sources).emissions.square().sum().backward()
        assert words.grad is not None
        assert [sources[name].states.grad for name in names] == [None] * len(names)


def test_dropout_of_the_parts():
    small = corrected.WordSelfAttention(D, 4).layer
    assert (small.drop.p, small.attention.drop.p) == (0.1, 0.0)
    assert small.feed_forward[0].out_features == 4
    assert corrected.Merge(D, 4, 2).drop.p == 0.5
    assert corrected.Merge(D, 4, 2, 0.3).drop.p == 0.3
    assert faithful.OriginalMerge(D, 2).project[0].p == 0.5
    assert faithful.OriginalMerge(D, 2, 0.3).project[0].p == 0.3
    for augment in (faithful.OriginalAddedNeighbours(D, 3), faithful.OriginalGatedNeighbours(D, 3)):
        assert augment.drop.p == 0.1
    words, _, sources = inputs()
    for module, given in (
        (faithful.OriginalAddedNeighbours(D, 3), (words, sources["neighbours"])),
        (faithful.OriginalGatedNeighbours(D, 3), (words, sources["neighbours"])),
        (faithful.OriginalMerge(D, 2), (words, [words, words], [])),
    ):
        assert not torch.equal(module.train()(*given), module(*given))


def test_a_layer_of_the_original_is_one_of_bert():
    layer = faithful.bert_layer(128)
    assert layer.attention.heads == 2
    assert layer.feed_forward[0].out_features == 512
    assert layer.attention.mask_scores is mask_by_addition
    assert (layer.drop.p, layer.attention.drop.p) == (0.1, 0.1)


def test_a_dummy_starts_with_a_length_near_one():
    torch.manual_seed(0)
    dummy = faithful.OriginalCoarseInteraction(4, 4000).dummy
    assert dummy.norm().item() == pytest.approx(1, abs=0.05)
    assert dummy.mean().item() == pytest.approx(0, abs=0.002)


def test_five_dummy_rows_are_appended_to_the_elements():
    paths = faithful.OriginalCoarseInteraction(D, 8)
    words, _, sources = inputs()
    states, real = paths.padded(words, sources["objects"])
    assert real.tolist() == [[True] * 4 + [False] * 5, [True] * 2 + [False] * 7]
    torch.testing.assert_close(states[real], sources["objects"].states[sources["objects"].mask])
    assert (states[~real] == paths.dummy).all()
    states, real = paths.padded(words, None)
    assert (states.shape, real.any()) == ((2, 5, 8), False)


@pytest.mark.parametrize("kind", [faithful.OriginalAddedNeighbours, faithful.OriginalGatedNeighbours])
def test_the_original_treats_missing_neighbours_as_zero_vectors(kind):
    torch.manual_seed(0)
    augment = kind(D, 3).eval()
    words, _, sources = inputs()
    zeros = ModalityStates(torch.zeros(2, 7, 3), torch.ones(2, 7, dtype=torch.bool))
    expected = augment(words, zeros)
    torch.testing.assert_close(augment(words, None), expected)
    torch.testing.assert_close(augment(words, without(sources["neighbours"])), expected)


def test_words_without_neighbours_are_unchanged():
    torch.manual_seed(0)
    words, _, sources = inputs()
    source = sources["neighbours"]
    for augment in (corrected.AddedNeighbours(D, 3), corrected.GatedNeighbours(D, 3)):
        nn.init.normal_(augment.map.weight)
        nn.init.normal_(augment.map.bias)
        augmented = augment(words, source)
        torch.testing.assert_close(augmented[~source.mask], words[~source.mask], rtol=0, atol=0)
        assert (augmented[source.mask] != words[source.mask]).any(1).all()


def test_the_gated_augmentation_by_its_formula():
    torch.manual_seed(0)
    words, _, sources = inputs()
    states, mask = sources["neighbours"]
    for augment, prepared in (
        (corrected.GatedNeighbours(D, 3), nn.functional.layer_norm(states, (3,))),
        (faithful.OriginalGatedNeighbours(D, 3).eval(), states),
    ):
        mapped = prepared @ augment.map.weight.T + augment.map.bias
        expected = gate_of(words, mapped, augment.gate)
        torch.testing.assert_close(augment(words, ModalityStates(states, mask))[mask], expected[mask])


# --- faults of the original ----------------------------------------------------------------------------


def test_a_constant_added_to_all_keys_cancels_out_and_a_mask_does_not():
    torch.manual_seed(0)
    scores, none = torch.randn(1, 2, 3, 5), torch.zeros(1, 5, dtype=torch.bool)
    by_sum = torch.softmax(mask_by_addition(scores, none.unsqueeze(1)), 3)
    torch.testing.assert_close(by_sum, torch.softmax(scores, 3), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(
        torch.softmax(mask_by_value(scores, none.unsqueeze(1)), 3), torch.full((1, 2, 3, 5), 0.2)
    )


def test_with_one_real_key_both_masks_hide_the_others():
    torch.manual_seed(0)
    scores, one = torch.randn(1, 2, 3, 5), torch.tensor([[False, True, False, False, False]])
    for mask in (mask_by_addition, mask_by_value):
        assert (torch.softmax(mask(scores, one.unsqueeze(1)), 3) == one.float()).all()


def test_without_objects_words_attend_uniformly_to_a_dummy_row():
    torch.manual_seed(0)
    paths = faithful.OriginalFineInteraction(D, 6).eval()
    encoded, _, sources = inputs()
    absent = without(sources["picture"])
    states, real = paths.padded(encoded, absent)
    assert not real.any()
    assert (states == paths.dummy).all()
    own = paths.project(states)
    own = paths.self_direct(own, own, real)
    weights = paths.direct.attention.weights(encoded, own, real.unsqueeze(1))
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / states.shape[1]))


def test_the_original_fuses_the_dummy_as_if_it_were_an_object():
    fusion = make("faithful, added")
    words, mask, _ = inputs()
    before = fusion(words, mask, {}).emissions
    with torch.no_grad():
        fusion.interactions["objects"].dummy.add_(1)
    assert not torch.allclose(fusion(words, mask, {}).emissions, before)


def test_the_dummy_has_no_influence_where_there_are_objects():
    fusion = make("faithful, added")
    words, mask, sources = inputs()
    before = fusion(words, mask, sources).emissions
    with torch.no_grad():
        fusion.interactions["objects"].dummy.add_(1)
    torch.testing.assert_close(fusion(words, mask, sources).emissions, before)


def test_the_original_adds_the_bias_to_words_without_neighbours():
    augment = faithful.OriginalAddedNeighbours(D, 3).eval()
    words, _, sources = inputs()
    torch.testing.assert_close(augment(words, without(sources["neighbours"])), words + augment.map.bias)


# --- learning ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("build", [corrected.corrected, faithful.faithful])
@pytest.mark.parametrize("name", ["picture", "objects"])
def test_it_learns_a_tag_that_only_a_modality_determines(build, name):
    """The words are always the same; one of the elements determines which of two tags the second word has."""
    torch.manual_seed(0)
    hidden_size = (32,) if build is corrected.corrected else ()
    fusion = build(Sizes(32, 2, {name: 16}, 1), *hidden_size, None, None)
    post = torch.randn(1, 4, 32)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, dict[str, ModalityStates], torch.Tensor]:
        side = torch.randint(0, 2, (count,))
        states = torch.randn(count, 5, 16)
        states[:, 3, :4] += (6.0 * side - 3.0).unsqueeze(1)
        source = ModalityStates(states, torch.ones(count, 5, dtype=torch.bool))
        return post.expand(count, -1, -1), torch.ones(count, 4, dtype=torch.bool), {name: source}, side

    optimiser = torch.optim.Adam(fusion.parameters(), 0.005)
    for _ in range(30):
        words, mask, sources, side = draw(64)
        loss = nn.functional.cross_entropy(fusion(words, mask, sources).emissions[:, 1], side)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    words, mask, sources, side = draw(300)
    fusion.eval()
    right = fusion(words, mask, sources).emissions[:, 1].argmax(1) == side
    assert right.float().mean() > 0.95
    blind = fusion(words, mask, {}).emissions[:, 1].argmax(1)
    assert (blind == blind[0]).all()


# --- the auxiliary task ---------------------------------------------------------------------------------


def brute_force(task: SpanTask, states: torch.Tensor, spans: list[int]) -> float:
    """Nats of a span sequence, by enumerating all valid sequences of O, B, I."""
    emissions, crf = task.score(states), task.crf
    scores = {}
    for sequence in product(range(3), repeat=len(states)):
        if any(b == 2 and a == 0 for a, b in zip((0, *sequence), sequence, strict=False)):
            continue
        moves = sum(crf.transitions[a, b] for a, b in pairwise(sequence))
        local = sum(emissions[i, tag] for i, tag in enumerate(sequence))
        scores[sequence] = float(local + moves + crf.start[sequence[0]] + crf.end[sequence[-1]])
    return log(sum(torch.tensor(s).double().exp().item() for s in scores.values())) - scores[tuple(spans)]


@forms
def test_its_loss_is_that_of_a_crf_over_tags_without_types(form):
    fusion = make(form)
    words, mask, sources = inputs()
    tags = torch.tensor([[1, 2, 0, 3, 4, 4, 0], [0, 3, 1, 2, 9, 9, 9]])
    spans = [[1, 2, 0, 1, 2, 2, 0], [0, 1, 1, 2]]
    with torch.no_grad():
        loss = fusion.loss(fusion(words, mask, sources), tags, mask)
        states = fusion.encode_auxiliary(fusion.augment(words, sources["neighbours"]), mask)
        each = [brute_force(fusion.auxiliary, states[b, : len(x)], x) for b, x in enumerate(spans)]
    assert float(loss) == pytest.approx(0.5 * sum(each) / 2, rel=1e-4)


def test_without_an_auxiliary_task_there_are_no_auxiliary_states_and_no_loss():
    fusion = corrected.corrected(SIZES, 4, None, None)
    words, mask, sources = inputs()
    assert fusion.encode_auxiliary is None
    assert fusion.modalities == ("text", "picture", "objects")
    fused = fusion(words, mask, sources)
    assert fusion.loss(fused, torch.zeros(2, 7, dtype=torch.long), mask) == 0


@pytest.mark.parametrize("build", [corrected.corrected, faithful.faithful])
def test_a_slot_of_two_words_is_scored_from_both(build):
    torch.manual_seed(0)
    hidden_size = (4,) if build is corrected.corrected else ()
    fusion = build(Sizes(D, 5, {}, 2), *hidden_size, None, None).eval()
    words, mask, _ = inputs()
    slots = torch.tensor([[[1, 5]], [[3, 0]]])
    emissions = fusion(words, mask, {}, slots).emissions
    joined = fusion.merge(fusion.encode(words, mask), [], [])
    assert emissions.shape == (2, 1, 5)
    torch.testing.assert_close(emissions[0, 0], fusion.score(torch.cat([joined[0, 1], joined[0, 5]])))
    torch.testing.assert_close(emissions[1, 0], fusion.score(torch.cat([joined[1, 3], joined[1, 0]])))


# --- attention ---------------------------------------------------------------------------------------


def test_attention_is_that_of_pytorch():
    torch.manual_seed(0)
    ours = Attention(D, 2, 0.0, mask_by_value)
    theirs = nn.MultiheadAttention(D, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    queries, keys = torch.randn(2, 3, D), torch.randn(2, 5, D)
    mask = torch.tensor([[True] * 5, [True, False, True, False, False]])
    expected, _ = theirs(queries, keys, keys, key_padding_mask=~mask)
    torch.testing.assert_close(ours(queries, keys, mask.unsqueeze(1)), expected)
