"""Folders of the benchmark WRENCH: votes, gold labels, features and splits in one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ws_pipeline.errors import ExportError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.example_index import SPLIT_COLUMN, SPLITS
from ws_pipeline.importing.answers import ANSWER
from ws_pipeline.importing.export import Export, Found, make_export
from ws_pipeline.importing.export_files import text_of
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.importing.vectors import feature_vectors
from ws_pipeline.storage.json_files import read_json

ABSTAIN = -1
FEATURE = "feature"


class _Rows:
    """What is gathered of all splits."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.ids: list[str] = []
        self.splits: list[str] = []
        self.data: list[Mapping[str, Any]] = []
        self.gold: dict[str, str] = {}
        self.answers: list[tuple[str, str, str]] = []
        self.notes: list[str] = []
        self.n_sources: int | None = None


def read_wrench(path: Path, options: ImportOptions) -> Export:
    """Read train.json, valid.json, test.json and label.json of a folder.

    The ids of a split begin with its name, since each split has its own.

    Raises
    ------
    ExportError
        A file or a key is missing, rows have votes of different numbers of sources, or a vote is no class.
    FileFormatError
        A file is not JSON.
    """
    rows = _Rows(_classes(path / "label.json"))
    for split in SPLITS:
        file = path / f"{split}.json"
        for name, values in _object(file).items():
            _read_example(rows, split, name, values, f"{file}: example '{name}'")
    examples, features = _examples(rows)
    voted = {source for _, source, _ in rows.answers}
    silent = [name for name in map(_source, range(rows.n_sources or 0)) if name not in voted]
    if silent:
        rows.notes.append(f"sources that never vote, and are not among the votes: {', '.join(silent)}")
    columns = zip(*rows.answers, strict=True) if rows.answers else [[]] * 3
    answers = pa.table(
        {name: pa.array(values, pa.large_string()) for name, values in zip(ANSWER, columns, strict=True)}
    )
    found = Found(
        f"{path}", examples, answers, rows.gold, {}, (*rows.notes,), rows.classes, features, has_splits=True
    )
    return make_export(found, options)


def _read_example(rows: _Rows, split: str, name: str, values: Any, where: str) -> None:
    keys = {"label", "weak_labels", "data"}
    if not isinstance(values, dict) or not keys <= set(values) or not isinstance(values["data"], dict):
        found = list(values) if isinstance(values, dict) else type(values).__name__
        message = (
            f"{where}: expected the keys {sorted(keys)}, got {found}; is this a folder of WRENCH "
            "(classification)?"
        )
        raise ExportError(message)
    votes = values["weak_labels"]
    if not isinstance(votes, list):
        message = (
            f"{where}: 'weak_labels' is {votes!r}, expected a list of numbers; is this a folder of WRENCH?"
        )
        raise ExportError(message)
    rows.n_sources = len(votes) if rows.n_sources is None else rows.n_sources
    if len(votes) != rows.n_sources:
        message = f"{where}: {len(votes)} weak labels, expected {rows.n_sources} as of the examples before it"
        raise ExportError(message)
    example = f"{split}-{name}"
    rows.ids.append(example)
    rows.splits.append(split)
    rows.data.append(values["data"])
    for lf, vote in enumerate(votes):
        label = _class(vote, rows.classes, f"{where}: weak label {lf}")
        if label is not None:
            rows.answers.append((example, _source(lf), label))
    label = _class(values["label"], rows.classes, f"{where}: label")
    if label is not None:
        rows.gold[example] = label


def _source(place: int) -> str:
    return f"lf_{place}"


def _class(vote: Any, classes: tuple[str, ...], where: str) -> str | None:
    """Name of a class by its number; None for an abstain."""
    if vote is None or vote == ABSTAIN:
        return None
    if isinstance(vote, bool) or not isinstance(vote, int) or not 0 <= vote < len(classes):
        message = (
            f"{where} is {vote!r}, expected a number from -1 (abstain) to {len(classes) - 1}; label.json has "
            f"{len(classes)} classes"
        )
        raise ExportError(message)
    return classes[vote]


def _classes(file: Path) -> tuple[str, ...]:
    """Names of the classes by their numbers."""
    names = _object(file)
    expected = [str(number) for number in range(len(names))]
    if sorted(names, key=lambda key: (len(key), key)) != expected:
        message = (
            f"{file}: expected the numbers 0 to {len(names) - 1} and the name of each class, got "
            f"{list(names)}"
        )
        raise ExportError(message)
    classes = tuple(str(names[key]) for key in expected)
    if len(set(classes)) < len(classes):
        message = f"{file}: two classes have one name, {list(classes)}; give each its own"
        raise ExportError(message)
    return classes


def _object(file: Path) -> dict[str, Any]:
    values = read_json(file)
    if not isinstance(values, dict):
        message = (
            f"{file}: expected an object from ids to examples, got {type(values).__name__}; is it WRENCH's?"
        )
        raise ExportError(message)
    return values


def _examples(rows: _Rows) -> tuple[pa.Table, tuple[str, ...]]:
    """The examples, and which of their columns are features: ``feature``, if it has lists of one length."""
    columns: dict[str, Any] = {
        ID_COLUMN: pa.array(rows.ids, pa.large_string()),
        SPLIT_COLUMN: pa.array(rows.splits, pa.string()),
    }
    features: tuple[str, ...] = ()
    for name in dict.fromkeys(name for data in rows.data for name in data):
        values = [data.get(name) for data in rows.data]
        vectors = feature_vectors(values) if name == FEATURE else None
        column = name if name not in columns else f"{name}_column"
        columns[column] = (
            pa.array([text_of(value) for value in values], pa.large_string()) if vectors is None else vectors
        )
        features = (column,) if vectors is not None else features
    if FEATURE in columns and not features:
        rows.notes.append(f"'{FEATURE}' is read as text: it has no lists of numbers of one length")
    return pa.table(columns), features
