from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from twofold.errors import DataError, ModelError
from twofold.model_folder.place import reserved, staging_folder


def test_a_path_that_is_free_empty_or_a_model_is_reserved(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").touch()
    for name in ("new/deep", "empty", "model"):
        with reserved(tmp_path / name) as place:
            assert place == tmp_path / name
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.parametrize("name", ["thesis", "file"])
def test_anything_but_a_model_is_refused_before_the_work(tmp_path, name):
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
def test_the_target_of_a_link_is_written(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/model")
    with reserved(tmp_path / "link") as place, staging_folder(place) as staging:
        staging.mkdir()
        assert staging.parent == tmp_path / "disk"
        staging.rename(place)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "model").is_dir()


def test_a_folder_that_cannot_be_created(tmp_path):
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
def test_a_full_disk_is_reported_with_its_path(tmp_path, error):
    held = reserved(tmp_path / "MODEL")
    held.__enter__()
    with pytest.raises(DataError, match="cannot be written: No space left on device") as caught:
        held.__exit__(type(error), error, None)
    assert caught.value.where.endswith("MODEL")
    assert len(str(caught.value)) < 300


def test_files_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "half").touch()
    with staging_folder(tmp_path / "model") as staging:
        assert not staging.exists()
        shutil.copytree(Path(__file__).parent, staging)
    assert not staging.exists()
