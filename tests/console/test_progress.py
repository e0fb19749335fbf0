"""Progress on terminals and in logs."""

from __future__ import annotations

import sys

import pytest

from twofold.console import progress
from twofold.console.progress import count_lines, watch
from twofold.posts import Post


@pytest.mark.parametrize(("data", "lines"), [(b"", 1), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)])
def test_lines_are_counted(tmp_path, data, lines):
    path = tmp_path / "posts"
    path.write_bytes(data)
    assert count_lines(path) == lines


def test_occasional_plain_lines(tmp_path, monkeypatch, capsys):
    clock = iter([0.0, 16.0, 20.0, 36.0, 37.0, *[38.0] * 7, 56.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    path = tmp_path / "posts"
    path.write_bytes(b"x\n" * 30)
    with watch(path, bar=True) as shown:
        for line in (5, 10, 15, 16, *[16] * 7, 20):
            shown.step(Post(1, "x", origin=f"posts:{line}"))
        shown.log("a\x1bb")
    assert capsys.readouterr().err == (
        "twofold: 1 post, 17 %\n"  # the time before the first post does not count
        "twofold: 3 posts, 0.1 posts/s, 50 %\n"  # too few posts to estimate the time left
        "twofold: 12 posts, 0.3 posts/s, 67 %, about 27 s left\n"
        "twofold: a\\x1bb\n"
    )


def test_no_time_left_is_shown_for_a_stream(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    with watch(None, bar=True) as shown:
        shown.step(Post(1, "x", origin="<stdin>:1"))
    assert "left" not in capsys.readouterr().err


def test_a_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    path = tmp_path / "posts"
    path.write_bytes(b"x\n" * 4)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    with watch(path, bar=True) as shown:
        shown.log("watch [out]")
        for line in range(1, 5):
            shown.step(Post(line, "x", origin=f"posts:{line}"))
    assert "twofold: watch [out]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.2, "3 s"), (75, "1 min 15 s"), (7265, "2 h 1 min"), (59.6, "1 min 0 s")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "seconds", "text"),
    [(0, 20.0, ""), (1, 0.5, ""), (1, 20.0, ", 20 s per post"), (30, 20.0, ", 1.5 posts/s")],
)
def test_no_speed_before_it_can_be_measured(count, seconds, text):
    assert progress.posts_per_second(count, seconds) == text


def test_counts_have_singular_and_plural():
    assert [progress.counted(count, "post") for count in (0, 1, 2, 1000)] == [
        "0 posts",
        "1 post",
        "2 posts",
        "1,000 posts",
    ]
