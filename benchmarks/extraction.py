"""Time extraction from JSON Lines to JSON Lines, against the encoders alone and against PyTorch.

(a) The encoders alone: text and picture graph on exactly the batches of that extraction, recorded once and
replayed in the same runtime. (b) The same network in PyTorch on the same inputs, forward passes only.
Posts are real ones with their original pictures, if available, else those of ``examples``. They are repeated
with texts and pictures that differ by a few bytes, since equal ones are encoded only once and plain copies
would distort the measurement.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from timing import Ratio, Work, interleave, ratio

import twofold
from twofold.config import ModelConfig, read_config
from twofold.corpora import read_jsonl
from twofold.errors import MissingExtraError
from twofold.inference.network import Network
from twofold.inference.onnx_sessions import Sessions
from twofold.posts import Post
from twofold.records import to_line

_CHECKOUT = Path(__file__).parents[1]
EXAMPLES = _CHECKOUT / "examples" / "posts.jsonl"
_SHARED = Path(os.environ.get("TWOFOLD_SHARED", _CHECKOUT.parent / "shared"))
_REAL = _SHARED / "data" / "pictures" / "real_posts" / "posts.jsonl"
POSTS = _REAL if _REAL.is_file() else EXAMPLES
"""Posts, with their pictures in the same folder."""
Call = tuple[str, dict[str, Any]]
Report = Callable[[str], None]


def write_posts(folder: Path, count: int, pictures: bool, source: Path = POSTS) -> Path:
    """Write ``count`` distinct posts with their pictures; returns the JSON Lines file."""
    examples = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    folder.mkdir()
    lines = []
    for number in range(count):
        post = dict(examples[number % len(examples)])
        image = post.pop("image", None)
        if pictures and image is not None:
            post["image"] = f"{number}.jpg"
            # Decoders ignore bytes after the end of the picture, but the file is a different one.
            data = (source.parent / image).read_bytes()
            (folder / post["image"]).write_bytes(data + number.to_bytes(4, "big"))
        if not pictures:
            post.pop("alt_text", None)
        post |= {"id": number, "text": f"{post['text']} {number}"}
        lines.append(json.dumps(post) + "\n")
    path = folder / "posts.jsonl"
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    return path


def extract(model: twofold.Extractor, posts: Path) -> int:
    """Read, extract, and format JSON Lines; returns their number."""
    read = (post for post in read_jsonl(posts) if isinstance(post, Post))
    return sum(1 for extraction in model.extract(read) if to_line(extraction))


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Record all graph calls with their inputs."""
    calls: list[Call] = []
    run = Sessions._run

    def record(self: Sessions, name: str, inputs: dict[str, Any]) -> Any:
        calls.append((name, dict(inputs)))
        return run(self, name, inputs)

    with patch.object(Sessions, "_run", record):
        yield calls


def replay(network: Network, calls: list[Call]) -> None:
    """Run recorded calls of the encoders, on as many threads as extraction uses."""

    def run(call: Call) -> None:
        name, inputs = call
        if name == "text":
            network.sessions.text(**inputs)
        elif name == "picture":
            network.sessions.picture(**inputs)

    deque(network.workers.map(run, calls), maxlen=0)


def compare(
    folder: Path | None, work: Path, count: int, rounds: int, threads: int, report: Report
) -> tuple[list[Ratio], dict[str, float]]:
    """Time extraction with and without pictures against (a) and (b).

    Args:
        folder: model folder; None for the default.
        work: folder for the posts.
        count: number of posts. rounds: number of rounds. threads: threads of graphs and of PyTorch.
        report: called with a line if something is left out.

    Returns:
        Ratios, and posts per second by scenario.
    """
    model = twofold.load(folder, threads=threads)
    network = model.pipeline.tagger.network
    ratios: list[Ratio] = []
    rates: dict[str, float] = {}
    for pictures in (False, True):
        scenario = "text, picture, alt text" if pictures else "text alone"
        posts = write_posts(work / ("with" if pictures else "without"), count, pictures)
        with recorded() as calls:
            extract(model, posts)
        ours, encoders, torch_name = f"extraction, {scenario}", "encoders alone", "PyTorch forward passes"
        works: dict[str, Work] = {
            ours: partial(extract, model, posts),
            encoders: partial(replay, network, calls),
        }
        eager = torch_work(model, calls, threads, report)
        if eager is not None:
            works[torch_name] = eager
        seconds = interleave(works, rounds)
        ratios.append(ratio(seconds, ours, encoders, "overhead; aim: at most 1.15"))
        if eager is not None:
            ratios.append(ratio(seconds, ours, torch_name, "decoding and reading included in ours only"))
        rates[scenario] = round(count / ratios[-1].seconds, 1)
    return ratios, rates


