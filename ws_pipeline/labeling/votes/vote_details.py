"""What sources say beyond the class of a vote: how sure they are, and votes for any of several classes.

Most label models use the class alone; ``LiftDawidSkene`` uses all of it, through :mod:`.vote_symbols`.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ws_pipeline.array_types import Mask
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling.votes.vote_checks import ABSTAIN, as_vote_array

Scores = npt.NDArray[np.float32]
Sets = npt.NDArray[np.int16]


class Superclass(NamedTuple):
    """Several classes, any of which a vote may mean.

    Parameters
    ----------
    name
        What it is called.
    classes
        Its classes, in 0..k-1, ascending; at least two, and not all.
    """

    name: str
    classes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class VoteDetails:
    """Scores of votes, and votes for superclasses.

    Parameters
    ----------
    scores
        ``[n, m]`` float32: how sure the LF is of its vote, on a scale of its own, such as a probability or a
        rating from 0 to 9; NaN where it does not say.  None if no vote has a score.
    sets
        ``[n, m]`` int16: the superclass that the LF votes for, by its place among ``superclasses``, where it
        votes for no class; -1 elsewhere.  None if there are no superclasses.
    superclasses
        The superclasses.
    """

    scores: Scores | None = None
    sets: Sets | None = None
    superclasses: tuple[Superclass, ...] = ()

    def __post_init__(self) -> None:
        for array in (self.scores, self.sets):
            if array is not None:
                array.flags.writeable = False

    @property
    def voted(self) -> Mask | None:
        """``[n]`` mask of the examples with a vote for a superclass; None where there are none."""
        return None if self.sets is None else np.asarray((self.sets != ABSTAIN).any(axis=1))

    def tally(self, votes: npt.NDArray[Any], cardinality: int) -> npt.NDArray[np.int64]:
        """Votes for each class ``[k, n]``, of votes ``[n, m]`` and those for superclasses, in equal parts.

        All are multiplied by the least common multiple of the sizes of the superclasses, so that they are
        whole numbers.
        """
        whole = math.lcm(*(len(found.classes) for found in self.superclasses))
        tallies = np.stack([whole * (votes == label).sum(axis=1) for label in range(cardinality)])
        if self.sets is not None:
            for place, (_, classes) in enumerate(self.superclasses):
                parts = (self.sets == place).sum(axis=1) * (whole // len(classes))
                tallies[list(classes)] += parts
        return np.asarray(tallies.astype(np.int64))

    def scores_of(self, lf: int) -> Scores:
        """The scores of an LF, those that there are."""
        if self.scores is None:
            return np.empty(0, dtype=np.float32)
        column = self.scores[:, lf]
        return np.asarray(column[~np.isnan(column)])

    def take(self, rows: npt.NDArray[Any]) -> VoteDetails:
        """Those of the examples at ``rows``, positions or a mask."""
        return self._each(lambda array, _nothing: array[rows])

    def columns(self, places: Sequence[int | None]) -> VoteDetails:
        """Those of the LFs at ``places``, in this order; None is an LF that is not here."""

        def pick(array: npt.NDArray[Any], nothing: float) -> npt.NDArray[Any]:
            found = np.full((len(array), len(places)), nothing, dtype=array.dtype)
            for lf, place in enumerate(places):
                if place is not None:
                    found[:, lf] = array[:, place]
            return found

        return self._each(pick)

    def spread(self, rows: npt.NDArray[np.intp], n_examples: int) -> VoteDetails:
        """The examples put at ``rows`` of so many; the others say nothing."""

        def put(array: npt.NDArray[Any], nothing: float) -> npt.NDArray[Any]:
            found = np.full((n_examples, array.shape[1]), nothing, dtype=array.dtype)
            found[rows] = array
            return found

        return self._each(put)

    @classmethod
    def concatenate(
        cls, parts: Sequence[VoteDetails | None], shapes: Sequence[tuple[int, int]]
    ) -> VoteDetails | None:
        """Stack the details of examples; parts of a shape ``[n, m]`` without any say nothing.

        Raises
        ------
        LabelMatrixError
            Two parts have different superclasses.
        """
        there = [part for part in parts if part is not None]
        if not there:
            return None
        superclasses = {part.superclasses for part in there if part.superclasses}
        if len(superclasses) > 1:
            message = (
                "the votes of two shards have different superclasses; ingest them again, with the same ones"
            )
            raise LabelMatrixError(message)
        stacked = {
            name: np.concatenate(
                [_part(part, name, shape, nothing) for part, shape in zip(parts, shapes, strict=True)]
            )
            for name, nothing in _NOTHING.items()
            if any(getattr(part, name) is not None for part in there)
        }
        return cls(**stacked, superclasses=next(iter(superclasses), ()))

    def update(self, digest: Any) -> None:
        """Add all of it to a hash."""
        for array in (self.scores, self.sets):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        digest.update(repr(self.superclasses).encode())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoteDetails):
            return NotImplemented
        hashes = []
        for details in (self, other):
            digest = hashlib.sha256()
            details.update(digest)
            hashes.append(digest.digest())
        return hashes[0] == hashes[1]

    __hash__ = None  # type: ignore[assignment]

    def _each(self, change: Any) -> VoteDetails:
        """Both arrays, changed by a function of the array and of what stands for nothing in it."""
        changed = {
            name: None if getattr(self, name) is None else change(getattr(self, name), nothing)
            for name, nothing in _NOTHING.items()
        }
        return VoteDetails(**changed, superclasses=self.superclasses)


def details_of(votes: Any) -> VoteDetails | None:
    """What votes in some form say beyond their classes."""
    found = getattr(votes, "details", None)
    return found if isinstance(found, VoteDetails) else None


_NOTHING: dict[str, float] = {"scores": np.nan, "sets": ABSTAIN}
_DTYPES: dict[str, Any] = {"scores": np.float32, "sets": np.int16}


def _part(part: VoteDetails | None, name: str, shape: tuple[int, int], nothing: float) -> npt.NDArray[Any]:
    array = None if part is None else getattr(part, name)
    return np.full(shape, nothing, dtype=_DTYPES[name]) if array is None else array


def read_superclasses(given: Mapping[str, Sequence[int]], cardinality: int) -> tuple[Superclass, ...]:
    """Check superclasses, name to the numbers of their classes.

    Raises
    ------
    LabelMatrixError
        One has fewer than two classes or all of them, a class that does not exist or is repeated.
    """
    found = []
    for name, classes in given.items():
        numbers = tuple(sorted(int(number) for number in classes))
        outside = [number for number in numbers if not 0 <= number < cardinality]
        if outside or len(set(numbers)) < len(numbers) or not 2 <= len(numbers) < cardinality:
            message = (
                f"superclass '{name}' has the classes {list(classes)}, expected different ones of 0 to "
                f"{cardinality - 1}, at least two and not all"
            )
            raise LabelMatrixError(message)
        found.append(Superclass(str(name), numbers))
    return tuple(found)


def split_votes(
    votes: Any, cardinality: int, scores: Any, superclasses: Mapping[str, Sequence[int]]
) -> tuple[npt.NDArray[Any], VoteDetails]:
    """Split votes ``[n, m]`` into those for classes, and what they say beyond that.

    Parameters
    ----------
    votes
        Numbers in {-1, 0, .., k+t-1} for k classes and t superclasses.
    cardinality
        Number of classes k.
    scores
        ``[n, m]`` numbers, or None.
    superclasses
        Name to the numbers of its classes.

    Raises
    ------
    LabelMatrixError
        Votes that are no array of numbers ``[n, m]``, scores of another shape or that are infinite, or no
        superclass.
    """
    numbers = as_vote_array(votes)
    read = read_superclasses(superclasses, cardinality)
    is_set = (numbers >= cardinality) & (numbers < cardinality + len(read))
    sets = np.where(is_set, numbers - cardinality, ABSTAIN).astype(np.int16) if read else None
    of_classes = np.where(is_set, ABSTAIN, numbers)
    return of_classes, VoteDetails(read_scores(scores, numbers.shape), sets, read)


def read_scores(scores: Any, shape: tuple[int, ...]) -> Scores | None:
    """Check scores ``[n, m]``; NaN where there are none."""
    if scores is None:
        return None
    try:
        found = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"scores must be numbers, and NaN where a vote has none ({error})"
        raise LabelMatrixError(message) from None
    if found.shape != shape:
        message = f"scores has shape {found.shape}, expected {shape}, one score for each vote"
        raise LabelMatrixError(message)
    infinite = np.argwhere(np.isinf(found))
    if len(infinite):
        row, lf = infinite[0].tolist()
        message = f"scores[{row}, {lf}] is {found[row, lf]}; expected a finite number, or NaN for none"
        raise LabelMatrixError(message)
    return found.astype(np.float32)
