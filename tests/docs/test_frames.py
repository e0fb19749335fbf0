"""The recipes of docs/frames.md run unchanged, each section by itself, if its package is installed."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from docs.pages import ROOT, Block, cut

PAGE = ROOT / "docs" / "frames.md"


def sections() -> dict[str, list[Block]]:
    """Python blocks by section heading."""
    page = cut(PAGE)
    headings = [(number, line[3:]) for number, line in page.prose if line.startswith("## ")]
    found: dict[str, list[Block]] = {}
    for block in page.blocks:
        if block.language == "python":
            found.setdefault(max(h for h in headings if h[0] < block.line)[1], []).append(block)
    return found


SECTIONS = sections()


@pytest.mark.slow  # each loads the shipped model
@pytest.mark.filterwarnings("ignore")  # of other packages
@pytest.mark.parametrize("section", SECTIONS)
def test_recipe(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "\n".join(block.text for block in SECTIONS[section])
    for package in re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if "import spacy" in text:
        from twofold.spacy_component import register

        register()  # as the entry point of an installed package does
    shutil.copytree(ROOT / "examples", tmp_path / "examples")  # not a link: it would leave the folder
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    names: dict[str, Any] = {"__name__": "recipe"}
    for block in SECTIONS[section]:
        exec(compile("\n" * (block.line - 1) + block.text, str(PAGE), "exec"), names)
