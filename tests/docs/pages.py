"""Parse the Markdown pages of the project into prose, tables, code and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {ROOT / "benchmarks" / "RESULTS.md", ROOT / "docs" / "api.md"}
"""Generated pages, whose form is not checked."""
PAGES = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / "docs/systems", ROOT / "docs/tutorials", ROOT / "examples",
                   ROOT / "benchmarks")
    for path in folder.glob("*.md")
)  # fmt: skip
WRITTEN = [path for path in PAGES if path not in GENERATED]


class Block(NamedTuple):
    """A fenced or indented block of code.

    Attributes:
        language: of a fenced block; "" for others.
        line: number of its first line, from 1.
        text: its lines, without fence or indentation.
    """

    language: str
    line: int
    text: str


class Page(NamedTuple):
    """A parsed page; prose and rows are (line number from 1, line)."""

    prose: list[tuple[int, str]]
    rows: list[tuple[int, str]]
    blocks: list[Block]


def name(path: Path) -> str:
    """Path of a page relative to the root."""
    return path.relative_to(ROOT).as_posix()


def cut(path: Path) -> Page:
    """Parse a page."""
    page = Page([], [], [])
    fence: list[str] | None = None
    indented: list[str] = []
    language, start, blank = "", 0, True
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if fence is None:
                fence, language, start = [], line[3:].strip(), number + 1
            else:
                page.blocks.append(Block(language, start, "\n".join(fence)))
                fence = None
        elif fence is not None:
            fence.append(line)
        elif line.startswith("    ") and (indented or blank):
            start = start if indented else number
            indented.append(line[4:])
        else:
            if indented:
                page.blocks.append(Block("", start, "\n".join(indented)))
                indented = []
            (page.rows if line.startswith("|") else page.prose).append((number, line))
        blank = not line.strip()
    assert fence is None, f"{path}: a block of code is not closed"
    return page


def cells(row: str) -> list[str]:
    """Cells of a table row as rendered, without link targets."""
    row = re.sub(r"\]\([^)]*\)", "]", row.strip().strip("|"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)]


def headings(path: Path) -> set[str]:
    """Anchors of a page, as GitHub generates them."""
    found = set()
    for _, line in cut(path).prose:
        if match := re.match(r"#+ (.*)", line):
            plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", match[1]).lower()
            found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def links(path: Path) -> Iterator[tuple[int, str]]:
    """Targets of the links and pictures of a page, with the line on which each ends."""
    page = cut(path)
    text = "\n".join(line for _, line in sorted(page.prose + page.rows))
    numbers = [number for number, _ in sorted(page.prose + page.rows)]
    for match in re.finditer(r"\]\(([^)\s]+)\)", text):
        yield numbers[text.count("\n", 0, match.start())], match[1]


def commands(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The ``twofold …`` commands in code blocks and inline code of a page, without the program name."""
    page = cut(path)
    for block in page.blocks:
        if block.language in ("", "sh", "bash"):
            joined = block.text.replace("\\\n", " " * 2)
            for i, line in enumerate(joined.splitlines()):
                yield from ((block.line + i, words) for words in _commands_of(line))
    text = "\n".join(line for _, line in page.prose + page.rows)
    for code in re.findall(r"`(twofold [a-z][^`]*)`", text):
        yield from ((0, words) for words in _commands_of(code.replace("\n", " ")))


def _commands_of(line: str) -> Iterator[list[str]]:
    if "twofold " not in line:
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    part: list[str] = []
    for word in [*lexer, "|"]:
        if word in ("|", ">", "<", ";", "&&", ">>", "2>"):
            if part and part[0].rpartition("/")[2] == "twofold":
                yield [w for w in part[1:] if w not in ("…", "...")]
            part = []
        else:
            part.append(word)
