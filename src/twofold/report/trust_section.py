"""The trust report on one kind of prediction as a section of the page. Independent of HTML."""

from __future__ import annotations

from twofold.evaluation.trust_report import ALL, TrustReport
from twofold.report.calibration_blocks import reliability_block, types_block
from twofold.report.error_detection_block import error_detection_block
from twofold.report.number_format import decimal_percent
from twofold.report.plots import lane, row_plot
from twofold.report.sections import FIFTHS, Block, Section, Table
from twofold.report.selective_block import selective_block
from twofold.report.statements import statements


def trust_section(what: str, report: TrustReport) -> Section:
    """The section on one kind of prediction.

    Args:
        what: the kind of prediction, in the plural.
        report: all metrics.
    """
    blocks = [types_block(report)]
    if report.calibration[ALL].predictions:
        blocks = [
            reliability_block(report), *blocks, selective_block(report), error_detection_block(report)
        ]  # fmt: skip
    if report.modalities:
        blocks.append(_modalities_block(report))
    return Section(what.replace(" ", "-"), what.capitalize(), tuple(statements(report, what)), tuple(blocks))


def _modalities_block(report: TrustReport) -> Block:
    rows = tuple(
        (
            name.replace("_", " "),
            f"{m.predictions:,}",
            *(decimal_percent(share) for share in (m.share, m.share_right, m.share_wrong)),
        )
        for name, m in report.modalities.items()
    )
    columns = ("modality", "predictions", "share, %", "right predictions, %", "wrong predictions, %")
    plot = row_plot("Mean share of each modality", "share of the evidence, %", [row[0] for row in rows], 2)
    plot.tick(FIFTHS)
    for row, modality in enumerate(report.modalities.values()):
        plot.mark(modality.share_right, lane(row, 0, 2), "circle", "mark")
        plot.mark(modality.share_wrong, lane(row, 1, 2), "square", "open")
    return Block(
        "Which modality does the evidence come from?",
        "modality shares",
        "Mean share of each modality, over the posts that have it. A larger share in wrong than in right "
        "predictions may point to a misleading modality.",
        (plot,) if len(rows) > 1 else (),
        (("mark", "right predictions"), ("square", "wrong predictions")),
        (Table("Share of the modalities, per cent", columns, rows),),
    )
