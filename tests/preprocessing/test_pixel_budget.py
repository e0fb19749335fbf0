from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from twofold.preprocessing.pixel_budget import PixelBudget


def test_reserved_pixels_never_exceed_the_budget():
    budget, lock = PixelBudget(100), threading.Lock()
    now, most = 0, 0

    def hold(pixels: int) -> None:
        nonlocal now, most
        with budget.reserve(pixels):
            with lock:
                now += pixels
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= pixels

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [30, 60, 90, 10, 100, 45] * 10))
    assert most <= 100
    assert budget.used == 0


def test_a_picture_above_the_budget_reserves_all_of_it():
    budget = PixelBudget(10)
    with budget.reserve(1000):
        assert budget.used == 10
    assert budget.used == 0


def test_an_error_releases_the_pixels():
    budget = PixelBudget(10)
    for _ in range(3):
        try:
            with budget.reserve(10):
                raise KeyError
        except KeyError:
            pass
    assert budget.used == 0
