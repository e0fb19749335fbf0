"""Entities and relations from social-media posts with their pictures, with a confidence to act on."""

from __future__ import annotations

__version__ = "0.1.0"
