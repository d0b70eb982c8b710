"""Scores in tables of votes: one beside each vote, or one for each class, of which the highest is the vote.

Legend: n examples, m labeling functions (LFs), k classes, v rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import Ids, ids_to_array
from ws_pipeline.labeling.votes.vote_checks import ABSTAIN
from ws_pipeline.labeling.votes.vote_details import Scores
from ws_pipeline.memory import require_memory
from ws_pipeline.storage.arrow_types import holds_nothing, holds_numbers, plain_values


def score_numbers(column: pa.ChunkedArray, *, what: str) -> npt.NDArray[np.float64]:
    """Scores ``[v]`` of a column of any Arrow type, NaN where it is null.

    Raises
    ------
    LabelMatrixError
        The column holds no numbers, or an infinite one.
    """
    if holds_nothing(column.type):
        return np.full(len(column), np.nan)
    if not holds_numbers(column.type) or pa.types.is_boolean(column.type):
        message = f"{what} has type {column.type}, expected numbers that say how sure each vote is; cast it"
        raise LabelMatrixError(message)
    numbers = np.asarray(plain_values(column).cast(pa.float64()).to_numpy())
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        message = f"{what} is {numbers[infinite[0]]} in row {infinite[0]}; expected finite numbers, or null"
        raise LabelMatrixError(message)
    return numbers


def scores_in_place(
    examples: pa.ChunkedArray,
    lfs: pa.ChunkedArray,
    scores: npt.NDArray[np.float64],
    ids: Ids,
    names: Sequence[str],
) -> Scores:
    """Scores ``[v]`` of votes in the places of their examples and LFs ``[n, m]``; NaN elsewhere."""
    shape = (len(ids), len(names))
    require_memory(
        4 * shape[0] * shape[1],
        f"the scores of {shape[1]:,} LFs on {shape[0]:,} examples",
        "leave the scores out (columns without score), or list fewer sources with lf_columns",
    )
    rows = pc.index_in(plain_values(examples), value_set=ids_to_array(ids))
    texts = plain_values(lfs).cast(pa.large_string())
    columns = pc.index_in(texts, value_set=pa.array(list(names), pa.large_string()))
    placed = np.full(shape, np.nan, dtype=np.float32)
    placed[rows.to_numpy(), columns.to_numpy()] = scores
    return placed


def best_classes(
    keys: Sequence[npt.NDArray[Any]], classes: npt.NDArray[Any], scores: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """The class with the highest score of each vote, of rows with a score for one class each.

    Parameters
    ----------
    keys
        Arrays ``[v]`` of numbers that are the same in all rows of a vote, such as its example and its LF.
    classes
        ``[v]``.
    scores
        ``[v]``; NaN is below all others.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray, numpy.ndarray)
        Of each vote the row of its highest score, in the order of the first rows; whether it is above all
        others; and its lead over the second highest, NaN if there is none.
    """
    ranked = np.where(np.isnan(scores), -np.inf, scores)
    first_row = _first_rows(keys)
    order = np.lexsort((classes, -ranked, first_row))
    starts = np.flatnonzero(np.r_[True, first_row[order][1:] != first_row[order][:-1]][: len(order)])
    sizes = np.diff(np.r_[starts, len(order)])
    best = ranked[order[starts]]
    second = np.full(len(starts), -np.inf)
    several = sizes > 1
    second[several] = ranked[order[starts[several] + 1]]
    is_above = np.isfinite(best) & (best > second)
    leads = np.full(len(starts), np.nan)
    finite = np.isfinite(second) & np.isfinite(best)
    leads[finite] = best[finite] - second[finite]
    return order[starts], is_above, leads


def _first_rows(keys: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.intp]:
    """The first row ``[v]`` that has the same keys."""
    _, first, inverse = np.unique(np.stack(keys, axis=1), axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.reshape(-1)])


def votes_of_class_scores(
    column: pa.ChunkedArray, classes: Sequence[str], *, what: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None:
    """Votes ``[n]`` and their scores of a column with a score for each class; None if it is no such column.

    Parameters
    ----------
    column
        ``[n]`` lists of k numbers, in the order of the classes, or structs with a field for each class; null
        is an abstain.
    classes
        Names of the k classes.
    what
        What the column is called; opens the message.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        The class with the highest score, -1 where two classes share it; and its lead over the second
        highest.

    Raises
    ------
    LabelMatrixError
        A list is not of k numbers, or a struct not of the classes.
    """
    if pa.types.is_struct(column.type):
        found = _of_structs(column, classes, what)
    elif _is_list(column.type):
        found = _of_lists(column, len(classes), what)
    else:
        return None
    given = np.flatnonzero(column.is_valid().to_numpy())
    if not np.isfinite(found).all():
        row, place = np.argwhere(~np.isfinite(found))[0].tolist()
        message = (
            f"{what} has no finite score for '{classes[place]}' in row {given[row]}, got "
            f"{found[row, place]}; give a number for each class, or null for all"
        )
        raise LabelMatrixError(message)
    votes, scores = np.full(len(column), ABSTAIN, dtype=np.int64), np.full(len(column), np.nan)
    if len(given):
        ranked = np.sort(found, axis=1)
        leads = ranked[:, -1] - ranked[:, -2]
        votes[given] = np.where(leads > 0, found.argmax(axis=1), ABSTAIN)
        scores[given] = np.where(leads > 0, leads, np.nan)
    return votes, scores


def _is_list(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in kinds)


def _of_lists(column: pa.ChunkedArray, k: int, what: str) -> npt.NDArray[np.float64]:
    """Scores ``[r, k]`` of the lists that are there."""
    valid = column.drop_null()
    lengths = np.asarray(pc.list_value_length(valid).to_numpy())
    wrong = np.flatnonzero(lengths != k)
    if len(wrong):
        row = np.flatnonzero(column.is_valid().to_numpy())[wrong[0]]
        message = (
            f"{what} has a list of {lengths[wrong[0]]} in row {row}, expected {k} scores, one for each "
            "class, in the order of the classes; null abstains"
        )
        raise LabelMatrixError(message)
    return _floats(pc.list_flatten(valid), what).reshape(-1, k)


def _of_structs(column: pa.ChunkedArray, classes: Sequence[str], what: str) -> npt.NDArray[np.float64]:
    """Scores ``[r, k]`` of the structs that are there."""
    fields = [field.name for field in column.type]
    if sorted(fields) != sorted(classes):
        message = f"{what} has the fields {fields}, expected one for each class: {list(classes)}"
        raise LabelMatrixError(message)
    valid = column.drop_null()
    return np.stack(
        [_floats(pc.struct_field(valid, [name]), f"{what}, '{name}',") for name in classes], axis=1
    )


def _floats(values: pa.ChunkedArray, what: str) -> npt.NDArray[np.float64]:
    if not holds_numbers(values.type):
        message = f"{what} has values of type {values.type}, expected a number for each class"
        raise LabelMatrixError(message)
    return np.asarray(plain_values(values).cast(pa.float64()).to_numpy(), dtype=np.float64)
