"""Time a training step of each fusion against one of `text_only`: same encoder, posts, batches and threads.

Picture features are computed beforehand, as in any training. A step is everything from the batch to the
averaged weights. Posts are those of ``examples`` with pictures and alt texts, see `extraction`; their labels
are artificial, which does not affect the time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from extraction import EXAMPLES, Report, write_posts
from timing import Ratio, Work, interleave, ratio

from twofold.config import DataConfig, read_config
from twofold.errors import MissingExtraError

BASE = Path(__file__).parents[1] / "configs" / "comparison.toml"
BASELINE = "text_only"
FUSIONS = ("concat", "evidential", "multigranular", "bottleneck", "dirichlet")
POSTS, STEPS = 96, 6
TYPES = ("PER", "LOC", "ORG", "MISC")


def compare(work: Path, rounds: int, threads: int, report: Report) -> list[Ratio]:
    """Time some steps of each fusion alternately.

    Args:
        work: folder for posts and logs.
        rounds: number of rounds. threads: of PyTorch.
        report: called with a line if this cannot be measured.
    """
    posts = _labelled(write_posts(work / "steps", POSTS, True, EXAMPLES))
    with ExitStack() as stack:
        try:
            works = {name: _steps(name, posts, work, threads, stack) for name in (BASELINE, *FUSIONS)}
        except (ImportError, MissingExtraError) as error:
            report(f"steps of training left out: {error}")
            return []
        seconds = interleave(works, rounds)
    return [_against(seconds, name) for name in FUSIONS]


def _against(seconds: dict[str, list[float]], name: str) -> Ratio:
    compared = ratio(seconds, name, BASELINE, "all modalities; aim: at most 1.6")
    return compared._replace(what=f"step of training, {name}", against=BASELINE)


def _labelled(posts: Path) -> Path:
    """Label the first word of each post as an entity."""
    lines = [json.loads(line) for line in posts.read_text(encoding="utf-8").splitlines()]
    for number, post in enumerate(lines):
        end = len(post["text"].split()[0])
        post["entities"] = [{"start": 0, "end": end, "type": TYPES[number % len(TYPES)]}]
    posts.write_text("".join(json.dumps(post) + "\n" for post in lines), encoding="utf-8", newline="\n")
    return posts


def _steps(fusion: str, posts: Path, work: Path, threads: int, stack: ExitStack) -> Work:
    from twofold.training.cpu import cpu_optimised
    from twofold.training.examples import batches, collate
    from twofold.training.loop import Trainer
    from twofold.training.run import set_up_training

    base = read_config(BASE)
    modalities = () if fusion == BASELINE else base.model.modalities
    config = replace(
        base,
        data=DataConfig((str(posts),), (str(posts),)),
        model=replace(base.model, fusion=fusion, modalities=modalities),
        training=replace(base.training, threads=threads),
    )
    setup = set_up_training(config, _silent)
    trainer = Trainer(setup.model, setup.data, config.training, work / fusion, fusion, _silent)
    stack.enter_context(cpu_optimised(setup.model, trainer.device))
    setup.model.train()
    groups = islice(batches(setup.data.train, config.training.batch_size, seed=1, epoch=0), STEPS)
    return partial(
        _run,
        trainer.step,
        [partial(collate, g, setup.data.tables, setup.model.text.pad_id) for g in groups],
    )


def _run(step: Callable[..., float], collates: list[Callable[..., object]]) -> None:
    for make_batch in collates:
        step(make_batch())


def _silent(line: str) -> None:
    pass
