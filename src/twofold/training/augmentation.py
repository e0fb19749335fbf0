"""Data augmentation of training posts: another case, typos, a link added or removed, and the like.

Each epoch draws new changes, from seed, epoch and number of the post alone, so that a resumed training sees
the same posts. Gold spans move with their words.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from twofold.config import AugmentationConfig
from twofold.posts import Post
from twofold.preprocessing.segmentation import Span, segment_post, surface
from twofold.synthetic.rewriting import with_words
from twofold.synthetic.typos import with_typos

_ALPHABET = string.ascii_letters + string.digits
_TYPO_RATE = 0.15
_BETWEEN = (" ", " ", ", ", " and ")


def augmented(posts: Sequence[Post], config: AugmentationConfig, seed: int, epoch: int) -> list[Post]:
    """The posts of an epoch, with random changes.

    Args:
        posts: of training, with gold entities.
        config: how often each change is made.
        seed: of the training.
        epoch: number of the epoch.
    """
    return [_augmented(post, config, Random(f"{seed} {epoch} {i}")) for i, post in enumerate(posts)]


def _augmented(post: Post, config: AugmentationConfig, random: Random) -> Post:
    for rate, change in (
        (config.repetition, _repeated),
        (config.links, _toggle_link),
        (config.no_punctuation, _without_punctuation),
        (config.elongation, _elongated),
        (config.typos, _mistyped),
        (_case_rate(config), lambda post, random: _with_case(post, config, random)),
    ):
        if rate and random.random() < rate:
            post = change(post, random)
    if post.entities is None:
        return post
    return replace(post, entities=tuple(entity for entity in post.entities if entity.text))  # some lose all


def _case_rate(config: AugmentationConfig) -> float:
    return config.lower_case + config.upper_case + config.title_case


def _changed(post: Post, change: Callable[[str, Span], str]) -> Post:
    words = segment_post(post)
    return with_words(post, words, [change(post.text[a:b], (a, b)) for a, b in words])


def _toggle_link(post: Post, random: Random) -> Post:
    """The post without its links, or with one at its end where it has none."""
    if any(surface(post.text[a:b]) == "http" for a, b in segment_post(post)):
        return _changed(post, lambda word, _: "" if surface(word) == "http" else word)
    link = f"http://t.co/{''.join(random.choices(_ALPHABET, k=10))}"
    text = f"{post.text} {link}"
    tokens = None if post.tokens is None else (*post.tokens, (len(post.text) + 1, len(text)))
    return replace(post, text=text, tokens=tokens, relations=None)


def _repeated(post: Post, random: Random) -> Post:
    """The post with one entity mentioned two to four times in a row; unchanged where it has no entity, or the
    entity begins or ends inside a token."""
    if not post.entities:
        return post
    entity = random.choice(post.entities)
    tokens = post.tokens or ()
    own = [(a, b) for a, b in tokens if a < entity.end and b > entity.start]
    if not entity.text or (own and (own[0][0], own[-1][1]) != (entity.start, entity.end)):
        return post
    between = random.choice(_BETWEEN)
    unit = between + entity.text
    count = random.randint(1, 3)
    size = count * len(unit)

    def moved(start: int, end: int) -> Span:
        return (start + size, end + size) if start >= entity.end else (start, end)

    starts = [entity.end + i * len(unit) for i in range(count)]
    mark = between.strip()
    more = [(at + between.index(mark), at + between.index(mark) + len(mark)) for at in starts if mark]
    shift = len(between) + entity.end - entity.start
    more += [(a + shift + i * len(unit), b + shift + i * len(unit)) for i in range(count) for a, b in own]
    copies = [replace(entity, start=at + len(between), end=at + len(unit)) for at in starts]
    spans = [moved(e.start, e.end) for e in post.entities]
    others = [replace(e, start=a, end=b) for e, (a, b) in zip(post.entities, spans, strict=True)]
    return replace(
        post,
        text=post.text[: entity.end] + count * unit + post.text[entity.end :],
        tokens=post.tokens and tuple(sorted([*(moved(a, b) for a, b in tokens), *more])),
        entities=tuple(sorted([*others, *copies], key=lambda e: e.start)),
        relations=None,
    )


def _without_punctuation(post: Post, random: Random) -> Post:
    """The post without punctuation but ``#``, ``@``, ``_``; apostrophes are removed, others become spaces."""

    def change(word: str, span: Span) -> str:
        if len(word) > 1 or word.isalnum() or word in "#@_":
            return word
        return "" if word in "'\N{RIGHT SINGLE QUOTATION MARK}" else " "

    return _changed(post, change)


def _elongated(post: Post, random: Random) -> Post:
    """The post with the last vowel of one or two words repeated, outside the entities."""
    words = [post.text[a:b] for a, b in segment_post(post)]
    plain = {word for word in words if word.islower() and word.isalpha() and set(word) & set("aeiou")}
    for entity in post.entities or ():
        plain -= set(entity.text.split())
    chosen = set(random.sample(sorted(plain), min(2, len(plain))))
    count = random.randint(2, 4)

    def change(word: str, span: Span) -> str:
        if word not in chosen:
            return word
        last = max(word.rfind(vowel) for vowel in "aeiou")
        return word[:last] + word[last] * count + word[last:]

    return _changed(post, change)


def _mistyped(post: Post, random: Random) -> Post:
    return with_typos(post, _TYPO_RATE, random.randrange(2**32))


def _with_case(post: Post, config: AugmentationConfig, random: Random) -> Post:
    weights = [config.lower_case, config.upper_case, config.title_case]
    (change,) = random.choices([str.lower, str.upper, str.title], weights)

    def cased(word: str, span: Span) -> str:
        new = change(word)
        return word if surface(word) == "http" or len(new) != len(word) else new

    return _changed(post, cased)
