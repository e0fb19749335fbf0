"""Cards as pages: what they show of calibration, in every state that a folder may be in."""

from __future__ import annotations

import pytest

from twofold.model_folder.card import to_markdown, with_calibration, with_name
from twofold.model_folder.card_calibration import calibration_section

INTERVAL = {"value": 0.125, "low": 0.1, "high": 0.2}
METRICS = dict.fromkeys(("ece", "brier", "nll", "accuracy"), INTERVAL)
SETS = {"0.90": {"coverage": 0.91, "mean_size": 1.25, "singletons": 0.8, "coverage_by_class": [0.9]}}
RISK = {"max_error": 0.1, "confidence": 0.95, "threshold": 0.7714, "coverage": 0.625, "achievable": None}
NO_RISK = {"max_error": 0.02, "confidence": 0.95, "threshold": None, "coverage": 0.1, "achievable": None}
SELECTIVE = (
    "aurc", "excess_aurc", "augrc", "risk_at_80_coverage", "coverage_at_5_risk", "coverage_at_10_risk",
)  # fmt: skip


def calibration(**other):
    """What a card holds of a calibration, as plain data."""
    plain = dict.fromkeys(("ece", "brier", "nll", "accuracy"), 0.25)
    posts = {"tuning": 10, "calibration": 11}
    report = {
        "posts": posts, "predictions": {"tuning": 40, "calibration": 41}, "before": plain, "after": plain,
        "ece_if_calibrated": 0.03, "prediction_sets": SETS,
        "risk_control": [NO_RISK, NO_RISK | {"max_error": 0.05, "achievable": RISK}, RISK],
    }  # fmt: skip
    data = {
        "posts": posts, "predictions": 41, "right": 30, "missed": 7, "before": METRICS, "after": METRICS,
        "ece_if_calibrated": 0.04, "selective": dict.fromkeys(SELECTIVE, INTERVAL),
        "error_auroc": {"confidence": INTERVAL}, "prediction_sets": SETS,
    }  # fmt: skip
    return {
        "method": "types", "seed": 0, "fitted_on": ["a/dev.txt"], "temperature": 1.5,
        "temperature_by_type": {"PER": 1.2}, "report": report, "by_data_set": {"a/dev.txt": data}, **other,
    }  # fmt: skip


