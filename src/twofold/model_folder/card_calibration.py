"""What a card says of trust: calibration before and after, thresholds, sets, which measures find errors.

It tells the figures of the card as they stand there (`twofold.calibration.methods`,
`twofold.calibration.card_metrics`), for whatever task they were made, and knows nothing of how.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twofold.model_folder.markdown import table

Card = Mapping[str, Any]

HEADING = "Trust"
_OLD = "the model was made when training fitted none"
_TO_DO = "`twofold calibrate MODEL DATA -o OUT` fits them on labelled posts of your own."
_KEPT = {
    "aurc": "AURC",
    "excess_aurc": "excess",
    "augrc": "AUGRC",
    "risk_at_80_coverage": "wrong of the surest 80 %",
    "coverage_at_5_risk": "kept at 5 % wrong",
    "coverage_at_10_risk": "kept at 10 % wrong",
}


def trust_section(card: Card, predicted: str) -> str:
    """The section's text, without its heading.

    Args:
        card: with ``trust``, or with ``calibration`` alone.
        predicted: what is predicted, in the plural.
    """
    trust = card.get("trust") or {}
    if "measured" in trust:
        chosen = {part["name"] for part in card.get("dev", ())} & set(trust["fitted_on"])
        parts = _fitted(trust, predicted, bool(chosen))
    else:
        parts = _temperature_only(card, trust, predicted)
    return "\n\n".join(parts)


def _temperature_only(card: Card, trust: Card, predicted: str) -> Iterator[str]:
    fit = card.get("calibration") or trust
    told = f"One temperature, {float(fit['temperature']):.3f}" if "temperature" in fit else "No temperature"
    if fit.get("predictions"):
        told += (
            f", fitted on {fit['predictions']} predicted {predicted} of dev: expected calibration error "
            f"(15 bins) {fit['ece_before']:.4f} before, {fit['ece_after']:.4f} after. "
            "Both are measured on the data it was fitted on"
        )
    yield f"{told}."
    yield f"**No thresholds and no sets**: {trust.get('note', _OLD)}. {_TO_DO}"


def _fitted(trust: Card, predicted: str, chosen: bool) -> Iterator[str]:
    """``chosen``: whether the epoch was chosen on the same posts."""
    measured, data = trust["measured"], trust.get("data") or {}
    yield _how(trust, predicted)
    if chosen:
        yield "The epoch was chosen on these posts, too: expect a little less on others like them."
    if "choice" in trust:
        yield _choice(trust)
    yield (
        f"Calibration, per cent; before: at temperature 1. Gold {predicted} that were missed have no "
        "confidence, and are in no figure but their number."
    )
    yield _calibration(measured, data)
    if "end_to_end" in trust:
        yield _end_to_end(trust["end_to_end"])
    yield (
        f"Thresholds (`extract --max-error`): of the {predicted} kept, at most so many are wrong, "
        f"{_percent(measured['risks'][0]['confidence'])} % sure, on posts like these{_together(data)}."
    )
    yield _risks(measured["risks"])
    yield "Sets (`extract --sets`): how often they hold the truth, and how large they are."
    yield _sets(measured, data)
    if data:
        yield ("Which measure finds the errors: AUROC, per cent; 50 is a coin. Brackets: 95 % over posts.")
        yield _errors(data)
        yield f"Risk against coverage, per cent: {predicted} kept by falling confidence."
        yield _selective(data)


def _together(data: Card) -> str:
    return ", all files together; of one of them more may be" if len(data) > 1 else ""


def _how(trust: Card, predicted: str) -> str:
    (first, second), (fitted, tested) = trust["measured"]["posts"], trust["measured"]["predictions"]
    heats = trust.get("temperatures") or {}
    by_type = "".join(f", {kind} {heat:.3f}" for kind, heat in heats.items())
    return (
        f"Fitted on {', '.join(f'`{name}`' for name in trust['fitted_on'])}, halved by post: {first} posts "
        f"({fitted} {predicted}) to fit confidences on (method `{trust['method']}`, temperature "
        f"{trust['temperature']:.3f}{by_type}), {second} posts ({tested} {predicted}) to find thresholds and "
        "sets on and to measure on; sets are measured on the first half. What the figures mean: "
        "docs/confidence.md."
    )


def _choice(trust: Card) -> str:
    choice, chosen = trust["choice"], trust.get("chosen")
    told = (
        "Told are not the entities of the best tag sequence but those with the largest F1 to be expected: "
        f"the spans that are worth most, each costing {choice['threshold']:.3f} (probability at temperature "
        f"{choice['temperature']:.3f})."
    )
    if chosen is not None:
        told += (
            f" On the posts to test on that is an F1 of {_percent(chosen['f1'])} % (lenient); the best "
            f"sequence has {_percent(chosen['f1_viterbi'])} %."
        )
    return told + " Scores above are of the best sequence."


def _end_to_end(whole: Card) -> str:
    """Of relations, whose other figures are all of given ends."""
    figures, wrong = whole["figures"], whole["wrong"]
    told = (
        "All other figures here are of relations between given ends. Between the entities that the tagger "
        f"finds in the same {whole['posts']} posts to test on, {whole['told']} relations are told, "
        f"{whole['judged']} of them between annotated ends or near these. Of these "
        f"{_percent(figures['accuracy'])} % are right, ends included, with a mean confidence of "
        f"{_percent(figures['confidence'])} % and an ECE of {_percent(figures['ece'])}."
    )
    parts = [
        f"{_percent(wrong[error] / kept)} % of {kept} (for {_percent(float(error))} %)"
        for error, kept in whole["kept"].items()
        if kept
    ]
    return told + (f" Of those that a threshold below keeps, wrong: {', '.join(parts)}." if parts else "")


def _calibration(measured: Card, data: Card) -> str:
    both = [("all", measured["predictions"][1], None, measured["before"], measured["after"], measured)]
    both += [(name, x["found"], x["missed"], x["before"], x["after"], x) for name, x in data.items()]
    head = ["data", "found", "missed", "right", "ECE before", "ECE after", "by chance"]
    head += ["Brier before", "Brier after", "NLL before", "NLL after"]
    rows = [
        [
            name,
            found,
            "" if missed is None else missed,
            _value(now["accuracy"]),
            "–" if old is None else _value(old["ece"]),
            _with_range(now["ece"]),
            _percent(x["ece_if_calibrated"]),
            "–" if old is None else _value(old["brier"]),
            _value(now["brier"]),
            "–" if old is None else _nats(old["nll"]),
            _nats(now["nll"]),
        ]
        for name, found, missed, old, now, x in both
    ]
    return table(head, rows)


def _risks(risks: Sequence[Card]) -> str:
    return table(["at most wrong", "of confidence", "keeps", ""], [_risk(risk) for risk in risks])


def _risk(risk: Card) -> list[str]:
    wrong, other = f"{_percent(risk['error'])} %", risk.get("instead")
    if risk["threshold"] is not None:
        return [wrong, f"{risk['threshold']:.3f}", f"{_percent(risk['coverage'])} %", ""]
    if other is None:
        return [wrong, "–", "–", "infeasible on these data, as is any other part"]
    feasible = f"{_percent(other['error'])} %, keeping {_percent(other['coverage'])} %"
    return [wrong, "–", "–", f"infeasible on these data; feasible is {feasible}"]


def _sets(measured: Card, data: Card) -> str:
    tables = {"all": measured["sets"]} | {name: part["sets"] for name, part in data.items()}
    rows = [
        [_percent(float(level)), name, _percent(x["coverage"]), _decimal(x["size"]), _percent(x["single"])]
        for level in measured["sets"]
        for name, sets in tables.items()
        if level in sets
        for x in [sets[level]]
    ]
    return table(["level, %", "data", "hold the truth, %", "answers on average", "with one only, %"], rows)


def _errors(data: Card) -> str:
    names = list(dict.fromkeys(name for part in data.values() for name in part["errors"]))
    rows = [[name, *(_with_range(part["errors"].get(x)) for x in names)] for name, part in data.items()]
    return table(["data", *names], rows)


def _selective(data: Card) -> str:
    rows = [[name, *(_with_range(part["kept"][key]) for key in _KEPT)] for name, part in data.items()]
    return table(["data", *_KEPT.values()], rows)


# --- numbers; None stands for what could not be measured -----------------------------------------------


def _value(figure: Any) -> str:
    """A figure with or without an interval, in per cent."""
    return _percent(figure["value"] if isinstance(figure, Mapping) else figure)


def _with_range(figure: Any) -> str:
    if not isinstance(figure, Mapping) or figure["low"] is None:
        return _value(figure)
    return f"{_percent(figure['value'])} [{_percent(figure['low'])}–{_percent(figure['high'])}]"


def _nats(figure: Any) -> str:
    value = figure["value"] if isinstance(figure, Mapping) else figure
    return "–" if value is None else f"{value:.3f}"


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
