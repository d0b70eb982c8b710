"""Progress of a training: the one place that counts its epochs, batches, steps and examples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Position:
    """Progress of a training.

    Parameters
    ----------
    epoch
        Number of the epoch, from 1.
    batch
        Number of batches of this epoch that are done.
    step
        Number of batches that are done since the start.
    points
        Number of examples that were trained on since the start.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    points: int = 0

    def advance(self, n_points: int) -> None:
        """Count one batch of ``n_points`` examples."""
        self.batch += 1
        self.step += 1
        self.points += n_points

    def start_next_epoch(self) -> None:
        """Count one epoch."""
        self.epoch += 1
        self.batch = 0
