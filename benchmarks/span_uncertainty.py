"""Confidences and uncertainties of spans by each method.

A confidence is the probability of exactly this span with exactly this type, at any temperature; an
uncertainty is the mean over the words of the span, using the predicted tag of each word if a measure has a
value per tag. This module does not use gold spans.

Shapes: W words of a post, K tags, S spans of all posts one after another, R members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ensemble_uncertainty import binary_ensemble_uncertainty, ensemble_uncertainty
from numpy.typing import NDArray

from twofold.crf import ChainDecoder, TagSpan
from twofold.fusion.nig import NIG

Floats = NDArray[np.float64]
Spans = Sequence[Sequence[TagSpan]]
"""Spans of each post."""
Confidence = Callable[[Spans, float], Floats]
Uncertainty = Callable[[Spans], Floats]


@dataclass(frozen=True)
class CRFOutputs:
    """Outputs of one pass over some posts.

    Attributes:
        labels: names of the K tags.
        potentials: transitions (K, K), start (K,) and end (K,) of the CRF.
        emissions: (W, K) per post.
    """

    labels: Sequence[str]
    potentials: tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]
    emissions: Sequence[NDArray[np.floating]]

    @property
    def decoder(self) -> ChainDecoder:
        """Decoder with these potentials."""
        return ChainDecoder(self.labels, *self.potentials)


@dataclass(frozen=True)
class MethodOutputs:
    """Predicted spans of some posts by one method, and its measures for any spans.

    Attributes:
        method: its name. passes: forward passes per post. trainings: networks trained for it.
        spans: the predicted ones.
        confidences: by name, probabilities. uncertainties: by name, larger is less certain.
    """

    method: str
    passes: int
    trainings: int
    spans: Spans
    confidences: Mapping[str, Confidence]
    uncertainties: Mapping[str, Uncertainty]


def single_pass(
    method: str, outputs: CRFOutputs, uncertainties: Mapping[str, Uncertainty] | None = None
) -> MethodOutputs:
    """Outputs of a method with one pass."""
    decoder = outputs.decoder
    return MethodOutputs(
        method,
        1,
        1,
        decoder.decode(outputs.emissions),
        {
            "CRF marginal": lambda spans, t: _flat(decoder.confidences(outputs.emissions, spans, t)),
            "softmax of emissions": lambda spans, t: softmax_product(outputs, spans, t),
        },
        uncertainties or {},
    )


def ensemble(method: str, members: Sequence[CRFOutputs], trainings: int) -> MethodOutputs:
    """Combine several passes into one method.

    A mixture of CRFs is not a CRF and has no Viterbi decoding. Spans are decoded from the CRF with the mean
    of all scores, whose distribution is the normalised geometric mean of the members' distributions over tag
    sequences; its marginal is one confidence. The other is the mean of the members' marginals of these spans,
    the exact probability under the mixture, as in deep ensembles and MC dropout.
    """
    mean = mean_outputs(members)
    decoders = [outputs.decoder for outputs in members]

    def marginals(spans: Spans, temperature: float) -> Floats:
        """Marginals (R, S) of all members."""
        pairs = zip(decoders, members, strict=True)
        return np.stack([_flat(d.confidences(c.emissions, spans, temperature)) for d, c in pairs])

    uncertainties = [
        ensemble_uncertainty(np.stack(tables)) for tables in zip(*map(tag_marginals, members), strict=True)
    ]
    return MethodOutputs(
        method,
        len(members),
        trainings,
        mean.decoder.decode(mean.emissions),
        {
            "mean of CRF marginals": lambda spans, t: marginals(spans, t).mean(0),
            "CRF marginal of mean scores": lambda spans, t: _flat(
                mean.decoder.confidences(mean.emissions, spans, t)
            ),
        },
        {
            "entropy of tags (total)": mean_over_words([x.total for x in uncertainties]),
            "mean entropy of tags (aleatoric)": mean_over_words([x.aleatoric for x in uncertainties]),
            "mutual information of tags (epistemic)": mean_over_words([x.epistemic for x in uncertainties]),
            "mutual information of the span (epistemic)": lambda spans: (
                binary_ensemble_uncertainty(marginals(spans, 1.0)).epistemic
            ),
        },
    )


def mean_outputs(members: Sequence[CRFOutputs]) -> CRFOutputs:
    """CRF with the mean of all scores: its distribution is the members' normalised geometric mean."""
    transitions, start, end = (np.mean(x, 0) for x in zip(*(o.potentials for o in members), strict=True))
    emissions = [np.mean(rows, 0) for rows in zip(*(outputs.emissions for outputs in members), strict=True)]
    return CRFOutputs(members[0].labels, (transitions, start, end), emissions)


