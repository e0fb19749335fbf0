"""Where parts are written, and the records by which a killed run is resumed.

A single file grows as ``NAME.part``; ``NAME.journal`` beside it has a line for each part that is safely in
it. A folder has a file for each part, and a record of each in ``_manifest``. Both appear whole, the record
after the part. Whatever a killed run wrote after its last record is written again. This module does not know
what a part contains.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from twofold.batch.counts import Counts
from twofold.batch.inputs import as_data_error, file_system, is_address
from twofold.batch.job import DISCARD, JobRecord, check_same
from twofold.batch.part_formats import assemble_parquet
from twofold.batch.step import Part
from twofold.errors import DataError
from twofold.files import Input, OutputFile, Outputs, write_whole
from twofold.locks import lock_place
from twofold.reading import read_bytes, real_path

_REJECTS, _MANIFEST, _JOB, _DONE = "_rejects", "_manifest", "_manifest/job.json", "_manifest/done.json"
_RECORDS = f"{_MANIFEST}/part-"
_RUN_FILES = re.compile(r"part-\d+\.[a-z.]+|_rejects/part-\d+\.jsonl|_manifest/(?:part-\d+|job|done)\.json")
"""Names of the files that a run writes; no others are read or removed."""
_HEAD = b'{"job": '
_RESUME = "give the same command again to resume"


@dataclass(frozen=True, slots=True)
class DonePart:
    """A part that is safely written.

    Attributes:
        number, rows, digest: of its shard.
        counts: of its shard.
        output: for a file, its bytes up to the end of the part; for a folder, bytes of the part.
        rejects: for a file, bytes of the rejects file up to the end of the part; 0 for a folder.
    """

    number: int
    rows: int
    digest: str
    counts: Counts
    output: int = 0
    rejects: int = 0

    def line(self) -> bytes:
        """The record as a line of JSON, including the line end."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> DonePart | None:
        """Parse such a line; None if it is incomplete or is something else."""
        if not data.endswith(b"\n"):
            return None
        try:
            record = json.loads(data)
            part = cls(**{**record, "counts": Counts(**record["counts"])})
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        numbers = (part.number, part.rows, part.output, part.rejects, *vars(part.counts).values())
        valid = all(type(number) is int and number >= 0 for number in numbers)
        return part if valid and isinstance(part.digest, str) else None


class Destination(AbstractContextManager["Destination"], Protocol):
    """Stores parts.

    Attributes:
        done: parts that earlier runs wrote, by number.
        complete: whether earlier runs wrote all of them.
    """

    done: dict[int, DonePart]
    complete: bool

    def add(self, part: Part) -> None:
        """Write a part; it is on disk when this returns."""

    def finish(self, counts: Counts) -> None:
        """Complete the output, after all parts were added."""


