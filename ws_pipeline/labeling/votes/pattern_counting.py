"""Votes and pairs of votes counted from distinct vote patterns: each pattern counts as often as it occurs.

Legend: u patterns, m labeling functions (LFs), k classes, d = m*k.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ws_pipeline.array_types import Mask
from ws_pipeline.labeling.votes.pair_counts import PairCounts
from ws_pipeline.labeling.votes.row_counts import Counts, RowCounts
from ws_pipeline.labeling.votes.sparse_counting import one_hot_rows, sparse_parts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ws_pipeline.labeling.votes.vote_patterns import VotePatterns


def count_patterns(patterns: VotePatterns) -> tuple[RowCounts, PairCounts]:
    """Count votes and pairs of votes; the same integers as of the examples one by one."""
    m, k = patterns.n_lfs, patterns.cardinality
    rows, pairs = RowCounts.zeros(m, k), PairCounts.zeros(m * k)
    start = 0
    for part in sparse_parts(patterns.votes, k, trusted=True):
        counts = patterns.counts[start : start + part.shape[0]]
        start += part.shape[0]
        rows += _count_rows(part, counts, m, k)
        pairs += _count_pairs(part, counts, k)
    return rows, pairs


def _count_rows(part: csr_array, counts: Counts, m: int, k: int) -> RowCounts:
    """Count a part of the patterns, sparse ``[r, m]``, per LF and per example."""
    votes, lfs, n_votes = np.asarray(part.data), part.indices, np.diff(part.indptr)
    row_of = np.repeat(np.arange(len(n_votes)), n_votes)
    differs = votes != np.repeat(votes[part.indptr[:-1][n_votes > 0]], n_votes[n_votes > 0])
    conflicting = np.bincount(row_of[differs], minlength=len(n_votes)) > 0
    overlapping = n_votes > 1

    def of_lfs(kept: Mask) -> Counts:
        return np.bincount(lfs, weights=(counts * kept)[row_of], minlength=m).astype(np.int64)

    codes = lfs.astype(np.int64) * k + votes
    of_classes = np.bincount(codes, weights=counts[row_of], minlength=m * k)
    return RowCounts(
        n_examples=int(counts.sum()),
        n_covered=int(counts[n_votes > 0].sum()),
        n_overlapping=int(counts[overlapping].sum()),
        n_conflicting=int(counts[conflicting].sum()),
        class_counts=of_classes.reshape(m, k).astype(np.int64),
        overlap_counts=of_lfs(overlapping),
        conflict_counts=of_lfs(conflicting),
    )


def _count_pairs(part: csr_array, counts: Counts, k: int) -> PairCounts:
    """Count the pairs of votes of a part of the patterns, by a sparse product."""
    from scipy.sparse import csr_array, triu

    one_hot = one_hot_rows(part, k, np.int64)
    weighted = csr_array(
        (np.repeat(counts, np.diff(part.indptr)), one_hot.indices, one_hot.indptr), shape=one_hot.shape
    )
    upper = triu(weighted.T.tocsr() @ one_hot, format="coo")
    order = np.lexsort([upper.col, upper.row])
    return PairCounts.from_entries(
        one_hot.shape[1], upper.row[order], upper.col[order], upper.data[order].astype(np.int64)
    )
