"""Labeling functions applied to the rows of a pandas DataFrame by several processes.

The rows are cut into one part per process; votes, faults and errors are those of :class:`PandasLFApplier`.
Processes get copies of the labeling functions, lambdas and closures too.

Legend: n rows, m labeling functions (LFs), p parts.
"""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from ws_pipeline.errors import LabelingFunctionError, error_like
from ws_pipeline.labeling.functions.apply import ApplierMetadata, BaseLFApplier
from ws_pipeline.labeling.functions.apply_pandas import PandasLFApplier, check_frame
from ws_pipeline.labeling.votes.label_matrix import Votes

if TYPE_CHECKING:
    import pandas as pd

Scheduler = Literal["processes", "threads", "single-threaded"]
_BACKENDS = {"processes": "loky", "threads": "threading", "single-threaded": "sequential"}


class _Part(NamedTuple):
    """Result of a part of the rows: votes and faults, or the error and its cause."""

    votes: Votes | None
    faults: Counter[str]
    error: str | None = None
    cause: BaseException | None = None


class PandasParallelLFApplier(BaseLFApplier):
    """Applies labeling functions to the rows of a pandas DataFrame, by several processes.

    It pays for LFs that take milliseconds: parsers, models, many regular expressions.  Starting the
    processes takes about a second.

    Parameters
    ----------
    lfs
        The m labeling functions, the columns of the result in this order.

    Notes
    -----
    Each process has its own copy of the LFs: what a memoized preprocessor remembers, or an LF writes to a
    global variable, stays there.

    Examples
    --------
    >>> import pandas as pd
    >>> from ws_pipeline.labeling import LabelingFunction
    >>> lf = LabelingFunction("is_big", lambda x: 1 if x.num > 42 else -1)
    >>> frame = pd.DataFrame({"num": [10, 100]})
    >>> PandasParallelLFApplier([lf]).apply(frame, n_parallel=2, scheduler="threads")
    array([[-1],
           [ 1]], dtype=int8)
    """

    @staticmethod
    def set_up_process() -> None:
        """Prepare a process, before it unpacks the LFs; for subclasses."""

    def apply(  # type: ignore[override]  # Snorkel's order of parameters
        self,
        df: pd.DataFrame,
        n_parallel: int = 2,
        scheduler: Scheduler = "processes",
        fault_tolerant: bool = False,
        return_meta: bool = False,
        *,
        progress_bar: bool = False,
    ) -> Votes | tuple[Votes, ApplierMetadata]:
        """Apply all LFs to all rows.

        Parameters
        ----------
        df
            DataFrame with n rows.
        n_parallel
            Number of processes, at least 2.
        scheduler
            "processes"; "threads", for LFs that mostly wait; or "single-threaded", to find a fault.
        fault_tolerant, return_meta
            As for :meth:`LFApplier.apply`.
        progress_bar
            Show on standard error how many parts are done.

        Returns
        -------
        numpy.ndarray or (numpy.ndarray, ApplierMetadata)
            Votes ``[n, m]`` as :meth:`PandasLFApplier.apply` returns them.

        Raises
        ------
        LabelingFunctionError
            As for :meth:`PandasLFApplier.apply`; of several failures, that of the first row.  Or an LF
            cannot be sent to another process, a process was killed, ``n_parallel`` is below 2, or the
            scheduler is unknown.
        """
        check_frame(df, type(self).__name__)
        backend = _check_plan(n_parallel, scheduler)
        parts = self._apply_parts(df, n_parallel, backend, fault_tolerant, progress_bar)
        for part in parts:
            if part.error is not None:
                raise _like(part.cause, part.error) from part.cause
        # Parts differ in their type where some votes need 16 bits; joined, the wider one wins.
        votes: Votes = np.concatenate([part.votes for part in parts if part.votes is not None])
        faults = sum((part.faults for part in parts), Counter[str]())
        return (votes, ApplierMetadata(faults)) if return_meta else votes

    def _apply_parts(
        self, df: pd.DataFrame, n_parallel: int, backend: str, fault_tolerant: bool, progress_bar: bool
    ) -> list[_Part]:
        """One result per part, in the order of the rows."""
        from joblib import Parallel, delayed

        packed = pack(self._lfs) if backend == "loky" else None
        bounds = np.linspace(0, len(df), min(n_parallel, max(len(df), 1)) + 1).astype(int).tolist()
        calls = (
            delayed(_apply_part)(
                self.set_up_process,
                packed or self._lfs,
                df.iloc[start:stop],
                start,
                fault_tolerant=fault_tolerant,
            )
            for start, stop in itertools.pairwise(bounds)
        )
        run = Parallel(n_parallel, backend=backend, max_nbytes=None, return_as="generator")
        try:
            return list(tqdm(run(calls), total=len(bounds) - 1, disable=not progress_bar))
        except BrokenProcessPool as ended:
            message = (
                f"one of {n_parallel} processes that applied {len(self._lfs)} LFs to {len(df)} rows ended by "
                "itself: out of memory, or a crash in a library that an LF calls; use fewer processes, or "
                "PandasLFApplier to see where"
            )
            raise LabelingFunctionError(message) from ended


