"""Vote counts: everything about the votes that training needs, in exact integers.

Counts are additive: the counts of two shards are the sum of their counts.  So sharding, reading
out of core, several machines and incremental retraining are all the same thing, adding counts, and
fitting a label model costs nothing in n.

Legend: n examples, m labeling functions (LFs), k classes, d = m*k; row i*k + y of a pair count
matrix stands for "LF i votes class y".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.errors import VoteCountsError
from ws_pipeline.labeling.counting import count_votes
from ws_pipeline.labeling.label_matrix import (
    LabelMatrix,
    check_cardinality,
    check_same_cardinality,
    check_same_lfs,
)
from ws_pipeline.labeling.pair_counts import PairCounts
from ws_pipeline.labeling.row_counts import Counts
from ws_pipeline.labeling.vote_checks import check_names
from ws_pipeline.labeling.vote_forms import read_votes

_METADATA_KEY = b"ws_pipeline.vote_counts"
_COLUMNS = ["row", "column", "count"]


@dataclass(frozen=True, eq=False)
class VoteCounts:
    """Exact counts of votes and of pairs of votes.

    Parameters
    ----------
    cardinality
        Number of classes k.
    lf_names
        Names of the m labeling functions.
    n_examples
        Number of examples n, those without votes included.
    n_covered, n_overlapping, n_conflicting
        Number of examples with at least one vote, at least two votes, at least two different votes.
    pairs
        ``[d, d]``, symmetric and sparse: number of examples on which LF i votes y and LF j votes z, at
        ``[i*k + y, j*k + z]``.  The diagonal holds how often each LF votes each class.
    overlap_counts, conflict_counts
        ``[m]`` int64: number of examples on which the LF votes and another LF votes too, and votes
        something else.
    """

    cardinality: int
    lf_names: tuple[str, ...]
    n_examples: int
    n_covered: int
    n_overlapping: int
    n_conflicting: int
    pairs: PairCounts
    overlap_counts: Counts
    conflict_counts: Counts

    @classmethod
    def from_label_matrix(cls, matrix: LabelMatrix) -> VoteCounts:
        """Count one label matrix."""
        return cls.from_votes(matrix.votes, matrix.cardinality, matrix.lf_names)

    @classmethod
    def from_votes(cls, votes: Any, cardinality: int, lf_names: Sequence[str] | None = None) -> VoteCounts:
        """Count votes ``[n, m]`` that are validated on the way, without a copy of the whole.

        Parameters
        ----------
        votes
            Values in {-1, 0, .., k-1}; any integer dtype, or floats with integer values; or any other form
            that :mod:`ws_pipeline.labeling.vote_forms` reads.
        cardinality
            Number of classes k.
        lf_names
            m names.  Default: those of ``votes`` where it has any, else ``lf_0``, ``lf_1``, ...

        Raises
        ------
        LabelMatrixError
            Not two-dimensional, or a vote is out of range.
        """
        check_cardinality(cardinality)
        form = read_votes(votes, cardinality)
        names = form.lf_names if lf_names is None else tuple(lf_names)
        check_names(names, form.votes.shape[1])
        rows, pairs = count_votes(form.votes, cardinality)
        return cls(
            cardinality=cardinality,
            lf_names=names,
            n_examples=rows.n_examples,
            n_covered=rows.n_covered,
            n_overlapping=rows.n_overlapping,
            n_conflicting=rows.n_conflicting,
            pairs=pairs,
            overlap_counts=rows.overlap_counts,
            conflict_counts=rows.conflict_counts,
        )

    @classmethod
    def total(cls, shards: Mapping[str, VoteCounts]) -> VoteCounts:
        """Add the counts of named shards; an error names the shard that does not belong.

        Raises
        ------
        VoteCountsError
            No shard is given.
        LabelMatrixError
            The LFs or classes of a shard differ from the first one's.
        """
        if not shards:
            message = "no vote counts to add: ingest at least one shard first"
            raise VoteCountsError(message)
        (first_name, first), *_ = shards.items()
        for name, shard in shards.items():
            check_same_lfs(first_name, first.lf_names, name, shard.lf_names)
            check_same_cardinality(first_name, first.cardinality, name, shard.cardinality)
        parts = list(shards.values())
        while len(parts) > 1:  # neighbours first, so that large sums are copied few times
            parts = [reduce(VoteCounts.__add__, parts[i : i + 2]) for i in range(0, len(parts), 2)]
        return parts[0]

    def __add__(self, other: VoteCounts) -> VoteCounts:
        check_same_lfs("left", self.lf_names, "right", other.lf_names)
        check_same_cardinality("left", self.cardinality, "right", other.cardinality)
        return VoteCounts(
            cardinality=self.cardinality,
            lf_names=self.lf_names,
            n_examples=self.n_examples + other.n_examples,
            n_covered=self.n_covered + other.n_covered,
            n_overlapping=self.n_overlapping + other.n_overlapping,
            n_conflicting=self.n_conflicting + other.n_conflicting,
            pairs=self.pairs + other.pairs,
            overlap_counts=self.overlap_counts + other.overlap_counts,
            conflict_counts=self.conflict_counts + other.conflict_counts,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoteCounts):
            return NotImplemented
        return (
            self._scalars() == other._scalars()
            and self.pairs == other.pairs
            and np.array_equal(self.overlap_counts, other.overlap_counts)
            and np.array_equal(self.conflict_counts, other.conflict_counts)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_lfs(self) -> int:
        """Number of labeling functions m."""
        return len(self.lf_names)

    @property
    def pair_counts(self) -> Counts:
        """``[d, d]`` int64: the pairs as a dense matrix, made at each call.

        Raises
        ------
        TooLargeError
            It needs more memory than there is.
        """
        return self.pairs.to_dense()

    @property
    def class_counts(self) -> Counts:
        """``[m, k]``: how often each LF votes each class."""
        return self.pairs.diagonal().reshape(self.n_lfs, self.cardinality)

    @property
    def coverage(self) -> npt.NDArray[np.float64]:
        """``[m]``: share of all examples that each LF votes on, 0 where there are no examples."""
        return np.asarray(self.class_counts.sum(axis=1) / max(self.n_examples, 1))

    @property
    def silent_lfs(self) -> tuple[str, ...]:
        """Names of the LFs that never vote."""
        silent = self.class_counts.sum(axis=1) == 0
        return tuple(name for name, is_silent in zip(self.lf_names, silent, strict=True) if is_silent)

    def to_table(self) -> pa.Table:
        """Encode as an Arrow table with one row per non-zero pair (row <= column)."""
        columns = self.pairs.upper.indices.astype(np.int32, copy=False)
        table = pa.table({"row": self.pairs.rows, "column": columns, "count": self.pairs.upper.data})
        header = self._scalars() | {
            "lf_names": list(self.lf_names),
            "overlap_counts": self.overlap_counts.tolist(),
            "conflict_counts": self.conflict_counts.tolist(),
        }
        return table.replace_schema_metadata({_METADATA_KEY: json.dumps(header, ensure_ascii=False)})

    @classmethod
    def from_table(cls, table: pa.Table, *, where: str = "vote counts") -> VoteCounts:
        """Decode the table of :meth:`to_table`.

        Raises
        ------
        VoteCountsError
            The table is another one's, or an entry of it is outside of the upper triangle.
        """
        stored = (table.schema.metadata or {}).get(_METADATA_KEY)
        if stored is None or table.column_names != _COLUMNS:
            message = f"{where}: not a table of vote counts, found columns {table.column_names}"
            raise VoteCountsError(message)
        header = json.loads(stored)
        d = len(header["lf_names"]) * header["cardinality"]
        rows, columns, pairs = (table.column(name).to_numpy() for name in _COLUMNS)
        _check_entries(rows, columns, d, where)
        return cls(
            **header
            | {
                "lf_names": tuple(header["lf_names"]),
                "pairs": PairCounts.from_entries(d, rows, columns, pairs),
                "overlap_counts": np.array(header["overlap_counts"], dtype=np.int64),
                "conflict_counts": np.array(header["conflict_counts"], dtype=np.int64),
            }
        )

    def _scalars(self) -> dict[str, Any]:
        return {
            "cardinality": self.cardinality,
            "lf_names": self.lf_names,
            "n_examples": self.n_examples,
            "n_covered": self.n_covered,
            "n_overlapping": self.n_overlapping,
            "n_conflicting": self.n_conflicting,
        }


def _check_entries(rows: npt.NDArray[Any], columns: npt.NDArray[Any], d: int, where: str) -> None:
    """Refuse entries that are not sorted, or not in the upper triangle of a matrix ``[d, d]``."""
    wrong = (rows < 0) | (columns < rows) | (columns >= d)
    wrong[1:] |= (rows[1:] < rows[:-1]) | ((rows[1:] == rows[:-1]) & (columns[1:] <= columns[:-1]))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        message = (
            f"{where}: entry {at} is at row {rows[at]} and column {columns[at]}, expected 0 <= row <= column "
            f"< {d}, sorted by both; the file is damaged: ingest the shard again"
        )
        raise VoteCountsError(message)
