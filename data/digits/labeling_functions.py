"""The labeling functions of the digits demo: small heuristics that look at an 8x8 image and vote, or abstain.

Start reading at `Sample`, what every labeling function (LF) is given: the images to vote on, and the few
prototype images whose digit is known. An LF returns one vote per image. `@votes_on(task)` enters it into
`LABELING_FUNCTIONS`, whose order is the order of the columns in the Parquet files.

Everything is integer arithmetic on the raw pixels 0..16, so the same images give the same votes on every
machine.

Letters: n images, p prototypes, f numbers that describe an image, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    LabelingFunction = Callable[["Sample"], Ints]

ABSTAIN = -1
CLASSES = {
    "digit": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "parity": ("even", "odd"),
}
ZERO, ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT, NINE = range(10)
EVEN, ODD = range(2)

DARK = 8  # a pixel of at least this value (of 16) belongs to a stroke
TOP, BOTTOM = slice(0, 4), slice(4, 8)
LEFT, RIGHT = slice(0, 4), slice(4, 8)

LABELING_FUNCTIONS: dict[str, dict[str, LabelingFunction]] = {task: {} for task in CLASSES}


def votes_on(task: str) -> Callable[[LabelingFunction], LabelingFunction]:
    """Enter the decorated labeling function into the registry of a task, under its own name."""

    def register(function: LabelingFunction) -> LabelingFunction:
        LABELING_FUNCTIONS[task][function.__name__] = function
        return function

    return register


# What a labeling function can see -----------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """The images to vote on, and the prototypes: the only images whose digit a labeling function may know.

    images: [n, 8, 8], prototypes: [p, 8, 8], prototype_digits: [p]; pixels are 0 (paper) to 16 (ink).
    """

    images: Ints
    prototypes: Ints
    prototype_digits: Ints

    @cached_property
    def ink(self) -> Ints:
        """Sum of all pixels, [n]."""
        return self.images.sum(axis=(1, 2))

    def percent(self, rows: slice, columns: slice) -> Ints:
        """Share of the ink that lies in a box, in whole percent, [n]."""
        return 100 * self.images[:, rows, columns].sum(axis=(1, 2)) // self.ink

    @cached_property
    def centre(self) -> Ints:
        """Ink of the four pixels in the middle, 0..64, [n]."""
        return self.images[:, 3:5, 3:5].sum(axis=(1, 2))

    @cached_property
    def mirror_difference(self) -> Ints:
        """Difference between an image and its mirror image, in percent of the ink, [n]."""
        return 100 * np.abs(self.images - self.images[:, :, ::-1]).sum(axis=(1, 2)) // self.ink

    @cached_property
    def widths(self) -> Ints:
        """Number of dark pixels in each row, [n, 8]."""
        return (self.images >= DARK).sum(axis=2)

    @cached_property
    def row_strokes(self) -> Ints:
        """Number of strokes that each row crosses, [n, 8]."""
        return count_runs(self.images, axis=2)

    @cached_property
    def column_strokes(self) -> Ints:
        """Number of strokes that each column crosses, [n, 8]."""
        return count_runs(self.images, axis=1)

    @cached_property
    def loops(self) -> Ints:
        """Number of closed loops, mean row of their inside in tenths, pixels of their inside, [3, n]."""
        return np.array([measure_loops(image < DARK) for image in self.images]).T


def count_runs(images: Ints, axis: int) -> Ints:
    """Count the runs of dark pixels along an axis, [n, 8]."""
    return (np.diff((images >= DARK).astype(np.int64), axis=axis, prepend=0) == 1).sum(axis=axis)


def measure_loops(paper: Bools) -> tuple[int, int, int]:
    """Number, mean row in tenths, and pixels of the areas of paper that ink cuts off from the border."""
    areas, count = ndimage.label(np.pad(paper, 1, constant_values=True))
    rows = np.nonzero(areas > 1)[0] - 1  # area 1 is the outside: the padded border is met first
    return count - 1, 10 * int(rows.sum()) // max(1, rows.size), rows.size


def choose(*cases: tuple[Bools, int]) -> Ints:
    """Vote for the class of the first case that holds, abstain where none does."""
    conditions, classes = zip(*cases, strict=True)
    return np.select(conditions, classes, default=ABSTAIN)


def nearest(sample: Sample, view: Callable[[Ints], Ints], margin: int, classes: Ints | None = None) -> Ints:
    """Vote for the class of the nearest prototype, abstain where another class is nearly as near.

    `view` makes f numbers of each image. A vote is cast where the squared distance to the nearest class is at
    most `margin` percent of that to the second. `classes` [p] are the prototypes' classes, by default their
    digits.
    """
    classes = sample.prototype_digits if classes is None else classes
    ours, theirs = (view(images).reshape(len(images), -1) for images in (sample.images, sample.prototypes))
    distances = ((ours[:, np.newaxis] - theirs) ** 2).sum(axis=2)
    per_class = np.stack([distances[:, classes == c].min(axis=1) for c in np.unique(classes)], axis=1)
    first, second = np.sort(per_class, axis=1)[:, :2].T
    return np.where(100 * first <= margin * second, per_class.argmin(axis=1), ABSTAIN)


def nearest_parity(sample: Sample, view: Callable[[Ints], Ints], margin: int) -> Ints:
    """Like `nearest`, between the even and the odd prototypes."""
    return nearest(sample, view, margin, sample.prototype_digits % 2)


def crossings(images: Ints) -> Ints:
    """Strokes crossed by each row and each column."""
    return np.concatenate([count_runs(images, axis=2), count_runs(images, axis=1)], axis=1)


def outline(images: Ints) -> Ints:
    """Steps from the top, and from the bottom, to the first dark pixel of each column (0 if it has none)."""
    dark = images >= DARK
    return np.concatenate([dark.argmax(axis=1), dark[:, ::-1].argmax(axis=1)], axis=1)


def is_single_stem(sample: Sample) -> Bools:
    """Tell where every row and both middle columns cross at most one stroke, [n]."""
    return (sample.row_strokes.max(axis=1) <= 1) & (sample.column_strokes[:, 3:5].max(axis=1) <= 1)


def has_long_foot(sample: Sample) -> Bools:
    """Tell where a thin neck stands on a wide bottom row that reaches to the left, [n]."""
    thin_neck = sample.widths[:, 4:6].max(axis=1) <= 2
    wide_foot = sample.widths[:, 6:].max(axis=1) >= 4
    return thin_neck & wide_foot & (sample.percent(BOTTOM, LEFT) >= 20)


# Task digit: heuristics about shape, then comparisons with the prototypes ------------------


@votes_on("digit")
def hollow_centre(sample: Sample) -> Ints:
    """No ink in the middle: zero."""
    return choose((sample.centre <= 8, ZERO))


@votes_on("digit")
def loop_position(sample: Sample) -> Ints:
    """A single closed loop that is low (six), large (zero) or high (nine)."""
    count, row, size = sample.loops
    one = count == 1
    return choose((one & (row >= 48), SIX), (one & (size >= 5), ZERO), (one & (row <= 22), NINE))


@votes_on("digit")
def mirror_symmetry(sample: Sample) -> Ints:
    """Its own mirror image: zero if hollow, eight if it has a loop, else one."""
    same = sample.mirror_difference <= 45
    return choose((same & (sample.centre <= 16), ZERO), (same & (sample.loops[0] > 0), EIGHT), (same, ONE))


@votes_on("digit")
def upper_right_empty(sample: Sample) -> Ints:
    """Little ink in the upper right quarter: six."""
    return choose((sample.percent(TOP, RIGHT) <= 12, SIX))


@votes_on("digit")
def right_side_top_heavy(sample: Sample) -> Ints:
    """Right half with much ink above and little below: seven."""
    return choose(((sample.percent(TOP, RIGHT) >= 30) & (sample.percent(BOTTOM, RIGHT) <= 20), SEVEN))


@votes_on("digit")
def upper_left_heavy(sample: Sample) -> Ints:
    """A third of the ink in the upper left quarter: five."""
    return choose((sample.percent(TOP, LEFT) >= 33, FIVE))


@votes_on("digit")
def longest_row(sample: Sample) -> Ints:
    """Where the longest row of dark pixels lies: middle (four), bottom (two) or top (five)."""
    row, long = sample.widths.argmax(axis=1), sample.widths.max(axis=1) >= 5
    middle, bottom, top = (row == 4) | (row == 5), row >= 6, row == 0
    return choose((long & middle, FOUR), (long & bottom, TWO), (long & top, FIVE))


@votes_on("digit")
def wide_waist(sample: Sample) -> Ints:
    """Narrow first and last row, wide middle: four."""
    return choose(((sample.widths[:, [0, 7]].max(axis=1) <= 2) & (sample.widths[:, 4] >= 4), FOUR))


@votes_on("digit")
def long_foot(sample: Sample) -> Ints:
    """A thin neck on a wide foot: two."""
    return choose((has_long_foot(sample), TWO))


@votes_on("digit")
def single_stem(sample: Sample) -> Ints:
    """One stroke in every row, and in the middle columns: one."""
    return choose((is_single_stem(sample), ONE))


@votes_on("digit")
def lower_left_empty(sample: Sample) -> Ints:
    """Little ink in the lower left quarter: nine if it has a loop, three if the lower right has much."""
    empty = sample.percent(BOTTOM, LEFT) <= 13
    loop, right = sample.loops[0] > 0, sample.percent(BOTTOM, RIGHT) >= 30
    return choose((empty & loop, NINE), (empty & right, THREE))


@votes_on("digit")
def two_lobes(sample: Sample) -> Ints:
    """Two strokes above and two below a dark centre: eight."""
    above, below = (sample.row_strokes[:, rows].max(axis=1) >= 2 for rows in (slice(1, 3), slice(5, 7)))
    return choose((above & below & (sample.centre >= 42), EIGHT))


@votes_on("digit")
def nearest_right_half(sample: Sample) -> Ints:
    """Nearest prototype, right half of the image only."""
    return nearest(sample, lambda images: images[:, :, RIGHT], margin=60)


@votes_on("digit")
def nearest_row_profile(sample: Sample) -> Ints:
    """Nearest prototype, ink per row."""
    return nearest(sample, lambda images: images.sum(axis=2), margin=75)


@votes_on("digit")
def nearest_inner_row_profile(sample: Sample) -> Ints:
    """Nearest prototype, ink per row within the four middle columns (a near copy of the row profile)."""
    return nearest(sample, lambda images: images[:, :, 2:6].sum(axis=2), margin=60)


@votes_on("digit")
def nearest_column_profile(sample: Sample) -> Ints:
    """Nearest prototype, ink per column."""
    return nearest(sample, lambda images: images.sum(axis=1), margin=60)


@votes_on("digit")
def nearest_quarters(sample: Sample) -> Ints:
    """Nearest prototype, ink of the four quarters."""
    return nearest(sample, lambda images: images.reshape(-1, 2, 4, 2, 4).sum(axis=(2, 4)), margin=60)


@votes_on("digit")
def nearest_outline(sample: Sample) -> Ints:
    """Nearest prototype, outline from above and from below."""
    return nearest(sample, outline, margin=60)


@votes_on("digit")
def nearest_crossings(sample: Sample) -> Ints:
    """Nearest prototype, strokes crossed by each row and column."""
    return nearest(sample, crossings, margin=60)


# Task parity: heuristics of its own --------------------------------------------------------


@votes_on("parity")
def roomy_loop(sample: Sample) -> Ints:
    """Closed loops with at least three pixels inside: even."""
    return choose((sample.loops[2] >= 3, EVEN))


@votes_on("parity")
def reaches_far_left(sample: Sample) -> Ints:
    """Dark pixels in one of the two leftmost columns: even."""
    return choose(((sample.images[:, :, :2] >= DARK).any(axis=(1, 2)), EVEN))


@votes_on("parity")
def flat_top(sample: Sample) -> Ints:
    """A wide first row: odd."""
    return choose((sample.widths[:, 0] >= 4, ODD))


@votes_on("parity")
def heavy_pen(sample: Sample) -> Ints:
    """Many fully black pixels: odd."""
    return choose(((sample.images == 16).sum(axis=(1, 2)) >= 9, ODD))


@votes_on("parity")
def stands_on_foot(sample: Sample) -> Ints:
    """A thin neck on a wide foot: even."""
    return choose((has_long_foot(sample), EVEN))


@votes_on("parity")
def stem_only(sample: Sample) -> Ints:
    """One stroke in every row, and in the middle columns: odd."""
    return choose((is_single_stem(sample), ODD))


@votes_on("parity")
def diagonal_balance(sample: Sample) -> Ints:
    """Ink of the upper right against the lower left quarter: odd if more above, even if more below."""
    difference = sample.percent(TOP, RIGHT) - sample.percent(BOTTOM, LEFT)
    return choose((difference >= 15, ODD), (difference <= -15, EVEN))


@votes_on("parity")
def two_parallel_strokes(sample: Sample) -> Ints:
    """Two strokes in at least three rows: even."""
    return choose(((sample.row_strokes >= 2).sum(axis=1) >= 3, EVEN))


@votes_on("parity")
def wide_bottom(sample: Sample) -> Ints:
    """A wide row at the bottom: even."""
    return choose((sample.widths[:, 6:].max(axis=1) >= 4, EVEN))


@votes_on("parity")
def large_area(sample: Sample) -> Ints:
    """Many dark pixels: even."""
    return choose((sample.widths.sum(axis=1) >= 24, EVEN))


@votes_on("parity")
def right_outline(sample: Sample) -> Ints:
    """Nearest even or odd prototype, outline from the right."""
    return nearest_parity(sample, lambda images: (images[:, :, ::-1] >= DARK).argmax(axis=2), margin=60)


@votes_on("parity")
def column_profile(sample: Sample) -> Ints:
    """Nearest even or odd prototype, ink per column."""
    return nearest_parity(sample, lambda images: images.sum(axis=1), margin=30)


@votes_on("parity")
def row_widths(sample: Sample) -> Ints:
    """Nearest even or odd prototype, dark pixels per row."""
    return nearest_parity(sample, lambda images: (images >= DARK).sum(axis=2), margin=30)


@votes_on("parity")
def all_crossings(sample: Sample) -> Ints:
    """Nearest even or odd prototype, strokes crossed by each row and column."""
    return nearest_parity(sample, crossings, margin=40)


@votes_on("parity")
def column_crossings(sample: Sample) -> Ints:
    """Nearest even or odd prototype, strokes crossed by each column (part of the one above)."""
    return nearest_parity(sample, lambda images: count_runs(images, axis=1), margin=40)


@votes_on("parity")
def upper_crossings(sample: Sample) -> Ints:
    """Nearest even or odd prototype, strokes crossed in the upper half."""
    return nearest_parity(sample, lambda images: crossings(images[:, TOP]), margin=20)