def _apply_part(
    set_up: Callable[[], None],
    lfs: bytes | Sequence[Any],
    part: pd.DataFrame,
    start: int,
    *,
    fault_tolerant: bool,
) -> _Part:
    """Apply LFs to the rows from ``start`` on; an error is returned, as pickling it would lose its cause."""
    set_up()
    try:
        unpacked: Any = unpack(lfs) if isinstance(lfs, bytes) else lfs
        votes, meta = PandasLFApplier(unpacked).apply_part(part, start, fault_tolerant=fault_tolerant)
    except LabelingFunctionError as error:
        return _Part(None, Counter(), str(error), picklable(error.__cause__))
    return _Part(votes, meta.faults)


def _like(cause: BaseException | None, message: str) -> LabelingFunctionError:
    """The error of a part, also of the type of the LF's own error, as in one process."""
    if isinstance(cause, Exception):
        return error_like(LabelingFunctionError, message, cause)
    return LabelingFunctionError(message)


def picklable(cause: BaseException | None) -> BaseException | None:
    """Return the exception, or one with its words where it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(cause))  # noqa: S301  our own bytes
    except Exception:  # noqa: BLE001  an exception may do anything when it is pickled
        return RuntimeError(f"{type(cause).__name__}: {cause}")
    return cause


def pack(lfs: Sequence[Any]) -> bytes:
    """Pickle LFs with the functions they are made of, which are not found by name in another process.

    Raises
    ------
    LabelingFunctionError
        One holds something that cannot be pickled; names it.
    """
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(list(lfs)))
    except Exception as error:
        for lf in lfs:
            try:
                cloudpickle.dumps(lf)
            except Exception as reason:
                message = (
                    f"LF '{lf.name}' cannot be sent to another process: {type(reason).__name__}: {reason}; "
                    'open files and connections within the function, or use scheduler="threads" or '
                    "PandasLFApplier"
                )
                raise LabelingFunctionError(message) from reason
        raise LabelingFunctionError(f"the LFs cannot be sent to another process: {error}") from error


def unpack(packed: bytes) -> list[Any]:
    """The labeling functions that another process packed with :func:`pack`."""
    unpacked: list[Any] = pickle.loads(packed)  # noqa: S301  packed by the parent
    return unpacked


def _check_plan(n_parallel: Any, scheduler: Any) -> str:
    """Return the name that joblib has for the scheduler."""
    if not isinstance(n_parallel, int | np.integer) or n_parallel < 2:
        message = (
            f"n_parallel must be a whole number, at least 2, got {n_parallel!r}; for one process, use "
            "PandasLFApplier"
        )
        raise LabelingFunctionError(message)
    if not isinstance(scheduler, str) or scheduler not in _BACKENDS:
        known = ", ".join(f"'{name}'" for name in _BACKENDS)
        message = f"unknown scheduler {scheduler!r}, expected one of {known}"
        raise LabelingFunctionError(message)
    return _BACKENDS[scheduler]
