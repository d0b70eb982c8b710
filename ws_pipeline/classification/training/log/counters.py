"""Counting points, batches and epochs, and saying when to evaluate and when to write a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ws_pipeline.classification.training.position import Position
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.trainer import LogManagerConfig

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
    config
        The settings.  Default: made of ``kwargs``.
    **kwargs
        Fields of :class:`~ws_pipeline.settings.trainer.LogManagerConfig`.

    Attributes
    ----------
    point_count, batch_count, epoch_count, unit_count
        Examples, batches, epochs and counter_units since the last evaluation.
    point_total, batch_total, epoch_total, unit_total
        The same since the start of training.
    position
        What all of these are computed from.
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
        *,
        config: LogManagerConfig | None = None,
        **kwargs: Any,
    ) -> None:
        self.config = config or parse_settings(LogManagerConfig, kwargs)
        self.n_batches_per_epoch = n_batches_per_epoch
        self.log_writer = log_writer
        self.checkpointer = checkpointer
        self.counter_unit = self.config.counter_unit
        self.evaluation_freq = self.config.evaluation_freq
        self.position = Position()
        self.trigger_count = 0
        self._evaluated_at = Position()
        self._n_evaluations_due = 0

    @property
    def point_total(self) -> int:
        """Examples since the start."""
        return self.position.points

    @property
    def point_count(self) -> int:
        """Examples since the last evaluation."""
        return self.position.points - self._evaluated_at.points

    @property
    def batch_total(self) -> int:
        """Batches since the start."""
        return self.position.step

    @property
    def batch_count(self) -> int:
        """Batches since the last evaluation."""
        return self.position.step - self._evaluated_at.step

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
        self.position.advance(batch_size)

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
        """Say whether a checkpoint is due, and if so, count evaluations from 0 again."""
        if self.checkpointer is None or self.trigger_count < self.checkpointer.checkpoint_factor:
            return False
        self.trigger_count = 0
        return True

    def reset(self) -> None:
        """Count from 0 again what comes after this evaluation."""
        self._evaluated_at = replace(self.position)

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

    def state(self) -> dict[str, Any]:
        """State for a checkpoint, as JSON values."""
        return {
            "position": asdict(self.position),
            "evaluated_at": asdict(self._evaluated_at),
            "trigger_count": self.trigger_count,
            "n_evaluations_due": self._n_evaluations_due,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        self.position = Position(**state["position"])
        self._evaluated_at = Position(**state["evaluated_at"])
        self.trigger_count = state["trigger_count"]
        self._n_evaluations_due = state["n_evaluations_due"]

    def _in_units(self, points: int, batches: int, epochs: float) -> float:
        if self.counter_unit == "points":
            return points
        return batches if self.counter_unit == "batches" else epochs
