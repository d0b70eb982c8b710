"""Find the feature columns of an examples table, their values, and why the other columns are none.

A column is a feature by what it holds, not by the type it is stored in: every row has numbers, and as many
as every other row.  So integers, floats, decimals and booleans are features, and lists of them whose rows
have one length, nested ones too.  What is left out is told by name, type and reason; nothing is left out
silently.

Legend: n examples.  Start reading at :func:`choose_features`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExamplesError, GoldFeatureWarning, LeftOutColumnWarning
from ws_pipeline.example_ids import Ids, pandas_indexes
from ws_pipeline.storage.arrow_types import (
    holds_lists,
    holds_nothing,
    holds_numbers,
    holds_text,
    plain_values,
    value_type,
)

Floats = npt.NDArray[np.float32]

_NUMBER = r"^\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*$"
_SHOWN = 3  # values of a column of text that a message shows
_LOOKED_AT = 1000  # rows among which they are sought
_LONGEST = 30  # characters of such a value that are shown
_MANY = 20  # gold labels that a feature does not equal by chance
_ROW_NUMBERS = frozenset({"index", "level_0", "column0", "...1"})
"""What pandas (reset_index), DuckDB and R's readr call row numbers that became a column."""
_NO_VALUE = "no value in any row"
_NOT_NAMED = "not named in feature_columns"


class LeftOut(NamedTuple):
    """A column that is no feature: its name, its Arrow type, and why."""

    column: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"'{self.column}' ({self.kind}): {self.reason}"


class FeatureSet(NamedTuple):
    """The features of a shard: number of values by column name, and the columns that are none."""

    widths: Mapping[str, int]
    left_out: Sequence[LeftOut] = ()


def choose_features(
    table: pa.Table,
    ids: Ids,
    taken: Collection[str],
    *,
    where: str,
    named: Sequence[str] | None = None,
) -> tuple[list[str], tuple[LeftOut, ...]]:
    """Find the columns that are features.

    Parameters
    ----------
    table
        The examples.  Of a table without rows, only what the types tell is known.
    ids
        ``[n]`` ids of the examples, for messages.
    taken
        Columns that mean something else: ids, splits and gold labels.
    where
        Name of the table; opens the messages.
    named
        The feature columns that are wanted.  Default: all that can feed a model.

    Returns
    -------
    (list of str, tuple of LeftOut)
        The features in the order of the table, or of ``named``; and the other columns.

    Raises
    ------
    ExamplesError
        A wanted column is not there, or holds something else than numbers.

    Warns
    -----
    LeftOutColumnWarning
        Columns that cannot feed a model, when the wanted ones are not named.
    """
    others = [name for name in table.column_names if name not in taken]
    if named is not None:
        reasons = {name: None if name in named else _NOT_NAMED for name in others}
        features = _named_features(table, ids, named, where)
    else:
        indexes = pandas_indexes(table.schema)
        reasons = {name: _why_left_out(table, name, indexes) for name in others}
        features = [name for name, reason in reasons.items() if reason is None]
    left_out = tuple(
        LeftOut(name, str(table.schema.field(name).type), reason)
        for name, reason in reasons.items()
        if reason is not None and table.num_rows
    )
    if left_out and named is None:
        warnings.warn(_describe(left_out, features, where), LeftOutColumnWarning, stacklevel=3)
    return features, left_out


def warn_of_gold_among_features(
    features: Mapping[str, Floats], gold: Mapping[str, npt.NDArray[np.int64]], *, where: str
) -> None:
    """Warn of feature columns that equal the gold labels of a task on every example that has one.

    Parameters
    ----------
    features
        Column name to ``[n, width]``.
    gold
        Task name to ``[n]`` gold labels, -1 where unknown.
    where
        Name of the table; opens the message.
    """
    for task, labels in gold.items():
        known = labels >= 0
        if known.sum() < _MANY or len(np.unique(labels[known])) < 2:
            continue
        for name, values in features.items():
            if values.shape[1] == 1 and np.array_equal(values[known, 0], labels[known]):
                message = (
                    f"{where}: feature column '{name}' equals the gold labels of task '{task}' on all "
                    f"{known.sum()} examples that have one; a model fed with it has nothing to learn, "
                    "and its scores mean nothing; drop the column, or list the features under "
                    "feature_columns"
                )
                warnings.warn(message, GoldFeatureWarning, stacklevel=3)


