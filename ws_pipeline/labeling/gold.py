"""Votes beside gold labels, counted.

Legend: n examples, m labeling functions (LFs), k classes.  The counts of shards add up exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ws_pipeline.analysis.labels import as_labels
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.counting import Counts
from ws_pipeline.labeling.label_matrix import ABSTAIN, Votes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def count_correct(votes: Votes, gold: ArrayLike) -> tuple[Counts, Counts]:
    """Count, per LF, the votes that agree and that disagree with gold labels.

    Parameters
    ----------
    votes
        ``[n, m]``.
    gold
        ``[n]`` or ``[n, 1]``, -1 = unknown; those examples are left out.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Right and wrong votes, ``[m]`` int64 each.
    """
    labels = _check_gold(gold, len(votes))
    known = labels != ABSTAIN
    judged = votes[known]
    n_correct = (judged == labels[known, None]).sum(axis=0)
    return n_correct, (judged != ABSTAIN).sum(axis=0) - n_correct


def count_joint(votes: Votes, gold: ArrayLike, cardinality: int) -> tuple[Counts, Counts]:
    """Count, per LF, each vote together with each gold label.

    Parameters
    ----------
    votes
        ``[n, m]``.
    gold
        ``[n]`` or ``[n, 1]``, -1 = unknown; those examples are left out.
    cardinality
        Number of classes k.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        ``[m, k+1, k]`` int64, vote l-1 (0 is abstain) with gold label y at ``[j, l, y]``; and ``[k]``,
        the gold labels.

    Raises
    ------
    LabelMatrixError
        A vote or gold label is not below k.
    """
    labels = _check_gold(gold, len(votes))
    highest = max(labels.max(initial=ABSTAIN), votes.max(initial=ABSTAIN))
    if highest >= cardinality:
        message = f"k={cardinality}, but there is a vote or a gold label {highest}; classes are 0..k-1"
        raise LabelMatrixError(message)
    known = labels != ABSTAIN
    codes = labels[known] + cardinality  # with a vote of class 0; an abstain comes k before it
    joint = np.empty((votes.shape[1], (cardinality + 1) * cardinality), dtype=np.int64)
    for lf, column in enumerate(votes.T):
        lf_codes = column[known] * np.int64(cardinality) + codes
        joint[lf] = np.bincount(lf_codes, minlength=joint.shape[1])
    n_gold = np.bincount(labels[known], minlength=cardinality)
    return joint.reshape(-1, cardinality + 1, cardinality), n_gold


def _check_gold(gold: ArrayLike, n: int) -> npt.NDArray[np.int64]:
    labels = as_labels(gold, "gold labels")
    if len(labels) != n:
        message = f"there are {len(labels)} gold labels for {n} examples"
        raise LabelMatrixError(message)
    if labels.min(initial=ABSTAIN) < ABSTAIN:
        row = int(labels.argmin())
        message = f"gold labels must be classes from 0 on, or -1 (unknown), got {labels[row]} in row {row}"
        raise LabelMatrixError(message)
    return labels
