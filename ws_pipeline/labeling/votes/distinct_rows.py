"""Distinct rows of votes with their counts, in an order that the rows alone decide.

Rows of a dense array become one or a few integers of 64 bits each, the votes being their digits; rows of a
sparse array stay sparse.  Both are sorted by a hash; rows of the same hash are compared, so that the result
is exact whatever the hash does.

Legend: n rows, m labeling functions (LFs), k classes, u distinct rows, w words per row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.labeling.votes.counting import lf_major_chunks
from ws_pipeline.labeling.votes.row_counts import Counts
from ws_pipeline.labeling.votes.sparse_counting import sparse_parts
from ws_pipeline.labeling.votes.vote_checks import Votes, votes_dtype
from ws_pipeline.labeling.votes.vote_storage import KeptVotes, in_order, stack_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Words = npt.NDArray[np.uint64]

_HELD_ROWS = 2**22  # rows that wait to be merged with the distinct ones so far
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # odd, and its bits look random: a multiplier of a hash
_FACTOR = np.uint64(0xBF58476D1CE4E5B9)


def distinct_words(
    votes: npt.NDArray[Any] | csr_array, cardinality: int, *, trusted: bool = False
) -> tuple[Words, Counts]:
    """Distinct rows of votes ``[n, m]`` as words, and how often each occurs.

    Parameters
    ----------
    votes
        In {-1, 0, .., k-1}; validated chunk by chunk, unless ``trusted``.
    cardinality
        Number of classes k.
    trusted
        Whether the votes are known to be in range.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        ``[u, w]`` words in ascending order of their hash, and ``[u]`` counts.

    Raises
    ------
    LabelMatrixError
        A vote is out of range.
    """
    width = n_words(votes.shape[1], cardinality)
    total: tuple[Words, Counts] = (np.empty((0, width), dtype=np.uint64), np.empty(0, dtype=np.int64))
    held: list[Words] = []
    for chunk, n_rows in lf_major_chunks(votes, cardinality, trusted=trusted):
        held.append(words_of(chunk, cardinality)[:n_rows])
        if sum(map(len, held)) >= _HELD_ROWS:
            total, held = _merge(total, held), []
    return _merge(total, held)


def number_rows(votes: KeptVotes, cardinality: int) -> npt.NDArray[np.intp]:
    """Numbers ``[n]`` of validated votes ``[n, m]``, from 0 on; rows have the same if they are equal."""
    if not isinstance(votes, np.ndarray):
        return _number_sparse_rows(votes, cardinality)
    chunks = [
        words_of(chunk, cardinality)[:n] for chunk, n in lf_major_chunks(votes, cardinality, trusted=True)
    ]
    words = np.concatenate([np.empty((0, n_words(votes.shape[1], cardinality)), dtype=np.uint64), *chunks])
    rows = np.ascontiguousarray(words).view(np.dtype((np.void, 8 * words.shape[1])))[:, 0]
    return np.asarray(np.unique(rows if words.shape[1] > 1 else words[:, 0], return_inverse=True)[1])


def _number_sparse_rows(votes: csr_array, cardinality: int) -> npt.NDArray[np.intp]:
    order, starts = _runs_of_sparse_rows(votes, cardinality)
    numbers = np.empty(len(order), dtype=np.intp)
    numbers[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
    return numbers


def _merge(total: tuple[Words, Counts], held: list[Words]) -> tuple[Words, Counts]:
    """Distinct words so far, with those of further rows."""
    words = np.concatenate([total[0], *held])
    counts = np.concatenate([total[1], np.ones(len(words) - len(total[0]), dtype=np.int64)])
    return merge_words(words, counts)


def merge_words(words: Words, counts: Counts) -> tuple[Words, Counts]:
    """Add up the counts of equal rows of words ``[n, w]``; the result is in ascending order of the hash."""
    if words.shape[1] == 1 and (counts == 1).all():  # np.unique is much faster than a sort of positions
        values, repeats = np.unique(words[:, 0], return_counts=True)
        return values[:, None], repeats.astype(np.int64)
    order, starts = sorted_runs(_hash_words(words), lambda rows, other: (words[rows] == words[other]).all(1))
    if order is None:
        order = np.lexsort([*words.T[::-1], _hash_words(words)])
        ordered = words[order]
        starts = np.flatnonzero(np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)])
    return words[order[starts]], _sums(counts[order], starts)


def merge_sparse_rows(rows: csr_array, counts: Counts, cardinality: int) -> tuple[csr_array, Counts]:
    """Add up the counts of equal sparse rows ``[n, m]``; the result is in ascending order of the hash.

    Parameters
    ----------
    rows
        Validated votes; what is not stored abstains.
    counts
        ``[n]``.
    cardinality
        Number of classes k.
    """
    rows = in_order(rows)
    order, starts = _runs_of_sparse_rows(rows, cardinality)
    return rows[order[starts]], _sums(counts[order], starts)


def _runs_of_sparse_rows(
    rows: csr_array, cardinality: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Order of sparse rows ``[n, m]`` in which equal ones are neighbours, and where each run starts.

    The LFs of each row are in ascending order.
    """
    codes = rows.indices.astype(np.int64) * cardinality + rows.data.astype(np.int64)
    lengths = np.diff(rows.indptr)

    def are_equal(some: npt.NDArray[np.intp], others: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        same = lengths[some] == lengths[others]
        pair = np.repeat(np.arange(len(some)), np.where(same, lengths[some], 0))
        place = np.arange(len(pair)) - np.searchsorted(pair, pair)
        differs = codes[rows.indptr[some[pair]] + place] != codes[rows.indptr[others[pair]] + place]
        same[pair[differs]] = False
        return np.asarray(same)

    order, starts = sorted_runs(_hash_codes(codes, rows.indptr), are_equal)
    if order is None:
        keys = [
            codes[first:last].tobytes() for first, last in zip(rows.indptr, rows.indptr[1:], strict=False)
        ]
        order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
        starts = np.array([i for i, row in enumerate(order) if not i or keys[row] != keys[order[i - 1]]])
    return order, starts


def distinct_sparse_rows(
    votes: npt.NDArray[Any] | csr_array, cardinality: int, *, trusted: bool = False
) -> tuple[csr_array, Counts]:
    """Distinct rows of votes ``[n, m]``, sparse, and how often each occurs; see :func:`distinct_words`."""
    from scipy.sparse import csr_array

    dtype = votes_dtype(cardinality)
    parts = [part.astype(dtype) for part in sparse_parts(votes, cardinality, trusted=trusted)]
    rows = stack_rows(parts or [csr_array((0, votes.shape[1]), dtype=dtype)])
    return merge_sparse_rows(rows, np.ones(rows.shape[0], dtype=np.int64), cardinality)


def sorted_runs(hashes: Words, are_equal: Any) -> tuple[npt.NDArray[np.intp] | None, npt.NDArray[np.intp]]:
    """Order of rows by their hashes ``[n]``, and where each run of equal rows starts.

    The order is None where different rows have the same hash.  ``are_equal`` takes two arrays of row
    numbers and says which pairs of rows are equal.
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    if not are_equal(order[repeated], order[repeated - 1]).all():
        return None, np.empty(0, dtype=np.intp)
    is_start = np.ones(len(order), dtype=np.bool_)
    is_start[repeated] = False
    return order, np.flatnonzero(is_start)


def _sums(counts: Counts, starts: npt.NDArray[np.intp]) -> Counts:
    return np.add.reduceat(counts, starts) if len(starts) else counts[:0]


def n_words(n_lfs: int, cardinality: int) -> int:
    """Number of words per row of m votes, at least 1."""
    return max(1, -(-n_lfs // digits_per_word(cardinality)))


def digits_per_word(cardinality: int) -> int:
    """Number of votes that one word holds, as digits of base k+1."""
    digits, limit = 1, 2**64
    while (cardinality + 1) ** (digits + 1) <= limit:
        digits += 1
    return digits


def words_of(chunk: Votes, cardinality: int) -> Words:
    """Words ``[r, w]`` of votes ``[m, r]``: the votes + 1 are the digits, the first LF's the highest."""
    size = digits_per_word(cardinality)
    words = np.zeros((chunk.shape[1], n_words(len(chunk), cardinality)), dtype=np.uint64)
    base = np.uint64(cardinality + 1)
    for place in range(words.shape[1]):
        word = np.zeros(chunk.shape[1], dtype=np.uint64)
        for votes in chunk[place * size : (place + 1) * size]:
            word *= base
            word += (votes.astype(np.int64) + 1).view(np.uint64)
        words[:, place] = word
    return words


def votes_of(words: Words, n_lfs: int, cardinality: int) -> Votes:
    """Votes ``[u, m]`` of words ``[u, w]``; LF-major in memory."""
    size, base = digits_per_word(cardinality), np.uint64(cardinality + 1)
    votes: Any = np.empty((n_lfs, len(words)), dtype=votes_dtype(cardinality))
    for place in range(words.shape[1]):
        rest = words[:, place].copy()
        for lf in reversed(range(place * size, min((place + 1) * size, n_lfs))):
            shorter = rest // base
            votes[lf] = (rest - shorter * base).view(np.int64) - 1
            rest = shorter
    transposed: Votes = votes.T
    return transposed


def _hash_words(words: Words) -> Words:
    """One number for each row of words ``[n, w]``; a single word is its own."""
    hashes = words[:, 0].copy()
    for word in words.T[1:]:
        hashes ^= hashes >> np.uint64(29)
        hashes *= _GOLDEN
        hashes += word
    return hashes


def _hash_codes(codes: npt.NDArray[np.int64], row_starts: npt.NDArray[Any]) -> Words:
    """One number for each sparse row: the sum of a hash of its votes, 0 for a row without votes."""
    mixed = (codes.astype(np.uint64) + np.uint64(1)) * _GOLDEN
    mixed ^= mixed >> np.uint64(31)
    mixed *= _FACTOR
    mixed ^= mixed >> np.uint64(29)
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return np.asarray(sums[row_starts[1:]] - sums[row_starts[:-1]])
