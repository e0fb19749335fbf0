"""From posts with pictures to the same posts with regions: resumable, each distinct picture processed once.

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
"""Pixels of the longer side at which pictures are looked at, as DETR was trained."""
_AT_ONCE = 8


@dataclass(slots=True)
class DetectionResult:
    """What was done.

    Attributes:
        posts: posts written.
        pictures: distinct pictures processed, in this run or before.
        regions: regions of all posts, those of before included.
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
        """0 all well, 1 something could not be read, 2 nothing was written."""
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
    """Write posts with the regions of their pictures; the file appears whole at the end.

    Regions of the kinds of the detectors are replaced; those of other kinds are kept.

    Args:
        items: returns the posts; called twice.
        detectors: to run on the pictures.
        target: the JSON Lines file.
        log: called with a line of progress now and then.
        most: regions of a picture and detector at most, the first ones.
        fresh: ignore the cache of an interrupted run.
        inputs: files that the posts are read from; none of them may be the target.

    Raises:
        DataError: a file cannot be written, another run writes it, or the work left there is of other
            detectors.
    """
    OutputFile(target, inputs).abandon()  # whether it can be written is known before the work
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
    keys = _look(items(), detectors, cache, most, log, result)
    kinds = {detector.kind for detector in detectors}

    def found(numbered: tuple[int, Post]) -> Post:
        number, post = numbered
        regions = cache.regions(keys[number])
        if regions is None:
            return post
        kept = [region for region in post.regions or () if region.kind not in kinds]
        result.regions += len(kept) + len(regions)
        return dataclasses.replace(post, regions=(*kept, *regions))

    posts = (item for item in items() if isinstance(item, Post))
    result.posts = convert(map(found, enumerate(posts)), target, "jsonl").written
    result.pictures = len(cache)
    cache.remove()
    return result


def _look(
    items: Iterable[Post | Rejected],
    detectors: Sequence[Detector],
    cache: DetectionCache,
    most: int,
    log: Log,
    result: DetectionResult,
) -> list[str]:
    """Look at every picture that was not looked at; the key of each post's picture, "" for none."""
    keys: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for group in _groups(items, result):
            read = list(pool.map(lambda post: _read(post, cache), group))
            fresh = {key: picture for key, picture, _ in read if picture is not None}
            if fresh:
                cache.add(_found(fresh, detectors, most))
            for post, (key, _, trouble) in zip(group, read, strict=True):
                keys.append("" if trouble else key)
                result.unreadable += [f"{post.id}: {trouble}"] if trouble else []
            log(f"{len(keys)} posts, {len(cache)} pictures processed")
    return keys


def _groups(items: Iterable[Post | Rejected], result: DetectionResult) -> Iterator[list[Post]]:
    group: list[Post] = []
    for item in items:
        if isinstance(item, Rejected):
            result.rejected.append(item)
            continue
        group.append(item)
        if len(group) == _AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _read(post: Post, cache: DetectionCache) -> tuple[str, Image | None, str]:
    """Key of the post's picture, the picture if it must be looked at, and what is wrong with it."""
    if post.image is None:
        return "", None, ""
    try:
        key = content_hash(post.image)
        return key, None if key in cache else read_thumbnail(post.image, LONGEST), ""
    except PictureError as error:
        return "", None, str(error)


def _found(
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
        path: the file; one that exists is continued, up to its last whole line.
        names: of the detectors and options, with everything that the regions depend on.
        fresh: start from scratch.

    Raises:
        DataError: the file there is of other detectors.
    """

    def __init__(self, path: Path, names: Sequence[str], fresh: bool = False) -> None:
        self._path = path
        self._found: dict[str, list[Region]] = {}
        head = {"detectors": list(names)}
        if fresh or not path.exists():
            self._start(head)
        else:
            self._go_on(head)

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

    def _go_on(self, head: Mapping[str, Any]) -> None:
        whole = self._path.read_bytes().rpartition(b"\n")[0]  # what a kill left of a line is dropped
        lines = whole.decode("utf-8").split("\n")
        if lines[0] != json.dumps(head):
            raise DataError(
                "an unfinished run there looked with other detectors or options",
                where=str(self._path),
                expected=f"work of {', '.join(head['detectors'])}",
                do="use --fresh to begin anew",
            )
        self._path.write_bytes(whole + b"\n")
        for line in lines[1:]:
            record = json.loads(line)
            self._found[record["picture"]] = [parse_region(item) for item in record["regions"]]
