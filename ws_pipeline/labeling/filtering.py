"""Leave out the examples that no labeling function votes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.label_matrix import ABSTAIN, LabelMatrix
from ws_pipeline.labeling.lf_analysis import checked_votes

if TYPE_CHECKING:
    import pandas as pd


def filter_unlabeled_dataframe(
    X: pd.DataFrame, y: npt.ArrayLike, L: LabelMatrix | npt.ArrayLike
) -> tuple[pd.DataFrame, npt.NDArray[Any]]:
    """Keep the data points with at least one vote.

    Parameters
    ----------
    X
        n data points.
    y
        Probabilistic labels ``[n, k]``, or labels ``[n]``.
    L
        Votes ``[n, m]``, -1 = abstain.

    Returns
    -------
    (pandas.DataFrame, numpy.ndarray)
        The rows of ``X`` and of ``y`` whose data point has a vote, in order.

    Raises
    ------
    LabelMatrixError
        Another number of rows in ``X`` or ``y`` than in ``L``, or votes that are no integers from -1 on.
    """
    votes = L.votes if isinstance(L, LabelMatrix) else checked_votes(L)[0]
    labels = np.asarray(y)
    if not len(X) == len(labels) == len(votes):
        message = f"X has {len(X)} rows, y has {len(labels)} and L has {len(votes)}, expected the same number"
        raise LabelMatrixError(message)
    covered = (votes != ABSTAIN).any(axis=1)
    return X.iloc[covered], labels[covered]
