from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from review.queue_of_posts import make_store, result, write_results

from twofold.errors import DataError, InputError
from twofold.posts import Post, Rejected
from twofold.review.decisions import Decision, spans
from twofold.review.results import read_results
from twofold.review.store import LEASE, ReviewStore, source_of

ACCEPT = Decision("entity", 0, "accept")
FINISH = Decision("finish")


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_most_uncertain_post_comes_first_and_those_without_predictions_last(tmp_path: Path) -> None:
    store = make_store(
        tmp_path, result("sure", 0.9), result("none"), result("unsure", 0.95, 0.2), result("x", 0.6)
    )
    seen = []
    while (number := store.next("ada")) is not None:
        seen.append(store.post(number).proposal.id)
        store.decide(number, "ada", [FINISH])
    assert seen == ["unsure", "x", "sure", "none"]
    assert store.progress("ada").finished == 4


def test_in_random_order_the_first_posts_are_a_random_sample(tmp_path: Path) -> None:
    records = [result(i, i / 200) for i in range(200)]
    store = make_store(tmp_path, *records, order="random")
    seen: list[int] = []
    while len(seen) < 50:
        number = store.next("ada")
        assert number is not None
        seen.append(number)
        store.decide(number, "ada", [FINISH])
    assert abs(sum(seen) / 50 - 100) < 25  # true for 998 of 1000 random samples of 50 from 0 … 199
    assert seen != sorted(seen)


def test_two_reviewers_see_different_posts_until_a_lease_ends(tmp_path: Path) -> None:
    clock = Clock()
    store = make_store(tmp_path, result(0, 0.2), result(1, 0.5), clock=clock)
    assert store.next("ada") == 0
    assert store.next("bob") == 1
    assert store.next("cem") is None
    assert store.next("ada") == 0  # a reload changes nothing
    clock.now += LEASE + 1
    assert store.next("cem") == 0


def test_posts_for_two_reviewers(tmp_path: Path) -> None:
    store = make_store(tmp_path, result(0, 0.2), overlap=1.0)
    assert [store.next("ada"), store.next("bob"), store.next("cem")] == [0, 0, None]
    store.decide(0, "ada", [Decision("entity", 0, "reject"), FINISH])
    assert store.progress("ada").finished == 0  # the second is still to come
    store.decide(0, "bob", [FINISH])
    assert store.progress("bob").finished == 1
    assert [spans(store.review(0, name)) for name in ("ada", "bob")] == [frozenset(), {(0, 8, "PER")}]


def test_skipped_posts_are_left_to_others(tmp_path: Path) -> None:
    store = make_store(tmp_path, result(0, 0.2), result(1, 0.5))
    store.decide(0, "ada", [Decision("skip")])
    assert store.next("ada") == 1
    assert store.next("bob") == 0
    assert store.progress("ada").skipped == 1


def test_posts_can_be_left_out_of_the_next(tmp_path: Path) -> None:
    store = make_store(tmp_path, result(0, 0.2), result(1, 0.5))
    assert store.next("ada", [0]) == 1
    assert store.next("ada", [0, 1]) is None


def test_undo_reverts_the_last_action_of_that_reviewer(tmp_path: Path) -> None:
    store = make_store(tmp_path, result(0, 0.2, 0.5, 0.7), result(1, 0.5))
    store.decide(0, "ada", [Decision("entity", 1, "reject")])
    store.decide(0, "ada", [FINISH])
    store.decide(1, "bob", [FINISH])
    assert len(spans(store.review(0, "ada"))) == 2
    assert store.undo("ada") == 0
    after = store.review(0, "ada")
    assert (after.status, [item.answer for item in after.entities]) == ("open", [None, "reject", None])
    assert store.undo("ada") == 0
    assert [item.answer for item in store.review(0, "ada").entities] == [None, None, None]
    assert store.undo("ada") is None
    assert store.review(1, "bob").status == "finished"


def test_undoing_an_addition_restores_the_entity_that_it_replaced(tmp_path: Path) -> None:
    store = make_store(tmp_path, result(0, 0.2, 0.5))
    review = store.decide(0, "ada", [Decision("add", start=10, end=16, type="MISC")])
    assert [item.answer for item in review.entities] == [None, "reject", "accept"]
    store.undo("ada")
    assert [item.answer for item in store.review(0, "ada").entities] == [None, None]


def test_a_decision_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path, result(0, 0.2))
    with pytest.raises(InputError, match="item is 7"):
        store.decide(0, "ada", [ACCEPT, Decision("entity", 7, "accept")])
    assert store.reviews() == {}
    with pytest.raises(InputError, match="no post 5"):
        store.decide(5, "ada", [ACCEPT])
    for name in ("", " ", "a" * 81, "a\nb"):
        with pytest.raises(InputError, match="reviewer"):
            store.decide(0, name, [ACCEPT])


