"""Stopping when a metric no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ws_pipeline.settings.metric_modes import parse_metric_mode


class EarlyStopping:
    """Counts evaluations without improvement.

    Parameters
    ----------
    metric
        "task/dataset/split/metric:mode"; None: never stop.
    patience
        Number of evaluations in a row without improvement after which to stop.

    Raises
    ------
    SettingsError
        ``metric`` has another form.
    """

    def __init__(self, metric: str | None, patience: int) -> None:
        self.metric = None if metric is None else parse_metric_mode("early_stopping_metric", metric)
        self.patience = patience
        self.best: float | None = None
        self.n_without_improvement = 0

    def should_stop(self, metrics: Mapping[str, float]) -> bool:
        """Take in one evaluation; a metric that is nan or missing is no improvement."""
        if self.metric is None:
            return False
        value = metrics.get(self.metric.name)
        if value is not None and self.metric.is_better(value, self.best):
            self.best, self.n_without_improvement = value, 0
        else:
            self.n_without_improvement += 1
        return self.n_without_improvement >= self.patience

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON values."""
        return {"best": self.best, "n_without_improvement": self.n_without_improvement}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.best, self.n_without_improvement = state["best"], state["n_without_improvement"]
