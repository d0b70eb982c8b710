r"""How votes are counted: exact integers, in one pass over chunks of rows.

Pairs of votes can be counted in three ways that give the same integers; which is fastest depends on
the shape, and :func:`choose_method` estimates it per chunk:

- "popcount": one bit per (LF, class) and example; a pair is the Hamming distance of two strings of
  bits, by SimSIMD's kernels;
- "bincount": the joint votes of two small groups of LFs are one code per example, and codes are
  counted; wins with more than a few classes;
- "sparse": a sparse product of the one-hot form with itself; wins where most LFs abstain.

Where most of thousands of LFs abstain, not even a matrix of the counts is made: see :mod:`.sparse_counting`.

Legend: n examples, m labeling functions (LFs), k classes, d = m*k, r rows of a chunk.
Chunks are LF-major, ``[m, r]``, so that all of an LF's votes lie side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, Votes, check_range, votes_dtype
from ws_pipeline.labeling.votes.pair_counts import ENTRY_BYTES, PairCounts
from ws_pipeline.labeling.votes.row_counts import Counts, RowCounts
from ws_pipeline.labeling.votes.row_spans import map_spans, n_threads, split_rows
from ws_pipeline.labeling.votes.sparse_counting import (
    check_sparse_range,
    count_sparse_rows,
    count_sparse_votes,
    sparse_parts,
)
from ws_pipeline.memory import available_memory

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Method = Literal["popcount", "bincount", "sparse"]

_WORD_BITS = 64
_ALIGNMENT = _WORD_BITS  # rows of a chunk fill whole words of bits
_CHUNK_BYTES = 2**26  # of a chunk's votes at most
_CHUNK_ROWS = 2**16
_TABLE_ENTRIES = 2**14  # of a table of joint codes that stays in a core's cache
_READ_BYTES = 2**19  # of the caller's array that are validated and transposed at a time

# Nanoseconds, measured on one core; only their ratios matter.
_NS_PER_WORD_PAIR = 0.12  # compare 64 examples of one pair of bits
_NS_PER_BIT = 0.05  # pack one example of an (LF, class)
_NS_PER_CODE = 2.0  # form and count one joint code
_NS_PER_ENTRY = 1.0  # add up an entry of a table of joint codes
_NS_PER_PRODUCT = 4.0  # multiply and add in a sparse product
_NS_PER_VOTE = 40.0  # build the sparse form
_NS_PER_CELL = 1.5  # find the votes among the abstains

_SAMPLE_ROWS = 256  # that the estimate looks at
_SMALL = 2**11  # d up to which a matrix [d, d] costs next to nothing


def count_rows(votes: npt.NDArray[Any] | csr_array, cardinality: int, *, trusted: bool = False) -> RowCounts:
    """Count votes ``[n, m]`` per LF and per example; see :func:`count_votes`.

    Raises
    ------
    LabelMatrixError
        A vote is out of range.
    """
    if not isinstance(votes, np.ndarray) and votes.shape[1] * cardinality > _SMALL:
        zeros = RowCounts.zeros(votes.shape[1], cardinality)
        parts = sparse_parts(votes, cardinality, trusted=trusted)
        return reduce(RowCounts.__add__, (count_sparse_rows(part, cardinality) for part in parts), zeros)

    def count_span(start: int, stop: int) -> RowCounts:
        total = RowCounts.zeros(votes.shape[1], cardinality)
        for chunk, n_rows in lf_major_chunks(votes, cardinality, start=start, stop=stop, trusted=trusted):
            class_counts = np.stack(
                [_count_bits(_pack(chunk == label)) for label in range(cardinality)], axis=1
            )
            total += _count_chunk_rows(chunk, n_rows, class_counts)
        return total

    return reduce(RowCounts.__add__, map_spans(count_span, votes.shape[0]))


def count_votes(
    votes: npt.NDArray[Any] | csr_array,
    cardinality: int,
    *,
    method: Method | None = None,
    trusted: bool = False,
) -> tuple[RowCounts, PairCounts]:
    """Count votes and pairs of votes.

    Parameters
    ----------
    votes
        ``[n, m]`` integers, or floats with integer values, in {-1, 0, .., k-1}; in a sparse array, what
        is not stored abstains.
    cardinality
        Number of classes k.
    method
        How pairs are counted.  Default: the one that should be fastest, chunk by chunk.
    trusted
        Whether the votes are known to be in range, so that they are not checked again.

    Returns
    -------
    (RowCounts, PairCounts)
        Counts per LF and example, and ``[d, d]``: on how many examples LF i votes y and LF j votes z, at
        ``[i*k + y, j*k + z]``.

    Raises
    ------
    LabelMatrixError
        A vote is out of range.
    TooLargeError
        The pairs that occur need more memory than there is.
    """
    if votes.shape[1] == 0:
        return count_rows(votes, cardinality, trusted=trusted), PairCounts.zeros(0)
    if method is None and _is_for_sparse_counting(votes, cardinality):
        return count_sparse_votes(votes, cardinality, trusted=trusted)
    return _count_densely(votes, cardinality, method, trusted=trusted)


def _count_densely(
    votes: npt.NDArray[Any] | csr_array, cardinality: int, method: Method | None, *, trusted: bool
) -> tuple[RowCounts, PairCounts]:
    """Count pairs in a matrix ``[d, d]`` per thread."""
    n, m = votes.shape
    d = m * cardinality

    def count_span(start: int, stop: int) -> tuple[RowCounts, Counts]:
        rows = RowCounts.zeros(m, cardinality)
        pairs = np.zeros((d, d), dtype=np.int64)
        for chunk, n_rows in lf_major_chunks(votes, cardinality, start=start, stop=stop, trusted=trusted):
            _METHODS[method or choose_method(chunk, cardinality)](chunk, cardinality, pairs)
            rows += _count_chunk_rows(chunk, n_rows, np.zeros((m, cardinality), dtype=np.int64))
        return rows, pairs

    in_parallel = d <= _SMALL or _fits(_dense_bytes(d, len(split_rows(n, n_threads()))))
    (rows, pairs), *others = map_spans(count_span, n) if in_parallel else [count_span(0, n)]
    for more_rows, more_pairs in others:
        rows += more_rows
        pairs += more_pairs
    class_counts = np.diagonal(pairs).reshape(m, cardinality).copy()
    counted = {f.name: getattr(rows, f.name) for f in fields(rows)} | {"class_counts": class_counts}
    return RowCounts(**counted), PairCounts.from_dense(pairs)


def _is_for_sparse_counting(votes: npt.NDArray[Any] | csr_array, cardinality: int) -> bool:
    """Whether to list the pairs that occur: faster than filling a matrix ``[d, d]``, or that does not fit."""
    n, m = votes.shape
    d = m * cardinality
    if d <= _SMALL or n == 0:
        return False
    if isinstance(votes, np.ndarray):
        n_votes = (votes[:: max(1, n // _SAMPLE_ROWS)] != ABSTAIN).sum(axis=1)
    else:
        n_votes = np.diff(votes.indptr)
    cheapest = _cheapest_method(n_votes, m, cardinality, n_rows=min(n, _CHUNK_ROWS))
    return cheapest == "sparse" or not _fits(_dense_bytes(d, 1))


def _dense_bytes(d: int, n_threads: int) -> int:
    """Peak of counting in matrices ``[d, d]`` and of listing their entries."""
    return 8 * d * d * n_threads + ENTRY_BYTES * d * (d + 1) // 2


def _fits(n_bytes: int) -> bool:
    room = available_memory()
    return room is None or n_bytes <= room.n_bytes


def lf_major_chunks(
    votes: npt.NDArray[Any] | csr_array,
    cardinality: int,
    *,
    start: int = 0,
    stop: int | None = None,
    max_rows: int = _CHUNK_ROWS,
    trusted: bool = False,
) -> Iterator[tuple[Votes, int]]:
    """Validate rows ``start`` to ``stop`` of votes ``[n, m]`` and hand them out LF-major, chunk by chunk.

    Votes that are ``trusted`` are known to be in range, and are not checked again.

    Yields
    ------
    (numpy.ndarray, int)
        ``[m, r]`` votes of the smallest dtype, r a multiple of 64, and the number of examples in it;
        the places behind them abstain.  The array is used again for the next chunk.

    Raises
    ------
    LabelMatrixError
        A vote is out of range; names its LF and row.
    """
    m = votes.shape[1]
    end = votes.shape[0] if stop is None else stop
    most = max(_ALIGNMENT, min(max_rows, _CHUNK_ROWS))
    size = int(np.clip(_CHUNK_BYTES // max(m, 1), _ALIGNMENT, most)) // _ALIGNMENT * _ALIGNMENT
    size = min(size, -(-(end - start) // _ALIGNMENT) * _ALIGNMENT)
    step = max(1, _READ_BYTES // max(votes.dtype.itemsize * m, 1))
    chunk: Any = np.empty((m, size), dtype=votes_dtype(cardinality))
    for begin in range(start, end, size or 1):
        behind = min(begin + size, end)
        if isinstance(votes, np.ndarray):
            for first in range(begin, behind, step):
                part = votes[first : min(first + step, behind)]
                if not trusted:
                    check_range(part, cardinality, first_row=first)
                # first narrowed, then transposed: twice as fast as both at once
                narrow = part.astype(chunk.dtype, copy=False)
                chunk[:, first - begin : first - begin + len(part)] = narrow.T
            chunk[:, behind - begin :] = ABSTAIN
        else:
            chunk[:] = ABSTAIN
            part = votes[begin:behind].tocoo()
            if not trusted:
                check_sparse_range(part, cardinality, first_row=begin)
            chunk[part.col, part.row] = part.data
        yield chunk, behind - begin


def choose_method(chunk: Votes, cardinality: int) -> Method:
    """Estimate which way counts the pairs of a chunk ``[m, r]`` fastest."""
    m, r = chunk.shape
    n_votes = (chunk[:, :: max(1, r // _SAMPLE_ROWS)] != ABSTAIN).sum(axis=0)
    return _cheapest_method(n_votes, m, cardinality, n_rows=r)


def _cheapest_method(n_votes: npt.NDArray[Any], m: int, cardinality: int, *, n_rows: int) -> Method:
    """The fastest way by the number of votes on each of some examples; in ns per example."""
    votes_per_row, pairs_per_row = float(n_votes.mean()), float((n_votes.astype(np.int64) ** 2).mean())
    d = m * cardinality
    cost: dict[Method, float] = {
        "popcount": d * d / 2 / _WORD_BITS * _NS_PER_WORD_PAIR + d * _NS_PER_BIT,
        "bincount": _bincount_cost(m, n_rows, cardinality),
        "sparse": pairs_per_row * _NS_PER_PRODUCT + votes_per_row * _NS_PER_VOTE + m * _NS_PER_CELL,
    }
    return min(cost, key=lambda name: cost[name])


def _bincount_cost(m: int, r: int, cardinality: int) -> float:
    size = joint_group_size(cardinality)
    n_tables = (-(-m // size)) ** 2 / 2
    entries = (cardinality + 1) ** (2 * size) * size**2
    return float(n_tables * (_NS_PER_CODE + entries * _NS_PER_ENTRY / r))


def _count_chunk_rows(chunk: Votes, n_rows: int, class_counts: Counts) -> RowCounts:
    """Count a chunk ``[m, r]`` per LF and example."""
    voted = chunk != ABSTAIN
    voted_bits = _pack(voted)
    # adding bytes is by far the fastest
    counter = np.uint8 if len(chunk) < 2**8 else np.uint16 if len(chunk) < 2**16 else np.uint32
    n_votes = voted.view(np.uint8).sum(axis=0, dtype=counter)
    overlapping = n_votes >= 2
    # seen as unsigned, an abstain is the largest number, so the minimum is the lowest vote
    unsigned = chunk.view(np.uint8 if chunk.itemsize == 1 else np.uint16)
    lowest = unsigned.min(axis=0, initial=-1 % 2 ** (8 * chunk.itemsize)).view(chunk.dtype)
    conflicting = chunk.max(axis=0, initial=ABSTAIN) != lowest
    return RowCounts(
        n_examples=n_rows,
        n_covered=int(np.count_nonzero(n_votes)),
        n_overlapping=int(np.count_nonzero(overlapping)),
        n_conflicting=int(np.count_nonzero(conflicting)),
        class_counts=class_counts,
        overlap_counts=_count_bits(voted_bits & _pack(overlapping)),
        conflict_counts=_count_bits(voted_bits & _pack(conflicting)),
    )


def _pack(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Pack the last axis, whose length is a multiple of 64, into bits."""
    return np.packbits(mask, axis=-1).view(np.uint64)


