"""The raw label matrix as a value: votes, whose votes, on which examples.

Legend: n examples, m labeling functions (LFs), k classes.  A vote is 0..k-1, or -1 for abstain.
Everything is validated here, once, at the border; the rest of the package trusts a
:class:`LabelMatrix`.  Start reading at :func:`validate_votes` and :meth:`LabelMatrix.from_parquet`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExampleIdError, LabelMatrixError, VoteTypeError
from ws_pipeline.example_ids import (
    ID_COLUMN,
    Ids,
    check_disjoint,
    ids_from_table,
    ids_to_array,
    is_pandas_index,
    validate_ids,
)
from ws_pipeline.files import PathLike, read_parquet

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ABSTAIN = -1
_CHECK_ROWS = 2**14  # validated and converted at a time, so that nothing large is copied twice
_CARDINALITY_KEY = b"ws_pipeline.cardinality"

Votes = npt.NDArray[np.int8] | npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False, init=False)
class LabelMatrix:
    """Votes of m labeling functions on n examples.

    Parameters
    ----------
    votes
        ``[n, m]`` array with values in {-1, 0, .., k-1}; any integer dtype, or floats with
        integer values.  Kept as a read-only int8 array (int16 from 129 classes on).
    cardinality
        Number of classes k, at least 2.
    example_ids
        ``[n]`` integers or strings, unique.  Default: 0..n-1.
    lf_names
        m unique names.  Default: ``lf_0``, ``lf_1``, ...

    Raises
    ------
    LabelMatrixError
        A vote out of range (named with its LF and example), repeated or too few names.
    ExampleIdError
        Null or repeated ids.

    Examples
    --------
    >>> matrix = LabelMatrix([[0, 1, -1], [1, 1, 0]], cardinality=2)
    >>> matrix.n_examples, matrix.n_lfs
    (2, 3)
    """

    votes: Votes
    cardinality: int
    example_ids: Ids
    lf_names: tuple[str, ...]

    def __init__(
        self,
        votes: ArrayLike,
        cardinality: int,
        example_ids: ArrayLike | None = None,
        lf_names: Sequence[str] | None = None,
    ) -> None:
        check_cardinality(cardinality)
        raw = np.asarray(votes)
        check_two_dimensional(raw)
        ids = np.arange(len(raw)) if example_ids is None else validate_ids(example_ids)
        if len(ids) != len(raw):
            message = f"example_ids has {len(ids)} entries, but votes has {len(raw)} rows"
            raise LabelMatrixError(message)
        names = (
            default_lf_names(raw.shape[1] if raw.ndim == 2 else 0)
            if lf_names is None
            else tuple(map(str, lf_names))
        )
        _check_names(names, raw.shape[1])
        checked = validate_votes(raw, cardinality, lf_names=names, example_ids=ids)
        checked.flags.writeable = False
        ids.flags.writeable = False
        fields = {
            "votes": checked,
            "cardinality": operator.index(cardinality),
            "example_ids": ids,
            "lf_names": names,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def n_examples(self) -> int:
        """Number of rows n."""
        return int(self.votes.shape[0])

    @property
    def n_lfs(self) -> int:
        """Number of labeling functions m."""
        return int(self.votes.shape[1])

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """``[n]`` mask of the examples that have at least one vote."""
        covered: npt.NDArray[np.bool_] = (self.votes != ABSTAIN).any(axis=1)
        return covered

    def __len__(self) -> int:
        return self.n_examples

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.votes, dtype=dtype, copy=copy)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelMatrix):
            return NotImplemented
        return (
            self.cardinality == other.cardinality
            and self.lf_names == other.lf_names
            and np.array_equal(self.votes, other.votes)
            and np.array_equal(self.example_ids, other.example_ids)
        )

    __hash__ = None  # type: ignore[assignment]

    def take(self, rows: npt.NDArray[Any]) -> LabelMatrix:
        """Return the examples at ``rows`` (positions or a boolean mask) as a new label matrix."""
        return LabelMatrix(self.votes[rows], self.cardinality, self.example_ids[rows], self.lf_names)

    def aligned_to(self, example_ids: npt.NDArray[Any], *, where: str = "votes") -> LabelMatrix:
        """Return the same votes in the order of ``example_ids`` ``[n']``.

        Examples without a row here get a row of abstains.

        Raises
        ------
        LabelMatrixError
            There are votes for an example that is not among ``example_ids``.
        ExampleIdError
            One has integer ids, the other strings.
        """
        if len(example_ids) and len(self) and example_ids.dtype.kind != self.example_ids.dtype.kind:
            message = (
                f"{where}: the votes have ids such as {self.example_ids[:1].tolist()}, the examples have ids "
                f"such as {example_ids[:1].tolist()}; use integers in both, or strings in both"
            )
            raise ExampleIdError(message)
        order = np.argsort(example_ids, kind="stable")
        if len(example_ids):
            slots = np.searchsorted(example_ids, self.example_ids, sorter=order)
            rows = order[np.minimum(slots, len(order) - 1)]
            known = example_ids[rows] == self.example_ids
        else:
            rows, known = np.zeros(len(self), dtype=np.intp), np.zeros(len(self), dtype=bool)
        if not known.all():
            unknown = self.example_ids[~known]
            message = (
                f"{where}: {len(unknown)} vote row(s) are for unknown examples, the first: {unknown[0]}; "
                "every example with votes needs a row in the shard's examples file"
            )
            raise LabelMatrixError(message)
        votes = np.full((len(example_ids), self.n_lfs), ABSTAIN, dtype=self.votes.dtype)
        votes[rows] = self.votes
        return LabelMatrix(votes, self.cardinality, example_ids, self.lf_names)

    @classmethod
    def concatenate(cls, shards: Mapping[str, LabelMatrix]) -> LabelMatrix:
        """Stack shards, in the order of the mapping, into one label matrix.

        Raises
        ------
        LabelMatrixError
            The LFs or the classes of a shard differ from the first one's.
        ExampleIdError
            An example id is in two shards.  Both messages name the shards.
        """
        if not shards:
            message = "no shards to concatenate"
            raise LabelMatrixError(message)
        (first_name, first), *_ = shards.items()
        for name, shard in shards.items():
            check_same_lfs(first_name, first.lf_names, name, shard.lf_names)
            check_same_cardinality(first_name, first.cardinality, name, shard.cardinality)
        check_disjoint({name: shard.example_ids for name, shard in shards.items()})
        return cls(
            np.concatenate([shard.votes for shard in shards.values()]),
            first.cardinality,
            np.concatenate([shard.example_ids for shard in shards.values()]),
            first.lf_names,
        )

    def to_table(self) -> pa.Table:
        """Encode as an Arrow table: example_id, then one integer column per LF, null = abstain."""
        columns = {ID_COLUMN: ids_to_array(self.example_ids)}
        for name, votes in zip(self.lf_names, self.votes.T, strict=True):
            columns[name] = pa.array(np.ascontiguousarray(votes), mask=votes == ABSTAIN)
        table = pa.table(columns)
        return table.replace_schema_metadata({_CARDINALITY_KEY: str(self.cardinality)})

    @classmethod
    def from_table(
        cls, table: pa.Table, cardinality: int | None = None, *, where: str = "label matrix"
    ) -> LabelMatrix:
        """Decode the table of :meth:`to_table`, or one of the same columns from elsewhere.

        Parameters
        ----------
        table
            Column ``example_id`` (integers or strings) and one integer column per LF, in which
            null and -1 mean abstain.  Integer-valued floats are accepted, since pandas writes
            integers with gaps so.
        cardinality
            Number of classes.  Default: what :meth:`to_table` stored.
        where
            Name of the source; opens every error message.
        """
        ids = ids_from_table(table, where=where)
        if cardinality is None:
            stored = (table.schema.metadata or {}).get(_CARDINALITY_KEY)
            if stored is None:
                message = f"{where}: the number of classes is not stored in the table, pass cardinality"
                raise LabelMatrixError(message)
            cardinality = int(stored)
        names = tuple(name for name in table.column_names if _is_lf(name))
        votes = np.empty((table.num_rows, len(names)), dtype=votes_dtype(cardinality), order="F")
        lf_columns = [table.column(i) for i, name in enumerate(table.column_names) if _is_lf(name)]
        for index, (name, column) in enumerate(zip(names, lf_columns, strict=True)):
            votes[:, index] = _votes_from_column(column, name, ids, cardinality, where)
        try:
            return cls(votes, cardinality, ids, names)
        except LabelMatrixError as error:
            raise LabelMatrixError(f"{where}: {error}") from None

    @classmethod
    def from_parquet(cls, path: PathLike, cardinality: int | None = None) -> LabelMatrix:
        """Read a shard of votes from a Parquet file (local path or any fsspec URL).

        Raises
        ------
        LabelMatrixError
            The file's content breaks the contract; the message names file, column and row.
        FileFormatError
            The file is truncated or not Parquet.
        """
        return cls.from_table(read_parquet(path), cardinality, where=str(path))


def validate_votes(
    votes: Any,
    cardinality: int,
    *,
    lf_names: Sequence[str] | None = None,
    example_ids: npt.NDArray[Any] | None = None,
) -> Votes:
    """Return ``votes`` as an ``[n, m]`` array of the smallest dtype, or say which vote is wrong.

    Raises
    ------
    LabelMatrixError
        Not two-dimensional, not integers, NaN, below -1 or not below ``cardinality``.
    """
    array = as_vote_array(votes)
    checked: Votes = np.empty(array.shape, dtype=votes_dtype(cardinality))  # type: ignore[assignment]
    for start in range(0, len(array), _CHECK_ROWS):
        part = array[start : start + _CHECK_ROWS]
        check_range(part, cardinality, first_row=start, lf_names=lf_names, example_ids=example_ids)
        np.copyto(checked[start : start + _CHECK_ROWS], part, casting="unsafe")
    return checked


def as_vote_array(votes: Any) -> npt.NDArray[Any]:
    """View ``votes`` as an array ``[n, m]`` of numbers, whose values are not looked at yet.

    Raises
    ------
    LabelMatrixError
        Not two-dimensional, or neither integers nor floats.
    """
    array = np.asarray(votes)
    check_two_dimensional(array)
    if array.dtype.kind not in "iuf":
        message = (
            f"votes must be integers (-1 = abstain), got dtype {array.dtype}; "
            "convert with L.astype(int) after mapping class names to 0..k-1"
        )
        raise VoteTypeError(message)
    return array


def check_two_dimensional(votes: npt.NDArray[Any]) -> None:
    """Refuse votes that are not ``[n, m]``."""
    if votes.ndim != 2:
        message = f"the label matrix must have shape [n, m], got {votes.ndim} dimension(s): {votes.shape}"
        raise LabelMatrixError(message)


def check_range(
    part: npt.NDArray[Any],
    cardinality: int,
    *,
    first_row: int = 0,
    lf_names: Sequence[str] | None = None,
    example_ids: npt.NDArray[Any] | None = None,
) -> None:
    """Refuse the first vote, row by row, that is not an integer in -1..k-1.

    Parameters
    ----------
    part
        Rows of the label matrix.
    cardinality
        Number of classes k.
    first_row
        Position of the first of them in the whole.
    lf_names, example_ids
        Of the whole label matrix, for the message.
    """
    if part.size == 0:
        return
    low, high = part.min(), part.max()
    finite = np.isfinite(low) and np.isfinite(high)
    whole = part.dtype.kind != "f" or (finite and not np.any(part != np.floor(part)))
    if whole and low >= ABSTAIN and high < cardinality:
        return
    wrong = ~((part >= ABSTAIN) & (part < cardinality))
    if part.dtype.kind == "f":
        wrong |= part != np.floor(part)
    row, lf = map(int, np.argwhere(wrong)[0])
    name = lf_names[lf] if lf_names is not None and lf < len(lf_names) else f"lf_{lf}"
    example = first_row + row if example_ids is None else example_ids[first_row + row]
    message = (
        f"LF '{name}' votes {part[row, lf]} on example {example!s}, expected an integer from -1 (abstain) "
        f"to {cardinality - 1} (cardinality={cardinality})"
    )
    raise LabelMatrixError(message)


def _is_lf(column_name: str) -> bool:
    return column_name != ID_COLUMN and not is_pandas_index(column_name)


def _votes_from_column(
    column: pa.ChunkedArray, name: str, ids: npt.NDArray[Any], cardinality: int, where: str
) -> npt.NDArray[Any]:
    """One LF's votes from an Arrow column, checked before the cast to int8 could wrap them."""
    if pa.types.is_null(column.type):
        return np.full(len(column), ABSTAIN, dtype=votes_dtype(cardinality))
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        message = (
            f"{where}: column '{name}' has type {column.type}, expected integers (null or -1 = abstain); "
            "map class names to 0..k-1 first"
        )
        raise LabelMatrixError(message)
    missing = pc.is_null(column, nan_is_null=True)
    present = pc.if_else(missing, pa.scalar(0, column.type), column)  # 0, since -1 is no unsigned integer
    try:
        votes = validate_votes(present.to_numpy()[:, None], cardinality, lf_names=[name], example_ids=ids)
    except LabelMatrixError as error:
        raise LabelMatrixError(f"{where}: {error}") from None
    votes[missing.to_numpy()] = ABSTAIN
    return votes[:, 0]


def check_cardinality(cardinality: int) -> None:
    """Refuse a number of classes below 2 or beyond int16."""
    if not 2 <= cardinality <= np.iinfo(np.int16).max:
        message = f"cardinality must be from 2 to {np.iinfo(np.int16).max}, got {cardinality}"
        raise LabelMatrixError(message)


def check_same_lfs(name: str, lfs: Sequence[str], other_name: str, other_lfs: Sequence[str]) -> None:
    """Refuse two shards whose LF columns differ; name what is missing and what is extra."""
    if tuple(lfs) == tuple(other_lfs):
        return
    missing = [lf for lf in lfs if lf not in other_lfs]
    extra = [lf for lf in other_lfs if lf not in lfs]
    difference = f"missing {missing}, extra {extra}" if missing or extra else "same names in another order"
    message = (
        f"the LF columns of shard '{other_name}' differ from those of shard '{name}': {difference}; "
        "apply the same labeling functions, in the same order, to every shard"
    )
    raise LabelMatrixError(message)


def check_same_cardinality(name: str, cardinality: int, other_name: str, other_cardinality: int) -> None:
    """Refuse two shards that were read with different numbers of classes."""
    if cardinality != other_cardinality:
        message = (
            f"shard '{name}' has {cardinality} classes, but shard '{other_name}' has {other_cardinality}"
        )
        raise LabelMatrixError(message)


def votes_dtype(cardinality: int) -> type[np.int8 | np.int16]:
    """Smallest dtype that holds -1..k-1."""
    return np.int8 if cardinality <= 128 else np.int16


def default_lf_names(n_lfs: int) -> tuple[str, ...]:
    """Names for labeling functions that have none."""
    return tuple(f"lf_{index}" for index in range(n_lfs))


def _check_names(names: tuple[str, ...], n_lfs: int) -> None:
    if len(names) != n_lfs:
        message = f"lf_names has {len(names)} entries, but votes has {n_lfs} columns"
        raise LabelMatrixError(message)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        message = f"LF names must be unique, repeated: {repeated}"
        raise LabelMatrixError(message)
    if ID_COLUMN in names:
        message = f"an LF cannot be named '{ID_COLUMN}', which is the column of the example ids"
        raise LabelMatrixError(message)
