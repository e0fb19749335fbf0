"""Columns of a line and the scheme of a file's tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from twofold.corpora import open_corpus
from twofold.corpora.columns import columns_of, scheme_of, tag_of

IOB1 = "Nora\tI-PER\nLind\tI-PER\nAda\tB-PER\nin\tO\nTurin\tI-LOC\n\n"


def written(folder: Path, content: str) -> Path:
    path = folder / "a.txt"
    path.write_text(content, encoding="utf-8")
    return path


def test_columns_and_the_tag_among_them():
    assert columns_of("EU  NNP B-NP B-ORG") == ["EU", "NNP", "B-NP", "B-ORG"]
    assert columns_of("\u00a0\tO") == ["\u00a0", "O"]
    assert tag_of(["EU", "NNP", "B-NP", "B-ORG"]) == "B-ORG"
    assert tag_of(["EU", "B-ORG", "O"]) == "B-ORG"
    assert tag_of(["EU"]) == ""


@pytest.mark.parametrize("head", ["", "IMGID:1\n"])
def test_all_entities_of_iob1_count_in_the_strict_score(tmp_path, head):
    """Read as BIO, the strict score would count 1 of 3."""
    path = written(tmp_path, head + IOB1)
    assert scheme_of(path) == "IOB1"
    (post,) = open_corpus(path)
    assert [(e.text, e.type, e.well_formed) for e in post.entities] == [
        ("Nora Lind", "PER", True),
        ("Ada", "PER", True),
        ("Turin", "LOC", True),
    ]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "Ada\tB-PER\n",
        "Turin\tI-LOC\nAda\tB-PER\n",
        "Nora\tI-PER\n\nAda\tB-PER\n",
        "Nora\tI-PER\nsays\tO\nAda\tB-PER\n",
        "Nora\tS-PER\n",
    ],
)
def test_a_b_tag_after_no_entity_of_its_type_shows_that_a_file_is_not_iob1(tmp_path, elsewhere):
    path = written(tmp_path, f"{IOB1}{elsewhere}\n")
    assert scheme_of(path) == "BIO"
    first, *_ = open_corpus(path)
    assert [entity.well_formed for entity in first.entities] == [False, True, False]


@pytest.mark.parametrize(
    ("content", "scheme"),
    [
        ("", "BIO"),
        ("a\tO\n", "BIO"),
        ("Ada\tB-PER\nL.\tI-PER\nNora\tB-PER\n", "BIO"),
        ("Ada\tI-PER\n", "IOB1"),
        ("# id = B-LOC\nAda\tI-PER\n\nno tag\n", "IOB1"),
    ],
)
def test_other_files(tmp_path, content, scheme):
    assert scheme_of(written(tmp_path, content)) == scheme


@pytest.mark.parametrize("name", ["twitter2015/train.txt", "twitter2015/valid.txt"])
def test_twitter_2015_with_its_broken_labels_is_bio(shared, name):
    assert scheme_of(shared / "data" / name) == "BIO"
