"""The rules of the house: imports go one way, and loading the code location is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "ws_pipeline"

VALUES = {
    "array_types",
    "arrays",
    "memory",
    "settings",
    "storage",
    "example_ids",
    "example_index",
    "example_texts",
    "feature_columns",
}
VALUES |= {"class_names", "label_lists", "examples", "optim", "errors", "devices", "object_digest"}
#: Room of the house (a folder, or a module beside the folders) -> rooms that it may import.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "array_types": set(),
    "arrays": {"errors"},
    "memory": {"errors"},
    "devices": set(),
    "object_digest": set(),
    "settings": {"errors"},
    "storage": {"errors"},
    "example_ids": {"errors", "arrays", "storage"},
    "class_names": {"errors", "settings", "storage"},
    "label_lists": {"errors", "storage", "array_types", "class_names"},
    "example_index": {"errors", "storage", "example_ids", "array_types", "class_names"},
    "example_texts": {"errors", "storage", "example_ids", "example_index"},
    "feature_columns": {"errors", "storage", "example_ids"},
    "examples": {"errors", "storage", "example_ids", "example_index", "example_texts", "feature_columns"},
    "text": VALUES,
    "optim": {"errors", "settings"},
    "compat/nested_settings": {"errors", "settings"},
    "analysis": VALUES,
    "labeling/votes": VALUES | {"analysis"},
    "labeling/functions": VALUES | {"labeling/votes"},
    "labeling/models": VALUES | {"compat/nested_settings"} | {"analysis", "labeling/votes"},
    "labeling": VALUES | {"analysis", "labeling/functions", "labeling/votes", "labeling/models"},
}
ALLOWED |= {
    "classification/seeding": {"errors"},
    "classification/devices": {"errors", "devices"},
    "classification/data": VALUES | {"classification/seeding"},
}
ALLOWED["classification/network"] = ALLOWED["classification/data"] | {
    "analysis",
    "classification/data",
    "classification/devices",
}
ALLOWED["classification/multitask_classifier"] = ALLOWED["classification/network"] | {
    "classification/network"
}
ALLOWED["classification/training"] = ALLOWED["classification/multitask_classifier"] | {
    "classification/multitask_classifier",
    "compat/nested_settings",
}
ALLOWED["classification"] = ALLOWED["classification/training"] | {"classification/training"}
LIBRARY = VALUES | {"analysis", "labeling", "classification", "text"}
ALLOWED |= {
    "compat": LIBRARY,
    "importing": VALUES | {"labeling/votes"},
    "defs/spec": LIBRARY,
    "defs/automation": LIBRARY | {"defs/spec"},
    "defs/assets": LIBRARY | {"defs/spec", "defs/automation", "defs/resources", "defs/io_managers"},
    "defs/resources": LIBRARY | {"defs/spec"},
    "defs/io_managers": LIBRARY | {"defs/spec"},
    "defs": LIBRARY | {"defs"},
    "commands": LIBRARY | {"defs", "importing"},
    "cli": LIBRARY | {"defs", "importing", "commands"},
    "definitions": {"defs", "errors"},
    "__main__": {"cli"},
    "__init__": set(),
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def room_of(parts: tuple[str, ...], rooms: set[str]) -> str:
    """The innermost of these rooms that a module is in."""
    paths = ["/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    return next((path for path in paths if path in rooms), parts[0])


def rooms_read(file: Path, rooms: set[str]) -> set[str]:
    """Rooms that a file imports from."""
    own = (name.split(".")[1:] for name in imports_of(file) if name.startswith("ws_pipeline."))
    return {room_of(tuple(parts), rooms) for parts in own}


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
    room = room_of(file.relative_to(PACKAGE).with_suffix("").parts, set(ALLOWED))
    # a room that is named as a whole stands for the rooms in it
    read = {
        name
        for name in rooms_read(file, set(ALLOWED))
        if not name.startswith(tuple(f"{r}/" for r in ALLOWED[room]))
    }
    assert read - {room} <= ALLOWED[room], (
        f"{file} is in {room}, which may import only {sorted(ALLOWED[room])}"
    )


def test_the_rooms_have_an_order():
    """A room that may import another one cannot be imported by it."""
    order = TopologicalSorter({room: may - {room} for room, may in ALLOWED.items()})
    assert list(order.static_order())


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
    if file.relative_to(PACKAGE).parts[0] not in {"defs", "definitions.py", "cli.py"}:
        assert not [name for name in imports_of(file) if name.split(".")[0].startswith("dagster")]


def test_no_asset_module_postpones_its_annotations():
    postponed = [
        file for file in (PACKAGE / "defs").rglob("*.py") if "__future__.annotations" in imports_of(file)
    ]
    assert postponed == []


@pytest.mark.parametrize(
    "module",
    [
        "ws_pipeline.definitions",
        "ws_pipeline.labeling",
        "ws_pipeline.analysis",
        "ws_pipeline.importing.command",
    ],
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
        if (n := len(file.read_text().splitlines())) > 400
    }
    assert long == {}
