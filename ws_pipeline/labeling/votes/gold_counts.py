"""Gold labels beside votes: read in any form, counted, and found among the votes.

Legend: n examples, m labeling functions (LFs), k classes.  The counts of shards add up exactly.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.analysis.labels import as_labels
from ws_pipeline.array_types import Labels
from ws_pipeline.arrays import as_array
from ws_pipeline.errors import GoldVotesWarning, InvalidInputError, LabelMatrixError
from ws_pipeline.example_ids import ID_COLUMN, Ids
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN
from ws_pipeline.labeling.votes.row_counts import Counts, shares
from ws_pipeline.labeling.votes.vote_columns import numbers_of_column
from ws_pipeline.labeling.votes.vote_storage import KeptVotes, columns_of
from ws_pipeline.storage.arrow_types import holds_nothing, holds_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from scipy.sparse import csr_array


_CELLS = 2**22  # of the votes that are looked at at a time
_FEW = 20  # right votes in a row say nothing below this,
_MANY = 100  # and much from here on, whatever the share of the gold labels that an LF meets
_SHOWN = 10  # of their names in a message


def read_gold(gold: Any, example_ids: Ids | None = None, *, name: str = "gold labels") -> Labels:
    """Return gold labels as an array, with -1 where they are unknown.

    Parameters
    ----------
    gold
        ``[n]`` or ``[n, 1]`` integers, -1 = unknown; of a Series or an Arrow array, missing values are
        unknown, too.  A dict of labels by example id, or a pandas Series whose index is called
        ``example_id``, is brought to the order of ``example_ids``; ids that it lacks are unknown.
    example_ids
        ``[n]`` ids of the examples.  Default: they have none.
    name
        What they are called; opens the error message.

    Returns
    -------
    numpy.ndarray
        ``[n]`` int64.

    Raises
    ------
    InvalidInputError
        Labels that are no integers, or ragged; or labels by id that are of none of the examples.
    """
    if isinstance(gold, Mapping):
        return _gold_by_id(list(gold), list(gold.values()), example_ids, name)
    index = getattr(gold, "index", None)
    if example_ids is not None and getattr(index, "name", None) == ID_COLUMN:
        return _gold_by_id(gold.index.tolist(), gold, example_ids, name)
    return as_labels(gold_numbers(gold, name), name)


def gold_numbers(
    gold: Any, name: str, *, error: type[InvalidInputError] = InvalidInputError
) -> npt.NDArray[Any]:
    """Gold labels as an array that is not looked at yet, but for missing ones of a Series, which are -1."""
    if isinstance(gold, Mapping):
        gold = list(gold.values())
    column = _arrow_column(gold)
    if column is None or not (holds_numbers(column.type) or holds_nothing(column.type)):
        return as_array(gold, name, error=error)
    numbers, missing = numbers_of_column(column, name, where=name)
    return np.where(missing, ABSTAIN, numbers) if missing.any() else numbers


def _arrow_column(values: Any) -> pa.ChunkedArray | None:
    """A Series of pandas or polars, or an Arrow array; None for anything else."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return pa.chunked_array(values) if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    is_pandas = type(values).__module__.startswith("pandas") and np.ndim(values) == 1
    if is_pandas or (hasattr(values, "__arrow_c_stream__") and not hasattr(values, "columns")):
        try:
            column = pa.array(values, from_pandas=True) if is_pandas else pa.chunked_array(values)
        except pa.ArrowException:  # it mixes kinds of values
            return None
        return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    return None


def _gold_by_id(ids: list[Any], gold: Any, example_ids: Ids | None, name: str) -> Labels:
    if example_ids is None:
        message = f"{name} are given by example id, but the votes have no ids; give one label for each row"
        raise LabelMatrixError(message)
    labels = dict(zip(ids, read_gold(gold, name=name).tolist(), strict=True))
    found = np.array([labels.get(example, ABSTAIN) for example in example_ids.tolist()], dtype=np.int64)
    if len(found) and labels.keys().isdisjoint(example_ids.tolist()):
        message = (
            f"{name} are of other examples than the votes: the first ids are {ids[:1]} and "
            f"{example_ids[:1].tolist()}; use the same ids in both, integers or strings"
        )
        raise LabelMatrixError(message)
    return found


def warn_of_gold_votes(
    lf_names: Sequence[str], votes: KeptVotes, gold: ArrayLike, correct: Counts, incorrect: Counts
) -> None:
    """Warn of LFs that equal the gold labels: such an LF may be a column of gold labels.

    Many LFs are right whenever they vote: those of one class, and people who label few examples.  So an LF
    counts only if it votes for several classes, on at least 20 examples with gold, and these are at least
    half of all such examples, or 100.

    Parameters
    ----------
    lf_names
        m names.
    votes, gold
        ``[n, m]`` and ``[n]``.
    correct, incorrect
        ``[m]`` each, of :func:`count_correct`.

    Warns
    -----
    GoldVotesWarning
        Names the LFs.
    """
    known = read_gold(gold) != ABSTAIN
    enough = (correct >= _MANY) | (2 * correct >= np.count_nonzero(known))
    always_right = np.flatnonzero((incorrect == 0) & (correct >= _FEW) & enough)
    columns = columns_of(votes[:, always_right][known])
    found = [
        lf for lf, of_lf in zip(always_right.tolist(), columns, strict=True) if _votes_for_several(of_lf)
    ]
    if found:
        shown = ", ".join(f"'{lf_names[lf]}' ({correct[lf]} examples)" for lf in found[:_SHOWN])
        shown += f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        message = (
            f"equal to gold on every example where both are known: {shown}; if these are gold labels and no "
            "LFs, leave them out of the votes: they make every score perfect"
        )
        warnings.warn(GoldVotesWarning(message), stacklevel=3)


