"""What a training remembers: one record of numbers per epoch, and per evaluation within one."""

HistoryRecord = dict[str, float]
"""Losses and scores by "task/dataset/split/metric", and what :data:`POSITION` names."""

POSITION = ("epoch", "step", "lr")
"""Names of a record that say when it was made; all others were measured."""
