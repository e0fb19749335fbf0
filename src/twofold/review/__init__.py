"""The review queue: people's decisions on predictions, kept in an embedded database, as training data.

It works on results as JSON and on posts; it depends neither on a model nor on HTTP.
"""

from __future__ import annotations

from twofold.review.decisions import Decision, PostReview, Proposal
from twofold.review.store import ReviewStore

__all__ = ["Decision", "PostReview", "Proposal", "ReviewStore"]
