"""The rows of a pandas DataFrame as data points, without the cost of a Series per row.

Reading ``x.text`` or ``x["text"]`` from a Series takes microseconds, and labeling functions do
little else.  A :class:`DataFrameRow` looks the same values up in the row's array, and makes the real
Series only for what that cannot answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

_CHUNK_ROWS = 4096


class _Layout(NamedTuple):
    """Properties that the rows of a DataFrame share.

    Column labels, the common dtype, and where the value of an item or attribute is in a row's array.
    """

    columns: pd.Index[Any]
    dtype: Any
    items: Mapping[Any, int]
    attributes: Mapping[str, int]


class DataFrameRow:
    """A row that answers attribute and item access as its Series does.

    Any other use of it (``x.name``, ``x.get``, ``x.to_dict()``, ``len(x)``, slices) goes to the Series,
    made when first needed.  Setting an attribute or item writes to that Series: the DataFrame stays as
    it is.  A copy, or an unpickled row, is a Series.

    Parameters
    ----------
    layout
        What it shares with the other rows.
    label
        Its index label.
    values
        Its values ``[columns]``.
    """

    __slots__ = ("__dict__", "_ws_row")  # one slot, as setting one takes much of the time of making a row
    __hash__ = None  # type: ignore[assignment]  # as a Series

    _ws_row: tuple[_Layout, Any, npt.NDArray[Any], pd.Series[Any] | None]

    def __init__(self, layout: _Layout, label: Any, values: npt.NDArray[Any]) -> None:
        _set_row(self, (layout, label, values, None))

    def ws_to_series(self) -> pd.Series[Any]:
        """Return the row as a Series, always the same one."""
        layout, label, values, series = self._ws_row
        if series is None:
            import pandas as pd

            series = pd.Series(values, layout.columns, dtype=layout.dtype, name=label, copy=True)
            _set_row(self, (layout, label, values, series))
        return series

    def __getattr__(self, name: str) -> Any:  # only what is not in __dict__
        layout, _, values, _ = self._ws_row
        position = layout.attributes.get(name)
        if position is None:
            return getattr(self.ws_to_series(), name)
        value = self.__dict__[name] = values[position]
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._ws_for_writing(), name, value)

    def __getitem__(self, key: Any) -> Any:
        layout, _, values, _ = self._ws_row
        try:
            return values[layout.items[key]]
        except (KeyError, TypeError):  # a list, a slice, or no such column
            return self.ws_to_series()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ws_for_writing()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._ws_for_writing()[key]

    def __copy__(self) -> pd.Series[Any]:
        return self.ws_to_series().copy()

    def __reduce__(self) -> str | tuple[Any, ...]:
        return self.ws_to_series().copy().__reduce__()

    def _ws_for_writing(self) -> pd.Series[Any]:
        """Return the Series, which from now on answers everything."""
        series = self.ws_to_series()
        layout, label, values, _ = self._ws_row
        _set_row(self, (layout._replace(items={}, attributes={}), label, values, series))
        self.__dict__.clear()
        return series


_set_row = vars(DataFrameRow)["_ws_row"].__set__  # past the attributes that go to the Series


def _forward(name: str) -> Callable[..., Any]:
    def method(self: DataFrameRow, *args: Any) -> Any:
        return getattr(self.ws_to_series(), name)(*args)

    return method


# What Python looks up on the class, past __getattr__.
for _name in ("len", "iter", "contains", "repr", "eq", "ne", "bool", "dir"):
    setattr(DataFrameRow, f"__{_name}__", _forward(f"__{_name}__"))


def iterate_rows(frame: pd.DataFrame, *, columns_win: bool = False) -> Iterator[Any]:
    """Yield the rows of ``frame`` as data points, with the values that ``DataFrame.apply`` gives them.

    They are :class:`DataFrameRow`, or Series where that cannot answer: columns that are all dates, all
    categories or all of one nullable type, that have the same label twice, or a name used here.

    Of a Series ``x.size`` is the number of columns, and of a row too, unless ``columns_win``: then it is the
    value in the column "size", if there is one.
    """
    if len(frame) == 0:
        return
    layout = _layout_of(frame, columns_win=columns_win)
    if not _has_plain_values(layout.dtype):
        for position in range(len(frame)):
            yield frame.iloc[position].copy()
        return
    light = frame.columns.is_unique and not any(hasattr(DataFrameRow, name) for name in layout.attributes)
    for start in range(0, len(frame), _CHUNK_ROWS):
        chunk = frame.iloc[start : start + _CHUNK_ROWS]
        for label, values in zip(chunk.index, chunk.to_numpy(), strict=True):
            row = DataFrameRow(layout, label, values)
            yield row if light else row.ws_to_series()


def _layout_of(frame: pd.DataFrame, *, columns_win: bool) -> _Layout:
    import pandas as pd

    items: dict[Any, int] = {column: position for position, column in enumerate(frame.columns.tolist())}
    names = {column: position for column, position in items.items() if isinstance(column, str)}
    attributes = {name: at for name, at in names.items() if columns_win or not hasattr(pd.Series, name)}
    columns = frame.columns.view()  # a row may name its own index, not the frame's columns
    return _Layout(columns, frame.iloc[0].dtype, items, attributes)


def _has_plain_values(dtype: Any) -> bool:
    """Whether a row of this dtype has the values that ``frame.to_numpy()`` has."""
    import pandas as pd

    return dtype.kind not in "mM" if isinstance(dtype, np.dtype) else isinstance(dtype, pd.StringDtype)
