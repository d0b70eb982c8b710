"""A DataFrame of rows that were changed one by one, with the types of the DataFrame they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ws_pipeline.errors import InvalidInputError
from ws_pipeline.labeling.functions.data_points import fields_beside

if TYPE_CHECKING:
    import pandas as pd


class Copy(NamedTuple):
    """A changed row, and the position of the row it comes from."""

    position: int
    row: Any


def frame_of_copies(frame: pd.DataFrame, copies: Sequence[Copy]) -> pd.DataFrame:
    """Put rows together.

    Parameters
    ----------
    frame
        Where the rows come from.
    copies
        The rows, each a Series; fields set as attributes count as columns.

    Returns
    -------
    pandas.DataFrame
        The rows with the index labels of those they come from.  Columns keep their type where all values
        fit; new columns are last, NaN where a row has none.

    Raises
    ------
    InvalidInputError
        Something that is no row.
    """
    import pandas as pd

    for copied in copies:
        if not isinstance(copied.row, pd.Series):
            message = (
                "a transformation function of rows must return the row or None, got "
                f"{type(copied.row).__name__} for the row with index label {frame.index[copied.position]!r}"
            )
            raise InvalidInputError(message)
    index = frame.index.take([copied.position for copied in copies])
    cells = _cells(frame, [copied.row for copied in copies])
    columns = [
        _with_type(pd.Series(values, index=index, dtype=object), frame[name].dtype if name in frame else None)
        for name, values in cells.items()
    ]
    found = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=index)
    found.columns = pd.Index(list(cells))
    return found


def _cells(frame: pd.DataFrame, rows: Sequence[pd.Series[Any]]) -> dict[Any, list[Any]]:
    """Values by column: those of the frame that a row still has, then new ones in order of appearance."""
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        message = f"two columns are called {twice!r}; give each its own name"
        raise InvalidInputError(message)
    fields = [{**dict(zip(row.index, row, strict=True)), **fields_beside(row)} for row in rows]
    known = {name: None for found in fields for name in found}
    names = [name for name in frame.columns if name in known or not rows]
    names += [name for name in known if name not in frame.columns]
    return {name: [found.get(name, float("nan")) for found in fields] for name in names}


def _with_type(values: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    """Give values the type of their column, unless that would change one."""
    if dtype is None:
        return values.infer_objects()
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return values
    categories = getattr(dtype, "categories", None)
    if categories is not None and not bool(values.dropna().isin(categories).all()):
        return values.infer_objects()
    try:
        typed = values.astype(dtype)
        unchanged = (typed.astype(object) == values) | (typed.isna() & values.isna())
        return typed if bool(unchanged.all()) else values.infer_objects()
    except (TypeError, ValueError, OverflowError):
        return values.infer_objects()