def row(text, *start):
    """Cells after those that a row starts with."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    (found,) = [r[len(start) :] for r in rows if tuple(r[: len(start)]) == start]
    return found


def test_calibration_before_and_after():
    text = calibration_section({"calibration": calibration()}, "entities")
    assert "10 posts with 40 predicted entities" in text
    assert "(method `types`, temperature 1.500, PER 1.200)" in text
    assert row(text, "all") == ["41", "", "25.0", "25.0", "25.0", "3.0", "25.0", "25.0", "0.250", "0.250"]
    assert row(text, "a/dev.txt", "41")[:4] == ["7", "12.5", "12.5", "12.5 [10.0–20.0]"]
    assert "epoch was selected" not in text
    card = {"calibration": calibration(), "dev": [{"name": "a/dev.txt"}]}
    assert "epoch was selected" in calibration_section(card, "entities")


def test_thresholds_or_the_smallest_error_rate_that_has_one():
    text = calibration_section({"calibration": calibration()}, "relations")
    assert row(text, "10.0 %")[:2] == ["0.771", "62.5 %"]
    smallest = "not achievable on these data; smallest is 10.0 % at 62.5 % coverage"
    assert row(text, "5.0 %") == ["–", "–", smallest]
    assert row(text, "2.0 %") == ["–", "–", "not achievable on these data, nor is any other"]
    assert "of the relations accepted" in text


def test_what_is_accepted_by_data_set():
    fit = calibration()
    fit["by_data_set"]["a/dev.txt"]["accepted"] = {
        "0.05": {"accepted": 0, "wrong": 0}, "0.10": {"accepted": 20, "wrong": 3},
    }  # fmt: skip
    fit["by_data_set"]["b/dev.txt"] = fit["by_data_set"]["a/dev.txt"] | {"accepted": {}}
    text = calibration_section({"calibration": fit}, "entities").split("The same thresholds in each file")[1]
    text = text.split("Prediction sets")[0]
    assert row(text, "data") == ["error rate 5.0 %", "error rate 10.0 %"]
    assert row(text, "a/dev.txt") == ["0.0", "48.8, 15.0 wrong"]
    assert row(text, "b/dev.txt") == ["–", "–"]
    assert "The same thresholds" not in calibration_section({"calibration": calibration()}, "entities")


def test_sets_and_errors_by_data_set():
    text = calibration_section({"calibration": calibration()}, "entities")
    assert row(text, "90.0", "a/dev.txt") == row(text, "90.0", "all") == ["91.0", "1.25", "80.0"]
    errors = text.split("Error detection")[1]
    assert row(errors, "data", "confidence") == []
    assert "12.5 [10.0–20.0]" in errors.split("Selective prediction")[0]


def test_without_metrics_by_data_set_the_whole_is_shown():
    text = calibration_section({"calibration": calibration(by_data_set={})}, "relations")
    assert "10 posts with 40 predicted relations" in text
    assert "AUROC" not in text


def test_a_temperature_alone_says_why():
    fit = {"temperature": 1.3, "predictions": 12, "ece_before": 0.2, "ece_after": 0.1}
    text = calibration_section({"calibration": fit | {"note": "too few posts"}}, "entities")
    assert "1.300, fitted on 12 predicted entities of dev" in text
    assert "**No thresholds and no prediction sets**: too few posts. `twofold calibrate" in text
    assert "none were fitted in training" in calibration_section({"calibration": fit}, "entities")
    assert "No temperature" in calibration_section({}, "entities")


def test_each_score_names_its_decoder():
    rule = {"threshold": 0.4, "temperature": 1.3}
    fit = {"decision_rule": rule, "f1": 0.786, "f1_viterbi": 0.784}
    score = {"precision": 75.0, "recall": 73.0, "f1": 74.0, "gold": 9}
    card = {
        "name": "m", "task": "entities", "scores_decoder": "viterbi",
        "scores": {"dev": {"lenient": {"all": score}}},
        "calibration": calibration(decision_rule=rule, decision_rule_fit=fit),
    }  # fmt: skip
    page = to_markdown(card)
    assert "## Scores on dev (exact spans, Viterbi decoding, per cent)" in page
    assert "78.6 % with F1-optimal decoding, 78.4 % with Viterbi decoding" in page
    assert "other metrics of this section are of F1-optimal decoding, the scores above of Viterbi" in page
    del card["calibration"]["decision_rule"]
    assert "F1-optimal" not in to_markdown(card)


OLD = "# m\n\nMy note.\n\n## Trust\n\nOld.\n\n## Use\n\nSo.\n\n## Calibrated again\n\nOlder.\n"


@pytest.mark.parametrize("page", [OLD, "# m\n\nMy note.\n\n## Use\n\nSo.\n", ""])
def test_a_new_calibration_replaces_the_old_and_notes_stay(page):
    card = {"name": "m", "task": "entities", "calibration": calibration()}
    once = with_calibration(page, card)
    assert once.count("## Calibration") == 1
    assert "Old" not in once
    assert once.count("My note.") == once.count("## Use") == page.count("## Use")
    assert with_calibration(once, card) == once
    other = card | {"calibration": calibration(temperature_by_type={"PER": 1.9})}
    assert "PER 1.900" in with_calibration(once, other)


def test_a_page_holds_what_the_card_holds():
    card = {"name": "m", "task": "relations", "calibration": calibration()}
    page = to_markdown(card)
    assert page.startswith("# m\n\nRelations between pairs")
    assert "## Data" not in page
    assert with_calibration(page, card) == page


def test_a_copy_has_its_own_name_and_names_its_origin_once():
    card = {"name": "m", "task": "entities", "calibration": calibration()}
    first = card | {"name": "mine", "calibrated_from": {"name": "m", "manifest_sha256": "ab" * 32}}
    once = with_name(to_markdown(card), first)
    assert once == to_markdown(first)
    assert "Calibrated copy of `m` (manifest SHA-256 abababababababab…)." in once
    second = first | {"name": "ours", "calibrated_from": {"name": "mine", "manifest_sha256": "cd" * 32}}
    assert with_name(once, second) == to_markdown(second)
    assert with_name("", second).startswith("# ours\n\nCalibrated copy of `mine`")
