"""From posts with pictures to the same posts with regions: resumable, each distinct picture looked at once.

Findings are kept by the content of the picture in a file beside the result while the work lasts, so that a
run that was killed goes on where it was. It knows detectors by their contract only.
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
from twofold.preprocessing.images import content_hash, read_thumbnail

Tell = Callable[[str], None]

LONGEST = 1333
"""Pixels of the longer side at which pictures are looked at, as DETR was trained."""
_AT_ONCE = 8


@dataclass(slots=True)
class Preparation:
    """What became of it.

    Attributes:
        posts: posts written.
        pictures: distinct pictures that were looked at, in this run or before.
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
    tell: Tell,
    *,
    most: int = 10,
    fresh: bool = False,
    inputs: Sequence[Path] = (),
) -> Preparation:
    """Write posts with the regions of their pictures; the file appears whole at the end.

    Regions of a kind that a detector finds are new; those of other kinds stay as they were.

    Args:
        items: gives the posts, twice.
        detectors: what looks at the pictures.
        target: the JSON Lines file.
        tell: gets a line of progress now and then.
        most: regions of a picture and detector at most, the first ones.
        fresh: forget what a run that was cut off had found.
        inputs: files that the posts are read from; none of them may be the target.

    Raises:
        DataError: a file cannot be written, another run writes it, or the work left there is of other
            detectors.
    """
    OutputFile(target, inputs).abandon()  # whether it can be written is known before the work
    with lock_place(target):
        return _prepared(items, detectors, target, tell, most, fresh)


def _prepared(
    items: Callable[[], Iterable[Post | Rejected]],
    detectors: Sequence[Detector],
    target: Path,
    tell: Tell,
    most: int,
    fresh: bool,
) -> Preparation:
    names = [f"{detector.name} {most}" for detector in detectors]
    findings = Findings(target.with_name(f"{target.name}.regions"), names, fresh)
    result = Preparation()
    keys = _look(items(), detectors, findings, most, tell, result)
    kinds = {detector.kind for detector in detectors}

    def found(numbered: tuple[int, Post]) -> Post:
        number, post = numbered
        regions = findings.regions(keys[number])
        if regions is None:
            return post
        kept = [region for region in post.regions or () if region.kind not in kinds]
        result.regions += len(kept) + len(regions)
        return dataclasses.replace(post, regions=(*kept, *regions))

    posts = (item for item in items() if isinstance(item, Post))
    result.posts = convert(map(found, enumerate(posts)), target, "jsonl").written
    result.pictures = len(findings)
    findings.remove()
    return result


def _look(
    items: Iterable[Post | Rejected],
    detectors: Sequence[Detector],
    findings: Findings,
    most: int,
    tell: Tell,
    result: Preparation,
) -> list[str]:
    """Look at every picture that was not looked at; the key of each post's picture, "" for none."""
    keys: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for group in _groups(items, result):
            read = list(pool.map(lambda post: _read(post, findings), group))
            fresh = {key: picture for key, picture, _ in read if picture is not None}
            if fresh:
                findings.add(_found(fresh, detectors, most))
            for post, (key, _, trouble) in zip(group, read, strict=True):
                keys.append("" if trouble else key)
                result.unreadable += [f"{post.id}: {trouble}"] if trouble else []
            tell(f"{len(keys)} posts, {len(findings)} pictures looked at")
    return keys


def _groups(items: Iterable[Post | Rejected], result: Preparation) -> Iterator[list[Post]]:
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


def _read(post: Post, findings: Findings) -> tuple[str, Image | None, str]:
    """Key of the post's picture, the picture if it must be looked at, and what is wrong with it."""
    if post.image is None:
        return "", None, ""
    try:
        key = content_hash(post.image)
        return key, None if key in findings else read_thumbnail(post.image, LONGEST), ""
    except PictureError as error:
        return "", None, str(error)


def _found(
    pictures: Mapping[str, Image], detectors: Sequence[Detector], most: int
) -> dict[str, list[Region]]:
    found: dict[str, list[Region]] = {key: [] for key in pictures}
    for detector in detectors:
        for key, regions in zip(pictures, detector.find(list(pictures.values())), strict=True):
            found[key] += regions[:most]
    return found


class Findings:
    """Regions by content of picture, in a file that grows as they are found.

    Args:
        path: the file; one that is there is gone on with, up to its last whole line.
        names: of the detectors with all that their findings depend on.
        fresh: begin anew.

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
        """What was found in a picture; None where nobody looked."""
        return self._found.get(key)

    def add(self, found: Mapping[str, Sequence[Region]]) -> None:
        """Keep what was found."""
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            for key, regions in found.items():
                record = {"picture": key, "regions": [region_record(region) for region in regions]}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._found.update({key: list(regions) for key, regions in found.items()})

    def remove(self) -> None:
        """The work is done."""
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