def _count_bits(words: npt.NDArray[np.uint64]) -> Counts:
    """Count the bits that are set along the last axis."""
    counts: Counts = np.bitwise_count(words).sum(axis=-1, dtype=np.int64)
    return counts


def _add_by_popcount(chunk: Votes, cardinality: int, pairs: Counts) -> None:
    """Add a chunk's pair counts to the upper triangle of ``pairs``, by bits."""
    from simsimd import hamming

    m, r = chunk.shape
    bits = np.empty((m, cardinality, r // 8), dtype=np.uint8)
    for label in range(cardinality):
        bits[:, label] = np.packbits(chunk == label, axis=-1)
    bits = bits.reshape(m * cardinality, -1)
    ones = _count_bits(bits.view(np.uint64))
    differing = np.zeros(pairs.shape)  # not by cdist, which sets the number of OpenMP threads of the process
    for row in range(len(bits)):
        differing[row, row:] = hamming(bits[row], bits[row:], "bin8")
    # |a and b| = (|a| + |b| - |a xor b|) / 2
    both = np.add.outer(ones, ones) - differing.astype(np.int64)
    pairs += np.triu(both // 2)


def _add_by_bincount(chunk: Votes, cardinality: int, pairs: Counts) -> None:
    """Add a chunk's pair counts to the upper triangle of ``pairs``, by joint codes of groups of LFs."""
    m, k = len(chunk), cardinality
    size = joint_group_size(k)
    groups = [range(first, min(first + size, m)) for first in range(0, m, size)]
    codes = [joint_codes(chunk[group.start : group.stop], k) for group in groups]
    n_codes = [(k + 1) ** len(group) for group in groups]
    for one, group in enumerate(groups):
        alone = np.bincount(codes[one], minlength=n_codes[one])
        _add_marginals(alone, group, group, k, pairs)
        leading = codes[one] * n_codes[0]
        for other in range(one + 1, len(groups)):
            table = np.bincount(leading + codes[other], minlength=n_codes[one] * n_codes[0])
            joint = table.reshape(-1, n_codes[0])[:, : n_codes[other]]
            _add_marginals(joint, group, groups[other], k, pairs)


def joint_group_size(cardinality: int) -> int:
    """Number of LFs whose joint votes, crossed with those of as many others, keep a small table."""
    return max(1, int(np.log(_TABLE_ENTRIES) / (2 * np.log(cardinality + 1))))


def joint_codes(votes: Votes, cardinality: int) -> npt.NDArray[np.intp]:
    """One number for all votes of a group ``[g, r]``: its votes + 1 as digits of base k+1, ``[r]``.

    The numbers have to stay below 2**15.
    """
    base = np.int16(cardinality + 1)
    codes = votes[0].astype(np.int16)
    for lf_votes in votes[1:]:
        codes *= base
        codes += lf_votes
    codes += np.int16(sum(int(base) ** place for place in range(len(votes))))
    numbers: npt.NDArray[np.intp] = codes.astype(np.intp)
    return numbers


def _add_marginals(table: Counts, group: range, others: range, cardinality: int, pairs: Counts) -> None:
    """Add the pairs of an LF of ``group`` and one of ``others`` that a table of joint votes holds.

    For a group and itself, ``table`` counts its joint votes alone.
    """
    k = cardinality
    lfs = [*group] if group == others else [*group, *others]
    table = table.reshape((k + 1,) * len(lfs))
    for one in group:
        for other in others:
            if other < one:
                continue
            kept = (lfs.index(one), lfs.index(other))
            marginal = table.sum(axis=tuple(axis for axis in range(len(lfs)) if axis not in kept))
            block = np.diag(marginal[1:]) if one == other else marginal[1:, 1:]
            pairs[one * k : (one + 1) * k, other * k : (other + 1) * k] += block


def _add_by_sparse_product(chunk: Votes, cardinality: int, pairs: Counts) -> None:
    """Add a chunk's pair counts to both triangles of ``pairs``, by a sparse product."""
    from scipy import sparse

    cells = np.flatnonzero(chunk != ABSTAIN)
    lfs, examples = np.divmod(cells, chunk.shape[1])
    codes = lfs * cardinality + chunk.ravel()[cells]
    one_hot = sparse.csr_array(
        (np.ones(len(codes), dtype=np.int32), (codes, examples)), shape=(len(pairs), chunk.shape[1])
    )
    pairs += (one_hot @ one_hot.T).toarray()


_METHODS = {"popcount": _add_by_popcount, "bincount": _add_by_bincount, "sparse": _add_by_sparse_product}
