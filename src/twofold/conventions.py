"""Annotation conventions: what corpora disagree on, given to the model as an input.

Whether ``@name`` is an entity, and whether ``#`` belongs to one, is a property of the annotation guidelines,
not of a post. A model trained on several corpora learns the convention of each by name and, separately, the
two rules, so that they can be chosen at inference.

Shape letters: F features of a convention.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from twofold.errors import ConfigError

MENTIONS = ("none", "name")
"""How a mentioned user is annotated: as no entity, or the name without its ``@``."""
HASHTAGS = ("none", "name", "mark")
"""How a hashtag that names an entity is annotated: as no entity, the name without its ``#``, or with it."""
RULES = ("mentions=name", "hashtags=name", "hashtags=mark")
"""The first features of a convention; one feature for each corpus follows."""


@dataclass(frozen=True, slots=True)
class Convention:
    """A convention by which entities are annotated.

    Attributes:
        mentions: one of `MENTIONS`.
        hashtags: one of `HASHTAGS`.
        corpus: name of the corpus whose other guidelines (titles, nationalities, how much is annotated at
            all) the model follows; "" for none.

    Raises:
        ConfigError: an unknown value.
    """

    mentions: str = "name"
    hashtags: str = "name"
    corpus: str = ""

    def __str__(self) -> str:
        rules = f"mentions {self.mentions}, hashtags {self.hashtags}"
        return f"{rules}, as {self.corpus}" if self.corpus else rules

    def __post_init__(self) -> None:
        for what, value, known in (
            ("mentions", self.mentions, MENTIONS),
            ("hashtags", self.hashtags, HASHTAGS),
        ):
            if value not in known:
                raise ConfigError(f"{what} is {str(value)[:80]!r}", expected=f"one of {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Conventions:
    """The conventions that a model knows.

    Attributes:
        named: those of its corpora, by name.
        default: the one for posts without an explicit convention.
    """

    named: Mapping[str, Convention] = field(default_factory=dict)
    default: Convention = field(default_factory=Convention)

    @property
    def size(self) -> int:
        """F; 0 for a model without conventions."""
        return len(RULES) + len(self.named) if self.named else 0

    def vector(self, convention: Convention) -> tuple[float, ...]:
        """Features (F,) of a convention: 1 where a rule or the corpus applies, else 0."""
        active = {f"mentions={convention.mentions}", f"hashtags={convention.hashtags}", convention.corpus}
        names = (*RULES, *self.named)[: self.size]
        return tuple(float(name in active) for name in names)

    def of_corpus(self, name: str) -> Convention:
        """The convention of a corpus; the default if it has none of its own."""
        return self.named.get(name, self.default)

    def choose(
        self, name: str | None = None, mentions: str | None = None, hashtags: str | None = None
    ) -> Convention:
        """The convention of this name, or the default, with the given rules.

        If a given rule differs from that of the corpus, the result names no corpus: the model has not seen
        the two together.

        Raises:
            ConfigError: unknown name or value, or the model knows no conventions.
        """
        if not self.named and (name or mentions or hashtags):
            raise ConfigError(
                "an annotation convention was chosen",
                expected="none: this model was trained without conventions",
                do="leave out convention, mentions and hashtags, or use another model",
            )
        if name and name not in self.named:
            raise ConfigError(
                f"convention is {name!r}",
                expected=f"one of {', '.join(self.named)}",
            )
        chosen = self.named[name] if name else self.default
        updated = Convention(mentions or chosen.mentions, hashtags or chosen.hashtags, chosen.corpus)
        return updated if updated == chosen else replace(updated, corpus="")

    def to_json(self) -> dict[str, Any] | None:
        """Plain data, as in ``config.json`` and ``card.json``; None without conventions."""
        if not self.named:
            return None
        return {"named": {name: asdict(c) for name, c in self.named.items()}, "default": asdict(self.default)}


def candidates(conventions: Conventions, own: Convention, rules: Collection[str]) -> Sequence[Convention]:
    """Conventions to try on labelled posts: one's own, those of the corpora, and each pair of rules.

    Args:
        conventions: those that the model knows.
        own: the convention in use.
        rules: the rules that matter for the posts, of ``mentions`` and ``hashtags``. Of the others every
            candidate has the value of ``own``: on posts without hashtags, two conventions that differ in the
            rule for hashtags could only be told apart by chance.
    """
    pairs = [Convention(mentions, hashtags) for mentions in MENTIONS for hashtags in HASHTAGS]
    known = dict.fromkeys((own, *conventions.named.values(), *pairs))
    fixed = [rule for rule in ("mentions", "hashtags") if rule not in rules]
    return [x for x in known if all(getattr(x, rule) == getattr(own, rule) for rule in fixed)]
