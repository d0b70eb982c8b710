"""Count the votes of crowds: many labeling functions, of which each votes on few examples.

The work and the memory grow with the votes and their pairs, not with n*m or with (m*k)^2.  The integers are
those of :mod:`.counting`, which chooses between both.

Legend: n examples, m labeling functions (LFs), k classes, d = m*k, r rows of a part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.labeling.votes.pair_counts import ENTRY_BYTES, PairCounts, PairSum
from ws_pipeline.labeling.votes.row_counts import RowCounts
from ws_pipeline.labeling.votes.vote_checks import ABSTAIN, check_range
from ws_pipeline.memory import require_memory

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_READ_CELLS = 2**22  # of a dense array of votes that are looked at at a time
_PAIRS = 2**21  # of votes that are multiplied at a time
_PRODUCT_BYTES = 32  # per pair of votes at the peak of a product: both triangles, then the upper one alone
REMEDY = (
    "leave out LFs that vote little, merge classes, or use a machine with more memory; "
    "MajorityLabelVoter needs no pairs"
)


def sparse_parts(
    votes: npt.NDArray[Any] | csr_array,
    cardinality: int,
    *,
    max_rows: int | None = None,
    trusted: bool = False,
) -> Iterator[csr_array]:
    """Validate votes ``[n, m]`` and hand them out as sparse rows ``[r, m]``, part by part.

    Votes that are ``trusted`` are known to be in range, and are not checked again.

    Raises
    ------
    LabelMatrixError
        A vote is out of range; names its LF and row.
    """
    n, m = votes.shape
    most = max_rows or n
    if isinstance(votes, np.ndarray):
        most = min(most, _READ_CELLS // max(m, 1))
    elif not trusted:
        check_sparse_range(votes.tocoo(), cardinality, first_row=0)
    for first in range(0, n, max(1, most)):
        part = votes[first : first + max(1, most)]
        if isinstance(part, np.ndarray):
            if not trusted:
                check_range(part, cardinality, first_row=first)
            part = _sparse_rows(part)
        yield part


def _sparse_rows(part: npt.NDArray[Any]) -> csr_array:
    from scipy.sparse import csr_array

    voted = part != ABSTAIN
    row_starts = np.concatenate([[0], np.cumsum(voted.sum(axis=1))])
    return csr_array((part[voted], np.nonzero(voted)[1], row_starts), shape=part.shape)


def check_sparse_range(part: Any, cardinality: int, *, first_row: int) -> None:
    """Refuse the first stored vote that is not in 0..k-1, as :func:`check_range` words it."""
    data = part.data
    wrong = ~((data >= 0) & (data < cardinality) & (data == np.floor(data)))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        cell = np.full((1, int(part.col[at]) + 1), ABSTAIN, dtype=data.dtype)
        cell[0, -1] = data[at]
        check_range(cell, cardinality, first_row=first_row + int(part.row[at]))


def count_sparse_rows(part: csr_array, cardinality: int) -> RowCounts:
    """Count validated sparse votes ``[r, m]`` per LF and example."""
    r, m = part.shape
    votes = part.data.astype(np.int64)
    n_votes = np.diff(part.indptr)
    rows = np.repeat(np.arange(r), n_votes)
    lowest, highest = np.full(r, cardinality), np.full(r, ABSTAIN)
    np.minimum.at(lowest, rows, votes)
    np.maximum.at(highest, rows, votes)
    conflicting, overlapping = lowest < highest, n_votes >= 2
    codes = part.indices.astype(np.int64) * cardinality + votes

    def votes_on(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(part.indices[mask[rows]], minlength=m)

    return RowCounts(
        n_examples=r,
        n_covered=int(np.count_nonzero(n_votes)),
        n_overlapping=int(np.count_nonzero(overlapping)),
        n_conflicting=int(np.count_nonzero(conflicting)),
        class_counts=np.bincount(codes, minlength=m * cardinality).reshape(m, cardinality),
        overlap_counts=votes_on(overlapping),
        conflict_counts=votes_on(conflicting),
    )


def count_sparse_votes(
    votes: npt.NDArray[Any] | csr_array, cardinality: int, *, trusted: bool = False
) -> tuple[RowCounts, PairCounts]:
    """Count votes and pairs of votes; see :func:`.count_votes`.

    Raises
    ------
    LabelMatrixError
        A vote is out of range.
    TooLargeError
        The pairs that occur need more memory than there is.
    """
    n, m = votes.shape
    rows = RowCounts.zeros(m, cardinality)
    pairs = PairSum(m * cardinality)
    for part in sparse_parts(votes, cardinality, trusted=trusted):
        for piece, n_pairs in _pieces(part):
            _require_room(pairs.n_entries, n_pairs, (m, cardinality), counted=(rows.n_examples, n))
            pairs.add(_count_pairs(piece, cardinality))
            rows += count_sparse_rows(piece, cardinality)
    return rows, pairs.total()


def _pieces(part: csr_array) -> Iterator[tuple[csr_array, int]]:
    """Cut rows so that the pairs of votes of a piece are few, at least one row; with their number."""
    n_votes = np.diff(part.indptr).astype(np.int64)
    n_pairs = np.cumsum(n_votes * (n_votes + 1) // 2)
    start, before = 0, 0
    while start < part.shape[0]:
        stop = max(start + 1, int(np.searchsorted(n_pairs, before + _PAIRS, side="right")))
        yield part[start:stop], int(n_pairs[stop - 1] - before)
        start, before = stop, int(n_pairs[stop - 1])


def _require_room(n_entries: int, n_pairs: int, shape: tuple[int, int], *, counted: tuple[int, int]) -> None:
    """Refuse to continue where the next piece and the sum with it do not fit."""
    m, k = shape
    need = n_pairs * _PRODUCT_BYTES + 2 * ENTRY_BYTES * (n_entries + n_pairs)
    what = (
        f"counting the pairs of votes of {m:,} LFs and {k:,} classes (d = {m * k:,}; {n_entries:,} different "
        f"pairs in the first {counted[0]:,} of {counted[1]:,} examples)"
    )
    require_memory(need, what, REMEDY)


def one_hot_rows(rows: csr_array, cardinality: int, dtype: Any) -> csr_array:
    """Validated votes ``[r, m]`` as ones at ``[row, i*k + y]``, ``[r, d]``."""
    from scipy.sparse import csr_array

    r, m = rows.shape
    codes = rows.indices.astype(np.int64) * cardinality + rows.data.astype(np.int64)
    return csr_array((np.ones(len(codes), dtype=dtype), codes, rows.indptr), shape=(r, m * cardinality))


def _count_pairs(piece: csr_array, cardinality: int) -> PairCounts:
    """Count the pairs of votes of validated rows ``[r, m]``, by a sparse product."""
    from scipy.sparse import csr_array

    one_hot = one_hot_rows(piece, cardinality, np.int32)
    d = one_hot.shape[1]
    both = one_hot.T.tocsr() @ one_hot
    rows = np.repeat(np.arange(d, dtype=np.int32), np.diff(both.indptr))
    kept = both.indices >= rows
    row_starts = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=d))])
    upper = csr_array((both.data[kept].astype(np.int64), both.indices[kept], row_starts), shape=(d, d))
    upper.sort_indices()
    return PairCounts(upper)