def read_feature(column: pa.ChunkedArray) -> Floats:
    """The values of a feature column as ``[n, width]`` float32, row by row, null as NaN."""
    plain = plain_values(column)
    if not holds_lists(plain.type):
        # through float64: the direct way gives 1.5000001 for the decimal 1.500
        numbers = plain.cast(pa.float64()) if pa.types.is_decimal(plain.type) else plain
        single: Floats = numbers.cast(pa.float32(), safe=False).to_numpy().astype(np.float32)
        return single.reshape(-1, 1)
    sizes = _list_sizes(plain)
    size = int(sizes[0]) if len(sizes) else 0
    # flattening skips null lists, so rows are filled in by their positions
    inner = read_feature(pc.list_flatten(plain))
    values = np.full((len(plain), size * inner.shape[1]), np.nan, dtype=np.float32)
    values[np.asarray(plain.is_valid())] = inner.reshape(-1, values.shape[1])
    return values


def check_same_features(shards: Mapping[str, FeatureSet]) -> None:
    """Refuse shards whose feature columns or their widths differ.

    Parameters
    ----------
    shards
        Shard name to its features; shards without rows, of which nothing is known, left out.

    Raises
    ------
    ExamplesError
        Names both shards, the columns, and why a column that is missing is no feature there.
    """
    if not shards:
        return
    (first_name, first), *others = shards.items()
    for name, found in others:
        differences = _differences(first, found, first_name)
        if differences:
            message = (
                f"the features of shard '{name}' differ from those of shard '{first_name}': "
                f"{', '.join(differences)}; compute the same features for every shard"
            )
            raise ExamplesError(message)


def encode_left_out(left_out: Sequence[LeftOut]) -> str:
    """Text to keep with a table; :func:`decode_left_out` reads it."""
    return json.dumps(left_out)


def decode_left_out(text: str | bytes) -> tuple[LeftOut, ...]:
    """Read what :func:`encode_left_out` wrote."""
    return tuple(LeftOut(*values) for values in json.loads(text))


def _differences(first: FeatureSet, found: FeatureSet, first_name: str) -> list[str]:
    """Describe how the features of a shard differ from those of the first one."""
    missing = [column for column in first.widths if column not in found.widths]
    extra = [column for column in found.widths if column not in first.widths]
    reshaped = [
        f"'{column}' has {found.widths[column]} values instead of {width}"
        for column, width in first.widths.items()
        if found.widths.get(column, width) != width
    ]
    return [
        *([f"missing {missing}{_reasons(missing, found, 'there')}"] if missing else []),
        *([f"extra {extra}{_reasons(extra, first, f'of shard {first_name!r}')}"] if extra else []),
        *reshaped,
    ]


def _reasons(columns: Sequence[str], shard: FeatureSet, place: str) -> str:
    reasons = [str(column) for column in shard.left_out if column.column in columns]
    return f" (left out {place}: {'; '.join(reasons)})" if reasons else ""


def _named_features(table: pa.Table, ids: Ids, named: Sequence[str], where: str) -> list[str]:
    missing = [name for name in named if name not in table.column_names]
    if missing:
        message = f"{where}: no feature column {missing}, got {table.column_names}"
        raise ExamplesError(message)
    reasons = {name: _why_no_feature(table[name]) for name in named}
    for name, reason in reasons.items():
        if reason is not None and table.num_rows:
            _refuse(table[name], name, reason, ids, where)
    return [name for name, reason in reasons.items() if reason is None]


def _refuse(column: pa.ChunkedArray, name: str, reason: str, ids: Ids, where: str) -> None:
    opening = f"{where}: feature column '{name}' has type {column.type}, expected"
    if _holds_number_lists(column.type):
        found = _unlike_lists(column, ids) or reason
        message = f"{opening} lists of one length, got {found}; store it as a fixed-size list"
    else:
        message = (
            f"{opening} numbers or lists of numbers; turn it into numbers, or leave it out of the feature "
            f"columns (it holds {reason})"
        )
    raise ExamplesError(message)


