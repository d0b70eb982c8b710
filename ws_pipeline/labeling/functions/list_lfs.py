"""Labeling functions whose votes are lists of classes: what they say of one class, as votes for no or yes.

Such a function returns a list, a tuple or a set of classes, by name or by place; a class alone means a list
of it.  None, NaN and -1 abstain.  Start reading at :func:`on_label`.

Legend: n examples, k classes.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction, VectorizedLabelingFunction
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN
from ws_pipeline.labeling.votes.list_votes import NO, YES
from ws_pipeline.settings.base import nearest


@dataclass(frozen=True)
class Question:
    """Whether an example has a class.

    Parameters
    ----------
    label
        Place of the class, 0..k-1.
    classes
        Names of the k classes.
    is_complete
        Whether a list without the class is a vote for no; else it is an abstain.
    """

    label: int
    classes: tuple[str, ...]
    is_complete: bool

    def vote(self, name: str, answer: Any) -> int:
        """The vote that an answer of the LF ``name`` is: 0 for no, 1 for yes, -1 for abstain.

        Raises
        ------
        LabelingFunctionError
            The answer is no list of classes; names the LF and the answer.
        """
        if answer is None or (isinstance(answer, float | np.floating) and np.isnan(answer)):
            return ABSTAIN
        if isinstance(answer, list | tuple | set | frozenset | np.ndarray):
            places = {self._place_of(name, entry, answer) for entry in answer}
        else:
            place = self._place_of(name, answer, answer, lowest=ABSTAIN)
            if place == ABSTAIN:
                return ABSTAIN
            places = {place}
        return YES if self.label in places else NO if self.is_complete else ABSTAIN

    def votes(self, name: str, answers: Any, n: int) -> npt.NDArray[np.int16]:
        """The votes ``[n]`` that n answers of a vectorized LF are; see :meth:`vote`.

        Raises
        ------
        LabelingFunctionError
            There are not n answers, or one is no list of classes; names the LF and the position.
        """
        if not hasattr(answers, "__len__") or isinstance(answers, str) or len(answers) != n:
            message = f"LF '{name}' returned {_shape_of(answers)}, expected {n} lists of classes, one per row"
            raise LabelingFunctionError(message)
        votes = []
        for position, answer in enumerate(answers):
            try:
                votes.append(self.vote(name, answer))
            except LabelingFunctionError as error:
                message = f"{error} (position {position})"
                raise LabelingFunctionError(message) from None
        return np.array(votes, dtype=np.int16)

    def _place_of(self, name: str, entry: Any, answer: Any, lowest: int = 0) -> int:
        """Place of the class that an entry of an answer is."""
        if isinstance(entry, str) and entry in self.classes:
            return self.classes.index(entry)
        place = None if isinstance(entry, bool | np.bool_) else _as_place(entry)
        if place is not None and lowest <= place < len(self.classes):
            return place
        hint = f"; {nearest(entry, list(self.classes))}" if isinstance(entry, str) else ""
        message = (
            f"LF '{name}' returned {answer!r}, expected a list of classes, by their names or places 0 to "
            f"{len(self.classes) - 1}, or None to abstain{hint}"
        )
        raise LabelingFunctionError(message)


class ListLabelingFunction(LabelingFunction):
    """A labeling function that returns lists, as one that votes on one class.

    Parameters
    ----------
    lf
        Returns a list of classes for a data point.
    question
        What it is asked.
    """

    def __init__(self, lf: LabelingFunction, question: Question) -> None:
        _, f, resources, pre, version = lf.parts()
        super().__init__(lf.name, f, resources, pre, version)
        self.question = question

    def unchecked(self) -> LabelingFunction:
        """The LF itself: its answers are no votes before they are looked at."""
        return self

    def parts(self) -> list[Any]:
        """All that decides how it votes."""
        return [*super().parts(), *_parts_of(self.question)]

    def _check(self, result: Any) -> int:
        return self.question.vote(self.name, result)


class VectorizedListLabelingFunction(VectorizedLabelingFunction):
    """A labeling function that returns lists for all rows at once, as one that votes on one class.

    Parameters
    ----------
    lf
        Returns ``[n]`` lists of classes, or classes, for a DataFrame.
    question
        What it is asked.
    """

    def __init__(self, lf: VectorizedLabelingFunction, question: Question) -> None:
        _, f, resources, _, version = lf.parts()
        super().__init__(lf.name, f, resources, version=version)
        self.question = question

    def __call__(self, x: Any) -> npt.NDArray[np.int16]:  # type: ignore[override]
        """Vote ``[n]`` on all rows of a DataFrame."""
        return self.question.votes(self.name, self._f(x, **self._resources), len(x))

    def parts(self) -> list[Any]:
        """All that decides how it votes."""
        return [*super().parts(), *_parts_of(self.question)]


def on_label(
    lf: LabelingFunction, label: int, *, classes: Sequence[str], is_complete: bool
) -> LabelingFunction:
    """The labeling function that votes on one class as the lists say that another one returns.

    Parameters
    ----------
    lf
        Returns lists of classes.
    label
        Place of the class, 0..k-1.
    classes
        Names of the k classes.
    is_complete
        Whether a list without the class is a vote for no; else it is an abstain.

    Returns
    -------
    LabelingFunction
        It has the name of ``lf``, and votes 0 for no, 1 for yes and -1 for abstain.
    """
    question = Question(label, tuple(classes), is_complete)
    if isinstance(lf, VectorizedLabelingFunction):
        return VectorizedListLabelingFunction(lf, question)
    return ListLabelingFunction(lf, question)


def _parts_of(question: Question) -> list[Any]:
    return [question.label, list(question.classes), question.is_complete]


def _as_place(entry: Any) -> int | None:
    """A whole number as an int; floats too, as pandas has them beside missing values."""
    if isinstance(entry, float | np.floating):
        return int(entry) if float(entry).is_integer() else None
    try:
        return operator.index(entry)
    except TypeError:
        return None


def _shape_of(answers: Any) -> str:
    length = f" of length {len(answers)}" if hasattr(answers, "__len__") else ""
    return f"{type(answers).__name__}{length}"
