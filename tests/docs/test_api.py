"""The API reference is up to date, is generated without warnings, and contains all public names."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from types import ModuleType

import pytest
from docs.pages import ROOT

import twofold

pytest.importorskip("griffe")

PUBLIC = [name for name in twofold.__all__ if name[0] != "_"]


def load(script: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(script, ROOT / "docs" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def written() -> Iterator[tuple[str, list[str]]]:
    api = load("write_api")
    collector = api._WarningCollector()
    logging.getLogger("griffe").addHandler(collector)
    yield api.page(), collector.warnings
    logging.getLogger("griffe").removeHandler(collector)


def test_docstrings_match_their_signatures(written: tuple[str, list[str]]):
    assert written[1] == []


def test_the_page_is_up_to_date(written: tuple[str, list[str]]):
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert page == written[0], "docstrings have changed: run `make docs`"


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented(written: tuple[str, list[str]], name: str):
    assert f"### `{name}`\n" in written[0]


def test_methods_and_properties_of_the_extractor_are_documented(written: tuple[str, list[str]]):
    for name in vars(twofold.Extractor):
        assert name[0] == "_" or f"#### `Extractor.{name}`\n" in written[0]


def test_signatures_show_arguments_defaults_and_result(written: tuple[str, list[str]]):
    start = written[0].index("### `load`\n")
    signature = written[0][start : written[0].index("```\n", start)]
    assert "folder: Path | str | None = None" in signature
    assert "    *,\n" in signature
    assert ") -> Extractor" in signature


def test_a_docstring_that_names_an_unknown_argument_is_an_error(tmp_path, monkeypatch, capsys):
    api = load("write_api")
    package = tmp_path / "src" / "twofold"
    package.mkdir(parents=True)
    body = '"""F.\n\n    Args:\n        b: wrong.\n    """'
    (package / "__init__.py").write_text(f'__all__ = ["f"]\n\ndef f(a: int) -> None:\n    {body}\n')
    monkeypatch.setattr(api, "ROOT", tmp_path)
    monkeypatch.setattr(api, "OUT", tmp_path / "api.md")
    monkeypatch.setattr(api, "PARTS", {})
    assert api.main() == 1
    assert "b" in capsys.readouterr().err


def test_the_figure_is_up_to_date():
    drawn = load("draw_architecture").svg()
    assert (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8") == drawn


def test_the_figure_names_every_fusion():
    build = pytest.importorskip("twofold.models.build")
    drawn = load("draw_architecture").svg()
    assert [name for name in build.FUSIONS if name not in drawn] == []


def test_the_figure_has_colours_for_dark_pages_and_a_title():
    import xml.etree.ElementTree as xml

    tree = xml.fromstring(load("draw_architecture").svg())
    assert "Architecture" in tree.attrib["aria-label"]
    assert "prefers-color-scheme: dark" in "".join(tree.itertext())
