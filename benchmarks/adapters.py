"""Compare full fine-tuning, low-rank adapters and a frozen text encoder: F1, time and memory.

    python benchmarks/adapters.py --data DATA

DATA holds twitter2017/, captions/captions.tsv and pictures/standins/. Each variant is trained by
`twofold.training.run.train` in a separate process, one thread, one seed, on Twitter-2017 with everything
else as in configs/comparison.toml; F1 is of the exported folder on dev. Time is the CPU time of the process
(less affected by other load on the machine), memory its peak until the end of the last epoch, without export.
Picture features are taken from the cache folder; if they are not cached yet, run the script twice.
Writes benchmarks/results/adapters.json after each variant; variants that have results are not run again.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "adapters.json"
BASE = Path(__file__).parents[1] / "configs" / "comparison.toml"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "frozen": {"encoder_lr": 0.0},
    "lora, rank 8": {"adapters": "lora", "encoder_lr": 1e-3},
    "whole": {},
    "frozen, 15 epochs": {"encoder_lr": 0.0, "epochs": 15},
}
"""Differences from the base, by key of [model] or [training]."""


def main() -> None:
    """Run all variants without results, or (``--one``) a single one in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", choices=VARIANTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run(args.one, args.data, args.epochs, args.seed)))
        return
    results = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    for name in VARIANTS:
        if name not in results.get("variants", {}):
            results = _with(results, name, _run_in_process(name), args)
            OUT.parent.mkdir(exist_ok=True)
            OUT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _run_in_process(name: str) -> dict[str, Any]:
    """Run a variant in a separate process, to measure its peak memory."""
    done = subprocess.run([sys.executable, *sys.argv, "--one", name], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _with(
    results: dict[str, Any], name: str, found: dict[str, Any], args: argparse.Namespace
) -> dict[str, Any]:
    variants = {**results.get("variants", {}), name: found}
    if "whole" in variants:
        for row in variants.values():
            row["epoch_time_ratio"] = round(row["epoch_cpu_s"] / variants["whole"]["epoch_cpu_s"], 3)
    packages = ("twofold", "torch", "transformers", "peft")
    return {
        "data": "Twitter-2017 train, dev; stand-in pictures, machine captions as alt texts",
        "epochs": args.epochs,
        "seed": args.seed,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "variants": variants,
    }


class Clock:
    """Records CPU time and peak memory at the log lines of a training."""

    def __init__(self) -> None:
        self.texts: list[float] = []
        self.epochs = [0.0]
        self.peak = 0

    def __call__(self, line: str) -> None:
        """Record a log line."""
        now = time.process_time()
        print(f"{now:.0f} s  {line}", file=sys.stderr, flush=True)
        if line.startswith("texts encoded"):
            self.texts.append(now)
        if line.startswith(("texts encoded", "pictures:")):
            self.epochs = [now]
        if line.startswith("epoch ") and "loss" in line:
            self.epochs.append(now)
            self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _changed(section: Any, change: Mapping[str, object]) -> Any:
    """Replace the values of a configuration table for which it has keys."""
    return replace(section, **{k: v for k, v in change.items() if hasattr(section, k)})


def run(name: str, data: Path, epochs: int, seed: int) -> dict[str, Any]:
    """Train one variant and return its results."""
    from twofold.config import DataConfig, read_config
    from twofold.training.run import train

    base = read_config(BASE)
    files = DataConfig(
        (str(data / "twitter2017/train.txt"),),
        (str(data / "twitter2017/valid.txt"),),
        str(data / "pictures/standins"),
        str(data / "captions/captions.tsv"),
    )
    change = {"epochs": epochs, "seed": seed, "threads": 1, "precision": "float32", "patience": 0}
    change |= {"weights": "float32", **VARIANTS[name]}
    model, training = (_changed(section, change) for section in (base.model, base.training))
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        out = train(replace(base, data=files, model=model, training=training), Path(folder) / "model", clock)
        card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    steps = [b - a for a, b in zip(clock.epochs, clock.epochs[1:], strict=False)]
    (scores,) = card["scores"].values()
    return {
        "dev_f1": scores["lenient"]["all"]["f1"],
        "chosen_epoch": card["chosen_epoch"],
        "epochs": len(steps),
        "trainable_parameters": card["parameters"]["trainable"],
        "texts_cpu_s": round(clock.texts[-1] - clock.texts[0], 1) if clock.texts else 0.0,
        "epoch_cpu_s": round(sum(steps) / len(steps), 1),
        "training_cpu_s": round(sum(steps), 1),
        "peak_mb": round(clock.peak / 1024),
    }


if __name__ == "__main__":
    main()
