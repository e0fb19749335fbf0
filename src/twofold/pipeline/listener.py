"""Receives progress and messages of an evaluation or a calibration."""

from __future__ import annotations

from typing import Protocol

from twofold.posts import Post


class Listener(Protocol):
    """Receives progress; `twofold.console.progress` prints it."""

    def log(self, message: str) -> None:
        """Receive a message for a person."""

    def step(self, post: Post) -> None:
        """Count one post as done."""


class SilentListener:
    """Ignores everything."""

    def log(self, message: str) -> None:
        """Ignore the message."""

    def step(self, post: Post) -> None:
        """Ignore the post."""
