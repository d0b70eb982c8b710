"""Labels that are written as names of classes: which number each is, and which names are none."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import InvalidInputError
from ws_pipeline.settings.base import nearest
from ws_pipeline.storage.arrow_types import holds_text, plain_values

_SHOWN = 5  # names that are no class, in a message


def numbers_of_names(
    column: pa.ChunkedArray, classes: Sequence[str], *, what: str, error: type[InvalidInputError]
) -> pa.ChunkedArray:
    """Numbers of the classes that a column names; a column that holds no text is returned as it is.

    Parameters
    ----------
    column
        ``[n]`` labels of any Arrow type.
    classes
        Names of the k classes, each once.
    what
        What the column is called; opens the message.
    error
        Type of the error to raise.

    Returns
    -------
    pyarrow.ChunkedArray
        ``[n]`` int64 in 0..k-1, null where the label is.

    Raises
    ------
    InvalidInputError
        (or ``error``) A text is no class; the message has each with its number, the most frequent first.
    """
    if not holds_text(column.type):
        return column
    names = plain_values(column)
    numbers = pc.index_in(names, value_set=pa.array(classes, pa.large_string()))
    unknown = names.filter(pc.and_(pc.is_null(numbers), pc.is_valid(names)))
    if not len(unknown):
        return numbers.cast(pa.int64())
    counts = unknown.value_counts().to_pylist()
    counts.sort(key=lambda found: (-found["counts"], found["values"]))
    shown = ", ".join(f"{found['values']!r} ({found['counts']})" for found in counts[:_SHOWN])
    more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    known = nearest(counts[0]["values"], list(classes))
    message = f"{what} has labels that are no class: {shown}{more}; null means no label; {known}"
    raise error(message)
