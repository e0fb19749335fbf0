"""Adds regions to posts with pictures: resumable, each distinct picture processed once.

Regions are cached by the content of the picture in a file beside the result until the run ends, so that an
interrupted run can be resumed. Detectors are used only through their interface.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL.Image import Image

from twofold.corpora.convert import convert
from twofold.corpora.regions import parse_region, region_record
from twofold.detectors.contract import Detector
from twofold.errors import DataError, PictureError
from twofold.files import OutputFile
from twofold.locks import lock_place
from twofold.posts import Post, Region, Rejected
from twofold.preprocessing.images import read_thumbnail
from twofold.preprocessing.picture_files import content_hash

Log = Callable[[str], None]

LONGEST = 1333
"""Pixels of the longer side of the pictures that detectors get, as DETR was trained."""
_BATCH_SIZE = 8


@dataclass(slots=True)
class DetectionResult:
    """The result of `prepare`.

    Attributes:
        posts: posts written.
        pictures: distinct pictures processed, in this run or before.
        regions: regions of all posts, including those they had before.
        unreadable: "post id: reason" of each picture that could not be read.
        rejected: records of the source that could not be read.
    """

    posts: int = 0
    pictures: int = 0
    regions: int = 0
    unreadable: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 success, 1 something could not be read, 2 nothing was written."""
        if not self.posts:
            return 2
        return int(bool(self.unreadable or self.rejected))


def prepare(
    items: Callable[[], Iterable[Post | Rejected]],
    detectors: Sequence[Detector],
    target: Path,
    log: Log,
    *,
    most: int = 10,
    fresh: bool = False,
    inputs: Sequence[Path] = (),
) -> DetectionResult:
    """Write posts with the regions of their pictures; the file appears only when it is complete.

    Regions of the kinds of the detectors are replaced; those of other kinds are kept.

    Args:
        items: returns the posts; called twice.
        detectors: detectors to run on the pictures.
        target: the JSON Lines file.
        log: called with a line of progress after each batch.
        most: maximum number of regions per picture and detector, the first ones.
        fresh: ignore the cache of an interrupted run.
        inputs: files that the posts are read from; none of them may be the target.

    Raises:
        DataError: a file cannot be written, another run writes it, or the cache there is of other
            detectors.
    """
    OutputFile(target, inputs).abandon()  # raises before the work if the file cannot be written
    with lock_place(target):
        return _prepared(items, detectors, target, log, most, fresh)


def _prepared(
    items: Callable[[], Iterable[Post | Rejected]],
    detectors: Sequence[Detector],
    target: Path,
    log: Log,
    most: int,
    fresh: bool,
) -> DetectionResult:
    names = [f"{detector.name} {most}" for detector in detectors]
    cache = DetectionCache(target.with_name(f"{target.name}.regions"), names, fresh)
    result = DetectionResult()
    keys = _detect_all(items(), detectors, cache, most, log, result)
    kinds = {detector.kind for detector in detectors}

    def with_regions(numbered: tuple[int, Post]) -> Post:
        number, post = numbered
        regions = cache.regions(keys[number])
        if regions is None:
            return post
        kept = [region for region in post.regions or () if region.kind not in kinds]
        result.regions += len(kept) + len(regions)
        return dataclasses.replace(post, regions=(*kept, *regions))

    posts = (item for item in items() if isinstance(item, Post))
    result.posts = convert(map(with_regions, enumerate(posts)), target, "jsonl").written
    result.pictures = len(cache)
    cache.remove()
    return result


def _detect_all(
    items: Iterable[Post | Rejected],
    detectors: Sequence[Detector],
    cache: DetectionCache,
    most: int,
    log: Log,
    result: DetectionResult,
) -> list[str]:
    """Process every picture that is not in the cache; return the key of each post's picture, "" for none."""
    keys: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for batch in _batches(items, result):
            read = list(pool.map(lambda post: _read(post, cache), batch))
            new = {key: picture for key, picture, _ in read if picture is not None}
            if new:
                cache.add(_detect(new, detectors, most))
            for post, (key, _, problem) in zip(batch, read, strict=True):
                keys.append("" if problem else key)
                result.unreadable += [f"{post.id}: {problem}"] if problem else []
            log(f"{len(keys)} posts, {len(cache)} pictures processed")
    return keys


def _batches(items: Iterable[Post | Rejected], result: DetectionResult) -> Iterator[list[Post]]:
    batch: list[Post] = []
    for item in items:
        if isinstance(item, Rejected):
            result.rejected.append(item)
            continue
        batch.append(item)
        if len(batch) == _BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(post: Post, cache: DetectionCache) -> tuple[str, Image | None, str]:
    """Key of the post's picture, the picture if it is not in the cache, and why it cannot be read, or ""."""
    if post.image is None:
        return "", None, ""
    try:
        key = content_hash(post.image)
        return key, None if key in cache else read_thumbnail(post.image, LONGEST), ""
    except PictureError as error:
        return "", None, str(error)


def _detect(
    pictures: Mapping[str, Image], detectors: Sequence[Detector], most: int
) -> dict[str, list[Region]]:
    found: dict[str, list[Region]] = {key: [] for key in pictures}
    for detector in detectors:
        for key, regions in zip(pictures, detector.detect(list(pictures.values())), strict=True):
            found[key] += regions[:most]
    return found


class DetectionCache:
    """Regions by content of picture, in a file that grows as they are found.

    Args:
        path: the file; an existing one is continued after its last complete line.
        names: names of the detectors and options, with everything that the regions depend on.
        fresh: start from scratch.

    Raises:
        DataError: the existing file is of other detectors.
    """

    def __init__(self, path: Path, names: Sequence[str], fresh: bool = False) -> None:
        self._path = path
        self._found: dict[str, list[Region]] = {}
        head = {"detectors": list(names)}
        if fresh or not path.exists():
            self._start(head)
        else:
            self._resume(head)

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def __len__(self) -> int:
        return len(self._found)

    def regions(self, key: str) -> list[Region] | None:
        """Regions of a picture; None where it was not processed."""
        return self._found.get(key)

    def add(self, found: Mapping[str, Sequence[Region]]) -> None:
        """Store regions of pictures."""
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            for key, regions in found.items():
                record = {"picture": key, "regions": [region_record(region) for region in regions]}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._found.update({key: list(regions) for key, regions in found.items()})

    def remove(self) -> None:
        """Delete the file, at the end of the run."""
        self._path.unlink(missing_ok=True)

    def _start(self, head: Mapping[str, Any]) -> None:
        try:
            self._path.write_text(json.dumps(head) + "\n", encoding="utf-8", newline="\n")
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", where=str(self._path)) from error

    def _resume(self, head: Mapping[str, Any]) -> None:
        complete = self._path.read_bytes().rpartition(b"\n")[0]  # without a line cut off by a kill
        lines = complete.decode("utf-8").split("\n")
        if lines[0] != json.dumps(head):
            raise DataError(
                "an unfinished run there used other detectors or options",
                where=str(self._path),
                expected=f"regions of {', '.join(head['detectors'])}",
                do="use --restart to start again",
            )
        self._path.write_bytes(complete + b"\n")
        for line in lines[1:]:
            record = json.loads(line)
            self._found[record["picture"]] = [parse_region(item) for item in record["regions"]]
