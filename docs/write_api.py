"""Write docs/api.md, the reference of the Python API, from the docstrings.

    python docs/write_api.py

griffe reads the source without importing it, so this needs no training framework. It exits with an error if a
docstring does not match its signature. Functions, classes and their attributes are documented, constants are
not.
"""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "api.md"
PARTS = {
    "Configure": ["twofold.config"],
    "Posts in files": ["twofold.corpora", "twofold.records"],
    "Contracts of what varies": [
        "twofold.fusion.contract",
        "twofold.encoders.contract",
        "twofold.heads.contract",
        "twofold.detectors.contract",
    ],
}
"""Modules documented in full, after the names exported by ``twofold``; by heading."""
WIDTH = 110
HEAD = """# Python API

Written by `make docs` from the docstrings; do not edit. Offsets are Unicode code points, as Python slices.
Letters in shapes are those at the top of each module.
"""

Documented = griffe.Class | griffe.Function


def main() -> int:
    """Write the page; returns exit code 1 if the docstrings gave warnings."""
    collector = _WarningCollector()
    logging.getLogger("griffe").addHandler(collector)
    OUT.write_text(page(), encoding="utf-8")
    for warning in collector.warnings:
        print(warning, file=sys.stderr)
    return 1 if collector.warnings else 0


class _WarningCollector(logging.Handler):
    """Collects warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(record.getMessage())


def page() -> str:
    """The complete page as Markdown."""
    package = griffe.load("twofold", search_paths=[ROOT / "src"], docstring_parser="google")
    lines = [HEAD, "## twofold", "", *_text(package)]
    for name in sorted(map(str, package.exports or ()), key=str.casefold):
        lines += _described(name, package[name])
    for heading, modules in PARTS.items():
        lines += [f"## {heading}", ""]
        for path in modules:
            module = package[path.partition(".")[2]]
            lines += [f"### Module `{path}`", "", *_text(module)]
            for name, member in _public(module):
                lines += _described(name, member, f"{path}.")
    return "\n".join(lines).rstrip() + "\n"


def _public(module: griffe.Object | griffe.Alias) -> Iterator[tuple[str, griffe.Object | griffe.Alias]]:
    """Exports of a module: its ``__all__``, or the names defined in it without a leading underscore."""
    for name, member in module.members.items():
        exported = name in module.exports if module.exports is not None else not member.is_alias
        if exported and not name.startswith("_"):
            yield name, member


def _described(name: str, member: griffe.Object | griffe.Alias, prefix: str = "") -> list[str]:
    item = member.final_target if isinstance(member, griffe.Alias) else member
    if not isinstance(item, Documented):
        return []
    lines = [f"### `{name}`", "", *_signature(item, prefix + name), *_text(item)]
    if isinstance(item, griffe.Class):
        for key, inner in item.members.items():
            if not key.startswith("_"):
                lines += _member(name, key, inner)
    return lines


def _member(owner: str, key: str, inner: griffe.Object | griffe.Alias) -> list[str]:
    """A method or a property; plain attributes are documented in the docstring of their class."""
    if isinstance(inner, griffe.Function):
        return [f"#### `{owner}.{key}`", "", *_signature(inner, key), *_text(inner)]
    if isinstance(inner, griffe.Attribute) and "property" in inner.labels:
        return [f"#### `{owner}.{key}`", "", f"Property, `{inner.annotation}`.", "", *_text(inner)]
    return []


def _signature(item: Documented, name: str) -> list[str]:
    """Signature, with one argument per line if it does not fit into one line."""
    arguments: list[str] = []
    star = False
    for parameter in item.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not star:
            arguments, star = [*arguments, "*"], True
        star = star or parameter.kind is griffe.ParameterKind.var_positional
        arguments.append(_argument(parameter))
    returns = f" -> {item.returns}" if isinstance(item, griffe.Function) and item.returns else ""
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) > WIDTH:
        line = f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){returns}"
    return ["```python", line, "```", ""]


def _argument(parameter: griffe.Parameter) -> str:
    stars: dict[griffe.ParameterKind | None, str] = {
        griffe.ParameterKind.var_positional: "*",
        griffe.ParameterKind.var_keyword: "**",
    }
    kind = f": {parameter.annotation}" if parameter.annotation else ""
    default = ""
    if parameter.default is not None and parameter.kind not in stars:
        default = f" = {parameter.default}"
    return f"{stars.get(parameter.kind, '')}{parameter.name}{kind}{default}"


def _text(item: griffe.Object | griffe.Alias) -> list[str]:
    """The docstring, with its sections as lists."""
    if item.docstring is None:
        return []
    lines: list[str] = []
    for section in item.docstring.parse("google"):
        if isinstance(section.value, str):
            lines += [section.value.replace("``", "`"), ""]
        elif isinstance(section.value, list):
            title = {"parameters": "Arguments"}.get(section.kind.value, section.kind.value.capitalize())
            lines += [f"{title}:", "", *(line for entry in section.value for line in _entry(entry)), ""]
    return lines


def _entry(entry: griffe.DocstringNamedElement) -> list[str]:
    name = getattr(entry, "name", "")
    parts = [f"`{name}`"] if name else []
    if entry.annotation:
        parts.append(f"(`{entry.annotation}`)" if name else f"`{entry.annotation}`")
    text = " ".join(entry.description.replace("``", "`").split())
    return textwrap.wrap(
        f"- {' '.join(parts)}: {text}",
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


if __name__ == "__main__":
    sys.exit(main())
