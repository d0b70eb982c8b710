"""Data augmentation: changed copies of data points, made by transformation functions (TFs).

A TF is a mapper (:mod:`ws_pipeline.labeling.functions.mapping`); a policy (:mod:`.policies`) says
which TFs make which copy.  Start reading at :class:`TFApplier`.

Legend: n data points, t transformation functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tqdm import tqdm

from ws_pipeline.compat.augmented_frame import Copy, frame_of_copies
from ws_pipeline.compat.policies import Policy
from ws_pipeline.errors import InvalidInputError
from ws_pipeline.labeling.functions.data_points import deep_copy, fields_added, remove_fields
from ws_pipeline.labeling.functions.mapping import (
    BaseMapper,
    LambdaMapper,
    Mapper,
    apply_in_order,
    lambda_mapper,
)

if TYPE_CHECKING:
    import pandas as pd

BaseTransformationFunction = BaseMapper


class _ForRows(BaseMapper):
    """Takes from a changed row what only preprocessors set, such as a parsed text: it is of the old row."""

    def _map(self, x: Any) -> Any:
        prepared = apply_in_order(self._pre, deep_copy(x), self.name)
        added = fields_added(prepared, x)
        result = self._generate_mapped_data_point(prepared)
        remove_fields(result, added)
        return result


class TransformationFunction(_ForRows, Mapper):
    """A TF as a class; see :class:`~ws_pipeline.labeling.functions.mapping.Mapper`.

    It returns None where it does not apply to the data point.
    """


class LambdaTransformationFunction(_ForRows, LambdaMapper):
    """A TF made of a function; see :class:`~ws_pipeline.labeling.functions.mapping.LambdaMapper`."""


class transformation_function(lambda_mapper):  # noqa: N801  a decorator
    """Decorate a function to make it a TF.

    Parameters
    ----------
    name, pre, memoize, memoize_key
        As for :class:`~ws_pipeline.labeling.functions.mapping.lambda_mapper`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> @transformation_function()
    ... def square(x):
    ...     x.num = x.num**2
    ...     return x
    >>> square(SimpleNamespace(num=2))
    namespace(num=4)
    """

    mapper_type: ClassVar[type[LambdaMapper]] = LambdaTransformationFunction


class BaseTFApplier:
    """Applies TFs to a collection of data points, as a policy says.

    Parameters
    ----------
    tfs
        The t TFs.
    policy
        Which of them make which copy.

    Raises
    ------
    InvalidInputError
        Two TFs have the same name, one is a plain function, or the policy is for more TFs.
    """

    def __init__(self, tfs: Sequence[BaseMapper], policy: Policy) -> None:
        for tf in tfs:
            if not hasattr(tf, "name"):
                message = f"expected transformation functions, got {tf!r}; decorate it with "
                raise InvalidInputError(message + "@transformation_function()")
        self._names = [tf.name for tf in tfs]
        often = [name for name, count in Counter(self._names).items() if count > 1]
        if often:
            message = f"{self._names.count(often[0])} TFs are called '{often[0]}'; give each its own name"
            raise InvalidInputError(message)
        if policy.n > len(tfs):
            message = f"{type(policy).__name__} is for {policy.n} TFs, got {len(tfs)}: {self._names}"
            raise InvalidInputError(message)
        self._tfs = list(tfs)
        self._policy = policy

    def _copies(self, x: Any) -> Iterator[Any]:
        """Make the copies of one data point; those that no TF applied to are left out."""
        for sequence in self._policy.generate_for_example():
            copied, changed = x, not sequence
            for number in sequence:
                result = self._tfs[number](copied)
                if result is not None:
                    copied, changed = result, True
            if changed:
                yield copied

    def __repr__(self) -> str:
        return f"{type(self).__name__}, Policy: {type(self._policy).__name__}, TFs: {self._names}"


class TFApplier(BaseTFApplier):
    """Applies TFs to a list of data points.

    Parameters
    ----------
    tfs, policy
        As for :class:`BaseTFApplier`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from ws_pipeline.compat.policies import ApplyAllPolicy
    >>> double = LambdaTransformationFunction("double", lambda x: SimpleNamespace(num=2 * x.num))
    >>> TFApplier([double], ApplyAllPolicy(1)).apply([SimpleNamespace(num=3)], progress_bar=False)
    [namespace(num=3), namespace(num=6)]
    """

    def apply(self, data_points: Iterable[Any], progress_bar: bool = True) -> list[Any]:
        """Augment data points.

        Parameters
        ----------
        data_points
            n data points of any type; they stay as they are.
        progress_bar
            Show progress on standard error.

        Returns
        -------
        list
            Originals and copies, in the order of the data points.
        """
        points = tqdm(data_points, disable=not progress_bar)
        return [copied for x in points for copied in self._copies(x)]

    def apply_generator(self, data_points: Sequence[Any], batch_size: int) -> Iterator[list[Any]]:
        """Augment ``batch_size`` data points at a time."""
        for start in batch_starts(len(data_points), batch_size):
            yield self.apply(data_points[start : start + batch_size], progress_bar=False)


class PandasTFApplier(BaseTFApplier):
    """Applies TFs to the rows of a pandas DataFrame.

    Parameters
    ----------
    tfs, policy
        As for :class:`BaseTFApplier`.
    """

    def apply(self, df: pd.DataFrame, progress_bar: bool = True) -> pd.DataFrame:
        """Augment a DataFrame.

        Parameters
        ----------
        df
            n rows; they stay as they are.  A data point is a row as a Series.
        progress_bar
            Show progress on standard error.

        Returns
        -------
        pandas.DataFrame
            Originals and copies, in the order of the rows, each with its row's index label.  A column keeps
            its type where the values of the copies fit into it; fields that TFs add are columns behind,
            not those of their preprocessors.

        Raises
        ------
        InvalidInputError
            A TF returned something else than a row.
        """
        rows = tqdm(df.iterrows(), total=len(df), disable=not progress_bar)
        copies = [
            Copy(position, copied) for position, (_, row) in enumerate(rows) for copied in self._copies(row)
        ]
        return frame_of_copies(df, copies)

    def apply_generator(self, df: pd.DataFrame, batch_size: int) -> Iterator[pd.DataFrame]:
        """Augment ``batch_size`` rows at a time."""
        for start in batch_starts(len(df), batch_size):
            yield self.apply(df.iloc[start : start + batch_size], progress_bar=False)


def batch_starts(n: int, batch_size: int) -> range:
    """Return where batches of n data points start.

    Raises
    ------
    InvalidInputError
        The batch size is below 1.
    """
    if batch_size < 1:
        message = f"batch_size must be at least 1, got {batch_size}"
        raise InvalidInputError(message)
    return range(0, n, batch_size)
