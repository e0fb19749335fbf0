"""Steps on a cluster: Ray Data streams shards from one reader to actors, each with a model of its own.

The reader runs on the cluster, so that what is read must be reachable there under the same names; parts come
back to this process, which writes them. Nothing rests on how Ray cuts and orders its blocks: each shard is a
row with its place in the stream. Ray runs tasks and actors of a lost node again elsewhere; a part that comes
twice is taken once, and where one does not come the run ends with an error, after which the same command goes
on. A post on which a process dies is rejected, as in `engines`.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from twofold.batch.engines import ResidentWorker
from twofold.batch.shards import Shard
from twofold.batch.step import Part, Step
from twofold.errors import ConfigError, DataError, TwofoldError
from twofold.extras import extra_module
from twofold.pipeline.extractor import Extractor

_GOES_ON = "give the same command again: it goes on where it stood"
_PURPOSE = "Runs on a cluster"
Placed = tuple[int, Any]
"""A place in the stream, and a Shard, or a Part or the error in its place; None behind the last one."""


def run_on_ray(
    step: Step, extractor: Extractor, shards: Iterable[Shard], actors: int | None = None
) -> Iterator[Part]:
    """Parts of shards in their order, extracted on the Ray cluster in use, or on one of this machine.

    Args:
        step: what is done.
        extractor: sent to each actor, which loads its model there.
        shards: taken on the cluster: can be pickled, and iterated again from the beginning.
        actors: their number, at most; None for as many as the cluster has CPUs. Where the model computes on
            a GPU, each has one of its own, and None stands for as many as the cluster has.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: the model computes on a GPU, and the cluster has none.
        DataError: the cluster ended the run.
    """
    ray, data = extra_module("ray", "ray", _PURPOSE), extra_module("ray.data", "ray", _PURPOSE)
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    folder = os.getcwd()  # noqa: PTH109
    on_gpu, resources = extractor.device != "cpu", ray.cluster_resources()
    if on_gpu and not resources.get("GPU"):
        raise ConfigError(
            "the cluster has no GPU",
            where=f"device {extractor.device}",
            expected="a node with one, which Ray knows of",
            do="add one (ray start --num-gpus N where Ray does not find its GPUs), or take the device cpu",
        )
    count = actors or max(1, int(resources.get("GPU" if on_gpu else "CPU", 1)))
    with _quiet_and_row_by_row(data):
        # The reader asks for no CPU: with other needs than the actors, Ray does not make one task of both.
        source = _source(data, shards, folder)
        rows = data.read_datasource(source, override_num_blocks=1, num_cpus=0)
        rows = rows.map_batches(
            _Actor,
            fn_constructor_args=(step, extractor, folder),
            batch_size=1,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(min_size=1, max_size=count),
            **({"num_gpus": 1} if on_gpu else {"num_cpus": 1}),  # with a GPU comes a CPU
        )
        try:
            tables = rows.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=0)
            yield from _in_order(_from_row(table) for table in tables)
        except ray.exceptions.RayError as error:
            raise _told(error) from error


def _in_order(rows: Iterable[Placed]) -> Iterator[Part]:
    """Parts in their places, each once.

    Raises:
        DataError: one is missing.
        TwofoldError: an actor's.
    """
    waiting: dict[int, Part | None] = {}
    place, ended = 0, False
    for number, part in rows:
        if isinstance(part, TwofoldError):
            raise part
        if number >= place:
            waiting[number] = part
        while place in waiting:
            part = waiting.pop(place)
            if part is None:
                ended = True
                break
            yield part
            place += 1
    if not ended:
        raise DataError(f"the cluster gave back {place} shards, and not the next one", do=_GOES_ON)


def _told(error: Exception) -> TwofoldError:
    cause = getattr(error, "cause", None)
    if isinstance(cause, TwofoldError):  # made anew: Ray adds advice of its own to its text
        return type(cause)(cause.what, where=cause.where, expected=cause.expected, do=cause.do)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return DataError(f"the cluster ended the run: {(lines or ['no reason'])[-1][:300]}", do=_GOES_ON)


@contextmanager
def _quiet_and_row_by_row(data: Any) -> Iterator[None]:
    """Ray Data hands each row on when it is there, and draws no progress of its own."""
    context = data.DataContext.get_current()
    logs = {"ray.data": logging.WARNING, "ray.data._internal.progress": logging.ERROR}
    levels = {name: logging.getLogger(name).level for name in logs}
    ours = {"target_max_block_size": 1, "enable_progress_bars": False}
    before = {name: getattr(context, name) for name in ours}
    try:
        for name, value in ours.items():
            setattr(context, name, value)
        _set_levels(logs)
        yield
    finally:
        _set_levels(levels)
        for name, value in before.items():
            setattr(context, name, value)


def _set_levels(levels: Mapping[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


# --- on the cluster ----------------------------------------------------------------------------------


def _to_row(place: int, item: Shard | Part | TwofoldError | None) -> Any:
    arrow = extra_module("pyarrow", "ray", _PURPOSE)
    return arrow.table({"place": [place], "item": arrow.array([pickle.dumps(item)], arrow.large_binary())})


def _from_row(table: Any) -> Placed:
    return table["place"][0].as_py(), pickle.loads(table["item"][0].as_py())


def _source(data: Any, shards: Iterable[Shard], folder: str) -> Any:
    block = extra_module("ray.data.block", "ray", _PURPOSE)

    def read() -> Iterator[Any]:
        os.chdir(folder)  # paths are relative to it
        place = -1
        for place, shard in enumerate(shards):
            yield _to_row(place, shard)
        yield _to_row(place + 1, None)

    class Shards(data.Datasource):  # type: ignore[misc]
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[Any]:
            unknown = block.BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [data.ReadTask(read, unknown)]

    return Shards()


class _Actor:
    """Extracts shards in a process of its own, which may die of one."""

    def __init__(self, step: Step, extractor: Extractor, folder: str) -> None:
        os.chdir(folder)
        self._worker = ResidentWorker(step, extractor)

    def __call__(self, table: Any) -> Any:
        place, shard = _from_row(table)
        try:
            return _to_row(place, shard and self._worker.run(shard))
        except TwofoldError as error:  # raised where it arrives: Ray would hide it behind one of its own
            return _to_row(place, error)
