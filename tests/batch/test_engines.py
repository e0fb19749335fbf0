"""Several processes give the same parts as one; if a process dies, only the row it died on is lost."""

from __future__ import annotations

import dataclasses
import signal
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest
import tiny_model
from batch_runs import DeadlyStep, posts

from twofold import load
from twofold.batch.engines import _Dispatch, run_here, run_in_processes
from twofold.batch.inputs import Rows
from twofold.batch.shards import Shard, cut
from twofold.batch.step import Step
from twofold.corpora import parse_post
from twofold.errors import ModelError
from twofold.posts import Post, Rejected


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return load(tiny_model.build(tmp_path_factory.mktemp("models") / "tiny"), threads=1)


class InMemory(Rows):
    """Posts that are in memory."""

    def __init__(self, items: list[Post | Rejected]) -> None:
        super().__init__([], None)
        self._items = items

    def __iter__(self):
        yield from self._items


def shards(texts: list[str], size: int) -> list[Shard]:
    items: list[Post | Rejected] = [
        parse_post({"id": i, "text": text}, f"f:{i + 1}") for i, text in enumerate(texts)
    ]
    items.insert(3, Rejected("f:x", "bad", "raw"))
    return list(cut(InMemory(items), size))


def test_shards_hold_every_row_once_in_order():
    cut_ = shards([post["text"] for post in posts(20)], 6)
    assert [len(shard.items) for shard in cut_] == [6, 6, 6, 3]
    assert [shard.first for shard in cut_] == [0, 6, 12, 18]
    assert len({shard.digest for shard in cut_}) == 4
    again = shards([post["text"] for post in posts(20)], 6)
    assert [shard.digest for shard in again] == [shard.digest for shard in cut_]


@pytest.mark.parametrize(
    "change",
    [{"id": 8}, {"text": "x"}, {"alt_text": "a"}, {"image": b"x"}, {"carried": {"a": 1}}, {"entities": ()}],
)
def test_the_digest_of_a_shard_depends_on_all_of_a_row(change):
    post = Post(7, "Anna")
    (one,), (other,) = (
        list(cut(InMemory([item]), 5)) for item in (post, dataclasses.replace(post, **change))
    )
    assert one.digest != other.digest


def test_large_pictures_end_a_shard(monkeypatch):
    monkeypatch.setattr("twofold.batch.shards._BYTES", 1000)
    items: list[Post | Rejected] = [Post(i, "x", image=bytes(400)) for i in range(7)]
    assert [len(shard.items) for shard in cut(InMemory(items), 100)] == [3, 3, 1]


def test_two_processes_give_the_parts_of_one(extractor):
    given = shards([post["text"] for post in posts(60)], 5)
    alone = list(run_here(Step(), extractor, given))
    assert list(run_in_processes(Step(), extractor, iter(given), 2)) == alone
    assert [part.number for part in alone] == list(range(13))
    assert sum(part.counts.posts for part in alone) == 60


def test_shards_are_consumed_only_as_processes_become_free(extractor):
    taken = []

    def feed():
        for shard in shards([post["text"] for post in posts(100)], 2):
            taken.append(shard)
            yield shard

    parts = run_in_processes(Step(), extractor, feed(), 1)
    for number, _ in zip(range(1, 6), parts, strict=False):
        assert len(taken) <= number + 3
    parts.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_row_that_kills_its_process_is_rejected_and_the_others_are_extracted(extractor):
    texts = [post["text"] for post in posts(12)]
    texts[5] = "deadly"
    given = shards(texts, 4)
    parts = list(run_in_processes(DeadlyStep(), extractor, given, 2))
    assert [part.rows for part in parts] == [len(shard.items) for shard in given]
    assert sum(part.counts.posts for part in parts) == 11
    assert [part.counts.rejected for part in parts] == [1, 1, 0, 0]
    assert b"the process that read it died" in parts[1].rejects
    assert parts[1].digest == given[1].digest
    unharmed = list(run_here(Step(), extractor, [given[0], given[2]]))
    assert [parts[0], parts[2]] == unharmed


class LateDeath(Future):
    """The result of a process that dies just after the dispatcher looked whether it had."""

    def __init__(self) -> None:
        super().__init__()
        self.set_exception(BrokenProcessPool())
        self._looks = 0

    def done(self) -> bool:
        self._looks += 1
        return self._looks > 2  # of `_unfinished` or `_restart_dead`, which see it alive


class OneDeath:
    """A worker whose process dies on its first shard, once."""

    def __init__(self) -> None:
        self.restarts = 0

    def submit(self, shard: Shard) -> Future:
        if not self.restarts:
            return LateDeath()
        done: Future = Future()
        done.set_result(shard.number)
        return done

    def restart(self) -> None:
        self.restarts += 1


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_processes_that_die_one_shortly_after_another_are_all_restarted(workers):
    dying = [OneDeath() for _ in range(workers)]
    given = shards(["Anna left"] * 20, 2)
    assert [*map(int, _Dispatch(dying).run(iter(given)))] == [shard.number for shard in given]
    assert [worker.restarts for worker in dying] == [1] * workers


def test_a_process_that_cannot_load_the_model_is_an_error(tmp_path, capfd):
    extractor = load(tiny_model.build(tmp_path / "tiny"), threads=1)
    (tmp_path / "tiny" / "fusion.onnx").unlink()
    with pytest.raises(ModelError, match="a worker process ended before it had loaded the model"):
        list(run_in_processes(Step(), extractor, shards(["Anna"], 1), 1))
    assert "lacks fusion.onnx" in capfd.readouterr().err
