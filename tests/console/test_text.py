"""Untrusted text on a terminal."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

import twofold
from twofold.console.text import printable


def test_printable():
    assert printable("Fotos/Zürich 😀.jpg") == "Fotos/Zürich 😀.jpg"
    assert printable("a\x1b]0;b\x07\u202e\n") == "a\\x1b]0;b\\x07\\u202e\\n"
    assert printable("\ud800") == "\\ud800"
    assert os.linesep not in printable("a\r\nb")


PACKAGE = Path(twofold.__file__).parent
PRINTING_MODULES = [path for room in ("cli", "console") for path in sorted((PACKAGE / room).glob("*.py"))]


@pytest.mark.parametrize("path", PRINTING_MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_everything_printed_is_escaped(path):
    """Paths, and names of types and runs, are untrusted: a file name may contain an escape sequence."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    raw = [ast.unparse(call) for call in calls for argument in call.args if not _is_safe(argument)]
    assert raw == (
        [] if path.name != "streams.py" else ["print(f'twofold: {message}', file=sys.stderr, flush=True)"]
    )


def _is_safe(node: ast.AST) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_safe(node.body) and _is_safe(node.orelse)
    if isinstance(node, ast.JoinedStr):
        return all(_is_safe(part.value) for part in node.values if isinstance(part, ast.FormattedValue))
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "printable"
    return isinstance(node, ast.Constant)
