"""Entities and relations from social-media posts with their pictures, with a confidence to act on.

Names are imported when they are first used: ``import twofold`` itself loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twofold.errors import TwofoldError
    from twofold.pipeline import Extractor, load
    from twofold.posts import (
        Entity,
        Extraction,
        PictureReport,
        Post,
        Rejected,
        Relation,
        SourceEvidence,
        Uncertainty,
    )

__version__ = "0.1.0"

__all__ = [
    "Entity",
    "Extraction",
    "Extractor",
    "PictureReport",
    "Post",
    "Rejected",
    "Relation",
    "SourceEvidence",
    "TwofoldError",
    "Uncertainty",
    "__version__",
    "load",
]

_HOME = {"TwofoldError": "errors", "Extractor": "pipeline", "load": "pipeline"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'twofold' has no attribute {name!r}")
    return getattr(import_module(f"twofold.{_HOME.get(name, 'posts')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