def _holds_number_lists(kind: pa.DataType) -> bool:
    while holds_lists(kind):
        kind = value_type(kind).value_type
        if holds_numbers(kind):
            return True
    return False


def _unlike_lists(column: pa.ChunkedArray, ids: Ids) -> str:
    """Two lengths of lists with an example of each; empty if the lists have one length, above 0."""
    lengths = pc.list_value_length(plain_values(column)).fill_null(-1).to_numpy()
    known = np.unique(lengths[lengths >= 0])
    if len(known) == 1 and known[0]:
        return ""
    found = [f"{size} values for example {ids[np.argmax(lengths == size)]}" for size in known[:2]]
    return " and ".join(found) or "no list"


def _why_left_out(table: pa.Table, name: str, indexes: Collection[str]) -> str | None:
    if name in indexes:
        return "row numbers, the index of a pandas table"
    if not name.strip():
        return "a column without a name, such as the row numbers of a CSV file"
    if name in _ROW_NUMBERS and _counts_up(table[name]):
        return "row numbers, an index that became a column"
    return _why_no_feature(table[name])


def _counts_up(column: pa.ChunkedArray) -> bool:
    """Whether a column holds whole numbers that grow by one from row to row."""
    if not pa.types.is_integer(column.type) or column.null_count or not len(column):
        return False
    numbers = column.to_numpy()
    return np.array_equal(numbers, numbers[0] + np.arange(len(numbers)))


def _why_no_feature(column: pa.ChunkedArray) -> str | None:
    """Reason why a column cannot feed a model; None if it can."""
    plain = plain_values(column)
    if holds_lists(plain.type):
        return _why_no_list_of_numbers(plain)
    if holds_numbers(plain.type):
        return None
    if holds_nothing(plain.type) or plain.null_count == len(plain):
        return _NO_VALUE
    return _text_reason(plain) if holds_text(plain.type) else f"no numbers but {_what_holds(plain.type)}"


def _why_no_list_of_numbers(column: pa.ChunkedArray) -> str | None:
    sizes = _list_sizes(column)
    if len(sizes) > 1:
        return f"lists of different lengths, {sizes[0]} to {sizes[-1]} values"
    if not len(sizes) or not sizes[0]:
        return _NO_VALUE
    within = _why_no_feature(pc.list_flatten(column))
    return None if within is None else f"lists of {within}"


def _list_sizes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The different lengths of the lists of a column, sorted; of a fixed-size type also without any list."""
    if pa.types.is_fixed_size_list(column.type):
        return np.array([column.type.list_size])
    lengths = pc.unique(pc.list_value_length(column)).drop_null()
    return np.sort(lengths.to_numpy(zero_copy_only=False).astype(np.int64))


def _text_reason(column: pa.ChunkedArray) -> str:
    """Explain why text is no feature; values that are no numbers are shown where others are."""
    values = column.drop_null()
    is_number = pc.match_substring_regex(values, _NUMBER)
    others = values.filter(pc.invert(is_number))
    if not len(others):
        return f"numbers written as text, such as {_examples(values)}"
    if len(others) == len(values):
        return f"text, such as {_examples(others)}"
    return (
        f"numbers written as text in {len(values) - len(others)} of {len(column)} rows, but others hold "
        f"{_examples(others)}"
    )


def _examples(values: pa.ChunkedArray) -> str:
    shown = values.slice(0, _LOOKED_AT).unique()[:_SHOWN].to_pylist()
    return ", ".join(repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...") for text in shown)


def _what_holds(kind: pa.DataType) -> str:
    if pa.types.is_temporal(kind):
        return "dates or times"
    if pa.types.is_struct(kind):
        return "structs"
    if pa.types.is_map(kind):
        return "maps"
    return "bytes" if "binary" in str(kind) else "values of another kind"


def _describe(left_out: Sequence[LeftOut], features: Sequence[str], where: str) -> str:
    columns = "1 column is no feature" if len(left_out) == 1 else f"{len(left_out)} columns are no features"
    found = f"the features are {list(features)}" if features else "there is no feature"
    return (
        f"{where}: {columns}: {'; '.join(map(str, left_out))}; {found}; turn the others into numbers if they "
        "should be features too, or list the features under feature_columns"
    )
