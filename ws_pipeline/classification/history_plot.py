"""The history of a training as a picture: losses on the left, scores on the right, over the epochs."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ws_pipeline.settings.metric_names import LOSS, POSITION, is_loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = dict[str, tuple[list[float], list[float]]]
"""Name to epochs and values."""

_MAX_LINES = 12
_INCHES, _DOTS_PER_INCH = (9.0, 3.4), 80


def plot_history(history: Sequence[Mapping[str, float]], *, best_step: float | None = None) -> bytes:
    """Draw the losses and the scores of a training.

    Parameters
    ----------
    history
        Records as :class:`~ws_pipeline.classification.Trainer` keeps them: "epoch", "step", and values
        by name.  Names that end in "/loss" are losses; values that are missing in a record, or are
        not finite, leave a gap that the line bridges.
    best_step
        Step that a dotted line marks.  Default: no line.

    Returns
    -------
    bytes
        A PNG file of 720 x 272 pixels.  At most 12 lines are drawn in either half; the title says
        how many there are.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # complete epochs have the most steps per epoch begun; records within one are placed between
    steps_per_epoch = max((record["step"] / record["epoch"] for record in history), default=1.0)
    best_epoch = None if best_step is None else best_step / steps_per_epoch
    series = _series(history, steps_per_epoch)
    losses = {name: line for name, line in series.items() if is_loss(name)}
    scores = {name: line for name, line in series.items() if name not in losses}
    # pyplot keeps figures in global state, so it has no place in a library or in a server's thread
    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes, title, lines in ((left, "loss", losses), (right, "score", scores)):
        _draw(axes, title, lines, best_epoch)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _series(history: Sequence[Mapping[str, float]], steps_per_epoch: float) -> Series:
    """Finite values by name, in the order in which the names first occur."""
    series: Series = {}
    for record in history:
        for name, value in record.items():
            if name not in POSITION and math.isfinite(value):
                epochs, values = series.setdefault(name, ([], []))
                epochs.append(record["step"] / steps_per_epoch)
                values.append(value)
    return series


def _draw(axes: Axes, title: str, lines: Series, best_epoch: float | None) -> None:
    from matplotlib.ticker import MaxNLocator

    shown = dict(list(lines.items())[:_MAX_LINES])
    for name, (epochs, values) in shown.items():
        marker = "." if len(epochs) < 3 else ""
        axes.plot(epochs, values, label=name.removesuffix(f"/{LOSS}"), linewidth=1.2, marker=marker)
    axes.set_title(title if shown == lines else f"{title}: {len(shown)} of {len(lines)}", fontsize=9)
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if best_epoch is not None:
        axes.axvline(best_epoch, color="black", linestyle=":", linewidth=1)
    if shown:
        axes.legend(fontsize=6, framealpha=0.6)
