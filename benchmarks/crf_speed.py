"""Time our CRF against pytorch-crf: loss with its gradient, and decoding, on the same scores.

pytorch-crf does not support forbidden transitions; it gets ours as very low scores, so both compute the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from timing import Ratio, interleave, ratio

from twofold.crf import ChainDecoder

LABELS = ("O", *(f"{p}-{t}" for t in ("LOC", "MISC", "ORG", "PER") for p in "BI"))
POSTS, WORDS = 32, 40
REPEATS = 5
"""Calls that are timed together, since a single one is too short."""


def compare(rounds: int, report: Callable[[str], None]) -> list[Ratio]:
    """Time loss and decoding; if a package is missing, report this and return an empty list."""
    try:
        return _compare(rounds)
    except ImportError as error:
        report(f"CRF left out: {error}")
        return []


def _compare(rounds: int) -> list[Ratio]:
    import torch

    from twofold.heads.crf import CRF

    torch.manual_seed(0)
    ours = CRF(LABELS)
    theirs = _their_crf(ours)
    transitions, start, end = (x.detach().numpy() for x in ours.potentials())
    decoder = ChainDecoder(LABELS, transitions, start, end)
    scores, mask = _scores()
    emissions, real = torch.from_numpy(scores), torch.from_numpy(mask)
    best = decoder.viterbi(scores, mask)
    tags = torch.from_numpy(np.maximum(best, 0))
    _check_agreement(ours, theirs, (emissions, tags, real), [list(row[row >= 0]) for row in best])

    def our_loss() -> None:
        for _ in range(REPEATS):
            ours(emissions, tags, real).mean().backward()

    def their_loss() -> None:
        for _ in range(REPEATS):
            (-theirs(emissions, tags, real, reduction="mean")).backward()

    def our_decoding() -> None:
        for _ in range(REPEATS):
            decoder.viterbi(scores, mask)

    def our_decoding_with_confidences() -> None:
        posts = [row[:n] for row, n in zip(scores, mask.sum(1), strict=True)]
        for _ in range(REPEATS):
            decoder.confidences(posts, decoder.decode(posts))

    def their_decoding() -> None:
        with torch.no_grad():
            for _ in range(REPEATS):
                theirs.decode(emissions, real)

    works = {
        "CRF loss and gradient": our_loss,
        "pytorch-crf loss and gradient": their_loss,
        "CRF decoding": our_decoding,
        "CRF decoding with confidences": our_decoding_with_confidences,
        "pytorch-crf decoding": their_decoding,
    }
    seconds = interleave(works, rounds)
    size = f"{POSTS} posts of up to {WORDS} words, {len(LABELS)} tags"
    return [
        ratio(seconds, "CRF loss and gradient", "pytorch-crf loss and gradient", size),
        ratio(seconds, "CRF decoding", "pytorch-crf decoding", size),
        ratio(
            seconds, "CRF decoding with confidences", "pytorch-crf decoding", "theirs gives no confidences"
        ),
    ]


def _their_crf(ours: Any) -> Any:
    import torch
    from torchcrf import CRF as TheirCRF

    theirs = TheirCRF(len(LABELS), batch_first=True)
    transitions, start, end = ours.potentials()
    with torch.no_grad():
        theirs.transitions.copy_(transitions)
        theirs.start_transitions.copy_(start)
        theirs.end_transitions.copy_(end)
    return theirs


def _scores() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    scores = random.standard_normal((POSTS, WORDS, len(LABELS))).astype(np.float32) * 3
    lengths = random.integers(WORDS // 4, WORDS + 1, POSTS)
    lengths[0] = WORDS
    return scores, np.arange(WORDS) < lengths[:, None]


def _check_agreement(ours: Any, theirs: Any, inputs: tuple[Any, ...], best: list[list[int]]) -> None:
    """Check that both compute the same; otherwise their times cannot be compared."""
    import torch

    emissions, tags, mask = inputs
    mine, other = ours(emissions, tags, mask), -theirs(emissions, tags, mask, reduction="none")
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-4)
    if theirs.decode(emissions, mask) != best:
        raise RuntimeError("the two decoders disagree")
