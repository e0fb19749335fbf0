"""The review queue: people's decisions on predictions, kept in an embedded database, as training data.

It knows results as JSON and posts; it knows no model and no HTTP.
"""

from __future__ import annotations

from twofold.review.decisions import Decision, PostReview, Proposal
from twofold.review.store import ReviewStore

__all__ = ["Decision", "PostReview", "Proposal", "ReviewStore"]
