"""A cache of picture features on disk; the key is the content of the picture.

It does not know how features are computed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twofold.errors import DataError
from twofold.reading import open_file


class FeatureCache:
    """A folder with one file of features for each picture.

    Any number of processes may share a folder: a file is written under another name and then
    renamed. A file that cannot be read, or whose features are not finite, counts as absent and is deleted.

    Args:
        folder: holds the files; created if absent.
        fingerprint: everything the features depend on besides the picture (weights, sizes,
            normalisation); files of another fingerprint are never found.

    Raises:
        DataError: where the folder cannot be created.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder / hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
        with self._writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> NDArray[np.float16] | None:
        """Features stored under a content hash, in the shape they were stored; None where there are none."""
        path = self._path(key)
        try:
            with open_file(path) as stream:
                array: object = np.load(stream, allow_pickle=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, MemoryError):  # a truncated file
            array = None
        if isinstance(array, np.ndarray) and array.dtype == np.float16 and np.isfinite(array).all():
            return array
        with self._writing(path):
            path.unlink(missing_ok=True)
        return None

    def put(self, key: str, array: NDArray[np.floating]) -> None:
        """Store features under a content hash, as float16 (values beyond ±65504 are clipped).

        Raises:
            DataError: where the file cannot be written, or features are NaN or infinite.
        """
        path = self._path(key)
        if not np.isfinite(array).all():
            raise DataError(
                "features of a picture are NaN or infinite",
                where=str(path),
                do="get the weights of the picture encoder again",
            )
        with self._writing(path):
            path.parent.mkdir(exist_ok=True)
            _write_whole(path, np.clip(array, -65504, 65504).astype(np.float16))

    def _path(self, key: str) -> Path:
        if not key.isalnum():
            raise ValueError(f"a content hash is letters and digits, not {key!r}")
        return self._folder / key[:2] / f"{key}.npy"

    @staticmethod
    @contextlib.contextmanager
    def _writing(path: Path) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no file can have such a name"
            raise DataError(
                f"the cache of picture features cannot be written: {reason}",
                where=str(path),
                do="choose another folder, or free some space",
            ) from error


def _write_whole(path: Path, array: NDArray[np.float16]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, array, allow_pickle=False)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
