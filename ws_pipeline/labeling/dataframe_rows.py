"""The rows of a pandas DataFrame as data points, without the cost of a Series per row.

Reading ``x.text`` or ``x["text"]`` from a Series takes microseconds, and labeling functions do
little else.  A :class:`DataFrameRow` keeps the same values in a dict, and makes the real Series only
for what a dict cannot answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

_CHUNK_ROWS = 4096
_OWN_NAMES = ("_ws_layout", "_ws_label", "_ws_values", "_ws_fields", "_ws_series")


class _Layout(NamedTuple):
    """What the rows of a DataFrame share: column labels, those that are attributes, the common dtype."""

    columns: pd.Index[Any]
    attributes: list[str]
    dtype: Any


class DataFrameRow:
    """A row that answers attribute and item access as its Series does.

    Any other use of it (``x.name``, ``x.get``, ``x.to_dict()``, ``len(x)``, slices) goes to the Series,
    made when first needed.  Setting an attribute or item writes to that Series: the DataFrame stays as
    it is.  A copy, or an unpickled row, is a Series.
    """

    __slots__ = (*_OWN_NAMES, "__dict__")
    __hash__ = None  # type: ignore[assignment]  # as a Series

    _ws_layout: _Layout
    _ws_label: Any
    _ws_values: npt.NDArray[Any]
    _ws_fields: dict[Any, Any]
    _ws_series: pd.Series[Any] | None

    def ws_to_series(self) -> pd.Series[Any]:
        """Return the row as a Series, always the same one."""
        if self._ws_series is None:
            import pandas as pd

            columns, _, dtype = self._ws_layout
            series: pd.Series[Any] = pd.Series(
                self._ws_values, columns, dtype=dtype, name=self._ws_label, copy=True
            )
            object.__setattr__(self, "_ws_series", series)
            return series
        return self._ws_series

    def __getattr__(self, name: str) -> Any:  # only what is not in __dict__
        return getattr(self.ws_to_series(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._ws_for_writing(), name, value)

    def __getitem__(self, key: Any) -> Any:
        try:
            return self._ws_fields[key]
        except (KeyError, TypeError):  # a list, a slice, or no such column
            return self.ws_to_series()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ws_for_writing()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._ws_for_writing()[key]

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self.ws_to_series().copy().__reduce__()

    def _ws_for_writing(self) -> pd.Series[Any]:
        """Return the Series, which from now on answers everything."""
        self._ws_fields.clear()
        self.__dict__.clear()
        return self.ws_to_series()


def _forward(name: str) -> Callable[..., Any]:
    def method(self: DataFrameRow, *args: Any) -> Any:
        return getattr(self.ws_to_series(), name)(*args)

    return method


# What Python looks up on the class, past __getattr__.
for _name in ("len", "iter", "contains", "repr", "eq", "ne", "bool"):
    setattr(DataFrameRow, f"__{_name}__", _forward(f"__{_name}__"))


def iterate_rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of ``frame`` as data points, with the values that ``DataFrame.apply`` gives them.

    They are :class:`DataFrameRow`, or Series where a dict cannot answer: columns that are all dates, all
    categories or all of one nullable type, that have the same label twice, or a name used here.
    """
    if len(frame) == 0:
        return
    layout = _layout_of(frame)
    if not _has_plain_values(layout.dtype):
        for position in range(len(frame)):
            yield frame.iloc[position].copy()
        return
    light = frame.columns.is_unique and not any(hasattr(DataFrameRow, name) for name in layout.attributes)
    columns = layout.columns.tolist()
    for start in range(0, len(frame), _CHUNK_ROWS):
        chunk = frame.iloc[start : start + _CHUNK_ROWS]
        for label, values in zip(chunk.index, chunk.to_numpy(), strict=True):
            row = DataFrameRow()
            fields = dict(zip(columns, values, strict=True))
            for name, value in zip(_OWN_NAMES, (layout, label, values, fields, None), strict=True):
                object.__setattr__(row, name, value)
            if light:
                row.__dict__.update({name: fields[name] for name in layout.attributes})
            yield row if light else row.ws_to_series()


def _layout_of(frame: pd.DataFrame) -> _Layout:
    import pandas as pd

    columns: list[Any] = frame.columns.tolist()
    names = [column for column in columns if isinstance(column, str)]
    attributes = [name for name in names if not hasattr(pd.Series, name)]  # those win, as in a Series
    return _Layout(frame.columns, attributes, frame.iloc[0].dtype)


def _has_plain_values(dtype: Any) -> bool:
    """Whether a row of this dtype has the values that ``frame.to_numpy()`` has."""
    import pandas as pd

    return dtype.kind not in "mM" if isinstance(dtype, np.dtype) else isinstance(dtype, pd.StringDtype)
