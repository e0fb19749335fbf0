"""The parsed report for tests, and posts with made-up extractions for it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from twofold.posts import Entity, Extraction, PictureReport, Post, SourceEvidence, Uncertainty

VOID = {"meta", "img", "input", "br", "link"}


NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)> &amp; \"quoted\" 'single' </style>"


EVIDENCE = {
    "uncertainty": Uncertainty(0.25, 0.031),
    "sources": {
        "text": SourceEvidence(0.5, 0.1, 0.02),
        "picture": SourceEvidence(0.3, 0.2, 0.03),
        "alt_text": SourceEvidence(0.2, 0.3, 0.04),
    },
}


class Page(HTMLParser):
    """The parsed page: elements, attributes, text; tags must match."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html, self.elements, self.open, self.texts = html, [], [], []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.elements if t == tag and attributes.items() <= a.items()]

    def posts(self) -> list[str]:
        return [str(a["data-number"]) for a in self.all("article")]


def entity(text: str, word: str, type: str = "PER", confidence: float | None = 0.9, **more: object) -> Entity:
    start = text.index(word)
    return Entity(start, start + len(word), word, type, confidence, **more)


def found(
    id: str | int, text: str, *entities: Entity, status: str = "none", reason: str = "", **post: object
) -> tuple[Post, Extraction]:
    report = PictureReport(status, reason)
    return Post(id, text, **post), Extraction(id, text, entities, report, "test")
