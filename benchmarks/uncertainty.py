"""Which measure of uncertainty finds the errors, and at what cost? One backbone, one data set, all methods.

    python benchmarks/uncertainty.py --data DATA -o OUT [--only PATTERN …] [--collect] [--on FILE]

DATA holds twitter2017/, captions/captions.tsv and pictures/standins/. Trains by `twofold.training.run.train`
what is not in OUT yet (killed, it goes on), with the options of configs/comparison.toml: evidential fusion
with the log-linear pool in as many seeds as the ensemble has members, the other pools (all these are shown
no blank picture in training), the fusion as that file has it, a Dirichlet, and `concat`, which has no loss
of evidence. Then reads posts with the networks in PyTorch, since one method wants dropout
on, after a check that they give what the exported folders give. Temperatures are fitted on the first half of
dev, figures are of the second half, or (``--on``) of another file. The epoch was chosen on the whole of dev,
for all alike.

Writes results/uncertainty.json and uncertainty.md. What the rows are: docs/reproduce.md.
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
from comparing import Judged, Row, Scene, common_table, measured, over_seeds, own_table, rows_of, seeds_table
from measures import Chain, View, alone, evidential, of_words, together

import twofold
from twofold.calibration.splits import first_half
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
from twofold.training.torch_inference import PreparedPosts, Select, TorchTagger, load_tagger

HERE = Path(__file__).parent
RESULT = HERE / "results" / "uncertainty.json"
BASE = HERE.parent / "configs" / "comparison.toml"
ENSEMBLE = "log_linear"
"""The first model of all that are asked for works with dropout on, too, and its spans are the common ones."""
DEFAULT = "default"
"""The fusion as the configuration has it."""
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
class Read:
    """What one network said of all posts: alone, and in passes with dropout on where they were asked for."""

    job: Job
    chain: Chain
    tables: Mapping[str, Sequence[Any]]
    dropped: Sequence[Chain]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then measure what is there."""
    args = _arguments(arguments)
    jobs = [job for job in all_jobs(args) if any(fnmatch(job.name, pattern) for pattern in args.only)]
    if not args.collect:
        for job in jobs:
            if not finished(job):
                train(job.config, job.out, partial(_tell, job.name))
    jobs = [job for job in jobs if finished(job)]
    if args.train_only:
        return
    if not jobs:
        raise DataError("no model is trained yet", where=str(args.out), do="leave --collect away")
    scene = read_scene(jobs[0].config.data, args.on)
    reads = read_all(jobs, scene.posts, args.passes)
    write(args.json, compared(reads, scene, args))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="where twitter2017/ and the rest are")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where models are kept")
    parser.add_argument("--config", type=Path, default=BASE, help="options of [model] and [training]")
    parser.add_argument("--epochs", type=int, help="in place of the configuration's")
    parser.add_argument("--members", type=int, default=5, help="of the ensemble")
    parser.add_argument("--passes", type=int, default=10, help="with dropout on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--draws", type=int, default=RESAMPLES, help="of posts, for intervals")
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="PATTERN", help="models, as monig-1 or log*"
    )
    parser.add_argument("--train-only", action="store_true", help="measure nothing")
    parser.add_argument("--collect", action="store_true", help="train nothing")
    parser.add_argument("--on", type=Path, help="file to report on instead of the second half of dev")
    parser.add_argument("--json", type=Path, default=RESULT, help="where figures go; the table beside it")
    return parser.parse_args(arguments)


def _tell(name: str, line: str) -> None:
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
    """Whether the model is there.

    Raises:
        DataError: it is, but was trained with other settings or on other files.
    """
    if not (job.out / "manifest.json").exists():
        return False
    then = read_config(job.out / "training.toml")
    card = json.loads((job.out / "card.json").read_text(encoding="utf-8"))
    hashes = [corpus["sha256"] for part in ("train", "dev") for corpus in card[part]]
    files = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in _files(job.config.data)]
    settings = replace(then.training, threads=job.config.training.threads)
    if (then.model, settings, hashes) != (job.config.model, job.config.training, files):
        raise DataError(
            "the model there was trained with other settings or on other files",
            where=str(job.out),
            do="use another folder with -o, or delete it",
        )
    return True


def _files(data: DataConfig) -> Iterable[str]:
    return (*data.train, *data.dev)


# --- reading ---------------------------------------------------------------------------------------------


def read_scene(data: DataConfig, on: Path | None) -> Scene:
    """Dev in halves; or the first half of dev, and all posts of another file."""
    (dev,) = read_corpora(data.dev, data)
    fits = first_half(post.id for post in dev.posts)
    if on is None:
        return Scene(dev.posts, fits)
    (other,) = read_corpora([str(on)], data)
    fitted = [post for post, mine in zip(dev.posts, fits, strict=True) if mine]
    return Scene([*fitted, *other.posts], np.arange(len(fitted) + len(other.posts)) < len(fitted))


def read_all(jobs: Sequence[Job], posts: Sequence[Post], passes: int) -> list[Read]:
    """Every network over all posts, one after another; pictures and windows are prepared once."""
    reads: list[Read] = []
    prepared: PreparedPosts | None = None
    for job in jobs:
        tagger = load_tagger(job.config, job.out)
        if job.config.training.threads:
            torch.set_num_threads(job.config.training.threads)
        prepared = prepared or tagger.prepare(posts, partial(_tell, job.name))
        found = tagger.predict(prepared, PICKS.get(job.config.model.fusion, _emissions)(tagger.model))
        chain = Chain(tagger.labels, tagger.potentials(), found.pop("emissions"))
        dropped = passes_of(tagger, prepared, passes if job.name == jobs[0].name else 0)
        _tell(job.name, f"read; confidences differ from the folder's by {agreement(job, chain, posts):.1e}")
        reads.append(Read(job, chain, found, dropped))
        del tagger
        gc.collect()
    return reads


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


