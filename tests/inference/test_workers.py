"""Threads that run batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from twofold.inference.workers import Workers


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    assert list(Workers(count).map(slow_first, range(20))) == [i * i for i in range(20)]


@pytest.mark.parametrize(("count", "ahead", "most"), [(1, 2, 1), (2, 1, 2), (3, 2, 6)])
def test_a_bounded_number_of_items_is_consumed_ahead(count: int, ahead: int, most: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while taken < 50:
            taken += 1
            yield taken

    for done, _ in enumerate(Workers(count).map(str, items(), ahead)):
        assert taken - done <= most


def test_several_run_at_a_time_and_items_are_consumed_in_the_caller() -> None:
    both = threading.Barrier(2, timeout=10)
    takers = set()

    def items() -> Iterator[int]:
        for i in range(4):
            takers.add(threading.get_ident())
            yield i

    list(Workers(2).map(lambda _: both.wait(), items()))
    assert takers == {threading.get_ident()}


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_the_iterator_comes_after_the_results_before_it(count: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("no post")

    found = Workers(count).map(abs, items())
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="no post"):
        next(found)


def test_an_error_in_an_item_is_raised_in_its_place() -> None:
    found = Workers(2).map(lambda x: 1 // x, [1, 1, 0, 1])
    assert [next(found), next(found)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)
