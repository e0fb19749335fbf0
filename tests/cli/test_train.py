"""Options of `twofold train`: renamed ones are still accepted under their old names."""

from __future__ import annotations

import argparse

import pytest

from twofold.cli import train
from twofold.config import RENAMED_KEYS


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.add_parser(parser.add_subparsers())
    return parser.parse_args(["train", "-o", "out", *arguments])


def option(key: str) -> str:
    return "--" + key.partition(".")[2].replace("_", "-").replace(".", "-")


def current(key: str) -> str:
    return option(key).replace("--relations-", "--relation-")


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_an_old_name_sets_the_same_and_prints_a_notice(capsys, old, new):
    assert vars(parsed(option(old), "3")) == vars(parsed(current(new), "3"))
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1
    assert f"{option(old)} is now {current(new)}" in notice


def test_old_names_are_not_in_the_help(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = capsys.readouterr().out
    assert "--token-masking" in shown
    assert "--piece-dropout" not in shown


@pytest.mark.parametrize(
    ("old", "new"), [("--alt-text", "--alt-text-file"), ("--relations-markers", "--relation-markers")]
)
def test_old_names_that_differ_from_other_commands_are_accepted(capsys, old, new):
    assert vars(parsed(old, "x")) == vars(parsed(new, "x"))
    assert f"{old} is now {new}" in capsys.readouterr().err


def test_old_values_are_accepted(capsys):
    assert vars(parsed("--bottleneck-alignment", "released")) == vars(
        parsed("--bottleneck-alignment", "rolled_jsd")
    )
    assert capsys.readouterr().err.count("\n") == 1
