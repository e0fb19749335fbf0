"""Text from elsewhere on a terminal."""

from __future__ import annotations

import os

from twofold.console.text import printable


def test_printable():
    assert printable("Fotos/Zürich 😀.jpg") == "Fotos/Zürich 😀.jpg"
    assert printable("a\x1b]0;b\x07\u202e\n") == "a\\x1b]0;b\\x07\\u202e\\n"
    assert printable("\ud800") == "\\ud800"
    assert os.linesep not in printable("a\r\nb")
