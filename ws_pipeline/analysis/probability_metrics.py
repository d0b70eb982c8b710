"""Metrics of predicted probabilities: ranking, log loss, Brier score, calibration.

scikit-learn computes all but the calibration error.  Column c of the probabilities always is class c:
scikit-learn alone would take the classes from the gold labels, and misread the columns where one of
them has none.

Legend: n = examples, k = classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ws_pipeline.analysis.label_metrics import require_several_classes, sklearn_metrics
from ws_pipeline.array_types import Labels
from ws_pipeline.errors import MetricError, UndefinedMetricError

Probs = NDArray[np.floating]
_SUM_TOLERANCE = 1e-5


def roc_auc(
    golds: Labels, probs: Probs, *, multi_class: str = "ovr", metric: str = "roc_auc", **kwargs: Any
) -> float:
    """Area under the ROC curve.

    With two columns the scores of class 1 count, which may be any numbers.  With more, every row
    must sum to 1; the area is the mean over classes against the rest ("ovr") or over pairs of
    classes ("ovo"), plain (``average="macro"``) or by size ("weighted").
    """
    n_classes = _require_classes(metric, golds, probs)
    require_several_classes(metric, golds)
    if n_classes == 2:
        return float(sklearn_metrics().roc_auc_score(golds, probs[:, 1], **kwargs))
    absent = np.setdiff1d(np.arange(n_classes), golds)
    if len(absent) and kwargs.get("average") != "micro":
        message = (
            f"metric '{metric}' over {n_classes} classes needs gold labels of each, "
            f"got none of {absent.tolist()}"
        )
        raise UndefinedMetricError(message)
    _require_distributions(metric, probs)
    settings = {"labels": np.arange(n_classes), "multi_class": multi_class, **kwargs}
    return float(sklearn_metrics().roc_auc_score(golds, probs.astype(np.float64), **settings))


def log_loss(golds: Labels, probs: Probs, **kwargs: Any) -> float:
    """Mean of -log(probability of the gold class); a probability of 0 counts as 2.2e-16."""
    rows = _distributions("log_loss", golds, probs)
    return float(sklearn_metrics().log_loss(golds, rows, **{"labels": np.arange(rows.shape[1]), **kwargs}))


def brier_score(golds: Labels, probs: Probs, **kwargs: Any) -> float:
    """Mean squared distance of the probabilities from one-hot gold labels, in 0..2; halved if k = 2."""
    rows = _distributions("brier_score", golds, probs)
    settings = {"labels": np.arange(rows.shape[1]), **kwargs}
    return float(sklearn_metrics().brier_score_loss(golds, rows, **settings))


def expected_calibration_error(golds: Labels, probs: Probs, *, n_bins: int = 15) -> float:
    """Mean distance between confidence and accuracy.

    The confidence of a row is its largest probability, its prediction the first class that has it.
    Bin m of M holds the rows with a confidence in ((m - 1) / M, m / M]; the error is the mean over
    rows of the distance between the mean confidence and the accuracy of their bin.

    Parameters
    ----------
    golds
        Gold labels ``[n]`` in 0..k-1.
    probs
        Probabilities ``[n, k]``, k >= 2; every row sums to 1.
    n_bins
        Number M of bins, at least 1.

    Returns
    -------
    float
        In 0..1.

    Raises
    ------
    MetricError
        Rows that are no probabilities, gold labels outside 0..k-1, or no bins.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017, equations 2, 3.
    """
    metric = "expected_calibration_error"
    if n_bins != int(n_bins) or n_bins < 1:
        message = f"metric '{metric}' needs n_bins as a whole number of at least 1, got {n_bins!r}"
        raise MetricError(message)
    _distributions(metric, golds, probs)
    confidence = probs.max(axis=1)
    # m / M in the type of probs: a confidence of 0.7 in single precision is on the border, not beside it.
    borders = (np.arange(1, n_bins) / n_bins).astype(confidence.dtype)
    bins = np.searchsorted(borders, confidence, side="left")
    right = probs.argmax(axis=1) == golds
    # |B_m| / n * |acc - conf| = |sum of (right - confidence) over B_m| / n
    gaps = np.bincount(bins, weights=right - confidence.astype(np.float64), minlength=n_bins)
    return float(np.abs(gaps).sum() / len(golds))


def _require_classes(metric: str, golds: Labels, probs: Probs) -> int:
    """Return k, after checking that there are at least two columns and that golds are in 0..k-1."""
    n_classes: int = probs.shape[1]
    if n_classes < 2:
        message = f"metric '{metric}' needs probs of two classes or more, got {n_classes} columns"
        raise MetricError(message)
    outside = np.setdiff1d(golds, np.arange(n_classes))
    if len(outside):
        message = (
            f"metric '{metric}' needs golds in 0..{n_classes - 1}, the columns of probs, "
            f"got {outside.tolist()}"
        )
        raise MetricError(message)
    return n_classes


def _require_distributions(metric: str, probs: Probs) -> NDArray[np.float64]:
    """Return the sums ``[n, 1]`` of the rows, after checking that each is 1 and nothing is negative."""
    sums: NDArray[np.float64] = probs.sum(axis=1, keepdims=True, dtype=np.float64)
    wrong = (np.abs(sums[:, 0] - 1) > _SUM_TOLERANCE) | (probs < 0).any(axis=1)
    rows = np.flatnonzero(wrong)
    if len(rows):
        row = rows[0]
        message = (
            f"metric '{metric}' needs probs that are at least 0 and sum to 1 in every row, got a sum of "
            f"{sums[row, 0]:.6g} and a smallest value of {probs[row].min():.6g} in row {row} "
            f"({len(rows)} rows in all); apply softmax to logits, or divide by the sum"
        )
        raise MetricError(message)
    return sums


def _distributions(metric: str, golds: Labels, probs: Probs) -> NDArray[np.float64]:
    """Check golds and probs, and take the rounding of single precision out of the sums of the rows."""
    _require_classes(metric, golds, probs)
    distributions: NDArray[np.float64] = probs.astype(np.float64) / _require_distributions(metric, probs)
    return distributions
