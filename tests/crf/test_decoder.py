"""The decoder against brute force over all tag sequences, and against pytorch-crf."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from twofold.crf import (
    ChainDecoder,
    DecisionRule,
    TagSpan,
    allowed_transitions,
    best_disjoint_spans,
)
from twofold.crf.forward_backward import EMISSION_CUT, TRANSITION_CUT

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def make_decoder(seed: int, labels=LABELS, size: float = 1.0) -> ChainDecoder:
    random = np.random.default_rng(seed)
    count = len(labels)
    return ChainDecoder(
        labels, *(size * random.standard_normal(shape) for shape in ((count, count), count, count))
    )


def score_of(decoder: ChainDecoder, emissions, tags) -> float:
    """Score of one tag sequence by the definition; −inf where BIO forbids it."""
    moves, starts = allowed_transitions(decoder.labels)
    valid = starts[tags[0]] and all(moves[a, b] for a, b in itertools.pairwise(tags))
    if not valid:
        return -np.inf
    score = decoder.parameters.start[tags[0]] + decoder.parameters.end[tags[-1]]
    score += sum(emissions[t, tag] for t, tag in enumerate(tags))
    return score + sum(decoder.parameters.transitions[a, b] for a, b in itertools.pairwise(tags))


def enumerate_all(decoder: ChainDecoder, emissions, temperature: float):
    """All tag sequences and the probability of each, and log Z."""
    sequences = list(itertools.product(range(len(decoder.labels)), repeat=len(emissions)))
    scores = np.array([score_of(decoder, emissions, tags) for tags in sequences]) / temperature
    log_z = np.logaddexp.reduce(scores)
    return sequences, np.exp(scores - log_z), log_z


def padded(rows):
    width = max(map(len, rows))
    emissions = np.full((len(rows), width, rows[0].shape[1]), 7.0)  # padding must not matter
    mask = np.zeros((len(rows), width), bool)
    for i, row in enumerate(rows):
        emissions[i, : len(row)], mask[i, : len(row)] = row, True
    return emissions, mask


@st.composite
def cases(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    size = draw(st.sampled_from([0.1, 1.0, 5.0, 20.0]))
    temperature = draw(st.sampled_from([0.5, 1.0, 2.3]))
    random = np.random.default_rng(seed)
    rows = [size * random.standard_normal((n, len(LABELS))) for n in lengths]
    decoder = make_decoder(seed, size=size / 2)
    assume(all(np.ptp(row, axis=1).max() / temperature <= EMISSION_CUT for row in rows))
    assume(
        all(np.ptp(scores[scores > -1e3]) / temperature <= TRANSITION_CUT for scores in decoder.parameters)
    )
    return decoder, rows, temperature


@settings(max_examples=25, deadline=None)
@given(cases())
def test_agrees_with_brute_force(case):
    decoder, rows, temperature = case
    emissions, mask = padded(rows)
    tags = decoder.viterbi(emissions, mask)
    log_z = decoder.log_partition(emissions, mask, temperature)
    tag_marginals = decoder.tag_marginals(emissions, mask, temperature)
    for i, row in enumerate(rows):
        sequences, probabilities, expected = enumerate_all(decoder, row, temperature)
        assert log_z[i] == pytest.approx(expected, rel=1e-9, abs=1e-9)
        best = sequences[int(np.argmax(probabilities))]
        found = tuple(tags[i, : len(row)])
        assert score_of(decoder, row, found) == pytest.approx(score_of(decoder, row, best), abs=1e-9)
        assert (tags[i, len(row) :] == -1).all()
        all_tags = np.array(sequences)
        for t, k in itertools.product(range(len(row)), range(len(LABELS))):
            with_tag = probabilities[all_tags[:, t] == k].sum()
            assert tag_marginals[i, t, k] == pytest.approx(with_tag, abs=1e-9)
        check_spans(decoder, (emissions, mask, i, temperature), sequences, probabilities)


@pytest.mark.parametrize("seed", range(5))
def test_exact_where_the_best_tag_of_a_word_is_far_above_the_others_and_hard_to_reach(seed):
    decoder = make_decoder(seed, size=2.0)
    row = np.array([[40.8, -51.1, 8.4, -11.4, -9.1], [-4.3, -40.4, -4.6, -17.3, 66.5]])
    expected = enumerate_all(decoder, row, 0.5)[2]
    assert decoder.log_partition(*padded([row]), 0.5)[0] == pytest.approx(expected, rel=1e-9)


def check_spans(decoder, where, sequences, probabilities):
    emissions, mask, row, temperature = where
    length = int(mask[row].sum())
    spans = [
        TagSpan(a, b, kind) for kind in decoder.types for a, b in itertools.combinations(range(length + 1), 2)
    ]
    found = decoder.span_marginals(emissions, mask, [row] * len(spans), spans, temperature)
    spans_of = [set(decoder.spans_of(np.array(tags))) for tags in sequences]
    for span, value in zip(spans, found, strict=True):
        holding = [span in held for held in spans_of]
        assert value == pytest.approx(probabilities[holding].sum(), abs=1e-9)


def span_probabilities(decoder, sequences, probabilities):
    """Probability of every labelled span: the sum over the sequences that contain it."""
    probabilities_of: dict[TagSpan, float] = {}
    for tags, p in zip(sequences, probabilities, strict=True):
        if p:
            for span in decoder.spans_of(np.array(tags)):
                probabilities_of[span] = probabilities_of.get(span, 0.0) + p
    return probabilities_of


def largest_sum(probabilities_of, threshold):
    """The largest sum that any set of spans without overlap has."""
    spans, best = list(probabilities_of), 0.0
    for count in range(len(spans) + 1):
        for chosen in itertools.combinations(spans, count):
            apart = all(a.end <= b.start or b.end <= a.start for a, b in itertools.combinations(chosen, 2))
            best = max(best, sum(probabilities_of[span] - threshold for span in chosen)) if apart else best
    return best


@settings(max_examples=25, deadline=None)
@given(cases(), st.sampled_from([0.1, 0.25, 0.4, 0.6]))
def test_predicted_spans_have_the_largest_sum_of_all_sets(case, threshold):
    decoder, rows, temperature = case
    rows = [row[:3] for row in rows]
    emissions, mask = padded(rows)
    decision_rule = DecisionRule(threshold, temperature)
    above = decoder.spans_above(emissions, mask, decision_rule)
    predicted = decoder.with_decision_rule(decision_rule).decode(rows)
    for row, found, spans in zip(rows, above, predicted, strict=True):
        sequences, probabilities, _ = enumerate_all(decoder, row, temperature)
        probabilities_of = span_probabilities(decoder, sequences, probabilities)
        near = {span for span, p in probabilities_of.items() if abs(p - threshold) < 1e-9}
        wanted = {span: p for span, p in probabilities_of.items() if p > threshold}
        assert {span for span, _ in found} - near == set(wanted) - near
        assert [p for _, p in found] == pytest.approx([probabilities_of[span] for span, _ in found], abs=1e-9)
        value = sum(probabilities_of[span] - threshold for span in spans)
        assert value == pytest.approx(largest_sum(wanted, threshold), abs=1e-9)
        assert all(a.end <= b.start for a, b in itertools.pairwise(spans))


def test_a_predicted_span_need_not_be_in_the_best_sequence():
    decoder = ChainDecoder(LABELS[:3], np.zeros((3, 3)), np.zeros(3), np.zeros(3))
    word = np.log([[0.5, 0.45, 0.05]])  # I-PER cannot come first
    assert decoder.decode([word]) == [[]]
    assert decoder.with_decision_rule(DecisionRule(0.4)).decode([word]) == [[TagSpan(0, 1, "PER")]]
    assert decoder.with_decision_rule(DecisionRule(0.5)).decode([word]) == [[]]
    assert decoder.with_decision_rule(DecisionRule(0.4)).with_decision_rule(None).decode([word]) == [[]]


@pytest.mark.parametrize(
    ("spans", "best"),
    [
        ([], []),
        ([((0, 2), 0.45), ((1, 3), 0.5)], [(1, 3)]),
        ([((0, 2), 0.45), ((1, 3), 0.48), ((2, 4), 0.45)], [(0, 2), (2, 4)]),
        ([((0, 4), 0.45), ((0, 2), 0.42), ((2, 4), 0.42)], [(0, 4)]),
        ([((4, 5), 0.9), ((0, 1), 0.9)], [(0, 1), (4, 5)]),
        ([((0, 4), 0.6), ((1, 2), 0.55), ((2, 3), 0.55)], [(1, 2), (2, 3)]),
    ],
)
def test_of_overlapping_spans_those_with_the_largest_sum_are_kept(spans, best):
    of_type = [(TagSpan(*untyped_span, "X"), p) for untyped_span, p in spans]
    assert best_disjoint_spans(of_type, 0.4) == [TagSpan(*untyped_span, "X") for untyped_span in best]


def test_of_equal_sums_the_one_with_fewer_spans_and_an_earlier_end_is_kept():
    def best(*spans):
        return best_disjoint_spans([(TagSpan(start, end, "X"), p) for start, end, p in spans], 0.25)

    assert best((0, 1, 0.25)) == []  # as probable as the threshold: nothing is gained
    assert best((1, 3, 0.5), (0, 2, 0.5)) == [TagSpan(0, 2, "X")]
    assert best((0, 2, 0.5), (2, 4, 0.5), (0, 4, 0.75)) == [TagSpan(0, 4, "X")]


UNUSUAL = [("I-A", "B-B", "O", "B-A", "I-B"), ("B-B", "I-A", "O", "B-A"), ("B-A", "O")]
"""Labels in another order than usual, types of one letter, and types without an inside tag."""


@pytest.mark.parametrize("labels", UNUSUAL)
@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_labels_agrees_with_brute_force(labels, seed):
    decoder, random = make_decoder(seed, labels), np.random.default_rng(seed)
    rows = [1.5 * random.standard_normal((n, len(labels))) for n in (3, 1, 4)]
    emissions, mask = padded(rows)
    above = decoder.spans_above(emissions, mask, DecisionRule(0.02, 1.3))
    best = decoder.decode(rows)
    for i, row in enumerate(rows):
        sequences, probabilities, log_z = enumerate_all(decoder, row, 1.3)
        assert decoder.log_partition(emissions, mask, 1.3)[i] == pytest.approx(log_z)
        wanted = {s: p for s, p in span_probabilities(decoder, sequences, probabilities).items() if p > 0.02}
        assert dict(above[i]) == pytest.approx(wanted)
        found = decoder.span_marginals(emissions, mask, [i] * len(wanted), list(wanted), 1.3)
        assert found == pytest.approx(list(wanted.values()))
        assert best[i] == decoder.spans_of(np.array(sequences[int(np.argmax(probabilities))]))
        (table,) = decoder.type_probabilities([row], [[(0, 1), (0, len(row))]], 1.3)
        for values, end in zip(table, (1, len(row)), strict=True):
            expected = [
                sum(
                    p
                    for tags, p in zip(sequences, probabilities, strict=True)
                    if TagSpan(0, end, kind) in decoder.spans_of(np.array(tags))
                )
                for kind in decoder.types
            ]
            assert values == pytest.approx(expected)


def test_a_span_as_probable_as_the_threshold_is_not_above_it():
    decoder = ChainDecoder(("O", "B-X"), np.zeros((2, 2)), np.zeros(2), np.zeros(2))
    word, real = np.zeros((1, 1, 2)), np.ones((1, 1), bool)
    assert decoder.spans_above(word, real, DecisionRule(0.5)) == [[]]
    assert decoder.spans_above(word, real, DecisionRule(0.499)) == [[(TagSpan(0, 1, "X"), 0.5)]]
    decoder, emissions = make_decoder(2), np.random.default_rng(2).standard_normal((1, 5, 5))
    mask = np.ones((1, 5), bool)
    (above,) = decoder.spans_above(emissions, mask, DecisionRule(0.02))
    assert len({span.end - span.start for span, _ in above}) > 2
    for span, p in above:
        (more,) = decoder.spans_above(emissions, mask, DecisionRule(p))
        assert more == [(other, q) for other, q in above if q > p]
        assert (span, p) not in more


def test_labels_without_any_entity_type():
    decoder = make_decoder(1, ("O",))
    rows = [np.zeros((2, 1)), np.zeros((1, 1))]
    emissions, mask = padded(rows)
    assert decoder.types == ()
    assert decoder.decode(rows) == decoder.with_decision_rule(DecisionRule(0.3)).decode(rows) == [[], []]
    assert decoder.spans_above(emissions, mask, DecisionRule(0.3)) == [[], []]
    assert decoder.span_marginals(emissions, mask, [], []).tolist() == []
    assert decoder.most_probable_types(rows, [[(0, 1)], []]) == [[""], []]


def test_scores_in_single_precision_are_used_in_double_precision():
    random = np.random.default_rng(2)
    scores = [random.standard_normal(shape).astype(np.float32) for shape in ((5, 5), 5, 5)]
    rows = [random.standard_normal((n, 5)).astype(np.float32) for n in (6, 2)]
    single, double = ChainDecoder(LABELS, *scores), ChainDecoder(LABELS, *(x.astype(float) for x in scores))
    assert all(x.dtype == np.float64 for x in single.parameters)
    emissions, mask = padded(rows)
    assert emissions.dtype == np.float64
    for method in ("log_partition", "tag_marginals"):
        np.testing.assert_array_equal(
            getattr(single, method)(emissions.astype(np.float32), mask),
            getattr(double, method)(emissions, mask),
        )


def test_the_temperature_is_one_where_none_is_given():
    decoder, random = make_decoder(4), np.random.default_rng(4)
    rows = [random.standard_normal((n, 5)) for n in (4, 2)]
    emissions, mask = padded(rows)
    spans, untyped_spans = [[TagSpan(1, 3, "LOC")], [TagSpan(0, 1, "PER")]], [[(1, 3)], [(0, 1)]]
    flat = [span for row in spans for span in row]
    for method, arguments in (
        ("log_partition", (emissions, mask)),
        ("tag_marginals", (emissions, mask)),
        ("span_marginals", (emissions, mask, [0, 1], flat)),
        ("confidences", (rows, spans)),
        ("type_probabilities", (rows, untyped_spans)),
    ):
        plain, at_one, at_two = (getattr(decoder, method)(*arguments, *t) for t in ((), (1.0,), (2.0,)))
        for one, other, warm in zip(plain, at_one, at_two, strict=True):
            np.testing.assert_array_equal(one, other)
            assert not np.allclose(one, warm)


def test_no_probability_is_above_one_by_rounding():
    random = np.random.default_rng(0)
    decoder = make_decoder(0)
    rows = [40 * random.standard_normal((n, 5)) for n in random.integers(1, 30, 60)]
    sure = decoder.with_decision_rule(DecisionRule(0.5))
    confidences = np.concatenate(decoder.confidences(rows, decoder.decode(rows)))
    assert 0.999 < confidences.max() <= 1
    above = [p for row in sure.spans_above(*padded(rows), DecisionRule(0.5)) for _, p in row]
    assert 0.999 < max(above) <= 1


def test_spans_that_begin_at_a_word_sum_to_its_begin_tag():
    decoder, random = make_decoder(3), np.random.default_rng(4)
    emissions, mask = padded([random.standard_normal((n, 5)) for n in (30, 12)])
    marginals = decoder.tag_marginals(emissions, mask)
    assert marginals.sum(2)[mask] == pytest.approx(1.0)
    for row, length in enumerate((30, 12)):
        for kind, start in itertools.product(decoder.types, (0, 5, 11)):
            spans = [TagSpan(start, end, kind) for end in range(start + 1, length + 1)]
            total = decoder.span_marginals(emissions, mask, [row] * len(spans), spans).sum()
            assert total == pytest.approx(marginals[row, start, LABELS.index(f"B-{kind}")])


def test_the_constraints_of_bio_hold_whatever_the_scores():
    decoder = ChainDecoder(LABELS, np.full((5, 5), 50.0), np.full(5, 50.0), np.zeros(5))
    emissions = np.zeros((1, 6, 5))
    emissions[:, :, 2] = 1e4  # I-PER everywhere
    tags = decoder.viterbi(emissions, np.ones((1, 6), bool))[0]
    moves, starts = allowed_transitions(LABELS)
    assert starts[tags[0]]
    assert all(moves[a, b] for a, b in itertools.pairwise(tags))
    marginals = decoder.tag_marginals(emissions, np.ones((1, 6), bool))
    assert (marginals[0, 0, [2, 4]] == 0).all()


def test_extreme_scores_stay_finite():
    random = np.random.default_rng(0)
    decoder = make_decoder(1)
    emissions = 1e4 * random.standard_normal((4, 50, 5))
    mask = np.ones((4, 50), bool)
    marginals = decoder.tag_marginals(emissions, mask)
    assert np.isfinite(marginals).all()
    assert marginals.sum(2) == pytest.approx(1.0)
    confidences = decoder.confidences(list(emissions), decoder.decode(list(emissions)))
    assert all(np.isfinite(row).all() and ((row >= 0) & (row <= 1)).all() for row in confidences)


def test_twenty_thousand_words_beside_short_posts():
    random = np.random.default_rng(0)
    decoder = make_decoder(2)
    rows = [random.standard_normal((n, 5)).astype(np.float32) for n in (3, 20_000, 7)]
    spans = decoder.decode(rows)
    confidences = decoder.confidences(rows, spans)
    alone = decoder.decode([rows[2]])[0]
    assert spans[2] == alone
    assert np.isfinite(confidences[1]).all()
    assert len(confidences[1]) == len(spans[1]) > 1000
    # Far from the ends the length does not matter: the same piece cut out gives the same numbers.
    part = [TagSpan(s.start - 9000, s.end - 9000, s.type) for s in spans[1] if 9400 < s.start < 9500]
    whole = [c for s, c in zip(spans[1], confidences[1], strict=True) if 9400 < s.start < 9500]
    assert decoder.confidences([rows[1][9000:10_000]], [part])[0] == pytest.approx(whole, abs=1e-9)


def test_posts_without_words():
    decoder = make_decoder(5)
    empty = np.zeros((0, 5))
    assert decoder.decode([empty, empty]) == [[], []]
    assert decoder.decode([]) == []
    assert [len(row) for row in decoder.confidences([empty], [[]])] == [0]
    emissions, mask = np.zeros((2, 3, 5)), np.array([[True, True, False], [False, False, False]])
    assert decoder.log_partition(emissions, mask)[1] == 0
    assert (decoder.viterbi(emissions, mask)[1] == -1).all()
    assert decoder.viterbi(np.zeros((2, 0, 5)), np.zeros((2, 0), bool)).shape == (2, 0)
    assert decoder.log_partition(np.zeros((1, 0, 5)), np.zeros((1, 0), bool)).tolist() == [0]


def test_labels_without_an_inside_tag():
    decoder = make_decoder(6, ("O", "B-PER"))
    emissions = np.array([[[0.0, 9.0], [0.0, 9.0], [9.0, 0.0]]])
    spans = decoder.decode(list(emissions))[0]
    assert spans == [TagSpan(0, 1, "PER"), TagSpan(1, 2, "PER")]
    confident = decoder.confidences(list(emissions), [spans])[0]
    marginals = decoder.tag_marginals(emissions, np.ones((1, 3), bool))[0, :2, 1]
    assert confident == pytest.approx(marginals)


@settings(max_examples=25, deadline=None)
@given(cases())
def test_the_type_of_a_span_is_the_most_probable(case):
    decoder, rows, _ = case
    untyped_spans = [list(itertools.combinations(range(len(row) + 1), 2)) for row in rows]
    found = decoder.most_probable_types(rows, untyped_spans)
    for row, row_spans, kinds in zip(rows, untyped_spans, found, strict=True):
        sequences, probabilities, _ = enumerate_all(decoder, row, 1.0)
        spans = [set(decoder.spans_of(np.array(tags))) for tags in sequences]
        for untyped_span, kind in zip(row_spans, kinds, strict=True):
            by_type = {
                k: probabilities[[TagSpan(*untyped_span, k) in s for s in spans]].sum() for k in decoder.types
            }
            assert by_type[kind] == pytest.approx(max(by_type.values()), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(cases())
def test_probabilities_of_the_types_of_a_span_agree_with_brute_force(case):
    decoder, rows, temperature = case
    untyped_spans = [list(itertools.combinations(range(len(row) + 1), 2)) for row in rows]
    tables = decoder.type_probabilities(rows, untyped_spans, temperature)
    for row, row_spans, table in zip(rows, untyped_spans, tables, strict=True):
        sequences, probabilities, _ = enumerate_all(decoder, row, temperature)
        spans = [set(decoder.spans_of(np.array(tags))) for tags in sequences]
        for untyped_span, probabilities_of in zip(row_spans, table, strict=True):
            expected = [
                probabilities[[TagSpan(*untyped_span, k) in s for s in spans]].sum() for k in decoder.types
            ]  # fmt: skip
            assert probabilities_of == pytest.approx(expected, abs=1e-9)
            assert probabilities_of.sum() <= 1 + 1e-9


def test_the_probability_of_a_type_that_cannot_have_the_span_is_zero():
    decoder = make_decoder(6, ("O", "B-PER", "B-LOC", "I-LOC"))
    table, empty, none = decoder.type_probabilities(
        [np.zeros((2, 4)), np.zeros((0, 4)), np.zeros((3, 4))], [[(0, 2), (1, 2)], [], []]
    )
    assert table[0, 0] == 0
    assert (table[0, 1] > 0, (table[1] > 0).all()) == (True, True)
    assert empty.shape == none.shape == (0, 2)


def test_the_type_of_a_span_that_no_type_can_have():
    decoder = make_decoder(6, ("O", "B-PER", "B-LOC", "I-LOC"))
    emissions = [np.array([[0.0, 9.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0]]), np.zeros((0, 4))]
    assert decoder.most_probable_types(emissions, [[(0, 1), (0, 2)], []]) == [["PER", "LOC"], []]
    only = make_decoder(6, ("O", "B-PER"))
    assert only.most_probable_types([np.zeros((2, 2))], [[(0, 2), (1, 2)]]) == [["", "PER"]]


def test_order_of_posts_does_not_matter():
    random = np.random.default_rng(8)
    decoder = make_decoder(8)
    rows = [random.standard_normal((n, 5)) for n in (4, 9, 1, 30, 9)]
    spans = decoder.decode(rows)
    assert decoder.decode(rows[::-1]) == spans[::-1]
    assert decoder.tags_of(TagSpan(3, 6, "LOC")).tolist() == [3, 4, 4]


def test_agrees_with_pytorch_crf():
    torch = pytest.importorskip("torch", reason="the light core has no torch")
    torchcrf = pytest.importorskip("torchcrf", reason="pytorch-crf is not installed")
    decoder, random = make_decoder(9), np.random.default_rng(9)
    crf = torchcrf.CRF(5, batch_first=True).double()
    with torch.no_grad():
        crf.transitions.copy_(torch.from_numpy(np.maximum(decoder.parameters.transitions, -1e4)))
        crf.start_transitions.copy_(torch.from_numpy(np.maximum(decoder.parameters.start, -1e4)))
        crf.end_transitions.copy_(torch.from_numpy(decoder.parameters.end))
        emissions, mask = padded([2 * random.standard_normal((n, 5)) for n in (12, 3, 25, 1)])
        tensor, real = torch.from_numpy(emissions), torch.from_numpy(mask)
        theirs = crf.decode(tensor, real)
        ours = decoder.viterbi(emissions, mask)
        assert [row[row >= 0].tolist() for row in ours] == theirs
        tags = torch.from_numpy(np.maximum(ours, 0))
        likelihood = crf(tensor, tags, real, reduction="none").numpy()
    scores = [score_of(decoder, e[m], row[m]) for e, m, row in zip(emissions, mask, ours, strict=True)]
    assert scores - decoder.log_partition(emissions, mask) == pytest.approx(likelihood, abs=1e-8)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 13])
@pytest.mark.parametrize("decision_rule", [None, DecisionRule(0.4, 1.2)])
def test_a_post_gives_the_same_bits_in_any_batch(size, decision_rule) -> None:
    decoder = make_decoder(7).with_decision_rule(decision_rule)
    random = np.random.default_rng(3)
    posts = [3 * random.standard_normal((n, len(LABELS))) for n in random.integers(1, 30, 40)]
    spans = decoder.decode(posts)
    together = decoder.confidences(posts, spans, 1.3)
    for i in range(0, len(posts), size):
        part = posts[i : i + size]
        assert decoder.decode(part) == spans[i : i + size]
        apart = decoder.confidences(part, spans[i : i + size], 1.3)
        assert all(np.array_equal(a, b) for a, b in zip(apart, together[i : i + size], strict=True))
