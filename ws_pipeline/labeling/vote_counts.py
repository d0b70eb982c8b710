"""Vote counts: everything about the votes that training needs, in exact integers.

Counts are additive: the counts of two shards are the sum of their counts.  So sharding, reading
out of core, several machines and incremental retraining are all the same thing, adding counts, and
fitting a label model costs nothing in n.

Legend: n examples, m labeling functions (LFs), k classes, d = m*k; row i*k + y of a pair count
matrix stands for "LF i votes class y".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.errors import VoteCountsError
from ws_pipeline.labeling.label_matrix import (
    ABSTAIN,
    LabelMatrix,
    Votes,
    check_same_cardinality,
    check_same_lfs,
)

Counts = npt.NDArray[np.int64]
_METADATA_KEY = b"ws_pipeline.vote_counts"
_CHUNK_BYTES = 32 * 2**20  # one-hot block of a row chunk
_MAX_CHUNK_ROWS = 2**20  # float32 counts stay exact up to 2**24


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
    pair_counts
        ``[d, d]`` int64, symmetric: number of examples on which LF i votes y and LF j votes z, at
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
    pair_counts: Counts
    overlap_counts: Counts
    conflict_counts: Counts

    @classmethod
    def from_label_matrix(cls, matrix: LabelMatrix) -> VoteCounts:
        """Count one label matrix, in one pass over chunks of rows."""
        k, m = matrix.cardinality, matrix.n_lfs
        pairs = np.zeros((m * k, m * k), dtype=np.int64)
        overlaps, conflicts = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
        totals = np.zeros(3, dtype=np.int64)
        for votes in _row_chunks(matrix.votes, n_columns=m * k):
            pairs += count_pairs(votes, k)
            voted = votes != ABSTAIN
            n_votes = voted.sum(axis=1)
            conflicting = _has_two_classes(votes, voted)
            overlaps += voted[n_votes >= 2].sum(axis=0)
            conflicts += voted[conflicting].sum(axis=0)
            totals += [int((n_votes >= 1).sum()), int((n_votes >= 2).sum()), int(conflicting.sum())]
        n_covered, n_overlapping, n_conflicting = map(int, totals)
        return cls(
            cardinality=k,
            lf_names=matrix.lf_names,
            n_examples=matrix.n_examples,
            n_covered=n_covered,
            n_overlapping=n_overlapping,
            n_conflicting=n_conflicting,
            pair_counts=pairs,
            overlap_counts=overlaps,
            conflict_counts=conflicts,
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
        return reduce(VoteCounts.__add__, shards.values())

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
            pair_counts=self.pair_counts + other.pair_counts,
            overlap_counts=self.overlap_counts + other.overlap_counts,
            conflict_counts=self.conflict_counts + other.conflict_counts,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoteCounts):
            return NotImplemented
        return self._scalars() == other._scalars() and all(
            np.array_equal(mine, theirs)
            for mine, theirs in (
                (self.pair_counts, other.pair_counts),
                (self.overlap_counts, other.overlap_counts),
                (self.conflict_counts, other.conflict_counts),
            )
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_lfs(self) -> int:
        """Number of labeling functions m."""
        return len(self.lf_names)

    @property
    def class_counts(self) -> Counts:
        """``[m, k]``: how often each LF votes each class."""
        return np.diagonal(self.pair_counts).reshape(self.n_lfs, self.cardinality)

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
        rows, columns = np.nonzero(np.triu(self.pair_counts))
        table = pa.table(
            {
                "row": pa.array(rows.astype(np.int32)),
                "column": pa.array(columns.astype(np.int32)),
                "count": pa.array(self.pair_counts[rows, columns]),
            }
        )
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
            The table is another one's.
        """
        stored = (table.schema.metadata or {}).get(_METADATA_KEY)
        if stored is None or table.column_names != ["row", "column", "count"]:
            message = f"{where}: not a table of vote counts, found columns {table.column_names}"
            raise VoteCountsError(message)
        header = json.loads(stored)
        d = len(header["lf_names"]) * header["cardinality"]
        pairs = np.zeros((d, d), dtype=np.int64)
        rows, columns = table.column("row").to_numpy(), table.column("column").to_numpy()
        pairs[rows, columns] = pairs[columns, rows] = table.column("count").to_numpy()
        return cls(
            **header
            | {
                "lf_names": tuple(header["lf_names"]),
                "pair_counts": pairs,
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


def count_pairs(votes: Votes, cardinality: int) -> Counts:
    """Count pairs of votes, ``[rows, m]`` -> ``[d, d]``.

    A product of one-hot float32 blocks: every partial sum is an integer below 2**24, so it is
    exact in any order of summation.
    """
    one_hot = (votes[:, :, None] == np.arange(cardinality, dtype=votes.dtype)).astype(np.float32)
    flat = one_hot.reshape(len(votes), -1)
    pairs: Counts = (flat.T @ flat).astype(np.int64)
    return pairs


def _row_chunks(votes: Votes, n_columns: int) -> Iterator[Votes]:
    """Blocks of rows whose one-hot form with ``n_columns`` columns stays small."""
    n_rows = int(np.clip(_CHUNK_BYTES // (4 * max(n_columns, 1)), 256, _MAX_CHUNK_ROWS))
    for start in range(0, len(votes), n_rows):
        yield votes[start : start + n_rows]


def _has_two_classes(votes: Votes, voted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """``[rows]`` mask of the examples on which two LFs vote differently."""
    highest = votes.max(axis=1, initial=ABSTAIN)
    lowest = np.where(voted, votes, np.iinfo(votes.dtype).max).min(axis=1, initial=np.iinfo(votes.dtype).max)
    different: npt.NDArray[np.bool_] = (highest != ABSTAIN) & (highest != lowest)
    return different
