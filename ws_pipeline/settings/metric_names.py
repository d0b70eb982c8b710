"""Names of measurements, such as "task/dataset/split/metric", and records of numbers by name.

The whole model has the task "model" and the dataset "all".  Start reading at :class:`MetricName`.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from ws_pipeline.errors import SettingsError

HistoryRecord = dict[str, float]
"""Losses and scores by :class:`MetricName` as text, and what :data:`POSITION` names."""

POSITION = ("epoch", "step", "lr")
"""Names of a record that say when it was made; all others were measured."""

LOSS = "loss"


class MetricName(NamedTuple):
    """Name of a measurement: of a task, on some data; written "task/dataset/split/metric".

    The name of a dataset may have slashes in it; the other parts have none.
    """

    task: str
    dataset: str
    split: str
    metric: str

    def __str__(self) -> str:
        return "/".join(self)

    @classmethod
    def parse(cls, text: str) -> MetricName | None:
        """Read what ``str`` wrote; None if the text has fewer parts, or an empty one."""
        parts = text.split("/")
        if len(parts) < len(cls._fields) or not all(parts):
            return None
        return cls(parts[0], "/".join(parts[1:-2]), *parts[-2:])

    @classmethod
    def of_model(cls, split: str, metric: str = LOSS) -> MetricName:
        """Name of a metric of the whole model, on all data of a split."""
        return cls("model", "all", split, metric)


def is_loss(name: str) -> bool:
    """Whether a name in a record is that of a loss."""
    return name.rpartition("/")[2] == LOSS


class MetricMode(NamedTuple):
    """A metric to choose by, and whether more or less of it is better; written "<name>:max" or ":min"."""

    name: str
    mode: str

    @classmethod
    def parse(cls, text: str) -> MetricMode:
        """Read the text of a setting.

        Raises
        ------
        SettingsError
            It has another form, or another mode than max and min.
        """
        name, colon, mode = text.rpartition(":")
        if not colon or MetricName.parse(name) is None:
            form = "/".join(MetricName._fields)
            message = f"must be of the form '{form}:mode', mode max or min, got '{text}'"
            raise SettingsError(message)
        if mode not in {"max", "min"}:
            message = f"unrecognized mode '{mode}' for metric '{name}', must be 'max' or 'min'"
            raise SettingsError(message)
        return cls(name, mode)

    def __str__(self) -> str:
        return f"{self.name}:{self.mode}"

    def is_better(self, value: float, best: float | None) -> bool:
        """Say whether ``value`` beats ``best``; nan beats nothing, and anything else beats None."""
        if math.isnan(value):
            return False
        if best is None:
            return True
        return value > best if self.mode == "max" else value < best


def _check_form(text: str) -> str:
    MetricMode.parse(text)
    return text


MetricChoice = Annotated[str, AfterValidator(_check_form)]
"""Text of a setting that :meth:`MetricMode.parse` reads."""
