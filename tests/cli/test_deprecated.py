"""Old names of options: their effect, their notice, and their absence from the help."""

from __future__ import annotations

import argparse

import pytest

from twofold.cli.deprecated import add_old_name
from twofold.cli.main import build_parser


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser(prog="x")
    parser.add_argument("--level", type=float)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--pool", action=argparse.BooleanOptionalAction)
    parser.add_argument("--file", nargs="+", default=[])
    parser.add_argument("--decode", choices=["f1", "viterbi"], default="f1")
    add_old_name(parser, "--sets", "--level")
    add_old_name(parser, "--fast", "--quick")
    add_old_name(parser, "--share", "--pool")
    add_old_name(parser, "--against", "--file")
    add_old_name(parser, "--tell", "--decode", {"sequence": "viterbi"})
    return parser


@pytest.mark.parametrize(
    ("arguments", "dest", "value"),
    [
        (["--sets", "0.9"], "level", 0.9),
        (["--fast"], "quick", True),
        (["--share"], "pool", True),
        (["--against", "a", "b"], "file", ["a", "b"]),
        (["--tell", "sequence"], "decode", "viterbi"),
        (["--tell", "f1"], "decode", "f1"),
    ],
)
def test_an_old_name_has_the_effect_of_the_current_one_and_a_notice(parser, capsys, arguments, dest, value):
    assert getattr(parser.parse_args(arguments), dest) == value
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith(f"twofold: {arguments[0]} is now --{dest}; ")


def test_the_current_name_has_no_notice_and_defaults_are_unchanged(parser, capsys):
    assert parser.parse_args(["--level", "0.9"]).level == 0.9
    assert vars(parser.parse_args([])) == {
        "level": None, "quick": False, "pool": None, "file": [], "decode": "f1",
    }  # fmt: skip
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["--sets", "much"], ["--tell", "all"]])
def test_wrong_values_are_refused(parser, capsys, arguments):
    with pytest.raises(SystemExit):
        parser.parse_args(arguments)
    assert arguments[0] in capsys.readouterr().err


def test_the_help_does_not_show_old_names(parser):
    assert not {"--sets", "--fast", "--share", "--against", "--tell"} & set(parser.format_help().split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"], ["calibrate", "default", "a"], ["combine", "default", "a"], ["card", "default"],
        ["reproduce", "a"], ["data", "regions", "a", "--detector", "x"], ["extract", "a"],
    ],
)  # fmt: skip
def test_outputs_have_the_same_names_in_every_command(arguments):
    parse = build_parser(arguments).parse_args
    for name in ("-o", "--output", "--out"):
        assert str(parse([*arguments, name, "place"]).output) == "place"


@pytest.mark.parametrize("arguments", [["train"], ["data", "regions", "a", "--detector", "x"]])
def test_fresh_is_now_restart(capsys, arguments):
    parse = build_parser(arguments).parse_args
    assert parse([*arguments, "-o", "place", "--restart"]).restart
    assert capsys.readouterr().err == ""
    assert parse([*arguments, "-o", "place", "--fresh"]).restart
    assert "--fresh is now --restart" in capsys.readouterr().err