def _votes_for_several(votes: npt.NDArray[Any]) -> bool:
    """Whether one LF's votes ``[n]`` are for more than one class."""
    return len(np.unique(votes[votes != ABSTAIN])) > 1


def count_correct(votes: KeptVotes, gold: ArrayLike) -> tuple[Counts, Counts]:
    """Count, per LF, the votes that agree and that disagree with gold labels.

    Parameters
    ----------
    votes
        ``[n, m]``.
    gold
        ``[n]`` in any form that :func:`read_gold` takes, -1 = unknown; those examples are left out.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Right and wrong votes, ``[m]`` int64 each.
    """
    labels = check_gold(gold, votes.shape[0])
    if not isinstance(votes, np.ndarray):
        return _count_correct_sparsely(votes, labels)
    n_correct, n_judged = (np.zeros(votes.shape[1], dtype=np.int64) for _ in range(2))
    known = np.flatnonzero(labels != ABSTAIN)
    size = max(1, _CELLS // max(votes.shape[1], 1))
    for start in range(0, len(known), size):
        rows = known[start : start + size]
        judged = votes[rows]
        n_correct += (judged == labels[rows, None]).sum(axis=0)
        n_judged += (judged != ABSTAIN).sum(axis=0)
    return n_correct, n_judged - n_correct


def _count_correct_sparsely(votes: csr_array, labels: Labels) -> tuple[Counts, Counts]:
    lfs, cast, gold = _votes_with_gold(votes, labels)
    n_correct, n_judged = (np.bincount(found, minlength=votes.shape[1]) for found in (lfs[cast == gold], lfs))
    return n_correct, n_judged - n_correct


def _votes_with_gold(votes: csr_array, labels: Labels) -> tuple[Labels, Labels, Labels]:
    """LF, class and gold label of each vote on an example with a gold label."""
    known = np.flatnonzero(labels != ABSTAIN)
    judged = votes[known]
    gold = np.repeat(labels[known], np.diff(judged.indptr))
    return judged.indices.astype(np.int64), judged.data.astype(np.int64), gold


def count_joint(
    votes: KeptVotes, gold: ArrayLike, cardinality: int, n_symbols: int | None = None
) -> tuple[Counts, Counts]:
    """Count, per LF, each vote together with each gold label.

    Parameters
    ----------
    votes
        ``[n, m]``.
    gold
        ``[n]`` in any form that :func:`read_gold` takes, -1 = unknown; those examples are left out.
    cardinality
        Number of classes k.
    n_symbols
        Number S of symbols that votes are.  Default: k, they are classes.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        ``[m, S+1, k]`` int64, vote l-1 (0 is abstain) with gold label y at ``[j, l, y]``; and ``[k]``,
        the gold labels.

    Raises
    ------
    LabelMatrixError
        A vote or gold label is not below k.
    """
    labels = check_gold(gold, votes.shape[0])
    base = (cardinality if n_symbols is None else n_symbols) + 1
    cast = votes if isinstance(votes, np.ndarray) else votes.data
    highest = max(labels.max(initial=ABSTAIN), cast.max(initial=ABSTAIN) - (base - 1 - cardinality))
    if highest >= cardinality:
        message = f"k={cardinality}, but there is a vote or a gold label {highest}; classes are 0..k-1"
        raise LabelMatrixError(message)
    known = labels != ABSTAIN
    n_gold = np.bincount(labels[known], minlength=cardinality)
    if not isinstance(votes, np.ndarray):
        return _count_joint_sparsely(votes, labels, n_gold, base), n_gold
    codes = labels[known] + cardinality  # with a vote of class 0; an abstain comes k before it
    joint = np.empty((votes.shape[1], base * cardinality), dtype=np.int64)
    for lf, column in enumerate(votes.T):
        lf_codes = column[known] * np.int64(cardinality) + codes
        joint[lf] = np.bincount(lf_codes, minlength=joint.shape[1])
    return joint.reshape(-1, base, cardinality), n_gold


def _count_joint_sparsely(votes: csr_array, labels: Labels, n_gold: Counts, base: int) -> Counts:
    m, k = votes.shape[1], len(n_gold)
    lfs, cast, gold = _votes_with_gold(votes, labels)
    joint = np.bincount((lfs * base + cast + 1) * k + gold, minlength=m * base * k).reshape(m, base, k)
    joint[:, 0] = n_gold - joint.sum(axis=1)
    return joint


def chance_accuracies(class_counts: Counts, gold: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """How often each LF would be right if its votes were dealt out to the examples at random ``[m]``.

    Parameters
    ----------
    class_counts
        ``[m, k]``: how often each LF votes each class.
    gold
        ``[n]`` gold labels, -1 where unknown.
    """
    of_gold = np.bincount(gold[gold >= 0], minlength=class_counts.shape[1])
    votes = shares(class_counts, class_counts.sum(axis=1, keepdims=True))
    return np.asarray(votes @ (of_gold / max(1, of_gold.sum())))


def check_gold(gold: ArrayLike, n: int, example_ids: Ids | None = None) -> Labels:
    """Gold labels ``[n]`` of any form, from -1 on; see :func:`read_gold`."""
    labels = read_gold(gold, example_ids)
    if len(labels) != n:
        message = f"there are {len(labels)} gold labels for {n} examples"
        raise LabelMatrixError(message)
    if labels.min(initial=ABSTAIN) < ABSTAIN:
        row = int(labels.argmin())
        message = f"gold labels must be classes from 0 on, or -1 (unknown), got {labels[row]} in row {row}"
        raise LabelMatrixError(message)
    return labels
