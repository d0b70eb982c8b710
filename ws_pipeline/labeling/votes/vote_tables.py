"""Tables of votes that are no files: pandas and polars frames, Arrow tables, dicts of columns.

They are brought to one form, an Arrow table, in which a missing value of any kind (NaN, None, pandas.NA) is
null, and columns have names.  A table has either one column per labeling function (LF), or one row per vote;
the latter is told by the names of its columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.storage.arrow_types import holds_numbers, holds_text, plain_values

TRIPLE_COLUMNS = (ID_COLUMN, "lf", "vote")
_EXAMPLE_NAMES = f"""
    {ID_COLUMN} example task task_id item item_id question question_id instance instance_id
    document document_id doc_id unit unit_id
"""
_LF_NAMES = """
    lf lf_name labeling_function worker worker_id annotator annotator_id judge judge_id source
    rater rater_id labeler labeler_id performer user user_id
"""
_VOTE_NAMES = """
    vote label answer response annotation judgment judgement rating verdict
"""
TRIPLE_NAMES = tuple(frozenset(names.split()) for names in (_EXAMPLE_NAMES, _LF_NAMES, _VOTE_NAMES))
"""What the example, the LF and the vote are called in tables of one row per vote, in lower case."""


def as_table(values: Any, *, where: str = "L") -> pa.Table | None:
    """Return a table of named columns as an Arrow table; None if ``values`` is none.

    Parameters
    ----------
    values
        A pandas or polars frame, an Arrow table or record batch, a dict of columns, or anything with
        ``__arrow_c_stream__``.  Columns of a pandas frame that are numbered, as those that are made of an
        array, are called ``lf_0``, ``lf_1``, ... as the LFs of an array are.  An index of it that is called
        ``example_id`` becomes a column.
    where
        What it is called; opens every error message.

    Raises
    ------
    LabelMatrixError
        A column mixes kinds of values, or columns have different lengths.
    """
    if isinstance(values, pa.Table):
        return values
    if isinstance(values, Mapping):
        return _table_of(values.keys(), values.values(), where)
    if type(values).__module__.startswith("pandas") and hasattr(values, "columns"):
        return _table_of_pandas(values, where)
    if hasattr(values, "__arrow_c_stream__") and hasattr(values, "columns"):
        return pa.table(values)
    return pa.Table.from_batches([values]) if isinstance(values, pa.RecordBatch) else None


def _table_of_pandas(frame: Any, where: str) -> pa.Table:
    ids_in_index = ID_COLUMN in frame.index.names and ID_COLUMN not in frame.columns
    columns = {ID_COLUMN: frame.index.get_level_values(ID_COLUMN)} if ids_in_index else {}
    numbered = all(isinstance(name, int) for name in frame.columns)
    names = [*columns, *(f"lf_{name}" if numbered else str(name) for name in frame.columns)]
    return _table_of(names, [*columns.values(), *(frame.iloc[:, i] for i in range(frame.shape[1]))], where)


def _table_of(names: Iterable[Any], columns: Iterable[Any], where: str) -> pa.Table:
    texts = list(map(str, names))
    arrays = [_array_of(column, name, where) for name, column in zip(texts, columns, strict=True)]
    lengths = {name: len(array) for name, array in zip(texts, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        message = f"{where}: all columns must have the same number of votes, got {lengths}"
        raise LabelMatrixError(message)
    return pa.Table.from_arrays(arrays, names=texts)


def _array_of(column: Any, name: str, where: str) -> pa.Array | pa.ChunkedArray:
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as mixed:
        reason = str(mixed).partition("\n")[0]
        message = (
            f"{where}: column '{name}' is no column of votes ({reason}); expected integers, and -1, None or "
            "NaN for abstain"
        )
        raise LabelMatrixError(message) from mixed


def triple_columns(table: pa.Table, *, where: str = "L") -> tuple[str, str, str] | None:
    """Names of the columns of the example, the LF and the vote; None if it has no row per vote.

    Parameters
    ----------
    table
        Three columns that are called example_id, lf and vote, or what other programs call these, such as
        task, worker and label; in any order, and in upper or lower case.
    where
        What it is called; opens the error message.

    Raises
    ------
    LabelMatrixError
        There is a row per vote, but more columns than three, or columns of other names.
    """
    fitting = _fitting_columns(table)
    if not all(fitting):
        _refuse_unknown_names(table, fitting, where)
        return None
    example, lf, vote = (names[0] for names in fitting)
    if table.num_columns == len(TRIPLE_COLUMNS):
        return example, lf, vote
    if not _repeats(table.column(example)):
        return None
    renamed = {old: new for old, new in zip((example, lf, vote), TRIPLE_COLUMNS, strict=True) if old != new}
    message = (
        f"{where} has one row per vote, but more columns than those of the example, the LF and the vote: "
        f"{table.column_names}; choose three, such as L[{[example, lf, vote]}]"
        + (f".rename(columns={renamed})" if renamed else "")
    )
    raise LabelMatrixError(message)


def long_columns(table: pa.Table) -> tuple[str, str, str] | None:
    """Names of the columns of a table that seems to have one row per vote; None if it does not.

    It has columns that are called as those of the example, the LF and the vote usually are, beside any
    others, and its examples repeat.
    """
    fitting = _fitting_columns(table)
    if not all(fitting):
        return None
    examples, lfs, votes = fitting
    example = ID_COLUMN if ID_COLUMN in examples else examples[0]
    column = table.column(table.column_names.index(example))  # by its place, as names may repeat here
    can_be_ids = holds_text(column.type) or holds_numbers(column.type)
    return (example, lfs[0], votes[0]) if can_be_ids and _repeats(column) else None


def _fitting_columns(table: pa.Table) -> list[list[str]]:
    """Names of the columns that may be the example, of those that may be the LF, and the vote."""
    return [[name for name in table.column_names if name.casefold() in names] for names in TRIPLE_NAMES]


def _refuse_unknown_names(table: pa.Table, fitting: Sequence[Sequence[str]], where: str) -> None:
    """Refuse three columns, of which one holds ids that repeat, and one that of the others is not known."""
    examples, *others = fitting
    if (
        table.num_columns == len(TRIPLE_COLUMNS)
        and examples
        and any(others)
        and _repeats(table.column(examples[0]))
    ):
        message = (
            f"{where} seems to have one row per vote, in the columns {table.column_names}; rename those of "
            f"the example, the LF and the vote to {', '.join(TRIPLE_COLUMNS)}"
        )
        raise LabelMatrixError(message)


def _repeats(column: pa.ChunkedArray) -> bool:
    return bool(pc.count_distinct(plain_values(column)).as_py() < len(column))
