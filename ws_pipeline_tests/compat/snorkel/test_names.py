"""Each public name of Snorkel is under its own name here, or the table says what to use instead."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

from ws_pipeline.compat.snorkel.names import INSTEAD, MODULES, VALUES, explain_missing

TARGETS = sorted({target for names in MODULES.values() for target in names.values()})
SPEC = importlib.util.find_spec("snorkel")
NEEDS_SNORKEL = pytest.mark.skipif(SPEC is None, reason="Snorkel is not installed")


def sources():
    root = Path(SPEC.origin).parent
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), ast.parse(file.read_text())


def public_names(module, tree):
    """What a module defines and, if it is a package, what it imports from its own modules."""
    is_package = any(other.startswith(f"{module}.") for other in MODULES)
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom) and node.level and is_package:
            yield from (alias.asname or alias.name for alias in node.names)


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_name_stands_for_is_there(target):
    module, _, name = target.partition(":")
    assert hasattr(importlib.import_module(module), name)


@NEEDS_SNORKEL
def test_each_module_and_name_of_snorkel_is_here_or_has_its_remedy():
    missing = []
    for module, tree in sources():
        if module not in MODULES and module not in INSTEAD:
            missing.append(module)
        for name in public_names(module, tree) if module in MODULES else ():
            known = MODULES[module].keys() | VALUES.get(module, {}).keys()
            path = f"{module}.{name}" if module else name
            if not (name.startswith("_") or name in known or path in INSTEAD):
                missing.append(path)
    assert missing == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("labeling.LabelModell", "has no 'snorkel.labeling.LabelModell': did you mean 'LabelModel'?"),
        ("labeling.nlp_labeling_function", "import it from snorkel.labeling.lf.nlp"),
        ("labeling.modle", "did you mean 'model'?"),
        ("labeling.model.graph_utils.get_clique_tree", "knows no dependencies between labeling functions"),
        ("labeling.analysis._covered", "names that begin with an underscore are Snorkel's own"),
        ("models.candidate_subclass", "belongs to Snorkel 0.7 and older"),
        ("map.spark", "read the rows of one part at a time"),
        ("mtl.task.Task", "of Snorkel 0.9; import the names from snorkel.classification"),
        ("model.metrics.metric_score", "import the names from snorkel.analysis and snorkel.utils"),
        ("augmentation.preview_tfs", "ApplyEachPolicy(len(tfs))"),
    ],
)
def test_what_is_missing_is_named_with_what_to_use(path, words):
    message = explain_missing(path)
    assert words in message
    assert message.startswith(f"ws_pipeline has no 'snorkel.{path}': ")
    assert "docs/coming-from-snorkel.md" in message


def test_remedies_are_for_what_is_not_there():
    for path in INSTEAD:
        module, _, name = path.rpartition(".")
        assert path not in MODULES
        assert name not in MODULES.get(module, {})
