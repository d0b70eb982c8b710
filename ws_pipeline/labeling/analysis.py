"""The summary of all labeling functions as an Arrow table; see :class:`.LFAnalysis` for what it says."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pyarrow as pa

from ws_pipeline.labeling.gold import count_correct, warn_of_gold_votes
from ws_pipeline.labeling.lf_analysis import LFAnalysis, shares
from ws_pipeline.labeling.row_counts import RowCounts

if TYPE_CHECKING:
    from ws_pipeline.labeling.label_matrix import LabelMatrix
    from ws_pipeline.labeling.vote_counts import VoteCounts


def lf_summary(
    counts: VoteCounts, *, matrix: LabelMatrix | None = None, gold: npt.NDArray[Any] | None = None
) -> pa.Table:
    """Summarise the labeling functions as an Arrow table.

    Parameters
    ----------
    counts
        Counts of n examples by m LFs.
    matrix, gold
        The votes and gold labels ``[n]`` (-1 = unknown) of the same or of other examples, for the
        accuracy columns.

    Returns
    -------
    pyarrow.Table
        One row per LF: lf, polarity (classes it votes), n_votes, coverage, overlaps, conflicts
        (shares of all examples) and, with gold, n_correct, n_incorrect, accuracy (null where the
        LF meets no gold label).

    Warns
    -----
    GoldVotesWarning
        An LF equals the gold labels.
    """
    row_counts = RowCounts(**{field.name: getattr(counts, field.name) for field in fields(RowCounts)})
    analysis = LFAnalysis.from_counts(row_counts, counts.lf_names)
    columns = {
        "lf": pa.array(counts.lf_names, pa.string()),
        "polarity": pa.array(analysis.lf_polarities(), pa.list_(pa.int64())),
        "n_votes": pa.array(row_counts.class_counts.sum(axis=1)),
        "coverage": pa.array(analysis.lf_coverages()),
        "overlaps": pa.array(analysis.lf_overlaps()),
        "conflicts": pa.array(analysis.lf_conflicts()),
    }
    if matrix is not None and gold is not None:
        n_correct, n_incorrect = count_correct(matrix.votes, gold)
        warn_of_gold_votes(matrix.lf_names, matrix.votes, gold, n_correct, n_incorrect)
        judged = n_correct + n_incorrect
        columns |= {
            "n_correct": pa.array(n_correct),
            "n_incorrect": pa.array(n_incorrect),
            "accuracy": pa.array(shares(n_correct, judged), mask=judged == 0),
        }
    return pa.table(columns)