def tag_marginals(outputs: CRFOutputs) -> list[Floats]:
    """Probability of each tag at each word, (W, K) per post."""
    lengths = np.array([len(x) for x in outputs.emissions])
    padded = np.zeros((len(lengths), int(lengths.max(initial=1)), len(outputs.labels)))
    for row, values in zip(padded, outputs.emissions, strict=True):
        row[: len(values)] = values
    found = outputs.decoder.tag_marginals(padded, np.arange(padded.shape[1]) < lengths[:, None])
    return [row[:length] for row, length in zip(found, lengths, strict=True)]


def softmax_product(outputs: CRFOutputs, spans: Spans, temperature: float) -> Floats:
    """Product over a span's words of the softmax over tags, without transitions: (S,)."""
    values = []
    for scores, row in zip(outputs.emissions, spans, strict=True):
        logits = np.asarray(scores, np.float64) / temperature
        logits = logits - logits.max(1, keepdims=True, initial=0.0)
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        values += [float(probabilities[_positions(outputs.decoder, span)].prod()) for span in row]
    return np.array(values)


def nig_measures(decoder: ChainDecoder, nigs: Sequence[NDArray[np.floating]]) -> dict[str, Uncertainty]:
    """Measures from pooled Normal-Inverse-Gammas (4, W, K): sums over all tags, and at the predicted tags.

    The first three are the standard ones; the others are the proxies of Meinert et al. (AAAI 2023).
    """
    each = [NIG(*torch.from_numpy(x.astype(np.float64))) for x in nigs]
    found = {
        "aleatoric": [x.aleatoric for x in each],
        "epistemic": [x.epistemic for x in each],
        "total": [x.aleatoric + x.epistemic for x in each],
        "Student-t scale √(β(1+γ)/(αγ))": [x.student_t_scale for x in each],
        "1/√γ": [x.epistemic_proxy for x in each],
        "−(γ+2α)": [-x.evidence for x in each],
    }
    tables = {name: [x.numpy() for x in table] for name, table in found.items()}
    sums = {name: mean_over_words([x.sum(1) for x in table]) for name, table in tables.items()}
    at_tags = {f"{name}, predicted tags": mean_at_tags(decoder, table) for name, table in tables.items()}
    return sums | at_tags


def mean_at_tags(decoder: ChainDecoder, tables: Sequence[Floats]) -> Uncertainty:
    """Measure: mean over a span's words of the values (W, K) at its tags."""

    def measure(spans: Spans) -> Floats:
        pairs = [(table, span) for table, row in zip(tables, spans, strict=True) for span in row]
        return np.array([table[_positions(decoder, span)].mean() for table, span in pairs])

    return measure


def mean_over_words(values: Sequence[Floats]) -> Uncertainty:
    """Measure: mean of the values (W,) over a span's words."""

    def measure(spans: Spans) -> Floats:
        pairs = [(value, span) for value, row in zip(values, spans, strict=True) for span in row]
        return np.array([value[span.start : span.end].mean() for value, span in pairs])

    return measure


def _positions(decoder: ChainDecoder, span: TagSpan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.arange(span.start, span.end), decoder.tags_of(span)


def _flat(rows: Sequence[Floats]) -> Floats:
    return np.concatenate([np.asarray(row, np.float64) for row in rows]) if rows else np.zeros(0)