def threads_and_tasks(folder: Path | None, work: Path, count: int, rounds: int) -> list[Ratio]:
    """Time two threads against one, and relations against entities alone; arguments as in `compare`."""
    ratios = []
    one, two = (twofold.load(folder, threads=threads) for threads in (1, 2))
    entities = twofold.load(folder, threads=1, relation_model=False)
    for pictures in (False, True):
        scenario = "text, picture, alt text" if pictures else "text alone"
        posts = write_posts(work / f"threads-{pictures}", count, pictures)
        names = [
            f"{what}, {scenario}" for what in ("two threads", "one thread", "entities alone, one thread")
        ]
        works: dict[str, Work] = {
            name: partial(extract, model, posts)
            for name, model in zip(names, (two, one, entities), strict=True)
        }
        seconds = interleave(works, rounds)
        ratios.append(ratio(seconds, names[0], names[1], "aim: at most 0.56"))
        if one.relations:
            ratios.append(ratio(seconds, names[1], names[2], "with relations; aim: at most 1.4"))
    return ratios


# --- PyTorch -----------------------------------------------------------------------------------------


def torch_work(model: twofold.Extractor, calls: list[Call], threads: int, report: Report) -> Work | None:
    """The recorded calls in PyTorch, with the same architecture; None if that is not possible."""
    try:
        return _torch_work(model, calls, threads)
    except (ImportError, MissingExtraError, ValueError) as error:
        report(f"PyTorch left out: {error}")
        return None


def _torch_work(model: twofold.Extractor, calls: list[Call], threads: int) -> Work:
    import torch

    from twofold.encoders.image import load_image_encoder
    from twofold.encoders.text import load_text_encoder
    from twofold.fusion.contract import ModalityStates
    from twofold.models.build import build_model

    torch.set_num_threads(threads)
    config, built = model.pipeline.folder.config, _model_config(model)
    text = load_text_encoder(built.text_encoder)
    image = load_image_encoder(built.image_encoder) if "picture" in config.modalities else None
    if text.width != config.text.hidden_size:
        raise ValueError(
            f"text states have hidden size {config.text.hidden_size}, {built.text_encoder} has {text.width}"
        )
    tagger = build_model(built, config.labels, text, image).eval()  # weights of the head do not matter
    tensors = [(name, {k: torch.from_numpy(np.array(v)) for k, v in x.items()}) for name, x in calls]

    @torch.inference_mode()
    def work() -> None:
        for name, x in tensors:
            if name == "text":
                tagger.text(**x)
            elif name == "picture" and image is not None:
                image(**x)
            elif name == "fusion":
                states = {s: ModalityStates(x[s], x[f"{s}_mask"]) for s in config.modalities[1:]}
                tagger.fuse(x["words"], x["shapes"], x["word_mask"], states)

    return work


def _model_config(model: twofold.Extractor) -> ModelConfig:
    config, written = model.pipeline.folder.config, model.pipeline.folder.path / "training.toml"
    if written.is_file():
        return read_config(written).model
    return ModelConfig(fusion=config.fusion, modalities=config.modalities[1:])


# --- memory ------------------------------------------------------------------------------------------


def memory(folder: Path | None, work: Path, count: int, threads: int) -> list[Ratio]:
    """Peak memory of whole processes: with 4 times as many posts, relative to ``count`` posts."""
    ratios = []
    for pictures in (False, True):
        scenario = "text, picture, alt text" if pictures else "text alone"
        name = "with" if pictures else "without"
        peaks = []
        for times in (1, 4):
            posts = write_posts(work / f"{name}-memory-{times}", times * count, pictures)
            peaks.append(_peak(folder, posts, threads))
        value = peaks[1] / peaks[0]
        what, against = f"peak memory, {scenario}, {4 * count} posts", f"{count} posts"
        note = f"{peaks[0] / 2**20:.0f} MiB, then {peaks[1] / 2**20:.0f} MiB"
        ratios.append(Ratio(what, against, value, value, value, 0.0, note))
    return ratios


def _peak(folder: Path | None, posts: Path, threads: int) -> int:
    """Peak resident memory in bytes of a separate process."""
    command = [sys.executable, __file__, str(folder or ""), str(posts), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def main(folder: str, posts: str, threads: str) -> None:
    """Extract once, consuming the stream, and print the peak of this process."""
    extract(twofold.load(folder or None, threads=int(threads)), Path(posts))
    print(_own_peak())


def _own_peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # on Linux getrusage's value is inherited from the parent process
        return 1024 * int(status.read_text("ascii").partition("VmHWM:")[2].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(*sys.argv[1:])
