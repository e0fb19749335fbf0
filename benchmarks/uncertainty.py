"""Which uncertainty measure detects errors best, and at what cost? One backbone, one data set, all methods.

    python benchmarks/uncertainty.py --data DATA -o OUT [--only PATTERN …] [--collect] [--on FILE]

DATA holds twitter2017/, captions/captions.tsv and pictures/standins/. Trains the models that are not in OUT
yet with `twofold.training.run.train` (a killed run resumes) and the options of configs/comparison.toml:
evidential fusion with log-linear pooling, with as many seeds as the ensemble has members; the other pooling
rules (all of these without blank pictures in training); the fusion as configured there; a Dirichlet; and
`concat`, which has no evidence loss. Then runs the networks in PyTorch on the posts, since one method needs
active dropout, after checking that their confidences equal those of the exported folders. Temperatures are
fitted on the first half of dev, metrics are computed on the second half, or (``--on``) on another file. For
all models the epoch was chosen on all of dev.

Writes results/uncertainty.json and uncertainty.md. The rows are explained in docs/reproduce.md.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from span_comparison import (
    EvaluationPosts,
    Row,
    ScoredSpans,
    common_table,
    mean_over_seeds,
    measures_of,
    metrics_with_intervals,
    own_table,
    seeds_table,
)
from span_uncertainty import CRFOutputs, MethodOutputs, ensemble, mean_over_words, nig_measures, single_pass
from torch_inference import PreparedPosts, Select, TorchTagger, load_tagger

import twofold
from twofold.calibration.splits import in_tuning_split
from twofold.config import Config, DataConfig, read_config
from twofold.errors import DataError, TwofoldError
from twofold.evaluation.bootstrap import RESAMPLES
from twofold.evaluation.trust_report import to_json
from twofold.fusion.contract import FusionOutput
from twofold.fusion.dirichlet import Dirichlet, entropy_of_mean, mean_entropy, mutual_information, vacuity
from twofold.models.multimodal import MultimodalModel
from twofold.posts import Post
from twofold.training.datasets import read_corpora
from twofold.training.run import train

HERE = Path(__file__).parent
RESULT = HERE / "results" / "uncertainty.json"
BASE = HERE.parent / "configs" / "comparison.toml"
ENSEMBLE = "log_linear"
"""The first of all selected models is also run with dropout, and its spans are the common ones."""
DEFAULT = "default"
"""The fusion as configured."""
OTHERS = ("prior_corrected-1", "discounted-1", "monig-1", f"{DEFAULT}-1", "dirichlet-1", "concat-1")
CHECKED = 20
"""Posts on which networks and exported folders are compared."""
TOLERANCE = 1e-3
DIRICHLET = ("vacuity K/S", "entropy of the mean (total)", "mean entropy (aleatoric)",
             "mutual information (epistemic)")  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One training: its name, its configuration, its model folder."""

    name: str
    config: Config
    out: Path


