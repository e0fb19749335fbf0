"""The help: every option is explained, without project jargon."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator

import pytest

from twofold.cli.main import COMMANDS, build_parser
from twofold.cli.train import attribute_texts
from twofold.config import (
    BottleneckConfig,
    DataConfig,
    DirichletConfig,
    EvidentialConfig,
    ModelConfig,
    MultigranularConfig,
    RelationsConfig,
    TrainingConfig,
)

OLD_WORDS = {
    "told", "tell", "tells", "witness", "testimony", "stranger", "strangers", "blanks", "judge", "judged",
    "judgement", "verdict", "promise", "promised", "chance", "chances", "doubt", "halves", "scout", "lender",
    "lent", "linker", "foreign", "remark", "twins", "couple", "spoiled", "torn", "part", "PART", "LEVEL",
    "whoever", "truth", "dear", "manner", "anew",
}  # fmt: skip
"""Words of older versions that mean something else, or nothing, to readers from the field."""

SETTINGS = (
    DataConfig, ModelConfig, EvidentialConfig, BottleneckConfig, MultigranularConfig, DirichletConfig,
    RelationsConfig, TrainingConfig,
)  # fmt: skip


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


ALL = [parser for parser in parsers(build_parser(list(COMMANDS))) if parser.prog != "twofold"]


@pytest.mark.parametrize("parser", ALL, ids=lambda parser: parser.prog)
def test_every_option_is_explained(parser):
    options = [action for action in parser._actions if action.dest not in ("help", "action")]
    assert [action.dest for action in options if not action.help] == []
    shown = [action for action in options if action.help != argparse.SUPPRESS]
    assert [a.dest for a in shown if len(str(a.help)) < 10 or str(a.help).startswith("default:")] == []


@pytest.mark.parametrize("parser", ALL, ids=lambda parser: parser.prog)
def test_every_command_is_described(parser):
    assert parser.description


@pytest.mark.parametrize("parser", ALL, ids=lambda parser: parser.prog)
def test_the_help_has_no_jargon(parser):
    words = set(re.findall(r"[\w-]+", parser.format_help()))
    assert words & OLD_WORDS == set()


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_setting_has_a_text_of_its_own(kind):
    texts = attribute_texts(kind)
    assert set(texts) == {field.name for field in dataclasses.fields(kind)}
    assert all(len(text) > 10 for text in texts.values())


def test_the_text_of_a_setting_is_that_of_its_docstring_with_the_default(capsys):
    parser = next(parser for parser in ALL if parser.prog.endswith(" train"))
    shown = " ".join(parser.format_help().split())
    assert "seed of all random numbers (default: 1)" in shown
    assert "maximum gradient norm; larger gradients are clipped (default: 1.0)" in shown
    assert "alt_text, objects, ocr (default: picture alt_text)" in shown


def test_an_empty_default_is_not_shown_as_the_value_none():
    parser = next(parser for parser in ALL if parser.prog.endswith(" train"))
    shown = " ".join(parser.format_help().split())
    assert '"" for the folder of the data file (default: "")' in shown
    assert "in any format that Twofold reads --dev" in shown
    assert (
        "(low-rank adapters are trained instead of all weights of the text encoder) (default: none)" in shown
    )
    assert shown.count("(default: none)") == sum(
        getattr(field, "default", "") == "none" for kind in SETTINGS for field in dataclasses.fields(kind)
    )
    assert "--unlabelled [FILE ...]" in shown
    assert "--teachers [MODEL ...]" in shown


def test_options_of_training_are_in_groups():
    parser = next(parser for parser in ALL if parser.prog.endswith(" train"))
    titles = [group.title for group in parser._action_groups]
    assert titles[2:] == [
        "data", "model", "word states", "evidential fusion (--fusion evidential)",
        "bottleneck fusion (--fusion bottleneck)", "multigranular fusion (--fusion multigranular)",
        "Dirichlet fusion (--fusion dirichlet)", "relation models (--task relations)", "training",
    ]  # fmt: skip


def test_attribute_texts_of_a_docstring():
    class Settings:
        """Of something.

        Attributes:
            one: a text
                on two lines.
            two: ``quoted``: with a colon.
        """

    assert attribute_texts(Settings) == {"one": "a text on two lines", "two": "quoted: with a colon"}
