"""Which inputs of a post a network truncates, so that nothing is cut silently.

It counts word pieces again, which is cheap: only texts long enough to be cut are tokenized.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from twofold.inference.network import Network
from twofold.posts import Post, Truncation
from twofold.preprocessing.modalities import TEXTS
from twofold.preprocessing.segmentation import Span


def truncations(post: Post, words: Sequence[Span], network: Network) -> Iterator[Truncation]:
    """The inputs of a post that a network truncates.

    Args:
        post: the post.
        words: its words as the network segments them; empty to check only the texts about its picture.
        network: the network.
    """
    tokenizer = network.tokenizer
    if words and tokenizer.may_cut(post.text):
        windows = tokenizer.windows(post.text, words)
        if len(windows) > 1:
            yield Truncation("context", max(w.end - w.start for w in windows), len(words))
    for name in network.folder.config.modalities[1:]:
        text = TEXTS[name](post) if name in TEXTS else None
        if text and tokenizer.may_cut(text):
            total = tokenizer.piece_count(text)
            if total > tokenizer.budget:
                yield Truncation(name, tokenizer.budget, total)


def merged(found: Iterable[Truncation]) -> tuple[Truncation, ...]:
    """For each kind of truncation, the one that read less: two models may read the same post."""
    least: dict[str, Truncation] = {}
    for item in found:
        if item.what not in least or item.read < least[item.what].read:
            least[item.what] = item
    return tuple(least.values())
