"""The plain vote: what every label model has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ws_pipeline.labeling.base import BaseLabeler, Floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ws_pipeline.labeling.label_matrix import LabelMatrix, Votes


class MajorityLabelVoter(BaseLabeler):
    """Each example gets the class that most LFs vote for.

    Examples
    --------
    >>> MajorityLabelVoter().predict_proba([[0, 0, -1], [-1, 0, 1]])
    array([[1. , 0. ],
           [0.5, 0.5]])
    """

    def predict_proba(self, L: LabelMatrix | ArrayLike) -> Floats:
        """Share 1 evenly among the classes with the most votes.

        Parameters
        ----------
        L
            ``[n, m]`` votes in {-1, 0, .., k-1}.

        Returns
        -------
        numpy.ndarray
            ``[n, k]``; uniform for examples without votes.
        """
        tallies = tally_votes(self._votes(L), self.cardinality)
        winners = tallies == tallies.max(axis=1, keepdims=True)
        return np.asarray(winners / winners.sum(axis=1, keepdims=True))


def tally_votes(votes: Votes, cardinality: int) -> npt.NDArray[np.int64]:
    """Count the votes for each class, ``[n, m]`` -> ``[n, k]``."""
    tallies = [(votes == label).sum(axis=1) for label in range(cardinality)]
    return np.stack(tallies, axis=1)
