"""The rules of the house: imports go one way, and loading the code location is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "ws_pipeline"

#: Folder or module of the package -> parts of the package it may import.
FOUNDATION = {
    "errors",
    "settings",
    "file_errors",
    "files",
    "file_lock",
    "arrays",
    "arrow_types",
    "example_ids",
    "example_index",
    "feature_columns",
    "examples",
    "optim",
}
ALLOWED = {
    "errors": set(),
    "settings": {"errors"},
    "file_errors": {"errors"},
    "files": {"errors", "file_errors"},
    "file_lock": {"file_errors"},
    "arrays": {"errors"},
    "arrow_types": set(),
    "example_ids": {"arrays", "arrow_types", "errors"},
    "example_index": {"arrow_types", "errors", "example_ids", "files"},
    "feature_columns": {"arrow_types", "errors", "example_ids"},
    "examples": {"errors", "example_ids", "example_index", "feature_columns", "files"},
    "optim": {"errors", "settings"},
    "analysis": FOUNDATION | {"analysis"},
    "labeling": FOUNDATION | {"analysis", "labeling"},
    "classification": FOUNDATION | {"analysis", "classification"},
    "defs": FOUNDATION | {"analysis", "labeling", "classification", "defs"},
    "compat": FOUNDATION | {"analysis", "labeling", "classification", "compat"},
    "definitions": {"defs", "errors"},
    "__main__": {"defs", "errors"},
    "__init__": set(),
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(file: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file):
    own = {name.split(".")[1] for name in imports_of(file) if name.startswith("ws_pipeline.")}
    assert own <= ALLOWED[part_of(file)], f"{file} may import only {sorted(ALLOWED[part_of(file)])}"


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_behind(name: str, known: set[str]) -> set[str]:
    """The module that an imported name is, or is in."""
    return next(({module} for module in (name, name.rpartition(".")[0]) if module in known), set())


def test_no_module_imports_itself_by_way_of_others():
    known = {module_of(file) for file in SOURCES}
    graph = {
        module_of(file): set().union(*(modules_behind(name, known) for name in imports_of(file)))
        for file in SOURCES
    }
    assert sum(map(len, graph.values())) > 300
    order = list(TopologicalSorter(graph).static_order())  # a CycleError names the circle
    assert set(order) == known


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_dagster_appears_only_in_its_face(file):
    if part_of(file) not in {"defs", "definitions"}:
        assert not [name for name in imports_of(file) if name.split(".")[0].startswith("dagster")]


def test_no_asset_module_postpones_its_annotations():
    postponed = [
        file for file in (PACKAGE / "defs").glob("*.py") if "__future__.annotations" in imports_of(file)
    ]
    assert postponed == []


@pytest.mark.parametrize(
    "module", ["ws_pipeline.definitions", "ws_pipeline.labeling", "ws_pipeline.analysis"]
)
def test_loading_imports_nothing_heavy(module, tmp_path):
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_the_package_itself_imports_nothing():
    assert imports_of(PACKAGE / "__init__.py") == set()


def test_files_stay_small():
    long = {
        str(file.relative_to(PACKAGE)): n
        for file in SOURCES
        if (n := len(file.read_text().splitlines())) > 450
    }
    assert long == {}
