"""Leave out the examples that no labeling function votes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.arrays import as_array
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.lf_analysis import checked_votes
from ws_pipeline.labeling.votes.vote_forms import VoteForm, covered_rows

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
        Votes ``[n, m]`` of any form, -1 = abstain; if X and L have example ids, these must be the same.

    Returns
    -------
    (pandas.DataFrame, numpy.ndarray)
        The rows of ``X`` and of ``y`` whose data point has a vote, in order.

    Raises
    ------
    LabelMatrixError
        Another number of rows in ``X`` or ``y`` than in ``L``, other example ids, or votes that are no
        integers from -1 on.
    """
    form, _ = checked_votes(L)
    labels = as_array(y, "y", error=LabelMatrixError)
    n = form.votes.shape[0]
    if not len(X) == len(labels) == n:
        message = f"X has {len(X)} rows, y has {len(labels)} and L has {n}, expected the same number"
        raise LabelMatrixError(message)
    _check_order(X, form)
    covered = covered_rows(form)
    return X.iloc[covered], labels[covered]


def _check_order(X: pd.DataFrame, form: VoteForm) -> None:
    """Refuse votes on other examples than the data points, or on the same in another order."""
    points = X[ID_COLUMN] if ID_COLUMN in X.columns else X.index if X.index.name == ID_COLUMN else None
    if points is None or form.example_ids is None:
        if form.partial:
            message = (
                "L has one row per vote, so X needs a column or an index 'example_id' that says which data "
                "point is whose; or pass a label matrix with the rows of X"
            )
            raise LabelMatrixError(message)
        return
    different = np.flatnonzero(np.asarray(points) != form.example_ids)
    if len(different):
        row = different[0]
        message = (
            f"X and L are of different examples, or in another order: in row {row} X has example "
            f"{points.tolist()[row]}, L has {form.example_ids[row]}"
        )
        raise LabelMatrixError(message)
