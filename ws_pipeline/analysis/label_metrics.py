"""Metrics of predicted labels, by scikit-learn, with errors where the gold labels define no value.

Legend: n = examples, k = classes.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ws_pipeline.array_types import Labels
from ws_pipeline.errors import MetricError, UndefinedMetricError

AVERAGES = ("micro", "macro", "weighted")
_BINARY = (0, 1)


def sklearn_metrics() -> Any:
    """Import scikit-learn's metrics, which takes a second, at the first use."""
    return importlib.import_module("sklearn.metrics")


def accuracy(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    """Fraction of rows with the right prediction."""
    return float(sklearn_metrics().accuracy_score(golds, preds, **kwargs))


def balanced_accuracy(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    """Mean over the gold classes of the fraction of their rows with the right prediction."""
    if kwargs.get("adjusted"):
        require_several_classes("balanced_accuracy with adjusted", golds)
    with warnings.catch_warnings():
        # Classes without gold labels have no recall; that they are left out is the definition.
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        warnings.filterwarnings("ignore", "A single label was found")
        return float(sklearn_metrics().balanced_accuracy_score(golds, preds, **kwargs))


def coverage(preds: Labels, *, abstain_label: int = -1) -> float:
    """Fraction of rows with a prediction."""
    return float(np.mean(preds != abstain_label))


def matthews_corrcoef(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    """Correlation of golds and preds, for any number of classes."""
    require_several_classes("matthews_corrcoef", golds)
    return float(sklearn_metrics().matthews_corrcoef(golds, preds, **kwargs))


def _of_class_one(
    golds: Labels, preds: Labels, *, metric: str, needs_positives: bool = True, **kwargs: Any
) -> float:
    """Precision, recall or an F measure of class 1, or averaged over classes if ``average`` says so."""
    _require_two_classes(metric, golds, preds, kwargs)
    if needs_positives:
        _require_positives(metric, golds, kwargs)
    score = getattr(sklearn_metrics(), f"{metric}_score")
    return float(score(golds, preds, **{"zero_division": 0.0, **kwargs}))


def _fbeta(golds: Labels, preds: Labels, *, beta: float = 1.0, **kwargs: Any) -> float:
    return _of_class_one(golds, preds, metric="fbeta", beta=beta, **kwargs)


BINARY_METRICS: dict[str, Callable[..., float]] = {
    "precision": partial(_of_class_one, metric="precision", needs_positives=False),
    "recall": partial(_of_class_one, metric="recall"),
    "f1": partial(_of_class_one, metric="f1"),
    "fbeta": _fbeta,
}
"""The metrics of class 1 against class 0."""

AVERAGED_METRICS: dict[str, Callable[..., float]] = {
    f"{name}_{average}": partial(function, average=average)
    for name, function in BINARY_METRICS.items()
    for average in AVERAGES
}
"""The same for any number of classes: all rows together, or a mean over classes, plain or by size."""


def _require_two_classes(metric: str, golds: Labels, preds: Labels, kwargs: Mapping[str, Any]) -> None:
    """Refuse other labels than 0 and 1, unless the caller says how to average or what counts."""
    if counts_class_one(kwargs):
        classes = np.union1d(golds, preds)
        if not np.isin(classes, _BINARY).all():
            message = f"metric '{metric}' is for classes 0 and 1, got {classes.tolist()}; {instead(metric)}"
            raise MetricError(message)


def counts_class_one(kwargs: Mapping[str, Any]) -> bool:
    """Tell whether a metric of :data:`BINARY_METRICS` is asked for class 1 against class 0."""
    return kwargs.get("average", "binary") == "binary" and "pos_label" not in kwargs


def instead(metric: str) -> str:
    """Say which metrics to use for several classes, as the end of an error message."""
    *first, last = (f"{metric}_{average}" for average in AVERAGES)
    return f"try {', '.join(first)} or {last}"


def _require_positives(metric: str, golds: Labels, kwargs: Mapping[str, Any]) -> None:
    """Refuse 0/0: without gold labels of the positive class there is nothing to find."""
    if kwargs.get("average", "binary") != "binary" or "zero_division" in kwargs:
        return
    positive = kwargs.get("pos_label", 1)
    if not np.any(golds == positive):
        message = (
            f"metric '{metric}' needs gold labels of class {positive}, got only "
            f"{np.unique(golds).tolist()}; pass zero_division to give such data a value"
        )
        raise UndefinedMetricError(message)


def require_several_classes(metric: str, golds: Labels) -> None:
    """Refuse gold labels of one class only."""
    classes = np.unique(golds)
    if len(classes) == 1:
        message = f"metric '{metric}' needs gold labels of two classes, got only {classes.tolist()}"
        raise UndefinedMetricError(message)
