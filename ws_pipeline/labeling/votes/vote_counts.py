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
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.errors import LabelMatrixError, VoteCountsError
from ws_pipeline.labeling.votes.counting import count_votes
from ws_pipeline.labeling.votes.label_matrix import (
    LabelMatrix,
    check_cardinality,
    check_same_cardinality,
    check_same_lfs,
)
from ws_pipeline.labeling.votes.pair_counts import PairCounts
from ws_pipeline.labeling.votes.pattern_counting import count_patterns
from ws_pipeline.labeling.votes.row_counts import Counts, RowCounts
from ws_pipeline.labeling.votes.vote_checks import check_names
from ws_pipeline.labeling.votes.vote_forms import read_votes
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns

_METADATA_KEY = b"ws_pipeline.vote_counts"
_COLUMNS = ["row", "column", "count"]
_STORED = [field.name for field in fields(RowCounts) if field.name != "class_counts"]  # in pairs, too


@dataclass(frozen=True, eq=False)
class VoteCounts:
    """Exact counts of votes and of pairs of votes.

    Parameters
    ----------
    cardinality
        Number of classes k.
    lf_names
        Names of the m labeling functions.
    rows
        What is counted per example and per labeling function.
    pairs
        ``[d, d]``, symmetric and sparse: number of examples on which LF i votes y and LF j votes z, at
        ``[i*k + y, j*k + z]``.  The diagonal holds how often each LF votes each class.
    """

    cardinality: int
    lf_names: tuple[str, ...]
    rows: RowCounts
    pairs: PairCounts

    @classmethod
    def from_label_matrix(cls, matrix: LabelMatrix) -> VoteCounts:
        """Count one label matrix."""
        return cls.from_votes(matrix, matrix.cardinality)

    @classmethod
    def from_votes(cls, votes: Any, cardinality: int, lf_names: Sequence[str] | None = None) -> VoteCounts:
        """Count votes ``[n, m]`` that are validated on the way, without a copy of the whole.

        Parameters
        ----------
        votes
            Values in {-1, 0, .., k-1}; any integer dtype, or floats with integer values; or any other form
            that :mod:`ws_pipeline.labeling.votes.vote_forms` reads.
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
        counted = count_votes(form.votes, cardinality, trusted=form.is_checked_for(cardinality))
        return cls(cardinality, names, *counted)

    @classmethod
    def from_patterns(cls, patterns: VotePatterns) -> VoteCounts:
        """Count what is left of the votes in their distinct patterns; the same counts as of the votes."""
        return cls(patterns.cardinality, patterns.lf_names, *count_patterns(patterns))

    def with_lfs(self, lf_names: Sequence[str]) -> VoteCounts:
        """Return the counts with further LFs that never vote, in another order; all LFs have to be kept.

        Raises
        ------
        LabelMatrixError
            An LF that votes is not among ``lf_names``.
        """
        names = tuple(lf_names)
        place = {name: lf for lf, name in enumerate(names)}
        left_out = [name for name in self.lf_names if name not in place]
        if left_out:
            message = f"LF '{left_out[0]}' is not among {list(names)}, and counts cannot be taken back"
            raise LabelMatrixError(message)
        places = np.array([place[name] for name in self.lf_names], dtype=np.int64)
        return VoteCounts(
            self.cardinality,
            names,
            self.rows.placed(places, len(names)),
            self.pairs.placed(places, len(names), self.cardinality),
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
        return VoteCounts(self.cardinality, self.lf_names, self.rows + other.rows, self.pairs + other.pairs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoteCounts):
            return NotImplemented
        return (
            (self.cardinality, self.lf_names) == (other.cardinality, other.lf_names)
            and self.rows == other.rows
            and self.pairs == other.pairs
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_lfs(self) -> int:
        """Number of labeling functions m."""
        return len(self.lf_names)

    @property
    def n_examples(self) -> int:
        """Number of examples n, those without votes included."""
        return self.rows.n_examples

    @property
    def n_covered(self) -> int:
        """Number of examples with at least one vote."""
        return self.rows.n_covered

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
        return self.rows.class_counts

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
        stored = {name: getattr(self.rows, name) for name in _STORED}
        header = {"cardinality": self.cardinality, "lf_names": self.lf_names} | {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in stored.items()
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
            message = f"{where}: not a table of vote counts, got columns {table.column_names}"
            raise VoteCountsError(message)
        header = json.loads(stored)
        d = len(header["lf_names"]) * header["cardinality"]
        rows, columns, pairs = (table.column(name).to_numpy() for name in _COLUMNS)
        _check_entries(rows, columns, d, where)
        upper = PairCounts.from_entries(d, rows, columns, pairs)
        shape = (len(header["lf_names"]), header["cardinality"])
        counted = {name: _as_counted(header[name]) for name in _STORED}
        row_counts = RowCounts(**counted, class_counts=upper.diagonal().reshape(shape))
        return cls(header["cardinality"], tuple(header["lf_names"]), row_counts, upper)


def _as_counted(stored: Any) -> Any:
    """A number as it is, a list as an array of counts."""
    return np.array(stored, dtype=np.int64) if isinstance(stored, list) else stored


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
