"""Labeling functions: a name and a Python function from a data point to a vote.

A vote is a class 0..k-1, or -1 for abstain.  Start reading at :class:`labeling_function`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

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
    version
        Text to change when something changes that the source text of ``f`` does not show, such as a model
        that it loads; a pipeline then applies the LF again.

    Attributes
    ----------
    name, version
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
        version: str | None = None,
    ) -> None:
        self.name = name
        self.version = version
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

    def unchecked(self) -> Callable[[Any], Any]:
        """What is called for each data point, without the check that it returned a vote.

        For appliers, which check many votes at once.
        """
        if self._pre:
            return self
        return partial(self._f, **self._resources) if self._resources else self._f

    def parts(self) -> list[Any]:
        """All that decides how it votes: function, resources, preprocessors, version."""
        return [type(self), self._f, self._resources, self._pre, self.version]

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
    version
        Text to change when something changes that the source text of the function does not show.
    vectorized
        Whether the function votes on all data points at once, see :class:`VectorizedLabelingFunction`.

    Raises
    ------
    LabelingFunctionError
        The parentheses are missing, or a vectorized LF has preprocessors.

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
        version: str | None = None,
        *,
        vectorized: bool = False,
    ) -> None:
        if callable(name):
            message = "this decorator is missing parentheses: write @labeling_function()"
            raise LabelingFunctionError(message)
        self.name = name
        self.resources = resources
        self.pre = pre
        self.version = version
        self.vectorized = vectorized

    def __call__(self, f: Callable[..., Any]) -> LabelingFunction:
        """Wrap ``f``."""
        kind = VectorizedLabelingFunction if self.vectorized else LabelingFunction
        return kind(self.name or f.__name__, f, self.resources, self.pre, self.version)


class VectorizedLabelingFunction(LabelingFunction):
    """A function that votes on all rows of a DataFrame at once, mostly many times as fast as row by row.

    Parameters
    ----------
    name, resources, version
        As for :class:`LabelingFunction`.
    f
        Takes a pandas DataFrame with n rows, and ``resources`` as keyword arguments; returns ``[n]`` votes:
        an array, a Series or a list of classes from 0 on, and -1 for abstain.  The vote on a row must not
        depend on the other rows, since a long DataFrame comes in parts.
    pre
        Must be empty: preprocessors are for single data points.

    Raises
    ------
    LabelingFunctionError
        There are preprocessors.

    Examples
    --------
    >>> import pandas as pd
    >>> @labeling_function(vectorized=True)
    ... def is_big(df):
    ...     return df.num.gt(42).map({True: 1, False: -1})
    >>> is_big(pd.DataFrame({"num": [10, 100]})).tolist()
    [-1, 1]
    """

    def __init__(
        self,
        name: str,
        f: Callable[..., Any],
        resources: Mapping[str, Any] | None = None,
        pre: Sequence[Preprocessor] | None = None,
        version: str | None = None,
    ) -> None:
        if pre:
            message = (
                f"LF '{name}' is vectorized and has preprocessors, which are for single data points; compute "
                "what it needs from the columns in the function itself"
            )
            raise LabelingFunctionError(message)
        super().__init__(name, f, resources, version=version)

    def __call__(self, x: Any) -> npt.NDArray[np.int16]:  # type: ignore[override]
        """Vote on all rows of a DataFrame.

        Parameters
        ----------
        x
            DataFrame with n rows.

        Returns
        -------
        numpy.ndarray
            ``[n]`` int16: a class from 0 on, or -1 for abstain.

        Raises
        ------
        LabelingFunctionError
            ``x`` is no DataFrame, or the function did not return n votes; names the LF and the row.
        """
        if not hasattr(x, "iloc") or not hasattr(x, "columns"):
            message = (
                f"LF '{self.name}' is vectorized and takes a DataFrame, got {type(x).__name__}; apply it "
                "to a DataFrame with PandasLFApplier, or leave vectorized=True out"
            )
            raise LabelingFunctionError(message)
        return check_votes(self.name, self._f(x, **self._resources), len(x))


def check_votes(name: str, results: Any, n: int) -> npt.NDArray[np.int16]:
    """Return what LF ``name`` returned for n data points as votes ``[n]``, or say why they are none.

    Raises
    ------
    LabelingFunctionError
        Names the LF, and the first result that is no vote with its position.
    """
    votes = np.asarray(results)
    if votes.shape != (n,):
        found = f"{type(results).__name__} of shape {list(votes.shape)}" if votes.shape else repr(results)
        message = f"LF '{name}' returned {found}, expected {n} votes, one per row"
        raise LabelingFunctionError(message)
    if votes.dtype.kind not in "iu":
        checked = [_vote_at(name, row, result) for row, result in enumerate(votes.tolist())]
        return np.array(checked, dtype=np.int16)
    wrong = np.flatnonzero((votes < ABSTAIN) | (votes > MAX_VOTE))
    if len(wrong):
        _vote_at(name, int(wrong[0]), votes[wrong[0]].item())
    return votes.astype(np.int16)


def _vote_at(name: str, row: int, result: Any) -> int:
    try:
        return check_vote(name, result)
    except LabelingFunctionError as error:
        message = f"{error} (position {row})"
        raise error_like(LabelingFunctionError, message, error) from None


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
        message = f"LF '{name}' returned {result!r}, expected a class from 0 to k-1, or -1 to abstain"
        if isinstance(result, str):
            message += "; return the place of the class, not its name"
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
