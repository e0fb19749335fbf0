"""Compare the posts per second of two versions, each with its own default model, alternately.

    git worktree add ../before 8ea1e9b
    python benchmarks/versions.py ../before . --posts data/twitter2017/test.txt --rounds 2

A version is a checkout. Each measurement is a separate process that imports the package from there, on one
thread. CPU time is measured, which depends less on other load. Prints the ratios, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

_MEASURE = """
import json, sys, time, twofold
path, count = sys.argv[1], int(sys.argv[2])
posts = [post for post in twofold.read_posts(path) if not isinstance(post, twofold.Rejected)][:count]
rates = {}
for name, relations in (("entities", False), ("with relations", None)):
    extractor = twofold.load(threads=1, relation_model=relations)
    list(extractor.extract(posts[:32]))
    begin = time.process_time()
    list(extractor.extract(posts))
    rates[name] = len(posts) / (time.process_time() - begin)
print(json.dumps(rates))
"""


def main() -> None:
    """Measure both versions round by round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("versions", nargs=2, type=Path, metavar="CHECKOUT")
    parser.add_argument("--posts", type=Path, required=True, help="any file that `twofold extract` reads")
    parser.add_argument("--count", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rounds = [[_rates(v, args.posts, args.count) for v in args.versions] for _ in range(args.rounds)]
    for name in rounds[0][0]:
        ratios = [second[name] / first[name] for first, second in rounds]
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{name}: {median(ratios):.2f} times the posts per second ({shown})")
    overhead = [second["entities"] / second["with relations"] for _, second in rounds]
    print(f"second version, relations: {median(overhead):.2f} times the time of entities alone")


def _rates(version: Path, posts: Path, count: int) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(version.resolve() / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _MEASURE, str(posts.resolve()), str(count)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


if __name__ == "__main__":
    main()
