"""Word-vector files: each format, written by hand, is read back, and errors name their place."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from twofold.errors import DataError
from twofold.preprocessing.word_vectors import read_vectors

WORDS = ["the", "Ünïcode", "😂", "#tag", "3.14"]
STATES = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


def as_text(header: bool, words: list[str] = WORDS, separator: str = " ", end: str = "\n") -> bytes:
    rows = [f"{len(words)} 3{end}"] if header else []
    rows += [
        separator.join([w, *map(repr, map(float, x))]) + end for w, x in zip(words, STATES, strict=False)
    ]
    return "".join(rows).encode()


def as_binary(after: bytes, count: int = 5, order: str = "<f4") -> bytes:
    entries = [
        w.encode() + b" " + x.astype(order).tobytes() + after for w, x in zip(WORDS, STATES, strict=True)
    ]
    return f"{count} 3\n".encode() + b"".join(entries)


FORMATS = {
    "word2vec text": as_text(True),
    "word2vec text, lines of the first tool": as_text(True, end=" \n"),
    "word2vec text, Windows": as_text(True, end="\r\n"),
    "GloVe text": as_text(False),
    "tabs": as_text(False, separator="\t"),
    "word2vec binary of the first tool": as_binary(b"\n"),
    "word2vec binary as gensim writes it": as_binary(b""),
}


def write(folder: Path, content: bytes) -> Path:
    path = folder / "vectors"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_format_is_read_back(tmp_path, content, pack):
    vectors = read_vectors(write(tmp_path, pack(content)))
    assert vectors.words == WORDS
    np.testing.assert_array_equal(vectors.states, STATES)


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_a_limit_stops_early_and_never_sees_what_follows(tmp_path, content):
    vectors = read_vectors(write(tmp_path, content[: len(content) - 6]), limit=3)
    assert vectors.words == WORDS[:3]


def test_a_large_binary_file_is_read_over_the_borders_of_blocks(tmp_path):
    count, width = 5000, 100  # 2 MB: entries cross the borders of what is read at once
    states = np.random.default_rng(1).standard_normal((count, width)).astype("<f4")
    entries = b"".join(f"word{i} ".encode() + x.tobytes() + b"\n" for i, x in enumerate(states))
    vectors = read_vectors(write(tmp_path, f"{count} {width}\n".encode() + entries))
    assert vectors.words == [f"word{i}" for i in range(count)]
    np.testing.assert_array_equal(vectors.states, states)


def test_words_with_spaces_of_glove_are_words(tmp_path):
    words = ["the", ". . .", "at name@domain.com"]
    assert read_vectors(write(tmp_path, as_text(False, words))).words == words


def test_the_first_of_two_equal_words_counts_and_broken_words_are_skipped(tmp_path):
    lines = [b"a 1 2", b"a 3 4", b"\xff\xfe 5 6", b"b 7 8"]
    vectors = read_vectors(write(tmp_path, b"4 2\n" + b"\n".join(lines) + b"\n"))
    assert vectors.words == ["a", "b"]
    assert vectors.states.tolist() == [[1, 2], [7, 8]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (as_text(True)[:-40], r"vectors:6: the line has \d numbers"),
        (as_text(True, WORDS[:4]).replace(b"4 3", b"5 3"), "after 4 of the 5 words"),
        (as_text(True).replace(b"5 3", b"4 3"), "more words than the 4"),
        (as_binary(b"")[:-1], "after 4 of the 5 words"),
        (as_binary(b"", count=6), "after 5 of the 6 words"),
        (gzip.compress(as_text(True))[:-30], "cannot be read"),
        (b"a 1 2 3\nb 1 2\n", r"vectors:2: the line has 2 numbers; expected a word and 3"),
        (b"a 1 2 3\nb 1 2 3 4\n", r"vectors:2: the line has 4 numbers; expected a word and 3"),
        (b"2 2\na 1 2\nb 1 2 3\n", r"vectors:3: the line has 3 numbers; expected a word and 2"),
        (b"a 1 2\nb 1 x\n", r"vectors:2: a number of the line cannot be read"),
        (b"a 1 2\nb 1 nan\n", r"vectors:2: a number of the line cannot be read, or is not finite"),
        (as_binary(b"").replace(STATES[2].tobytes(), b"\xff" * 12), "the vector of word 3 is not finite"),
        (b"", "its first line is not of a known format"),
        (b"\x00\x01\x02\x03 nothing of the kind", "its first line is not of a known format"),
        (b"just\none\nword\na\nline\n", "its first line is not of a known format"),
        (b"0 3\n", "its first line says"),
        (b"PK\x03\x04rest", "a zip archive; .*; unpack it"),
        (pickle.dumps({"a": [1.0]}), "a pickle, which could hold code"),
    ],
)
def test_errors_name_the_line_or_the_word(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_vectors(write(tmp_path, content))


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path / "none")
