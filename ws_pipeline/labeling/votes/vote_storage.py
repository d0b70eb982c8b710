"""How a label matrix keeps its votes: dense, or sparse where the labeling functions (LFs) are many.

Thousands of sources that give a few votes each, as crowds and annotation tools have them, would be abstains
nearly everywhere.  So beyond 256 LFs only the votes are kept.  The number of LFs alone decides, so that the
same votes have the same form, whatever they were made of.  The form of a sparse array is always the same,
too: rows in order, LFs ascending in each row, no abstain.  Start reading at :func:`keep_votes`.

Legend: n examples, m LFs, k classes, v votes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.votes.vote_checks import (
    ABSTAIN,
    check_range,
    validate_votes,
    votes_dtype,
)
from ws_pipeline.memory import require_memory

if TYPE_CHECKING:
    from scipy.sparse import csr_array


KeptVotes: TypeAlias = "npt.NDArray[Any] | csr_array"
"""Votes ``[n, m]`` in the form in which they are kept."""

DENSE_LFS = 256
"""Up to so many LFs a row of bytes is small, and votes are kept as a dense array."""

_READ_CELLS = 2**22  # of a dense array that are looked at at a time


def keep_votes(
    votes: npt.NDArray[Any] | csr_array,
    cardinality: int,
    *,
    lf_names: Sequence[str] | None = None,
    example_ids: npt.NDArray[Any] | None = None,
) -> KeptVotes:
    """Check votes ``[n, m]`` and bring them to the form in which they are kept.

    Parameters
    ----------
    votes
        Numbers, dense or sparse; in a sparse array what is not stored abstains.
    cardinality
        Number of classes k.
    lf_names, example_ids
        ``[m]`` and ``[n]``, for the message.

    Raises
    ------
    LabelMatrixError
        A vote is not -1 or one of the k classes; names the first one, its LF and its example.
    """
    if votes.shape[1] <= DENSE_LFS:
        dense = to_dense(votes)
        return validate_votes(dense, cardinality, lf_names=lf_names, example_ids=example_ids)
    if isinstance(votes, np.ndarray):
        return _sparse_of_dense(votes, cardinality, lf_names=lf_names, example_ids=example_ids)
    kept = in_order(votes)
    _check_stored(kept, cardinality, lf_names, example_ids)
    return kept.astype(votes_dtype(cardinality))


def as_kept(votes: KeptVotes) -> KeptVotes:
    """Bring checked votes ``[n, m]``, of the smallest dtype, to the form in which they are kept."""
    if isinstance(votes, np.ndarray):
        return votes if votes.shape[1] <= DENSE_LFS else _sparse_rows(votes)
    return to_dense(votes) if votes.shape[1] <= DENSE_LFS else in_order(votes)


def row_major(votes: KeptVotes) -> KeptVotes:
    """The same votes, row after row in memory."""
    return np.ascontiguousarray(votes) if isinstance(votes, np.ndarray) else votes


def freeze(votes: KeptVotes) -> None:
    """Make the arrays of votes read-only."""
    for array in arrays_of(votes):
        array.flags.writeable = False


def arrays_of(votes: KeptVotes) -> list[npt.NDArray[Any]]:
    """The arrays that hold votes: one of a dense array, three of a sparse one."""
    return [votes] if isinstance(votes, np.ndarray) else [votes.indptr, votes.indices, votes.data]


def to_dense(votes: npt.NDArray[Any] | csr_array) -> npt.NDArray[Any]:
    """Votes ``[n, m]`` as a dense array, -1 for abstain.

    Raises
    ------
    TooLargeError
        It needs more memory than there is.
    """
    if isinstance(votes, np.ndarray):
        return votes
    dtype = np.promote_types(votes.dtype, np.int8)
    n, m = votes.shape
    require_memory(
        n * m * dtype.itemsize,
        f"the dense array of the votes of {m:,} LFs on {n:,} examples",
        "use the sparse array, LabelMatrix.votes, or take some of the examples first",
    )
    dense = np.full(votes.shape, ABSTAIN, dtype=dtype)
    coo = votes.tocoo()
    dense[coo.row, coo.col] = coo.data
    return dense


def in_order(votes: csr_array) -> csr_array:
    """The same sparse votes with the LFs ascending in each row; nothing is copied if they are."""
    if votes.has_sorted_indices:
        return votes
    ordered = votes.copy()
    ordered.sort_indices()
    return ordered


def covered_rows_of(votes: npt.NDArray[Any] | csr_array) -> npt.NDArray[np.bool_]:
    """``[n]`` mask of the rows with a vote."""
    if not isinstance(votes, np.ndarray):
        return np.asarray(np.diff(votes.indptr) > 0)
    covered: npt.NDArray[np.bool_] = (votes != ABSTAIN).any(axis=1)
    return covered


def same_votes(votes: KeptVotes, others: KeptVotes) -> bool:
    """Whether kept votes are the same."""
    if votes.shape != others.shape:
        return False
    pairs = zip(arrays_of(votes), arrays_of(others), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


def hash_of(votes: KeptVotes) -> Any:
    """SHA-256 of kept votes, to which more may be added; of a sparse array, of all that it stores."""
    if isinstance(votes, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(votes).reshape(-1).data)
    found = hashlib.sha256(repr(tuple(map(int, votes.shape))).encode())
    for array, dtype in zip(arrays_of(votes), ("<i8", "<i8", "<i2"), strict=True):
        found.update(array.astype(dtype).data)
    return found


def columns_of(votes: KeptVotes) -> Iterator[npt.NDArray[Any]]:
    """Votes ``[n]`` of each LF, one after the other, -1 for abstain."""
    if isinstance(votes, np.ndarray):
        yield from votes.T
        return
    by_lf = votes.tocsc()
    for start, stop in zip(by_lf.indptr[:-1], by_lf.indptr[1:], strict=True):
        column = np.full(votes.shape[0], ABSTAIN, dtype=votes.dtype)
        column[by_lf.indices[start:stop]] = by_lf.data[start:stop]
        yield column


def of_columns(columns: Iterator[npt.NDArray[Any]], n: int, m: int, cardinality: int) -> KeptVotes:
    """Put together the checked votes ``[n]`` of m LFs, that come one after the other.

    The inverse of :func:`columns_of`.  A dense array is LF-major in memory.
    """
    dtype = votes_dtype(cardinality)
    if m <= DENSE_LFS:
        dense: Any = np.empty((n, m), dtype=dtype, order="F")
        for lf, column in enumerate(columns):
            dense[:, lf] = column
        return dense
    from scipy.sparse import csc_array

    rows, data = [], []
    for column in columns:
        rows.append(np.flatnonzero(column != ABSTAIN).astype(np.int32))
        data.append(column[rows[-1]].astype(dtype))
    starts = np.cumsum([0, *map(len, rows)])
    by_lf = csc_array((np.concatenate(data), np.concatenate(rows), starts), shape=(n, m))
    return in_order(by_lf.tocsr())


def place_columns(votes: KeptVotes, sources: Sequence[int | None]) -> KeptVotes:
    """Votes ``[n, m']`` whose column j is column ``sources[j]`` of ``votes``; None is an LF that abstains."""
    n, n_lfs = votes.shape[0], len(sources)
    if isinstance(votes, np.ndarray) and n_lfs <= DENSE_LFS:
        dense: Any = np.full((n, n_lfs), ABSTAIN, dtype=votes.dtype)
        for lf, source in enumerate(sources):
            if source is not None:
                dense[:, lf] = votes[:, source]
        return dense
    from scipy.sparse import csr_array

    sparse = _sparse_rows(votes) if isinstance(votes, np.ndarray) else votes
    places = np.full(votes.shape[1], -1)
    for place, source in enumerate(sources):
        if source is not None:
            places[source] = place
    kept = places >= 0
    stored = kept[sparse.indices]
    starts = np.concatenate([[0], np.cumsum(stored)])[sparse.indptr]
    lfs = places[sparse.indices[stored]].astype(sparse.indices.dtype)
    placed = csr_array((sparse.data[stored], lfs, starts), shape=(n, n_lfs))
    placed.sort_indices()
    return as_kept(placed)


def place_rows(votes: KeptVotes, places: npt.NDArray[Any], n: int) -> KeptVotes:
    """Votes ``[n, m]`` with row i of ``votes`` at ``places[i]``, all different; other rows abstain."""
    if isinstance(votes, np.ndarray):
        dense: Any = np.full((n, votes.shape[1]), ABSTAIN, dtype=votes.dtype)
        dense[places] = votes
        return dense
    from scipy.sparse import csr_array

    lengths = np.zeros(n, dtype=votes.indptr.dtype)
    lengths[places] = np.diff(votes.indptr)
    starts = np.concatenate([np.zeros(1, votes.indptr.dtype), np.cumsum(lengths, dtype=votes.indptr.dtype)])
    ordered = votes[np.argsort(places, kind="stable")]
    return csr_array((ordered.data, ordered.indices, starts), shape=(n, votes.shape[1]))


def stack_rows(parts: Sequence[npt.NDArray[Any] | csr_array]) -> Any:
    """Rows of at least one part ``[n_i, m]``, of the same form, one after the other."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    from scipy.sparse import csr_array, vstack

    return csr_array(vstack(parts, format="csr"))


def to_lists(votes: csr_array, cardinality: int) -> pa.Array:
    """Sparse votes as one list per example of its votes as LF * k + vote, ascending."""
    codes = votes.indices.astype(np.int64) * cardinality + votes.data
    return pa.LargeListArray.from_arrays(pa.array(votes.indptr.astype(np.int64)), pa.array(codes))


def of_lists(
    column: pa.ChunkedArray,
    n_lfs: int,
    cardinality: int,
    *,
    where: str,
    error: type[Exception] = LabelMatrixError,
) -> csr_array:
    """Sparse votes ``[n, n_lfs]`` of what :func:`to_lists` gave.

    Raises
    ------
    LabelMatrixError or ``error``
        A code stands for no vote of these LFs, or an LF votes twice on an example.
    """
    from scipy.sparse import csr_array

    lists = column.combine_chunks()
    codes = lists.flatten().to_numpy()
    if len(codes) and not 0 <= codes.min() <= codes.max() < n_lfs * cardinality:
        message = (
            f"{where}: a vote is coded as {codes.min()} or {codes.max()}, expected 0 to "
            f"{n_lfs * cardinality - 1}; the file is damaged: ingest the shard again"
        )
        raise error(message)
    lfs, votes = np.divmod(codes, cardinality)
    starts = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())])
    sparse = csr_array((votes.astype(votes_dtype(cardinality)), lfs, starts), shape=(len(lists), n_lfs))
    if not sparse.has_canonical_format:
        message = (
            f"{where}: the LFs of an example's votes are not in ascending order, or one is there twice; the "
            "file is damaged: ingest the shard again"
        )
        raise error(message)
    return sparse


def _check_stored(
    votes: csr_array,
    cardinality: int,
    lf_names: Sequence[str] | None,
    example_ids: npt.NDArray[Any] | None,
) -> None:
    """Refuse the first stored vote that is none of the k classes."""
    data = votes.data
    wrong = ~((data >= 0) & (data < cardinality) & (data == np.floor(data)))
    if not wrong.any():
        return
    at = int(np.flatnonzero(wrong)[0])
    row, lf = int(np.searchsorted(votes.indptr, at, side="right")) - 1, int(votes.indices[at])
    name = f"lf_{lf}" if lf_names is None else lf_names[lf]
    ids = np.arange(row, row + 1) if example_ids is None else example_ids[row : row + 1]
    check_range(data[at : at + 1, None], cardinality, lf_names=[name], example_ids=ids)


def _sparse_of_dense(
    votes: npt.NDArray[Any],
    cardinality: int,
    *,
    lf_names: Sequence[str] | None,
    example_ids: npt.NDArray[Any] | None,
) -> csr_array:
    """Check a dense array, part by part, and keep its votes."""
    parts, size = [], max(1, _READ_CELLS // votes.shape[1])
    for start in range(0, max(1, len(votes)), size):
        part = votes[start : start + size]
        check_range(part, cardinality, first_row=start, lf_names=lf_names, example_ids=example_ids)
        parts.append(_sparse_rows(part).astype(votes_dtype(cardinality)))
    return stack_rows(parts)


def _sparse_rows(part: npt.NDArray[Any]) -> csr_array:
    from scipy.sparse import csr_array

    voted = part != ABSTAIN
    starts = np.concatenate([[0], np.cumsum(voted.sum(axis=1))])
    return csr_array((part[voted], np.nonzero(voted)[1], starts), shape=part.shape)
