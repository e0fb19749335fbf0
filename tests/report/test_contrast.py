"""Contrast of text and lines in light and dark mode: WCAG 2, AA for text (4.5) and for lines (3)."""

from __future__ import annotations

import re

import pytest

from twofold.report.templates import read_asset

SHEETS = "".join(str(read_asset(name)) for name in ("page.css", "marks.css", "extraction_report.css"))
COLOUR = re.compile(r"--([a-z0-9-]+): (#[0-9a-f]{6})")


def colours(dark: bool) -> dict[str, str]:
    """Every colour variable of the style sheets; those of entity types as t0-hue, t0-tint and so on."""
    blocks = re.findall(r"@media \(prefers-color-scheme: dark\) \{(.*?)\n\}", SHEETS, re.DOTALL)
    light = re.sub(r"@media .*?\n\}", "", SHEETS, flags=re.DOTALL)
    found: dict[str, str] = {}
    for text in [light, *blocks] if dark else [light]:
        for selector, body in re.findall(r"(:root|\.t\d) \{(.*?)\}", text, re.DOTALL):
            prefix = "" if selector == ":root" else selector[1:] + "-"
            found |= {prefix + name: value for name, value in COLOUR.findall(body)}
    return found


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_known_pairs() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(dark: bool) -> None:
    known = colours(dark)
    types = [f"t{i}" for i in range(8)]
    text = [(ink, ground) for ink in ("ink", "soft") for ground in ("paper", "raised", "sunken")]
    text += [(mark, "paper") for mark in ("low", "middle", "high")] + [("low", "sunken")]
    text += [(f"{t}-hue", ground) for t in types for ground in (f"{t}-tint", "paper", "raised")]
    text += [("ink", f"{t}-tint") for t in types]
    lines = [("strong", ground) for ground in ("paper", "raised")] + [("focus", "paper")]
    assert [pair for pair in text if contrast(*(known[name] for name in pair)) < 4.5] == []
    assert [pair for pair in lines if contrast(*(known[name] for name in pair)) < 3] == []
