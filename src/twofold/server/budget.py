"""A limit on the bytes of bodies held at one time: memory must not grow with the number of clients."""

from __future__ import annotations

from twofold.server.errors import busy


class ByteBudget:
    """Bytes that may be held.

    Args:
        total: bytes.
    """

    def __init__(self, total: int) -> None:
        self.total, self.held = total, 0

    def hold(self) -> Held:
        """A share of the budget, empty at first."""
        return Held(self)


class Held:
    """The bytes of a budget that one request holds; leaving the ``with`` block releases them."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget, self._bytes = budget, 0

    def grow_to(self, count: int) -> None:
        """Hold ``count`` bytes in total.

        Raises:
            ApiError: other requests hold too many.
        """
        more = count - self._bytes
        if more <= 0:
            return
        if self._budget.held + more > self._budget.total:
            raise busy("the requests in memory have reached the limit of bytes", 1)
        self._budget.held += more
        self._bytes = count

    def add(self, count: int) -> None:
        """Hold ``count`` more bytes; raises as `grow_to`."""
        self.grow_to(self._bytes + count)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.held -= self._bytes
        self._bytes = 0
