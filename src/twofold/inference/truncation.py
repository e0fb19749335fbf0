"""What of a post a network reads in part, so that nothing is cut in silence.

It counts word pieces again, which is cheap: only texts long enough to be cut are tokenized.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from twofold.inference.network import Network
from twofold.posts import Post, Truncation
from twofold.preprocessing.modalities import TEXTS
from twofold.preprocessing.segmentation import Span


def truncations(post: Post, words: Sequence[Span], network: Network) -> Iterator[Truncation]:
    """What of a post and its words a network reads in part.

    Args:
        post: the post.
        words: its words as the network has them; none to look at the texts about its picture only.
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
    """Of each kind the one of which less was read: two models may read one post."""
    least: dict[str, Truncation] = {}
    for item in found:
        if item.what not in least or item.read < least[item.what].read:
            least[item.what] = item
    return tuple(least.values())
