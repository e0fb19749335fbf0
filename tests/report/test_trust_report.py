"""The trust report: one file without script or network, the metrics of its JSON, a table for every plot."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from report_page import NASTY, Page

from twofold.errors import DataError
from twofold.evaluation import error_types
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.domain_shift import DomainShift, data_metrics, post_ood_detection
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import TrustReport, to_json, trust_report
from twofold.posts import Entity
from twofold.report.domain_shift_section import domain_shift_section, measure_label
from twofold.report.error_detection_block import ERROR_SHAPES
from twofold.report.plots import Plot
from twofold.report.statements import ERROR_TYPES, statements
from twofold.report.trust_report import write_trust_report
from twofold.report.trust_section import trust_section


def predictions(n: int = 600, posts: int = 200, seed: int = 0, power: float = 1.0) -> Predictions:
    random = np.random.default_rng(seed)
    confidence = random.beta(3, 1, n)
    right = random.random(n) < confidence**power
    kind = np.where(right, "right", random.choice(["wrong_type", "wrong_boundary", "spurious"], n))
    uncertainty = {"aleatoric": 1 - confidence + 0.3 * random.random(n), "epistemic": random.random(n)}
    types, post = random.choice(["PER", "LOC"], n), np.sort(random.integers(0, posts, n))
    missed = np.array(["PER"] * 40 + ["LOC"] * 21), np.arange(61)
    shares = {"text": random.random(n), "picture": random.random(n)}
    return Predictions(confidence, kind, types, post, posts, *missed, uncertainty, shares, confidence**0.5)


@pytest.fixture(scope="module")
def report() -> TrustReport:
    return trust_report(predictions(), resamples=60)


def domain_shift() -> DomainShift:
    random = np.random.default_rng(1)
    detection = post_ood_detection(
        {"entity_confidence_mean": random.random(40), "word_epistemic_max": random.random(40)},
        {"entity_confidence_mean": random.random(30) + 0.2, "word_epistemic_max": random.random(30)},
        resamples=20,
    )
    return DomainShift(
        "somewhere else",
        "posts",
        data_metrics(predictions(), 40, True),
        data_metrics(predictions(), 30, False),
        detection,
    )


@pytest.fixture
def build(tmp_path: Path):
    def page(reports: dict[str, TrustReport], **options: object) -> Page:
        path = tmp_path / "folder" / "trust.html"
        write_trust_report(reports, path, **{"model": "m", "data": "d", **options})
        return Page(path.read_text(encoding="utf-8"))

    return page


class Tables(HTMLParser):
    """Cells of every table, by its caption."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("caption", "th", "td"):
            self._text = ""
        elif tag == "tr":
            self._rows.append([])

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self._rows = self.tables[self._text] = []
        elif tag in ("th", "td"):
            self._rows[-1].append(self._text)

    def handle_data(self, data: str) -> None:
        self._text += data


# --- one file ----------------------------------------------------------------------------------------


def test_nothing_is_loaded_and_no_script_runs(build, report) -> None:
    page = build({"entities": report}, shifts=[domain_shift()])
    assert not page.all("script")
    assert not page.all("link")
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            assert (attributes.get(name) or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in page.html
    assert "@import" not in page.html
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_markup_in_names_stays_text(build, report) -> None:
    renamed = dataclasses.replace(
        report,
        calibration={**report.calibration, NASTY: report.calibration["all"]},
        modalities={**report.modalities, NASTY: report.modalities["text"]},
        uncalibrated=None,
    )
    shift = dataclasses.replace(domain_shift(), name=NASTY)
    clean = build({"entities": report}, shifts=[domain_shift()])
    page = build({"entities": renamed}, model=NASTY, data=NASTY, shifts=[shift])
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in clean.elements}
    assert "alert(1)" in page.text


def test_ids_are_unique_and_every_reference_exists(build, report) -> None:
    page = build({"entities": report, "relations end to end": report}, shifts=[domain_shift()])
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert not [name for name in ids if " " in str(name)]
    for _, a in page.elements:
        assert a.get("aria-labelledby", ids[0]) in ids
        assert str(a.get("href", f"#{ids[0]}"))[1:] in ids


def test_plots_have_names_and_tables_can_be_scrolled_by_keyboard(build, report) -> None:
    page = build({"entities": report}, shifts=[domain_shift()])
    plots = page.all("svg", role="img")
    assert len(plots) >= 7  # diagram, histogram, two curves, errors, modalities, domain shift
    assert all("aria-labelledby" in a for a in plots)
    assert all(a.get("role") == "img" or a.get("aria-hidden") == "true" for a in page.all("svg"))
    regions = page.all("div", **{"class": "wide"})
    assert len(regions) == len(page.all("table"))
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in regions)


