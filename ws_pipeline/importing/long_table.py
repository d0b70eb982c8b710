"""Tables of answers: a row per answer, as crowd-kit has them, or a column per annotator, as cleanlab does.

Start reading at :func:`read_long`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExportError
from ws_pipeline.example_ids import ID_COLUMN, is_pandas_index
from ws_pipeline.importing.answers import ANSWER, SCORE, TIME, check_answers
from ws_pipeline.importing.export import Export, Found, add_gold, make_export
from ws_pipeline.importing.export_files import number_column, read_table, text_column
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.labeling.votes.vote_tables import TRIPLE_NAMES
from ws_pipeline.settings.base import nearest
from ws_pipeline.storage.arrow_types import plain_values, value_type

CROWD_KIT = ("task", "worker", "label")
CLEANLAB = ("task", "annotator", "label")
_ROLES = ("example", "source", "label")
_GOLD_NAMES = frozenset(
    {"label", "gold", "gold_label", "true_label", "truth", "ground_truth", "target", "class"}
)
_INDEX = "index"


def read_long(path: Path, options: ImportOptions) -> Export:
    """Read a table with a row per answer, whose columns have usual names or are named by the options.

    Raises
    ------
    ExportError
        A column is missing or several may be it, an answer has no example or source, or the labels make no
        task.
    FileFormatError
        The file cannot be read as a table.
    """
    table = read_table(path)
    return _export(table, _find_columns(table, options, path), options, path)


def read_crowd_kit(path: Path, options: ImportOptions) -> Export:
    """Read the table that crowd-kit's aggregations take: task, worker, label; see :func:`read_long`."""
    table = read_table(path)
    _require(table, CROWD_KIT, path)
    return _export(table, CROWD_KIT, options, path)


def read_cleanlab(path: Path, options: ImportOptions) -> Export:
    """Read cleanlab's annotators as rows (task, annotator, label) or as columns, one row per example.

    Of the form with columns, the ids are an index that was written with the table, or the column that is
    named; else the rows are numbered from 0, as cleanlab does.

    Raises
    ------
    ExportError
        See :func:`read_long`.
    """
    table = read_table(path)
    if set(CLEANLAB) <= set(table.column_names):
        return _export(table, CLEANLAB, options, path)
    return _export(_rows_of_columns(table, options, path), CLEANLAB, options, path)


def _export(table: pa.Table, names: tuple[str, str, str], options: ImportOptions, path: Path) -> Export:
    columns = {role: text_column(table, name, f"{path}") for role, name in zip(ANSWER, names, strict=True)}
    used = [*names]
    if options.time_column is not None:
        _require(table, (options.time_column,), path)
        columns[TIME] = text_column(table, options.time_column, f"{path}")
        used.append(options.time_column)
    if options.score_column is not None:
        _require(table, (options.score_column,), path)
        columns[SCORE] = number_column(table, options.score_column, f"{path}")
        used.append(options.score_column)
    answers, skipped = check_answers(pa.table(columns), names[:2], f"{path}")
    gold = {} if options.gold is None else read_gold(options.gold, names[0])
    left = [name for name in table.column_names if name not in used]
    notes = (f"columns that are not read: {', '.join(map(repr, left))}",) if left else ()
    examples = pa.table({ID_COLUMN: columns[ID_COLUMN].unique()})
    are_integers = has_integers(table, names[0])
    found = Found(f"{path}", examples, answers, gold, skipped, notes, integer_ids=are_integers)
    return make_export(found, options)


def has_integers(table: pa.Table, name: str) -> bool:
    """Whether a column of ids holds whole numbers that fit into 64 bits."""
    kind = value_type(table.column(name).type)
    return bool(pa.types.is_integer(kind) and not pa.types.is_uint64(kind))


