"""The reference of the command line is up to date, and contains every command and option."""

from __future__ import annotations

import argparse
import re

import pytest
from docs.pages import ROOT
from docs.test_api import load

from twofold.cli.main import COMMANDS, build_parser


@pytest.fixture(scope="module")
def page() -> str:
    return load("write_cli").page()


def test_the_page_is_up_to_date(page: str):
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == page, (
        "the help has changed: run `make docs`"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_the_help_is_on_the_page(page: str, command: str):
    section = "".join(re.findall(rf"(?ms)^## twofold {command}\b.*?(?=^## |\Z)", page))
    parsers = [build_parser([command])]
    named: set[str] = set()
    while parsers:
        parser = parsers.pop()
        named |= set(re.findall(r"(?m)^  (?:-\w[^,]*, )?(--[\w-]+)", parser.format_help()))
        chosen = next((x.choices for x in parser._actions if isinstance(x, argparse._SubParsersAction)), {})
        parsers += [chosen[command]] if command in chosen else chosen.values()
    missing = named - {"--help", "--version", "--debug"} - set(re.findall(r"--[\w-]+", section))
    assert missing == set()
