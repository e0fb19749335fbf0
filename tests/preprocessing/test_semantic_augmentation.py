"""Semantic augmentation: against a brute-force search, and saving against reading."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from twofold.errors import DataError, ModelError
from twofold.posts import Post
from twofold.preprocessing import semantic_augmentation as neighbours
from twofold.preprocessing.segmentation import segment_post
from twofold.preprocessing.semantic_augmentation import FILES, Neighbours, augmentation, nearest
from twofold.preprocessing.word_pieces import Window, surfaces
from twofold.preprocessing.word_vectors import Vectors


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def by_hand(states: np.ndarray, word: int, count: int = 4) -> np.ndarray:
    """Σ softmax(s)_j e_j over the nearest others, in plain Python."""
    others = sorted(
        (i for i in range(len(states)) if i != word), key=lambda i: -cosine(states[word], states[i])
    )
    chosen = others[:count]
    parts = [math.exp(cosine(states[word], states[i])) for i in chosen]
    return sum(part / sum(parts) * states[i] for part, i in zip(parts, chosen, strict=True))


@pytest.mark.parametrize("at_once", [7, 1 << 23], ids=["a word at a time", "all at once"])
def test_means_of_the_four_nearest_are_those_of_brute_force(monkeypatch, at_once):
    monkeypatch.setattr(neighbours, "_MAX_SIMILARITIES", at_once)
    states = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    found = augmentation(states)
    for word in range(40):
        np.testing.assert_allclose(found[word], by_hand(states, word), rtol=1e-4, atol=1e-5)


def test_a_word_is_not_its_own_neighbour_even_where_others_are_equal_to_it():
    states = np.ones((5, 3), np.float32)
    numbers, cosines = nearest(states)
    assert all(i not in row for i, row in enumerate(numbers.tolist()))
    np.testing.assert_allclose(cosines, 1, rtol=1e-6)


def test_a_small_vocabulary_gives_all_others():
    states = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    assert nearest(states)[0].tolist() == [[1, 2], [0, 2], [1, 0]]


def test_a_zero_vector_gives_finite_values():
    states = np.array([[0, 0], [1, 0], [1, 0.1], [0, 1]], np.float32)
    assert np.isfinite(augmentation(states)).all()


def opened(folder: Path) -> Neighbours:
    return Neighbours.open(*(folder / name for name in FILES))


def make(words: list[str]) -> Neighbours:
    states = np.random.default_rng(1).standard_normal((len(words), 5)).astype(np.float32)
    return Neighbours.of(Vectors(words, states), "somewhere")


def test_words_are_looked_up_as_written_where_the_vocabulary_has_case():
    found = make(["Paris", "paris", "in", "#"])
    assert found.rows_of(["Paris", "paris", "PARIS", "#", ""]) == [0, 1, -1, 3, -1]


def test_words_are_looked_up_in_lower_case_where_the_whole_vocabulary_is():
    assert make(["paris", "in", "😂"]).rows_of(["Paris", "IN", "😂", "Rome"]) == [0, 1, 2, -1]


def test_words_that_cannot_occur_in_posts_are_neighbours_but_have_no_row():
    states = np.eye(4, dtype=np.float32) + 0.1
    found = Neighbours.of(Vectors(["new_york", "paris", "rome", "a b"], states), "somewhere")
    assert found.words == ("paris", "rome")
    whole = augmentation(states)[[1, 2]]
    np.testing.assert_allclose(found.states(np.arange(2)), whole, atol=np.abs(whole).max() / 200)


def test_words_of_windows_and_of_posts_have_the_same_rows():
    found = make(["paris", "in", "#"])
    post, none = Post(1, "In  #Paris, snow"), Post(2, "snow !")
    windows = [
        Window([], [], [], 0, 5, 0, 5, tuple(surfaces(post.text, segment_post(post)))),
        Window([], [], [], 0, 2, 0, 2, ("", "snow")),
    ]
    states, mask = found.of_windows(windows)
    assert mask.tolist() == [[True, True, True, False, False], [False] * 5]
    np.testing.assert_array_equal(states[0, :3], found.states(np.array([1, 2, 0])).astype(np.float32))
    with_rows, without = found.of_posts([post, none])
    assert with_rows.tolist() == [1, 2, 0]
    assert without is None


def test_the_error_of_eight_bits_is_small():
    words = [f"w{i}" for i in range(50)]
    states = np.random.default_rng(2).standard_normal((50, 30)).astype(np.float32)
    found = Neighbours.of(Vectors(words, states), "somewhere").states(np.arange(50)).astype(np.float32)
    exact = augmentation(states)
    assert (np.abs(found - exact).max(1) <= np.abs(exact).max(1) / 200).all()


def test_saved_neighbours_are_read_back(tmp_path):
    saved = make(["paris", "rome", "😂", "café"])
    saved.save(tmp_path)
    read = opened(tmp_path)
    assert (read.words, read.width) == (saved.words, 5)
    np.testing.assert_array_equal(read.states(np.arange(4)), saved.states(np.arange(4)))


def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path):
    make(["paris", "rome"]).save(tmp_path)
    (tmp_path / FILES[1]).write_text("paris\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"does not fit neighbours\.txt"):
        opened(tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_or_damaged_file_is_an_error(tmp_path, file):
    make(["paris", "rome"]).save(tmp_path)
    (tmp_path / file).write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="cannot be read"):
        opened(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        opened(tmp_path)


@pytest.mark.parametrize("words", [["one"], ["a_b", "c_d"]])
def test_too_few_words_are_an_error(words):
    with pytest.raises(DataError, match="can occur in posts"):
        make(words)
