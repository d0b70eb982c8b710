"""Metrics by name, computed by scikit-learn, with errors that say what is missing.

Start reading at :func:`metric_score`; :data:`METRICS` lists the names.  Where a metric is not defined
because of the gold labels (one class only, none of class 1), that is an error.  Where only the
predictions are one-sided (class 1 never predicted), the value is scikit-learn's convention of 0.

Legend: n = examples, k = classes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ws_pipeline.errors import MetricError
from ws_pipeline.settings import nearest

Labels = NDArray[np.int64]
_BINARY = (0, 1)


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
        Gold labels `[n]` or `[n, 1]`, integers.
    preds
        Predictions `[n]` or `[n, 1]`, integers.
    probs
        Probabilities `[n, k]`.
    metric
        A name in :data:`METRICS`.
    filter_dict
        Per label set ("golds", "preds"): values whose rows are left out, for example
        ``{"golds": [-1], "preds": [-1]}``.
    **kwargs
        Handed to the scikit-learn function, for example ``beta`` of fbeta, ``average`` of
        precision, ``multi_class`` of roc_auc; ``abstain_label`` (default -1) to coverage.

    Returns
    -------
    float
        The metric's value.

    Raises
    ------
    MetricError
        The metric is unknown, an input it needs is missing or has the wrong shape, no row is left,
        or it is not defined for these gold labels.
    """
    if metric not in METRICS:
        message = f"unknown metric '{metric}', {nearest(metric, list(METRICS))}"
        raise MetricError(message)
    given = {"golds": golds, "preds": preds, "probs": probs}
    columns = {name: _to_array(metric, name, value) for name, value in given.items() if value is not None}
    inputs = METRICS[metric].inputs
    missing = [name for name in inputs if name not in columns]
    if missing:
        found = ", ".join(columns) or "nothing"
        message = f"metric '{metric}' needs {' and '.join(inputs)}, found {found}; pass {', '.join(missing)}"
        raise MetricError(message)
    rows = _kept_rows(metric, columns, filter_dict or {})
    return float(METRICS[metric].func(*(columns[name][rows] for name in inputs), **kwargs))


def _to_array(metric: str, name: str, value: ArrayLike) -> NDArray[Any]:
    """Check one input: labels become int64 `[n]`, probabilities stay floats `[n, k]`."""
    array = np.asarray(value)
    if name == "probs":
        if array.ndim != 2 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            found = f"{array.dtype} of shape {list(array.shape)}"
            message = f"metric '{metric}' needs probs as finite numbers [n, k], found {found}"
            raise MetricError(message)
        return array
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    whole = array.dtype.kind in "iub" or (array.dtype.kind == "f" and bool(np.all(array == np.round(array))))
    if array.ndim != 1 or not whole:
        found = f"{array.dtype} of shape {list(array.shape)}"
        message = f"metric '{metric}' needs {name} as integer labels [n], found {found}"
        raise MetricError(message)
    return array.astype(np.int64)


def _kept_rows(
    metric: str, columns: Mapping[str, NDArray[Any]], filter_dict: Mapping[str, Sequence[int]]
) -> NDArray[np.bool_]:
    lengths = {name: len(column) for name, column in columns.items()}
    n = next(iter(lengths.values()))
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        message = f"metric '{metric}' needs inputs of one length, found {found}"
        raise MetricError(message)
    unknown = set(filter_dict) - {"golds", "preds"}
    if unknown:
        message = f"filter_dict takes 'golds' and 'preds', found '{min(unknown)}'"
        raise MetricError(message)
    rows = np.ones(n, dtype=np.bool_)
    for name, values in filter_dict.items():
        if name in columns:
            rows &= ~np.isin(columns[name], list(values))
    if not rows.any():
        reason = f"all {n} rows are filtered out" if n else "there are no rows"
        message = f"metric '{metric}' needs at least one row, but {reason}"
        raise MetricError(message)
    return rows


def _sklearn_metrics() -> Any:
    """Import scikit-learn's metrics, which takes a second, at the first use."""
    return importlib.import_module("sklearn.metrics")


