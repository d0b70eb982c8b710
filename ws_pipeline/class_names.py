"""Labels that are written as names of classes: which number each is, and which names are none."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import InvalidInputError
from ws_pipeline.settings.base import nearest
from ws_pipeline.storage.arrow_types import holds_text, plain_values, value_type
from ws_pipeline.storage.column_kinds import ColumnKind, mapped, whole_number

_LONGEST = 30  # characters of such a name
_SHOWN = 5  # names that are no class, in a message
_ABSTAIN = -1


def numbers_of_names(
    column: pa.ChunkedArray,
    classes: Sequence[str],
    *,
    what: str,
    error: type[InvalidInputError],
    hint: str = "",
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
    hint
        What else to do about names that are no class; ends the message.

    Returns
    -------
    pyarrow.ChunkedArray
        ``[n]`` int64 in 0..k-1, null where the label is.

    Raises
    ------
    InvalidInputError
        (or ``error``) A text is no class; the message has each with its number, the most frequent first.  Or
        the labels are numbers, and so are the names of the classes, in another order.
    """
    if not holds_text(column.type):
        _refuse_two_meanings(column, classes, what, error)
        return column
    names = plain_values(column)
    numbers = pc.index_in(names, value_set=pa.array(classes, pa.large_string()))
    unknown = names.filter(pc.and_(pc.is_null(numbers), pc.is_valid(names)))
    if not len(unknown):
        return numbers.cast(pa.int64())
    counts = unknown.value_counts().to_pylist()
    counts.sort(key=lambda found: (-found["counts"], found["values"]))
    shown = ", ".join(f"{_short(found['values'])!r} ({found['counts']})" for found in counts[:_SHOWN])
    more = f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    known = nearest(counts[0]["values"], list(classes))
    message = f"{what} has labels that are no class: {shown}{more}; null means no label; {known}{hint}"
    raise error(message)


def kind_of_classes(classes: Sequence[str], *, if_other: str = "") -> ColumnKind:
    """What a column of votes or gold labels may hold in a file that has only text: one class per value.

    A value is the name of a class.  Where no class is called by a number, it may be a class's place, 0 to
    k-1, too; where one is, a number is a name (1.0 is the name 1).  Empty, or a -1 that is no name, means no
    label.

    Parameters
    ----------
    classes
        Names of the k classes.
    if_other
        What else to do about a value that is no class; ends the message.
    """
    known = set(classes)
    are_numbers = any(whole_number(name) is not None for name in classes)

    def value_of(text: str) -> tuple[str | None, bool]:
        number = whole_number(text)
        if text in known or number is None:
            return text, text in known
        if number == _ABSTAIN:
            return None, True
        if are_numbers:
            return str(number), str(number) in known
        return (classes[number], True) if 0 <= number < len(classes) else (None, False)

    shown = ", ".join(map(repr, classes[:_SHOWN])) + (", ..." if len(classes) > _SHOWN else "")
    places = "" if are_numbers else f", or its place 0 to {len(classes) - 1}"
    expected = f"the name of a class ({shown}){places}; empty or -1 for none"
    return mapped(expected, f"correct the value{if_other}", value_of, pa.large_string())


def _refuse_two_meanings(
    column: pa.ChunkedArray, classes: Sequence[str], what: str, error: type[InvalidInputError]
) -> None:
    """Refuse numbers, or booleans, that could be places of classes as well as other names."""
    names = [name.strip().casefold() for name in classes]
    if pa.types.is_boolean(value_type(column.type)):
        names = [{"false": "0", "true": "1"}.get(name, name) for name in names]
    numbered = all(re.fullmatch(r"-?\d+", name) for name in names)
    if numbered and names != [str(place) for place in range(len(names))]:
        message = (
            f"{what} has the type {column.type}, and the classes are called {list(classes)}: a number is the "
            f"place of a class, so that 0 would be '{classes[0]}'; write names as text, or rename the classes"
        )
        raise error(message)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
