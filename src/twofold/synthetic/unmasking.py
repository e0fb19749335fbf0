"""Plausible user names and links in place of masks.

Corpora are shared with users and links masked, as "@USER12" and "URL7" (Tweebank-NER), "@user" and "http"
(TweetEval) or "@USER" and "HTTPURL" (BERTweet); posts of users contain no such words. A mask with a number
stands for the same user or link in all posts. The replacement depends only on the seed, the mask and, for
masks without a number, the text of the post.
"""

from __future__ import annotations

import re
import string
from hashlib import sha256
from random import Random

from twofold.posts import Post
from twofold.synthetic.rewriting import with_words

_MASK = re.compile(r"(?<!\w)(?:@(?:USER(?P<user>\d*)|user)|URL(?P<url>\d+)|HTTPURL|http)(?![\w:/.])")
_NAMES = """
    alex amy anna ben carlos chloe chris dan dave ella emily emma frank grace hannah ivy jack jake james
    jamie jess john josh julia kate kevin laura leah liam lucy luke maria mark matt max megan mia mike
    molly nick nina noah olivia omar paul rachel ryan sam sara sophie steve tom zoe"""
_SURNAMES = """
    adams baker brown carter clark cooper davis evans fisher garcia green hall harris hill hughes
    jackson jones kelly khan king lee lewis lopez martin miller moore morgan nguyen parker patel price
    reed rivera scott silva smith taylor turner walker white wilson wood wright young"""
_WORDS = """
    angel bear blue books cat city club coffee cool crazy daily dance dream fan fire fit foodie fox game
    girl gold happy hiphop king lady life lion little love luna mad magic mama moon music news night
    ninja pizza queen radio rain real rock rose sky soccer star style sun sweet tech the travel vibes
    wild wolf world"""


def unmasked(post: Post, seed: int = 0) -> Post:
    """The post with a user name or a t.co link in place of each mask.

    Args:
        post: any post; its relations are dropped if it has a mask.
        seed: another seed gives other names.
    """
    masks = list(_MASK.finditer(post.text))
    new = [_substitute(mask, post.text, seed) for mask in masks]
    return with_words(post, [mask.span() for mask in masks], new) if masks else post


def _substitute(mask: re.Match[str], text: str, seed: int) -> str:
    numbered = mask["user"] or mask["url"]
    key = f"{seed} {mask[0]}" if numbered else f"{seed} {mask.start()} {text}"
    random = Random(sha256(key.encode("utf-8", "surrogatepass")).digest())
    return f"@{_user_name(random)}" if mask[0].startswith("@") else _link(random)


def _user_name(random: Random) -> str:
    """At most 15 characters, as on Twitter."""
    name, surname, one, other = (random.choice(x.split()) for x in (_NAMES, _SURNAMES, _WORDS, _WORDS))
    number = random.choice(("", "", "_", str(random.randrange(100)), str(random.randrange(1950, 2012))))
    parts: tuple[str, ...] = random.choice(
        (
            (name, surname),
            (name[0], surname),
            (name,),
            (surname, name),
            (one, other),
            (name, one),
            ("the", name),
        )
    )
    if random.random() < 0.5:
        parts = tuple(part.capitalize() for part in parts)
    return (random.choice(("", "", "", "_")).join(parts) + number)[:15]


def _link(random: Random) -> str:
    scheme = random.choice(("http", "https"))
    return f"{scheme}://t.co/{''.join(random.choices(string.ascii_letters + string.digits, k=10))}"
