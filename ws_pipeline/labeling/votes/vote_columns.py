"""Tables of votes, one column per labeling function: which columns are votes, and what they say.

A table often holds more than votes: the index of a pandas frame, the split, the gold labels.  Read as
votes they do harm that nobody sees; with the gold labels among the LFs, every score is perfect.  So such
columns are left out or refused by name.  Start reading at :func:`find_lf_columns`.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.class_names import numbers_of_names
from ws_pipeline.errors import LabelMatrixError, LeftOutColumnWarning
from ws_pipeline.example_ids import ID_COLUMN, pandas_indexes
from ws_pipeline.labeling.votes.vote_checks import (
    ABSTAIN,
    check_names,
    repeated_names,
    validate_votes,
)
from ws_pipeline.labeling.votes.vote_storage import KeptVotes, of_columns
from ws_pipeline.settings.base import nearest
from ws_pipeline.storage.arrow_types import holds_nothing, holds_numbers, holds_text, plain_values

_GOLD = """
    gold golds gold_label gold_labels label labels class target targets truth ground_truth groundtruth
    true_label true_labels y y_true
"""
_IDS = """
    id ids uid uuid index level_0 row_id
"""
_OTHER_MEANINGS = {
    "split": "the split of the examples",
    **dict.fromkeys(_GOLD.split(), "gold labels"),
    **dict.fromkeys(_IDS.split(), "ids or row numbers"),
}
"""Names, in lower case, of columns that are hardly ever votes, and what they hold."""
LIST_THEM = "list the LF columns with lf_columns"


def find_lf_columns(
    table: pa.Table,
    *,
    listed: Sequence[str] | None = None,
    tasks: Collection[str] = (),
    where: str,
    if_votes: str = LIST_THEM,
) -> tuple[str, ...]:
    """Names of the m columns that hold votes.

    Parameters
    ----------
    table
        Columns of votes, and perhaps of other things.
    listed
        The columns that hold votes, in the order that the LFs are to have.  Default: all columns but the ids
        and the index of a pandas frame.
    tasks
        Names of tasks; columns of these names hold gold labels.
    where
        Name of the table; opens every message.
    if_votes
        What to do if a column that is refused holds votes all the same; ends the message.

    Raises
    ------
    LabelMatrixError
        A listed column is not there; or, without ``listed``, a column's name says that it holds something
        else, or two columns have one name.

    Warns
    -----
    LeftOutColumnWarning
        Without ``listed``: a column is the index of a pandas frame.
    """
    if listed is not None:
        return _listed_columns(table, tuple(listed), where)
    # a column without a name is an index as well, as other programs read one from a CSV file
    indexes = pandas_indexes(table.schema) | {""}
    names = tuple(name for name in table.column_names if name != ID_COLUMN and name not in indexes)
    index = [name for name in table.column_names if name != ID_COLUMN and name in indexes]
    check_lf_names(names, tasks=tasks, where=where, if_votes=if_votes)
    if index:
        message = (
            f"{where}: column(s) {index} left out: the index of a pandas frame, no votes; write the file "
            f"with index=False, or {LIST_THEM}"
        )
        warnings.warn(LeftOutColumnWarning(message), stacklevel=3)
    return names


def check_lf_names(names: Sequence[str], *, tasks: Collection[str] = (), where: str, if_votes: str) -> None:
    """Refuse the names of LFs that say that these are none; see :func:`find_lf_columns`."""
    meanings = _OTHER_MEANINGS | {task.casefold(): f"the gold labels of task '{task}'" for task in tasks}
    for name in names:
        if name.casefold() in meanings:
            message = (
                f"{where}: by its name, '{name}' is no LF, but holds {meanings[name.casefold()]}; leave it "
                f"out, or {if_votes}"
            )
            raise LabelMatrixError(message)


def _listed_columns(table: pa.Table, listed: tuple[str, ...], where: str) -> tuple[str, ...]:
    check_names(listed, len(listed))
    there = set(table.column_names)
    missing = [name for name in listed if name not in there]
    if missing:
        found = [name for name in table.column_names if name != ID_COLUMN]
        message = f"{where}: no column '{missing[0]}', which lf_columns lists, {nearest(missing[0], found)}"
        raise LabelMatrixError(message)
    return listed


def votes_of_columns(
    table: pa.Table,
    names: Sequence[str],
    cardinality: int,
    *,
    where: str,
    example_ids: npt.NDArray[Any] | None = None,
    classes: Sequence[str] | None = None,
) -> KeptVotes:
    """Votes ``[n, m]`` of the named columns; see :func:`votes_of_column`.

    With the names of the k ``classes``, a column of text holds these names.  A dense array is LF-major in
    memory; beyond 256 LFs the votes are sparse.

    Raises
    ------
    LabelMatrixError
        Two columns have one name, or a column holds anything but votes.
    """
    repeated = [name for name in repeated_names(table.column_names) if name in names]
    if repeated:
        message = f"{where}: LF names must be unique, repeated: {repeated}"
        raise LabelMatrixError(message)

    def votes_of(name: str) -> npt.NDArray[Any]:
        column = table.column(name)
        if classes is not None:
            what = f"{where}: LF '{name}'"
            hint = f" If it is no LF, {LIST_THEM}"
            column = numbers_of_names(column, classes, what=what, error=LabelMatrixError, hint=hint)
        return votes_of_column(column, name, cardinality, where=where, example_ids=example_ids)

    return of_columns(map(votes_of, names), table.num_rows, len(names), cardinality)


def votes_of_column(
    column: pa.ChunkedArray,
    name: str,
    cardinality: int,
    *,
    where: str,
    example_ids: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Votes ``[n]`` of one LF, from numbers of any Arrow type; null, NaN and -1 are abstains.

    Parameters
    ----------
    column
        ``[n]`` whole numbers in integers, floats, decimals or booleans, or nothing but nulls.
    name
        Name of the LF.
    cardinality
        Number of classes k.
    where
        Name of the table; opens every message.
    example_ids
        ``[n]``, for the message.  Default: 0..n-1.

    Raises
    ------
    LabelMatrixError
        The column holds no numbers, or a number that is no vote.
    """
    numbers, missing = numbers_of_column(column, name, where=where)
    try:
        votes = validate_votes(numbers[:, None], cardinality, lf_names=[name], example_ids=example_ids)
    except LabelMatrixError as error:
        raise LabelMatrixError(f"{where}: {error}") from None
    votes[missing] = ABSTAIN
    return votes[:, 0]


