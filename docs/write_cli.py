"""Write docs/cli.md, the reference of the command line, from the parsers.

    python docs/write_cli.py

The page has every command with its arguments and options in their groups. Old names of options are left out.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from twofold.cli.main import COMMANDS, build_parser

OUT = Path(__file__).resolve().parent / "cli.md"
WIDTH = 110
HEAD = """# Command line

Written by `make docs` from the help of the commands; do not edit. `twofold COMMAND --help` prints the same.
"""


def main() -> None:
    """Write the page."""
    OUT.write_text(page(), encoding="utf-8")


def page() -> str:
    """The complete page as Markdown."""
    lines = [HEAD]
    for command in COMMANDS:
        (parser,) = (x for x in _subparsers(build_parser([command])) if x.prog.split()[-1] == command)
        lines += _command(parser)
    return "\n".join(lines).rstrip("\n") + "\n"


def _command(parser: argparse.ArgumentParser) -> list[str]:
    """Description, arguments, options and exit codes of a command, or of each of its actions."""
    if actions := list(_subparsers(parser)):
        return [line for action in actions for line in _command(action)]
    lines = [f"## {parser.prog}", "", *_wrapped(_escaped(parser.description or "")), ""]
    for group in parser._action_groups:
        shown = [x for x in group._group_actions if x.help != argparse.SUPPRESS and x.dest != "help"]
        if shown:
            lines += [
                f"**{_heading(group.title)}**",
                "",
                *(line for x in shown for line in _option(parser, x)),
                "",
            ]
    return [*lines, *_wrapped(_escaped(parser.epilog or "")), ""]


def _subparsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _heading(title: str | None) -> str:
    """A group's title; those of argparse differ between versions of Python."""
    title = {"positional arguments": "arguments", "optional arguments": "options"}.get(
        title or "", title or ""
    )
    return title[:1].upper() + title[1:]


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    """An item of a list: the names of an option with its value, and its help."""
    help_ = parser._get_formatter()._expand_help(action) if action.help else ""
    names = ", ".join(action.option_strings)
    value = "" if action.nargs == 0 else _value(action)
    text = f"- `{' '.join(filter(None, (names, value)))}`: {_escaped(help_)}"
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)


def _value(action: argparse.Action) -> str:
    """The placeholder of a value, which may be repeated (``...``) or omitted (in brackets)."""
    name = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    name = name if isinstance(name, str) else " ".join(name)
    shapes = {"*": f"[{name} ...]", "+": f"{name} ...", "?": f"[{name}]"}
    return shapes.get(str(action.nargs), name)


def _escaped(text: str) -> str:
    """Text in which no character marks emphasis or a link; code in backticks stays."""
    parts = " ".join(text.split()).split("`")
    return "`".join(re.sub(r"([*<])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False)


if __name__ == "__main__":
    main()
