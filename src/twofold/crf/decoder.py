"""A trained CRF: decodes the entities of posts, and computes the probability of each.

It decodes the spans of the best tag sequence (Viterbi) or, with a `DecisionRule`, the non-overlapping spans
with the largest sum of probability − threshold. With half the best F1 as the threshold, these have the
largest expected F1 (Lipton, Elkan & Narayanaswamy 2014, theorem 1).

Shape letters: B posts, W words, K tags, S spans.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.crf.batches import Floats, Integers, Mask, padded_batches
from twofold.crf.bio import BioTags, TagSpan
from twofold.crf.forward_backward import ForwardBackward
from twofold.crf.parameters import CrfParameters
from twofold.crf.span_marginals import span_marginals, spans_above
from twofold.crf.viterbi import viterbi


class DecisionRule(NamedTuple):
    """F1-optimal decoding: which spans or relations to predict.

    Attributes:
        threshold: subtracted from each probability, in (0, 1); every prediction is more probable.
        temperature: of the probabilities, above 0.
    """

    threshold: float
    temperature: float = 1.0


class ChainDecoder:
    """A trained linear-chain CRF.

    Args:
        labels: names of the K tags: ``O``, ``B-X``, ``I-X``.
        transitions: (K, K) scores, from row to column.
        start: (K,) scores of the first tag.
        end: (K,) scores of the last tag.
        decision_rule: which spans `decode` predicts; None for those of the best sequence.

    Transitions that BIO forbids are set to −∞ here, whatever their scores.

    Attributes:
        parameters: the scores.
        decision_rule: as given.
    """

    def __init__(
        self,
        labels: Sequence[str],
        transitions: NDArray[np.floating],
        start: NDArray[np.floating],
        end: NDArray[np.floating],
        decision_rule: DecisionRule | None = None,
    ) -> None:
        self.decision_rule, self._tags = decision_rule, BioTags(labels)
        self.parameters = CrfParameters(
            np.where(self._tags.transitions, np.asarray(transitions, np.float64), -np.inf),
            np.where(self._tags.first, np.asarray(start, np.float64), -np.inf),
            np.asarray(end, np.float64),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the K tags."""
        return self._tags.labels

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types, in the order of the labels."""
        return self._tags.types

    def with_decision_rule(self, decision_rule: DecisionRule | None) -> ChainDecoder:
        """The same CRF with another decision rule."""
        return ChainDecoder(self.labels, *self.parameters, decision_rule)

    def spans_of(self, tags: NDArray[np.integer]) -> list[TagSpan]:
        """Spans of a valid tag sequence (W,); masked words (−1) belong to none."""
        return self._tags.spans_of(tags)

    def tags_of(self, span: TagSpan) -> Integers:
        """Tag indices of the words of a span."""
        return self._tags.tags_of(span)

    # --- padded batches ------------------------------------------------------------------------------

    def viterbi(self, emissions: NDArray[np.floating], mask: Mask) -> Integers:
        """Most probable valid tag sequence of each post.

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.

        Returns:
            (B, W) tag indices, −1 where masked. Ties go to the lower index.
        """
        return viterbi(self.parameters, emissions, mask)

    def log_partition(self, emissions: NDArray[np.floating], mask: Mask, temperature: float = 1.0) -> Floats:
        """Log of the sum over all valid tag sequences of the exp of their score.

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.
            temperature: all scores are divided by it.

        Returns:
            (B,) nats; 0 for a post without words.
        """
        messages = ForwardBackward(self.parameters, emissions, mask, temperature)
        result = np.empty(len(messages.order))
        result[messages.order] = messages.log_partition
        return result

    def tag_marginals(self, emissions: NDArray[np.floating], mask: Mask, temperature: float = 1.0) -> Floats:
        """Probability of each tag at each word, (B, W, K); 0 where masked. Arguments as above."""
        messages = ForwardBackward(self.parameters, emissions, mask, temperature)
        marginals = np.empty(emissions.shape, np.float64)
        marginals[messages.order] = (messages.alpha * messages.beta).transpose(1, 0, 2)
        return marginals * mask[:, :, None]

    def span_marginals(
        self,
        emissions: NDArray[np.floating],
        mask: Mask,
        posts: Sequence[int],
        spans: Sequence[TagSpan],
        temperature: float = 1.0,
    ) -> Floats:
        """Probability (S,) that exactly this span with exactly this type is an entity, in [0, 1].

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.
            posts: post of each span.
            spans: S spans within the words of their posts, of known types.
            temperature: all scores are divided by it.
        """
        messages = ForwardBackward(self.parameters, emissions, mask, temperature)
        return span_marginals(messages, self._tags, posts, spans)

    def spans_above(
        self, emissions: NDArray[np.floating], mask: Mask, decision_rule: DecisionRule
    ) -> list[list[tuple[TagSpan, float]]]:
        """All spans more probable than the threshold, of any length, with their probabilities.

        Args:
            emissions: (B, W, K).
            mask: (B, W) True where a word is real; real words come first.
            decision_rule: threshold and temperature.

        Returns:
            Spans of each post, in no particular order; they may overlap.
        """
        messages = ForwardBackward(self.parameters, emissions, mask, decision_rule.temperature)
        return spans_above(messages, self._tags, decision_rule.threshold)

    # --- posts of any lengths ------------------------------------------------------------------------

    def decode(self, emissions: Sequence[NDArray[np.floating]]) -> list[list[TagSpan]]:
        """Predicted spans: those of the best sequence, or by the `DecisionRule`.

        Args:
            emissions: (W, K) of each post; W may be 0.

        Returns:
            Spans of each post, in order; they never overlap.
        """
        result: list[list[TagSpan]] = [[] for _ in emissions]
        for batch, padded, mask in padded_batches(emissions):
            for i, spans in zip(batch, self._decode(padded, mask), strict=True):
                result[i] = spans
        return result

    def _decode(self, emissions: NDArray[np.floating], mask: Mask) -> list[list[TagSpan]]:
        if self.decision_rule is None:
            return [self.spans_of(tags) for tags in self.viterbi(emissions, mask)]
        above = self.spans_above(emissions, mask, self.decision_rule)
        return [best_disjoint_spans(spans, self.decision_rule.threshold) for spans in above]

    def confidences(
        self,
        emissions: Sequence[NDArray[np.floating]],
        spans: Sequence[Sequence[TagSpan]],
        temperature: float = 1.0,
    ) -> list[Floats]:
        """Probability of each span of each post, see `span_marginals`.

        Args:
            emissions: (W, K) of each post.
            spans: of each post.
            temperature: all scores are divided by it.
        """
        result = [np.zeros(len(row)) for row in spans]
        with_spans = [i for i, row in enumerate(spans) if row]
        for batch, padded, mask in padded_batches([emissions[i] for i in with_spans]):
            posts = [row for row, i in enumerate(batch) for _ in spans[with_spans[i]]]
            flat = [span for i in batch for span in spans[with_spans[i]]]
            values = self.span_marginals(padded, mask, posts, flat, temperature)
            ends = np.cumsum([len(spans[with_spans[i]]) for i in batch])
            for i, part in zip(batch, np.split(values, ends[:-1]), strict=True):
                result[with_spans[i]] = part
        return result

    def type_probabilities(
        self,
        emissions: Sequence[NDArray[np.floating]],
        spans: Sequence[Sequence[tuple[int, int]]],
        temperature: float = 1.0,
    ) -> list[Floats]:
        """Probability of each type for given spans: that exactly this span with this type is an entity.

        1 − their sum is the probability that no entity has these borders.

        Args:
            emissions: (W, K) of each post.
            spans: (start, end) in words, of each post.
            temperature: all scores are divided by it.

        Returns:
            (S, types) of each post, in the order of `types`; 0 where a type cannot have the span's length.
        """
        typed = [
            [
                TagSpan(start, end, kind)
                for start, end in row
                for kind in self._tags.types_of_length(end - start)
            ]
            for row in spans
        ]
        probabilities = self.confidences(emissions, typed, temperature)
        return [self._by_type(row, values) for row, values in zip(spans, probabilities, strict=True)]

    def _by_type(self, spans: Sequence[tuple[int, int]], probabilities: Floats) -> Floats:
        """Probabilities of the types that each span can have, one after another, as (S, types)."""
        possible = [
            [kind in self._tags.types_of_length(end - start) for kind in self.types] for start, end in spans
        ]
        table = np.zeros((len(spans), len(self.types)))
        table[np.array(possible, bool).reshape(table.shape)] = probabilities
        return table

    def most_probable_types(
        self, emissions: Sequence[NDArray[np.floating]], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> list[list[str]]:
        """Most probable type of given spans, see `type_probabilities`.

        Args:
            emissions: (W, K) of each post.
            spans: (start, end) in words, of each post.

        Returns:
            A type for each span, "" where no type can have its length; ties go to the first of `types`.
        """
        tables = self.type_probabilities(emissions, spans)
        return [
            [
                self._most_probable(end - start, values)
                for (start, end), values in zip(row, table, strict=True)
            ]
            for row, table in zip(spans, tables, strict=True)
        ]

    def _most_probable(self, words: int, probabilities: Floats) -> str:
        possible = self._tags.types_of_length(words)
        return max(possible, key=lambda kind: float(probabilities[self.types.index(kind)]), default="")


def best_disjoint_spans(spans: Sequence[tuple[TagSpan, float]], threshold: float) -> list[TagSpan]:
    """The non-overlapping spans with the largest sum of probability − threshold.

    Args:
        spans: with their probabilities.
        threshold: in (0, 1).

    Returns:
        In order of their start. Among equal sums, the spans that are fewer and end earlier.
    """
    values, ends = [0.0], [0]  # of the best set up to each, and where its last span ends
    last: list[tuple[TagSpan, int] | None] = [None]  # that span, and the set before it
    for span, probability in sorted(spans, key=lambda item: (item[0].end, item[0].start, item[0].type)):
        before = bisect_right(ends, span.start) - 1
        value = values[before] + probability - threshold
        if value > values[-1]:
            values.append(value)
            ends.append(span.end)
            last.append((span, before))
    best, step = [], last[-1]
    while step is not None:
        best.append(step[0])
        step = last[step[1]]
    return best[::-1]
