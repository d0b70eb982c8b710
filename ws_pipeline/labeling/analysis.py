"""What each labeling function does, counted: votes, coverage, overlaps, conflicts, accuracy.

Everything but the accuracy comes from :class:`~ws_pipeline.labeling.vote_counts.VoteCounts`, so it
adds up over shards exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ws_pipeline.labeling.label_matrix import ABSTAIN

if TYPE_CHECKING:
    import numpy.typing as npt

    from ws_pipeline.labeling.label_matrix import LabelMatrix
    from ws_pipeline.labeling.vote_counts import VoteCounts


def lf_summary(
    counts: VoteCounts, *, matrix: LabelMatrix | None = None, gold: npt.NDArray[Any] | None = None
) -> pa.Table:
    """Summarise the labeling functions.

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
    """
    n_votes = counts.class_counts.sum(axis=1)
    polarity = [np.flatnonzero(row).tolist() for row in counts.class_counts]
    n = max(counts.n_examples, 1)
    columns = {
        "lf": pa.array(counts.lf_names),
        "polarity": pa.array(polarity, pa.list_(pa.int64())),
        "n_votes": pa.array(n_votes),
        "coverage": pa.array(n_votes / n),
        "overlaps": pa.array(counts.overlap_counts / n),
        "conflicts": pa.array(counts.conflict_counts / n),
    }
    if matrix is not None and gold is not None:
        n_correct, n_incorrect = count_correct(matrix, gold)
        judged = n_correct + n_incorrect
        accuracy = n_correct / np.maximum(judged, 1)
        columns |= {
            "n_correct": pa.array(n_correct),
            "n_incorrect": pa.array(n_incorrect),
            "accuracy": pa.array(accuracy, mask=judged == 0),
        }
    return pa.table(columns)


def count_correct(
    matrix: LabelMatrix, gold: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count, per LF, the votes that agree and that disagree with gold ``[n]``: two ``[m]`` arrays."""
    known = gold != ABSTAIN
    votes, labels = matrix.votes[known], gold[known]
    voted = votes != ABSTAIN
    correct = (votes == labels[:, None]).sum(axis=0)
    return correct, voted.sum(axis=0) - correct
