"""Word pieces and windows."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from twofold.preprocessing.segmentation import segment
from twofold.preprocessing.word_pieces import MAX_WORD_PIECES, WindowTokenizer, pad


def tokenizer() -> Tokenizer:
    letters = "abcdefghij"
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters)]
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(names)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def pieces(window: int = 20, context: int = 2) -> WindowTokenizer:
    return WindowTokenizer(tokenizer(), window, context)


@given(
    st.lists(st.text("abcdefghij", min_size=1, max_size=30), max_size=60),
    st.integers(8, 40),
    st.integers(0, 6),
)
def test_cores_tile_the_words_and_windows_hold_their_limit(
    names: list[str], window: int, context: int
) -> None:
    text = " ".join(names)
    words = segment(text)
    windows = pieces(window, context).windows(text, words)
    kept = [word for w in windows for word in range(w.core_start, w.core_end)]
    assert kept == list(range(len(words)))
    for w in windows:
        assert w.start <= w.core_start < w.core_end <= w.end
        assert len(w.first) == len(w.case_features) == w.end - w.start
        assert w.ids[0] == 2
        assert w.ids[-1] == 3
        assert all(0 < position < len(w.ids) - 1 for position in w.first)
        assert len(w.ids) <= window


def test_a_short_post_is_one_window() -> None:
    text = "ab c"
    (window,) = pieces().windows(text, segment(text))
    assert window.ids == [2, 4, 15, 6, 3]
    assert window.first == [1, 3]


def test_first_pieces_are_the_words_own() -> None:
    made = pieces()
    text = "abc d efg"
    (window,) = made.windows(text, segment(text))
    own = [made.tokenizer.token_to_id(letter) for letter in "ade"]
    assert [window.ids[position] for position in window.first] == own


@pytest.mark.parametrize("text", ["😂", "\u0301a", "Z"])
def test_every_word_has_a_piece(text: str) -> None:
    words = segment(text)
    assert all(pieces().word_pieces(text, words))


def test_a_word_without_end_is_cut() -> None:
    text = "a" * 90
    assert len(pieces(64).word_pieces(text, segment(text))[0]) == MAX_WORD_PIECES


def test_no_words_no_window() -> None:
    assert pieces().windows("", []) == []


def test_plain_is_cut_to_a_window() -> None:
    assert len(pieces(10).encode_text("a " * 99)) == 10


def test_white_space_beside_marks_changes_no_piece() -> None:
    made = pieces(64)
    one, other = "a#b ab's", "a # b ab ' s"
    assert made.windows(one, segment(one))[0].ids == made.windows(other, segment(other))[0].ids


@pytest.mark.parametrize("length", [30, 2000])
def test_windows_of_a_text_read_again_are_the_same(length: int) -> None:
    made = pieces()
    text = "ab " * (length // 3)
    words = segment(text)
    found = made.windows(text, words)
    expected = list(found)
    found.clear()  # what a caller does to its list is its own affair
    assert made.windows(text, words) == expected
    assert made.windows(text, words[:1]) != expected
    assert WindowTokenizer(made.tokenizer, 20, 2).windows(text, words) == expected


def test_pad() -> None:
    values, mask = pad([[1, 2, 3], [4]], 9)
    np.testing.assert_array_equal(values, [[1, 2, 3], [4, 9, 9]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])
    assert pad([], 0)[0].shape == (0, 0)
