"""Entities and relations from social-media posts with their pictures, with a confidence to act on.

Names are imported when they are first used: ``import twofold`` itself loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from twofold.version import __version__

if TYPE_CHECKING:
    from twofold.config import Config
    from twofold.corpora.post_file import read_posts
    from twofold.errors import TwofoldError
    from twofold.frames.arrow import extraction_schema
    from twofold.pipeline.calibrate import CalibrationOptions, calibrate
    from twofold.pipeline.extractor import Extractor, combine, load
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
    from twofold.scoring.domain_shift import ShiftOptions
    from twofold.scoring.evaluate import evaluate
    from twofold.scoring.report import EvaluationReport
    from twofold.scoring.robustness import RobustnessOptions
    from twofold.training.start import train

__all__ = [
    "CalibrationOptions",
    "Config",
    "Entity",
    "EvaluationReport",
    "Extraction",
    "Extractor",
    "PictureReport",
    "Post",
    "Rejected",
    "Relation",
    "RobustnessOptions",
    "ShiftOptions",
    "SourceEvidence",
    "TwofoldError",
    "Uncertainty",
    "__version__",
    "calibrate",
    "combine",
    "evaluate",
    "extraction_schema",
    "load",
    "read_posts",
    "train",
]

_MODULES = {
    "CalibrationOptions": "pipeline.calibrate",
    "Config": "config",
    "EvaluationReport": "scoring.report",
    "Extractor": "pipeline.extractor",
    "RobustnessOptions": "scoring.robustness",
    "ShiftOptions": "scoring.domain_shift",
    "TwofoldError": "errors",
    "calibrate": "pipeline.calibrate",
    "combine": "pipeline.extractor",
    "evaluate": "scoring.evaluate",
    "extraction_schema": "frames.arrow",
    "load": "pipeline.extractor",
    "read_posts": "corpora.post_file",
    "train": "training.start",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'twofold' has no attribute {name!r}")
    return getattr(import_module(f"twofold.{_MODULES.get(name, 'posts')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
