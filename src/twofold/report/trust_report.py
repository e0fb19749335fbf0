"""The trust report of `evaluate`: one HTML file with plots from our own template, no script and no network.

The page shows no posts, and does not consider the costs of errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from twofold.evaluation.domain_shift import DomainShift
from twofold.evaluation.trust_report import TrustReport
from twofold.files import OutputFile, write_whole
from twofold.report.domain_shift_section import domain_shift_section
from twofold.report.plots import SHAPES
from twofold.report.templates import load_template, read_asset
from twofold.report.trust_section import trust_section
from twofold.version import __version__


def write_trust_report(
    reports: Mapping[str, TrustReport],
    path: Path | OutputFile,
    *,
    model: str,
    data: str,
    shifts: Sequence[DomainShift] = (),
) -> None:
    """Write one self-contained HTML file; it appears whole or not at all.

    Args:
        reports: by kind of prediction, in the plural.
        path: file to write, whose folder is created where it is missing, or an output opened for it.
        model: name of the model. data: name of the labelled posts.
        shifts: out-of-distribution data that the model was compared on.

    Raises:
        DataError: the file cannot be written.
    """
    sections = [trust_section(what, report) for what, report in reports.items()]
    if shifts:
        sections.append(domain_shift_section(shifts))
    page = load_template("trust_report.html.j2").generate(
        sections=sections,
        model=model,
        data=data,
        posts=max((report.posts for report in reports.values()), default=0),
        version=__version__,
        shapes=SHAPES,
        style=read_asset("page.css") + read_asset("trust_report.css"),
    )
    with write_whole(path, make_folder=True) as output:
        for part in page:
            output.write(part.encode("utf-8"))
