from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from twofold.preprocessing.pixel_budget import PixelBudget


def test_what_is_in_flight_never_exceeds_the_budget():
    budget, lock = PixelBudget(100), threading.Lock()
    now, most = 0, 0

    def hold(pixels: int) -> None:
        nonlocal now, most
        with budget.room_for(pixels):
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


def test_a_picture_above_the_budget_is_alone_and_passes():
    budget = PixelBudget(10)
    with budget.room_for(1000):
        assert budget.used == 10
    assert budget.used == 0


def test_trouble_gives_the_room_back():
    budget = PixelBudget(10)
    for _ in range(3):
        try:
            with budget.room_for(10):
                raise KeyError
        except KeyError:
            pass
    assert budget.used == 0
