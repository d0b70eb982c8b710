"""Metrics to choose a model by: "task/dataset/split/metric:mode", where mode is max or min."""

from __future__ import annotations

import math
from typing import NamedTuple

from ws_pipeline.errors import SettingsError

_PARTS = ("task", "dataset", "split", "metric")


class MetricMode(NamedTuple):
    """A metric, and whether more or less of it is better."""

    name: str
    mode: str

    def is_better(self, value: float, best: float | None) -> bool:
        """Say whether ``value`` beats ``best``; nan beats nothing, and anything else beats None."""
        if math.isnan(value):
            return False
        if best is None:
            return True
        return value > best if self.mode == "max" else value < best


def parse_metric_mode(setting: str, text: str) -> MetricMode:
    """Read "task/dataset/split/metric:mode".

    Parameters
    ----------
    setting
        Name of the setting, for the error.
    text
        Its value.

    Raises
    ------
    SettingsError
        It has another form, or another mode than max and min.
    """
    name, colon, mode = text.rpartition(":")
    if not colon or len(name.split("/")) < len(_PARTS) or not all(name.split("/")):
        message = f"{setting} must be of the form '{'/'.join(_PARTS)}:mode', mode max or min, found '{text}'"
        raise SettingsError(message)
    if mode not in {"max", "min"}:
        message = f"{setting}: unrecognized mode '{mode}' for metric '{name}', must be 'max' or 'min'"
        raise SettingsError(message)
    return MetricMode(name, mode)
