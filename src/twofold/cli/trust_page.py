"""``twofold evaluate --trust --report``: the page of figures and plots."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from twofold.errors import ConfigError
from twofold.evaluation.domain_shift import Shift
from twofold.evaluation.trust_report import TrustReport


def add_page_option(parser: argparse.ArgumentParser) -> None:
    """Where the page goes."""
    parser.add_argument("--report", type=Path, metavar="HTML", help="with --trust: also a page to look at")


def check_page_option(args: argparse.Namespace) -> None:
    """Complain before anything is read.

    Raises:
        ConfigError: there would be nothing on the page, or it would replace an input or the JSON.
    """
    if args.report is None:
        return
    if not args.trust:
        raise ConfigError("--report is the page of --trust", do="add --trust")
    taken = {"DATA": args.data, "--json": args.json}
    for name, path in taken.items():
        if path is not None and path.resolve() == args.report.resolve():
            raise ConfigError(f"--report and {name} are the same file", do="give another name")


def write_page(
    args: argparse.Namespace, model: str, reports: Mapping[str, TrustReport], foreign: Sequence[Shift]
) -> None:
    """Write it, where one was asked for."""
    if args.report is None:
        return
    from twofold.corpora.releases import release_of
    from twofold.report.trust_report import write_trust_report

    release = release_of(args.data)
    data = f"{release.title} {release.split}" if release else args.data.name
    write_trust_report(reports, args.report, model=model, data=data, foreign=foreign)
