"""Linear-chain CRF over BIO tags in NumPy: best spans and the probability of each.

Viterbi and forward-backward (Lafferty, McCallum & Pereira 2001) under the grammar of BIO: ``I-X`` only
after ``B-X`` or ``I-X``. The probability of a span is that of the whole labelled span, no more and no
less: the sum over all tag sequences with ``B-X`` at its start, ``I-X`` to its end and not beyond.

Everything is time-major and vectorised over posts; rows are sorted by length inside, so that a step
touches only the posts still running. Forward-backward works with scaled probabilities in float64.
Under BIO no message can fall below exp(−2 (E + T)) of its largest entry, with E and T the ranges of
emissions and transitions; both are therefore cut, at `EMISSION_CUT` and `TRANSITION_CUT` nats below the
best, and nothing underflows over any length. Within these ranges results are exact. Beyond them they need not
be: a tag cut far below a best one that the grammar makes unreachable then weighs too much.

What is told is either what the best sequence says, or, under a `DecisionRule`, the set of spans that is worth
most: each counts its probability less a threshold. With half the best F1 as the threshold, that set has
the largest F1 to be expected (Lipton, Elkan & Narayanaswamy 2014, theorem 1).

It does not know words, texts or models.

Shape letters: B posts, W words, K tags, S spans, n posts still running.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

EMISSION_CUT, TRANSITION_CUT = 230.0, 120.0
"""Potentials this many nats below the best of their word, or of all transitions, count as that far. Their
sum stays under half of what a float64 spans."""
_BATCH_CELLS = 1 << 16  # words, padding included, that are decoded at once


class TagSpan(NamedTuple):
    """A labelled span of words.

    Attributes:
        start: first word.
        end: one past its last word.
        type: entity type.
    """

    start: int
    end: int
    type: str


class DecisionRule(NamedTuple):
    """Which spans to tell.

    Attributes:
        threshold: what a span costs, in (0, 1); told spans are more probable than that.
        temperature: that probabilities are taken at, above 0.
    """

    threshold: float
    temperature: float = 1.0


class _Forward(NamedTuple):
    """Messages of a batch sorted by length, longest first.

    Attributes:
        local: (W, B, K) exp of emissions, 1 at each word's best tag.
        alpha: (W, B, K) forward messages, sum 1 each.
        scale: (W, B) what each was divided by.
        final: (B,) weight of all sequences at the last word, `end` included.
        running: (W,) number of posts that have a word at this time.
        log_partition: (B,) nats.
    """

    local: Floats
    alpha: Floats
    scale: Floats
    final: Floats
    running: list[int]
    log_partition: Floats


class ChainDecoder:
    """A trained CRF, ready to decode.

    Args:
        labels: names of the K tags: ``O``, ``B-X``, ``I-X``.
        transitions: (K, K) scores, from row to column.
        start: (K,) scores of the first tag.
        end: (K,) scores of the last tag.
        decision_rule: which spans `decode` tells; None for those of the best sequence.

    Forbidden moves are set here from the labels' names, whatever their scores say.
    """

    def __init__(
        self,
        labels: Sequence[str],
        transitions: NDArray[np.floating],
        start: NDArray[np.floating],
        end: NDArray[np.floating],
        decision_rule: DecisionRule | None = None,
    ) -> None:
        self.labels, self.decision_rule = tuple(labels), decision_rule
        moves, starts = allowed_moves(self.labels)
        self._moves, self._starts = moves, starts
        self._transitions = np.where(moves, np.asarray(transitions, np.float64), -np.inf)
        self._start = np.where(starts, np.asarray(start, np.float64), -np.inf)
        self._end = np.asarray(end, np.float64)
        types = [label[2:] for label in self.labels if label.startswith("B-")]
        self._begin = {kind: self.labels.index(f"B-{kind}") for kind in types}
        self._inside = {kind: _index(self.labels, f"I-{kind}") for kind in types}

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types, in the order of the labels."""
        return tuple(self._begin)

    def with_decision_rule(self, decision_rule: DecisionRule | None) -> ChainDecoder:
        """The same CRF, telling other spans."""
        return ChainDecoder(self.labels, self._transitions, self._start, self._end, decision_rule)

    # --- best sequence -------------------------------------------------------------------------------

    def viterbi(self, emissions: NDArray[np.floating], mask: Mask) -> Integers:
        """Most probable valid tag sequence of each post.

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.

        Returns:
            (B, W) tag numbers, −1 where masked. Among equals the lower number wins.
        """
        lengths = mask.sum(1)
        order = np.argsort(-lengths, kind="stable")
        running = _running(lengths, emissions.shape[1])
        scores = np.ascontiguousarray(emissions[order].transpose(1, 0, 2), np.float64)  # (W, B, K)
        last, pointers = self._viterbi_forward(scores, running)
        tags = np.full(mask.shape, -1, np.int64)
        tags[order] = _trace(last, pointers, running).T
        return tags

    def _viterbi_forward(self, scores: Floats, running: list[int]) -> tuple[Integers, NDArray[np.int16]]:
        """Best last tag (B,) of each post, and the best tag before each tag (W, B, K)."""
        pointers = np.zeros(scores.shape, np.int16)
        into = np.ascontiguousarray(self._transitions.T)  # (to, from)
        total = self._start + (scores[0] if len(scores) else np.zeros(scores.shape[1:]))
        for t in range(1, len(scores)):
            n = running[t]
            paths = total[:n, None, :] + into  # (n, to, from)
            pointers[t, :n] = paths.argmax(2)
            total[:n] = paths.max(2) + scores[t, :n]
        return (total + self._end).argmax(1), pointers

    # --- probabilities -------------------------------------------------------------------------------

    def log_partition(self, emissions: NDArray[np.floating], mask: Mask, temperature: float = 1.0) -> Floats:
        """Log of the sum over all valid tag sequences of the exp of their score.

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.
            temperature: all scores are divided by it.

        Returns:
            (B,) nats; 0 for a post without words.
        """
        forward, order = self._forward(emissions, mask, temperature)
        result = np.empty(len(order))
        result[order] = forward.log_partition
        return result

    def tag_marginals(self, emissions: NDArray[np.floating], mask: Mask, temperature: float = 1.0) -> Floats:
        """Probability of each tag at each word, (B, W, K); 0 where masked. Arguments as above."""
        forward, order = self._forward(emissions, mask, temperature)
        marginals = np.empty(emissions.shape, np.float64)
        both = forward.alpha * self._backward(forward, temperature)
        marginals[order] = both.transpose(1, 0, 2)
        return marginals * mask[:, :, None]

    def span_marginals(
        self,
        emissions: NDArray[np.floating],
        mask: Mask,
        rows: Sequence[int],
        spans: Sequence[TagSpan],
        temperature: float = 1.0,
    ) -> Floats:
        """Probability that exactly this span with exactly this type is there.

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.
            rows: post of each span.
            spans: S spans within the words of their posts, of known types.
            temperature: all scores are divided by it.

        Returns:
            (S,) in [0, 1].
        """
        forward, order = self._forward(emissions, mask, temperature)
        beta = self._backward(forward, temperature)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        row = place[np.array(rows, np.int64)]
        start = np.array([span.start for span in spans], np.int64)
        end = np.array([span.end for span in spans], np.int64)
        inside = np.array([self._inside[span.type] for span in spans], np.int64)
        last = np.array([self._begin[span.type] for span in spans], np.int64)
        moves = self._exp_transitions(temperature)
        weight = forward.alpha[start, row, last]
        for step in range(1, int((end - start).max(initial=1))):
            go = np.flatnonzero(end - start > step)
            time, tag = start[go] + step, inside[go]
            here = forward.local[time, row[go], tag] / forward.scale[time, row[go]]
            weight[go] *= moves[last[go], tag] * here
            last[go] = tag
        return np.minimum(weight * self._ending(forward, beta, moves, (row, end, last, inside)), 1.0)

    def spans_above(
        self, emissions: NDArray[np.floating], mask: Mask, decision_rule: DecisionRule
    ) -> list[list[tuple[TagSpan, float]]]:
        """All spans more probable than the threshold, of any length, with their probabilities.

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.
            decision_rule: threshold and temperature.

        Returns:
            A list a post, in no particular order; spans may overlap.
        """
        threshold, temperature = decision_rule
        forward, order = self._forward(emissions, mask, temperature)
        beta = self._backward(forward, temperature)
        moves = self._exp_transitions(temperature)
        begin = np.array(list(self._begin.values()), np.int64)
        inner = np.array(list(self._inside.values()), np.int64)
        lengths = mask.sum(1)[order]
        real = np.arange(len(forward.running))[:, None] < lengths
        likely = (forward.alpha[:, :, begin] * beta[:, :, begin] > threshold) & real[:, :, None]
        start, row, kind = np.nonzero(likely)  # (S,) each; a span is at most as probable as its beginning
        end, last, weight = start + 1, begin[kind], forward.alpha[start, row, begin[kind]]
        found: list[list[tuple[TagSpan, float]]] = [[] for _ in order]
        while len(start):
            chance = weight * self._ending(forward, beta, moves, (row, end, last, inner[kind]))
            for i in np.flatnonzero(chance > threshold).tolist():
                span = TagSpan(int(start[i]), int(end[i]), self.types[kind[i]])
                found[order[row[i]]].append((span, min(float(chance[i]), 1.0)))
            go = np.flatnonzero((end < lengths[row]) & (inner[kind] >= 0))
            time, r, tag = end[go], row[go], inner[kind[go]]
            longer = weight[go] * moves[last[go], tag] * forward.local[time, r, tag] / forward.scale[time, r]
            keep = longer * beta[time, r, tag] > threshold  # nothing longer is more probable
            go, weight, last = go[keep], longer[keep], tag[keep]
            start, row, kind, end = start[go], row[go], kind[go], end[go] + 1
        return found

    def _ending(self, forward: _Forward, beta: Floats, moves: Floats, spans: tuple[Integers, ...]) -> Floats:
        """Weight (S,) of all that may follow a span which ends: anything but its own I-X."""
        row, end, last, inside = spans
        final = beta[end - 1, row, last]  # right where the span closes the post
        lengths = np.array(forward.running)
        more = np.flatnonzero((end < len(lengths)) & (row < np.append(lengths, 0)[end]))
        time, r = end[more], row[more]
        following = forward.local[time, r] * beta[time, r] * moves[last[more]]  # (S, K)
        has_inside = np.flatnonzero(inside[more] >= 0)
        following[has_inside, inside[more][has_inside]] = 0
        final[more] = following.sum(1) / forward.scale[time, r]
        return final

    def _exp_transitions(self, temperature: float) -> Floats:
        return _exp_cut(self._transitions / temperature, self._moves)

    def _forward(
        self, emissions: NDArray[np.floating], mask: Mask, temperature: float
    ) -> tuple[_Forward, Integers]:
        lengths = mask.sum(1)
        order = np.argsort(-lengths, kind="stable")
        running = _running(lengths, emissions.shape[1])
        scores = emissions[order].transpose(1, 0, 2).astype(np.float64, order="C") / temperature  # (W, B, K)
        best = scores.max(2, keepdims=True)
        local = np.exp(np.maximum(scores - best, -EMISSION_CUT))
        moves, begin, finish = self._weights(temperature)
        alpha, scale = np.zeros_like(local), np.ones(local.shape[:2])
        for t, n in enumerate(running):
            message = (alpha[t - 1, :n] @ moves if t else begin) * local[t, :n]
            scale[t, :n] = message.sum(1)
            alpha[t, :n] = message / scale[t, :n, None]
        final, log_z = np.ones(len(order)), np.zeros(len(order))
        real = np.flatnonzero(lengths[order] > 0)
        final[real] = alpha[lengths[order][real] - 1, real] @ finish
        shift = np.where(np.arange(len(best))[:, None] < lengths[order], best[:, :, 0], 0.0).sum(0)
        log_z[real] = (shift + np.log(scale).sum(0) + np.log(final))[real]
        offset = self._offset(temperature, lengths[order][real])
        log_z[real] += offset
        return _Forward(local, alpha, scale, final, running, log_z), order

    def _weights(self, temperature: float) -> tuple[Floats, Floats, Floats]:
        """Exp of transitions, start and end, the largest of each 1."""
        start = _exp_cut(self._start / temperature, self._starts)
        end = _exp_cut(self._end / temperature, np.ones_like(self._starts))
        return self._exp_transitions(temperature), start, end

    def _offset(self, temperature: float, lengths: Integers) -> Floats:
        """What `_weights` left out of the score of a post with so many words, nats."""
        once = (self._start.max() + self._end.max()) / temperature
        return np.asarray(once + (lengths - 1) * self._transitions.max() / temperature)

    def _backward(self, forward: _Forward, temperature: float) -> Floats:
        """Messages (W, B, K) such that alpha times beta is the probability of a tag."""
        moves, _, finish = self._weights(temperature)
        into = np.ascontiguousarray(moves.T)
        beta = np.empty_like(forward.local)
        beta[:] = finish / forward.final[:, None]  # stays where a post's last word is
        for t in range(len(beta) - 2, -1, -1):
            n = forward.running[t + 1]
            after = forward.local[t + 1, :n] * beta[t + 1, :n]
            beta[t, :n] = (after @ into) / forward.scale[t + 1, :n, None]
        return beta

    # --- whole posts ---------------------------------------------------------------------------------

    def decode(self, emissions: Sequence[NDArray[np.floating]]) -> list[list[TagSpan]]:
        """Spans to tell of posts of any lengths: of the best sequence, or as the `DecisionRule` says.

        Args:
            emissions: (W, K) a post; W may be 0.

        Returns:
            Spans in order, a list a post; they never overlap.
        """
        result: list[list[TagSpan]] = [[] for _ in emissions]
        for group, padded, mask in _batches(emissions):
            for i, spans in zip(group, self._decode(padded, mask), strict=True):
                result[i] = spans
        return result

    def _decode(self, emissions: NDArray[np.floating], mask: Mask) -> list[list[TagSpan]]:
        if self.decision_rule is None:
            return [self.spans_of(tags) for tags in self.viterbi(emissions, mask)]
        above = self.spans_above(emissions, mask, self.decision_rule)
        return [best_disjoint_spans(found, self.decision_rule.threshold) for found in above]

    def confidences(
        self,
        emissions: Sequence[NDArray[np.floating]],
        spans: Sequence[Sequence[TagSpan]],
        temperature: float = 1.0,
    ) -> list[Floats]:
        """Probability of each span of each post, see `span_marginals`.

        Args:
            emissions: (W, K) a post.
            spans: of each post.
            temperature: all scores are divided by it.
        """
        result = [np.zeros(len(found)) for found in spans]
        asked = [i for i, found in enumerate(spans) if found]
        for group, padded, mask in _batches([emissions[i] for i in asked]):
            rows = [row for row, i in enumerate(group) for _ in spans[asked[i]]]
            flat = [span for i in group for span in spans[asked[i]]]
            values = self.span_marginals(padded, mask, rows, flat, temperature)
            ends = np.cumsum([len(spans[asked[i]]) for i in group])
            for i, part in zip(group, np.split(values, ends[:-1]), strict=True):
                result[asked[i]] = part
        return result

    def type_of_span(
        self, emissions: Sequence[NDArray[np.floating]], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> list[list[str]]:
        """Most probable type of given spans: the one whose span, exactly so, has most probability.

        Args:
            emissions: (W, K) a post.
            spans: (start, end) in words, of each post.

        Returns:
            A type a span, "" where no type can take the span; among equals the first of `types`.
        """
        tables = self.type_probabilities(emissions, spans)
        return [
            [self._likeliest(end - start, chances) for (start, end), chances in zip(row, table, strict=True)]
            for row, table in zip(spans, tables, strict=True)
        ]

    def _likeliest(self, words: int, chances: Floats) -> str:
        kinds = self._fitting(words)
        return max(kinds, key=lambda kind: float(chances[self.types.index(kind)]), default="")

    def type_probabilities(
        self,
        emissions: Sequence[NDArray[np.floating]],
        spans: Sequence[Sequence[tuple[int, int]]],
        temperature: float = 1.0,
    ) -> list[Floats]:
        """Probability of each type for given spans: that exactly this span with this type is there.

        What is left to 1 is the probability that no entity has these borders.

        Args:
            emissions: (W, K) a post.
            spans: (start, end) in words, of each post.
            temperature: all scores are divided by it.

        Returns:
            (S, types) a post, in the order of `types`; 0 where a type cannot take the span.
        """
        asked = [
            [TagSpan(start, end, kind) for start, end in row for kind in self._fitting(end - start)]
            for row in spans
        ]
        found = self.confidences(emissions, asked, temperature)
        return [self._table(row, chances) for row, chances in zip(spans, found, strict=True)]

    def _table(self, spans: Sequence[tuple[int, int]], chances: Floats) -> Floats:
        """Chances of the types that fit each span, one after another, as (S, types)."""
        fits = [[kind in self._fitting(end - start) for kind in self.types] for start, end in spans]
        table = np.zeros((len(spans), len(self.types)))
        if spans:
            table[np.array(fits)] = chances
        return table

    def _fitting(self, words: int) -> list[str]:
        """Types that a span of so many words may have."""
        return [kind for kind in self.types if words == 1 or self._inside[kind] >= 0]

    def spans_of(self, tags: NDArray[np.integer]) -> list[TagSpan]:
        """Spans of a valid tag sequence (W,); masked words (−1) belong to none."""
        spans: list[TagSpan] = []
        begins = np.flatnonzero(np.isin(tags, list(self._begin.values())))
        for start in begins.tolist():
            kind = self.labels[tags[start]][2:]
            end = start + 1
            while end < len(tags) and tags[end] == self._inside[kind]:
                end += 1
            spans.append(TagSpan(start, end, kind))
        return spans

    def tags_of(self, span: TagSpan) -> Integers:
        """Tag numbers of the words of a span."""
        tags = np.full(span.end - span.start, self._inside[span.type])
        tags[0] = self._begin[span.type]
        return tags


def best_disjoint_spans(spans: Sequence[tuple[TagSpan, float]], threshold: float) -> list[TagSpan]:
    """Of spans with their probabilities, those without overlap whose excess over a threshold sums to most.

    Returns:
        In order of their places. Among equal sums the one with fewer spans, ending earlier.
    """
    values, ends = [0.0], [0]  # of the best set up to each, and where its last span ends
    last: list[tuple[TagSpan, int] | None] = [None]  # that span, and the set before it
    for span, chance in sorted(spans, key=lambda item: (item[0].end, item[0].start, item[0].type)):
        before = bisect_right(ends, span.start) - 1
        value = values[before] + chance - threshold
        if value > values[-1]:
            values.append(value)
            ends.append(span.end)
            last.append((span, before))
    told, link = [], last[-1]
    while link is not None:
        told.append(link[0])
        link = last[link[1]]
    return told[::-1]


def allowed_moves(labels: Sequence[str]) -> tuple[Mask, Mask]:
    """BIO's grammar.

    Returns:
        (K, K) True where the column's tag may follow the row's; (K,) True where a tag may come first.
    """
    moves = [[not b.startswith("I-") or (a != "O" and a[2:] == b[2:]) for b in labels] for a in labels]
    return np.array(moves), np.array([not label.startswith("I-") for label in labels])


def _index(labels: Sequence[str], label: str) -> int:
    return labels.index(label) if label in labels else -1


def _running(lengths: NDArray[np.integer], words: int) -> list[int]:
    """Number of posts that are longer than each time 0 … W−1."""
    counts = np.bincount(lengths, minlength=words + 1)
    return (len(lengths) - np.cumsum(counts)[:words]).tolist()  # type: ignore[no-any-return]


def _exp_cut(scores: Floats, allowed: Mask) -> Floats:
    """Exp with the largest at 1, nothing allowed under exp(−TRANSITION_CUT), and 0 for what is not."""
    return np.where(allowed, np.exp(np.maximum(scores - scores.max(), -TRANSITION_CUT)), 0.0)


def _trace(last: Integers, pointers: NDArray[np.int16], running: list[int]) -> Integers:
    """Tags (W, B) from the pointers; −1 where a post is over."""
    words, posts, _ = pointers.shape
    tags = np.full((words, posts), -1, np.int64)
    rows = np.arange(posts)
    for t in range(words - 1, -1, -1):
        n, beyond = running[t], running[t + 1] if t + 1 < words else 0
        tags[t, beyond:n] = last[beyond:n]
        if beyond:
            tags[t, :beyond] = pointers[t + 1, rows[:beyond], tags[t + 1, :beyond]]
    return tags


def _batches(emissions: Sequence[NDArray[np.floating]]) -> Iterator[tuple[list[int], Floats, Mask]]:
    """Groups of posts of like length, padded; posts without words are left out."""
    order = sorted((i for i, x in enumerate(emissions) if len(x)), key=lambda i: len(emissions[i]))
    group: list[int] = []
    for i in order:
        if group and len(emissions[i]) * (len(group) + 1) > _BATCH_CELLS:
            yield group, *_pad([emissions[g] for g in group])
            group = []
        group.append(i)
    if group:
        yield group, *_pad([emissions[g] for g in group])


def _pad(emissions: Sequence[NDArray[np.floating]]) -> tuple[Floats, Mask]:
    lengths = np.array([len(x) for x in emissions])
    padded = np.zeros((len(emissions), int(lengths.max()), emissions[0].shape[1]))
    for row, values in zip(padded, emissions, strict=True):
        row[: len(values)] = values
    return padded, np.arange(padded.shape[1]) < lengths[:, None]
