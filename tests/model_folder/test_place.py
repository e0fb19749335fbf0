from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from twofold.errors import DataError, ModelError
from twofold.model_folder.place import part_of, reserved


def test_a_place_that_is_free_empty_or_a_model(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").touch()
    for name in ("new/deep", "empty", "model"):
        with reserved(tmp_path / name) as place:
            assert place == tmp_path / name
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.parametrize("name", ["thesis", "file"])
def test_what_is_no_model_is_refused_before_the_work(tmp_path, name):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    (tmp_path / "file").touch()
    with (
        pytest.raises(ModelError, match="taken by something that is not a model folder"),
        reserved(tmp_path / name),
    ):
        pytest.fail("the work began")


def test_a_second_run_is_refused(tmp_path):
    with reserved(tmp_path / "model"):
        with pytest.raises(DataError, match="another run is writing there"), reserved(tmp_path / "model"):
            pytest.fail("the work began")
        with reserved(tmp_path / "other"):
            pass


@pytest.mark.skipif(os.name == "nt", reason="links as POSIX has them")
def test_of_a_link_the_folder_it_leads_to(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/model")
    with reserved(tmp_path / "link") as place, part_of(place) as part:
        part.mkdir()
        assert part.parent == tmp_path / "disk"
        part.rename(place)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "model").is_dir()


def test_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"), reserved(tmp_path / "file" / "model"):
        pytest.fail("the work began")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        shutil.Error([("a", "MODEL", "No space left on device"), ("b", "c", "d")] * 10),
    ],
)
def test_a_full_disk_is_named_with_its_place(tmp_path, error):
    held = reserved(tmp_path / "MODEL")
    held.__enter__()
    with pytest.raises(DataError, match="cannot be written: No space left on device") as caught:
        held.__exit__(type(error), error, None)
    assert caught.value.where.endswith("MODEL")
    assert len(str(caught.value)) < 300


def test_what_a_killed_run_left_is_cleared(tmp_path):
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "half").touch()
    with part_of(tmp_path / "model") as part:
        assert not part.exists()
        shutil.copytree(Path(__file__).parent, part)
    assert not part.exists()
