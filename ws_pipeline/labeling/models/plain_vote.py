"""The plain majority vote, as functions of arrays.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.labeling.votes.counting import lf_major_chunks
from ws_pipeline.labeling.votes.vote_checks import Votes


def majority_probs(votes: Any, cardinality: int, *, trusted: bool = False) -> npt.NDArray[np.float64]:
    """Share 1 evenly among the classes with the most votes: ``[n, m]`` -> ``[n, k]``.

    Examples without votes get 1/k for every class.  The votes are validated, unless they are ``trusted`` to
    be in range.
    """
    probs = np.empty((votes.shape[0], cardinality))
    start = 0
    for chunk, n_rows in lf_major_chunks(votes, cardinality, trusted=trusted):
        tallies = tally_votes(chunk, cardinality)
        winners = tallies == tallies.max(axis=0)
        probs[start : start + n_rows] = (winners / winners.sum(axis=0)).T[:n_rows]
        start += n_rows
    return probs


def tally_votes(votes: Votes, cardinality: int) -> npt.NDArray[np.int32]:
    """Count the votes for each class, LF-major ``[m, r]`` -> ``[k, r]``."""
    tallies = [(votes == label).sum(axis=0, dtype=np.int32) for label in range(cardinality)]
    return np.stack(tallies)
