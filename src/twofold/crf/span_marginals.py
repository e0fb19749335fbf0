"""Marginal probabilities of labelled spans.

The probability of a span is that of exactly this labelled span: the sum over all tag sequences with ``B-X``
at its start, ``I-X`` to its end and not beyond.

Shape letters: B posts, W words, K tags, S spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from twofold.crf.batches import Floats, Integers
from twofold.crf.bio import BioTags, TagSpan
from twofold.crf.forward_backward import ForwardBackward


class _Ends(NamedTuple):
    """Where S spans end.

    Attributes:
        row: post of each.
        end: one past its last word.
        last: tag of its last word.
        inside: ``I-X`` of its type; −1 where there is none.
    """

    row: Integers
    end: Integers
    last: Integers
    inside: Integers


def span_marginals(
    messages: ForwardBackward, tags: BioTags, posts: Sequence[int], spans: Sequence[TagSpan]
) -> Floats:
    """Probability that exactly this span with exactly this type is an entity.

    Args:
        messages: of the posts.
        tags: of the CRF.
        posts: post of each span, by its index before sorting.
        spans: S spans within the words of their posts, of known types.

    Returns:
        (S,) in [0, 1].
    """
    row_of = np.empty_like(messages.order)
    row_of[messages.order] = np.arange(len(messages.order))
    row = row_of[np.array(posts, np.int64)]
    start = np.array([span.start for span in spans], np.int64)
    end = np.array([span.end for span in spans], np.int64)
    inside = np.array([tags.inside[span.type] for span in spans], np.int64)
    last = np.array([tags.begin[span.type] for span in spans], np.int64)
    weight = messages.alpha[start, row, last]
    for step in range(1, int((end - start).max(initial=1))):
        longer = np.flatnonzero(end - start > step)
        time, tag = start[longer] + step, inside[longer]
        emitted = messages.emissions[time, row[longer], tag] / messages.scale[time, row[longer]]
        weight[longer] *= messages.transitions[last[longer], tag] * emitted
        last[longer] = tag
    return np.minimum(weight * _weight_after(messages, _Ends(row, end, last, inside)), 1.0)


def spans_above(
    messages: ForwardBackward, tags: BioTags, threshold: float
) -> list[list[tuple[TagSpan, float]]]:
    """All spans more probable than a threshold, of any length, with their probabilities.

    Args:
        messages: of the posts.
        tags: of the CRF.
        threshold: in (0, 1).

    Returns:
        The spans of each post, by its index before sorting; in no particular order, and they may overlap.
    """
    alpha, beta, lengths = messages.alpha, messages.beta, messages.lengths
    begin = np.array(list(tags.begin.values()), np.int64)
    inner = np.array(list(tags.inside.values()), np.int64)
    real = np.arange(len(messages.running))[:, None] < lengths
    likely = (alpha[:, :, begin] * beta[:, :, begin] > threshold) & real[:, :, None]
    start, row, kind = np.nonzero(likely)  # (S,) each; a span is at most as probable as its first tag
    end, last, weight = start + 1, begin[kind], alpha[start, row, begin[kind]]
    found: list[list[tuple[TagSpan, float]]] = [[] for _ in messages.order]
    while len(start):
        probability = weight * _weight_after(messages, _Ends(row, end, last, inner[kind]))
        for i in np.flatnonzero(probability > threshold).tolist():
            span = TagSpan(int(start[i]), int(end[i]), tags.types[kind[i]])
            found[messages.order[row[i]]].append((span, min(float(probability[i]), 1.0)))
        longer = np.flatnonzero((end < lengths[row]) & (inner[kind] >= 0))
        time, r, tag = end[longer], row[longer], inner[kind[longer]]
        extended = weight[longer] * messages.transitions[last[longer], tag] * messages.emissions[time, r, tag]
        extended = extended / messages.scale[time, r]
        keep = extended * beta[time, r, tag] > threshold  # a longer span is at most as probable
        longer, weight, last = longer[keep], extended[keep], tag[keep]
        start, row, kind, end = start[longer], row[longer], kind[longer], end[longer] + 1
    return found


def _weight_after(messages: ForwardBackward, spans: _Ends) -> Floats:
    """Weight (S,) of everything that may follow the end of a span: all but its own ``I-X``."""
    row, end, last, inside = spans
    weight = messages.beta[end - 1, row, last]  # correct where the span ends the post
    running = np.array(messages.running)
    more = np.flatnonzero((end < len(running)) & (row < np.append(running, 0)[end]))
    time, r = end[more], row[more]
    following = (
        messages.emissions[time, r] * messages.beta[time, r] * messages.transitions[last[more]]
    )  # (S, K)
    has_inside = np.flatnonzero(inside[more] >= 0)
    following[has_inside, inside[more][has_inside]] = 0
    weight[more] = following.sum(1) / messages.scale[time, r]
    return weight
