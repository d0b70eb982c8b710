"""Several metrics at once, over all rows or over slices of them.

Legend: n = examples, k = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ws_pipeline.analysis.metrics import METRICS, metric_score
from ws_pipeline.analysis.predictions import hard_labels
from ws_pipeline.arrays import as_array
from ws_pipeline.errors import MetricError, UndefinedMetricError
from ws_pipeline.settings.base import nearest

if TYPE_CHECKING:
    import pandas as pd

CustomMetric = Callable[..., float | Mapping[str, float]]
Slices = NDArray[Any] | Mapping[str, ArrayLike]
_OVERALL = "overall"


class Scorer:
    """Computes the metrics it was given.

    Parameters
    ----------
    metrics
        Names from :data:`~ws_pipeline.analysis.metrics.METRICS`.  Default: none.
    custom_metric_funcs
        Own metrics by name: functions of ``(golds, preds, probs)`` that return one number, or
        several by name.  They see all rows, abstains included, and labels as they are;
        :func:`~ws_pipeline.analysis.metric_score` and partial forms of it see classes.
    abstain_label
        Rows whose gold label or prediction has this value are left out of every named metric but
        coverage, which counts such predictions.  None: no row is left out.

    Attributes
    ----------
    metrics
        The functions of golds, preds and probs by metric name.

    Raises
    ------
    MetricError
        A metric is unknown, or a custom one has a standard metric's name.

    Examples
    --------
    A metric with another setting is a custom one:

    >>> from functools import partial
    >>> from ws_pipeline.analysis import metric_score
    >>> f2 = partial(metric_score, metric="fbeta", beta=2, filter_dict={"golds": [-1], "preds": [-1]})
    >>> scorer = Scorer(metrics=["accuracy", "coverage"], custom_metric_funcs={"f2": f2})
    >>> scorer.score([0, 1, 1, -1], [0, 1, -1, 1])
    {'accuracy': 1.0, 'coverage': 0.75, 'f2': 1.0}
    """

    def __init__(
        self,
        metrics: Sequence[str] | None = None,
        custom_metric_funcs: Mapping[str, CustomMetric] | None = None,
        abstain_label: int | None = -1,
    ) -> None:
        self.abstain_label = abstain_label
        self.metrics: dict[str, CustomMetric] = {}
        for name in metrics or ():
            self.metrics[name] = self._named_metric(name)
        for name, function in (custom_metric_funcs or {}).items():
            if name in self.metrics:
                message = f"custom metric '{name}' has the name of a standard one; give it another name"
                raise MetricError(message)
            self.metrics[name] = function

    def _named_metric(self, name: str) -> CustomMetric:
        if name not in METRICS:
            message = f"unknown metric '{name}', {nearest(name, list(METRICS))}"
            raise MetricError(message)
        if self.abstain_label is None:
            return partial(metric_score, metric=name)
        if name == "coverage":
            return partial(metric_score, metric=name, abstain_label=self.abstain_label)
        abstains = [self.abstain_label]
        return partial(metric_score, metric=name, filter_dict={"golds": abstains, "preds": abstains})

    def score(
        self,
        golds: ArrayLike,
        preds: ArrayLike | None = None,
        probs: ArrayLike | None = None,
        *,
        undefined: Literal["raise", "nan"] = "raise",
    ) -> dict[str, float]:
        """Compute all metrics.

        Parameters
        ----------
        golds
            Gold labels ``[n]``, integers, or probabilities ``[n, k]``; of these, named metrics take the
            most probable class, and no class where there is no single one.
        preds
            Predictions ``[n]`` or ``[n, 1]``, integers; needed by most metrics.
        probs
            Probabilities ``[n, k]``; needed by roc_auc, log_loss and the other metrics of probabilities.
        undefined
            What a metric is that these gold labels give no value: an error, or nan.

        Returns
        -------
        dict
            Values by metric name, in the order of :attr:`metrics`.

        Raises
        ------
        MetricError
            There are no rows, a metric cannot be computed from what was passed, or an own one gives
            no number.
        """
        labels = as_array(golds, "golds", error=MetricError)
        if len(labels) == 0:
            message = "cannot score: there are no gold labels"
            raise MetricError(message)
        others = {"preds": preds, "probs": probs}
        columns = [labels, *(_given(values, name) for name, values in others.items())]
        scores: dict[str, float] = {}
        for name, function in self.metrics.items():
            try:
                found = _compute(name, function, columns)
            except UndefinedMetricError:
                if undefined == "raise":
                    raise
                found = {name: float("nan")}
            clash = scores.keys() & found.keys()
            if clash:
                message = f"two metrics are called '{min(clash)}'; rename what custom metric '{name}' returns"
                raise MetricError(message)
            scores.update(found)
        return scores

    @overload
    def score_slices(
        self,
        S: Slices,
        golds: ArrayLike,
        preds: ArrayLike | None,
        probs: ArrayLike | None,
        as_dataframe: Literal[False] = False,
    ) -> dict[str, dict[str, float]]: ...

    @overload
    def score_slices(
        self,
        S: Slices,
        golds: ArrayLike,
        preds: ArrayLike | None,
        probs: ArrayLike | None,
        as_dataframe: Literal[True],
    ) -> pd.DataFrame: ...

    def score_slices(
        self,
        S: Slices,
        golds: ArrayLike,
        preds: ArrayLike | None,
        probs: ArrayLike | None,
        as_dataframe: bool = False,
    ) -> dict[str, dict[str, float]] | pd.DataFrame:
        """Compute all metrics over all rows and over each slice.

        Parameters
        ----------
        S
            Which rows are in which slice: a record array ``[n]`` with one 0/1 field per slice, or
            a mapping from slice name to a 0/1 column ``[n]``.
        golds
            Gold labels ``[n]``, integers.
        preds
            Predictions ``[n]``, integers.
        probs
            Probabilities ``[n, k]``.
        as_dataframe
            Return a table with one row per slice and one column per metric.

        Returns
        -------
        dict or DataFrame
            Values by slice name and metric name; the first slice, "overall", is all rows.  A metric
            that a slice does not define (it is empty, or has one class only) is NaN there.

        Raises
        ------
        MetricError
            A slice has another length than ``golds`` or is called "overall", or a metric cannot be
            computed over all rows.
        """
        scores = {_OVERALL: self.score(golds, preds, probs)}
        given = {"golds": golds, "preds": preds, "probs": probs}
        columns = [_given(values, name) for name, values in given.items()]
        for name, rows in _slice_rows(S, n=len(as_array(golds, "golds", error=MetricError))):
            part = [None if values is None else values[rows] for values in columns]
            scores[name] = {metric: float("nan") for metric in scores[_OVERALL]}
            for metric, function in self.metrics.items():
                scores[name].update(_score_if_defined(metric, function, part) if rows.any() else {})
        if not as_dataframe:
            return scores
        import pandas as pd

        return pd.DataFrame.from_dict(scores, orient="index")


def _given(values: ArrayLike | None, name: str) -> NDArray[Any] | None:
    return None if values is None else as_array(values, name, error=MetricError)


def _score_if_defined(metric: str, function: CustomMetric, columns: list[Any]) -> Mapping[str, float]:
    try:
        return _compute(metric, function, columns)
    except MetricError:  # the same call worked over all rows: it is the slice that lacks a class
        return {}


def _compute(metric: str, function: CustomMetric, columns: list[Any]) -> dict[str, float]:
    """Values of a metric for golds, preds and probs, by name."""
    golds, *others = columns
    if getattr(function, "func", None) is metric_score:
        golds = hard_labels(golds)
    value = function(golds, *others)
    named = value if isinstance(value, Mapping) else {metric: value}
    try:
        return {name: float(number) for name, number in named.items()}
    except (TypeError, ValueError) as wrong:
        message = f"custom metric '{metric}' must return a number, or numbers by name, got {value!r}"
        raise MetricError(message) from wrong


def _slice_rows(slices: Slices, *, n: int) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    names = slices.keys() if isinstance(slices, Mapping) else slices.dtype.names
    if names is None:
        message = "S must be a record array with one field per slice, or a mapping from slice name to column"
        raise MetricError(message)
    for name in names:
        column = as_array(slices[name], f"slice '{name}'", error=MetricError)
        if name == _OVERALL or column.shape != (n,):
            found = f"'{name}' of shape {list(column.shape)}"
            message = f"a slice must have {n} rows and another name than '{_OVERALL}', got {found}"
            raise MetricError(message)
        strange = np.flatnonzero(~np.isin(column, (0, 1)))
        if len(strange):
            found = f"{column[strange[0]]} in row {strange[0]} ({len(strange)} rows in all)"
            message = f"slice '{name}' must say 1 for rows that are in it and 0 for the others, got {found}"
            raise MetricError(message)
        yield str(name), column.astype(np.bool_)
