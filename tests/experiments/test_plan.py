"""Runs: which there are, how they are configured, and what their ids depend on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from twofold.config import Config, ModelConfig
from twofold.errors import ConfigError, DataError
from twofold.experiments.plan import OPTION_TABLES, Run, flat, runs_of
from twofold.experiments.table import read_table


def runs(table_file: Path, *only: str) -> list[Run]:
    return runs_of(read_table(table_file), only)


def edited(table_file: Path, old: str, new: str) -> Path:
    text = table_file.read_text(encoding="utf-8")
    assert old in text
    table_file.write_text(text.replace(old, new), encoding="utf-8")
    return table_file


def ids(found: list[Run]) -> dict[str, str]:
    return {run.name: run.id for run in found}


def test_every_method_on_every_data_set_seed_by_seed(table_file: Path) -> None:
    names = [run.name for run in runs(table_file)]
    assert names == ["tweets/text_only/1", "tweets/evidential/1", "tweets/text_only/2", "tweets/evidential/2"]


def test_overrides_of_table_data_and_method_are_merged(table_file: Path) -> None:
    edited(table_file, 'title = "Tweets"', "training = { epochs = 7, batch_size = 3 }")
    run = runs(table_file)[1]
    assert (run.config.training.epochs, run.config.training.batch_size, run.config.training.seed) == (7, 3, 1)
    assert run.config.model.evidential.pooling == "monig"
    assert run.config.model.evidential.loss_weight == ModelConfig().evidential.loss_weight
    assert run.config.model.weights == "float32"
    assert Path(run.config.data.train[0]) == (table_file.parent / "data" / "train.jsonl").resolve()
    assert run.config.data.images == ""


def test_a_method_may_differ_on_one_data_set_and_has_a_title_there(table_file: Path) -> None:
    own = """
[methods.evidential.on.tweets]
title = "Evidential, slow"
training = { head_lr = 1e-4 }
model = { evidential = { weight = 0.7 } }

[data.more]
train = ["train.jsonl"]
dev = ["dev.jsonl"]
report = "dev.jsonl"
"""
    elsewhere = ids(runs(table_file))
    table_file.write_text(table_file.read_text(encoding="utf-8") + own, encoding="utf-8")
    table = read_table(table_file)
    found = {run.name: run for run in runs_of(table)}
    here, there = found["tweets/evidential/1"].config, found["more/evidential/1"].config
    assert (here.training.head_lr, here.model.evidential.loss_weight) == (1e-4, 0.7)
    assert here.model.evidential.pooling == "monig"  # the method's setting on all data sets
    assert (there.training.head_lr, there.model.evidential.loss_weight) == (
        Config().training.head_lr, Config().model.evidential.loss_weight,
    )  # fmt: skip
    assert table.methods["evidential"].of("tweets").title == "Evidential, slow"
    assert table.methods["evidential"].of("more").title == "Evidential"
    assert found["tweets/text_only/1"].id == elsewhere["tweets/text_only/1"]
    assert found["tweets/evidential/1"].id != elsewhere["tweets/evidential/1"]


def test_a_data_set_may_start_from_a_configuration_of_its_own(table_file: Path) -> None:
    own = '[data]\ntrain = ["x"]\n[model]\nmodality_dropout = 0.7\n'
    own += "[training]\nepochs = 9\nmax_grad_norm = 2.0\n"
    (table_file.parent / "own.toml").write_text(own, encoding="utf-8")
    run = runs(edited(table_file, 'title = "Tweets"', 'base = "own.toml"'))[1]
    assert (run.config.model.modality_dropout, run.config.training.max_grad_norm) == (0.7, 2.0)
    assert run.config.training.epochs == 2  # the table's own overrides come later
    assert Path(run.config.data.train[0]).name == "train.jsonl"


@pytest.mark.parametrize(
    ("only", "count"),
    [(["*/1"], 2), (["tweets"], 4), (["text_only", "evidential"], 4), (["tweets/evidential"], 2),
     (["tweets/evidential/2"], 1), (["2", "text_only"], 3)],
)  # fmt: skip
def test_runs_are_selected_by_patterns(table_file: Path, only: list[str], count: int) -> None:
    assert len(runs(table_file, *only)) == count


def test_a_pattern_without_a_run_is_an_error(table_file: Path) -> None:
    with pytest.raises(ConfigError, match="'magic' matches no run"):
        runs(table_file, "text_only", "magic")


def test_data_may_have_their_own_seeds_and_methods(table_file: Path) -> None:
    edited(table_file, 'title = "Tweets"', 'seeds = [5]\nmethods = ["evidential"]')
    assert [run.name for run in runs(table_file)] == ["tweets/evidential/5"]


def test_a_missing_file_is_an_error(table_file: Path) -> None:
    (table_file.parent / "data" / "dev.jsonl").unlink()
    with pytest.raises(DataError, match="--data"):
        runs(table_file)


# --- ids ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [("epochs = 2", "epochs = 3"), ('weights = "float32"', 'window_pieces = 99')],
)  # fmt: skip
def test_a_changed_setting_makes_other_runs(table_file: Path, old: str, new: str) -> None:
    before = ids(runs(table_file))
    after = ids(runs(edited(table_file, old, new)))
    assert all(before[name] != after[name] for name in before)


@pytest.mark.parametrize("file", ["train.jsonl", "dev.jsonl", "test.jsonl", "captions.tsv"])
def test_a_changed_file_makes_other_runs(table_file: Path, file: str) -> None:
    before = ids(runs(table_file))
    (table_file.parent / "data" / file).write_text("other", encoding="utf-8")
    assert not set(before.values()) & set(ids(runs(table_file)).values())


def test_changed_pictures_make_other_runs(table_file: Path) -> None:
    folder = table_file.parent / "data" / "pictures"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"one")
    edited(table_file, 'title = "Tweets"', 'images = "pictures"\npictures = "real"')
    before = ids(runs(table_file))
    (folder / "2.jpg").write_bytes(b"two")
    assert not set(before.values()) & set(ids(runs(table_file)).values())


@pytest.mark.parametrize(
    ("old", "new"),
    [('title = "Small"', 'title = "Large"'), ("[training]", '[training]\nthreads = 2\ndevice = "cpu"'),
     ('title = "Evidential"', 'title = "A"'), ('[model]\n', '[model]\nmodality_dropout = 0.3\n')],
)  # fmt: skip
def test_settings_that_change_no_score_leave_the_ids(table_file: Path, old: str, new: str) -> None:
    before = ids(runs(table_file))
    assert ids(runs(edited(table_file, old, new))) == before


def test_a_method_by_another_name_is_the_same_run(table_file: Path) -> None:
    before = set(ids(runs(table_file)).values())
    assert set(ids(runs(edited(table_file, "methods.evidential", "methods.ours"))).values()) == before


def test_options_of_another_fusion_do_not_matter(table_file: Path) -> None:
    before = ids(runs(table_file))
    after = ids(runs(edited(table_file, "[training]", "[model.evidential]\nweight = 0.9\n\n[training]")))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"tweets/evidential/1", "tweets/evidential/2"}
    assert "model.evidential.loss_weight" not in flat(runs(table_file)[0].config)


def test_the_option_tables_of_all_fusions_and_tasks_are_listed() -> None:
    build = pytest.importorskip("twofold.models.build")
    tables = {
        field.name
        for field in dataclasses.fields(ModelConfig)
        if dataclasses.is_dataclass(field.default_factory)
    }
    assert tables & {*build.FUSIONS, *build.TASKS} <= set(OPTION_TABLES)
