"""The pages keep their format, their links are valid, and their commands exist."""

from __future__ import annotations

import argparse
import json
import re
from functools import cache
from pathlib import Path

import pytest
from docs.pages import PAGES, ROOT, WRITTEN, cells, commands, cut, headings, links, name

from twofold.cli.main import COMMANDS, build_parser

LONGEST_LINE, LONGEST_CELL, LONGEST_README = 110, 120, 150
LOG = ROOT / "docs" / "log.md"
"""Old entries of the log have long table cells."""


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_lines_of_prose_are_short(path: Path):
    long = [number for number, line in cut(path).prose if len(line) > LONGEST_LINE and "](" not in line[100:]]
    assert not long, f"longer than {LONGEST_LINE}: lines {long}"


@pytest.mark.parametrize("path", [path for path in WRITTEN if path != LOG], ids=name)
def test_table_cells_are_short(path: Path):
    long = [number for number, row in cut(path).rows if max(map(len, cells(row))) > LONGEST_CELL]
    assert not long, f"cells longer than {LONGEST_CELL}: lines {long}"


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_rows_of_a_table_have_as_many_cells_as_its_header(path: Path):
    rows = cut(path).rows
    width = 0
    for i, (number, row) in enumerate(rows):
        if i == 0 or rows[i - 1][0] != number - 1:
            width = len(cells(row))
        assert len(cells(row)) == width, f"line {number}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_relative_links_are_valid(path: Path):
    for line, target in links(path):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"line {line}: {target}"
        assert ROOT in [linked, *linked.parents], f"line {line}: {target} leaves the repository"
        if anchor and linked.suffix == ".md":
            assert anchor in headings(linked), f"line {line}: {target}"


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_README


def test_readme_lists_every_folder_and_subpackage():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    # A renamed subpackage may leave a folder of bytecode behind.
    files = [path.relative_to(ROOT / "src/twofold") for path in (ROOT / "src/twofold").rglob("*")]
    packages = sorted({path.parts[0] for path in files if path.parts[1:] and "__pycache__" not in path.parts})
    folders = ["configs", "examples", "tests", "benchmarks", "docs"]
    assert [folder for folder in packages + folders if f" {folder}/ " not in text] == []


def test_input_files_of_the_readme_are_in_the_repository():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r'(?:--image |"image": ")([^"\s]+)', text)
    assert pictures
    for file in [*pictures, *re.findall(r"extract (examples/\S+?)`", text)]:
        assert (ROOT / file).is_file(), file


def test_every_page_of_docs_is_linked():
    linked = {
        (path.parent / target.partition("#")[0]).resolve() for path in PAGES for _, target in links(path)
    }
    assert [name(page) for page in PAGES if page.parent != ROOT and page not in linked] == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs/systems").glob("*.md")), ids=name)
def test_names_next_to_the_equations_are_in_the_code(path: Path):
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "src/twofold/fusion").glob("*.py"))
    named = [text for _, row in cut(path).rows for text in re.findall(r"`([A-Za-z_.]+)`", cells(row)[-1])]
    assert named
    parts = {part for text in named for part in text.split(".")}
    assert sorted(part for part in parts if not re.search(rf"\b{part}\b", code)) == []


@cache
def _help(command: str) -> str:
    return "".join(parser.format_help() for parser in _parsers(build_parser([command]), command))


def _parsers(parser: argparse.ArgumentParser, command: str) -> list[argparse.ArgumentParser]:
    found: list[argparse.ArgumentParser] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for key, inner in action.choices.items():
                if parser.prog != "twofold" or key == command:
                    found += [inner, *_parsers(inner, command)]
    return found


PLACEHOLDERS = {"N": "1", "NUMBER": "1", "FORMAT": "jsonl"}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_documented_commands_exist(path: Path, capsys: pytest.CaptureFixture[str]):
    for line, words in commands(path):
        words = [PLACEHOLDERS.get(word, word) for word in words]
        assert words[0] in COMMANDS, f"line {line}: twofold {words[0]}"
        options = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
        known = _help(words[0])
        assert [o for o in options if not re.search(rf"{re.escape(o)}\b(?!-)", known)] == [], f"line {line}"
        try:
            build_parser(words).parse_args(words)
        except SystemExit as end:
            errors = capsys.readouterr().err
            if end.code and not re.search("required|expected one argument|expected at least", errors):
                pytest.fail(f"line {line}: twofold {' '.join(words)}: {errors.splitlines()[-1]}")


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_options_named_in_prose_exist(path: Path):
    if path == LOG or path.name == "CHANGELOG.md":
        return
    page = cut(path)
    text = "\n".join(line for _, line in page.prose + page.rows)
    known = build_parser([]).format_help() + "\n".join(map(_help, COMMANDS)) + _script_options()
    named = set(re.findall(r"`(--[a-z][a-z-]*)", text))
    assert sorted(option for option in named if not re.search(rf"{option}\b(?!-)", known)) == []


def _script_options() -> str:
    """Options of the scripts, and of other tools mentioned in the pages."""
    scripts = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "docs").glob("*.py")]
    return "--no-deps --index-url " + "".join(path.read_text(encoding="utf-8") for path in scripts)


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_json_blocks_are_valid(path: Path):
    for block in cut(path).blocks:
        if block.language == "json":
            json.loads(block.text)


def test_every_extra_is_explained():
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert re.findall(r"(?m)^\| `(\w+)`", page) != []
    assert set(re.findall(r"(?m)^(\w+) = \[", section)) == set(re.findall(r"(?m)^\| `(\w+)`", page))


def test_the_exit_codes_of_every_command_are_on_the_page_of_formats():
    rows = [cells(row) for _, row in cut(ROOT / "docs" / "formats.md").rows]
    named = {
        row[0].strip("` ").split()[0] for row in rows if len(row) == 4 and row[0].strip().startswith("`")
    }
    assert named >= set(COMMANDS)
