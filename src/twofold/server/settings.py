"""What a service accepts and how it runs: limits, keys, batches."""

from __future__ import annotations

from dataclasses import dataclass, field

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what one request, and all requests together, may use.

    Attributes:
        body: bytes of a request's body.
        held: bytes of all bodies in memory at one time; memory grows with it.
        picture: bytes of a picture's file.
        pixels: width times height of a picture, by its header.
        posts: posts of a request.
        characters: characters of a post: text, alternative text and labels of regions together.
        queue: posts that wait for the model, of all requests together.
        seconds: for a request from its arrival to its result; a request may ask for less.
        body_seconds: for a body to arrive.
        head_seconds: for the head of a request to arrive, and for a client to read what was written.
    """

    body: int = 32 * MB
    held: int = 256 * MB
    picture: int = 16 * MB
    pixels: int = 64_000_000
    posts: int = 256
    characters: int = 10_000
    queue: int = 512
    seconds: float = 30.0
    body_seconds: float = 30.0
    head_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a service runs.

    Attributes:
        limits: limits on requests.
        batch_size: texts encoded together.
        batch_posts: maximum number of posts taken from the queue together.
        batch_wait: maximum seconds that a post waits for others to fill a batch.
        runners: batches that run at the same time.
        keys: accepted API keys; none for a service that needs no key.
        hosts: names that the Host header of a request may have, without port; none for any.
        fetch_pictures: whether pictures are fetched from web addresses in posts.
        min_confidence: for requests that set none; None to leave nothing out.
    """

    limits: Limits = field(default_factory=Limits)
    batch_size: int = 32
    batch_posts: int = 64
    batch_wait: float = 0.005
    runners: int = 2
    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    fetch_pictures: bool = False
    min_confidence: float | None = None