def test_it_appears_whole_or_not_at_all(tmp_path: Path, report) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_trust_report({"entities": report}, tmp_path / "file" / "t.html", model="m", data="d")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- plots -------------------------------------------------------------------------------------------


def blocks(report: TrustReport) -> list[tuple[Plot, ...]]:
    sections = trust_section("entities", report), domain_shift_section([domain_shift()])
    return [block.plots for section in sections for block in section.blocks if block.plots]


def test_everything_lies_in_its_plot(report) -> None:
    for plot in (plot for plots in blocks(report) for plot in plots):
        for bar in plot.bars:
            assert plot.left <= bar.x <= bar.x + bar.width <= plot.right + 0.1
            assert plot.top - 0.1 <= bar.y <= bar.y + bar.height <= plot.bottom + 0.1
        for tick in plot.x:
            assert plot.left <= tick.at <= plot.right
        for mark in plot.marks:
            assert plot.left <= mark.x <= plot.right
            assert plot.top - 6 <= mark.y <= plot.bottom + 6


@pytest.mark.parametrize("seed", range(4))
def test_no_symbol_covers_another(seed: int) -> None:
    report = trust_report(predictions(seed=seed), resamples=5)
    for plot in (plot for plots in blocks(report) for plot in plots):
        for one, other in combinations(plot.marks, 2):
            assert max(abs(one.x - other.x), abs(one.y - other.y)) > 10.4


def test_plots_of_one_block_have_one_height(report) -> None:
    assert [len({plot.height for plot in plots}) for plots in blocks(report)] == [1] * len(blocks(report))
    assert [len(plots) for plots in blocks(report)] == [2, 2, 1, 1, 1]


def test_the_auroc_axis_begins_at_one_half_or_below_the_lowest_value(report) -> None:
    (plot,) = next(b for b in trust_section("entities", report).blocks if "errors" in b.title).plots
    values = [value for auroc in report.error_auroc.values() for value in (auroc.value, auroc.low)]
    kinds = [kind.auroc for found in report.error_detection.values() for kind in found.values()]
    lowest = min(values + kinds)
    assert lowest < 0.5
    assert plot.x_range[0] <= lowest < plot.x_range[0] + 0.1
    good = {name: found for name, found in report.error_detection.items() if name == "confidence"}
    better = dataclasses.replace(
        report, error_detection=good, error_auroc={"confidence": report.error_auroc["confidence"]}
    )
    (plot,) = next(b for b in trust_section("entities", better).blocks if "errors" in b.title).plots
    assert plot.x_range == (0.5, 1.0)


# --- metrics -----------------------------------------------------------------------------------------


def shown(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def test_tables_show_the_metrics_of_the_json(build, report) -> None:
    json = to_json(report, digits=12)
    tables = Tables(build({"entities": report}).html).tables
    rows = {row[0]: row for row in tables["Calibration by type, per cent"]}
    columns = rows["type"]
    for name, calibration in json["calibration"].items():
        row = dict(zip(columns, rows[name], strict=True))
        assert row["missed"] == str(calibration["missed"])
        assert (row["predicted"], row["right"]) == (
            str(calibration["predictions"]),
            str(calibration["right"]),
        )
        ece = calibration["metrics"]["ece"]
        assert row["ECE"] == f"{shown(ece['value'])} [{shown(ece['low'])}–{shown(ece['high'])}]"
        before = json["uncalibrated"]["calibration"][name]["metrics"]["ece"]["value"]
        assert row["ECE before"] == shown(before)
        assert row["ECE by chance"] == shown(calibration["ece_if_calibrated"])
    more = tables["More metrics by type, per cent; NLL in nats"]
    nll = json["calibration"]["all"]["metrics"]["nll"]["value"]
    assert more[1][more[0].index("NLL")].split()[0] == f"{nll:.3f}"

    bins = tables["Bins of the diagram"][1:]
    assert [int(row[1]) for row in bins] == [bin["predictions"] for bin in json["reliability"]]
    assert [row[4] for row in bins] == [shown(bin["accuracy"]) for bin in json["reliability"]]
    curve = tables["Points of the curves"][1:]
    assert [row[2] for row in curve] == [shown(point["risk"]) for point in json["selective"]["curve"]]
    assert [row[4] for row in curve] == [shown(point["f1"]) for point in json["selective"]["curve"]]

    errors = {row[0]: row for row in tables["Detection of errors, per cent"]}
    found = json["error_detection"]["epistemic"]["wrong_boundary"]
    assert errors["epistemic: wrong boundary"][1:4] == [shown(found[k]) for k in ("auroc", "aupr", "fpr95")]
    modalities = {row[0]: row for row in tables["Share of the modalities, per cent"]}
    picture = json["modalities"]["picture"]
    assert modalities["picture"][3:] == [shown(picture["share_right"]), shown(picture["share_wrong"])]


def test_metrics_on_out_of_distribution_data(build, report) -> None:
    shift = domain_shift()
    tables = Tables(build({"entities": report}, shifts=[shift]).html).tables
    rows = {row[0]: row for row in tables["Detection of out-of-distribution data, per cent"]}
    auroc = shift.detection["entity_confidence_mean"].auroc
    assert rows["entities: mean 1 − confidence"][1].startswith(shown(auroc.value))
    assert rows["entities: mean 1 − confidence"][-2:] == ["40", "30"]
    metrics = {row[0]: row for row in tables["Metrics of the model on both data sets"]}
    assert metrics["out-of-distribution"][3] == "–"  # no labels, no F1


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("word_epistemic_max", "words: max epistemic"),
        ("confidence", "1 − confidence"),
        ("total", "aleatoric + epistemic"),
        ("word_total_mean", "words: mean aleatoric + epistemic"),
        ("something_else", "something else"),
    ],
)
def test_labels_of_measures(name: str, label: str) -> None:
    assert measure_label(name) == label


