"""Metrics by name, computed by scikit-learn, with errors that say what is missing.

Start reading at :func:`metric_score`; :data:`METRICS` lists the names.  Where a metric is not defined
because of the gold labels (one class only, none of class 1), that is an error.  Where only the
predictions are one-sided (class 1 never predicted), the value is scikit-learn's convention of 0.

========================================  ==============================================================
accuracy, balanced_accuracy               fraction of right rows; its mean over the gold classes
coverage                                  fraction of rows with a prediction
precision, recall, f1, fbeta              of class 1, for two classes only; fbeta takes ``beta``
..., with _micro, _macro or _weighted     for any number of classes: all rows together, or the mean over
                                          the classes that occur, plain or by their number of gold labels
matthews_corrcoef                         for any number of classes
roc_auc, also called roc_auc_ovr          of class 1; of more classes, the mean of each against the rest
roc_auc_ovo                               ... the mean over pairs of classes
roc_auc_ovr_weighted, _ovo_weighted       ... weighted by the number of gold labels
log_loss, brier_score                     of any number of classes; lower is better
expected_calibration_error                of the top label, in ``n_bins`` (15) bins; lower is better
========================================  ==============================================================

Legend: n = examples, k = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ws_pipeline.analysis import label_metrics, probability_metrics
from ws_pipeline.analysis.label_metrics import AVERAGED_METRICS, BINARY_METRICS, counts_class_one, instead
from ws_pipeline.analysis.labels import as_labels
from ws_pipeline.analysis.probability_metrics import roc_auc
from ws_pipeline.arrays import as_array
from ws_pipeline.errors import InvalidInputError, MetricError, UndefinedMetricError
from ws_pipeline.settings.base import nearest


class Metric(NamedTuple):
    """A metric: the function that computes it, and which of golds, preds and probs it takes."""

    func: Callable[..., float]
    inputs: tuple[str, ...]


def metric_score(
    golds: ArrayLike | None = None,
    preds: ArrayLike | None = None,
    probs: ArrayLike | None = None,
    metric: str = "accuracy",
    filter_dict: Mapping[str, Sequence[int]] | None = None,
    **kwargs: Any,
) -> float:
    """Compute one metric.

    Parameters
    ----------
    golds
        Gold labels ``[n]`` or ``[n, 1]``, integers.
    preds
        Predictions ``[n]`` or ``[n, 1]``, integers.
    probs
        Probabilities ``[n, k]``; column c is class c, whichever classes the gold labels have.
    metric
        A name in :data:`METRICS`.
    filter_dict
        Per label set ("golds", "preds"): values whose rows are left out, for example
        ``{"golds": [-1], "preds": [-1]}``.  Nothing else that the metric does not need is looked at.
    **kwargs
        Handed to the scikit-learn function, for example ``beta`` of fbeta, ``labels`` of f1_macro,
        ``max_fpr`` of roc_auc; ``abstain_label`` (default -1) to coverage, ``n_bins`` to
        expected_calibration_error.

    Returns
    -------
    float
        The metric's value.

    Raises
    ------
    MetricError
        The metric is unknown, or an input it needs is missing or has the wrong shape.
    UndefinedMetricError
        No row is left, or the metric is not defined for these gold labels.
    """
    if metric not in METRICS:
        message = f"unknown metric '{metric}', {nearest(metric, list(METRICS))}"
        raise MetricError(message)
    passed = {"golds": golds, "preds": preds, "probs": probs}
    given = {name: value for name, value in passed.items() if value is not None}
    inputs = METRICS[metric].inputs
    missing = [name for name in inputs if name not in given]
    if missing:
        found = ", ".join(given) or "nothing"
        message = f"metric '{metric}' needs {' and '.join(inputs)}, got {found}; pass {', '.join(missing)}"
        raise MetricError(message)
    _require_binary(metric, probs, kwargs)
    used = {*inputs, *(filter_dict or {})}
    columns = {name: _to_array(metric, name, value) for name, value in given.items() if name in used}
    rows = _kept_rows(metric, columns, filter_dict or {})
    return float(METRICS[metric].func(*(columns[name][rows] for name in inputs), **kwargs))


def _to_array(metric: str, name: str, value: ArrayLike) -> NDArray[Any]:
    """Check one input: labels become int64 ``[n]``, probabilities floats ``[n, k]``."""
    if name != "probs":
        try:
            return as_labels(value, name)
        except InvalidInputError as error:
            message = f"metric '{metric}': {error}"
            raise MetricError(message) from None
    array = as_array(value, f"metric '{metric}': {name}", error=MetricError)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        message = (
            f"metric '{metric}' needs probs as finite numbers [n, k], "
            f"got {array.dtype} of shape {list(array.shape)}"
        )
        raise MetricError(message)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        message = (
            f"metric '{metric}' needs probs as finite numbers [n, k], "
            f"got NaN or infinity in row {bad[0]} ({len(bad)} rows in all)"
        )
        raise MetricError(message)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _require_binary(metric: str, probs: ArrayLike | None, kwargs: Mapping[str, Any]) -> None:
    """Refuse a metric of two classes where the probabilities show that there are more.

    The labels alone do not: those of a few rows may happen to be 0 and 1 only.
    """
    if metric in BINARY_METRICS and counts_class_one(kwargs) and probs is not None:
        shape = as_array(probs, f"metric '{metric}': probs", error=MetricError).shape
        if len(shape) == 2 and shape[1] > 2:
            message = (
                f"metric '{metric}' is for classes 0 and 1, got probs with {shape[1]} columns; "
                f"{instead(metric)}"
            )
            raise MetricError(message)


def _kept_rows(
    metric: str, columns: Mapping[str, NDArray[Any]], filter_dict: Mapping[str, Sequence[int]]
) -> NDArray[np.bool_]:
    lengths = {name: len(column) for name, column in columns.items()}
    n = next(iter(lengths.values()))
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        message = f"metric '{metric}' needs inputs of one length, got {found}"
        raise MetricError(message)
    unknown = set(filter_dict) - {"golds", "preds"}
    if unknown:
        message = f"filter_dict takes 'golds' and 'preds', got '{min(unknown)}'"
        raise MetricError(message)
    rows = np.ones(n, dtype=np.bool_)
    for name, values in filter_dict.items():
        if name in columns:
            rows &= ~np.isin(columns[name], list(values))
    if not rows.any():
        reason = f"all {n} rows are filtered out" if n else "there are no rows"
        message = f"metric '{metric}' needs at least one row, but {reason}"
        raise UndefinedMetricError(message)
    return rows


_LABELS = ("golds", "preds")
_PROBS = ("golds", "probs")

METRICS: dict[str, Metric] = {
    "accuracy": Metric(label_metrics.accuracy, _LABELS),
    "balanced_accuracy": Metric(label_metrics.balanced_accuracy, _LABELS),
    "coverage": Metric(label_metrics.coverage, ("preds",)),
    **{name: Metric(function, _LABELS) for name, function in BINARY_METRICS.items()},
    **{name: Metric(function, _LABELS) for name, function in AVERAGED_METRICS.items()},
    "matthews_corrcoef": Metric(label_metrics.matthews_corrcoef, _LABELS),
    "roc_auc": Metric(roc_auc, _PROBS),
    "roc_auc_ovr": Metric(partial(roc_auc, metric="roc_auc_ovr"), _PROBS),
    "roc_auc_ovo": Metric(partial(roc_auc, metric="roc_auc_ovo", multi_class="ovo"), _PROBS),
    "roc_auc_ovr_weighted": Metric(
        partial(roc_auc, metric="roc_auc_ovr_weighted", average="weighted"), _PROBS
    ),
    "roc_auc_ovo_weighted": Metric(
        partial(roc_auc, metric="roc_auc_ovo_weighted", multi_class="ovo", average="weighted"), _PROBS
    ),
    "log_loss": Metric(probability_metrics.log_loss, _PROBS),
    "brier_score": Metric(probability_metrics.brier_score, _PROBS),
    "expected_calibration_error": Metric(probability_metrics.expected_calibration_error, _PROBS),
}
"""The metrics by name."""
