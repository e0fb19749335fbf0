"""A score as plain data for JSON."""

from __future__ import annotations

from twofold.evaluation.spans import SpanScore


def score_record(score: SpanScore) -> dict[str, float]:
    """Precision, recall and F1 in [0, 1], and the counts behind them."""
    return {
        "precision": round(score.precision, 6),
        "recall": round(score.recall, 6),
        "f1": round(score.f1, 6),
        "correct": score.correct,
        "predicted": score.predicted,
        "gold": score.gold,
    }
