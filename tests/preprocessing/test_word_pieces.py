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
    result = Tokenizer(models.WordPiece({t: i for i, t in enumerate(names)}, unk_token="[UNK]"))
    result.normalizer = normalizers.BertNormalizer()
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    result.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return result


def pieces(window: int = 20, context: int = 2) -> WindowTokenizer:
    return WindowTokenizer(tokenizer(), window, context)


@given(
    st.lists(st.text("abcdefghij", min_size=1, max_size=30), max_size=60),
    st.integers(8, 40),
    st.integers(0, 6),
)
def test_cores_tile_the_words_and_windows_keep_their_limit(
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
    window_tokenizer = pieces()
    text = "abc d efg"
    (window,) = window_tokenizer.windows(text, segment(text))
    own = [window_tokenizer.tokenizer.token_to_id(letter) for letter in "ade"]
    assert [window.ids[position] for position in window.first] == own


@pytest.mark.parametrize("text", ["😂", "\u0301a", "Z"])
def test_every_word_has_a_piece(text: str) -> None:
    words = segment(text)
    assert all(pieces().word_pieces(text, words))


def test_a_very_long_word_is_truncated() -> None:
    text = "a" * 90
    assert len(pieces(64).word_pieces(text, segment(text))[0]) == MAX_WORD_PIECES


def test_no_words_no_window() -> None:
    assert pieces().windows("", []) == []


def test_a_whole_text_is_truncated_to_a_window() -> None:
    assert len(pieces(10).encode_text("a " * 99)) == 10


def test_white_space_beside_marks_changes_no_piece() -> None:
    window_tokenizer = pieces(64)
    one, other = "a#b ab's", "a # b ab ' s"
    assert (
        window_tokenizer.windows(one, segment(one))[0].ids
        == window_tokenizer.windows(other, segment(other))[0].ids
    )


@pytest.mark.parametrize("length", [30, 2000])
def test_cached_windows_of_a_text_are_the_same(length: int) -> None:
    window_tokenizer = pieces()
    text = "ab " * (length // 3)
    words = segment(text)
    found = window_tokenizer.windows(text, words)
    expected = list(found)
    found.clear()  # a caller may change its list
    assert window_tokenizer.windows(text, words) == expected
    assert window_tokenizer.windows(text, words[:1]) != expected
    assert WindowTokenizer(window_tokenizer.tokenizer, 20, 2).windows(text, words) == expected


def test_pad() -> None:
    values, mask = pad([[1, 2, 3], [4]], 9)
    np.testing.assert_array_equal(values, [[1, 2, 3], [4, 9, 9]])
    np.testing.assert_array_equal(mask, [[1, 1, 1], [1, 0, 0]])
    assert pad([], 0)[0].shape == (0, 0)