def test_reopening_a_review_keeps_everything(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    results = write_results(tmp_path / "r.jsonl", result("a", 0.2), result("b", 0.3))
    posts = [
        Post("a", result()["text"], image=photo, alt_text="two people"),
        Post("b", result()["text"], image=b"x"),
    ]
    store = ReviewStore.create(
        tmp_path / "r.db", read_results(results, posts), source=source_of(results), types=["EVENT"]
    )
    store.decide(0, "ada", [ACCEPT])
    store.close()
    again = ReviewStore(tmp_path / "r.db")
    assert (again.post(0).picture, again.post(0).alt_text, again.post(1).picture) == (
        photo,
        "two people",
        b"x",
    )
    assert (again.types, again.source, again.count) == (["EVENT", "PER"], source_of(results), 2)
    assert again.review(0, "ada").entities[0].answer == "accept"
    assert again.reviewers() == ["ada"]


def test_a_failed_creation_leaves_no_file(tmp_path: Path) -> None:
    results = write_results(tmp_path / "r.jsonl", result(1, 0.2), {"id": 2})
    with pytest.raises(DataError, match=r"r\.jsonl:2"):
        ReviewStore.create(tmp_path / "r.db", read_results(results))
    assert list(tmp_path.iterdir()) == [results]
    ReviewStore.create(tmp_path / "r.db", read_results(write_results(results, result(1, 0.2))))


def test_files_that_are_not_reviews_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no review"):
        ReviewStore(tmp_path / "absent.db")
    (tmp_path / "other.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DataError, match="cannot be used"):
        ReviewStore(tmp_path / "other.db")
    store = make_store(tmp_path, result(1, 0.2))
    store.close()
    with sqlite3.connect(tmp_path / "review.db") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    connection.close()
    with pytest.raises(DataError, match="format 99"):
        ReviewStore(tmp_path / "review.db")


def test_a_database_error_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path, result(1, 0.2))
    with sqlite3.connect(store.path) as connection:
        connection.execute("DROP TABLE lease")
    connection.close()
    with pytest.raises(DataError, match="no such table: lease"):
        store.decide(0, "ada", [ACCEPT])
    assert store.reviews() == {}


def test_results_must_belong_to_the_posts(tmp_path: Path) -> None:
    path = write_results(tmp_path / "r.jsonl", result("a", 0.2))
    for posts in ([Post("b", result()["text"])], [Post("a", "another text")], []):
        with pytest.raises(DataError, match=r"r\.jsonl:1: the post 'a' of this result is not among"):
            list(read_results(path, posts))
    with pytest.raises(DataError, match="cannot be opened"):
        list(read_results(tmp_path / "absent.jsonl"))


def test_posts_without_a_result_are_skipped(tmp_path: Path) -> None:
    path = write_results(tmp_path / "r.jsonl", result("2", 0.2), result(4, 0.3))
    posts = [Post(i, result()["text"], alt_text=f"picture {i}") for i in range(1, 6)]
    found = list(read_results(path, [posts[0], Rejected("p:2", "no text", "{}"), *posts[1:]]))
    assert [(x.record["id"], x.proposal.id, x.post) for x in found] == [(2, 2, posts[1]), (4, 4, posts[3])]
    with pytest.raises(DataError, match=r"r\.jsonl:2: the post 4"):
        list(read_results(path, posts[:3]))
    with pytest.raises(DataError, match=r"r\.jsonl:2: the post 4"):
        list(read_results(path, posts[::-1]))  # in another order


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path, *(result(i, 0.5) for i in range(40)))

    def work(name: str) -> None:
        while (number := store.next(name)) is not None:
            store.decide(number, name, [FINISH])

    threads = [threading.Thread(target=work, args=(f"reviewer {i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(store.reviews()) == list(range(40))
    assert all(len(of_post) == 1 for of_post in store.reviews().values())  # no post was done twice


def _review_all(path: Path, name: str) -> None:
    store = ReviewStore(path)
    while (number := store.next(name)) is not None:
        store.decide(number, name, [FINISH])


def test_two_processes_share_one_review(tmp_path: Path) -> None:
    store = make_store(tmp_path, *(result(i, 0.5) for i in range(30)))
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_review_all, args=(store.path, name)) for name in ("ada", "bob")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [len(of_post) for _, of_post in sorted(store.reviews().items())] == [1] * 30


_DECIDES = """
import sys
from pathlib import Path
from twofold.review.decisions import Decision
from twofold.review.store import ReviewStore
store = ReviewStore(Path(sys.argv[1]))
for number in range(store.count):
    store.decide(number, "ada", [Decision("entity", 0, "accept")])
    print(number, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize("after", [0, 3, 11])
def test_a_killed_process_loses_no_confirmed_decision(tmp_path: Path, after: int) -> None:
    store = make_store(tmp_path, *(result(i, 0.5) for i in range(500)))
    program = [sys.executable, "-c", _DECIDES, str(store.path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        answered = [int(process.stdout.readline()) for _ in range(after + 1)]
        time.sleep(0.01 * after)  # at some point of a later decision
        process.send_signal(signal.SIGKILL)
        answered += [int(line) for line in process.stdout]
    found = store.reviews()
    assert set(answered) <= set(found)
    assert all(of_post["ada"].entities[0].answer == "accept" for of_post in found.values())
    assert store.undo("ada") == max(found)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE post SET record = '{'",
        "UPDATE post SET record = CAST(x'7bff7d' AS TEXT)",
        "UPDATE decision SET decision = '{}'",
        "UPDATE decision SET decision = 'x'",
        "DROP TABLE decision",
        "DROP TABLE post",
        "UPDATE meta SET value = 'x'",
        "DELETE FROM meta",
    ],
)
def test_a_corrupted_database_is_reported(tmp_path: Path, change: str) -> None:
    store = make_store(tmp_path, result("a", 0.9))
    store.decide(0, "ada", [ACCEPT, FINISH])
    path = store.path
    store.close()
    connection = sqlite3.connect(path)
    connection.execute(change)
    connection.commit()
    connection.close()

    def use() -> None:
        altered = ReviewStore(path)
        altered.confidences()
        altered.reviews()
        altered.progress("ada")

    with pytest.raises((DataError, InputError)):
        use()
