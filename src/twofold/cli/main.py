"""``twofold``: runs a command, and turns errors into a message and an exit code.

The module of a command has ``add_parser(subparsers)`` and ``run(args)``, which returns the exit code. Only
the module of the command that is run is imported.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from twofold import __version__
from twofold.console.streams import discard_output, prepare_streams, say
from twofold.console.text import printable
from twofold.errors import TwofoldError

COMMANDS = {
    "extract": "extract entities and relations from posts",
    "serve": "serve a model over HTTP, with a page for the browser",
    "export": "export results to Label Studio, brat, spaCy or CoNLL",
    "review": "review results in the browser, and turn them into training data",
    "evaluate": "score a model on labelled posts",
    "calibrate": "calibrate the confidences of a model on labelled posts",
    "card": "print the card of a model: data, scores, calibration",
    "train": "train a model on labelled posts",
    "combine": "combine an entity model and a relation model in one folder",
    "reproduce": "compare methods on data sets with several seeds",
    "data": "check and convert data sets, detect regions in pictures, write synthetic data",
}
"""Commands and their summaries; the module of a command is ``twofold.cli.<command>``."""

NOTHING_DONE, INTERRUPTED, PIPE_CLOSED = 2, 130, 141


_interrupted: list[int] = []
"""Interrupts received; libraries may turn their KeyboardInterrupt into another exception."""


def entry() -> None:
    """Run as a program."""
    prepare_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(main(sys.argv[1:]))


def _interrupt(number: int, frame: object) -> None:
    _interrupted.append(number)
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run a command line (without the program's name) and return the exit code.

    An error in the input prints one line on stderr and returns 2; with ``--debug`` anywhere on the line, it
    is raised with its traceback.
    """
    arguments, debug = _take_debug(arguments)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output has exited, as `head` does
        discard_output()
        return PIPE_CLOSED
    except Exception as error:
        if _interrupted:
            say("interrupted")
            return INTERRUPTED
        if debug or not isinstance(error, (TwofoldError, OSError)):
            raise
        say(printable(_message(error)))
        discard_output()
        return NOTHING_DONE


def _message(error: Exception) -> str:
    """The message of an error; for an error of the operating system, the file and the reason."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error) or type(error).__name__
    name = str(error.filename or "")[:200]
    return f"{name}: {error.strerror}" if name else error.strerror


def _take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    rest = [argument for argument in arguments if argument != "--debug"]
    return rest, len(rest) < len(arguments)


def _run(arguments: Sequence[str]) -> int:
    parser = build_parser(arguments)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help(sys.stderr)
        return NOTHING_DONE
    code: int = import_module(f"twofold.cli.{args.command}").run(args)
    sys.stdout.flush()  # here, where a closed pipe can still be handled
    return code


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser: complete for commands in ``arguments``, with name and summary for the others."""
    parser = argparse.ArgumentParser(
        prog="twofold",
        description="Extract entities and relations from social-media posts and their pictures, each with "
        "a calibrated confidence.",
        epilog="Run `twofold COMMAND --help` for the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"twofold {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback when an error occurs")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command, summary in COMMANDS.items():
        if command in arguments:
            import_module(f"twofold.cli.{command}").add_parser(subparsers)
        else:
            subparsers.add_parser(command, help=summary, add_help=False)
    return parser