def numbers_of_column(
    column: pa.ChunkedArray, name: str, *, where: str, is_lf: bool = True
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Numbers ``[n]`` of a column of any Arrow type, and a mask ``[n]`` of the missing ones, which are 0.

    Parameters
    ----------
    column
        ``[n]`` votes.
    name
        What the column is called.
    where
        Name of the table; opens the message.
    is_lf
        Whether the column is an LF, of those that may be listed, or holds the votes of all LFs.

    Raises
    ------
    LabelMatrixError
        The column holds no numbers.
    """
    if holds_nothing(column.type):
        return np.zeros(len(column), dtype=np.int8), np.ones(len(column), dtype=np.bool_)
    if not holds_numbers(column.type):
        message = (
            f"{where}: column '{name}' has type {column.type}, expected integers (null or -1 = abstain)"
            f"{_found_and_remedy(column, is_lf=is_lf)}"
        )
        raise LabelMatrixError(message)
    numbers = _plain_numbers(column)
    missing = pc.is_null(numbers, nan_is_null=True)
    # 0, since -1 is no unsigned integer
    present = pc.if_else(missing, pa.scalar(0, numbers.type), numbers)
    return present.to_numpy(), missing.to_numpy()


def _plain_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Integers or floats."""
    numbers = plain_values(column)
    if pa.types.is_boolean(numbers.type):
        return numbers.cast(pa.int8())
    return numbers.cast(pa.float64()) if pa.types.is_decimal(numbers.type) else numbers


def _found_and_remedy(column: pa.ChunkedArray, *, is_lf: bool) -> str:
    """End of a message: what a column without numbers holds instead, and what to do."""
    if not holds_text(column.type):
        return f"; leave it out, or {LIST_THEM}" if is_lf else ""
    texts = plain_values(column).drop_null()
    found = texts[0].as_py() if len(texts) else ""
    if found.strip().lstrip("+-").isdecimal():
        return f", got the text {found!r}; cast it to integers"
    if_no_lf = f", or {LIST_THEM} if it is no LF" if is_lf else ""
    return f", got the text {found!r}; map class names to 0..k-1 first{if_no_lf}"
