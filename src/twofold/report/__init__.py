"""The report: one HTML file that shows each post's picture beside its entities and relations."""

from __future__ import annotations

from twofold.report.extraction_report import write_report

__all__ = ["write_report"]
