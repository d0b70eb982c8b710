"""The rules for votes, by which every form of them is checked, and the messages of refusal.

Legend: n examples, m labeling functions (LFs), k classes.  A vote is 0..k-1, or -1 for abstain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.arrays import as_array
from ws_pipeline.errors import LabelMatrixError, VoteTypeError
from ws_pipeline.example_ids import ID_COLUMN

ABSTAIN = -1
MAX_CARDINALITY = int(np.iinfo(np.int16).max)
_CHECK_ROWS = 2**14  # validated and converted at a time, so that nothing large is copied twice

Votes = npt.NDArray[np.int8] | npt.NDArray[np.int16]


def validate_votes(
    votes: Any,
    cardinality: int,
    *,
    lf_names: Sequence[str] | None = None,
    example_ids: npt.NDArray[Any] | None = None,
) -> Votes:
    """Return ``votes`` as an ``[n, m]`` array of the smallest dtype, or say which vote is wrong.

    Raises
    ------
    LabelMatrixError
        Not two-dimensional, not integers, NaN, below -1 or not below ``cardinality``.
    """
    array = as_vote_array(votes)
    checked: Votes = np.empty(array.shape, dtype=votes_dtype(cardinality))  # type: ignore[assignment]
    for start in range(0, len(array), _CHECK_ROWS):
        part = array[start : start + _CHECK_ROWS]
        check_range(part, cardinality, first_row=start, lf_names=lf_names, example_ids=example_ids)
        np.copyto(checked[start : start + _CHECK_ROWS], part, casting="unsafe")
    return checked


def as_vote_array(votes: Any) -> npt.NDArray[Any]:
    """View ``votes`` as an array ``[n, m]`` of numbers, whose values are not looked at yet.

    Raises
    ------
    LabelMatrixError
        Ragged or not two-dimensional; or, as a TypeError too, neither integers nor floats.
    """
    array = as_array(votes, "votes", error=LabelMatrixError)
    check_two_dimensional(array)
    if array.dtype.kind not in "iuf":
        message = f"votes must be integers (-1 = abstain), got dtype {array.dtype}{_found_and_remedy(array)}"
        raise VoteTypeError(message)
    return array


def _found_and_remedy(array: npt.NDArray[Any]) -> str:
    """End of a message: what an array without numbers holds instead, and what to do."""
    if array.dtype.kind == "b":
        return (
            ", which cannot abstain; use L.astype(int) if False votes for class 0, or np.where(L, 1, -1) if "
            "False abstains"
        )
    cell = next(
        (cell for cell, vote in np.ndenumerate(array) if not isinstance(vote, int | np.integer)), None
    )
    if cell is None:
        return "; convert with L.astype(int)"
    vote = array[cell].item() if isinstance(array[cell], np.generic) else array[cell]
    if isinstance(vote, str | bytes):
        remedy = "map class names to 0..k-1, then convert with L.astype(int)"
    else:
        remedy = "use -1 for abstain, then convert with L.astype(int)"
    return f", with {vote!r} in row {cell[0]}, column {cell[1]}; {remedy}"


def check_two_dimensional(votes: npt.NDArray[Any]) -> None:
    """Refuse votes that are not ``[n, m]``."""
    if votes.ndim != 2:
        message = f"the label matrix must have shape [n, m], got {votes.ndim} dimension(s): {votes.shape}"
        raise LabelMatrixError(message)


def check_range(
    part: npt.NDArray[Any],
    cardinality: int,
    *,
    first_row: int = 0,
    lf_names: Sequence[str] | None = None,
    example_ids: npt.NDArray[Any] | None = None,
) -> None:
    """Refuse the first vote, row by row, that is not an integer in -1..k-1.

    Parameters
    ----------
    part
        Rows of the label matrix.
    cardinality
        Number of classes k.
    first_row
        Position of the first of them in the whole.
    lf_names, example_ids
        Of the whole label matrix, for the message.
    """
    if part.size == 0:
        return
    within = bool(
        np.maximum.reduce(part, axis=None) < cardinality and np.minimum.reduce(part, axis=None) >= ABSTAIN
    )
    if within and (part.dtype.kind != "f" or not np.any(part != np.floor(part))):
        return
    wrong = ~((part >= ABSTAIN) & (part < cardinality))
    if part.dtype.kind == "f":
        wrong |= part != np.floor(part)
    row, lf = map(int, np.argwhere(wrong)[0])
    name = lf_names[lf] if lf_names is not None and lf < len(lf_names) else f"lf_{lf}"
    example = first_row + row if example_ids is None else example_ids[first_row + row]
    message = (
        f"LF '{name}' votes {part[row, lf]} on example {example!s}, expected an integer from -1 (abstain) "
        f"to {cardinality - 1} (cardinality={cardinality})"
    )
    if part[row, lf] != part[row, lf]:
        message += "; in an array, use -1 for missing votes"
    raise LabelMatrixError(message)


def check_cardinality(cardinality: int) -> None:
    """Refuse a number of classes below 2 or beyond int16."""
    if not 2 <= cardinality <= MAX_CARDINALITY:
        message = f"cardinality must be from 2 to {MAX_CARDINALITY}, got {cardinality}"
        raise LabelMatrixError(message)


def check_same_lfs(name: str, lfs: Sequence[str], other_name: str, other_lfs: Sequence[str]) -> None:
    """Refuse two shards whose LF columns differ; name what is missing and what is extra."""
    if tuple(lfs) == tuple(other_lfs):
        return
    missing = [lf for lf in lfs if lf not in other_lfs]
    extra = [lf for lf in other_lfs if lf not in lfs]
    difference = f"missing {missing}, extra {extra}" if missing or extra else "same names in another order"
    message = (
        f"the LF columns of shard '{other_name}' differ from those of shard '{name}': {difference}; "
        "apply the same labeling functions, in the same order, to every shard, or list them as lf_columns"
    )
    raise LabelMatrixError(message)


def check_same_cardinality(name: str, cardinality: int, other_name: str, other_cardinality: int) -> None:
    """Refuse two shards that were read with different numbers of classes."""
    if cardinality != other_cardinality:
        message = (
            f"shard '{name}' has {cardinality} classes, but shard '{other_name}' has {other_cardinality}"
        )
        raise LabelMatrixError(message)


def votes_dtype(cardinality: int) -> type[np.int8 | np.int16]:
    """Smallest dtype that holds -1..k-1."""
    return np.int8 if cardinality <= 128 else np.int16


def default_lf_names(n_lfs: int) -> tuple[str, ...]:
    """Names for labeling functions that have none."""
    return tuple(f"lf_{index}" for index in range(n_lfs))


def repeated_names(names: Sequence[str]) -> list[str]:
    """Names that are there more than once, sorted."""
    return sorted(name for name, times in Counter(names).items() if times > 1)


def check_names(names: tuple[str, ...], n_lfs: int) -> None:
    """Refuse names of LFs that are not ``n_lfs``, repeated, or the name of the ids."""
    if len(names) != n_lfs:
        message = f"lf_names has {len(names)} entries, but votes has {n_lfs} columns"
        raise LabelMatrixError(message)
    repeated = repeated_names(names)
    if repeated:
        message = f"LF names must be unique, repeated: {repeated}"
        raise LabelMatrixError(message)
    if ID_COLUMN in names:
        message = f"an LF cannot be named '{ID_COLUMN}', which is the column of the example ids"
        raise LabelMatrixError(message)
