"""Reading of table files, and their errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from twofold.errors import ConfigError
from twofold.experiments.plan import runs_of
from twofold.experiments.table import read_table

TABLES = Path(__file__).parents[2] / "benchmarks" / "tables"


def test_a_table_is_read(table_file: Path) -> None:
    table = read_table(table_file)
    assert (table.name, table.title, table.baseline, table.seeds) == ("small", "Small", "text_only", (1, 2))
    assert table.folder == table_file.parent / "data"
    assert table.data["tweets"].report == "test.jsonl"
    assert list(table.methods) == ["text_only", "evidential"]
    assert read_table(table_file, Path("elsewhere")).folder == Path("elsewhere")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", "epoch = 2", "'epochs', perhaps"),
        ("seeds = [1, 2]", 'seeds = ["1"]', "whole numbers"),
        ('baseline = "text_only"', 'baseline = "text"', "baseline is 'text'"),
        ('report = "test.jsonl"', "", "no train, dev or report file"),
        ('descriptions = "written by hand"', 'pictures = "real"', "images and pictures do not agree"),
        ('descriptions = "written by hand"', 'pictures = "nice"', "real or stand-in or none"),
        ('descriptions = "written by hand"', 'methods = ["magic"]', "unknown method 'magic'"),
        ("[methods.text_only.model]", "[methods.text_only.models]", "'model', perhaps"),
        ("[methods.text_only.model]", "[methods.text_only.on.mail.model]", "unknown data set 'mail'"),
        ("[methods.text_only.model]", "[methods.text_only.on.tweets.modle]", "'model', perhaps"),
        ("[methods.text_only.model]", "[methods.text_only.on.tweets.on.tweets.model]", "on within on"),
        ('pooling = "monig"', 'pool = "monig"', "'pooling', perhaps"),
    ],
)
def test_mistakes_are_errors(table_file: Path, old: str, new: str, message: str) -> None:
    text = table_file.read_text(encoding="utf-8")
    assert old in text
    table_file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        runs_of(read_table(table_file))


def test_an_empty_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("title = 'x'", encoding="utf-8")
    with pytest.raises(ConfigError, match="no data set or no method"):
        read_table(tmp_path / "t.toml")


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.toml")), ids=lambda path: path.name)
def test_committed_tables_fit_the_configuration(path: Path, shared: Path) -> None:
    build = pytest.importorskip("twofold.models.build")
    for run in runs_of(read_table(path, shared / "data")):
        assert run.config.model.fusion in build.FUSIONS
        assert run.config.model.weights == "float32"
