"""Encoded posts whose gold labels are drawn at known temperatures."""

from __future__ import annotations

import numpy as np

from twofold.inference.encode import EncodedPost
from twofold.posts import Entity, PictureReport, Post

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def drawn(decoder, posts, seed, warm=(2.0, 2.0)):
    """Encoded posts with gold tags drawn word by word from the emissions, each type at its temperature."""
    random = np.random.default_rng(seed)
    encoded_posts = []
    for number in range(posts):
        words = int(random.integers(2, 8))
        emissions = 2.5 * random.standard_normal((words, 5))
        emissions[:, [2, 4]] = -40  # entities of one word, so that drawing each word follows the marginals
        temperatures = np.array([1.0, warm[0], 1.0, warm[1], 1.0])
        weights = np.exp((emissions - emissions[:, :1]) / temperatures)
        cumulative = (weights / weights.sum(1, keepdims=True)).cumsum(1)
        tags = (cumulative <= random.random((words, 1))).sum(1).tolist()
        gold = tuple(Entity(i, i + 1, "x", LABELS[t][2:]) for i, t in enumerate(tags) if t)
        words_at = [(i, i + 1) for i in range(words)]
        post = Post(number, "x" * words, entities=gold)
        encoded_posts.append(EncodedPost(post, words_at, PictureReport("none"), (True,), emissions))
    return encoded_posts
