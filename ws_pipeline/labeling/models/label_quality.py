"""Quality of probabilistic labels where gold labels are known, with bootstrap intervals.

Every metric is a function of sums over the examples, so that a resample is a weighting of the rows of one
matrix.

Legend: g examples with a gold label, k classes, B bins of confidence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ws_pipeline.array_types import Floats, Labels
from ws_pipeline.labeling.models.vote_comparison import hits_and_best

_N_BINS = 15
_N_RESAMPLES = 200
_INTERVAL = (2.5, 97.5)  # percentiles
_SMALLEST = float(np.finfo(np.float64).eps)  # probability that a logarithm is taken of


class Quality(NamedTuple):
    """Quality of probabilistic labels; NaN throughout where there is no gold label.

    Parameters
    ----------
    accuracy
        Share of right labels; a tie is right by the share of its classes that is right.
    macro_f1
        Mean over the classes of their F1; classes that neither gold nor labels name are left out.
    log_loss
        Mean of -log(probability of the gold class).
    ece
        Expected calibration error: mean distance between confidence and accuracy, over 15 bins.
    """

    accuracy: float
    macro_f1: float
    log_loss: float
    ece: float


class QualityReport(NamedTuple):
    """Quality, and the borders of its 95 % bootstrap intervals.

    Parameters
    ----------
    value, low, high
        Metrics on all examples, and the percentiles 2.5 and 97.5 over 200 resamples of the examples.
    """

    value: Quality
    low: Quality
    high: Quality


def measure_quality(probs: Floats, gold: Labels) -> QualityReport:
    """Measure probabilistic labels ``[g, k]`` against gold labels ``[g]`` in 0..k-1."""
    if not len(gold):
        nothing = Quality(*(float("nan"),) * 4)
        return QualityReport(nothing, nothing, nothing)
    parts = _parts(probs, gold)
    rng = np.random.default_rng(0)
    resampled = np.empty((_N_RESAMPLES, len(Quality._fields)))
    for row in resampled:
        weights = np.bincount(rng.integers(len(gold), size=len(gold)), minlength=len(gold))
        row[:] = _from_sums(weights @ parts, len(gold), probs.shape[1])
    low, high = np.percentile(resampled, _INTERVAL, axis=0)
    value = quality_of(probs, gold)
    return QualityReport(value, Quality(*low.tolist()), Quality(*high.tolist()))


def quality_of(probs: Floats, gold: Labels) -> Quality:
    """Measure as :func:`measure_quality` does, without intervals; at least one gold label."""
    return _from_sums(_parts(probs, gold).sum(axis=0), len(gold), probs.shape[1])


def _parts(probs: Floats, gold: Labels) -> Floats:
    """What each example adds to the sums, ``[g, 2 + 3k + B]``."""
    rows, k = np.arange(len(gold)), probs.shape[1]
    hits, best = hits_and_best(probs, gold)
    losses = -np.log(np.maximum(probs[rows, gold], _SMALLEST))
    is_gold = np.eye(k)[gold]
    confidence = probs.max(axis=1)
    bins = np.searchsorted(np.arange(1, _N_BINS) / _N_BINS, confidence, side="left")
    gaps = np.eye(_N_BINS)[bins] * (hits - confidence)[:, None]
    return np.column_stack([hits, losses, best * is_gold, best, is_gold, gaps])


def _from_sums(sums: Floats, n: int, k: int) -> Quality:
    hits, losses = sums[:2]
    both, named, gold = sums[2 : 2 + 3 * k].reshape(3, k)
    occurring = named + gold > 0
    f1 = 2 * both[occurring] / (named + gold)[occurring]
    gaps = sums[2 + 3 * k :]
    return Quality(float(hits / n), float(f1.mean()), float(losses / n), float(np.abs(gaps).sum() / n))
