"""`evaluate`, `calibrate`, `read_posts` and `combine` from Python: what the commands print, as data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import tiny_model

import twofold
from twofold.cli.main import main
from twofold.errors import ConfigError, DataError, InputError

pytestmark = pytest.mark.usefixtures("few_resamples")
POSTS = [
    {"id": 1, "text": "Anna left NASA", "entities": [{"start": 0, "end": 4, "type": "PER"}]},
    {"id": 2, "text": "Bob at paris", "entities": [{"start": 7, "end": 12, "type": "LOC"}]},
    {"id": 3, "text": "no labels here"},
]
"""The tiny model finds Anna PER (right), NASA ORG (wrong), Bob PER (wrong) and paris LOC (right)."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(map(json.dumps, POSTS)) + "\nno post\n", encoding="utf-8")
    return path


def test_scores_by_hand(model):
    report = twofold.evaluate(model, POSTS)
    assert (report.data.posts, report.data.unlabelled, report.data.rejected) == (2, 1, 0)
    score = report.entities.lenient.overall
    assert (score.correct, score.predicted, score.gold) == (2, 4, 2)
    assert (score.precision, score.recall) == (0.5, 1.0)
    assert (report.data.path, report.relations, report.robustness) == (None, None, None)
    assert report.trust == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.seconds = 0


def test_the_command_writes_what_the_function_returns(model, file, tmp_path, capsys):
    target = tmp_path / "metrics.json"
    options = ["--trust", "--shift", "typos", "--json", str(target)]
    assert main(["evaluate", str(model), str(file), *options]) == 1  # one line is no post
    rejected = []
    report = twofold.evaluate(
        twofold.load(model),
        twofold.read_posts(file),
        trust=True,
        shifts=twofold.ShiftOptions(shifts=["typos"]),
        rejected=rejected.append,
    )
    written, returned = json.loads(target.read_text(encoding="utf-8")), report.to_json()
    written.pop("seconds"), returned.pop("seconds")
    assert returned == written
    assert [item.origin for item in rejected] == [f"{file}:4"]
    assert f"lenient P 50.00 R 100.00 F1 {200 / 3:.2f}" in capsys.readouterr().out


def test_posts_of_any_kind_give_the_same_scores(model, file):
    scores = [
        twofold.evaluate(model, posts).entities for posts in (POSTS, iter(POSTS), twofold.read_posts(file))
    ]
    assert scores[0] == scores[1] == scores[2]


def test_posts_from_an_iterator_are_kept_for_a_shift(model):
    shifts = twofold.ShiftOptions(other_domain=[["Anna !", "x"]], shifts=["typos"])
    report = twofold.evaluate(model, iter(POSTS), trust=True, shifts=shifts)
    assert [item.facts.get("path", "made") for item in report.domain_shift] == [None, "made"]
    assert [item.shift.in_domain.items for item in report.domain_shift] == [2, 2]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shifts": ["tpyos"]}, "unknown shift 'tpyos'; expected typos or new-entities"),
        ({"shifts": ["new-entities"]}, "go together"),
        ({"training_data": [POSTS]}, "go together"),
        ({"shifts": ["typos"], "typo_rate": 0.0}, "above 0"),
    ],
)
def test_invalid_shifts(options, text):
    with pytest.raises(ConfigError, match=text):
        twofold.ShiftOptions(**options)


def test_invalid_posts(model):
    with pytest.raises(DataError, match="no labelled post; expected posts with gold entities"):
        twofold.evaluate(model, ["Anna"])
    with pytest.raises(InputError, match="got a single str"):
        twofold.evaluate(model, "posts.jsonl")


def test_the_length_limit_of_posts_is_that_of_the_model(model):
    rejected = []
    report = twofold.evaluate(twofold.load(model, max_characters=13), POSTS, rejected=rejected.append)
    assert (report.data.posts, report.data.rejected, len(rejected)) == (1, 2, 2)  # 14 characters each


def test_a_frame_has_one_row_per_score(model):
    pytest.importorskip("pandas")
    frame = twofold.evaluate(model, POSTS).to_frame()
    assert list(frame.columns[:3]) == ["task", "matching", "type"]
    row = frame[(frame.matching == "lenient") & (frame.type == "all")].iloc[0]
    assert (row.task, row.precision, row.recall, row.correct) == ("entities", 0.5, 1.0, 2)
    assert set(frame[frame.matching == "strict"].type) == {"all", "LOC", "ORG", "PER"}


def test_a_file_is_read_again_by_each_iteration(file):
    posts = twofold.read_posts(str(file))
    assert list(posts) == list(posts)
    assert [type(item).__name__ for item in posts] == ["Post", "Post", "Post", "Rejected"]
    assert posts.title == "posts.jsonl"
    with pytest.raises(DataError, match="cannot be opened"):
        twofold.read_posts(file.parent / "other.jsonl")


def test_calibrate_writes_what_the_command_writes(model, tmp_path):
    posts = [
        {**post, "id": f"{post['id']}-{number}"}
        for number in range(80)
        for post in POSTS
        if "entities" in post
    ]
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(map(json.dumps, posts)), encoding="utf-8")
    options = twofold.CalibrationOptions(method="types", seed=3)
    fits = twofold.calibrate(model, {f"{tmp_path.name}/posts.jsonl": posts}, tmp_path / "a", options=options)
    command = ["calibrate", str(model), str(path), "-o", str(tmp_path / "b"), "--name", "a"]
    assert main([*command, "--method", "types", "--seed", "3"]) == 0
    assert list(fits) == ["entities"]
    assert set(fits["entities"].calibration.temperature_by_type) == {"PER"}  # the others are too few
    for name in ("calibration.json", "card.json", "config.json", "manifest.json", "README.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert twofold.load(tmp_path / "a").name == "a"


@pytest.mark.parametrize("name", ["method", "decode", "score"])
def test_invalid_calibration_options(name):
    with pytest.raises(ConfigError, match=f"{name} is 'x'; expected one of"):
        twofold.CalibrationOptions(**{name: "x"})


def test_the_advice_to_install_what_training_needs_works(monkeypatch):
    """The package with an encoder's weights is not on the index under the name of its module."""
    from twofold.training import start

    monkeypatch.setattr(start, "_NEEDED", ("torch_of_another_world",))
    with pytest.raises(twofold.errors.MissingExtraError, match=r"pip install -e '\.\[train\]'"):
        start.require_train_extra()


def test_the_name_of_a_file_in_logs_is_not_an_absolute_path():
    from twofold.corpora.post_file import name_of

    assert [name_of(Path(path)) for path in ("train.jsonl", "a/train.jsonl", "/x/a/train.jsonl")] == [
        "train.jsonl", "a/train.jsonl", "a/train.jsonl",
    ]  # fmt: skip
