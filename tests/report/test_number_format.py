"""Numbers of the pages: 100 and 0 per cent only for exactly that."""

from __future__ import annotations

import math

import pytest

from twofold.report.number_format import decimal_percent, keep_percent, short_number, whole_percent


@pytest.mark.parametrize(
    ("share", "shown"),
    [(1.0, "100"), (0.999, ">99"), (0.001, "<1"), (0.0, "0"), (0.5, "50"), (math.nan, "–")],
)
def test_whole_per_cent(share: float, shown: str) -> None:
    assert whole_percent(share) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(1.0, "100.0"), (0.1234, "12.3"), (math.nan, "–"), (math.inf, "–")]
)
def test_decimal_per_cent(share: float, shown: str) -> None:
    assert decimal_percent(share) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.000"),
        (0.0004, "<0.001"),
        (0.145, "0.145"),
        (54.56, "54.6"),
        (12_345.0, "12,345.0"),
        (2.5e9, "2.5e+09"),
    ],
)
def test_numbers_without_a_unit(value: float, shown: str) -> None:
    assert short_number(value) == shown


def test_no_line_break_before_a_per_cent_sign() -> None:
    assert keep_percent("of 95 % and 5 %.") == "of 95\u00a0% and 5\u00a0%."
