"""From the rows of a pandas DataFrame to votes.

Legend: n rows, m labeling functions (LFs).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling.functions.apply import ApplierMetadata, BaseLFApplier, failure
from ws_pipeline.labeling.functions.dataframe_rows import iterate_rows
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction, VectorizedLabelingFunction
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, Votes, votes_dtype

if TYPE_CHECKING:
    import pandas as pd


class PandasLFApplier(BaseLFApplier):
    """Applies labeling functions to the rows of a pandas DataFrame.

    A data point answers like the row as a Series: ``x.text``, ``x["text"]``, ``x.name`` (its index
    label), ``x.to_dict()``.  LFs with preprocessors get a Series.

    Parameters
    ----------
    lfs
        The m labeling functions, the columns of the result in this order.

    Examples
    --------
    >>> import pandas as pd
    >>> lf = LabelingFunction("is_big", lambda x: 1 if x.num > 42 else -1)
    >>> PandasLFApplier([lf]).apply(pd.DataFrame({"num": [10, 100]}), progress_bar=False)
    array([[-1],
           [ 1]], dtype=int8)
    """

    @overload
    def apply(
        self,
        df: pd.DataFrame,
        progress_bar: bool = ...,
        fault_tolerant: bool = ...,
        return_meta: Literal[False] = ...,
    ) -> Votes: ...

    @overload
    def apply(
        self,
        df: pd.DataFrame,
        progress_bar: bool = ...,
        fault_tolerant: bool = ...,
        *,
        return_meta: Literal[True],
    ) -> tuple[Votes, ApplierMetadata]: ...

    @overload
    def apply(
        self, df: pd.DataFrame, progress_bar: bool, fault_tolerant: bool, return_meta: Literal[True]
    ) -> tuple[Votes, ApplierMetadata]: ...

    def apply(
        self,
        df: pd.DataFrame,
        progress_bar: bool = True,
        fault_tolerant: bool = False,
        return_meta: bool = False,
    ) -> Votes | tuple[Votes, ApplierMetadata]:
        """Apply all LFs to all rows.

        Parameters
        ----------
        df
            DataFrame with n rows.
        progress_bar, fault_tolerant, return_meta
            As for :meth:`LFApplier.apply`.

        Returns
        -------
        numpy.ndarray or (numpy.ndarray, ApplierMetadata)
            Votes ``[n, m]``, -1 = abstain; int8, or int16 when there are votes above 127.

        Raises
        ------
        LabelingFunctionError
            An LF failed or returned no vote; names the LF and the row's index label, and has the LF's
            own error as its cause.
        """
        votes, meta = self.apply_part(df, progress_bar=progress_bar, fault_tolerant=fault_tolerant)
        return (votes, meta) if return_meta else votes

    def apply_part(
        self, df: pd.DataFrame, start: int = 0, *, progress_bar: bool = False, fault_tolerant: bool = False
    ) -> tuple[Votes, ApplierMetadata]:
        """Apply all LFs to some rows of a longer DataFrame.

        Parameters
        ----------
        df
            The n rows.
        start
            Position of the first of them, for error messages.
        progress_bar, fault_tolerant
            As for :meth:`LFApplier.apply`.

        Returns
        -------
        (numpy.ndarray, ApplierMetadata)
            Votes ``[n, m]``, and how often each LF failed.

        Raises
        ------
        LabelingFunctionError
            As for :meth:`apply`.
        """
        check_frame(df, type(self).__name__)
        # Preprocessing LFs of other packages may test for a Series, which a copy of a row is.
        calls = {
            lf.name: lf if isinstance(lf, LabelingFunction) else _on_copies(lf)
            for lf in self._lfs
            if not isinstance(lf, VectorizedLabelingFunction)
        }
        points = tqdm(iterate_rows(df), total=len(df), disable=not progress_bar)
        votes, meta = self._collect(
            points,
            calls,
            lambda position: f"the row with index label {_label(df, position)!r} (row {start + position})",
            fault_tolerant=fault_tolerant,
        )
        if len(calls) == len(self._lfs):
            return votes, meta
        columns = dict(zip(calls, votes.T, strict=True))
        for lf in self._lfs:
            if isinstance(lf, VectorizedLabelingFunction):
                columns[lf.name] = _column(lf, df, start, meta.faults, fault_tolerant=fault_tolerant)
        together = np.column_stack([columns[name] for name in self._lf_names])
        return together.astype(votes_dtype(int(together.max(initial=ABSTAIN)) + 1)), meta  # type: ignore[return-value]


def _column(
    lf: VectorizedLabelingFunction,
    df: pd.DataFrame,
    start: int,
    faults: Counter[str],
    *,
    fault_tolerant: bool,
) -> npt.NDArray[Any]:
    """Votes ``[n]`` of a vectorized LF; adds what it failed on to ``faults``."""
    try:
        votes, n_faults = vote_at_once(lf, df, fault_tolerant=fault_tolerant)
    except Exception as error:
        raise failure(lf.name, f"the {len(df)} rows from row {start} on", error) from error
    if n_faults:
        faults[lf.name] += n_faults
    return votes


def check_frame(df: Any, applier: str) -> None:
    """Refuse anything but a DataFrame.

    Raises
    ------
    LabelingFunctionError
        Names the applier and what it got.
    """
    if not hasattr(df, "iloc"):
        message = f"{applier} expects a DataFrame, got {type(df).__name__}; use LFApplier"
        raise LabelingFunctionError(message)


def _label(df: pd.DataFrame, position: int) -> Any:
    return df.index[position : position + 1].tolist()[0]  # numpy says np.int64(3) for 3


def vote_at_once(
    lf: VectorizedLabelingFunction, df: pd.DataFrame, *, fault_tolerant: bool
) -> tuple[npt.NDArray[np.int16], int]:
    """Votes ``[n]`` of a vectorized LF, and on how many rows it failed: none or all."""
    try:
        return lf(df), 0
    except Exception:
        if not fault_tolerant:
            raise
    return np.full(len(df), ABSTAIN, dtype=np.int16), len(df)


def _on_copies(lf: Callable[[Any], int]) -> Callable[[Any], int]:
    return lambda point: lf(copy.copy(point))
