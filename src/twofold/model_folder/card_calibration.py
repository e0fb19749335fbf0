"""The calibration section of a card: metrics before and after, thresholds, prediction sets, error detection.

It shows the metrics of the card as they are (`twofold.calibration.fit`), for either task; it computes none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twofold.model_folder.markdown import table

Card = Mapping[str, Any]

HEADING = "Calibration"
_NOT_FITTED = "none were fitted in training"
_REMEDY = "`twofold calibrate MODEL DATA -o OUT` fits them on labelled posts of your own."
_SELECTIVE = {
    "aurc": "AURC",
    "excess_aurc": "excess AURC",
    "augrc": "AUGRC",
    "risk_at_80_coverage": "error rate at 80 % coverage",
    "coverage_at_5_risk": "coverage at 5 % error rate",
    "coverage_at_10_risk": "coverage at 10 % error rate",
}


def calibration_section(card: Card, predicted: str) -> str:
    """Text of the section, without its heading.

    Args:
        card: with ``calibration``.
        predicted: name of the predictions, in the plural.
    """
    calibration = card.get("calibration") or {}
    if "report" in calibration:
        selected_on = {part["name"] for part in card.get("dev", ())} & set(calibration["fitted_on"])
        parts = _fitted(calibration, predicted, bool(selected_on))
    else:
        parts = _temperature_only(calibration, predicted)
    return "\n\n".join(parts)


def _temperature_only(calibration: Card, predicted: str) -> Iterator[str]:
    if "temperature" in calibration:
        text = f"One temperature, {float(calibration['temperature']):.3f}"
    else:
        text = "No temperature"
    if calibration.get("predictions"):
        text += (
            f", fitted on {calibration['predictions']} predicted {predicted} of dev: expected calibration "
            f"error (15 bins) {calibration['ece_before']:.4f} before, {calibration['ece_after']:.4f} after. "
            "Both are measured on the data it was fitted on"
        )
    yield f"{text}."
    yield f"**No thresholds and no prediction sets**: {calibration.get('note', _NOT_FITTED)}. {_REMEDY}"


def _fitted(calibration: Card, predicted: str, epoch_selected: bool) -> Iterator[str]:
    """``epoch_selected``: whether the epoch was selected on the same posts."""
    report, by_data_set = calibration["report"], calibration.get("by_data_set") or {}
    yield _how(calibration, predicted)
    if epoch_selected:
        yield "The epoch was selected on these posts, too: metrics on other posts will be a little lower."
    if "decision_rule" in calibration:
        yield _decision_rule(calibration, predicted)
    yield (
        f"Calibration, per cent; before: temperature 1; ideal: the ECE that a perfectly calibrated model "
        f"would show on as many predictions. Missed gold {predicted} have no confidence and are in no other "
        "column."
    )
    yield _calibration(report, by_data_set)
    if "end_to_end" in calibration:
        yield _end_to_end(calibration["end_to_end"])
    together = ", all files together; in one of them it may be more" if len(by_data_set) > 1 else ""
    yield (
        f"Thresholds (`extract --max-error`): of the {predicted} accepted, at most this part is wrong, with "
        f"{_percent(report['risk_control'][0]['confidence'])} % confidence, on posts like "
        f"these{together}."
    )
    head = ["error rate at most", "threshold", "coverage", "note"]
    yield table(head, [_risk(risk) for risk in report["risk_control"]])
    if any(part.get("accepted") for part in by_data_set.values()):
        yield (
            f"The same thresholds in each file, per cent: {predicted} that are accepted, and how many of "
            "these are wrong."
        )
        yield _accepted(by_data_set)
    yield "Prediction sets (`extract --coverage`): how often they cover the true class, and their size."
    yield _sets(report, by_data_set)
    if by_data_set:
        yield "Error detection: AUROC of each measure, per cent; 50 is random. Brackets: 95 % over posts."
        yield _errors(by_data_set)
        yield f"Selective prediction, per cent: {predicted} accepted by decreasing confidence."
        yield _selective(by_data_set)


def _how(calibration: Card, predicted: str) -> str:
    posts, predictions = calibration["report"]["posts"], calibration["report"]["predictions"]
    temperatures = calibration.get("temperature_by_type") or {}
    by_type = "".join(f", {kind} {temperature:.3f}" for kind, temperature in temperatures.items())
    return (
        f"Fitted on {', '.join(f'`{name}`' for name in calibration['fitted_on'])}, divided by post. Tuning "
        f"split, {posts['tuning']} posts with {predictions['tuning']} predicted {predicted}: confidences are "
        f"fitted (method `{calibration['method']}`, temperature {calibration['temperature']:.3f}{by_type}) "
        f"and prediction sets measured. Calibration split, {posts['calibration']} posts with "
        f"{predictions['calibration']}: thresholds and prediction sets are fitted, all else is measured. The "
        "metrics are explained in docs/confidence.md."
    )


def _decision_rule(calibration: Card, predicted: str) -> str:
    rule, fit = calibration["decision_rule"], calibration.get("decision_rule_fit")
    if predicted == "relations":
        return _relation_rule(rule, fit)
    text = (
        f"F1-optimal decoding: the model predicts the {predicted} with the largest expected F1, the set "
        f"that maximises the sum of probability − {rule['threshold']:.3f} (probabilities at temperature "
        f"{rule['temperature']:.3f})."
    )
    if fit is not None:
        text += (
            f" Lenient F1 on the calibration split: {_percent(fit['f1'])} % with F1-optimal decoding, "
            f"{_percent(fit['f1_viterbi'])} % with Viterbi decoding."
        )
    return (
        text + " All other metrics of this section are of F1-optimal decoding, the scores above of Viterbi "
        "decoding."
    )


def _relation_rule(rule: Card, fit: Card | None) -> str:
    text = (
        f"A relation is predicted where its probability is above {rule['threshold']:.3f} (at temperature "
        f"{rule['temperature']:.3f}), a threshold that F1 chose, even if none is more probable."
    )
    if fit is not None:
        text += (
            f" F1 of gold pairs on the calibration split: {_percent(fit['f1'])} %, "
            f"{_percent(fit['f1_most_probable'])} % where the most probable class decides."
        )
    return text + " All other metrics of this section are under this rule, the scores above are not."


def _end_to_end(whole: Card) -> str:
    """For relations, whose other metrics are all on gold pairs."""
    metrics, errors = whole["metrics"], whole["errors"]
    text = (
        "All other metrics here are on gold pairs. Between the entities that the tagger predicts in the same "
        f"{whole['posts']} posts of the calibration split, {whole['predicted']} relations are predicted, "
        f"{whole['annotated']} of them for annotated pairs or pairs that overlap one. Of these "
        f"{_percent(metrics['accuracy'])} % are right, arguments included, with a mean confidence of "
        f"{_percent(metrics['confidence'])} % and an ECE of {_percent(metrics['ece'])} %."
    )
    parts = [
        f"{_percent(errors[error] / accepted)} % of {accepted} (for {_percent(float(error))} %)"
        for error, accepted in whole["accepted"].items()
        if accepted
    ]
    return text + (f" Error rate of those above a threshold below: {', '.join(parts)}." if parts else "")


def _calibration(report: Card, by_data_set: Card) -> str:
    rows = [("all", report["predictions"]["calibration"], None, report)]
    rows += [(name, part["predictions"], part["missed"], part) for name, part in by_data_set.items()]
    head = ["data", "predicted", "missed", "right", "ECE before", "ECE after", "ideal ECE"]
    head += ["Brier before", "Brier after", "NLL before", "NLL after"]
    return table(head, [_calibration_row(*row) for row in rows])


def _calibration_row(name: str, predictions: int, missed: int | None, part: Card) -> list[object]:
    before, after = part["before"], part["after"]
    return [
        name,
        predictions,
        "" if missed is None else missed,
        _value(after["accuracy"]),
        "–" if before is None else _value(before["ece"]),
        _with_interval(after["ece"]),
        _percent(part["ece_if_calibrated"]),
        "–" if before is None else _value(before["brier"]),
        _value(after["brier"]),
        "–" if before is None else _decimal(before["nll"]),
        _decimal(after["nll"]),
    ]


def _risk(risk: Card) -> list[str]:
    error, other = f"{_percent(risk['max_error'])} %", risk.get("achievable")
    if risk["threshold"] is not None:
        return [error, f"{risk['threshold']:.3f}", f"{_percent(risk['coverage'])} %", ""]
    if other is None:
        return [error, "–", "–", "not achievable on these data, nor is any other"]
    smallest = f"{_percent(other['max_error'])} % at {_percent(other['coverage'])} % coverage"
    return [error, "–", "–", f"not achievable on these data; smallest is {smallest}"]


def _accepted(by_data_set: Card) -> str:
    errors = list(dict.fromkeys(error for part in by_data_set.values() for error in part["accepted"]))
    rows = [
        [name, *(_share(part["accepted"].get(error), part["predictions"]) for error in errors)]
        for name, part in by_data_set.items()
    ]
    return table(["data", *(f"error rate {_percent(float(error))} %" for error in errors)], rows)


def _share(found: Card | None, predictions: int) -> str:
    if not found or not predictions:
        return "–"
    wrong = f", {_percent(found['wrong'] / found['accepted'])} wrong" if found["accepted"] else ""
    return f"{_percent(found['accepted'] / predictions)}{wrong}"


def _sets(report: Card, by_data_set: Card) -> str:
    tables = {"all": report["prediction_sets"]}
    tables |= {name: part["prediction_sets"] for name, part in by_data_set.items()}
    rows = [
        [
            _percent(float(c)),
            name,
            _percent(x["coverage"]),
            _decimal(x["mean_size"], 2),
            _percent(x["singletons"]),
        ]
        for c in report["prediction_sets"]
        for name, sets in tables.items()
        if c in sets
        for x in [sets[c]]
    ]
    head = ["target coverage, %", "data", "coverage, %", "mean size", "with one class, %"]
    return table(head, rows)


def _errors(by_data_set: Card) -> str:
    names = list(dict.fromkeys(name for part in by_data_set.values() for name in part["error_auroc"]))
    rows = [
        [name, *(_with_interval(part["error_auroc"].get(x)) for x in names)]
        for name, part in by_data_set.items()
    ]
    return table(["data", *names], rows)


def _selective(by_data_set: Card) -> str:
    rows = [
        [name, *(_with_interval(part["selective"][key]) for key in _SELECTIVE)]
        for name, part in by_data_set.items()
    ]
    return table(["data", *_SELECTIVE.values()], rows)


# --- numbers; None means that it could not be measured --------------------------------------------------


def _value(metric: Any) -> str:
    """A metric with or without an interval, in per cent."""
    return _percent(metric["value"] if isinstance(metric, Mapping) else metric)


def _with_interval(metric: Any) -> str:
    if not isinstance(metric, Mapping) or metric["low"] is None:
        return _value(metric)
    return f"{_percent(metric['value'])} [{_percent(metric['low'])}–{_percent(metric['high'])}]"


def _decimal(metric: Any, digits: int = 3) -> str:
    """A metric with or without an interval, or a size, as it is."""
    value = metric["value"] if isinstance(metric, Mapping) else metric
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
