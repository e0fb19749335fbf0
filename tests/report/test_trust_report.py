"""The trust page: one file without script or network, the report's own figures, a table for every plot."""

from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_page import NASTY, Page

from twofold.errors import DataError
from twofold.evaluation import error_types as mistakes
from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.domain_shift import DomainShift, data_metrics, post_ood_detection
from twofold.evaluation.predictions import Predictions
from twofold.evaluation.trust_report import TrustReport, to_json, trust_report
from twofold.posts import Entity
from twofold.report import statements as report_statements
from twofold.report import trust_section
from twofold.report.plots import Plot, round_steps, row_plot
from twofold.report.statements import hundred, statements
from twofold.report.trust_report import write_trust_report
from twofold.report.trust_section import section


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


def foreign() -> DomainShift:
    random = np.random.default_rng(1)
    told = post_ood_detection(
        {"entity_confidence_mean": random.random(40), "word_epistemic_max": random.random(40)},
        {"entity_confidence_mean": random.random(30) + 0.2, "word_epistemic_max": random.random(30)},
        resamples=20,
    )
    return DomainShift(
        "somewhere else",
        "posts",
        data_metrics(predictions(), 40, True),
        data_metrics(predictions(), 30, False),
        told,
    )


@pytest.fixture
def build(tmp_path: Path):
    def page(reports: dict[str, TrustReport], **options: object) -> Page:
        path = tmp_path / "folder" / "trust.html"
        write_trust_report(reports, path, **{"model": "m", "data": "d", **options})  # type: ignore[arg-type]
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


def test_nothing_is_loaded_and_nothing_runs(build, report) -> None:
    page = build({"entities": report}, foreign=[foreign()])
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


def test_names_from_elsewhere_stay_text(build, report) -> None:
    renamed = dataclasses.replace(
        report,
        calibration={**report.calibration, NASTY: report.calibration["all"]},
        sources={**report.modalities, NASTY: report.modalities["text"]},
        before=None,
    )
    shift = dataclasses.replace(foreign(), name=NASTY)
    clean = build({"entities": report}, foreign=[foreign()])
    page = build({"entities": renamed}, model=NASTY, data=NASTY, foreign=[shift])
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in clean.elements}
    assert "alert(1)" in page.text


def test_every_id_is_there_once_and_every_reference_points_to_one(build, report) -> None:
    page = build({"entities": report, "relations end to end": report}, foreign=[foreign()])
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert not [name for name in ids if " " in str(name)]
    for _, a in page.elements:
        assert a.get("aria-labelledby", ids[0]) in ids
        assert str(a.get("href", f"#{ids[0]}"))[1:] in ids


def test_plots_have_names_and_scrolling_tables_take_the_keyboard(build, report) -> None:
    page = build({"entities": report}, foreign=[foreign()])
    plots = page.all("svg", role="img")
    assert len(plots) >= 7  # diagram, histogram, two curves, errors, sources, foreign
    assert all("aria-labelledby" in a for a in plots)
    assert all(a.get("role") == "img" or a.get("aria-hidden") == "true" for a in page.all("svg"))
    regions = page.all("div", **{"class": "wide"})
    assert len(regions) == len(page.all("table"))
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in regions)


def test_every_plotted_point_lies_in_the_plot(build, report) -> None:
    for block in section("entities", report).blocks:
        for plot in block.plots:
            for bar in plot.bars:
                assert plot.left <= bar.x <= bar.x + bar.width <= plot.right + 0.1
                assert plot.top - 0.1 <= bar.y <= bar.y + bar.height <= plot.bottom + 0.1
            for tick in plot.x:
                assert plot.left <= tick.at <= plot.right


def test_it_appears_whole_or_not_at_all(tmp_path: Path, report) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_trust_report({"entities": report}, tmp_path / "file" / "t.html", model="m", data="d")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- the figures -------------------------------------------------------------------------------------


