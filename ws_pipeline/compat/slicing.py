"""Slicing functions: which data points are in a subset that matters, such as short texts.

A slicing function (SF) is a labeling function that says True or False.

Legend: n data points, s slicing functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import LabelingFunction, LFApplier, PandasLFApplier, PandasParallelLFApplier
from ws_pipeline.labeling.functions.labeling_function import check_vote
from ws_pipeline.labeling.functions.mapping import MapFunction
from ws_pipeline.labeling.functions.nlp import NLPLabelingFunction, nlp_labeling_function

if TYPE_CHECKING:
    import pandas as pd

Slices = np.recarray[Any, Any]
"""Record array ``[n]`` with one field of 0 and 1 per slicing function."""


class SlicingFunction(LabelingFunction):
    """A function that says whether a data point is in a slice.

    Parameters
    ----------
    name
        Name of the slice.
    f
        Takes a data point, and ``resources`` as keyword arguments; returns True or False, or 1 or 0.  -1
        counts as False.
    resources, pre
        As for :class:`LabelingFunction`.

    Examples
    --------
    >>> short = SlicingFunction("short", lambda x: len(x) < 5)
    >>> short("well"), short("well done")
    (True, False)
    """

    def _check(self, result: Any) -> int:
        return as_member(self.name, result)


class slicing_function:  # noqa: N801  a decorator
    """Decorate a function to make it a :class:`SlicingFunction`.

    Parameters
    ----------
    name
        Name of the slice.  Default: the name of the function.
    resources, pre
        As for :class:`SlicingFunction`.

    Raises
    ------
    LabelingFunctionError
        The parentheses are missing.

    Examples
    --------
    >>> @slicing_function()
    ... def is_short(x):
    ...     return len(x) < 5
    >>> is_short
    SlicingFunction is_short, Preprocessors: []
    """

    def __init__(
        self,
        name: str | None = None,
        resources: Mapping[str, Any] | None = None,
        pre: Sequence[MapFunction] | None = None,
    ) -> None:
        if callable(name):
            message = "this decorator is missing parentheses: write @slicing_function()"
            raise LabelingFunctionError(message)
        self.name = name
        self.resources = resources
        self.pre = pre

    def __call__(self, f: Callable[..., int]) -> SlicingFunction:
        """Wrap ``f``."""
        return SlicingFunction(self.name or f.__name__, f, self.resources, self.pre)


class NLPSlicingFunction(NLPLabelingFunction):
    """A slicing function that reads ``x.doc``, the text parsed by spaCy.

    Its parameters are those of :class:`~ws_pipeline.labeling.NLPLabelingFunction`.
    """

    def _check(self, result: Any) -> int:
        return as_member(self.name, result)


class nlp_slicing_function(nlp_labeling_function):  # noqa: N801  a decorator
    """Decorate a function to make it an :class:`NLPSlicingFunction`."""

    function_type = NLPSlicingFunction


def as_member(name: str, result: Any) -> int:
    """Return what slicing function ``name`` returned as True, False or -1, or say why it is none of these."""
    kind = LabelingFunctionError
    try:
        vote = check_vote(name, result)
    except LabelingFunctionError as error:
        vote, kind = 2, type(error)
    if vote > 1:
        message = (
            f"slicing function '{name}' returned {result!r}, expected True or False (or 1 or 0) for a data "
            "point in the slice or not"
        )
        raise kind(message)
    return vote if vote == -1 else bool(vote)


class SFApplier:
    """Applies slicing functions to any iterable: a list, a generator, the rows of an array.

    Parameters
    ----------
    sfs
        The s slicing functions.

    Raises
    ------
    LabelingFunctionError
        Two of them have the same name, or one is a plain function.

    Examples
    --------
    >>> short = SlicingFunction("short", lambda x: len(x) < 5)
    >>> SFApplier([short]).apply(["well", "well done"], progress_bar=False)["short"]
    array([1, 0])
    """

    applier_type: Callable[[Sequence[LabelingFunction]], Any] = LFApplier

    def __init__(self, sfs: Sequence[SlicingFunction]) -> None:
        self._names = [sf.name for sf in sfs]
        self._applier = type(self).applier_type(sfs)

    def apply(self, data_points: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply all SFs to all data points.

        Parameters
        ----------
        data_points
            n data points.
        *args, **kwargs
            As for ``apply`` of the applier of labeling functions.

        Returns
        -------
        numpy.recarray or (numpy.recarray, ApplierMetadata)
            Record array ``[n]`` with one int64 field of 0 and 1 per SF.  With ``fault_tolerant``, a data
            point that an SF fails on is not in its slice.

        Raises
        ------
        LabelingFunctionError
            An SF failed, or returned something else than True, False, 1, 0 or -1.
        """
        found = self._applier.apply(data_points, *args, **kwargs)
        if isinstance(found, tuple):
            return to_slices(found[0], self._names), found[1]
        return to_slices(found, self._names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}, SFs: {self._names}"


class PandasSFApplier(SFApplier):
    """Applies slicing functions to the rows of a pandas DataFrame; see :class:`SFApplier`."""

    applier_type = PandasLFApplier


class PandasParallelSFApplier(SFApplier):
    """Applies slicing functions to the rows of a pandas DataFrame, by several processes."""

    applier_type = PandasParallelLFApplier


def to_slices(votes: npt.NDArray[Any], names: Iterable[str]) -> Slices:
    """Turn votes ``[n, s]`` into a record array ``[n]`` with a field per name."""
    slices: Slices = np.recarray(len(votes), dtype=[(name, np.int64) for name in names])
    for column, name in zip(votes.T, slices.dtype.names or (), strict=True):
        slices[name] = column == 1
    return slices


def slice_dataframe(df: pd.DataFrame, slicing_function: SlicingFunction) -> pd.DataFrame:
    """Return the rows of a DataFrame that are in a slice.

    Parameters
    ----------
    df
        n rows.
    slicing_function
        Says which rows.

    Raises
    ------
    LabelingFunctionError
        As for :meth:`SFApplier.apply`.
    """
    slices = PandasSFApplier([slicing_function]).apply(df, progress_bar=False)
    rows: pd.DataFrame = df.iloc[slices[slicing_function.name] == 1]
    return rows
