"""``twofold extract`` to a file or folder: shard by shard, so that a killed run can be resumed.

It also has the functions that this and the other way of running, in `extract`, share.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold import __version__
from twofold.batch.counts import Counts
from twofold.cli.main import NOTHING_DONE
from twofold.cli.model_options import column_names, load_model, model_files
from twofold.console.extraction_summary import WarningLog, summary_line
from twofold.console.outputs import RejectLog
from twofold.console.part_progress import PartProgress, watch_parts
from twofold.console.risk import risk_line
from twofold.errors import ConfigError
from twofold.files import Input, Outputs
from twofold.reading import read_bytes, real_path

if TYPE_CHECKING:
    from twofold.batch.destinations import Destination
    from twofold.batch.inputs import InputFile, ReadingOptions, Rows
    from twofold.batch.job import JobRecord
    from twofold.batch.shards import Shard
    from twofold.batch.step import Part, Step
    from twofold.pipeline.extractor import Extractor

_FILE_ROWS, _FOLDER_ROWS = 1024, 4096
"""Rows per shard, for a file and for a folder. A killed run repeats up to three shards per process."""
_RESULT_OPTIONS = (
    "max_error", "max_relation_error", "coverage", "min_confidence", "mentions", "hashtags", "convention",
    "no_relations", "max_characters", "batch_size", "images", "allow_outside", "columns", "carry",
    "number_rows", "rejects", "device",
)  # fmt: skip
"""Options that change the output."""


def reading_options(args: argparse.Namespace) -> ReadingOptions:
    """How posts are read, from the options."""
    from twofold.batch.inputs import ReadingOptions

    return ReadingOptions(
        args.images, args.alt_text_file, args.allow_outside, args.max_characters, column_names(args)
    )


def load_extractor(args: argparse.Namespace, log: Callable[[str], None]) -> Extractor:
    """Load the model given by the options, and log the error rates that it guarantees."""
    extractor = load_model(args.model, args, args.max_error, args.max_relation_error, args.coverage)
    if extractor.entity_risk is not None:
        log(risk_line(extractor.entity_risk, "entities"))
    if extractor.relation_risk is not None:
        log(risk_line(extractor.relation_risk, "relations", between_entities=True))
    return extractor


def end_line(counts: Counts, args: argparse.Namespace, related: bool, seconds: float) -> str:
    """The last line that a run prints."""
    output = None if counts.nothing_done else args.output
    places = [place for place in (output, args.report, args.rejects) if place is not None]
    reviewed = args.max_error is not None
    return summary_line(
        counts,
        seconds,
        places,
        related=related,
        reviewed=reviewed,
        relations_reviewed=reviewed or args.max_relation_error is not None,
    )


def exit_code(counts: Counts, strict: bool) -> int:
    """The exit code, as in the epilog of the command."""
    if counts.nothing_done:
        return NOTHING_DONE
    return 1 if counts.rejected or (strict and counts.incomplete) else 0


def is_folder(output: str) -> bool:
    """Whether an output is a folder of parts: with a final slash, an address, or an existing folder."""
    return output.endswith(("/", os.sep)) or "://" in output or Path(output).is_dir()


def run_in_shards(args: argparse.Namespace) -> int:
    """Extract to ``args.output``; the exit code is as the epilog says."""
    from twofold.batch.inputs import Rows, find_inputs

    begin = time.monotonic()
    if (args.workers is not None or args.engine == "ray") and args.threads is None:
        args.threads = 1
    files = find_inputs(args.files, args.allow_outside)
    folder, format_ = is_folder(args.output), output_format(args)
    _check_output_outside(args.files, args.output)
    rows = Rows(files, reading_options(args))
    inputs = [*(file.path for file in files if file.path is not None), *_other_inputs(args)]
    with Outputs(inputs) as outputs, watch_parts(rows.total) as progress:
        extractor = load_extractor(args, progress.log)
        job = _job(args, files, extractor, format_)
        open_ = partial(_folder, inputs) if folder else partial(_file, outputs)
        with open_(args, job, format_) as destination:
            if destination.done:
                progress.log(_resumed(destination))
            counts = _run(args, rows, extractor, destination, progress, folder, format_)
    progress.log(end_line(counts, args, bool(extractor.relations), time.monotonic() - begin))
    return exit_code(counts, args.strict)


def _run(
    args: argparse.Namespace,
    rows: Rows,
    extractor: Extractor,
    destination: Destination,
    progress: PartProgress,
    folder: bool,
    format_: str,
) -> Counts:
    from twofold.batch.run import run_batch
    from twofold.batch.step import Step

    warnings, rejections = WarningLog(progress.log), _RejectionLog(progress.log)

    def done(part: Part) -> None:
        rejections.add(part.rejections)
        warnings.add(part.warnings)
        progress.advance(part.counts.posts, part.counts.rejected, part.position)

    step = Step(format_, not folder, args.batch_size, args.min_confidence, column_names(args).carried)
    counts = run_batch(rows, destination, _engine(args, step, extractor), _shard_rows(args), done)
    warnings.end(counts.warnings)
    return counts


def _engine(
    args: argparse.Namespace, step: Step, extractor: Extractor
) -> Callable[[Iterable[Shard]], Iterable[Part]]:
    from twofold.batch.engines import run_here, run_in_processes

    if args.engine == "ray":
        from twofold.batch.ray_engine import run_on_ray

        return lambda shards: run_on_ray(step, extractor, shards, args.workers)
    if args.workers is None or args.workers == 1:
        return lambda shards: run_here(step, extractor, shards)
    return lambda shards: run_in_processes(step, extractor, shards, args.workers)


def _shard_rows(args: argparse.Namespace) -> int:
    rows: int = args.shard_rows or (_FOLDER_ROWS if is_folder(args.output) else _FILE_ROWS)
    return rows


def output_format(args: argparse.Namespace) -> str:
    """The format of the output, from ``--format`` or from its name."""
    from twofold.batch.part_formats import check_format, format_of_name
    from twofold.corpora.formats import named_format

    if "://" in args.output and not args.output.endswith("/") and named_format(args.output):
        raise ConfigError(
            f"the output {args.output} would be a folder, as every output at an address",
            expected="an address that ends in /",
            do=f"give {args.output}/, with --format for its parts",
        )
    format_: str = args.format or ("jsonl" if is_folder(args.output) else format_of_name(args.output))
    check_format(format_, column_names(args).carried)
    return format_


def _file(outputs: Outputs, args: argparse.Namespace, job: JobRecord, format_: str) -> Destination:
    from twofold.batch.destinations import FileDestination

    carried = column_names(args).carried
    return FileDestination(
        outputs, Path(args.output), args.rejects, job, format_=format_, carried=carried, restart=args.restart
    )


def _folder(inputs: list[Input], args: argparse.Namespace, job: JobRecord, format_: str) -> Destination:
    from twofold.batch.destinations import FolderDestination

    return FolderDestination(
        args.output, job, format_=format_, rejects=args.rejects, inputs=inputs, restart=args.restart
    )


def _check_output_outside(places: Iterable[str], output: str) -> None:
    """Check that the output is not inside an input folder, where another run would read it as posts."""
    for place in places:
        if "://" in output:
            inside = f"{output.rstrip('/')}/".startswith(f"{place.rstrip('/')}/")
        else:
            inside = Path(place).is_dir() and real_path(output).is_relative_to(real_path(place))
        if inside:
            raise ConfigError(
                f"the output {output} is inside the input folder {place}",
                expected="an output outside the input folders",
                do="give another output",
            )


def _other_inputs(args: argparse.Namespace) -> list[Input]:
    files: list[Input] = [] if args.alt_text_file is None else [args.alt_text_file]
    return files + model_files(args.model, args.relation_model)


def _job(
    args: argparse.Namespace, files: list[InputFile], extractor: Extractor, format_: str
) -> dict[str, Any]:
    pipeline = extractor.pipeline
    folders = [pipeline.folder, *([pipeline.relation_folder] if extractor.relations else [])]
    # The first difference is the one that is named: an option may also change which models are used.
    job: dict[str, Any] = {}
    for name in _RESULT_OPTIONS:
        value = getattr(args, name)
        job[f"--{name.replace('_', '-')}"] = str(value) if isinstance(value, Path) else value
    return job | {
        "--shard-rows": _shard_rows(args),
        "--alt-text-file": _path_and_digest(args.alt_text_file),
        "format": format_,
        **_input_record(files),
        "version of Twofold": __version__,
        "model": f"{extractor.name} {_digest(''.join(folder.manifest_sha256 for folder in folders))}",
    }


def _input_record(files: list[InputFile]) -> dict[str, str]:
    """What identifies the input: the number and size of its files, then their names, then their sizes."""
    names = [file.address for file in files]
    shown = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return {
        "input": f"{len(files)} file{'s' if len(files) != 1 else ''} of {sum(f.size for f in files):,} bytes",
        "name of an input file": f"{shown[-60:]} ({_digest(chr(0).join(names))})",
        "size of an input file": f"sizes {_digest(' '.join(str(file.size) for file in files))}",
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _path_and_digest(path: Path | None) -> str | None:
    if path is None or not path.is_file():
        return None
    return f"{path} {hashlib.sha256(read_bytes(path)).hexdigest()[:12]}"


def _resumed(destination: Destination) -> str:
    rows = sum(part.rows for part in destination.done.values())
    if destination.complete:
        return f"all {rows:,} rows are already done; nothing is left to do (--restart extracts them again)"
    return f"resuming an unfinished run: {rows:,} rows are already done"


class _RejectionLog:
    """Prints why the first rejected records were rejected."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log, self._shown = log, 0

    def add(self, rejections: Iterable[str]) -> None:
        for rejection in rejections:
            self._shown += 1
            if self._shown <= RejectLog.SHOWN:
                self._log(rejection)
            elif self._shown == RejectLog.SHOWN + 1:
                self._log("further rejected lines are counted, but not shown")