PICKS: Mapping[str, Callable[[MultimodalModel], Select]] = {"evidential": _evidence, "dirichlet": _dirichlet}


def passes_of(tagger: TorchTagger, prepared: PreparedPosts, passes: int) -> list[Chain]:
    """Passes with dropout on, each with a seed of its own."""
    select, potentials = _emissions(tagger.model), tagger.potentials()
    return [
        Chain(tagger.labels, potentials, tagger.predict(prepared, select, dropout=seed)["emissions"])
        for seed in range(1, passes + 1)
    ]


def agreement(job: Job, chain: Chain, posts: Sequence[Post]) -> float:
    """Largest difference of span confidences between the network and its exported folder, on some posts.

    Raises:
        DataError: they are not the same model.
    """
    extractor = twofold.load(job.out, threads=1)
    emissions = [reading.emissions for reading in extractor.encode(posts[:CHECKED])]
    spans = extractor.decoder.decode(emissions)
    exported = extractor.decoder.confidences(emissions, spans)
    here = chain.decoder.confidences(chain.emissions[:CHECKED], spans)
    apart = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(exported, here, strict=True))
    if apart > TOLERANCE:
        raise DataError(
            f"the network's confidences and those of the exported folder differ by {apart:.4f}",
            where=str(job.out),
            expected=f"{TOLERANCE} at most",
            do="delete the folder and what lies beside it, and train again",
        )
    return apart


# --- comparing -------------------------------------------------------------------------------------------


def views_of(reads: Sequence[Read], members: int) -> list[View]:
    """All methods that these networks give; the first is the first network alone."""
    first, names = reads[0], _seeds(reads)
    views = [_alone(first)]
    if first.dropped:
        views.append(together(f"{first.job.name}, MC dropout", first.dropped, 1))
    if len(names) == members > 1:
        chains = [read.chain for read in reads if read.job.name in names]
        views.append(together(f"{ENSEMBLE}, ensemble of {members}", chains, members))
    return views + [_alone(read) for read in reads[1:] if read.job.name not in names]


def _seeds(reads: Sequence[Read]) -> list[str]:
    return [read.job.name for read in reads if read.job.name.startswith(f"{ENSEMBLE}-")]


def _alone(read: Read) -> View:
    if "nig" in read.tables:
        return alone(read.job.name, read.chain, evidential(read.chain.decoder, read.tables["nig"]))
    tables = read.tables.get("dirichlet", [])
    names = DIRICHLET if len(tables) else ()
    measures = {name: of_words([x[:, i] for x in tables]) for i, name in enumerate(names)}
    return alone(read.job.name, read.chain, measures)


def compared(reads: Sequence[Read], scene: Scene, args: argparse.Namespace) -> dict[str, Any]:
    """All figures, as they are written."""
    views = views_of(reads, args.members)
    methods, own = {}, []
    for view in views:
        said = scene.judge(view.spans)
        counts = {"predictions": int(said.told.sum()), "right": int(said.right[said.told].sum())}
        methods[view.method] = {"f1": said.f1(args.draws), **counts}
        own += measured(list(rows_of(view, said)), said, args.draws)
    first = scene.judge(views[0].spans)
    common: list[Row] = [row for view in views for row in rows_of(view, first)]
    seeds = [_alone(read) for read in reads if read.job.name in _seeds(reads)]
    judged: list[Judged] = [scene.judge(view.spans) for view in seeds]
    return {
        "reported_on": f"{args.on.parent.name}/{args.on.name}"
        if args.on
        else "second half of twitter2017/valid.txt",
        "posts": scene.reported,
        "posts_fitted_on": int(scene.fits.sum()),
        "epochs": reads[0].job.config.training.epochs,
        "draws": args.draws,
        "methods": methods,
        "own": own,
        "common": measured(common, first, args.draws, against=0),
        "seeds": over_seeds([list(rows_of(v, j)) for v, j in zip(seeds, judged, strict=True)], judged),
    }


def write(path: Path, found: Mapping[str, Any]) -> None:
    """The figures, and the tables made from them."""
    told = to_json(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    first, count = told["common"][0], len(told["seeds"] and told["seeds"][0]["figures"]["aurc"]["values"])
    lines = [
        "<!-- written by benchmarks/uncertainty.py -->",
        f"On {told['reported_on']}, {told['posts']} posts; temperatures fitted on {told['posts_fitted_on']}",
        f"posts of dev; {told['epochs']} epochs. In per cent, with 95 % intervals over posts. Smaller is",
        "better but for F1 and AUROC, where 50 is a coin. What the rows are: docs/reproduce.md.",
        "",
        "## Each method on the spans it predicts itself",
        "",
        *own_table(told["methods"], told["own"]),
        "",
        f"## All on the spans of {first['method']}, with differences from its {first['measure']}",
        "",
        *common_table(told["common"]),
    ]
    if count > 1:
        lines += ["", f"## {ENSEMBLE}, mean ± standard deviation over {count} seeds, own spans", ""]
        lines += seeds_table(told["seeds"])
    path.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    try:
        main()
    except TwofoldError as error:
        sys.exit(str(error))
