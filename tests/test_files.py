from __future__ import annotations

import pytest

from twofold.errors import DataError
from twofold.files import write_whole


def test_the_file_appears_whole_at_the_end(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with write_whole(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_others_may_read_it_as_any_file(tmp_path):
    (tmp_path / "plain").touch()
    with write_whole(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["nowhere/a", "folder"])
def test_where_no_file_can_be_written(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot be written"), write_whole(tmp_path / name):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
