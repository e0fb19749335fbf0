"""The cache of picture features: what is stored comes back, whatever else is in the folder."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from twofold.errors import DataError
from twofold.preprocessing.feature_cache import FeatureCache

KEY = "ab" * 32


def test_cache_returns_what_was_put(tmp_path: Path) -> None:
    cache, array = FeatureCache(tmp_path, "weights 1"), np.random.default_rng(0).normal(size=(49, 8))
    assert cache.get(KEY) is None
    cache.put(KEY, array)
    stored = cache.get(KEY)
    assert stored is not None
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, array.astype(np.float16))
    assert FeatureCache(tmp_path, "weights 2").get(KEY) is None
    assert not list(tmp_path.rglob(".part-*"))


def test_cache_clips_values_beyond_float16(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, "w")
    cache.put(KEY, np.array([1e9, -1e9, 1.0], np.float32))
    np.testing.assert_array_equal(cache.get(KEY), np.array([65504, -65504, 1], np.float16))


def write_zip(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "header only": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "pickle": lambda path: np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True),
    "another type": lambda path: np.save(path, np.zeros(3, np.float64)),
    "an archive": write_zip,
    "huge shape": lambda path: path.write_bytes(path.read_bytes().replace(b"(49, 8)", b"(9999999999, 8)")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_file_is_a_miss_and_is_deleted(damage: str, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, "w")
    cache.put(KEY, np.ones((49, 8)))
    (path,) = tmp_path.rglob("*.npy")
    DAMAGE[damage](path)
    assert cache.get(KEY) is None
    assert not path.exists()
    cache.put(KEY, np.ones((49, 8)))
    assert cache.get(KEY) is not None


def test_keys_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="content hash"):
        FeatureCache(tmp_path, "w").get("../../etc/passwd")


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(DataError, match="cache of picture features cannot be written"):
        FeatureCache(tmp_path / "file" / "cache", "w")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FeatureCache(tmp_path, "w")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match="No space left"):
        cache.put(KEY, np.ones(3))
    assert not list(tmp_path.rglob(".part-*"))
    assert cache.get(KEY) is None


def put_many(folder: str, value: int) -> None:
    cache = FeatureCache(Path(folder), "w")
    for _ in range(100):
        cache.put(KEY, np.full((49, 64), value))


def test_two_processes_write_the_same_picture(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=put_many, args=(str(tmp_path), value)) for value in (1, 2)]
    for writer in writers:
        writer.start()
    cache, seen = FeatureCache(tmp_path, "w"), 0
    while any(writer.is_alive() for writer in writers):
        stored = cache.get(KEY)
        if stored is not None:
            seen += 1
            assert stored.shape == (49, 64)
            assert stored.min() == stored.max()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen
    assert not list(tmp_path.rglob(".part-*"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_and_never_returned(tmp_path: Path, value: float) -> None:
    cache = FeatureCache(tmp_path, "w")
    with pytest.raises(DataError, match="features of a picture are NaN or infinite"):
        cache.put(KEY, np.array([1.0, value]))
    assert cache.get(KEY) is None
    cache.put(KEY, np.ones(2))
    (file,) = tmp_path.rglob("*.npy")
    np.save(file, np.array([1.0, value], np.float16))
    assert cache.get(KEY) is None
    assert not file.exists()


@pytest.mark.skipif(os.name == "nt", reason="no pipes in folders there")
def test_a_pipe_instead_of_a_file_does_not_block(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, "f")
    cache.put(KEY, np.ones(3, np.float32))
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.unlink()
    os.mkfifo(file)
    assert cache.get(KEY) is None
    assert not file.exists()
    file.mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        cache.get(KEY)
