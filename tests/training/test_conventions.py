"""Two corpora with opposite annotation conventions: one model learns both, and users choose one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import twofold
from twofold.cli.main import main
from twofold.config import AugmentationConfig, Config, CorpusConfig, DataConfig, WordsConfig
from twofold.conventions import Convention
from twofold.errors import ConfigError
from twofold.pipeline import calibrate
from twofold.pipeline.calibrate import CalibrationOptions
from twofold.training.run import conventions_of, set_up_training, train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

NAMES = ["ada", "grace", "alan", "emmy", "kurt", "rosa"]


def write(path: Path, mentions: bool, count: int) -> str:
    """Posts "name says hi" and "@name says hi", whose mentions are entities or not; the last words differ."""
    rows = []
    for i in range(count):
        name, at = NAMES[i % len(NAMES)], i % 2
        text = f"{'@' * at}{name} says hi {path.stem} {i}"
        entity = {"start": at, "end": at + len(name), "text": name, "type": "PER"}
        rows.append({"id": i, "text": text, "entities": [entity] if mentions or not at else []})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conventions")


@pytest.fixture
def two_conventions(config: Config, folder: Path) -> Config:
    corpora = tuple(
        CorpusConfig(
            name,
            (write(folder / f"{name}.jsonl", rule == "name", 48),),
            (write(folder / f"{name}_dev.jsonl", rule == "name", 160),),
            mentions=rule,
        )
        for name, rule in (("with", "name"), ("without", "none"))
    )
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, train=(), dev=(), corpora=corpora),
        training=dataclasses.replace(config.training, epochs=12),
    )


class Listener:
    """Records messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)

    def step(self, post: twofold.Post) -> None:
        pass


def found(model: Path, **choice: str | None) -> list[str]:
    (extraction,) = twofold.load(model, **choice).extract(["@ada says hi"])
    return [entity.text for entity in extraction.entities]


@pytest.mark.usefixtures("quick_export", "few_resamples")
def test_conventions_are_learned_and_chosen(
    two_conventions: Config, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = train(two_conventions, folder / "model", lambda line: None)
    card = json.loads((out / "card.json").read_text("utf-8"))
    assert {name: row["lenient"]["all"]["f1"] for name, row in card["scores"].items()} == {
        f"{folder.name}/with_dev.jsonl": 100.0,
        f"{folder.name}/without_dev.jsonl": 100.0,
    }
    assert found(out) == found(out, mentions="name") == found(out, convention="with") == ["ada"]
    assert found(out, mentions="none") == found(out, convention="without") == []
    with pytest.raises(ConfigError, match="with, without"):
        twofold.load(out, convention="both")
    # Calibration adopts the convention of the given posts.
    copy, kept = tmp_path / "copy", tmp_path / "kept"
    twofold.calibrate(out, twofold.read_posts(folder / "without_dev.jsonl"), copy)
    assert found(copy) == []
    assert found(copy, mentions="name") == ["ada"]
    chosen = json.loads((copy / "card.json").read_text("utf-8"))["conventions"]["default"]
    assert chosen["mentions"] == "none"
    # Data sets with different conventions are each encoded with their own, and the default stays.
    both, listener = tmp_path / "both", Listener()
    sets = {name: twofold.read_posts(folder / f"{name}_dev.jsonl") for name in ("with", "without")}
    fits = twofold.calibrate(out, sets, both, listener=listener)
    assert found(both) == ["ada"]
    counts = fits["entities"].description["by_data_set"]
    assert all(row["right"] == row["predictions"] for row in counts.values())
    assert 0 < counts["without"]["predictions"] < counts["with"]["predictions"]
    assert [line.partition(",")[0] for line in listener.lines] == [
        "with: annotation convention mentions name",
        "without: annotation convention mentions none",
    ]
    assert listener.lines[0].endswith("F1 100.0 on 160 posts; the model's own, and none fits better")
    assert listener.lines[1].endswith("with the model's own (mentions name, hashtags name)")
    # A rule is compared only where the posts have such a mark.
    tried: list[set[str]] = []
    monkeypatch.setattr(calibrate, "candidates", lambda known, own, rules: tried.append(rules) or [own])
    pipeline = twofold.load(out).pipeline
    for text in ("ada says hi", "@ada says hi", "#ada says hi"):
        calibrate.fitting_convention(pipeline, [twofold.Post(1, text, entities=())], 32)
    assert tried == [set(), {"mentions"}, {"hashtags"}]
    options = CalibrationOptions(convention="model")
    twofold.calibrate(out, twofold.read_posts(folder / "without_dev.jsonl"), kept, options=options)
    assert found(kept) == ["ada"]
    # The command line has the same choices.
    results = tmp_path / "results.jsonl"
    text = ["--text", "@ada says hi", "--mentions", "none"]
    assert main(["extract", "--model", str(out), *text, "-o", str(results)]) == 0
    assert json.loads(results.read_text("utf-8"))["entities"] == []


def test_every_example_carries_its_convention(two_conventions: Config) -> None:
    setup = set_up_training(two_conventions, lambda line: None)
    known = setup.conventions
    assert known.named["without"] == Convention("none", "name", "without")
    seen = {example.convention for example in setup.data.train}
    assert seen == {known.vector(convention) for convention in known.named.values()}


def test_augmented_examples_keep_posts_targets_and_conventions(two_conventions: Config) -> None:
    training = dataclasses.replace(two_conventions.training, augmentation=AugmentationConfig(links=1.0))
    setup = set_up_training(dataclasses.replace(two_conventions, training=training), lambda line: None)
    plain, linked = setup.data.train, setup.data.examples(0)
    assert [e.post for e in plain] == [e.post for e in linked]
    for before, after in zip(plain, linked, strict=True):
        assert after.window.surfaces == (*before.window.surfaces, "http")
        assert after.targets == [*before.targets, 0]
        assert after.convention == before.convention
    assert [e.window for e in setup.data.examples(0)] == [e.window for e in linked]


def test_the_default_convention_is_that_of_the_options_or_of_a_corpus() -> None:
    data = DataConfig(corpora=(CorpusConfig("mine", mentions="none"),))
    assert conventions_of(data, WordsConfig(hashtags="mark")).default == Convention("name", "mark")
    assert conventions_of(data, WordsConfig(convention="mine")).default == Convention("none", "name", "mine")
    with pytest.raises(ConfigError, match="one of mine"):
        conventions_of(data, WordsConfig(convention="other"))
    assert conventions_of(DataConfig(), WordsConfig(convention="other")).size == 0
