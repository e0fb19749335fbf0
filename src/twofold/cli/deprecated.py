"""Old names of options, accepted for one more version, with a notice on stderr."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twofold.console.text import printable


def add_old_name(
    parser: argparse._ActionsContainer, old: str, new: str, values: Mapping[str, str] | None = None
) -> None:
    """Accept an option under its old name, too; the help does not show it.

    Args:
        parser: parser or group that has the option.
        old: the old name, with its dashes.
        new: the current name, with its dashes.
        values: old values and their current names.
    """
    option = parser._option_string_actions[new]
    parser.add_argument(
        old,
        action=_OldName,
        option=option,
        new=new,
        renamed=values or {},
        dest=option.dest,
        nargs=option.nargs,
        type=str if values else option.type or str,
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


def with_old_values(option: str, values: Mapping[str, str]) -> Callable[[str], str]:
    """The ``type`` of an option with renamed values: it replaces old ones, with a notice."""

    def current(value: str) -> str:
        if value not in values:
            return value
        _notice(f"{option} {value}", f"{option} {values[value]}")
        return values[value]

    return current


def _notice(old: str, new: str) -> None:
    print(
        printable(f"twofold: {old} is now {new}; the old name will be removed in the next version"),
        file=sys.stderr,
    )


class _OldName(argparse.Action):
    """Runs the action of the option under its current name, and prints a notice."""

    def __init__(
        self, *args: Any, option: argparse.Action, new: str, renamed: Mapping[str, str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._option, self._new, self._renamed = option, new, renamed

    def __call__(
        self, parser: argparse.ArgumentParser, args: argparse.Namespace, values: Any, given: str | None = None
    ) -> None:
        _notice(str(given), self._new)
        if isinstance(values, str):
            values = self._current(values)
        elif isinstance(values, list):
            values = [self._current(value) for value in values]
        self._option(parser, args, values, self._new)

    def _current(self, value: Any) -> Any:
        value = self._renamed.get(value, value)
        if self._option.choices is not None and value not in self._option.choices:
            raise argparse.ArgumentError(
                self,
                f"invalid choice: {value!r}; expected one of {', '.join(map(str, self._option.choices))}",
            )
        return value
