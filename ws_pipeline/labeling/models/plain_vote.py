"""The plain majority vote, as functions of arrays.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.labeling.votes.counting import lf_major_chunks
from ws_pipeline.labeling.votes.sparse_counting import sparse_parts
from ws_pipeline.labeling.votes.vote_checks import Votes
from ws_pipeline.labeling.votes.vote_details import VoteDetails
from ws_pipeline.labeling.votes.vote_storage import DENSE_LFS, to_dense

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ROWS = 2**16  # of a sparse array that are looked at at a time


def majority_probs(
    votes: Any, cardinality: int, *, trusted: bool = False, details: VoteDetails | None = None
) -> npt.NDArray[np.float64]:
    """Share 1 evenly among the classes with the most votes: ``[n, m]`` -> ``[n, k]``.

    Examples without votes get 1/k for every class.  The votes are validated, unless they are ``trusted`` to
    be in range.  A vote for a superclass, among the ``details``, is an equal part of a vote for each of its
    classes.
    """
    if details is not None and details.sets is not None:
        return _share_evenly(details.tally(to_dense(votes), cardinality))
    if not isinstance(votes, np.ndarray) and votes.shape[1] > DENSE_LFS:
        return _sparse_majority_probs(votes, cardinality, trusted=trusted)
    probs = np.empty((votes.shape[0], cardinality))
    start = 0
    for chunk, n_rows in lf_major_chunks(votes, cardinality, trusted=trusted):
        probs[start : start + n_rows] = _share_evenly(tally_votes(chunk, cardinality))[:n_rows]
        start += n_rows
    return probs


def _share_evenly(tallies: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Share 1 among the classes with the largest tally: ``[k, r]`` -> ``[r, k]``."""
    winners = tallies == tallies.max(axis=0)
    return np.asarray((winners / winners.sum(axis=0)).T)


def _sparse_majority_probs(votes: csr_array, cardinality: int, *, trusted: bool) -> npt.NDArray[np.float64]:
    parts = [np.empty((0, cardinality))]
    for rows in sparse_parts(votes, cardinality, max_rows=_ROWS, trusted=trusted):
        places = np.repeat(np.arange(rows.shape[0]) * cardinality, np.diff(rows.indptr)) + rows.data
        tallies = np.bincount(places, minlength=rows.shape[0] * cardinality).reshape(-1, cardinality)
        parts.append(_share_evenly(tallies.T))
    return np.concatenate(parts)


def tally_votes(votes: Votes, cardinality: int) -> npt.NDArray[np.int32]:
    """Count the votes for each class, LF-major ``[m, r]`` -> ``[k, r]``."""
    tallies = [(votes == label).sum(axis=0, dtype=np.int32) for label in range(cardinality)]
    return np.stack(tallies)
