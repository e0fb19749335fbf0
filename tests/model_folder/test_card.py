"""Cards as pages: what they tell of trust, in every state that a folder may be in."""

from __future__ import annotations

import pytest

from twofold.model_folder.card import to_markdown, with_trust
from twofold.model_folder.card_calibration import trust_section

INTERVAL = {"value": 0.125, "low": 0.1, "high": 0.2}
FIGURES = dict.fromkeys(("ece", "brier", "nll", "accuracy"), INTERVAL)
SETS = {"0.90": {"coverage": 0.91, "size": 1.25, "single": 0.8, "by_answer": [0.9]}}
RISK = {"error": 0.1, "confidence": 0.95, "threshold": 0.7714, "coverage": 0.625, "instead": None}
NO_RISK = {"error": 0.02, "confidence": 0.95, "threshold": None, "coverage": 0.1, "instead": None}


def trust(**other):
    """Trust figures of a card, as plain data."""
    plain = dict.fromkeys(("ece", "brier", "nll", "accuracy"), 0.25)
    measured = {
        "posts": [10, 11], "predictions": [40, 41], "before": plain, "after": plain,
        "ece_if_calibrated": 0.03,
        "risks": [NO_RISK, NO_RISK | {"error": 0.05, "instead": RISK}, RISK], "sets": SETS,
    }  # fmt: skip
    kept = (
        "aurc",
        "excess_aurc",
        "augrc",
        "risk_at_80_coverage",
        "coverage_at_5_risk",
        "coverage_at_10_risk",
    )
    data = {
        "posts": [10, 11], "found": 41, "right": 30, "missed": 7, "before": FIGURES, "after": FIGURES,
        "ece_if_calibrated": 0.04, "kept": dict.fromkeys(kept, INTERVAL), "errors": {"confidence": INTERVAL},
        "sets": SETS,
    }  # fmt: skip
    return {
        "method": "types", "seed": 0, "fitted_on": ["a/dev.txt"], "temperature": 1.5,
        "temperatures": {"PER": 1.2}, "measured": measured, "data": {"a/dev.txt": data}, **other,
    }  # fmt: skip


def row(text, *start):
    """Cells after those that a row starts with."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    (found,) = [r[len(start) :] for r in rows if tuple(r[: len(start)]) == start]
    return found


def test_calibration_before_and_after():
    text = trust_section({"trust": trust()}, "entities")
    assert (
        "10 posts (40 entities) to fit confidences on (method `types`, temperature 1.500, PER 1.200)" in text
    )
    assert row(text, "all") == ["41", "", "25.0", "25.0", "25.0", "3.0", "25.0", "25.0", "0.250", "0.250"]
    assert row(text, "a/dev.txt", "41")[:4] == ["7", "12.5", "12.5", "12.5 [10.0–20.0]"]
    assert "epoch was chosen" not in text
    assert "epoch was chosen" in trust_section({"trust": trust(), "dev": [{"name": "a/dev.txt"}]}, "entities")


def test_thresholds_are_told_or_what_is_feasible():
    text = trust_section({"trust": trust()}, "relations")
    assert row(text, "10.0 %")[:2] == ["0.771", "62.5 %"]
    assert row(text, "5.0 %") == ["–", "–", "infeasible on these data; feasible is 10.0 %, keeping 62.5 %"]
    assert row(text, "2.0 %") == ["–", "–", "infeasible on these data, as is any other part"]
    assert "of the relations kept" in text


def test_sets_and_errors_by_data_set():
    text = trust_section({"trust": trust()}, "entities")
    assert row(text, "90.0", "a/dev.txt") == row(text, "90.0", "all") == ["91.0", "1.25", "80.0"]
    errors = text.split("Which measure finds the errors")[1]
    assert row(errors, "data", "confidence") == []
    assert "12.5 [10.0–20.0]" in errors.split("Risk against coverage")[0]


def test_without_figures_by_data_set_the_whole_is_told():
    text = trust_section({"trust": trust(data={})}, "relations")
    assert "10 posts (40 relations)" in text
    assert "AUROC" not in text


def test_a_temperature_alone_says_why():
    fit = {"temperature": 1.3, "predictions": 12, "ece_before": 0.2, "ece_after": 0.1}
    text = trust_section({"calibration": fit, "trust": {"note": "too few posts"}}, "entities")
    assert "1.300, fitted on 12 predicted entities of dev" in text
    assert "**No thresholds and no sets**: too few posts. `twofold calibrate" in text
    old = trust_section({"calibration": fit}, "entities")
    assert "made when training fitted none" in old
    assert "No temperature" in trust_section({}, "entities")


OLD = "# m\n\nWhat I noted.\n\n## Calibration\n\nOld.\n\n## Use\n\nSo.\n\n## Calibrated again\n\nOlder.\n"


@pytest.mark.parametrize("page", [OLD, "# m\n\nWhat I noted.\n\n## Use\n\nSo.\n", ""])
def test_a_new_calibration_takes_the_place_of_the_old_and_notes_stay(page):
    card = {"name": "m", "task": "entities", "trust": trust()}
    once = with_trust(page, card)
    assert once.count("## Trust") == 1
    assert "Old" not in once
    assert once.count("What I noted.") == once.count("## Use") == page.count("## Use")
    assert with_trust(once, card) == once
    assert "PER 1.900" in with_trust(once, card | {"trust": trust(temperatures={"PER": 1.9})})


def test_a_page_holds_what_the_card_holds():
    page = to_markdown({"name": "m", "task": "relations", "trust": trust()})
    assert page.startswith("# m\n\nRelations between pairs")
    assert "## Data" not in page
    assert with_trust(page, {"name": "m", "task": "relations", "trust": trust()}) == page
