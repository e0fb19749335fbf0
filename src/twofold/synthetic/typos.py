"""Synthetic typos: the same post with one typo in some of its words.

A typo transposes two neighbouring letters, deletes one, repeats one, or replaces one by a neighbouring
key (QWERTY). The first letter is kept, as it mostly is in real typos, and so are words of fewer than
`MIN_LENGTH` characters, URLs, and words without a letter from a to z. The typos depend only on the seed and
the post's text, not on other posts of the file. Gold spans move with their words; regions and pictures are
kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

from twofold.posts import Post
from twofold.preprocessing.segmentation import segment_post, surface
from twofold.synthetic.rewriting import with_words

MIN_LENGTH = 4
RATE = 0.2
"""Default share of words with a typo, of those that can have one."""
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURING_KEYS = {
    key: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _ROWS for i, key in enumerate(row)
}  # fmt: skip

Typo = Callable[[str, int, Random], str]


def with_typos(post: Post, rate: float = RATE, seed: int = 0) -> Post:
    """The post with typos.

    Args:
        post: any post; its relations are dropped.
        rate: probability of a typo in each word that can have one, in [0, 1].
        seed: another seed gives other typos.
    """
    random = Random(hashlib.sha256(f"{seed} {post.text}".encode("utf-8", "surrogatepass")).digest())
    words = segment_post(post)
    new = [_mistype(post.text[start:end], rate, random) for start, end in words]
    return with_words(post, words, new)


def _mistype(word: str, rate: float, random: Random) -> str:
    letters = [i for i in range(1, len(word)) if word[i].lower() in _NEIGHBOURING_KEYS]
    if len(word) < MIN_LENGTH or not letters or surface(word) == "http" or random.random() >= rate:
        return word
    return random.choice(_TYPOS)(word, random.choice(letters), random)


def _transpose(word: str, i: int, random: Random) -> str:
    """Transpose it and its neighbour; where the two are equal, delete one, so that the word does change."""
    a, b = (i - 1, i) if i > 1 else (i, i + 1)
    if word[a] == word[b]:
        return _delete(word, i, random)
    return word[:a] + word[b] + word[a] + word[b + 1 :]


def _delete(word: str, i: int, random: Random) -> str:
    return word[:i] + word[i + 1 :]


def _repeat(word: str, i: int, random: Random) -> str:
    return word[:i] + word[i] + word[i:]


def _replace_by_neighbouring_key(word: str, i: int, random: Random) -> str:
    key = random.choice(_NEIGHBOURING_KEYS[word[i].lower()])
    return word[:i] + (key.upper() if word[i].isupper() else key) + word[i + 1 :]


_TYPOS: tuple[Typo, ...] = (_transpose, _delete, _repeat, _replace_by_neighbouring_key)