class FileDestination(Destination):
    """One file, and optionally one of rejected records; parts must come in order.

    Args:
        outputs: the outputs of the command, which open the files.
        path: the file.
        rejects: file of rejected records; None for none.
        job: what identifies the run.
        format_: of the parts.
        carried: input columns that are copied to the output.
        restart: whether to discard the results of an unfinished run.

    Raises:
        DataError: a file cannot be written, or another run is writing it.
        ConfigError: there is an unfinished run with another model, input or options.
    """

    def __init__(
        self,
        outputs: Outputs,
        path: Path,
        rejects: Path | None,
        job: JobRecord,
        *,
        format_: str = "jsonl",
        carried: tuple[str, ...] = (),
        restart: bool = False,
    ) -> None:
        self.complete, self.done = False, {}
        self._carried = carried
        self._parquet = path if format_ == "parquet" else None
        growing = path.with_name(f"{path.name}.shards") if self._parquet else path
        if self._parquet:
            outputs.check(self._parquet)
        self._output = outputs.open(growing, keep_part=True)
        self._rejects: OutputFile | None = None
        self._log: io.FileIO | None = None
        self._journal = path.with_name(f"{path.name}.journal")
        try:
            if rejects is not None:
                self._rejects = outputs.open(rejects, keep_part=True)
            if not self._output.direct:
                self._resume(job, restart)
        except BaseException:
            self._abandon()
            raise

    def _resume(self, job: JobRecord, restart: bool) -> None:
        """Read the journal of an unfinished run, or start a new one."""
        lines = _lines_of(self._journal)
        if lines and lines[0][: len(_HEAD)] != _HEAD[: len(lines[0])]:
            raise DataError(
                "is not the journal of a run",
                where=str(self._journal),
                expected="no file of this name, or the journal of an unfinished run",
                do="move it, or name another output",
            )
        sizes = self._output.part_size, self._rejects.part_size if self._rejects else 0
        before = (0, 0)
        for line in [] if restart else lines[1:]:
            entry = DonePart.parse(line)
            if entry is None or entry.number != len(self.done):
                break  # the run was killed while it wrote this line
            ends = entry.output, entry.rejects
            if any(not low <= end <= high for low, end, high in zip(before, ends, sizes, strict=True)):
                break  # the end of the file was lost, as in a power cut
            self.done[entry.number], before = entry, ends
        if self.done:
            where = str(self._journal)
            check_same(_object(lines[0], where, "job"), job, str(self._output.path))
            last = max(self.done.values(), key=lambda entry: entry.number)
            self._output.resume(last.output)
            if self._rejects is not None:
                self._rejects.resume(last.rejects)
        head = json.dumps({"job": job}).encode() + b"\n"
        kept = head + b"".join(entry.line() for entry in self.done.values())
        with write_whole(self._journal) as journal:
            journal.write(kept)
        self._log = io.FileIO(self._journal, "ab")

    def add(self, part: Part) -> None:
        """See `Destination`."""
        self._output.write(part.output)
        if self._rejects is not None:
            self._rejects.write(part.rejects)
        if self._log is None:
            return
        output, rejects = self._output.synchronise(), self._rejects.synchronise() if self._rejects else 0
        entry = DonePart(part.number, part.rows, part.digest, part.counts, output, rejects)
        _to_disk(self._log.fileno(), entry.line(), self._journal)
        self.done[part.number] = entry

    def finish(self, counts: Counts) -> None:
        """See `Destination`; if all records were rejected, an older output is kept."""
        if self._parquet is not None and not counts.nothing_done:
            with write_whole(self._parquet) as output:
                assemble_parquet(self._parts(), self._carried, output.write)
        try:
            self._output.finish(keep=self._parquet is None and not counts.nothing_done)
        finally:
            if self._rejects is not None:
                self._rejects.finish()
        if self._log is not None:
            self._log.close()
            self._journal.unlink(missing_ok=True)

    def _parts(self) -> Iterator[bytes]:
        begin = 0
        for number in sorted(self.done):
            end = self.done[number].output
            yield self._output.read_part(begin, end)
            begin = end

    def _abandon(self) -> None:
        self._output.abandon()
        if self._rejects is not None:
            self._rejects.abandon()
        if self._log is None:
            return
        self._log.close()
        if not self.done:
            self._journal.unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandon()  # does nothing after `finish`


def unfinished(path: Path) -> Path | None:
    """The journal of an unfinished run that writes this file; None if there is none."""
    journal = path.with_name(f"{path.name}.journal")
    return journal if journal.is_file() else None


class FolderDestination(Destination):
    """A folder of parts; they may come in any order.

    Args:
        place: the folder, or an address that fsspec supports.
        job: what identifies the run.
        format_: of the parts.
        rejects: file for the rejected records of all parts, written at the end; None for none.
        inputs: files that are read during the run.
        restart: whether to discard the results of an earlier run.

    Raises:
        DataError: it cannot be written, holds other files, or another run (on this machine) is writing it.
        ConfigError: it has results of a run with another model, input or options.
    """

    def __init__(
        self,
        place: str,
        job: JobRecord,
        *,
        format_: str = "jsonl",
        rejects: Path | None = None,
        inputs: Iterable[Input] = (),
        restart: bool = False,
    ) -> None:
        self._format, self._job = format_, job
        self._stack = ExitStack()
        self._store: _Store = _RemoteStore(place) if is_address(place) else _LocalStore(Path(place))
        self.done, self.complete = {}, False
        try:
            if isinstance(self._store, _LocalStore):
                self._store.make()
                self._stack.enter_context(lock_place(real_path(place)))
            self._rejects: OutputFile | None = None
            if rejects is not None:
                self._rejects = OutputFile(rejects, inputs)
                self._stack.callback(self._rejects.abandon)  # does nothing once it is finished
            self._resume(place, restart)
        except BaseException:
            self._stack.close()
            raise

    def _resume(self, place: str, restart: bool) -> None:
        store = self._store
        sizes = store.sizes("")
        names = list(sizes)
        if names and not any(name.startswith(_MANIFEST) for name in names):
            raise DataError(
                "holds files but no results of a run",
                where=place,
                expected="a new or empty folder, or one that this command wrote",
                do="name another folder",
            )
        fresh = restart or not any(name == _DONE or name.startswith(_RECORDS) for name in names)
        if fresh:
            for name in sorted(filter(_RUN_FILES.fullmatch, names), key=_removal_order):
                store.remove(name)
        elif (data := store.get(_JOB)) is not None:
            check_same(_object(data, f"{place.rstrip('/')}/{_JOB}"), self._job, place)
            for name in names:
                entry = DonePart.parse(store.get(name) or b"") if name.startswith(f"{_MANIFEST}/") else None
                if entry is None or name != _record_name(entry.number):
                    continue
                if sizes.get(self._name(entry.number)) == entry.output:  # else it is extracted again
                    self.done[entry.number] = entry
            self.complete = self._all_done(store.get(_DONE))
        if fresh or _JOB not in names:
            store.put(_JOB, json.dumps(self._job, indent=1).encode())

    def _all_done(self, record: bytes | None) -> bool:
        try:
            return record is not None and _object(record, _DONE).get("parts") == len(self.done)
        except DataError:
            return False  # it is written again

    def add(self, part: Part) -> None:
        """See `Destination`."""
        if part.rejects:
            self._store.put(f"{_REJECTS}/part-{part.number:06d}.jsonl", part.rejects)
        self._store.put(self._name(part.number), part.output)
        entry = DonePart(part.number, part.rows, part.digest, part.counts, len(part.output))
        self._store.put(_record_name(part.number), entry.line())
        self.done[part.number] = entry

    def _name(self, number: int) -> str:
        return f"part-{number:06d}.{self._format}"

    def finish(self, counts: Counts) -> None:
        """See `Destination`."""
        if self._rejects is not None:
            for name in sorted(filter(_RUN_FILES.fullmatch, self._store.sizes(_REJECTS))):
                self._rejects.write(self._store.get(name) or b"")
            self._rejects.finish()
        total = {"parts": len(self.done), "rows": sum(part.rows for part in self.done.values())}
        self._store.put(_DONE, json.dumps(total | dataclasses.asdict(counts)).encode())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _record_name(number: int) -> str:
    return f"{_RECORDS}{number:06d}.json"


