"""Counts of pairs of votes, kept sparse: most pairs of a crowd's votes never occur.

Only the upper triangle is kept, 12 bytes per pair that occurs, so that the counts never take more than
three quarters of a dense ``[d, d]`` matrix of int64.  They are exact integers in one canonical order: the
same votes give the same counts, byte for byte, however they were counted, split into shards or added up.

Legend: m labeling functions (LFs), k classes, d = m*k; row i*k + y stands for "LF i votes class y".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.memory import require_memory

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Counts = npt.NDArray[np.int64]

#: Bytes of one stored pair: its count and its column.
ENTRY_BYTES = 12
_BLOCK = 512  # rows of a dense matrix that are looked at at a time


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Symmetric integer counts ``[d, d]``.

    Parameters
    ----------
    upper
        ``[d, d]`` int64: the entries of the upper triangle and the diagonal that are not zero, sorted.
    """

    upper: csr_array

    @classmethod
    def from_entries(
        cls, d: int, rows: npt.NDArray[Any], columns: npt.NDArray[Any], counts: Counts
    ) -> PairCounts:
        """Take entries with row <= column, sorted by row and column, each at most once."""
        from scipy.sparse import csr_array

        row_starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=d))])
        return cls(csr_array((counts, columns, row_starts), shape=(d, d)))

    @classmethod
    def from_dense(cls, pairs: Counts) -> PairCounts:
        """Take the upper triangle of a matrix ``[d, d]``; what is below is not looked at."""
        d = len(pairs)
        blocks: list[tuple[npt.NDArray[np.int32], ...]] = []
        counts: list[Counts] = []
        for first in range(0, d, _BLOCK):
            block = np.triu(pairs[first : first + _BLOCK, first:])
            rows, columns = np.nonzero(block)
            blocks.append(((rows + first).astype(np.int32), (columns + first).astype(np.int32)))
            counts.append(block[rows, columns])
        if not blocks:
            return cls.zeros(d)
        rows, columns = (np.concatenate(part) for part in zip(*blocks, strict=True))
        return cls.from_entries(d, rows, columns, np.concatenate(counts))

    @classmethod
    def zeros(cls, d: int) -> PairCounts:
        """Counts of no votes."""
        from scipy.sparse import csr_array

        return cls(csr_array((d, d), dtype=np.int64))

    @property
    def d(self) -> int:
        """Number of rows d."""
        return int(self.upper.shape[0])

    @property
    def n_entries(self) -> int:
        """Number of entries of the upper triangle and the diagonal that are not zero."""
        return int(self.upper.nnz)

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """Row of each entry, ``[n_entries]``, ascending; its column is ``upper.indices``."""
        return np.repeat(np.arange(self.d, dtype=np.int32), np.diff(self.upper.indptr))

    def diagonal(self) -> Counts:
        """Number of votes of each LF for each class, ``[d]``."""
        return np.asarray(self.upper.diagonal())

    def placed(self, places: npt.NDArray[np.int64], n_lfs: int, cardinality: int) -> PairCounts:
        """The counts with LF i at ``places[i]`` among ``n_lfs``, the others of which never vote."""
        codes = (places[:, None] * cardinality + np.arange(cardinality)).reshape(-1)
        one, other = codes[self.rows], codes[self.upper.indices]
        rows, columns = np.minimum(one, other), np.maximum(one, other)
        order = np.lexsort([columns, rows])
        d = n_lfs * cardinality
        rows, columns = rows[order].astype(np.int32), columns[order].astype(np.int32)
        return PairCounts.from_entries(d, rows, columns, self.upper.data[order])

    def take(self, kept: npt.NDArray[np.bool_]) -> PairCounts:
        """The rows and columns of a mask ``[d]``."""
        upper = self.upper[kept][:, kept]
        upper.sort_indices()
        return PairCounts(upper)

    def to_dense(self) -> Counts:
        """The whole matrix ``[d, d]``.

        Raises
        ------
        TooLargeError
            It needs more memory than there is.
        """
        require_memory(
            8 * self.d**2,
            f"the dense matrix of pair counts, {self.d:,} x {self.d:,} integers of 8 bytes,",
            f"use the {self.n_entries:,} entries of the sparse one, VoteCounts.pairs",
        )
        dense: Counts = self.upper.toarray()
        _mirror(dense)
        return dense

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(self.upper + other.upper)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PairCounts):
            return NotImplemented
        mine, theirs = self.upper, other.upper
        return bool(
            mine.shape == theirs.shape
            and np.array_equal(mine.indptr, theirs.indptr)
            and np.array_equal(mine.indices, theirs.indices)
            and np.array_equal(mine.data, theirs.data)
        )

    __hash__ = None  # type: ignore[assignment]


class PairSum:
    """Adds up many pair counts of about the same size in few passes over the sum.

    Neighbours of similar size are added first, as in a merge sort, so that every entry is copied
    only a logarithmic number of times.
    """

    def __init__(self, d: int) -> None:
        self._parts = [PairCounts.zeros(d)]

    @property
    def n_entries(self) -> int:
        """Number of entries that are held."""
        return sum(part.n_entries for part in self._parts)

    def add(self, part: PairCounts) -> None:
        """Add one part."""
        self._parts.append(part)
        while len(self._parts) > 1 and self._parts[-2].n_entries <= 2 * self._parts[-1].n_entries:
            self._merge()

    def total(self) -> PairCounts:
        """The sum of all parts."""
        while len(self._parts) > 1:
            self._merge()
        return self._parts[0]

    def _merge(self) -> None:
        last = self._parts.pop()
        self._parts[-1] += last


def _mirror(pairs: Counts, block: int = _BLOCK) -> None:
    """Copy the upper triangle onto the lower one, block by block, without a second matrix."""
    d = len(pairs)
    for start in range(0, d, block):
        stop = min(start + block, d)
        pairs[stop:, start:stop] = pairs[start:stop, stop:].T
        corner = pairs[start:stop, start:stop]
        lower = np.tril_indices(stop - start, -1)
        corner[lower] = corner.T[lower]
