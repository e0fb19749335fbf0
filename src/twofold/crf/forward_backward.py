"""Forward-backward: the probability of all tag sequences together, and of each tag at each word.

Lafferty, McCallum & Pereira 2001, with scaled probabilities in float64. Under BIO no message can fall below
exp(−2 (E + T)) of its largest entry, with E and T the ranges of emissions and transitions; both are therefore
cut, at `EMISSION_CUT` and `TRANSITION_CUT` nats below the best, and nothing underflows at any length.
Within these ranges results are exact. Beyond them they need not be: where BIO makes the best tag of a word
unreachable, tags that were cut have too much weight.

The results of a post are the same to the last bit whichever posts it shares a batch with: products are summed
in the order of the tags, where BLAS sums in another order for another number of posts.

Shape letters: B posts, W words, K tags, n posts still running.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twofold.crf.batches import Floats, Integers, Mask, time_major
from twofold.crf.parameters import CrfParameters

EMISSION_CUT, TRANSITION_CUT = 230.0, 120.0
"""Potentials are cut this many nats below the best of their word, or of all transitions. The sum of both is
less than half of the range of a float64."""


class ForwardBackward:
    """Messages of a batch at one temperature; posts in the order of `TimeMajor`.

    Args:
        parameters: of the CRF.
        emissions: (B, W, K).
        mask: (B, W) True where a word is real; real words come first.
        temperature: all scores are divided by it.

    Attributes:
        order: (B,) index of each post before sorting.
        lengths: (B,) words of each post.
        running: (W,) number of posts that have a word at this time step.
        emissions: (W, B, K) exp of emissions, 1 at each word's best tag.
        transitions: (K, K) exp of transitions, 1 for the best.
        alpha: (W, B, K) forward messages, sum 1 each.
        scale: (W, B) what each message was divided by.
        final: (B,) weight of all sequences at the last word, end scores included.
        log_partition: (B,) nats; 0 for a post without words.
    """

    def __init__(
        self,
        parameters: CrfParameters,
        emissions: NDArray[np.floating],
        mask: Mask,
        temperature: float = 1.0,
    ) -> None:
        batch = time_major(emissions, mask)
        self.order, self.lengths, self.running = batch.order, batch.lengths, batch.running
        scores = batch.emissions / temperature
        best = scores.max(2, keepdims=True)
        self.emissions: Floats = np.exp(np.maximum(scores - best, -EMISSION_CUT))
        self.transitions, self._start, self._end = (_exp_cut(x / temperature) for x in parameters)
        self.alpha, self.scale = self._forward()
        self._beta: Floats | None = None
        real = np.flatnonzero(self.lengths > 0)
        self.final = np.ones(len(self.order))
        self.final[real] = _product(self.alpha[self.lengths[real] - 1, real], self._end[:, None])[:, 0]
        shift = np.where(np.arange(len(best))[:, None] < self.lengths, best[:, :, 0], 0.0).sum(0)
        self.log_partition = np.zeros(len(self.order))
        self.log_partition[real] = (shift + np.log(self.scale).sum(0) + np.log(self.final))[real]
        self.log_partition[real] += _subtracted(parameters, temperature, self.lengths[real])

    def _forward(self) -> tuple[Floats, Floats]:
        alpha, scale = np.zeros_like(self.emissions), np.ones(self.emissions.shape[:2])
        for t, n in enumerate(self.running):
            before = _product(alpha[t - 1, :n], self.transitions) if t else self._start
            message = before * self.emissions[t, :n]
            scale[t, :n] = message.sum(1)
            alpha[t, :n] = message / scale[t, :n, None]
        return alpha, scale

    @property
    def beta(self) -> Floats:
        """Backward messages (W, B, K), such that alpha times beta is the probability of a tag."""
        # Not a cached_property: up to Python 3.11 all share one lock, and a fork that copies it while it is
        # held waits forever.
        if self._beta is None:
            self._beta = self._backward()
        return self._beta

    def _backward(self) -> Floats:
        into = np.ascontiguousarray(self.transitions.T)
        beta = np.empty_like(self.emissions)
        beta[:] = self._end / self.final[:, None]  # stays at a post's last word
        for t in range(len(beta) - 2, -1, -1):
            n = self.running[t + 1]
            after = self.emissions[t + 1, :n] * beta[t + 1, :n]
            beta[t, :n] = _product(after, into) / self.scale[t + 1, :n, None]
        return beta


def _product(rows: Floats, matrix: Floats) -> Floats:
    """The matrix product (n, L) of (n, K) and (K, L), without BLAS."""
    product: Floats = np.einsum("nk,kl->nl", rows, matrix)
    return product


def _exp_cut(scores: Floats) -> Floats:
    """Exp with 1 for the largest, at least exp(−TRANSITION_CUT) for allowed ones, and 0 for −∞."""
    powers = np.exp(np.maximum(scores - scores.max(), -TRANSITION_CUT))
    return np.asarray(np.where(np.isneginf(scores), 0.0, powers))


def _subtracted(parameters: CrfParameters, temperature: float, lengths: Integers) -> Floats:
    """What `_exp_cut` subtracts from the score of a post with this many words, in nats."""
    once = (parameters.start.max() + parameters.end.max()) / temperature
    return np.asarray(once + (lengths - 1) * parameters.transitions.max() / temperature)