def _object(data: bytes, where: str, *keys: str) -> dict[str, Any]:
    """The JSON object in data that an earlier run wrote, or the one at these keys in it."""
    try:
        value = json.loads(data)
        for key in keys:
            value = value[key]
    except (ValueError, RecursionError, TypeError, KeyError):
        value = None
    if not isinstance(value, dict):
        raise DataError(
            "was altered and no longer describes the unfinished run",
            where=where,
            expected="the file as the run wrote it",
            do=f"name another output, or discard what was done with {DISCARD}",
        )
    return value


def _removal_order(name: str) -> tuple[bool, bool]:
    """Order in which files are removed: first the records of parts, last the description of the run.

    If the removal is killed, the folder is still that of the old run, with fewer parts done.
    """
    return name == _JOB, not name.startswith(_MANIFEST)


class _Store(Protocol):
    """Small files in one folder, by name; each appears whole or not at all."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Sizes in bytes of all files in the store, or in one of its folders, by name."""

    def get(self, name: str) -> bytes | None:
        """The content of a file; None if it does not exist."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file, or replace it."""

    def remove(self, name: str) -> None:
        """Remove a file."""


class _LocalStore:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Create the folder; its parent must exist."""
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror}",
                where=str(self._folder),
                expected="a folder inside a writable one",
            ) from error

    def sizes(self, folder: str) -> dict[str, int]:
        files = (path for path in (self._folder / folder).rglob("*") if path.is_file())
        sizes = {path.relative_to(self._folder).as_posix(): path.stat().st_size for path in files}
        return {name: size for name, size in sizes.items() if not name.endswith(".part")}  # of a killed run

    def get(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            return read_bytes(path) if path.is_file() else None
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error

    def put(self, name: str, data: bytes) -> None:
        path = self._folder / name
        if not real_path(path).is_relative_to(real_path(self._folder)):
            raise DataError(
                "is a link out of the folder", where=str(path), expected="a folder of results", do="remove it"
            )
        with write_whole(path, make_folder=True) as output:
            output.write(data)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)


class _RemoteStore:
    """Files at an address. A file appears once all of it was sent, as in object stores."""

    def __init__(self, address: str) -> None:
        self._system, path = file_system(address)
        self._folder, self._address = path.rstrip("/"), address

    def sizes(self, folder: str) -> dict[str, int]:
        place = f"{self._folder}/{folder}".rstrip("/")
        with as_data_error(self._address, "be read"):
            self._system.invalidate_cache()
            found = self._system.find(place, detail=True) if self._system.exists(place) else {}
        return {name[len(self._folder) + 1 :]: int(info["size"] or 0) for name, info in found.items()}

    def get(self, name: str) -> bytes | None:
        path = f"{self._folder}/{name}"
        with as_data_error(self._address, "be read"):
            data: bytes | None = self._system.cat_file(path) if self._system.exists(path) else None
        return data

    def put(self, name: str, data: bytes) -> None:
        path = f"{self._folder}/{name}"
        with as_data_error(self._address, "be written", _RESUME):
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, data)

    def remove(self, name: str) -> None:
        with as_data_error(self._address, "be written"):
            self._system.rm_file(f"{self._folder}/{name}")


def _lines_of(path: Path) -> list[bytes]:
    try:
        return read_bytes(path).splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            expected="the journal of an unfinished run, or no file of this name",
        ) from error


def _to_disk(handle: int, data: bytes, path: Path) -> None:
    try:
        os.write(handle, data)
        os.fsync(handle)
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror}", where=str(path), expected="enough disk space", do=_RESUME
        ) from error
