"""Untrusted text: escaped, no invisible characters with an effect, ordinary writing unchanged."""

from __future__ import annotations

import re

import pytest

from twofold.report.escaping import LINE_LIMIT, MARK_LIMIT, safe_html, shorten, text_direction

ORDINARY = [
    "Juan Rodríguez Cabrillo",
    "e\u0301te\u0301, Vie\u0323\u0302t",
    "בְּרֵאשִׁ֖ית בָּרָ֣א אֱלֹהִ֑ים",
    "ที่นี่ น้ำ",
    "བརྒྱུད་",
    "👩‍❤️‍💋‍👨 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f 👍🏽",
    "می‌خواهم",
    "one\n\n\ntwo",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_writing_stays_as_it_is(text: str) -> None:
    assert safe_html(text) == text


@pytest.mark.parametrize("marks", range(MARK_LIMIT + 3))
def test_marks_beyond_the_limit_are_counted(marks: int) -> None:
    shown = str(safe_html("a" + "\u0336" * marks + "b" + "\u20dd" * marks))
    hidden = max(0, marks - MARK_LIMIT)
    assert shown.count("\u0336") == shown.count("\u20dd") == marks - hidden
    assert shown.count(f">+{hidden} marks</span>") == (2 if hidden else 0)
    assert re.sub(r"<span.*?</span>|[\u0336\u20dd]", "", shown) == "ab"


def test_joiners_do_not_interrupt_a_run_of_marks() -> None:
    shown = str(safe_html("a" + "\u0336\u200d" * 1000))
    assert shown.count("\u0336") <= MARK_LIMIT


def test_line_breaks_beyond_the_limit_are_counted() -> None:
    assert safe_html("a" + "\n" * LINE_LIMIT + "b") == "a" + "\n" * LINE_LIMIT + "b"
    shown = str(safe_html("a" + "\n \u2028" * 500 + "b"))
    assert len(re.findall("[\n\u2028]", shown)) == LINE_LIMIT - 1
    assert "998 line breaks" in shown


def test_markup_between_and_within_marks_is_escaped() -> None:
    shown = str(safe_html("<b>" + "\u0301" * 50 + "<i>\0</i>"))
    assert "<b>" not in shown
    assert "<i>" not in shown
    assert shown.count("<span") == 2


def test_directions() -> None:
    assert [text_direction(text) for text in ("1 Ada דנה", "1 דנה Ada", "123")] == ["ltr", "rtl", "ltr"]


def test_shortened_texts_end_with_an_ellipsis() -> None:
    assert [shorten("abcd", limit) for limit in (3, 4)] == ["ab…", "abcd"]
