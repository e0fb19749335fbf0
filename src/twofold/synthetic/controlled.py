"""A set in which the picture decides, written to disk: proof of whether a model uses its picture.

Twins are two posts of one text whose drawn pictures give its entity (or its pair) different types. A model
that reads the text alone gives both the same answer, and so is right of half at most. Clear posts say the
type in words. Training, dev and test share neither names nor pictures.

Files: ``train.jsonl`` and ``dev.jsonl`` of twins and clear posts, every twentieth with the wrong picture; of
test twins ``right.jsonl`` (each with its picture), ``without.jsonl``, ``blank.jsonl`` (a picture of one
colour) and ``wrong.jsonl`` (a picture of the other kind); of clear posts ``clear.jsonl`` and
``clear_wrong.jsonl``.

What a wrong picture does to a model's uncertainty can be seen on clear posts alone: twins with their
pictures exchanged are the same inputs again. And it can be learned only where some were wrong in training.

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
from twofold.synthetic.drawings import KINDS


@dataclass(frozen=True, slots=True)
class Subject:
    """What the posts of a task are about.

    Attributes:
        kinds: kind of picture of each of the two types.
        twins: frames that fit either type.
        clear: frames of each type that fit no other.
        names: of training and dev, then of test.
        relation: whether types are those of a pair of persons, not of one entity.
    """

    kinds: Mapping[str, str]
    twins: Sequence[str]
    clear: Mapping[str, Sequence[str]]
    names: tuple[Sequence[str], Sequence[str]]
    relation: bool = False


MISPAIRED = 20
"""One training post in so many has the wrong picture."""
SUBJECTS = {
    "entities": Subject(
        kinds={"PER": "person", "LOC": "place"},
        twins=(
            "lovely day with {}", "missing {} so much", "always a joy , {} !", "thinking of {} tonight",
            "i will never forget {}", "so this is {}", "{} looks great today", "back to {} at last",
        ),
        clear={
            "PER": ("{} told me a joke", "happy birthday {} , my friend", "{} sings his new song"),
            "LOC": ("it rains all over {}", "our train arrives in {}", "hotels in {} are cheap"),
        },
        names=(
            ("Jordan", "Austin", "Florence", "Chelsea", "Georgia", "Dakota", "Charlotte", "Madison", "Troy"),
            ("Sydney", "Brooklyn", "Savannah", "Lincoln", "Adelaide", "Devon"),
        ),
    ),
    "relations": Subject(
        kinds={"/per/per/couple": "couple", "/per/per/peer": "team"},
        twins=(
            "{} and {} again", "what a day for {} and {}", "{} with {} this afternoon", "look , {} and {} !",
            "so proud of {} and {}", "{} just cannot do without {}",
        ),
        clear={
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
"""By task."""


@dataclass(frozen=True, slots=True)
class _Post:
    id: str
    text: str
    spans: tuple[tuple[int, int], ...]
    type: str
    picture: str | None


def write_controlled(folder: Path, task: str, *, train: int = 150, test: int = 40, seed: int = 1) -> None:
    """Write the set.

    Args:
        folder: made where it is missing.
        task: ``entities`` or ``relations``.
        train: pairs of twins to train on; as many clear posts come beside them, and a fifth for dev.
        test: pairs of twins, and as many clear posts, to test on.
        seed: of all that is drawn.

    Raises:
        ConfigError: the task is not known.
    """
    if task not in SUBJECTS:
        raise ConfigError(f"{task!r} came", where="task", expected="one of " + ", ".join(SUBJECTS))
    subject = SUBJECTS[task]
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    writer = _Writer(folder, subject, Random(f"{task} {seed}"))
    for name, size in (("train", train), ("dev", max(1, train // 5))):
        writer.write(name, writer.mispaired([*writer.twins(name, size, 0), *writer.clear(name, size, 0)]))
    right, clear = list(writer.twins("twin", test, 1)), list(writer.clear("clear", test, 1))
    writer.write("right", right)
    writer.write("without", [replace(post, picture=None) for post in right])
    writer.write("blank", [replace(post, picture=writer.draw(f"blank-{post.id}", "blank")) for post in right])
    writer.write("wrong", [replace(post, picture=writer.wrong(post)) for post in right])
    writer.write("clear", clear)
    writer.write("clear_wrong", [replace(post, picture=writer.wrong(post)) for post in clear])


class _Writer:
    def __init__(self, folder: Path, subject: Subject, random: Random) -> None:
        self.folder, self.subject, self.random = folder, subject, random

    def twins(self, name: str, pairs: int, part: int) -> Iterator[_Post]:
        """Two posts of one text, one of each type."""
        for i in range(pairs):
            text, spans = self._filled(self.subject.twins[i % len(self.subject.twins)], part)
            for side, kind in enumerate(self.subject.kinds):
                yield self._post(f"{name}-{i}{'ab'[side]}", text, spans, kind)

    def clear(self, name: str, count: int, part: int) -> Iterator[_Post]:
        """Posts of either type in turn."""
        types = list(self.subject.kinds)
        for i in range(count):
            kind = types[i % 2]
            frames = self.subject.clear[kind]
            yield self._post(f"{name}-{i}c", *self._filled(frames[i // 2 % len(frames)], part), kind)

    def _post(self, key: str, text: str, spans: tuple[tuple[int, int], ...], kind: str) -> _Post:
        return _Post(key, text, spans, kind, self.draw(key, self.subject.kinds[kind]))

    def _filled(self, frame: str, part: int) -> tuple[str, tuple[tuple[int, int], ...]]:
        pieces = frame.split("{}")
        text, spans = pieces[0], []
        for name, rest in zip(
            self.random.sample(self.subject.names[part], len(pieces) - 1), pieces[1:], strict=True
        ):
            spans.append((len(text), len(text) + len(name)))
            text += name + rest
        return text, tuple(spans)

    def draw(self, key: str, kind: str) -> str:
        """Draw a picture and give its path in the folder."""
        name = f"pictures/{key}.png"
        KINDS[kind](Random(self.random.getrandbits(64))).save(self.folder / name, compress_level=1)
        return name

    def mispaired(self, posts: Sequence[_Post]) -> list[_Post]:
        """The posts, some of them with a wrong picture; of either type in turn."""
        chosen = {start + start // MISPAIRED % 2 for start in range(MISPAIRED // 3, len(posts), MISPAIRED)}
        return [
            replace(post, picture=self.wrong(post)) if i in chosen else post for i, post in enumerate(posts)
        ]

    def wrong(self, post: _Post) -> str:
        """A picture of the other kind."""
        (other,) = (kind for name, kind in self.subject.kinds.items() if name != post.type)
        return self.draw(f"wrong-{post.id}", other)

    def write(self, name: str, posts: Sequence[_Post]) -> None:
        """Write posts as JSON Lines."""
        lines = [json.dumps(self._record(post)) + "\n" for post in posts]
        (self.folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")

    def _record(self, post: _Post) -> dict[str, Any]:
        record: dict[str, Any] = {"id": post.id, "text": post.text}
        if post.picture is not None:
            record["image"] = post.picture
        kind = "PER" if self.subject.relation else post.type
        spans = [{"start": start, "end": end, "type": kind} for start, end in post.spans]
        record["entities"] = spans
        if self.subject.relation:
            record["relations"] = [{"head": spans[0], "tail": spans[1], "type": post.type}]
        return record
