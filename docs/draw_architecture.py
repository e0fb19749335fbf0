"""Draw docs/architecture.svg: from a post to calibrated entities and relations.

    python docs/draw_architecture.py

The figure has separate colours for light and dark pages. The script needs only the standard library.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

OUT = Path(__file__).with_name("architecture.svg")
WIDTH, HEIGHT = 1180, 500
LINE = 17  # pixels from one line of text to the next

STYLE = """
  svg { --page: #ffffff; --ink: #1f2328; --soft: #57606a; --edge: #8c959f; --plain: #f6f8fa;
        --text: #dbeafe; --picture: #dcfce7; --fusion: #fef3c7; --head: #fae8ff; --trust: #ffe4e6; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --ink: #e6edf3; --soft: #9da7b3; --edge: #6e7681; --plain: #161b22;
          --text: #17304f; --picture: #143524; --fusion: #40340f; --head: #3a1f47; --trust: #47202a; } }
  .page { fill: var(--page); stroke: none; }
  text { font: 13px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: var(--ink); }
  .column { font-size: 14px; font-weight: 700; text-anchor: middle; }
  .title { font-weight: 600; }
  .soft { fill: var(--soft); font-size: 12px; }
  rect { stroke: var(--edge); stroke-width: 1; }
  .plain { fill: var(--plain); } .text { fill: var(--text); } .picture { fill: var(--picture); }
  .fusion { fill: var(--fusion); } .head { fill: var(--head); } .trust { fill: var(--trust); }
  .frame { fill: none; stroke-dasharray: 4 3; }
  path { fill: none; stroke: var(--soft); stroke-width: 1.5; }
  .gap { stroke: var(--page); stroke-width: 9; }
  .tip { fill: var(--soft); stroke: none; }
"""


def box(at: tuple[int, int, int, int], kind: str, title: str, *lines: str) -> str:
    """A box at (x, y, width, height) with a title and lighter lines below; height 0: fitted to the text."""
    x, y, width, height = at
    height = height or 34 + LINE * len(lines)
    parts = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>']
    parts.append(f'<text class="title" x="{x + 10}" y="{y + 22}">{escape(title)}</text>')
    for i, line in enumerate(lines, 1):
        parts.append(f'<text class="soft" x="{x + 10}" y="{y + 22 + LINE * i}">{escape(line)}</text>')
    return "".join(parts)


def arrow(*points: tuple[int, int]) -> str:
    """A polyline through points, with an arrow tip at the last."""
    path = " L".join(f"{x} {y}" for x, y in points)
    return f'<path d="M{path}" marker-end="url(#tip)"/>'


def crossing(start: int, end: int, y: int) -> list[str]:
    """An arrow from left to right across an unrelated line."""
    middle = (start + end) // 2
    return [f'<path class="gap" d="M{middle - 4} {y} L{middle + 5} {y}"/>', arrow((start, y), (end, y))]


def column(x: int, name: str) -> str:
    """A column heading, centred at x."""
    return f'<text class="column" x="{x}" y="32">{escape(name)}</text>'


def columns() -> list[str]:
    """All column headings."""
    names = [(80, "post"), (245, "encoders"), (431, "modalities"), (641, "fusion"), (846, "head")]
    return [column(x, name) for x, name in [*names, (1066, "calibration")]]


def inputs() -> list[str]:
    """The post, the encoders, and the modalities."""
    return [
        box((20, 60, 120, 0), "text", "text"),
        box((20, 150, 120, 0), "picture", "picture", "may be absent,", "or unreadable"),
        box((20, 270, 120, 0), "text", "alt text", "may be absent"),
        box((20, 370, 120, 0), "plain", "regions", "objects, phrases,", "text in pictures"),
        box((170, 60, 150, 0), "text", "text encoder", "MiniLM, or any of", "the hub"),
        box(
            (170, 150, 150, 0),
            "picture",
            "picture encoder",
            "EfficientNet-Lite0, or",
            "any of the hub; frozen",
        ),
        box((350, 60, 162, 0), "text", "text", "states (B, W, D)"),
        box((350, 150, 162, 0), "picture", "picture", "regions (B, N, V)", "or whole, crops"),
        box((350, 270, 162, 0), "text", "alt_text", "states (B, N, D)"),
        box((350, 370, 162, 0), "plain", "objects, ocr", "read as text", "(B, N, D)"),
        arrow((140, 77), (168, 77)),
        arrow((320, 86), (348, 86)),
        '<path d="M140 295 L155 295"/>',
        '<path d="M140 404 L155 404 L155 112"/>',
        arrow((155, 112), (168, 112)),
        '<path d="M320 112 L335 112 L335 404"/>',
        arrow((335, 295), (348, 295)),
        arrow((335, 404), (348, 404)),
        *crossing(140, 168, 184),
        *crossing(320, 348, 184),
    ]


def fusions() -> list[str]:
    """The three systems and the baselines."""
    systems = [
        ("A  evidential", ["Normal-Inverse-Gamma", "per modality, pooled"]),
        ("B  multigranular", ["two attention paths per", "modality, gated"]),
        ("C  bottleneck", ["Gaussian latents, KL and", "alignment"]),
    ]
    drawn = [
        box((556, 70 + 92 * i, 170, 76), "fusion", name, *lines) for i, (name, lines) in enumerate(systems)
    ]
    return [
        '<rect class="frame" x="542" y="50" width="198" height="388" rx="8"/>',
        *drawn,
        box((556, 346, 170, 76), "plain", "baselines", "concat, dirichlet,", "text_only"),
        *(arrow((512, y), (540, y)) for y in (86, 184, 295, 404)),
        '<text class="soft" x="641" y="458" text-anchor="middle">one of six; every modality</text>',
        '<text class="soft" x="641" y="475" text-anchor="middle">but the text may be absent</text>',
    ]


def heads() -> list[str]:
    """The heads and the calibration."""
    return [
        arrow((740, 130), (768, 130)),
        arrow((740, 300), (768, 300)),
        box((770, 80, 152, 100), "head", "CRF", "emissions (B, W, K)", "BIO tags; marginal of", "each span"),
        box(
            (770, 250, 152, 100),
            "head",
            "relation head",
            "scores (B, 1, K)",
            "entity pairs, both",
            "directions",
        ),
        arrow((846, 180), (846, 248)),
        '<text class="soft" x="854" y="218">entities</text>',
        arrow((922, 130), (960, 130)),
        arrow((922, 300), (960, 300)),
        box((962, 80, 198, 58), "trust", "temperature", "gives the confidence"),
        box((962, 158, 198, 76), "trust", "decision rule", "Viterbi, or largest", "expected F1"),
        box((962, 254, 198, 76), "trust", "risk control", "which predictions a", "person must review"),
        box(
            (962, 350, 198, 76),
            "trust",
            "conformal sets",
            "candidates that cover",
            "the truth at a stated rate",
        ),
        '<text class="soft" x="1061" y="458" text-anchor="middle">fitted on held-out posts</text>',
    ]


def svg() -> str:
    """The whole figure."""
    parts = [*columns(), *inputs(), *fusions(), *heads()]
    tip = '<path class="tip" d="M0 0 L8 4 L0 8 Z"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        'aria-label="Architecture: encoders, modalities, fusion, head, calibration">\n'
        f"<style>{STYLE}</style>\n"
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto" '
        f'markerUnits="userSpaceOnUse">{tip}</marker></defs>\n'
        f'<rect class="page" x="0" y="0" width="{WIDTH}" height="{HEIGHT}"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    OUT.write_text(svg(), encoding="utf-8")
