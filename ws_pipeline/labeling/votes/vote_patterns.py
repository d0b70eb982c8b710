"""Distinct vote patterns with counts: all that a label model which sees whole rows needs of the votes.

A pattern is the votes of all labeling functions on one example.  Where they are few, n examples have a few
hundred distinct patterns, and fitting costs nothing in n; in a crowd nearly every row is a pattern of its
own.  Counts are additive, as those of :class:`.VoteCounts` are, and patterns have an order that they alone
decide: the sum of shards is the same, bytes included, whatever the order of the shards.

Legend: n examples, m labeling functions (LFs), k classes, u distinct patterns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.errors import VoteCountsError
from ws_pipeline.labeling.votes.distinct_rows import (
    Words,
    distinct_sparse_rows,
    distinct_words,
    merge_sparse_rows,
    merge_words,
    n_words,
    votes_of,
    words_of,
)
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.row_counts import Counts
from ws_pipeline.labeling.votes.vote_checks import (
    ABSTAIN,
    check_cardinality,
    check_names,
    check_same_cardinality,
    check_same_lfs,
    votes_dtype,
)
from ws_pipeline.labeling.votes.vote_forms import read_votes
from ws_pipeline.labeling.votes.vote_storage import (
    DENSE_LFS,
    KeptVotes,
    arrays_of,
    of_lists,
    stack_rows,
    to_lists,
)

_METADATA_KEY = b"ws_pipeline.vote_patterns"
_COUNT = "count"
_CODES = "votes"


@dataclass(frozen=True, eq=False)
class VotePatterns:
    """Distinct vote patterns, and on how many examples each occurs.

    Parameters
    ----------
    cardinality
        Number of classes k.
    lf_names
        Names of the m labeling functions.
    votes
        ``[u, m]`` in {-1, 0, .., k-1}, no two rows the same, in an order that the rows alone decide: a dense
        array up to 256 LFs; beyond, a sparse one in which what is not stored abstains.
    counts
        ``[u]`` int64, at least 1 each.

    Examples
    --------
    >>> patterns = VotePatterns.from_votes([[0, 1, -1], [1, 1, 0], [0, 1, -1]], cardinality=2)
    >>> patterns.counts
    array([2, 1])
    """

    cardinality: int
    lf_names: tuple[str, ...]
    votes: KeptVotes
    counts: Counts

    @classmethod
    def from_label_matrix(cls, matrix: LabelMatrix) -> VotePatterns:
        """Find the patterns of one label matrix."""
        return cls.from_votes(matrix, matrix.cardinality)

    @classmethod
    def from_votes(cls, votes: Any, cardinality: int, lf_names: Sequence[str] | None = None) -> VotePatterns:
        """Find the patterns of votes ``[n, m]`` that are validated on the way.

        Parameters
        ----------
        votes
            Values in {-1, 0, .., k-1}, in any form that :mod:`ws_pipeline.labeling.votes.vote_forms` reads.
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
        n_lfs = form.votes.shape[1]
        check_names(names, n_lfs)
        trusted = form.is_checked_for(cardinality)
        if n_lfs <= DENSE_LFS:
            return cls._of_words(cardinality, names, distinct_words(form.votes, cardinality, trusted=trusted))
        return cls(cardinality, names, *distinct_sparse_rows(form.votes, cardinality, trusted=trusted))

    @classmethod
    def total(cls, shards: Mapping[str, VotePatterns]) -> VotePatterns:
        """Add the patterns of named shards; an error names the shard that does not belong.

        Raises
        ------
        VoteCountsError
            No shard is given.
        LabelMatrixError
            The LFs or classes of a shard differ from the first one's.
        """
        if not shards:
            message = "no vote patterns to add: ingest at least one shard first"
            raise VoteCountsError(message)
        (first_name, first), *_ = shards.items()
        for name, shard in shards.items():
            check_same_lfs(first_name, first.lf_names, name, shard.lf_names)
            check_same_cardinality(first_name, first.cardinality, name, shard.cardinality)
        counts = np.concatenate([shard.counts for shard in shards.values()])
        if first.is_dense:
            words = np.concatenate([shard.words for shard in shards.values()])
            return cls._of_words(first.cardinality, first.lf_names, merge_words(words, counts))
        rows = stack_rows([shard.votes for shard in shards.values()])
        merged = merge_sparse_rows(rows, counts, first.cardinality)
        return cls(first.cardinality, first.lf_names, *merged)

    def __add__(self, other: VotePatterns) -> VotePatterns:
        return VotePatterns.total({"left": self, "right": other})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VotePatterns):
            return NotImplemented
        return (
            (self.cardinality, self.lf_names) == (other.cardinality, other.lf_names)
            and np.array_equal(self.counts, other.counts)
            and all(np.array_equal(*pair) for pair in zip(self._arrays(), other._arrays(), strict=True))
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_lfs(self) -> int:
        """Number of labeling functions m."""
        return len(self.lf_names)

    @property
    def n_patterns(self) -> int:
        """Number of distinct patterns u, the one without any vote included."""
        return len(self.counts)

    @property
    def n_examples(self) -> int:
        """Number of examples n, those without votes included."""
        return int(self.counts.sum())

    @cached_property
    def n_votes(self) -> Counts:
        """``[u]``: number of votes of each pattern."""
        if isinstance(self.votes, np.ndarray):
            return np.asarray((self.votes >= 0).sum(axis=1))
        return np.asarray(np.diff(self.votes.indptr).astype(np.int64))

    @cached_property
    def class_counts(self) -> Counts:
        """``[m, k]``: how often each LF votes each class."""
        k = self.cardinality
        if isinstance(self.votes, np.ndarray):
            columns = (votes.astype(np.int64) + 1 for votes in self.votes.T)
            tables = [np.bincount(column, weights=self.counts, minlength=k + 1) for column in columns]
            counted = np.stack(tables)[:, 1:]
        else:
            codes = self.votes.indices.astype(np.int64) * k + self.votes.data
            weights = np.repeat(self.counts, self.n_votes)
            counted = np.bincount(codes, weights=weights, minlength=self.n_lfs * k).reshape(-1, k)
        return np.asarray(counted.astype(np.int64))

    @property
    def is_dense(self) -> bool:
        """Whether ``votes`` is a dense array."""
        return self.n_lfs <= DENSE_LFS

    @property
    def words(self) -> Words:
        """``[u, w]``: the dense patterns as integers, see :mod:`.distinct_rows`."""
        return words_of(np.ascontiguousarray(self.votes.T), self.cardinality)

    def merged(self, groups: npt.NDArray[np.intp], cardinality: int) -> VotePatterns:
        """Patterns of groups of votes: each vote v counts as ``groups[v]``, one of so many."""
        if isinstance(self.votes, np.ndarray):
            of_votes = np.append(groups, ABSTAIN).astype(votes_dtype(cardinality))
            votes: Any = of_votes[self.votes]  # -1 is the last one
            words = words_of(np.ascontiguousarray(votes.T), cardinality)
            return self._of_words(cardinality, self.lf_names, merge_words(words, self.counts))
        rows = self.votes.copy()
        rows.data = groups[rows.data].astype(votes_dtype(cardinality))
        return VotePatterns(cardinality, self.lf_names, *merge_sparse_rows(rows, self.counts, cardinality))

    def covered(self) -> VotePatterns:
        """The patterns with at least one vote."""
        kept = self.n_votes > 0
        if kept.all():
            return self
        return VotePatterns(self.cardinality, self.lf_names, self.votes[kept], self.counts[kept])

    def to_table(self) -> pa.Table:
        """Encode as an Arrow table with one row per pattern.

        A dense pattern is in columns of unsigned integers, whose digits of base k+1 are the votes + 1; a
        sparse one is a list of LF * k + vote.
        """
        if isinstance(self.votes, np.ndarray):
            columns: dict[str, Any] = {
                f"word_{place}": word for place, word in enumerate(self.words.T.copy())
            }
        else:
            columns = {_CODES: to_lists(self.votes, self.cardinality)}
        header = {"cardinality": self.cardinality, "lf_names": self.lf_names}
        table = pa.table({**columns, _COUNT: self.counts})
        return table.replace_schema_metadata({_METADATA_KEY: json.dumps(header, ensure_ascii=False)})

    @classmethod
    def from_table(cls, table: pa.Table, *, where: str = "vote patterns") -> VotePatterns:
        """Decode the table of :meth:`to_table`.

        Raises
        ------
        VoteCountsError
            The table is another one's, or a row of it is no pattern.
        """
        stored = (table.schema.metadata or {}).get(_METADATA_KEY)
        if stored is None:
            message = f"{where}: not a table of vote patterns, got columns {table.column_names}"
            raise VoteCountsError(message)
        header = json.loads(stored)
        k, names = int(header["cardinality"]), tuple(header["lf_names"])
        counts = table.column(_COUNT).to_numpy()
        if len(names) <= DENSE_LFS:
            words = [table.column(f"word_{place}").to_numpy() for place in range(n_words(len(names), k))]
            return cls._of_words(k, names, (np.stack(words, axis=1), counts))
        votes = of_lists(table.column(_CODES), len(names), k, where=where, error=VoteCountsError)
        return cls(k, names, votes, counts)

    @classmethod
    def _of_words(
        cls, cardinality: int, lf_names: tuple[str, ...], found: tuple[Words, Counts]
    ) -> VotePatterns:
        words, counts = found
        return cls(cardinality, lf_names, votes_of(words, len(lf_names), cardinality), counts)

    def _arrays(self) -> list[npt.NDArray[Any]]:
        """Arrays that hold the votes."""
        return arrays_of(self.votes)
