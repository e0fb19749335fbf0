"""A synthetic set whose texts are ambiguous, written to disk: a test of whether a model uses its pictures.

An ambiguous pair is two posts of one text whose pictures give its entity (or its pair of entities) different
types. A model that reads the text alone predicts the same for both, so it is right for at most half. The text
of an unambiguous post gives the type away. Training, dev and test share neither names nor pictures.

Files: ``train.jsonl`` and ``dev.jsonl`` of ambiguous pairs and unambiguous posts, every twentieth with a
mismatched picture. Of ambiguous test pairs: ``matched.jsonl`` (each with its picture), ``no_picture.jsonl``,
``blank.jsonl`` (a picture of one colour) and ``mismatched.jsonl`` (a picture of the other type). Of
unambiguous test posts: ``unambiguous.jsonl`` and ``unambiguous_mismatched.jsonl``.

How mismatched pictures change a model's uncertainty shows on unambiguous posts alone: ambiguous pairs with
their pictures swapped are the same inputs again. A model can learn to notice a mismatch only if some
training pictures are mismatched.

It does not know models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from twofold.errors import ConfigError
from twofold.synthetic.drawings import DRAWINGS


@dataclass(frozen=True, slots=True)
class Templates:
    """Templates of the posts of a task.

    Attributes:
        drawings: name of the drawing that shows each of the two types.
        ambiguous: templates of texts that fit either type; ``{}`` stands for a name.
        unambiguous: templates of texts that fit one type, by type.
        names: of training and dev, then of test.
        relation: whether the types are relations of two persons instead of types of one entity.
    """

    drawings: Mapping[str, str]
    ambiguous: Sequence[str]
    unambiguous: Mapping[str, Sequence[str]]
    names: tuple[Sequence[str], Sequence[str]]
    relation: bool = False


MISMATCHED_EVERY = 20
"""One in this many training posts has a mismatched picture."""
TASKS = {
    "entities": Templates(
        drawings={"PER": "portrait", "LOC": "landscape"},
        ambiguous=(
            "lovely day with {}", "missing {} so much", "always a joy , {} !", "thinking of {} tonight",
            "i will never forget {}", "so this is {}", "{} looks great today", "back to {} at last",
        ),
        unambiguous={
            "PER": ("{} told me a joke", "happy birthday {} , my friend", "{} sings his new song"),
            "LOC": ("it rains all over {}", "our train arrives in {}", "hotels in {} are cheap"),
        },
        names=(
            ("Jordan", "Austin", "Florence", "Chelsea", "Georgia", "Dakota", "Charlotte", "Madison", "Troy"),
            ("Sydney", "Brooklyn", "Savannah", "Lincoln", "Adelaide", "Devon"),
        ),
    ),
    "relations": Templates(
        drawings={"/per/per/couple": "two people", "/per/per/peer": "two players"},
        ambiguous=(
            "{} and {} again", "what a day for {} and {}", "{} with {} this afternoon", "look , {} and {} !",
            "so proud of {} and {}", "{} just cannot do without {}",
        ),
        unambiguous={
            "/per/per/couple": ("{} marries {} on sunday", "{} kisses his wife {}"),
            "/per/per/peer": ("{} passes the ball to {}", "{} scores and {} saves , what a team"),
        },
        names=(
            ("Nora", "Ben", "Ada", "Tom", "Lena", "Max", "Ivy", "Sam", "Rosa", "Paul"),
            ("Emma", "Jack", "Lucy", "Finn", "Mia", "Hugo"),
        ),
        relation=True,
    ),
}  # fmt: skip
"""Templates by task."""


@dataclass(frozen=True, slots=True)
class _Post:
    id: str
    text: str
    spans: tuple[tuple[int, int], ...]
    type: str
    picture: str | None


def write_controlled(folder: Path, task: str, *, train: int = 150, test: int = 40, seed: int = 1) -> None:
    """Write the controlled set.

    Args:
        folder: created if it is missing.
        task: ``entities`` or ``relations``.
        train: ambiguous pairs for training, with as many unambiguous posts; a fifth of both more for dev.
        test: ambiguous pairs, and unambiguous posts, for test.
        seed: of names, drawings and which pictures are mismatched.

    Raises:
        ConfigError: the task is not known.
    """
    if task not in TASKS:
        raise ConfigError(f"got {task!r}", where="task", expected="one of " + ", ".join(TASKS))
    templates = TASKS[task]
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    writer = _Writer(folder, templates, Random(f"{task} {seed}"))
    for name, size in (("train", train), ("dev", max(1, train // 5))):
        writer.write(
            name,
            writer.with_some_mismatched(
                [*writer.ambiguous_pairs(name, size, 0), *writer.unambiguous(name, size, 0)]
            ),
        )
    matched, unambiguous = (
        list(writer.ambiguous_pairs("pair", test, 1)),
        list(writer.unambiguous("unambiguous", test, 1)),
    )
    writer.write("matched", matched)
    writer.write("no_picture", [replace(post, picture=None) for post in matched])
    blank = [replace(post, picture=writer.draw(f"blank-{post.id}", "blank")) for post in matched]
    writer.write("blank", blank)
    writer.write("mismatched", [replace(post, picture=writer.mismatched(post)) for post in matched])
    writer.write("unambiguous", unambiguous)
    mismatched = [replace(post, picture=writer.mismatched(post)) for post in unambiguous]
    writer.write("unambiguous_mismatched", mismatched)


class _Writer:
    def __init__(self, folder: Path, templates: Templates, random: Random) -> None:
        self.folder, self.templates, self.random = folder, templates, random

    def ambiguous_pairs(self, name: str, pairs: int, part: int) -> Iterator[_Post]:
        """Two posts of one text, one of each type."""
        for i in range(pairs):
            text, spans = self._fill(self.templates.ambiguous[i % len(self.templates.ambiguous)], part)
            for side, type_ in enumerate(self.templates.drawings):
                yield self._post(f"{name}-{i}{'ab'[side]}", text, spans, type_)

    def unambiguous(self, name: str, count: int, part: int) -> Iterator[_Post]:
        """Unambiguous posts, of either type in turn."""
        types = list(self.templates.drawings)
        for i in range(count):
            type_ = types[i % 2]
            texts = self.templates.unambiguous[type_]
            yield self._post(f"{name}-{i}c", *self._fill(texts[i // 2 % len(texts)], part), type_)

    def _post(self, key: str, text: str, spans: tuple[tuple[int, int], ...], type_: str) -> _Post:
        return _Post(key, text, spans, type_, self.draw(key, self.templates.drawings[type_]))

    def _fill(self, template: str, part: int) -> tuple[str, tuple[tuple[int, int], ...]]:
        pieces = template.split("{}")
        text, spans = pieces[0], []
        for name, rest in zip(
            self.random.sample(self.templates.names[part], len(pieces) - 1), pieces[1:], strict=True
        ):
            spans.append((len(text), len(text) + len(name)))
            text += name + rest
        return text, tuple(spans)

    def draw(self, key: str, drawing: str) -> str:
        """Draw a picture and return its path in the folder."""
        name = f"pictures/{key}.png"
        DRAWINGS[drawing](Random(self.random.getrandbits(64))).save(self.folder / name, compress_level=1)
        return name

    def with_some_mismatched(self, posts: Sequence[_Post]) -> list[_Post]:
        """The posts, some of them with a mismatched picture, of either type in turn."""
        chosen = {
            start + start // MISMATCHED_EVERY % 2
            for start in range(MISMATCHED_EVERY // 3, len(posts), MISMATCHED_EVERY)
        }
        return [
            replace(post, picture=self.mismatched(post)) if i in chosen else post
            for i, post in enumerate(posts)
        ]

    def mismatched(self, post: _Post) -> str:
        """A picture of the other type."""
        (other,) = (drawing for type_, drawing in self.templates.drawings.items() if type_ != post.type)
        return self.draw(f"mismatched-{post.id}", other)

    def write(self, name: str, posts: Sequence[_Post]) -> None:
        """Write posts as JSON Lines."""
        lines = [json.dumps(self._record(post)) + "\n" for post in posts]
        (self.folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")

    def _record(self, post: _Post) -> dict[str, Any]:
        record: dict[str, Any] = {"id": post.id, "text": post.text}
        if post.picture is not None:
            record["image"] = post.picture
        entity_type = "PER" if self.templates.relation else post.type
        spans = [{"start": start, "end": end, "type": entity_type} for start, end in post.spans]
        record["entities"] = spans
        if self.templates.relation:
            record["relations"] = [{"head": spans[0], "tail": spans[1], "type": post.type}]
        return record
