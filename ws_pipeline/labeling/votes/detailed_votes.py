"""Puts what was read of votes together: classes, superclasses, which are numbered after these, and scores.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_checks import ABSTAIN, votes_dtype
from ws_pipeline.labeling.votes.vote_details import Scores, Superclass, VoteDetails
from ws_pipeline.labeling.votes.vote_storage import as_kept, columns_of, to_dense


def with_details(
    matrix: LabelMatrix, cardinality: int, superclasses: Sequence[Superclass], scores: Scores | None
) -> LabelMatrix:
    """Split votes for classes from those for superclasses, and add scores.

    Parameters
    ----------
    matrix
        Votes ``[n, m]`` in {-1, 0, .., k+t-1}, for k classes and t superclasses.
    cardinality
        Number of classes k.
    superclasses
        The t superclasses.
    scores
        ``[n, m]``: scores of the votes, NaN where there is none; those of abstains are dropped.  Default: no
        scores.
    """
    if scores is None and not superclasses:
        return matrix
    said = to_dense(matrix.votes)
    is_set = said >= cardinality
    votes = np.where(is_set, ABSTAIN, said).astype(votes_dtype(cardinality))
    sets = np.where(is_set, said - cardinality, ABSTAIN).astype(np.int16) if superclasses else None
    kept = None if scores is None else np.where(said == ABSTAIN, np.float32(np.nan), scores)
    details = VoteDetails(kept, sets, tuple(superclasses))
    return LabelMatrix.trusted(as_kept(votes), cardinality, matrix.example_ids, matrix.lf_names, details)


def said_by_lf(matrix: LabelMatrix) -> Iterator[npt.NDArray[Any]]:
    """Votes ``[n]`` of each LF, in {-1, 0, .., k+t-1}: superclasses are numbered after the classes."""
    sets = None if matrix.details is None else matrix.details.sets
    for lf, votes in enumerate(columns_of(matrix.votes)):
        if sets is None:
            yield votes
        else:
            yield np.where(sets[:, lf] == ABSTAIN, votes, matrix.cardinality + sets[:, lf])
