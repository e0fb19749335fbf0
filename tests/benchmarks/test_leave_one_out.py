"""Training and evaluation data when a corpus is left out, and the table of results."""

from __future__ import annotations

from pathlib import Path

import leave_one_out
import pytest

from twofold.config import read_config

BASE = read_config(leave_one_out.CONFIG)


@pytest.mark.parametrize("left_out", [leave_one_out.EVERY, *leave_one_out.SCORED])
def test_neither_the_left_out_corpus_nor_scored_files_are_trained_on(left_out: str) -> None:
    config = leave_one_out.settings(BASE, Path("data"), left_out, 2, 7)
    names = [corpus.name for corpus in config.data.corpora]
    assert names == [corpus.name for corpus in BASE.data.corpora if corpus.name != left_out]
    assert len(names) == 5 - (left_out != leave_one_out.EVERY)
    scored = {str(Path("data") / file) for _, file in leave_one_out.SCORED.values()}
    assert scored <= set(config.data.held_out)
    assert scored.isdisjoint(config.data.all_train)
    assert (config.training.epochs, config.training.seed, config.model.words.convention) == (2, 7, "")


def test_the_table_has_means_over_seeds() -> None:
    runs = {
        "none/3 epochs/1": {"btc dev, by its rules": 70.0, "btc dev, by its name": 72.0},
        "none/3 epochs/2": {"btc dev, by its rules": 71.0, "btc dev, by its name": 72.0},
        "btc/3 epochs/1": {"btc dev, by its rules": 60.5},
        "btc/2 epochs/1": {"btc dev, by its rules": 0.0},
        "tweebank/3 epochs/1": {"tweebank dev, by its rules": 1.0},
        "only twitter2017/3 epochs/1": {"twitter2015 dev, by its rules": 3.0},
    }
    rows = {row.split(" | ")[0][2:]: row for row in leave_one_out.page(runs, 3).splitlines()[2:]}
    assert rows["btc dev"] == "| btc dev | 72.00 ± 0.00 | 70.50 ± 0.71 | 60.50 | – |"
    assert rows["tweebank dev"] == "| tweebank dev | – | – | 1.00 | – |"
    assert rows["twitter2015 dev"] == "| twitter2015 dev | – | – | – | 3.00 |"
    assert len(rows) == 5


def test_for_comparison_a_single_corpus_is_trained_on() -> None:
    config = leave_one_out.settings(BASE, Path("data"), "only twitter2015", 2, 7)
    assert [corpus.name for corpus in config.data.corpora] == ["twitter2015"]
