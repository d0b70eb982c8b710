"""The picture of a training's history: a PNG file that shows the lines it should."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

from ws_pipeline.classification.history_plot import plot_history


def history(n_epochs=10):
    return [
        {
            "epoch": epoch,
            "step": 7 * epoch,
            "lr": 0.001,
            "model/all/train/loss": 1 / epoch,
            **({"a/gold/valid/accuracy": 1 - 1 / epoch} if epoch % 2 == 0 else {}),
        }
        for epoch in range(1, n_epochs + 1)
    ]


def pixels(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return matplotlib.image.imread(io.BytesIO(png))[:, :, :3]


def coloured(half):
    """Whether a pixel is of a line's colour, rather than black, white or grey."""
    return (half.max(axis=2) - half.min(axis=2)) > 0.3


def test_it_is_a_picture_with_a_line_of_losses_on_the_left_and_one_of_scores_on_the_right():
    image = pixels(plot_history(history()))
    assert image.shape == (272, 720, 3)
    left, right = coloured(image[:, :360]), coloured(image[:, 360:])
    assert left.sum() > 300
    assert right.sum() > 300
    # the loss falls and the score rises: the mean height of the line, left against right end of the plot
    for half, falls in ((left, True), (right, False)):
        half[:, :40] = False
        half[:90, 130:] &= not falls  # the legend of a falling line is above it
        half[200:, 130:] &= falls
        columns = np.flatnonzero(half.any(axis=0))
        first = np.flatnonzero(half[:, columns[5]]).mean()
        last = np.flatnonzero(half[:, columns[-5]]).mean()
        assert (last > first) == falls


def test_the_best_epoch_is_marked():
    plain, marked = (pixels(plot_history(history(), best_step=best)) for best in (None, 28))
    changed = np.flatnonzero((plain != marked)[:, :360].any(axis=(0, 2)))
    assert 0 < len(changed) < 6
    assert marked[:, changed].min() < 0.2


@pytest.mark.parametrize(
    "records",
    [
        [],
        history(1),
        [{"epoch": 1, "step": 3, "a/loss": math.nan}],
        [{"epoch": 1, "step": s, "a/loss": math.inf} for s in (1, 2)],
    ],
)
def test_short_and_broken_histories_give_a_picture_too(records):
    assert pixels(plot_history(records)).shape == (272, 720, 3)


def test_records_within_an_epoch_are_placed_between():
    halves = [{"epoch": (s + 1) // 2, "step": s, "a/loss": 1 / s} for s in range(1, 9)]
    whole = [{"epoch": s, "step": s, "a/loss": 1 / s} for s in range(1, 9)]
    curve, same = (coloured(pixels(plot_history(h))[40:, 60:340]) for h in (halves, whole))
    assert (curve & same).sum() > 0.9 * same.sum()


def test_many_lines_still_fit():
    records = [{"epoch": e, "step": e, **{f"t{i}/loss": e + i for i in range(40)}} for e in (1, 2, 3)]
    assert len(plot_history(records)) < 100_000


def test_the_same_history_gives_the_same_bytes():
    assert plot_history(history()) == plot_history(history())


def test_no_global_state_of_pyplot_is_used():
    code = (
        "import sys\n"
        "from ws_pipeline.classification.history_plot import plot_history\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot_history([{'epoch': 1, 'step': 4, 'a/loss': 1.0}])\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