def read_gold(path: Path, example: str) -> dict[str, str]:
    """Read a table of gold labels, one row per example.

    Parameters
    ----------
    path
        CSV, JSON Lines or Parquet.
    example
        What the column of the example is called in the table of answers.

    Returns
    -------
    dict
        Example id to label.

    Raises
    ------
    ExportError
        The columns cannot be told, or an example has two different gold labels.
    """
    table = read_table(path)
    names = table.column_names
    ids = [name for name in names if name == example] or [
        name for name in names if name.casefold() in TRIPLE_NAMES[0]
    ]
    labels = [name for name in names if name not in ids and name.casefold() in _GOLD_NAMES]
    if len(names) == 2 and len(ids) == 1:
        labels = [name for name in names if name not in ids]
    if len(ids) != 1 or len(labels) != 1:
        message = (
            f"{path}: expected the columns '{example}' and 'label' of gold labels, got {names}; leave "
            "these two and call them so"
        )
        raise ExportError(message)
    gold: dict[str, str] = {}
    rows = zip(text_column(table, ids[0], f"{path}"), text_column(table, labels[0], f"{path}"), strict=True)
    for number, (key, label) in enumerate(rows, 1):
        if not key.is_valid:
            message = (
                f"{path}: row {number} has no value in column '{ids[0]}'; give every gold label its example"
            )
            raise ExportError(message)
        if label.is_valid:
            add_gold(gold, key.as_py(), label.as_py(), f"{path}: row {number}")
    return gold


def _find_columns(table: pa.Table, options: ImportOptions, path: Path) -> tuple[str, str, str]:
    """Names of the columns of the example, the source and the label."""
    given = (options.example_column, options.source_column, options.label_column)
    found: list[str] = []
    for role, name, known in zip(_ROLES, given, TRIPLE_NAMES, strict=True):
        if name is not None:
            _require(table, (name,), path)
        fitting = [name] if name else [column for column in table.column_names if column.casefold() in known]
        if len(fitting) != 1:
            which = f"several may be it: {fitting}" if fitting else f"none is it among {table.column_names}"
            message = f"{path}: which column is the {role}? {which}; name it with --{role}-column"
            raise ExportError(message)
        found += fitting
    if len(set(found)) < len(found):
        message = f"{path}: the example, the source and the label must be three columns, got {found}"
        raise ExportError(message)
    example, source, label = found
    return example, source, label


def _require(table: pa.Table, names: tuple[str, ...], path: Path) -> None:
    for name in names:
        if name not in table.column_names:
            message = (
                f"{path}: no column '{name}', {nearest(name, table.column_names)}; rename it, or take the "
                "format 'long' and name the columns"
            )
            raise ExportError(message)


def _rows_of_columns(table: pa.Table, options: ImportOptions, path: Path) -> pa.Table:
    """A table with a column per annotator as rows task, annotator, label."""
    ids = options.example_column
    if ids is not None:
        _require(table, (ids,), path)
    else:
        fitting = [name for name in table.column_names if _is_id(name)]
        if len(fitting) > 1:
            message = f"{path}: several columns may be the ids: {fitting}; name one with --example-column"
            raise ExportError(message)
        ids = fitting[0] if fitting else None
    annotators = [name for name in table.column_names if name != ids]
    if not annotators:
        message = f"{path}: expected a column per annotator, got {table.column_names}; is the format right?"
        raise ExportError(message)
    if ids is None:
        keys = pa.array([str(row) for row in range(table.num_rows)], pa.large_string())
    elif has_integers(table, ids):
        keys = plain_values(table.column(ids)).combine_chunks()
    else:
        keys = text_column(table, ids, f"{path}").combine_chunks()
    parts = [
        pa.table(
            {
                "task": keys,
                "annotator": pa.array([name] * table.num_rows, pa.large_string()),
                "label": text_column(table, name, f"{path}"),
            }
        )
        for name in annotators
    ]
    return _whole(pa.concat_tables(parts))


def _whole(answers: pa.Table) -> pa.Table:
    """Labels 1.0 as 1 where all are whole numbers: pandas writes integers so beside missing values."""
    labels = answers["label"].drop_null().unique().to_pylist()
    if not all(re.fullmatch(r"\d+(\.0)?", label) for label in labels):
        return answers
    cut = pc.replace_substring_regex(answers["label"], r"\.0$", "")
    return answers.set_column(answers.column_names.index("label"), "label", cut)


def _is_id(name: str) -> bool:
    """Whether a column of a table with a column per annotator holds the ids, by its name."""
    return not name.strip() or is_pandas_index(name) or name.casefold() in {*TRIPLE_NAMES[0], _INDEX, "id"}