def shown(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def test_tables_hold_the_figures_of_the_json(build, report) -> None:
    json = to_json(report, digits=12)
    tables = Tables(build({"entities": report}).html).tables
    rows = {row[0]: row for row in tables["Calibration by type, per cent"]}
    heads = rows["type"]
    for name, figures in json["calibration"].items():
        row = dict(zip(heads, rows[name], strict=True))
        assert row["missed gold"] == str(figures["missed"])
        assert (row["found"], row["right"]) == (str(figures["predictions"]), str(figures["right"]))
        ece = figures["figures"]["ece"]
        assert row["ECE"] == f"{shown(ece['value'])} [{shown(ece['low'])}–{shown(ece['high'])}]"
        assert row["ECE before"] == shown(json["before"]["calibration"][name]["figures"]["ece"]["value"])
        assert row["ECE by luck"] == shown(figures["ece_if_calibrated"])
    more = tables["More figures by type, per cent; NLL in nats"]
    nll = json["calibration"]["all"]["figures"]["nll"]["value"]
    assert more[1][more[0].index("NLL")].split()[0] == f"{nll:.3f}"

    bars = tables["Figures of the diagram"][1:]
    assert [int(row[1]) for row in bars] == [bar["predictions"] for bar in json["reliability"]]
    assert [row[4] for row in bars] == [shown(bar["accuracy"]) for bar in json["reliability"]]
    curve = tables["Figures of the curves"][1:]
    assert [row[2] for row in curve] == [shown(point["risk"]) for point in json["selective"]["curve"]]
    assert [row[4] for row in curve] == [shown(point["f1"]) for point in json["selective"]["curve"]]

    errors = {row[0]: row for row in tables["Detection of errors, per cent"]}
    found = json["errors"]["epistemic"]["wrong_boundary"]
    assert errors["epistemic: wrong boundary"][1:4] == [shown(found[k]) for k in ("auroc", "aupr", "fpr95")]
    sources = {row[0]: row for row in tables["Share of the sources, per cent"]}
    picture = json["sources"]["picture"]
    assert sources["picture"][3:] == [shown(picture["share_right"]), shown(picture["share_wrong"])]


def test_foreign_data_are_shown_as_they_are(build, report) -> None:
    shift = foreign()
    tables = Tables(build({"entities": report}, foreign=[shift]).html).tables
    rows = {row[0]: row for row in tables["Telling foreign from own, per cent"]}
    told = shift.detection["entity_confidence_mean"]
    assert rows["entity doubt mean"][1].startswith(shown(told.auroc.value))
    assert rows["entity doubt mean"][-2:] == ["40", "30"]
    fares = {row[0]: row for row in tables["How the model fares"]}
    assert fares["foreign"][3] == "–"  # no labels, no F1


def test_without_a_calibration_to_compare_with_there_are_no_such_columns(build, report) -> None:
    page = build({"entities": dataclasses.replace(report, before=None)})
    assert "before" not in page.text


# --- in words ----------------------------------------------------------------------------------------


def test_words_of_a_case_by_hand() -> None:
    collector = PredictionCollector()
    gold = [Entity(0, 1, "x", "PER"), Entity(2, 3, "x", "PER"), Entity(8, 9, "x", "LOC")]
    found = [Entity(0, 1, "x", "PER", 0.9), Entity(2, 3, "x", "ORG", 0.8), Entity(5, 6, "x", "PER", 0.7)]
    collector.add_entities(found, gold)
    told = list(statements(trust_report(collector.predictions(), resamples=10), "entities"))
    assert (told[0].figure, told[0].unit) == ("33", "in 100 right")
    assert told[0].words == "Of 3 entities found, 1 are right. 1 have the wrong type and 1 are none at all."
    assert (told[1].figure, told[1].unit) == ("67", "in 100 missed")


def test_every_kind_of_mistake_has_words_and_a_shape() -> None:
    kinds = [getattr(mistakes, name) for name in dir(mistakes) if name.startswith(("WRONG_", "SPURIOUS"))]
    assert set(kinds) == set(report_statements._MISTAKES) == set(trust_section._KIND_SHAPES)
    some = dataclasses.replace(predictions(), kind=np.resize(np.array(["right", *kinds]), 600))
    report = trust_report(some, resamples=5)
    said = next(statements(report, "entities")).words
    wrong = [int(number) for number in re.findall(r"\d+", said.split("are right.")[1])]
    assert (len(wrong), sum(wrong)) == (len(kinds), 600 - report.error_types["right"])


@pytest.mark.parametrize(
    ("power", "word"), [(4.0, "too sure"), (0.1, "not sure enough"), (1.0, "luck alone")]
)
def test_what_is_said_of_calibration(power: float, word: str) -> None:
    told = list(statements(trust_report(predictions(3000, 900, power=power), resamples=40), "entities"))
    (calibrated,) = [s for s in told if s.unit == "points off"]
    assert word in calibrated.words
    assert ("cannot be told from perfect" in calibrated.words) == (power == 1.0)


def test_measures_that_find_no_errors_are_called_so(report) -> None:
    last = list(statements(report, "entities"))[-1]
    assert "Epistemic does not tell errors here" in last.words
    assert "aleatoric" not in last.words.lower()


def test_nothing_found(build) -> None:
    collector = PredictionCollector()
    collector.add_entities([], [Entity(0, 1, "x", "PER")])
    page = build({"entities": trust_report(collector.predictions(), resamples=5)})
    assert "The model found none of the 1 that are there." in page.text
    assert "nan" not in page.text


def test_one_prediction_and_all_right(build) -> None:
    collector = PredictionCollector()
    collector.add_entities([Entity(0, 1, "x", "PER", 0.9)], [Entity(0, 1, "x", "PER")])
    page = build({"entities": trust_report(collector.predictions(), resamples=5)})
    assert not re.search(r"\bnan\b|\binf\b", page.html.split("</style>")[1])


@pytest.mark.parametrize(
    ("part", "said"), [(1.0, "100"), (0.999, "over 99"), (0.001, "under 1"), (0.0, "0"), (math.nan, "–")]
)
def test_never_all_for_almost_all(part: float, said: str) -> None:
    assert hundred(part) == said


# --- plots -------------------------------------------------------------------------------------------


def test_places_by_hand() -> None:
    plot = Plot("p", "x", left=0.0, right=100.0, top=0.0, height=140.0)
    assert [plot.at_x(v) for v in (0, 0.5, 1, 2)] == [0, 50, 100, 100]
    assert [plot.at_y(v) for v in (0, 0.5, 1)] == [100, 50, 0]
    plot.line([(0, 0), (0.5, math.nan), (1, 1)], "line")
    assert plot.lines[0].path == "M0.0 100.0M100.0 0.0"
    plot.bar(0.0, 0.5, 0.25, "column")
    assert plot.bars[0][:4] == (1, 75, 48, 25)
    plot.mark(math.nan, 0.5, "circle", "mark")
    assert plot.marks == []


def test_rows_are_apart_and_in_order() -> None:
    plot = row_plot("p", "x", ["a", "b", "c"])
    assert [tick.label for tick in plot.y] == ["a", "b", "c"]
    first, second, third = (tick.at for tick in plot.y)
    assert second - first == third - second == 26


@pytest.mark.parametrize("top", [0.0, 0.03, 0.12, 1.0, 7.0, 685.0, 100_000.0])
def test_steps_are_few_round_and_reach_the_top(top: float) -> None:
    steps = round_steps(top)
    assert 2 <= len(steps) <= 5
    assert steps[0] == 0
    assert steps[-1] >= top * (1 - 1e-9)
    assert f"{steps[1]:e}"[0] in "125"
