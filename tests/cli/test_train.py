"""Options of `twofold train`: those that were renamed are read under their old names."""

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


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_an_old_name_sets_the_same_and_says_so(capsys, old, new):
    assert vars(parsed(option(old), "3")) == vars(parsed(option(new), "3"))
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1
    assert f"{option(old)} is now {option(new)}" in notice


def test_old_names_are_not_in_the_help(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = capsys.readouterr().out
    assert "--token-masking" in shown
    assert "--piece-dropout" not in shown
