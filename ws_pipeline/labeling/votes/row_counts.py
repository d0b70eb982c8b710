"""Counts per labeling function and per example; counts of shards add up exactly.

Legend: m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RowCounts:
    """Counts per labeling function and per example; counts of shards add up exactly.

    Parameters
    ----------
    n_examples, n_covered, n_overlapping, n_conflicting
        Number of examples: all, with at least one vote, with at least two votes, with at least two
        different votes.
    class_counts
        ``[m, k]`` int64: how often each LF votes each class.
    overlap_counts, conflict_counts
        ``[m]`` int64: number of examples on which the LF votes and another LF votes too, and votes
        something else.
    """

    n_examples: int
    n_covered: int
    n_overlapping: int
    n_conflicting: int
    class_counts: Counts
    overlap_counts: Counts
    conflict_counts: Counts

    def placed(self, places: npt.NDArray[np.int64], n_lfs: int) -> RowCounts:
        """The counts with LF i at ``places[i]`` among ``n_lfs``, the others of which never vote."""
        zeros = RowCounts.zeros(n_lfs, self.class_counts.shape[1])
        for name in ("class_counts", "overlap_counts", "conflict_counts"):
            getattr(zeros, name)[places] = getattr(self, name)
        same = ("n_examples", "n_covered", "n_overlapping", "n_conflicting")
        return replace(zeros, **{name: getattr(self, name) for name in same})

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RowCounts):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def zeros(cls, n_lfs: int, cardinality: int) -> RowCounts:
        """Counts of no examples."""
        class_counts = np.zeros((n_lfs, cardinality), dtype=np.int64)
        return cls(0, 0, 0, 0, class_counts, np.zeros(n_lfs, np.int64), np.zeros(n_lfs, np.int64))


def shares(counts: Counts, totals: Counts | int) -> Floats:
    """Return ``counts / totals``, 0 where the total is 0."""
    return np.asarray(counts / np.maximum(totals, 1))
