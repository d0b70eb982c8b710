"""One labeling function after the other on all rows of a DataFrame, in one process or several.

The rows come in parts of a fixed length: votes, faults and errors are the same however many processes share
the parts.  Within a part each LF runs over a block of rows, a vectorized LF over all of them, so that its
time is known and votes are checked many at a time.

Legend: n rows, m labeling functions (LFs), r rows of a part.
"""

from __future__ import annotations

import itertools
import time
import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling.functions.apply import failure
from ws_pipeline.labeling.functions.apply_pandas import check_frame, vote_at_once
from ws_pipeline.labeling.functions.apply_parallel import pack, picklable, unpack
from ws_pipeline.labeling.functions.dataframe_rows import iterate_rows
from ws_pipeline.labeling.functions.labeling_function import (
    LabelingFunction,
    VectorizedLabelingFunction,
    check_vote,
)
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN

if TYPE_CHECKING:
    import pandas as pd

_PART_ROWS = 2**14
_BLOCK_ROWS = 2**9  # rows that stay in a core's cache while one LF after the other reads them

VotesOfLF = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class AppliedLFs:
    """Votes of labeling functions, and what applying them took.

    Parameters
    ----------
    votes
        LF name to its votes ``[n]``, -1 = abstain.
    faults
        LF name to the number of rows that it failed on, for the LFs that failed.
    seconds
        LF name to the seconds that it took, summed over the processes.
    """

    votes: dict[str, VotesOfLF]
    faults: Counter[str]
    seconds: dict[str, float]


class _Part(NamedTuple):
    """Result of a part of the rows: votes per LF, faults, seconds; or the LF, row and error that ended it."""

    votes: list[VotesOfLF]
    faults: list[int]
    seconds: list[float]
    failed: tuple[str, int | None, BaseException] | None = None


class _FaultError(Exception):
    """An LF failed on a row of the part; None: on all of it."""

    def __init__(self, name: str, row: int | None, error: BaseException) -> None:
        super().__init__(str(error))
        self.name, self.row, self.error = name, row, error


def apply_by_lf(
    lfs: Sequence[LabelingFunction],
    df: pd.DataFrame,
    *,
    n_processes: int = 1,
    fault_tolerant: bool = False,
    name_row: Callable[[int], str] = "row {}".format,
    progress: Callable[[int], object] | None = None,
) -> AppliedLFs:
    """Apply labeling functions to the rows of a DataFrame, one LF after the other.

    Parameters
    ----------
    lfs
        The m labeling functions, names unique.
    df
        DataFrame with n rows; a data point is a row of it, see :class:`.PandasLFApplier`.
    n_processes
        Number of processes, at least 1.  The results are the same for any number.
    fault_tolerant
        Count an LF that fails on a row as an abstain, instead of stopping.
    name_row
        Names a row by its position, for messages.
    progress
        Called with the number of rows that are done, part by part.

    Raises
    ------
    LabelingFunctionError
        An LF failed, or did not return a vote; names the LF and the row, has the LF's own error as its cause,
        and is also of its type.
    """
    check_frame(df, "apply_by_lf")
    parts: list[_Part] = []
    done = 0
    with _closing(_results(lfs, df, n_processes=n_processes, fault_tolerant=fault_tolerant)) as results:
        for part in results:
            if part.failed is not None:
                name, row, error = part.failed
                where = f"the {min(_PART_ROWS, len(df) - done)} rows from {name_row(done)} on"
                raise failure(name, where if row is None else name_row(done + row), error) from error
            parts.append(part)
            done = min(done + _PART_ROWS, len(df))
            if progress is not None:
                progress(done)
    return _join([lf.name for lf in lfs], parts)


@contextmanager
def _closing(results: Generator[_Part]) -> Iterator[Generator[_Part]]:
    """Cancel the parts that are not done when one failed; joblib would warn that it does so."""
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"\d+ tasks? which", category=UserWarning)
            results.close()


def _join(names: Sequence[str], parts: Sequence[_Part]) -> AppliedLFs:
    nothing = np.empty(0, dtype=np.int16)
    votes = {
        name: np.concatenate([nothing, *(part.votes[lf] for part in parts)]) for lf, name in enumerate(names)
    }
    faults = {name: sum(part.faults[lf] for part in parts) for lf, name in enumerate(names)}
    seconds = {name: sum(part.seconds[lf] for part in parts) for lf, name in enumerate(names)}
    return AppliedLFs(votes, +Counter(faults), seconds)


