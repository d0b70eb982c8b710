"""From data points to votes: apply labeling functions, and say which one failed where.

Legend: n data points, m labeling functions (LFs).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np
from tqdm import tqdm

from ws_pipeline.errors import LabelingFunctionError, error_like
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction, check_vote
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, LabelMatrix, Votes, votes_dtype

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class ApplierMetadata(NamedTuple):
    """Record of applying labeling functions.

    Parameters
    ----------
    faults
        LF name -> number of data points it failed on, for the LFs that failed; 0 for any other name.
    """

    faults: Counter[str]


class BaseLFApplier(ABC):
    """Applies labeling functions to a collection of data points.

    Parameters
    ----------
    lfs
        The m labeling functions, the columns of the result in this order.

    Raises
    ------
    LabelingFunctionError
        Two of them have the same name, or one is a plain function.
    """

    def __init__(self, lfs: Sequence[LabelingFunction]) -> None:
        self._lfs: list[Any] = list(lfs)
        for lf in self._lfs:
            if not (callable(lf) and hasattr(lf, "name")):
                message = f"expected labeling functions, got {lf!r}; decorate it with @labeling_function()"
                raise LabelingFunctionError(message)
        self._lf_names = [lf.name for lf in self._lfs]
        often = [
            f"{count} LFs named '{name}'" for name, count in Counter(self._lf_names).items() if count > 1
        ]
        if often:
            message = f"Operator names not unique: {', '.join(often)}; give each LF its own name"
            raise LabelingFunctionError(message)

    @abstractmethod
    def apply(self, data_points: Any, progress_bar: bool = True, fault_tolerant: bool = False) -> Votes:
        """Apply all LFs to all data points, to votes ``[n, m]``."""

    def apply_to_label_matrix(
        self,
        data_points: Any,
        cardinality: int,
        example_ids: ArrayLike | None = None,
        *,
        progress_bar: bool = True,
        fault_tolerant: bool = False,
    ) -> LabelMatrix:
        """Apply all LFs to all data points, to a label matrix with the LFs' names.

        Parameters
        ----------
        data_points
            As for ``apply``.
        cardinality
            Number of classes k.
        example_ids
            ``[n]`` integers or strings, unique.  Default: 0..n-1.
        progress_bar, fault_tolerant
            As for ``apply``.

        Raises
        ------
        LabelingFunctionError
            An LF failed.
        LabelMatrixError
            An LF voted for a class that is not below k.
        """
        votes = self.apply(data_points, progress_bar=progress_bar, fault_tolerant=fault_tolerant)
        return LabelMatrix(votes, cardinality, example_ids, self._lf_names)

    def _collect(
        self,
        points: Iterable[Any],
        calls: Mapping[str, Callable[[Any], int]],
        describe: Callable[[int], str],
        *,
        fault_tolerant: bool,
    ) -> tuple[Votes, ApplierMetadata]:
        """Votes ``[n, m]`` of calls by LF name, and faults; ``describe`` names a data point by position."""
        named_calls = list(calls.items())
        collected, faults, n = array("h"), Counter[str](), 0
        for position, point in enumerate(points):
            n += 1
            for name, call in named_calls:
                try:
                    vote = check_vote(name, call(point))
                except Exception as error:
                    if not fault_tolerant:
                        raise failure(name, describe(position), error) from error
                    faults[name] += 1
                    vote = ABSTAIN
                collected.append(vote)
        wide = np.array(collected, dtype=np.int16).reshape(n, len(named_calls))
        votes: Votes = wide.astype(votes_dtype(int(wide.max(initial=ABSTAIN)) + 1))  # type: ignore[assignment]
        return votes, ApplierMetadata(faults)

    def __repr__(self) -> str:
        return f"{type(self).__name__}, LFs: {self._lf_names}"


class LFApplier(BaseLFApplier):
    """Applies labeling functions to any iterable: a list, a generator, the rows of an array.

    Parameters
    ----------
    lfs
        The m labeling functions, the columns of the result in this order.

    Examples
    --------
    >>> lf = LabelingFunction("is_big", lambda x: 1 if x > 42 else -1)
    >>> LFApplier([lf]).apply([10, 100], progress_bar=False)
    array([[-1],
           [ 1]], dtype=int8)
    """

    @overload
    def apply(
        self,
        data_points: Iterable[Any],
        progress_bar: bool = ...,
        fault_tolerant: bool = ...,
        return_meta: Literal[False] = ...,
    ) -> Votes: ...

    @overload
    def apply(
        self,
        data_points: Iterable[Any],
        progress_bar: bool = ...,
        fault_tolerant: bool = ...,
        *,
        return_meta: Literal[True],
    ) -> tuple[Votes, ApplierMetadata]: ...

    @overload
    def apply(
        self,
        data_points: Iterable[Any],
        progress_bar: bool,
        fault_tolerant: bool,
        return_meta: Literal[True],
    ) -> tuple[Votes, ApplierMetadata]: ...

    def apply(
        self,
        data_points: Iterable[Any],
        progress_bar: bool = True,
        fault_tolerant: bool = False,
        return_meta: bool = False,
    ) -> Votes | tuple[Votes, ApplierMetadata]:
        """Apply all LFs to all data points.

        Parameters
        ----------
        data_points
            n data points of any type; read once.
        progress_bar
            Show progress on standard error.
        fault_tolerant
            Count an LF that fails as an abstain, instead of stopping.
        return_meta
            Return also how often each LF failed.

        Returns
        -------
        numpy.ndarray or (numpy.ndarray, ApplierMetadata)
            Votes ``[n, m]``, -1 = abstain; int8, or int16 when there are votes above 127.

        Raises
        ------
        LabelingFunctionError
            An LF failed or returned no vote; names the LF and the position of the data point, has the
            LF's own error as its cause, and is also of its type.
        """
        if hasattr(data_points, "iloc") and hasattr(data_points, "columns"):
            message = "LFApplier got a DataFrame, whose iteration gives column names; use PandasLFApplier"
            raise LabelingFunctionError(message)
        points = tqdm(data_points, disable=not progress_bar)
        votes, meta = self._collect(
            points,
            dict(zip(self._lf_names, self._lfs, strict=True)),
            "data point {}".format,
            fault_tolerant=fault_tolerant,
        )
        return (votes, meta) if return_meta else votes


def failure(name: str, where: str, error: BaseException) -> LabelingFunctionError:
    """The error that LF ``name`` failed at ``where``, also of the type of its own error."""
    own = isinstance(error, LabelingFunctionError)
    reason = str(error) if own else f"{type(error).__name__}: {error}"
    message = (
        f"LF '{name}' failed on {where}: {reason}; fix it, or count its faults as abstains "
        "(fault_tolerant=True; in a pipeline.yaml fault_tolerant: true under labeling_functions)"
    )
    if isinstance(error, Exception):
        return error_like(LabelingFunctionError, message, error)
    return LabelingFunctionError(message)
