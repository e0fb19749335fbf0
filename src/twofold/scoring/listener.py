"""Who is told how far an evaluation is, and what came up on the way."""

from __future__ import annotations

from typing import Protocol

from twofold.posts import Post


class Listener(Protocol):
    """Hears of progress; `twofold.console.progress` prints it."""

    def tell(self, message: str) -> None:
        """Take a message for a person."""

    def step(self, post: Post) -> None:
        """Count one post as done."""


class SilentListener:
    """Says nothing."""

    def tell(self, message: str) -> None:
        """Ignore the message."""

    def step(self, post: Post) -> None:
        """Ignore the post."""
