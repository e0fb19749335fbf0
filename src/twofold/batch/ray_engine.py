"""Steps on a cluster: Ray Data streams shards from one reader to actors, each with its own model.

The reader runs on the cluster, so the input must be reachable there under the same names. Parts come back to
this process, which writes them. The result does not depend on how Ray splits and orders its blocks: each
shard is a row with its index in the stream. Ray reruns tasks and actors of a lost node elsewhere. A part that
arrives twice is used once; if one does not arrive, the run ends with an error and can be resumed. A post on
which a process dies is rejected, as in `engines`.
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

_RESUME = "give the same command again to resume"
_PURPOSE = "Runs on a cluster"
StreamItem = tuple[int, Any]
"""An index in the stream, and the Shard, Part or error there; None after the last one."""


def run_on_ray(
    step: Step, extractor: Extractor, shards: Iterable[Shard], actors: int | None = None
) -> Iterator[Part]:
    """The parts of shards, in order, extracted on the current Ray cluster, or on a new local one.

    Args:
        step: how a shard is extracted.
        extractor: is sent to each actor, which loads the model.
        shards: are consumed on the cluster; must be picklable, and iterable more than once.
        actors: largest number of actors; None for one per CPU of the cluster. If the model runs on a GPU,
            each actor has its own, and None means one per GPU of the cluster.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: there is no cluster at the address in RAY_ADDRESS; or the model runs on a GPU, and the
            cluster has none.
        DataError: the cluster ended the run.
    """
    ray, data = extra_module("ray", "ray", _PURPOSE), extra_module("ray.data", "ray", _PURPOSE)
    if not ray.is_initialized():
        _connect(ray)
    folder = os.getcwd()  # noqa: PTH109
    on_gpu, resources = extractor.device != "cpu", ray.cluster_resources()
    if on_gpu and not resources.get("GPU"):
        raise ConfigError(
            "the cluster has no GPU",
            where=f"device {extractor.device}",
            expected="a node with a GPU that Ray has detected",
            do="add one (ray start --num-gpus N if Ray does not detect its GPUs), or use the device cpu",
        )
    count = actors or max(1, int(resources.get("GPU" if on_gpu else "CPU", 1)))
    with _quiet_and_row_by_row(data):
        # The reader asks for no CPU: since its needs differ from those of actors, Ray does not fuse the two.
        source = _source(data, shards, folder)
        rows = data.read_datasource(source, override_num_blocks=1, num_cpus=0)
        rows = rows.map_batches(
            _Actor,
            fn_constructor_args=(step, extractor, folder),
            batch_size=1,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(min_size=1, max_size=count),
            **({"num_gpus": 1} if on_gpu else {"num_cpus": 1}),  # a GPU implies a CPU
        )
        try:
            tables = rows.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=0)
            yield from _in_order(_from_row(table) for table in tables)
        except ray.exceptions.RayError as error:
            raise _as_twofold_error(error) from error


def _connect(ray: Any) -> None:
    try:
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS")
        if not address:
            raise
        # Its own text for no cluster names a flag of Ray's commands; for others it says what is wrong.
        first_line = str(error).strip().partition("\n")[0]
        reason = "" if isinstance(error, ConnectionError) else f": {first_line[:300]}"
        raise ConfigError(
            f"Ray cannot connect to a cluster at {address!r}{reason}",
            where="RAY_ADDRESS",
            expected="auto, or the HOST:PORT of a running cluster",
            do="start a cluster, or unset RAY_ADDRESS, so that Ray starts one here",
        ) from error


def _in_order(rows: Iterable[StreamItem]) -> Iterator[Part]:
    """The parts in order, each once.

    Raises:
        DataError: one is missing.
        TwofoldError: the error of an actor.
    """
    waiting: dict[int, Part | None] = {}
    index, ended = 0, False
    for number, part in rows:
        if isinstance(part, TwofoldError):
            raise part
        if number >= index:
            waiting[number] = part
        while index in waiting:
            part = waiting.pop(index)
            if part is None:
                ended = True
                break
            yield part
            index += 1
    if not ended:
        raise DataError(f"the cluster returned {index} shards, but not the next one", do=_RESUME)


def _as_twofold_error(error: Exception) -> TwofoldError:
    cause = getattr(error, "cause", None)
    if isinstance(cause, TwofoldError):  # rebuilt, since Ray appends its own advice to the text
        return type(cause)(cause.what, where=cause.where, expected=cause.expected, do=cause.do)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return DataError(f"the cluster ended the run: {(lines or ['no reason'])[-1][:300]}", do=_RESUME)


@contextmanager
def _quiet_and_row_by_row(data: Any) -> Iterator[None]:
    """Make Ray Data pass on each row as soon as it is ready, and print no progress."""
    context = data.DataContext.get_current()
    logs = {"ray.data": logging.WARNING, "ray.data._internal.progress": logging.ERROR}
    levels = {name: logging.getLogger(name).level for name in logs}
    settings = {"target_max_block_size": 1, "enable_progress_bars": False}
    before = {name: getattr(context, name) for name in settings}
    try:
        for name, value in settings.items():
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


def _to_row(index: int, item: Shard | Part | TwofoldError | None) -> Any:
    arrow = extra_module("pyarrow", "ray", _PURPOSE)
    return arrow.table({"place": [index], "item": arrow.array([pickle.dumps(item)], arrow.large_binary())})


def _from_row(table: Any) -> StreamItem:
    return table["place"][0].as_py(), pickle.loads(table["item"][0].as_py())


def _source(data: Any, shards: Iterable[Shard], folder: str) -> Any:
    block = extra_module("ray.data.block", "ray", _PURPOSE)

    def read() -> Iterator[Any]:
        os.chdir(folder)  # paths are relative to it
        index = -1
        for index, shard in enumerate(shards):
            yield _to_row(index, shard)
        yield _to_row(index + 1, None)

    class Shards(data.Datasource):  # type: ignore[misc]
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[Any]:
            unknown = block.BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [data.ReadTask(read, unknown)]

    return Shards()


class _Actor:
    """Extracts shards in a separate process, so that the actor survives a crash."""

    def __init__(self, step: Step, extractor: Extractor, folder: str) -> None:
        os.chdir(folder)
        self._worker = ResidentWorker(step, extractor)

    def __call__(self, table: Any) -> Any:
        index, shard = _from_row(table)
        try:
            return _to_row(index, shard and self._worker.run(shard))
        except TwofoldError as error:  # returned, since Ray would wrap it in one of its own errors
            return _to_row(index, error)
