"""The progress bar of a training, with the losses behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tqdm import tqdm

from ws_pipeline.settings.metric_names import LOSS, MetricName


class Progress:
    """A bar of batches; without one, nothing is shown.

    Parameters
    ----------
    enabled
        Whether there is a bar.
    split
        The split whose losses are shown: the whole model's, then the tasks'.
    many_datasets
        Whether a loss is shown with the name of its dataset.
    """

    def __init__(self, *, enabled: bool, split: str, many_datasets: bool) -> None:
        self._enabled = enabled
        self._total = MetricName.of_model(split)
        self._many_datasets = many_datasets
        self._bar: Any = tqdm(disable=True)

    @contextlib.contextmanager
    def opened(self, n_steps: int, n_done: int) -> Iterator[None]:
        """Show the bar, of ``n_steps`` batches, of which ``n_done`` are done."""
        with tqdm(total=n_steps, initial=n_done, unit="batch", disable=not self._enabled) as self._bar:
            yield

    def advance(self) -> bool:
        """Count a batch; say whether the bar was drawn again, which it is a few times per second."""
        return bool(self._bar.update())

    def show(self, epoch: int, record: Mapping[str, float]) -> None:
        """Write the losses of a record behind the bar."""
        shown = {LOSS: record[str(self._total)]}
        for name, value in record.items():
            metric = MetricName.parse(name)
            if metric not in {None, self._total} and (metric.split, metric.metric) == (
                self._total.split,
                LOSS,
            ):
                shown[f"{metric.task}/{metric.dataset}" if self._many_datasets else metric.task] = value
        texts = {name: f"{value:.4f}" for name, value in shown.items()}
        self._bar.set_postfix({"epoch": epoch, **texts}, refresh=False)
