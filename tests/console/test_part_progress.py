"""Progress of a run in shards: the time left is shown once it can be estimated, and is correct."""

from __future__ import annotations

import pytest

from twofold.console import part_progress
from twofold.console.part_progress import watch_parts


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(part_progress.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_is_shown_once_it_can_be_estimated(clock, capsys):
    progress = watch_parts(1000)
    for seconds, position in ((60, 400), (20, 500), (20, 600)):
        clock[0] += seconds
        progress.advance(10, 1, position)
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "twofold: 10 posts, 1 rejected, 40 %"  # the loading time is unknown
    assert second == "twofold: 20 posts, 0.5 posts/s, 2 rejected, 50 %, about 1 min 40 s left"
    assert third.endswith("60 %, about 1 min 20 s left")


def test_without_a_size_no_time_left_is_shown(clock, capsys):
    progress = watch_parts(0)
    for _ in range(3):
        clock[0] += 20
        progress.advance(400, 0, 0)
    assert capsys.readouterr().err.splitlines()[-1] == "twofold: 1,200 posts, 20.0 posts/s"


def test_it_does_not_flood_the_screen(clock, capsys):
    progress = watch_parts(1000)
    for position in range(100):
        clock[0] += 1
        progress.advance(1, 0, position)
    assert len(capsys.readouterr().err.splitlines()) == 6


def test_a_bar(clock, capsys, monkeypatch):
    monkeypatch.setattr(part_progress.sys.stderr, "isatty", lambda: True, raising=False)
    with watch_parts(1000) as progress:
        progress.log("said")
        progress.advance(10, 0, 400)
        clock[0] += 20
        progress.advance(10, 0, 500)
    assert "twofold: said" in capsys.readouterr().err
