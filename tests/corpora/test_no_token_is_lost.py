"""Every line of a column file that holds a token is in a post or in a rejected record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.corpora import open_corpus
from twofold.corpora.conll import read_conll
from twofold.corpora.twitter import read_twitter
from twofold.posts import Rejected

WORD = st.one_of(
    st.text("aé😀#-\u00a0\u2028\u200b=.", min_size=1, max_size=4),
    st.sampled_from(["-DOCSTART-", "-DOCSTART-s", "#", "#a=b", "IMGID:1", "id"]),
)
TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "S-LOC", "XX", "", "-X-"])
BETWEEN = st.sampled_from(
    [
        "", "\t", " ", "-DOCSTART- -X- O", "-DOCSTART-", "-DOCSTART-\t-X-\tO", "# id = 7", "# other = x",
        "IMGID:3", "# image = a.jpg",
    ]
)  # fmt: skip


def numbered(word: str, number: int) -> str:
    """A token that no other line has, so that it can be searched for."""
    return f"{word}<{number}>"


@st.composite
def files(draw: st.DrawFn, separator: str) -> tuple[str, list[str]]:
    """A file, and its tokens."""
    lines, tokens = [], []
    for number in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            lines.append(draw(BETWEEN))
        tokens.append(numbered(draw(WORD), number))
        lines.append(f"{tokens[-1]}{separator}{draw(TAG)}")
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    return draw(st.sampled_from(["", "\ufeff"])) + ends.join(lines) + ends, tokens


def shown(path: Path, read) -> Iterator[str]:
    for item in read(path):
        yield item.raw if isinstance(item, Rejected) else item.text


def lost(file: tuple[str, list[str]], folder: Path, read) -> list[str]:
    content, tokens = file
    path = folder / "x.txt"
    path.write_bytes(content.encode())
    everything = "\n".join(shown(path, read))
    return [token for token in tokens if token not in everything]


@given(st.one_of(files("\t"), files(" ")))
def test_no_token_is_lost_in_columns(tmp_path_factory, file):
    assert lost(file, tmp_path_factory.mktemp("f"), read_conll) == []


@given(files("\t"))
def test_no_token_is_lost_in_imgid_blocks(tmp_path_factory, file):
    assert lost(file, tmp_path_factory.mktemp("f"), read_twitter) == []


@pytest.mark.parametrize("start", ["-DOCSTART- -X- O\n", "-DOCSTART-\n", "-DOCSTART- -X- O O\n\n"])
def test_a_document_may_begin_without_a_blank_line(tmp_path, start):
    path = tmp_path / "a.conll"
    path.write_text(f"{start}Nora -X- _ B-PER\nflies -X- _ O\n{start}Ada -X- _ B-PER\n\n")
    assert [post.text for post in open_corpus(path)] == ["Nora flies", "Ada"]


def test_document_starts_and_comments_alone_are_no_posts(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("# origin = me\n-DOCSTART- -X- O\n\nNora -X- _ B-PER\n\n# the = end\n")
    assert [post.text for post in open_corpus(path)] == ["Nora"]