def test_without_uncalibrated_confidences_there_are_no_columns_for_them(build, report) -> None:
    page = build({"entities": dataclasses.replace(report, uncalibrated=None)})
    assert "before" not in page.text


# --- statements --------------------------------------------------------------------------------------


def test_statements_of_a_case_by_hand() -> None:
    collector = PredictionCollector()
    gold = [Entity(0, 1, "x", "PER"), Entity(2, 3, "x", "PER"), Entity(8, 9, "x", "LOC")]
    found = [Entity(0, 1, "x", "PER", 0.9), Entity(2, 3, "x", "ORG", 0.8), Entity(5, 6, "x", "PER", 0.7)]
    collector.add_entities(found, gold)
    first, second, *_ = statements(trust_report(collector.predictions(), resamples=10), "entities")
    assert first[:3] == ("33 %", "right", "precision")
    assert first.explanation == "1 of 3 predicted entities are right. Errors: wrong type: 1, spurious: 1."
    assert second[:3] == ("67 %", "missed", "1 − recall")


def test_every_statement_has_its_technical_term(build, report) -> None:
    assert [statement.term for statement in statements(report, "entities")] == [
        "precision",
        "1 − recall",
        "expected calibration error, ECE",
        "risk at 80 % coverage",
        "coverage at 5 % risk",
        "AUROC of error detection",
    ]
    page = build({"entities": report}, shifts=[domain_shift()])
    headings = re.findall(r"<h3.*?</h3>", page.html)
    assert headings
    assert all('class="term"' in heading for heading in headings)


def test_every_error_type_has_a_label_and_a_shape() -> None:
    kinds = [
        getattr(error_types, name) for name in dir(error_types) if name.startswith(("WRONG_", "SPURIOUS"))
    ]
    assert set(kinds) == set(ERROR_TYPES) == set(ERROR_SHAPES)
    some = dataclasses.replace(predictions(), error_type=np.resize(np.array(["right", *kinds]), 600))
    report = trust_report(some, resamples=5)
    explanation = next(statements(report, "entities")).explanation
    wrong = [int(number) for number in re.findall(r"\d+", explanation.split("Errors:")[1])]
    assert (len(wrong), sum(wrong)) == (len(kinds), 600 - report.error_types["right"])


@pytest.mark.parametrize(
    ("power", "word"), [(4.0, "overconfident"), (0.1, "underconfident"), (1.0, "no miscalibration")]
)
def test_statement_on_calibration(power: float, word: str) -> None:
    found = statements(trust_report(predictions(3000, 900, power=power), resamples=40), "entities")
    (calibration,) = [statement for statement in found if "ECE" in statement.term]
    assert word in calibration.explanation
    assert ("no miscalibration is shown" in calibration.explanation) == (power == 1.0)


def test_measures_no_better_than_chance_are_named(report) -> None:
    last = list(statements(report, "entities"))[-1]
    assert "No better than chance here: epistemic." in last.explanation
    assert "aleatoric" not in last.explanation


def test_nothing_predicted(build) -> None:
    collector = PredictionCollector()
    collector.add_entities([], [Entity(0, 1, "x", "PER")])
    page = build({"entities": trust_report(collector.predictions(), resamples=5)})
    assert "0 entities predicted" in page.text
    assert "1 are annotated; all are missed." in page.text
    assert "nan" not in page.text


def test_one_prediction_and_all_right(build) -> None:
    collector = PredictionCollector()
    collector.add_entities([Entity(0, 1, "x", "PER", 0.9)], [Entity(0, 1, "x", "PER")])
    page = build({"entities": trust_report(collector.predictions(), resamples=5)})
    assert not re.search(r"\bnan\b|\binf\b", page.html.split("</style>")[1])
