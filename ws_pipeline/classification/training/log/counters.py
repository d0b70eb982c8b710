"""Counting points, batches and epochs, and saying when to evaluate and when to write a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.end_model import LogManagerConfig

if TYPE_CHECKING:
    from ws_pipeline.classification.multitask_classifier import MultitaskClassifier
    from ws_pipeline.classification.training.checkpointer import Checkpointer
    from ws_pipeline.classification.training.log.log_writer import LogWriter

_ROUNDING = 1e-9  # batches / batches per epoch is rarely a whole multiple of the frequency in binary


class LogManager:
    """Counts what training has seen.

    Parameters
    ----------
    n_batches_per_epoch
        Number of batches in an epoch.
    log_writer
        Closed by :meth:`cleanup`.  Default: none.
    checkpointer
        Its ``checkpoint_factor`` decides when to write a checkpoint.  Default: none, never.
    **kwargs
        Fields of :class:`~ws_pipeline.settings.end_model.LogManagerConfig`.

    Attributes
    ----------
    point_count, batch_count, epoch_count, unit_count
        Examples, batches, epochs and counter_units since the last evaluation.
    point_total, batch_total, epoch_total, unit_total
        The same since the start of training.
    trigger_count
        Number of evaluations since the last checkpoint.

    Raises
    ------
    SettingsError
        A setting is unknown or out of range.
    """

    def __init__(
        self,
        n_batches_per_epoch: int,
        log_writer: LogWriter | None = None,
        checkpointer: Checkpointer | None = None,
        **kwargs: Any,
    ) -> None:
        self.config = parse_settings(LogManagerConfig, kwargs)
        self.n_batches_per_epoch = n_batches_per_epoch
        self.log_writer = log_writer
        self.checkpointer = checkpointer
        self.counter_unit = self.config.counter_unit
        self.evaluation_freq = self.config.evaluation_freq
        self.point_count = self.point_total = 0
        self.batch_count = self.batch_total = 0
        self.trigger_count = 0
        self._n_evaluations_due = 0

    @property
    def epoch_count(self) -> float:
        """Epochs since the last evaluation."""
        return self.batch_count / self.n_batches_per_epoch

    @property
    def epoch_total(self) -> float:
        """Epochs since the start."""
        return self.batch_total / self.n_batches_per_epoch

    @property
    def unit_count(self) -> float:
        """Counter units since the last evaluation."""
        return self._in_units(self.point_count, self.batch_count, self.epoch_count)

    @property
    def unit_total(self) -> float:
        """Counter units since the start."""
        return self._in_units(self.point_total, self.batch_total, self.epoch_total)

    def update(self, batch_size: int) -> None:
        """Count one batch of ``batch_size`` examples."""
        self.point_count += batch_size
        self.point_total += batch_size
        self.batch_count += 1
        self.batch_total += 1

    def trigger_evaluation(self) -> bool:
        """Say whether an evaluation is due, and if so, count it.

        One is due whenever the total passes a multiple of evaluation_freq, so that batches that do
        not end on one make no evaluation later than it has to be.
        """
        if not self.evaluation_freq:
            return False
        n_due = math.floor(self.unit_total / self.evaluation_freq + _ROUNDING)
        if n_due <= self._n_evaluations_due:
            return False
        self._n_evaluations_due = n_due
        self.trigger_count += 1
        self.reset()
        return True

    def trigger_checkpointing(self) -> bool:
        """Say whether a checkpoint is due, and if so, start counting evaluations anew."""
        if self.checkpointer is None or self.trigger_count < self.checkpointer.checkpoint_factor:
            return False
        self.trigger_count = 0
        return True

    def reset(self) -> None:
        """Start counting anew what came since the last evaluation."""
        self.point_count = self.batch_count = 0

    def cleanup(self, model: MultitaskClassifier) -> MultitaskClassifier:
        """Load the best model into ``model``, remove the checkpoint if so set, and close the log."""
        try:
            if self.checkpointer is not None:
                model = self.checkpointer.load_best_model(model)
                self.checkpointer.clear()
        finally:
            if self.log_writer is not None:
                self.log_writer.cleanup()
        return model

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        return {
            "point_count": self.point_count,
            "point_total": self.point_total,
            "batch_count": self.batch_count,
            "batch_total": self.batch_total,
            "trigger_count": self.trigger_count,
            "n_evaluations_due": self._n_evaluations_due,
        }

    def restore(self, state: Mapping[str, int]) -> None:
        """Take over what :meth:`state` gave."""
        self.point_count, self.point_total = state["point_count"], state["point_total"]
        self.batch_count, self.batch_total = state["batch_count"], state["batch_total"]
        self.trigger_count = state["trigger_count"]
        self._n_evaluations_due = state["n_evaluations_due"]

    def _in_units(self, points: int, batches: int, epochs: float) -> float:
        if self.counter_unit == "points":
            return points
        return batches if self.counter_unit == "batches" else epochs
