"""Helpers of `make mutants`: draw a random sample of the mutants of a folder, and print the detection rate.

    python benchmarks/mutants.py draw src/twofold/crf 300     names of the sampled mutants, for `mutmut run`
    python benchmarks/mutants.py score                        detection rate, after mutmut has run

Run it in `.mutants`, where mutmut runs.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name

from twofold.calibration.binomial import clopper_pearson_upper

SEED = 1
FOUND = {"killed", "timeout", "segfault"}


def faults(folder: Path) -> list[str]:
    """Names of all mutants that mutmut generates for the modules of a folder."""
    names = []
    for path in sorted(folder.glob("*.py")):
        mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
        names += [get_mutant_name(path, name) for name in mutated.mutant_names]
    return names


def draw(folder: Path, count: int, seed: int) -> list[str]:
    """Names of ``count`` mutants drawn at random, or of all if there are fewer."""
    names = faults(folder)
    return random.Random(seed).sample(names, min(count, len(names)))


def score() -> str:
    """Fraction of the tested mutants that were detected; for a sample with its 95 % interval."""
    tried: list[str] = []
    every = 0
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        every += len(data.exit_code_by_key)
        tried += [status_by_exit_code[code] for code in data.exit_code_by_key.values() if code is not None]
    if not tried:
        return "no mutant was tested"
    found = sum(status in FOUND for status in tried)
    text = f"detected {found} of {len(tried)} mutants: {found / len(tried):.1%}"
    if len(tried) == every:
        return text
    low = 1 - clopper_pearson_upper(len(tried) - found, len(tried), 0.975)
    high = clopper_pearson_upper(found, len(tried), 0.975)
    return f"{text} (95 %: {low:.1%} to {high:.1%}); drawn from {every}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    of_draw = commands.add_parser("draw")
    of_draw.add_argument("folder", type=Path)
    of_draw.add_argument("count", type=int)
    of_draw.add_argument("--seed", type=int, default=SEED)
    commands.add_parser("score")
    args = parser.parse_args()
    print("\n".join(draw(args.folder, args.count, args.seed)) if args.command == "draw" else score())


if __name__ == "__main__":
    main()