def _accuracy(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    return float(_sklearn_metrics().accuracy_score(golds, preds, **kwargs))


def _coverage(preds: Labels, *, abstain_label: int = -1) -> float:
    """Fraction of rows with a prediction."""
    return float(np.mean(preds != abstain_label))


def _precision(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    _require_two_classes("precision", golds, preds, kwargs)
    return float(_sklearn_metrics().precision_score(golds, preds, **{"zero_division": 0.0, **kwargs}))


def _recall(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    _require_two_classes("recall", golds, preds, kwargs)
    _require_positives("recall", golds, kwargs)
    return float(_sklearn_metrics().recall_score(golds, preds, **{"zero_division": 0.0, **kwargs}))


def _f1(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    _require_two_classes("f1", golds, preds, kwargs)
    _require_positives("f1", golds, kwargs)
    return float(_sklearn_metrics().f1_score(golds, preds, **{"zero_division": 0.0, **kwargs}))


def _f1_micro(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    return _f1(golds, preds, average="micro", **kwargs)


def _f1_macro(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    return _f1(golds, preds, average="macro", **kwargs)


def _fbeta(golds: Labels, preds: Labels, *, beta: float = 1.0, **kwargs: Any) -> float:
    _require_two_classes("fbeta", golds, preds, kwargs)
    _require_positives("fbeta", golds, kwargs)
    return float(_sklearn_metrics().fbeta_score(golds, preds, beta=beta, **{"zero_division": 0.0, **kwargs}))


def _matthews_corrcoef(golds: Labels, preds: Labels, **kwargs: Any) -> float:
    _require_several_classes("matthews_corrcoef", golds)
    return float(_sklearn_metrics().matthews_corrcoef(golds, preds, **kwargs))


def _roc_auc(golds: Labels, probs: NDArray[Any], **kwargs: Any) -> float:
    n_classes = probs.shape[1]
    outside = np.setdiff1d(golds, np.arange(n_classes))
    if len(outside):
        message = (
            f"metric 'roc_auc' needs golds in 0..{n_classes - 1}, the columns of probs, "
            f"found {outside.tolist()}"
        )
        raise MetricError(message)
    _require_several_classes("roc_auc", golds)
    if n_classes == len(_BINARY):
        return float(_sklearn_metrics().roc_auc_score(golds, probs[:, 1], **kwargs))
    if "multi_class" not in kwargs:
        message = (
            f"metric 'roc_auc' is for two classes, found probs with {n_classes} columns; "
            "pass multi_class='ovr' or 'ovo' to average over classes"
        )
        raise MetricError(message)
    absent = np.setdiff1d(np.arange(n_classes), golds)
    if len(absent):
        message = (
            f"metric 'roc_auc' over {n_classes} classes needs gold labels of each, "
            f"found none of {absent.tolist()}"
        )
        raise MetricError(message)
    return float(_sklearn_metrics().roc_auc_score(golds, probs, **kwargs))


def _require_two_classes(metric: str, golds: Labels, preds: Labels, kwargs: Mapping[str, Any]) -> None:
    """Refuse other labels than 0 and 1, unless the caller says how to average or what counts."""
    if kwargs.get("average", "binary") != "binary" or "pos_label" in kwargs:
        return
    classes = np.union1d(golds, preds)
    if not np.isin(classes, _BINARY).all():
        instead = "f1_micro or f1_macro" if metric == "f1" else "average='macro' or 'micro'"
        message = f"metric '{metric}' is for classes 0 and 1, found {classes.tolist()}; try {instead}"
        raise MetricError(message)


def _require_positives(metric: str, golds: Labels, kwargs: Mapping[str, Any]) -> None:
    """Refuse 0/0: without gold labels of the positive class there is nothing to find."""
    if kwargs.get("average", "binary") != "binary" or "zero_division" in kwargs:
        return
    positive = kwargs.get("pos_label", 1)
    if not np.any(golds == positive):
        message = (
            f"metric '{metric}' needs gold labels of class {positive}, found only "
            f"{np.unique(golds).tolist()}; pass zero_division to give such data a value"
        )
        raise MetricError(message)


def _require_several_classes(metric: str, golds: Labels) -> None:
    classes = np.unique(golds)
    if len(classes) == 1:
        message = f"metric '{metric}' needs gold labels of two classes, found only {classes.tolist()}"
        raise MetricError(message)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_accuracy, ("golds", "preds")),
    "coverage": Metric(_coverage, ("preds",)),
    "precision": Metric(_precision, ("golds", "preds")),
    "recall": Metric(_recall, ("golds", "preds")),
    "f1": Metric(_f1, ("golds", "preds")),
    "f1_micro": Metric(_f1_micro, ("golds", "preds")),
    "f1_macro": Metric(_f1_macro, ("golds", "preds")),
    "fbeta": Metric(_fbeta, ("golds", "preds")),
    "matthews_corrcoef": Metric(_matthews_corrcoef, ("golds", "preds")),
    "roc_auc": Metric(_roc_auc, ("golds", "probs")),
}
"""The metrics by name."""
