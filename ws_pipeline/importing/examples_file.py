"""A file with the examples' own columns, such as texts, features, splits and gold, joined to an import.

An export of answers says little of what the answers are about.  Start reading at :func:`with_examples`.

Legend: n examples of the file, v votes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExportError, LeftOutColumnWarning, SettingsError
from ws_pipeline.example_ids import ID_COLUMN, ids_from_table
from ws_pipeline.example_index import SPLIT_COLUMN, SPLITS
from ws_pipeline.feature_columns import choose_features
from ws_pipeline.importing.export import Export, Report, add_gold, counts_of
from ws_pipeline.importing.export_files import read_all_records, read_table, suffix_of, text_column
from ws_pipeline.importing.long_table import has_integers
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.labeling.votes.vote_tables import TRIPLE_NAMES
from ws_pipeline.settings.base import nearest
from ws_pipeline.storage.arrow_types import holds_text
from ws_pipeline.storage.column_kinds import check_known, kind_of, typed_table
from ws_pipeline.storage.delimited import read_delimited
from ws_pipeline.storage.json_files import table_of_records
from ws_pipeline.storage.table_endings import DELIMITERS, PARQUET

_SHOWN = 3  # ids in a note
_NUMBERS = "--number-column"


def with_examples(export: Export, options: ImportOptions, task: str) -> Export:
    """The export with the examples of the file that the options name; as it is, if they name none.

    Parameters
    ----------
    export
        What was read.
    options
        ``examples`` is a Parquet, CSV, TSV or JSON Lines file with a row per example; ``number_columns`` are
        columns of a CSV file that hold numbers, since there all is text.
    task
        Name of the task; a column of this name holds gold labels.

    Returns
    -------
    Export
        The n examples of the file, in its order, with its columns and those of the export that it does not
        have.  Votes on other examples are left out, and counted in a note.

    Raises
    ------
    ExportError
        No column can be told to be the ids, no id is one of the export, a split or a gold label is none, or
        both have splits.
    ExampleIdError
        An id of the file is missing or repeated.
    FileFormatError
        The file is damaged, or a column of numbers holds something else.
    """
    path = options.examples
    if path is None:
        if options.number_columns:
            message = f"{_NUMBERS} is about the file that --examples names; leave it out, or name the file"
            raise SettingsError(message)
        return export
    table = _read(path, options.number_columns)
    name = _id_column(table, options.example_column, path)
    ids = text_column(table, name, f"{path}").combine_chunks()
    ids_from_table(pa.table({ID_COLUMN: ids}), where=f"{path}")
    own, notes = table.drop_columns([name]), _notes_of_ids(export, ids, path)
    joined = _joined(export, own.drop_columns([task] if task in own.column_names else []), ids, path)
    found = replace(
        export,
        examples=joined.table,
        features=joined.features,
        votes=export.votes.filter(pc.is_in(export.votes[ID_COLUMN], value_set=ids)),
        gold=_gold(export, own, ids, task, path),
        has_splits=export.has_splits or SPLIT_COLUMN in own.column_names,
        integer_ids=export.integer_ids and has_integers(table, name),
    )
    return replace(found, report=_report(found, (*notes, *joined.notes)))


def _report(export: Export, notes: Sequence[str]) -> Report:
    """The report on what is left of the export."""
    labels = counts_of(export.votes["label"])
    return replace(
        export.report,
        n_examples=export.examples.num_rows,
        sources=counts_of(export.votes["source"]),
        labels={name: labels.get(name, 0) for name in export.classes},
        n_gold=len(export.gold),
        notes=(*export.report.notes, *notes),
    )


def _read(path: Path, numbers: Sequence[str]) -> pa.Table:
    """The table with the types of the file; of CSV, text but for the columns of numbers."""
    suffix = suffix_of(path)
    if suffix in DELIMITERS:
        rows = read_delimited(path, DELIMITERS[suffix])
        check_known(numbers, rows.table.column_names, where=f"{path}", by=_NUMBERS)
        return typed_table(rows, dict.fromkeys(numbers, kind_of("number")))
    if numbers:
        message = f"{_NUMBERS}: {path} has types of its own; leave it out"
        raise SettingsError(message)
    is_other = path.is_dir() or suffix == PARQUET
    return read_table(path) if is_other else table_of_records(read_all_records(path))


def _id_column(table: pa.Table, given: str | None, path: Path) -> str:
    names = table.column_names
    if given is not None and given in names:
        return given
    fitting = (
        [ID_COLUMN]
        if ID_COLUMN in names
        else [name for name in names if name.casefold() in {*TRIPLE_NAMES[0], "id"}]
    )
    if len(fitting) != 1:
        which = f"several may be it: {fitting}" if fitting else f"none is it among {names}"
        message = f"{path}: which column has the ids of the examples? {which}; call it '{ID_COLUMN}'"
        raise ExportError(message)
    return str(fitting[0])


def _notes_of_ids(export: Export, ids: pa.Array, path: Path) -> list[str]:
    """Which examples are in one of the two only; refuse a file that shares none with the export."""
    there = export.examples[ID_COLUMN]
    lost = there.filter(pc.invert(pc.is_in(there, value_set=ids)))
    new = ids.filter(pc.invert(pc.is_in(ids, value_set=there.combine_chunks())))
    if len(lost) == len(there):
        message = (
            f"{path}: none of its {len(ids)} examples is one of the {len(there)} of the export: the file has "
            f"{_some(ids)}, the export {_some(there)}; give the file the ids of the export"
        )
        raise ExportError(message)
    notes = []
    if len(lost):
        n_votes = pc.sum(pc.is_in(export.votes[ID_COLUMN], value_set=lost.combine_chunks())).as_py() or 0
        notes.append(
            f"{len(lost)} of {len(there)} examples of the export are not in {path}, such as {_some(lost)}: "
            f"left out with their {n_votes} votes"
        )
    if len(new):
        notes.append(
            f"{len(new)} of {len(ids)} examples of {path} are not in the export, such as {_some(new)}"
        )
    return notes


def _gold(export: Export, own: pa.Table, ids: pa.Array, task: str, path: Path) -> dict[str, str]:
    """Gold labels of the export and of the file, of examples that are in the file."""
    there = set(ids.to_pylist())
    gold = {example: label for example, label in export.gold.items() if example in there}
    if task not in own.column_names:
        return gold
    for row, (example, label) in enumerate(zip(ids, text_column(own, task, f"{path}"), strict=True), 1):
        if not label.is_valid:
            continue
        name = label.as_py()
        if name not in export.classes:
            message = (
                f"{path}: row {row}, column '{task}': found the gold label {name!r}, expected one of the "
                f"classes {list(export.classes)}, {nearest(name, list(export.classes))}; name all with "
                "--classes"
            )
            raise ExportError(message)
        add_gold(gold, example.as_py(), name, f"{path}: row {row}")
    return gold


def _check_splits(export: Export, own: pa.Table, ids: pa.Array, path: Path) -> None:
    """Refuse splits that are none, or that the export has, too."""
    if SPLIT_COLUMN not in own.column_names:
        if export.has_splits and len(set(ids.to_pylist()) - set(export.examples[ID_COLUMN].to_pylist())):
            message = f"{path}: examples that are not in the export have no split; leave their rows out"
            raise ExportError(message)
        return
    if export.has_splits:
        message = f"{path}: column '{SPLIT_COLUMN}': the export has splits of its own; leave the column out"
        raise ExportError(message)
    for row, split in enumerate(text_column(own, SPLIT_COLUMN, f"{path}").to_pylist()):
        if split not in SPLITS:
            message = (
                f"{path}: row {row + 1}, example '{ids[row].as_py()}': found the split {split!r}, expected "
                f"one of {list(SPLITS)}; give every example one, or leave out the column"
            )
            raise ExportError(message)


class _Joined(NamedTuple):
    """The examples ``[n]`` with the columns of both, which of these are features, and what was left out."""

    table: pa.Table
    features: tuple[str, ...]
    notes: list[str]


def _joined(export: Export, own: pa.Table, ids: pa.Array, path: Path) -> _Joined:
    _check_splits(export, own, ids, path)
    place = pc.index_in(ids, value_set=export.examples[ID_COLUMN].combine_chunks())
    columns: dict[str, Any] = {ID_COLUMN: ids}
    columns |= {name: own.column(name) for name in own.column_names if name != ID_COLUMN}
    features, notes = _features_of(own, path)
    for name in export.examples.column_names:
        if name == ID_COLUMN:
            continue
        if name in columns:
            notes.append(f"column '{name}' of the export is left out: {path} has one, too")
        elif name in export.features and place.null_count:
            notes.append(f"column '{name}' of the export is left out: not every example of {path} has one")
        else:
            columns[name] = export.examples.column(name).take(place)
            features += [name] if name in export.features else []
    return _Joined(pa.table(columns), tuple(features), notes)


def _features_of(own: pa.Table, path: Path) -> tuple[list[str], list[str]]:
    """Columns of the file that hold numbers in every row; notes on those of numbers that do not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOutColumnWarning)
        features, left_out = choose_features(own, np.arange(own.num_rows), [SPLIT_COLUMN], where=f"{path}")
    others = [found for found in left_out if not holds_text(own.schema.field(found.column).type)]
    return features, [f"column of {path} that is no feature: {found}" for found in others]


def _some(ids: pa.Array | pa.ChunkedArray) -> str:
    return ", ".join(repr(name) for name in ids[:_SHOWN].to_pylist()) + (", ..." if len(ids) > _SHOWN else "")
