from __future__ import annotations

import os

import pytest

from twofold.errors import DataError
from twofold.locks import lock_place, open_locked


def test_a_second_run_is_refused(tmp_path):
    with lock_place(tmp_path / "model"):
        with (
            pytest.raises(DataError, match="another run is writing there") as error,
            lock_place(tmp_path / "model"),
        ):
            pass
        assert error.value.where == str(tmp_path / "model")
        with lock_place(tmp_path / "other"):
            pass
    with lock_place(tmp_path / "model"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_lock_file_of_a_killed_run_blocks_no_other_run(tmp_path):
    (tmp_path / ".model.lock").touch()
    with lock_place(tmp_path / "model"):
        pass


def test_a_missing_folder(tmp_path):
    with pytest.raises(DataError, match="cannot be written"), lock_place(tmp_path / "gone" / "model"):
        pass


def test_a_file_that_is_renamed_while_it_is_locked_is_not_written(tmp_path, monkeypatch):
    from twofold import locks

    part, place, take = tmp_path / "a.part", tmp_path / "a", locks.take
    part.write_bytes(b"of the first run")

    def finish_the_first_run_and_take(handle: int) -> bool:
        if part.exists() and part.read_bytes():
            part.replace(place)
        return take(handle)

    monkeypatch.setattr(locks, "take", finish_the_first_run_and_take)
    handle = open_locked(part)
    os.write(handle, b"second")
    os.close(handle)
    assert place.read_bytes() == b"of the first run"
    assert part.read_bytes() == b"second"
