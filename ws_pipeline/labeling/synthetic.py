"""Label matrices drawn from labeling functions whose accuracies are known.

Legend: n examples, m labeling functions (LFs), k classes.  Given the class, LFs vote independently:
the model that a label model assumes, so it has to recover the accuracies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats, Labels
from ws_pipeline.arrays import as_array
from ws_pipeline.errors import InvalidInputError
from ws_pipeline.labeling.models.class_balance import check_distribution
from ws_pipeline.labeling.votes.label_matrix import (
    ABSTAIN,
    LabelMatrix,
    Votes,
    check_cardinality,
    votes_dtype,
)

Seed = int | np.random.Generator


def synthetic_label_matrix(
    accuracies: npt.ArrayLike,
    coverages: npt.ArrayLike,
    cardinality: int = 2,
    n: int = 10_000,
    class_balance: npt.ArrayLike | None = None,
    *,
    seed: Seed = 0,
) -> tuple[LabelMatrix, Labels]:
    """Draw votes from accuracies and coverages.

    LF j votes on a share ``coverages[j]`` of the examples; its vote is right with probability
    ``accuracies[j]``, otherwise it is one of the other classes, each as likely.

    Parameters
    ----------
    accuracies
        ``[m]`` in [0, 1].
    coverages
        ``[m]`` in [0, 1], or one number for all LFs.
    cardinality
        Number of classes k.
    n
        Number of examples.
    class_balance
        ``[k]``, sums to 1.  Default: uniform.
    seed
        Of a generator of its own, or a generator to draw from.

    Returns
    -------
    (LabelMatrix, numpy.ndarray)
        Votes ``[n, m]`` and the true classes ``[n]`` int64.

    Raises
    ------
    InvalidInputError
        Accuracies or coverages with another shape or outside [0, 1], or a negative n.
    ClassBalanceError
        The class balance is no distribution over the classes.

    Examples
    --------
    >>> matrix, classes = synthetic_label_matrix([1.0, 0.0], 1.0, cardinality=2, n=3)
    >>> (matrix.votes == classes[:, None]).all(axis=0)
    array([ True, False])
    """
    check_cardinality(cardinality)
    right = _shares(accuracies, "accuracies")
    covered = np.broadcast_to(_shares(coverages, "coverages", m=len(right)), right.shape)
    rng = np.random.default_rng(seed)
    labels = _draw_classes(n, cardinality, class_balance, rng)
    votes = np.full((n, len(right)), ABSTAIN, dtype=votes_dtype(cardinality), order="F")
    for lf, (accuracy, coverage) in enumerate(zip(right, covered, strict=True)):
        draws = rng.random(n)
        is_right = draws < coverage * accuracy
        is_wrong = (draws < coverage) & ~is_right
        steps = rng.integers(1, cardinality, size=np.count_nonzero(is_wrong))
        votes[is_right, lf] = labels[is_right]
        votes[is_wrong, lf] = (labels[is_wrong] + steps) % cardinality
    return LabelMatrix(votes, cardinality), labels


def generate_simple_label_matrix(
    n: int, m: int, cardinality: int, abstain_multiplier: float = 1.0, *, seed: Seed = 0
) -> tuple[Floats, Labels, Votes]:
    """Draw conditional probability tables, classes and votes.

    The tables are uniform random numbers, with k - 1 added where vote and class agree, so that LFs are
    rather right than wrong.

    Parameters
    ----------
    n
        Number of examples.
    m
        Number of LFs.
    cardinality
        Number of classes k.
    abstain_multiplier
        Factor on the weight of an abstain, before each column is made to sum to 1.
    seed
        Of a generator of its own, or a generator to draw from.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray, numpy.ndarray)
        P ``[m, k+1, k]``: probability of vote l-1 (0 is abstain) given class y, at ``[j, l, y]``;
        true classes ``[n]``, uniform; votes ``[n, m]``.

    Raises
    ------
    InvalidInputError
        A negative n, m or multiplier.
    """
    check_cardinality(cardinality)
    if m < 0 or not 0 <= abstain_multiplier < np.inf:
        message = f"m and abstain_multiplier must be at least 0, got {m} and {abstain_multiplier}"
        raise InvalidInputError(message)
    rng = np.random.default_rng(seed)
    tables = rng.random((m, cardinality + 1, cardinality))
    tables[:, 1:, :] += (cardinality - 1) * np.eye(cardinality)
    tables[:, 0, :] *= abstain_multiplier
    tables /= tables.sum(axis=1, keepdims=True)
    labels = _draw_classes(n, cardinality, None, rng)
    return tables, labels, _draw_votes(tables, labels, rng)


def _draw_classes(n: int, cardinality: int, balance: Any, rng: np.random.Generator) -> Labels:
    if n < 0:
        message = f"n must be at least 0, got {n}"
        raise InvalidInputError(message)
    if balance is None:
        return rng.integers(cardinality, size=n)
    shares = check_distribution(balance, cardinality)
    return rng.choice(cardinality, size=n, p=shares / shares.sum())


def _draw_votes(tables: Floats, labels: Labels, rng: np.random.Generator) -> Votes:
    """Draw votes ``[n, m]`` from tables ``[m, k+1, k]``, by looking uniform numbers up in their sums."""
    m, _, k = tables.shape
    votes: Votes = np.empty((len(labels), m), dtype=votes_dtype(k), order="F")  # type: ignore[assignment]
    offsets = np.arange(k)
    for lf, table in enumerate(tables):
        # The k columns of sums one after the other, each shifted by its class, make one ascending table.
        # Single precision numbers stay below the last sum, and below the next class, when shifted too.
        ladder = (np.minimum(table.cumsum(axis=0), 1.0) + offsets).T.ravel()
        points = rng.random(len(labels), dtype=np.float32) + labels.astype(np.float64)
        votes[:, lf] = np.searchsorted(ladder, points, side="right") - labels * (k + 1) - 1
    return votes


def _shares(values: Any, name: str, m: int | None = None) -> Floats:
    """Check numbers in [0, 1] of shape ``[m]`` (any m, and no single number, where it is not given)."""
    given = as_array(values, name)
    if given.dtype.kind not in "iuf":
        message = f"{name} must be numbers from 0 to 1, got {values!r}"
        raise InvalidInputError(message)
    shares = given.astype(np.float64)
    fits = shares.ndim == 1 if m is None else shares.shape in {(), (m,)}
    if not fits:
        message = f"{name} must have shape [{'m' if m is None else m}], got {list(shares.shape)}"
        raise InvalidInputError(message)
    wrong = np.flatnonzero(~((shares >= 0) & (shares <= 1)))
    if len(wrong):
        message = f"{name} must be from 0 to 1, got {shares.ravel()[wrong[0]]} at position {wrong[0]}"
        raise InvalidInputError(message)
    return shares
