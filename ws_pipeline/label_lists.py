"""Lists of classes, one per example: what multi-label tasks have in place of one class.

A list is known or not: a missing one (null) says nothing, an empty one says that no class applies.  Start
reading at :func:`read_label_lists`.

Legend: n examples, k classes, v entries of all lists together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.array_types import Labels, Mask
from ws_pipeline.class_names import numbers_of_names
from ws_pipeline.errors import ExamplesError, InvalidInputError
from ws_pipeline.storage.arrow_types import (
    holds_lists,
    holds_nothing,
    holds_numbers,
    holds_text,
    plain_values,
    value_type,
)

_SHOWN = 5  # numbers that are no class, in a message


@dataclass(frozen=True, eq=False)
class LabelLists:
    """Lists of classes of n examples, in the form of their entries.

    Parameters
    ----------
    known
        ``[n]`` mask of the examples that have a list, be it empty.
    rows
        ``[v]`` the example of each entry.
    labels
        ``[v]`` the class of each entry, 0..k-1.
    """

    known: Mask
    rows: Labels
    labels: Labels

    def has(self, label: int) -> Mask:
        """``[n]`` mask of the examples in whose list a class is."""
        mask: Mask = np.zeros(len(self.known), dtype=np.bool_)
        mask[self.rows[self.labels == label]] = True
        return mask


def read_label_lists(
    column: pa.ChunkedArray,
    classes: Sequence[str],
    *,
    what: str,
    error: type[InvalidInputError],
    hint: str = "",
) -> LabelLists:
    """Read a column of lists of classes.

    Parameters
    ----------
    column
        ``[n]`` lists of any Arrow type, of names of classes or of their places 0..k-1; null where nothing is
        known.
    classes
        Names of the k classes, each once.
    what
        What the column is called; opens every message.
    error
        Type of the error to raise.
    hint
        What else to do about a column that holds no lists; ends the message.

    Raises
    ------
    InvalidInputError
        (or ``error``) The column holds no lists (text that looks like one is not taken apart), a list holds a
        null, an entry is no class (the message has each of these with its number), or a list has the same
        place twice, as zeros and ones in place of a list have.
    """
    plain = plain_values(column)
    if holds_nothing(plain.type):
        return LabelLists(np.zeros(len(plain), dtype=np.bool_), _no_labels(), _no_labels())
    if not holds_lists(plain.type):
        message = f"{what} {_why_no_lists(plain)}{hint}"
        raise error(message)
    lengths = pc.list_value_length(plain)
    known = np.asarray(lengths.is_valid())
    rows = np.repeat(np.arange(len(plain)), lengths.fill_null(0).to_numpy())
    labels = numbers_of_labels(pc.list_flatten(plain), classes, what=what, error=error)
    if labels.null_count:
        row = int(rows[pc.index(pc.is_null(labels), pa.scalar(value=True)).as_py()])
        message = (
            f"{what} has a list with a null in it, the first in row {row}; leave it out of the list: a list "
            "that is null says nothing, an empty one that no class applies"
        )
        raise error(message)
    found = LabelLists(known, rows, labels.to_numpy())
    if not holds_text(value_type(plain.type).value_type):
        _refuse_zeros_and_ones(found, len(classes), what, error)
    return found


def numbers_of_labels(
    entries: pa.ChunkedArray, classes: Sequence[str], *, what: str, error: type[InvalidInputError]
) -> pa.ChunkedArray:
    """Numbers of the classes ``[v]`` that entries of lists are, int64; null where an entry is.

    Parameters
    ----------
    entries
        ``[v]`` names of classes, or their places; NaN counts as null.
    classes, what, error
        See :func:`read_label_lists`.

    Raises
    ------
    InvalidInputError
        (or ``error``) An entry is no class; the message has each with its number, the most frequent first.
    """
    numbers = plain_values(numbers_of_names(entries, classes, what=what, error=error))
    if holds_nothing(numbers.type):
        return numbers.cast(pa.int64())
    if not holds_numbers(numbers.type) or pa.types.is_boolean(numbers.type):
        message = (
            f"{what} has entries of type {numbers.type}, expected names of classes, or their places 0 to "
            f"{len(classes) - 1}"
        )
        raise error(message)
    values = numbers.cast(pa.float64(), safe=False)
    values = pc.if_else(pc.is_nan(values), None, values)
    is_class = pc.and_(pc.greater_equal(values, 0), pc.less(values, len(classes)))
    is_class = pc.and_(is_class, pc.equal(pc.floor(values), values))
    wrong = values.filter(pc.invert(is_class))
    if len(wrong):
        _refuse_numbers(wrong, len(classes), what, error)
    return values.cast(pa.int64())


def with_gold_of_each(
    table: pa.Table, column: str, tasks: Mapping[str, int], classes: Sequence[str], *, where: str
) -> pa.Table:
    """Replace a column of gold lists by a column per class: 1 if it is in the list, 0 if not.

    Parameters
    ----------
    table
        ``[n]`` examples.
    column
        The column of lists; where there is none, nothing is known.
    tasks
        Name of each new column to the place of its class.
    classes
        Names of the k classes, each once.
    where
        Name of the table; opens every message.

    Raises
    ------
    ExamplesError
        The column holds no lists of classes, or the table has one of the new columns already.
    """
    for task in tasks:
        if task in table.column_names:
            message = (
                f"{where}: by its name, column '{task}' holds gold labels of class '{classes[tasks[task]]}' "
                f"of the multi-label task '{column}'; write them as lists of classes in a column '{column}', "
                "or give the column another name"
            )
            raise ExamplesError(message)
    if column not in table.column_names:
        return table
    what = f"{where}: gold column '{column}'"
    gold = read_label_lists(table.column(column), classes, what=what, error=ExamplesError)
    # at the place of the lists, whichever of several columns of one name that is
    table = table.remove_column(table.column_names.index(column))
    for task, label in tasks.items():
        table = table.append_column(task, pa.array(gold.has(label).astype(np.int8), mask=~gold.known))
    return table


def _no_labels() -> Labels:
    return np.empty(0, dtype=np.int64)


def _why_no_lists(column: pa.ChunkedArray) -> str:
    """Say what a column holds in place of lists, and what to do."""
    found = f"has type {column.type}, expected lists of class names, or of their places"
    if not holds_text(column.type):
        return f"{found}; write a list for each example, with one entry if there is one class"
    shown = pc.drop_null(column)
    such_as = f", such as {shown[0].as_py()!r}" if len(shown) else ""
    return (
        f"{found}{such_as}; text is not taken apart: write a column of an Arrow list type, as pandas does "
        "where each cell is a list (json.loads makes one of JSON), with one entry if there is one class"
    )


def _refuse_zeros_and_ones(found: LabelLists, k: int, what: str, error: type[InvalidInputError]) -> None:
    """Refuse a list with the same place twice; one zero or one for each class is such a list."""
    entries = np.sort(found.rows * k + found.labels)
    twice = np.flatnonzero(entries[1:] == entries[:-1])
    if len(twice):
        row, label = divmod(int(entries[twice[0]]), k)
        message = (
            f"{what} has the place {label} twice in the list of row {row}; a list has the places of the "
            "classes that apply, each once, not a zero or one for every class: write the names of those that "
            "apply"
        )
        raise error(message)


def _refuse_numbers(wrong: pa.ChunkedArray, k: int, what: str, error: type[InvalidInputError]) -> None:
    counts = wrong.value_counts().to_pylist()
    counts.sort(key=lambda found: (-found["counts"], found["values"]))
    shown = ", ".join(f"{found['values']:g} ({found['counts']})" for found in counts[:_SHOWN])
    more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    message = (
        f"{what} has labels that are no class: {shown}{more}; expected places from 0 to {k - 1}: a list that "
        "is null says nothing, an empty one that no class applies"
    )
    raise error(message)
