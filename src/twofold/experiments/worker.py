"""One run in a process of its own: train, evaluate as at inference, write the result.

    python -m twofold.experiments.worker RUN

RUN is a folder; the job is a line of JSON on standard input. ``result.json`` is written to the folder, whole
or not at all. Killed at any moment and started again, a run resumes from the last checkpoint of its training;
files of another job there are removed. The process ends when its standard input is closed, so that it never
outlives the process that started it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from twofold.config import DEFAULT_TAGGER, Config, from_mapping
from twofold.errors import TwofoldError
from twofold.experiments.outcomes import count_posts
from twofold.pipeline.extractor import Extractor, load

JOB, RESULT, ERROR, LOCK = "job.json", "result.json", "error.txt", "lock"
BUSY, FAILED = 3, 1
PACKAGES = ("twofold", "torch", "transformers", "numpy", "onnxruntime", "tokenizers")
Plain = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Execute the run in the given folder; returns the exit code."""
    from filelock import FileLock, Timeout

    folder = Path(arguments[0])
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with FileLock(folder / LOCK, timeout=0):
            return _run_or_report(folder, job)
    except Timeout:
        return BUSY


def _end_with_parent() -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock would be held when Python shuts down
        pass
    os._exit(FAILED)


def _run_or_report(folder: Path, job: Plain) -> int:
    """Execute the run; any failure is written to ``error.txt`` and does not stop other runs."""
    (folder / ERROR).unlink(missing_ok=True)
    try:
        prepare(folder, job)
        do(folder, job)
        return 0
    except TwofoldError as error:
        _write(folder / ERROR, f"{error}\n")
    except Exception:
        _write(folder / ERROR, traceback.format_exc())
    return FAILED


def prepare(folder: Path, job: Plain) -> None:
    """Keep unfinished files of the same job, and remove those of another."""
    plain = json.dumps({key: value for key, value in job.items() if key != "keep_model"}, indent=1)
    path = folder / JOB
    if path.exists() and path.read_text(encoding="utf-8") != plain:
        (folder / RESULT).unlink(missing_ok=True)
        for left in ("model", "model.training"):
            shutil.rmtree(folder / left, ignore_errors=True)
    _write(path, plain)


def do(folder: Path, job: Plain) -> None:
    """Train, evaluate, and write the result."""
    from twofold.training.run import train

    config = from_mapping(job["config"], str(folder / JOB))
    model = folder / "model"
    if not (model / "manifest.json").exists():
        train(config, model, lambda line: print(line, flush=True))
    _write(folder / RESULT, json.dumps(_result(job, config, model)))
    if not job["keep_model"]:
        shutil.rmtree(model)
    shutil.rmtree(folder / "model.training", ignore_errors=True)


def _result(job: Mapping[str, Any], config: Config, model: Path) -> Plain:
    from twofold.training.datasets import read_corpora
    from twofold.training.picture_features import cache_folder

    report = read_corpora([job["report"]], config.data, config.model.task)[0]
    extractor = _load_model(config, model, cache_folder())
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    log = (model / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "id": job["id"],
        "settings": job["settings"],
        "hashes": job["hashes"],
        "data": {"train": card["train"], "dev": card["dev"], "report": _corpus_record(report)},
        "unreadable_pictures": card["unreadable_pictures"],
        "parameters": card["parameters"],
        "chosen_epoch": card["chosen_epoch"],
        "epochs": [json.loads(line) for line in log],
        "dev": card["scores"],
        "calibration": card["calibration_summary"],
        "outcomes": asdict(count_posts(config.model.task, extractor.pipeline, report.posts)),
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "code": _code(),
        "machine": _machine(config),
    }


def _load_model(config: Config, model: Path, cache: Path) -> Extractor:
    """Load the model; a relation model with the tagger that predicts the types of its arguments."""
    threads = config.training.threads or None
    tagger = config.model.relations.tagger
    if config.model.task != "relations" or not tagger:
        return load(model, threads=threads, cache=cache)
    folder = None if tagger == DEFAULT_TAGGER else tagger
    return load(folder, relation_model=model, threads=threads, cache=cache)


def _corpus_record(corpus: Any) -> Plain:
    release = corpus.release or "not a known release"
    record = {"name": corpus.name, "sha256": corpus.sha256, "release": release}
    return record | {"posts": len(corpus.posts), "rejected": len(corpus.rejected)}


def _machine(config: Config) -> Plain:
    from twofold.training.loop import choose_device, mixed_precision

    device = choose_device(config.training)
    mixed = mixed_precision(config.training, device)
    precision = "bfloat16" if mixed else "float32"
    return {"device": device.type, "threads": config.training.threads, "precision": precision}


def _code() -> str:
    """Hash of the package's modules, to see whether all runs of a table were made by the same code."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