def _results(
    lfs: Sequence[LabelingFunction], df: pd.DataFrame, *, n_processes: int, fault_tolerant: bool
) -> Generator[_Part]:
    """One result per part, in the order of the rows."""
    frames = (df.iloc[start : start + _PART_ROWS] for start in range(0, len(df), _PART_ROWS))
    if n_processes == 1 or len(df) <= _PART_ROWS:
        for frame in frames:
            yield _apply_to_part(lfs, frame, fault_tolerant=fault_tolerant)
        return
    from joblib import Parallel, delayed

    packed = pack(lfs)
    run = Parallel(n_processes, backend="loky", max_nbytes=None, return_as="generator")
    calls = (delayed(_apply_packed)(packed, frame, fault_tolerant=fault_tolerant) for frame in frames)
    yield from run(calls)


def _apply_packed(packed: bytes, frame: pd.DataFrame, *, fault_tolerant: bool) -> _Part:
    """Apply LFs in another process; an error has to survive the way back."""
    part = _apply_to_part(_unpacked(packed), frame, fault_tolerant=fault_tolerant)
    if part.failed is None:
        return part
    name, row, error = part.failed
    return part._replace(failed=(name, row, picklable(error) or error))


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Sequence[LabelingFunction]:
    return unpack(packed)


def _apply_to_part(lfs: Sequence[LabelingFunction], frame: pd.DataFrame, *, fault_tolerant: bool) -> _Part:
    """Apply all LFs to the rows of one part."""
    columns = {lf.name: _Column(lf, fault_tolerant=fault_tolerant) for lf in lfs}
    by_row = [column for column in columns.values() if not column.vectorized]
    try:
        for column in columns.values():
            if column.vectorized:
                column.add_frame(column.vectorized, frame)
        rows = iterate_rows(frame, columns_win=True) if by_row else iter(())
        while block := list(itertools.islice(rows, _BLOCK_ROWS)):
            for column in by_row:
                column.add_rows(block)
        votes = [column.votes() for column in columns.values()]
    except _FaultError as fault:
        return _Part([], [], [], failed=(fault.name, fault.row, fault.error))
    return _Part(
        votes,
        [column.n_faults for column in columns.values()],
        [column.seconds for column in columns.values()],
    )


class _Column:
    """Collects the votes of one LF on the rows of a part."""

    def __init__(self, lf: LabelingFunction, *, fault_tolerant: bool) -> None:
        self._lf = lf
        self._call = lf.unchecked()
        self._fault_tolerant = fault_tolerant
        self._results: list[Any] = []
        self._at_once: VotesOfLF | None = None
        self.vectorized = lf if isinstance(lf, VectorizedLabelingFunction) else None
        self.n_faults = 0
        self.seconds = 0.0

    def add_frame(self, lf: VectorizedLabelingFunction, frame: pd.DataFrame) -> None:
        """Let a vectorized LF vote on all rows."""
        start = time.perf_counter()
        try:
            self._at_once, self.n_faults = vote_at_once(lf, frame, fault_tolerant=self._fault_tolerant)
        except (Exception, SystemExit) as error:
            raise _FaultError(lf.name, None, error) from error
        self.seconds += time.perf_counter() - start

    def add_rows(self, block: Sequence[Any]) -> None:
        """Let the LF vote on some more rows, one by one; abstain where it fails, if that is tolerated."""
        start = time.perf_counter()
        rest, end = iter(block), len(self._results) + len(block)
        while len(self._results) < end:
            try:
                self._results.extend(map(self._call, rest))  # keeps what it has got when a call fails
            except (Exception, SystemExit) as error:  # noqa: BLE001  an LF may raise anything
                self._count_fault(len(self._results), error)
                self._results.append(ABSTAIN)
        self.seconds += time.perf_counter() - start

    def votes(self) -> VotesOfLF:
        """Votes ``[r]``, checked."""
        if self._at_once is not None:
            return self._at_once
        try:
            votes = np.frombuffer(array("h", self._results), dtype=np.int16)
        except (TypeError, OverflowError):
            votes = None
        if votes is None or (votes.size and votes.min() < ABSTAIN):
            votes = np.array([self._check(row, result) for row, result in enumerate(self._results)], np.int16)
        return votes

    def _check(self, row: int, result: Any) -> int:
        try:
            return check_vote(self._lf.name, result)
        except LabelingFunctionError as error:
            self._count_fault(row, error)
            return ABSTAIN

    def _count_fault(self, row: int, error: BaseException) -> None:
        if not self._fault_tolerant:
            raise _FaultError(self._lf.name, row, error) from error
        self.n_faults += 1
