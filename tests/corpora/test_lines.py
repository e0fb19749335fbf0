from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.corpora.lines import Line, decode, read_blocks, read_lines, rejected, too_long
from twofold.errors import InputError


def lines(data: bytes, limit: int = 1000) -> list[Line]:
    return list(read_lines(io.BytesIO(data), limit))


def test_only_the_line_feed_ends_a_line():
    text = "a\x85b\u2028c\rd\x0be\x1cf\n".encode()
    assert lines(text) == [Line(1, text[:-1])]


def test_windows_line_ends_and_byte_order_mark_are_removed():
    assert lines(b"\xef\xbb\xbfa\r\nb\r\n") == [Line(1, b"a"), Line(2, b"b")]


def test_blank_lines_are_lines_and_the_last_line_end_is_not():
    assert [line.data for line in lines(b"\na\n\n")] == [b"", b"a", b""]


@given(st.lists(st.binary().map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), min_size=1))
def test_lines_come_back_whole(datas):
    datas = [data.removeprefix(b"\xef\xbb\xbf") or b"x" for data in datas]
    assert [line.data for line in lines(b"\n".join(datas), 10**6)] == datas


def test_a_line_over_the_limit_keeps_only_its_beginning_and_the_next_is_whole():
    long, after = lines(b"x" * 5_000_000 + b"\nafter\n", limit=2000)
    assert not long.whole
    assert len(long.data) < 2000
    assert after == Line(2, b"after")


def test_a_line_of_just_the_limit_is_whole():
    assert lines(b"x" * 10 + b"\n" + b"y" * 10, limit=10) == [Line(1, b"x" * 10), Line(2, b"y" * 10)]


def test_blocks_end_at_blank_lines_and_at_headers():
    data = b"a\nb\n\n\t\nc\n#d\ne\n"
    blocks = list(read_blocks(lines(data), lambda line: line.startswith(b"#")))
    assert [(block.number, [line.data for line in block.lines]) for block in blocks] == [
        (1, [b"a", b"b"]),
        (5, [b"c"]),
        (6, [b"#d", b"e"]),
    ]


def test_a_no_break_space_is_not_a_blank_line():
    (block,) = read_blocks(lines("a\tO\n\u00a0\tO\nb\tO\n".encode()), lambda line: False)
    assert len(block.lines) == 3


def test_a_block_over_the_limit_is_not_whole_and_the_next_one_is():
    long, after = read_blocks(lines(b"aaaa\n" * 100 + b"\nb\n"), lambda line: False, limit=40)
    assert not long.whole
    assert len(long.lines) <= 11
    assert after.whole


def test_decode_says_which_byte_is_wrong():
    with pytest.raises(InputError, match=r"f:3: byte 0xff at position 2 is not UTF-8; expected .*; save"):
        decode(b"ab\xff", "f:3")


def test_rejected_says_the_origin_once_and_escapes_bytes():
    item = rejected(InputError("bad", where="f:3", expected="good"), b"\xffa")
    assert (item.origin, item.reason, item.raw) == ("f:3", "bad; expected good", "\\xffa")


def test_too_long_says_the_limit():
    assert "longer than 64 MB" in str(too_long("f:1"))
