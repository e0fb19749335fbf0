"""The one door: load a model, extract from posts.

    extractor = twofold.load()
    for extraction in extractor.extract([{"id": 1, "text": "Sunset in Paris", "image": "p.jpg"}]):
        ...

Posts stream through in groups of bounded size; results come in the order of the posts. It does not know
files of posts, nor training.

Shape letters: W words, K tags, M sources, n words of a span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.corpora.jsonl import parse_post
from twofold.errors import ConfigError, InputError, ModelError
from twofold.posts import Entity, Extraction, Post, SourceEvidence, Uncertainty
from twofold.runtime.decoding import TagSpan
from twofold.runtime.folder import ModelFolder, open_folder
from twofold.runtime.pictures import FeatureCache
from twofold.runtime.reading import Reader, Reading, chunks
from twofold.runtime.scene import TEXTS, VISUAL

PostLike = Post | Mapping[str, Any] | str
"""A post; a mapping as in a line of JSON; or just a text, whose id is then its number from 0."""

_KNOWN_SOURCES = ("text", *VISUAL, *TEXTS)


def default_folder() -> Path:
    """Where the model that ships with the package lies."""
    return Path(__file__).parent / "models_data" / "default"


def load(
    folder: Path | str | None = None, *, threads: int | None = None, cache: Path | str | None = None
) -> Extractor:
    """Load a model.

    Args:
        folder: a model folder; None for the model that ships with the package.
        threads: threads one graph may use; None for as many as there are cores.
        cache: folder where features of pictures are kept between runs; None to keep none.

    Raises:
        ModelError: the folder is missing, half-written, from a newer version, or was altered.
        ConfigError: threads is not a number above 0.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}", expected="a number above 0")
    if folder is None and not default_folder().is_dir():
        raise ModelError(
            "this installation of Twofold has no default model",
            where=str(default_folder()),
            do="install the released package, or give a model folder (`twofold train` writes one)",
        )
    opened = open_folder(Path(folder) if folder is not None else default_folder())
    kept = FeatureCache(Path(cache), opened.picture_fingerprint) if cache is not None else None
    return Extractor(opened, threads=threads, cache=kept)


class Extractor:
    """A loaded model.

    Args:
        folder: a checked model folder.
        threads: threads one graph may use; None for as many as there are cores.
        cache: where features of pictures are kept between runs; None to keep none.

    Attributes:
        folder: the model folder.
        decoder: its CRF.
    """

    def __init__(
        self, folder: ModelFolder, *, threads: int | None = None, cache: FeatureCache | None = None
    ) -> None:
        unknown = set(folder.config.sources) - set(_KNOWN_SOURCES)
        if unknown or folder.config.sources[0] != "text":
            raise ModelError(
                f"the model wants the sources {', '.join(folder.config.sources)}",
                where=str(folder.path),
                expected=f"text, then any of {', '.join(_KNOWN_SOURCES[1:])}",
                do="install a newer Twofold",
            )
        self.folder = folder
        self.decoder = folder.decoder()
        self._reader = Reader(folder, threads, cache)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.folder.config.name

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types the model knows."""
        return self.decoder.types

    def extract(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[Extraction]:
        """Find the entities of posts, one extraction a post, in order.

        Memory does not grow with the number of posts. A picture that cannot be read is said so in
        the extraction; the text is read all the same.

        Args:
            posts: any iterable, taken as it is needed.
            batch_size: windows of text read at once.

        Raises:
            InputError: a mapping is not a post, or ``posts`` is a single one (while iterating, for
                the post in question).
            ConfigError: batch_size is not a number above 0.
        """
        groups = self._groups(posts, batch_size)
        return chain.from_iterable(self.decode(group) for group in groups)

    def read(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[Reading]:
        """What the model saw in each post, before decoding; `decode` makes extractions of it.

        Arguments and errors as in `extract`.
        """
        return chain.from_iterable(self._groups(posts, batch_size))

    def _groups(self, posts: Iterable[PostLike], batch_size: int) -> Iterator[list[Reading]]:
        if isinstance(posts, (str, bytes, Mapping, Post)):
            raise InputError(
                f"a single {type(posts).__name__} came",
                expected="an iterable of posts",
                do="put it into a list",
            )
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}", expected="a number above 0")
        read = self._reader.read
        return (read(group, batch_size) for group in chunks(_as_posts(posts), batch_size))

    def decode(self, readings: Sequence[Reading]) -> list[Extraction]:
        """Extractions of some readings, in order."""
        emissions = [reading.emissions for reading in readings]
        spans = self.decoder.decode(emissions)
        confidences = self.decoder.confidences(emissions, spans, self.folder.temperature)
        return [
            self._extraction(*item) for item in zip(readings, spans, confidences, strict=True)
        ]  # fmt: skip

    def _extraction(
        self, reading: Reading, spans: Sequence[TagSpan], confidences: NDArray[np.float64]
    ) -> Extraction:
        entities = [
            self._entity(reading, span, float(value))
            for span, value in zip(spans, confidences, strict=True)
        ]  # fmt: skip
        post = reading.post
        return Extraction(post.id, post.text, tuple(entities), reading.picture, self.name, _warnings(reading))

    def _entity(self, reading: Reading, span: TagSpan, confidence: float) -> Entity:
        start, end = reading.words[span.start][0], reading.words[span.end - 1][1]
        uncertainty, sources = self._evidence(reading, span)
        text = reading.post.text[start:end]
        return Entity(start, end, text, span.type, confidence, uncertainty, sources)

    def _evidence(
        self, reading: Reading, span: TagSpan
    ) -> tuple[Uncertainty | None, dict[str, SourceEvidence]]:
        """Means over the words of the span, each at the tag it was given."""
        if reading.evidence is None or reading.fused is None or reading.share is None:
            return None, {}
        words, tags = np.arange(span.start, span.end), self.decoder.tags_of(span)
        shares = reading.share[:, words, tags].mean(1)  # (M,)
        aleatoric, epistemic = _uncertainty(reading.evidence[:, :, words, tags])  # (M,) each
        sources = {
            name: SourceEvidence(float(shares[m]), float(aleatoric[m]), float(epistemic[m]))
            for m, name in enumerate(self.folder.config.sources)
            if reading.sources[m]
        }
        whole = _uncertainty(reading.fused[:, words, tags])
        return Uncertainty(float(whole[0]), float(whole[1])), sources


def _as_posts(posts: Iterable[PostLike]) -> Iterator[Post]:
    for number, post in enumerate(posts):
        if isinstance(post, str):
            post = {"id": number, "text": post}
        yield post if isinstance(post, Post) else parse_post(post, f"post {number}")


def _uncertainty(nig: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Aleatoric and epistemic (…), each the mean over n words, of δ, γ, α, β (…, 4, n)."""
    gamma, alpha, beta = (nig[..., i, :].astype(np.float64) for i in (1, 2, 3))
    aleatoric = beta / (alpha - 1)
    return aleatoric.mean(-1), (aleatoric / gamma).mean(-1)


def _warnings(reading: Reading) -> tuple[str, ...]:
    if reading.words:
        return ()
    return ("the text is empty" if not reading.post.text else "the text has no words",)
