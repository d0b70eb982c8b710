"""Calibration of probabilistic labels on gold labels: one exponent, kept only where it helps.

Raising probabilities to a power and scaling them to sum to 1 changes how sure they are and no label: it is
temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2), the
exponent being one over the temperature.

Legend: g examples with a gold label, k classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Floats, Labels
from ws_pipeline.labeling.models.label_quality import quality_of

MIN_GOLD = 200
"""Examples with a gold label from which an exponent is fitted."""

_EXPONENTS = (0.05, 20.0)
_SMALLEST = 1e-12  # probability that a logarithm is taken of


class Calibration(NamedTuple):
    """An exponent of probabilities, and what it does to examples that it was not fitted on.

    Parameters
    ----------
    exponent
        Power that probabilities are raised to; 1 if none lowers the log-loss.
    n_gold
        Number of examples with gold labels that it was fitted on.
    log_loss, ece
        Of the probabilities as they were.
    calibrated_log_loss, calibrated_ece
        The same after calibration, each example by an exponent that was fitted on others.
    """

    exponent: float
    n_gold: int
    log_loss: float
    ece: float
    calibrated_log_loss: float
    calibrated_ece: float


def calibrate(probs: Floats, gold: Labels, folds: Iterable[npt.NDArray[np.bool_]]) -> Calibration:
    """Fit an exponent by cross-fitting, and keep it only if it lowers the held-out log-loss.

    Parameters
    ----------
    probs
        ``[g, k]`` of examples that the model has not seen the gold labels of.
    gold
        ``[g]`` in 0..k-1.
    folds
        Masks ``[g]`` of disjoint parts that make up all examples.
    """
    held_out = np.empty_like(probs)
    for fold in folds:
        held_out[fold] = raise_to(probs[fold], best_exponent(probs[~fold], gold[~fold]))
    before, after = quality_of(probs, gold), quality_of(held_out, gold)
    helps = after.log_loss < before.log_loss
    return Calibration(
        best_exponent(probs, gold) if helps else 1.0,
        n_gold=len(gold),
        log_loss=before.log_loss,
        ece=before.ece,
        calibrated_log_loss=after.log_loss,
        calibrated_ece=after.ece,
    )


def best_exponent(probs: Floats, gold: Labels) -> float:
    """Find the exponent with the lowest log-loss; the log-loss is convex in it."""
    from scipy.optimize import minimize_scalar

    logs = np.log(np.maximum(probs, _SMALLEST))
    of_gold = logs[np.arange(len(gold)), gold]

    def loss(log_exponent: float) -> float:
        scores = np.exp(log_exponent) * logs
        top = scores.max(axis=1)
        totals = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
        return float((totals - np.exp(log_exponent) * of_gold).mean())

    found = minimize_scalar(loss, bounds=np.log(_EXPONENTS), method="bounded")
    return float(np.exp(found.x))


def raise_to(probs: Floats, exponent: float) -> Floats:
    """Probabilities ``[n, k]`` to a power, scaled to sum to 1; the largest stays the largest."""
    raised = (probs / probs.max(axis=1, keepdims=True)) ** exponent
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
