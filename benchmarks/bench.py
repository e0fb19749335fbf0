"""`make bench`: measure speed and memory as ratios within one run; writes results/bench.json and README.md.

    python benchmarks/bench.py                  all parts, with the default model
    python benchmarks/bench.py crf start        some parts
    python benchmarks/bench.py --model DIR --posts 40 --rounds 2 --out /dev/null

Only a run of all parts rewrites the table of the README. No test asserts the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cold_start
import crf_speed
import extraction
import roofline
import serving
import training_steps
from timing import Ratio

HERE = Path(__file__).parent
RESULTS, README = HERE / "results" / "bench.json", HERE / "README.md"
PARTS = ("extraction", "threads", "limit", "memory", "serving", "crf", "start", "whole", "steps")
BEGIN, END = "<!-- results: written by bench.py -->", "<!-- end of results -->"
PACKAGES = ("twofold", "onnxruntime", "numpy", "tokenizers", "pillow", "torch", "pytorch-crf")


@dataclass
class Results:
    """Measurements, and what could not be measured."""

    ratios: list[Ratio] = field(default_factory=list)
    posts_per_second: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def leave_out(self, why: str) -> None:
        """Record that something could not be measured."""
        print(f"bench: {why}", file=sys.stderr)
        self.left_out.append(why)


def main(arguments: list[str]) -> None:
    """Run the benchmarks, print the table, write the files."""
    args = _parser().parse_args(arguments)
    parts = args.parts or list(PARTS)
    results = measure(args, parts)
    record = to_record(results, args)
    print(to_table(record))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8", newline="\n")
    if args.out.resolve() == RESULTS.resolve() and set(parts) == set(PARTS):
        rewrite(README, to_table(record))


def measure(args: argparse.Namespace, parts: list[str]) -> Results:
    """Measure the given parts."""
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if "extraction" in parts:
            ratios, results.posts_per_second = extraction.compare(
                args.model, work, args.posts, args.rounds, args.threads, results.leave_out
            )
            results.ratios += ratios
        if "threads" in parts:
            results.ratios += extraction.threads_and_tasks(args.model, work, args.posts, args.rounds)
        if "limit" in parts:
            results.ratios += roofline.compare(args.model, work, args.posts, args.rounds, results.leave_out)
        if "whole" in parts:
            rounds = max(1, args.rounds // 3)
            results.ratios += cold_start.whole_process(args.model, work, rounds, args.threads)
        if "memory" in parts:
            results.ratios += extraction.memory(args.model, work, args.posts, args.threads)
        if "serving" in parts:
            results.ratios += serving.compare(
                args.model, work, args.posts, args.rounds, args.threads, results.leave_out
            )
    if "crf" in parts:
        results.ratios += crf_speed.compare(4 * args.rounds, results.leave_out)
    if "start" in parts:
        results.ratios += cold_start.compare(args.model, args.rounds)
    if "steps" in parts:
        with tempfile.TemporaryDirectory() as folder:
            results.ratios += training_steps.compare(
                Path(folder), 2 * args.rounds, args.threads, results.leave_out
            )
    return results


def to_record(results: Results, args: argparse.Namespace) -> dict[str, object]:
    """Convert the results to plain data, which does not identify the machine."""
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "cores": os.cpu_count(),
        "threads": args.threads,
        "posts": args.posts,
        "posts_are": "examples" if extraction.POSTS == extraction.EXAMPLES else "real",
        "rounds": args.rounds,
        "ratios": [{k: _rounded(v) for k, v in ratio._asdict().items()} for ratio in results.ratios],
        "posts_per_second": results.posts_per_second,
        "left_out": results.left_out,
    }


def to_table(record: dict[str, object]) -> str:
    """Format the record as Markdown."""
    rates: dict[str, float] = record["posts_per_second"]  # type: ignore[assignment]
    ratios: list[dict[str, object]] = record["ratios"]  # type: ignore[assignment]
    lines = ["| what | against | ratio | quartiles | remark |", "|---|---|---|---|---|"]
    row = "| {what} | {against} | {value:.2f} | {low:.2f} – {high:.2f} | {note} |"
    lines += [row.format(**ratio) for ratio in ratios] + [""]
    text = "{posts} {posts_are} posts, {rounds} rounds, {threads} of {cores} cores; ".format(**record)
    if rates:
        text = "Posts per second here: " + "; ".join(f"{k} {v:g}" for k, v in rates.items()) + f". {text}"
    versions: dict[str, str] = record["versions"]  # type: ignore[assignment]
    text += ", ".join(f"{name} {number}" for name, number in versions.items()) + "."
    left_out: list[str] = record["left_out"]  # type: ignore[assignment]
    return "\n".join([*lines, *textwrap.wrap(text, 110), *(f"Left out: {why}." for why in left_out)])


def rewrite(page: Path, table: str) -> None:
    """Put the table between the markers of a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: the lines {BEGIN} and {END} are missing; restore them")
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8", newline="\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--model", type=Path, metavar="DIR", help="model folder (default: the shipped model)")
    parser.add_argument("--posts", type=int, default=240, metavar="N", help="posts to extract from (240)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each comparison (5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="threads (all)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE", help="JSON file to write")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