@dataclass(frozen=True)
class NetworkOutputs:
    """Outputs of one network on all posts: of a single pass, and of passes with dropout if requested."""

    job: Job
    crf: CRFOutputs
    tables: Mapping[str, Sequence[Any]]
    dropout_passes: Sequence[CRFOutputs]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing models, then evaluate the finished ones."""
    args = _arguments(arguments)
    jobs = [job for job in all_jobs(args) if any(fnmatch(job.name, pattern) for pattern in args.only)]
    if not args.collect:
        for job in jobs:
            if not finished(job):
                train(job.config, job.out, partial(_print_line, job.name))
    jobs = [job for job in jobs if finished(job)]
    if args.train_only:
        return
    if not jobs:
        raise DataError("no model is trained yet", where=str(args.out), do="omit --collect")
    evaluation_posts = read_posts(jobs[0].config.data, args.on)
    networks = run_networks(jobs, evaluation_posts.posts, args.passes)
    write(args.json, compare(networks, evaluation_posts, args))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with twitter2017/ and the others")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the models")
    parser.add_argument("--config", type=Path, default=BASE, help="options of [model] and [training]")
    parser.add_argument("--epochs", type=int, help="instead of those of the configuration")
    parser.add_argument("--members", type=int, default=5, help="members of the ensemble")
    parser.add_argument("--passes", type=int, default=10, help="passes with dropout")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="bootstrap resamples of posts")
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="PATTERN", help="models, such as monig-1 or log*"
    )
    parser.add_argument("--train-only", action="store_true", help="do not evaluate")
    parser.add_argument("--collect", action="store_true", help="do not train")
    parser.add_argument("--on", type=Path, help="file to report on instead of the second half of dev")
    parser.add_argument("--json", type=Path, default=RESULT, help="JSON file; the table goes next to it")
    return parser.parse_args(arguments)


def _print_line(name: str, line: str) -> None:
    print(f"{name}: {line}", file=sys.stderr, flush=True)


# --- trainings -------------------------------------------------------------------------------------------


def all_jobs(args: argparse.Namespace) -> list[Job]:
    """All trainings, those of the ensemble first."""
    base = read_config(args.config)
    names = [f"{ENSEMBLE}-{seed}" for seed in range(1, args.members + 1)] + list(OTHERS)
    folder = args.data
    data = DataConfig(
        (str(folder / "twitter2017" / "train.txt"),),
        (str(folder / "twitter2017" / "valid.txt"),),
        str(folder / "pictures" / "standins"),
        str(folder / "captions" / "captions.tsv"),
    )
    epochs = args.epochs or base.training.epochs
    jobs = []
    for name in names:
        kind, _, seed = name.rpartition("-")
        training = replace(base.training, seed=int(seed), epochs=epochs, threads=args.threads)
        model = replace(base.model, name=name, weights="float32", **_fusion(kind, base))
        jobs.append(Job(name, Config(data, model, training), args.out / f"{name}-{epochs}"))
    return jobs


def _fusion(kind: str, base: Config) -> dict[str, Any]:
    if kind in ("dirichlet", "concat"):
        return {"fusion": kind}
    if kind == DEFAULT:
        return {}
    return {
        "fusion": "evidential",
        "evidential": replace(base.model.evidential, pooling=kind, blank_pictures=0.0),
    }


def finished(job: Job) -> bool:
    """Whether the model has been trained.

    Raises:
        DataError: it was trained with other settings or on other files.
    """
    if not (job.out / "manifest.json").exists():
        return False
    from twofold.training.publish import model_without_paths

    trained = read_config(job.out / "training.toml")
    card = json.loads((job.out / "card.json").read_text(encoding="utf-8"))
    hashes = [corpus["sha256"] for part in ("train", "dev") for corpus in card[part]]
    files = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in _files(job.config.data)]
    settings = replace(trained.training, threads=job.config.training.threads)
    model = model_without_paths(job.config.model)
    if (trained.model, settings, hashes) != (model, job.config.training, files):
        raise DataError(
            "the model in this folder was trained with other settings or on other files",
            where=str(job.out),
            do="use another folder with -o, or delete it",
        )
    return True


def _files(data: DataConfig) -> Iterable[str]:
    return (*data.train, *data.dev)


# --- running the networks --------------------------------------------------------------------------------


def read_posts(data: DataConfig, on: Path | None) -> EvaluationPosts:
    """Read the two halves of dev; or the first half of dev and all posts of another file."""
    (dev,) = read_corpora(data.dev, data)
    is_calibration = in_tuning_split(post.id for post in dev.posts)
    if on is None:
        return EvaluationPosts(dev.posts, is_calibration)
    (other,) = read_corpora([str(on)], data)
    fitted = [post for post, selected in zip(dev.posts, is_calibration, strict=True) if selected]
    return EvaluationPosts([*fitted, *other.posts], np.arange(len(fitted) + len(other.posts)) < len(fitted))


def run_networks(jobs: Sequence[Job], posts: Sequence[Post], passes: int) -> list[NetworkOutputs]:
    """Run every network on all posts, one after another; pictures and windows are prepared once."""
    networks: list[NetworkOutputs] = []
    prepared: PreparedPosts | None = None
    for job in jobs:
        tagger = load_tagger(job.config, job.out)
        if job.config.training.threads:
            torch.set_num_threads(job.config.training.threads)
        prepared = prepared or tagger.prepare(posts, partial(_print_line, job.name))
        found = tagger.predict(prepared, SELECTS.get(job.config.model.fusion, _emissions)(tagger.model))
        crf = CRFOutputs(tagger.labels, tagger.potentials(), found.pop("emissions"))
        dropout_passes = passes_of(tagger, prepared, passes if job.name == jobs[0].name else 0)
        _print_line(
            job.name, f"done; confidences differ from the folder's by {agreement(job, crf, posts):.1e}"
        )
        networks.append(NetworkOutputs(job, crf, found, dropout_passes))
        del tagger
        gc.collect()
    return networks


def _emissions(model: MultimodalModel) -> Select:
    return lambda fused: {"emissions": fused.emissions}


def _evidence(model: MultimodalModel) -> Select:
    def select(fused: FusionOutput) -> dict[str, torch.Tensor]:
        assert fused.pooled is not None
        return {"emissions": fused.emissions, "nig": fused.pooled}

    return select


def _dirichlet(model: MultimodalModel) -> Select:
    fusion = model.fusion
    assert isinstance(fusion, Dirichlet)

    def select(fused: FusionOutput) -> dict[str, torch.Tensor]:
        alpha = fusion.concentrations(fused).double()
        parts = [vacuity(alpha), entropy_of_mean(alpha), mean_entropy(alpha), mutual_information(alpha)]
        return {"emissions": fused.emissions, "dirichlet": torch.stack(parts, -1)}

    return select


SELECTS: Mapping[str, Callable[[MultimodalModel], Select]] = {
    "evidential": _evidence,
    "dirichlet": _dirichlet,
}
"""Which tensors to select from the output of a fusion; of all others the emissions only."""


def passes_of(tagger: TorchTagger, prepared: PreparedPosts, passes: int) -> list[CRFOutputs]:
    """Run passes with dropout, each with its own seed."""
    select, potentials = _emissions(tagger.model), tagger.potentials()
    return [
        CRFOutputs(tagger.labels, potentials, tagger.predict(prepared, select, dropout=seed)["emissions"])
        for seed in range(1, passes + 1)
    ]


def agreement(job: Job, crf: CRFOutputs, posts: Sequence[Post]) -> float:
    """Largest difference of span confidences between the network and its exported folder, on some posts.

    Raises:
        DataError: they are not the same model.
    """
    extractor = twofold.load(job.out, threads=1)
    emissions = [reading.emissions for reading in extractor.pipeline.encode(posts[:CHECKED])]
    spans = extractor.pipeline.decoder.decode(emissions)
    exported = extractor.pipeline.decoder.confidences(emissions, spans)
    here = crf.decoder.confidences(crf.emissions[:CHECKED], spans)
    difference = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(exported, here, strict=True))
    if difference > TOLERANCE:
        raise DataError(
            f"the network's confidences and those of the exported folder differ by {difference:.4f}",
            where=str(job.out),
            expected=f"{TOLERANCE} at most",
            do="delete the folder and the .training folder next to it, and train again",
        )
    return difference


# --- comparison ------------------------------------------------------------------------------------------


def outputs_of_methods(networks: Sequence[NetworkOutputs], members: int) -> list[MethodOutputs]:
    """All methods that use these networks; the first is the first network alone."""
    first, names = networks[0], _seeds(networks)
    methods_outputs = [_single_pass(first)]
    if first.dropout_passes:
        methods_outputs.append(ensemble(f"{first.job.name}, MC dropout", first.dropout_passes, 1))
    if len(names) == members > 1:
        crfs = [network.crf for network in networks if network.job.name in names]
        methods_outputs.append(ensemble(f"{ENSEMBLE}, ensemble of {members}", crfs, members))
    others = [network for network in networks[1:] if network.job.name not in names]
    return methods_outputs + [_single_pass(network) for network in others]


def _seeds(networks: Sequence[NetworkOutputs]) -> list[str]:
    return [network.job.name for network in networks if network.job.name.startswith(f"{ENSEMBLE}-")]


def _single_pass(network: NetworkOutputs) -> MethodOutputs:
    name, crf = network.job.name, network.crf
    if "nig" in network.tables:
        return single_pass(name, crf, nig_measures(crf.decoder, network.tables["nig"]))
    tables = network.tables.get("dirichlet", [])
    names = DIRICHLET if len(tables) else ()
    measures = {measure: mean_over_words([x[:, i] for x in tables]) for i, measure in enumerate(names)}
    return single_pass(name, crf, measures)


def compare(
    networks: Sequence[NetworkOutputs], evaluation_posts: EvaluationPosts, args: argparse.Namespace
) -> dict[str, Any]:
    """Compute all metrics, in the form in which they are written."""
    methods_outputs = outputs_of_methods(networks, args.members)
    methods, own = {}, []
    for outputs in methods_outputs:
        scored_spans = evaluation_posts.score(outputs.spans)
        counts = {
            "predictions": int(scored_spans.evaluated.sum()),
            "correct": int(scored_spans.correct[scored_spans.evaluated].sum()),
        }
        methods[outputs.method] = {"f1": scored_spans.f1(args.resamples), **counts}
        own += metrics_with_intervals(list(measures_of(outputs, scored_spans)), scored_spans, args.resamples)
    first = evaluation_posts.score(methods_outputs[0].spans)
    common: list[Row] = [row for outputs in methods_outputs for row in measures_of(outputs, first)]
    seeds = [_single_pass(network) for network in networks if network.job.name in _seeds(networks)]
    scored: list[ScoredSpans] = [evaluation_posts.score(outputs.spans) for outputs in seeds]
    return {
        "evaluated_on": f"{args.on.parent.name}/{args.on.name}"
        if args.on
        else "second half of twitter2017/valid.txt",
        "posts": evaluation_posts.evaluated,
        "calibration_posts": int(evaluation_posts.is_calibration.sum()),
        "epochs": networks[0].job.config.training.epochs,
        "resamples": args.resamples,
        "methods": methods,
        "own": own,
        "common": metrics_with_intervals(common, first, args.resamples, against=0),
        "seeds": mean_over_seeds(
            [list(measures_of(v, j)) for v, j in zip(seeds, scored, strict=True)], scored
        ),
    }


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write the metrics and the tables."""
    record = to_json(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    first = record["common"][0]
    count = len(record["seeds"] and record["seeds"][0]["metrics"]["aurc"]["values"])
    lines = [
        "<!-- written by benchmarks/uncertainty.py -->",
        f"Evaluated on {record['evaluated_on']}, {record['posts']} posts; temperatures fitted on",
        f"{record['calibration_posts']} posts of dev; {record['epochs']} epochs. In per cent, with 95 %",
        "intervals over posts. Smaller is better except for F1 and AUROC (random: 50).",
        "The rows are explained in docs/reproduce.md.",
        "",
        "## Each method on the spans it predicts itself",
        "",
        *own_table(record["methods"], record["own"]),
        "",
        f"## All on the spans of {first['method']}, with differences from its {first['measure']}",
        "",
        *common_table(record["common"]),
    ]
    if count > 1:
        lines += ["", f"## {ENSEMBLE}, mean ± standard deviation over {count} seeds, own spans", ""]
        lines += seeds_table(record["seeds"])
    path.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    try:
        main()
    except TwofoldError as error:
        sys.exit(str(error))
