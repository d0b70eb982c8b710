"""Labeling functions: a name and a Python function from a data point to a vote.

A vote is a class 0..k-1, or -1 for abstain.  Start reading at :class:`labeling_function`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ws_pipeline.errors import LabelingFunctionError, error_like
from ws_pipeline.labeling.functions.data_points import shallow_copy
from ws_pipeline.labeling.functions.mapping import BaseMapper, apply_in_order
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN

MAX_VOTE = np.iinfo(np.int16).max - 1  # the highest class of the largest cardinality

Preprocessor = Callable[[Any], Any]


class LabelingFunction:
    """A function that votes for the class of a data point, or abstains.

    Parameters
    ----------
    name
        What it is called in label matrices, summaries and error messages.
    f
        Takes a data point, and ``resources`` as keyword arguments; returns a class from 0 on, or -1 to
        abstain.
    resources
        Keyword arguments for ``f``.
    pre
        Preprocessors, applied in order before ``f``: each takes a data point and returns one, see
        :mod:`.preprocess`.  Plain functions get a (shallow) copy, so that setting its attributes or
        items changes nothing for other LFs.

    Attributes
    ----------
    name
        See above.

    Examples
    --------
    >>> def shouts(x, marks):
    ...     return 1 if x.endswith(marks) else -1
    >>> lf = LabelingFunction("shouts", shouts, resources={"marks": "!"}, pre=[str.strip])
    >>> lf("good! "), lf("good")
    (1, -1)
    """

    def __init__(
        self,
        name: str,
        f: Callable[..., int],
        resources: Mapping[str, Any] | None = None,
        pre: Sequence[Preprocessor] | None = None,
    ) -> None:
        self.name = name
        self._f = f
        self._resources = dict(resources or {})
        self._pre = list(pre or [])

    def __call__(self, x: Any) -> int:
        """Vote on one data point.

        Parameters
        ----------
        x
            Data point of any type.

        Returns
        -------
        int
            A class from 0 on, or -1 for abstain.

        Raises
        ------
        LabelingFunctionError
            A preprocessor returned None, or the function returned no vote.  What the function itself
            raises is passed on as it is.
        """
        if self._pre:
            x = self._preprocess(x)
        return self._check(self._f(x, **self._resources))

    def _check(self, result: Any) -> int:
        return check_vote(self.name, result)

    def _preprocess(self, x: Any) -> Any:
        if not isinstance(self._pre[0], BaseMapper):  # mappers copy the data point themselves
            x = shallow_copy(x)
        return apply_in_order(self._pre, x, f"LF '{self.name}'")

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.name}, Preprocessors: {self._pre}"


class labeling_function:  # noqa: N801  a decorator
    """Decorate a function to make it a :class:`LabelingFunction`.

    Parameters
    ----------
    name
        Name of the LF.  Default: the name of the function.
    resources
        Keyword arguments for the function.
    pre
        Preprocessors, applied in order before the function.

    Raises
    ------
    LabelingFunctionError
        The parentheses are missing.

    Examples
    --------
    >>> @labeling_function()
    ... def is_long(x):
    ...     return 1 if len(x) > 5 else -1
    >>> is_long
    LabelingFunction is_long, Preprocessors: []
    >>> is_long("snorkeling")
    1
    """

    def __init__(
        self,
        name: str | None = None,
        resources: Mapping[str, Any] | None = None,
        pre: Sequence[Preprocessor] | None = None,
    ) -> None:
        if callable(name):
            message = "this decorator is missing parentheses: write @labeling_function()"
            raise LabelingFunctionError(message)
        self.name = name
        self.resources = resources
        self.pre = pre

    def __call__(self, f: Callable[..., int]) -> LabelingFunction:
        """Wrap ``f``."""
        return LabelingFunction(self.name or f.__name__, f, self.resources, self.pre)


def check_vote(name: str, result: Any) -> int:
    """Return what LF ``name`` returned as an int, or say why it is no vote.

    Integers of any kind, booleans (False is class 0, True class 1) and floats with integer values are
    votes.

    Raises
    ------
    LabelingFunctionError
        Names the LF and the result.
    """
    vote = result if type(result) is int else _as_integer(result)
    if vote is None or not ABSTAIN <= vote <= MAX_VOTE:
        message = f"LF '{name}' returned {result!r}, expected a class from 0 to {MAX_VOTE}, or -1 to abstain"
        if vote is None and not hasattr(result, "__float__"):  # None, a text: what comparing it would raise
            raise error_like(LabelingFunctionError, message, TypeError())
        raise LabelingFunctionError(message)
    return vote


def _as_integer(result: Any) -> int | None:
    if isinstance(result, np.bool_):
        return int(result)
    if isinstance(result, float | np.floating):
        return int(result) if result.is_integer() else None
    try:
        return operator.index(result)
    except TypeError:
        return None
