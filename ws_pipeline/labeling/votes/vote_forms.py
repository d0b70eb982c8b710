"""The forms that votes come in, brought to two: a dense array, or a sparse one.

Besides an array ``[n, m]`` with -1 for abstain, votes may be

- a :class:`~ws_pipeline.labeling.LabelMatrix`;
- a table with one column per labeling function (LF), named after it: a pandas or polars frame, an Arrow
  table, or a dict of columns.  Missing values (null, NaN, None, pandas.NA) abstain, as they do in the files
  of a pipeline.  A column or an index ``example_id`` holds the examples' ids;
- a table of triples, the form of crowds and of SQL: the columns ``example_id``, ``lf`` and ``vote``, one row
  per vote (null or -1: the example is there, the LF abstains).  Its examples are in the order of their first
  rows, its LFs in the order of their names.  The three columns are also known by the names that they have in
  other programs, such as task, worker and label;
- a scipy sparse array or matrix ``[n, m]``: stored entries are votes, stored zeros are votes for class 0,
  and what is not stored abstains.

Forms with names of LFs are compared by name, whatever the order of the LFs; see :func:`align_lfs`.

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import ID_COLUMN, Ids, ids_from_table
from ws_pipeline.labeling.votes.vote_checks import (
    ABSTAIN,
    MAX_CARDINALITY,
    as_vote_array,
    check_range,
    default_lf_names,
    votes_dtype,
)
from ws_pipeline.labeling.votes.vote_columns import (
    check_lf_names,
    find_lf_columns,
    numbers_of_column,
    votes_of_columns,
)
from ws_pipeline.labeling.votes.vote_details import VoteDetails
from ws_pipeline.labeling.votes.vote_storage import covered_rows_of, in_order, to_dense
from ws_pipeline.labeling.votes.vote_tables import TRIPLE_COLUMNS, as_table, triple_columns
from ws_pipeline.storage.arrow_types import holds_numbers, holds_text, plain_values

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_CHUNK_ROWS = 2**16
_NUMBERED = re.compile(r"lf_\d+")
_RENAME = "rename it if it is an LF all the same"


class VoteForm(NamedTuple):
    """Votes ``[n, m]``, dense or sparse, and whose they are.

    Parameters
    ----------
    votes
        Of an array not looked at yet; of a table or a label matrix, checked.
    lf_names
        Names of the m LFs; ``lf_0``, ``lf_1``, ... if they have none.
    example_ids
        ``[n]`` ids; None if they have none.
    partial
        Whether further LFs may be meant, that abstain on all n examples.
    named
        Whether the LFs have names, or columns are known by their place only.
    cardinality
        Number of classes that all votes are known to be of; None: they are not looked at yet.
    details
        What is said beyond the classes, if anything is.
    """

    votes: npt.NDArray[Any] | csr_array
    lf_names: tuple[str, ...]
    example_ids: Ids | None = None
    partial: bool = False
    named: bool = True
    cardinality: int | None = None
    details: VoteDetails | None = None

    def take(self, rows: npt.NDArray[np.intp]) -> VoteForm:
        """The examples at ``rows``."""
        ids = None if self.example_ids is None else self.example_ids[rows]
        details = None if self.details is None else self.details.take(rows)
        return self._replace(votes=self.votes[rows], example_ids=ids, details=details)

    def is_checked_for(self, cardinality: int) -> bool:
        """Whether all votes are known to be -1 or one of so many classes."""
        return self.cardinality is not None and self.cardinality <= cardinality


@runtime_checkable
class NamedVotes(Protocol):
    """Checked votes that know their LFs and examples, as a label matrix does."""

    votes: Any
    cardinality: Any
    lf_names: Any
    example_ids: Any


def read_votes(L: Any, cardinality: int | None = None) -> VoteForm:
    """Bring votes of any form to a dense or sparse array.

    Parameters
    ----------
    L
        Votes in one of the forms above.
    cardinality
        Number of classes k that the votes of a table must be below.  Default: not known.

    Raises
    ------
    LabelMatrixError
        Not ``[n, m]``, not numbers, two votes of one LF on one example; or a table has a column that holds no
        votes, or a vote that is out of range.
    ExampleIdError
        A table has null or repeated ids.

    Warns
    -----
    LeftOutColumnWarning
        A column of a table is the index of a pandas frame.
    """
    if isinstance(L, VoteForm):
        return L
    table = as_table(L)
    if table is not None:
        return _read_table(table, MAX_CARDINALITY if cardinality is None else cardinality)
    if isinstance(L, NamedVotes):
        has_names = L.lf_names != default_lf_names(len(L.lf_names))
        details = getattr(L, "details", None)
        form = VoteForm(L.votes, L.lf_names, L.example_ids, named=has_names, cardinality=L.cardinality)
        return form._replace(details=details)
    votes = _sparse_votes(L) if is_sparse(L) else as_vote_array(L)
    return VoteForm(votes, default_lf_names(votes.shape[1]), named=False)


def dense_votes(form: VoteForm) -> npt.NDArray[Any]:
    """Votes ``[n, m]`` of a form as a dense array."""
    return to_dense(form.votes)


def covered_rows(form: VoteForm) -> npt.NDArray[np.bool_]:
    """``[n]`` mask of the examples with at least one vote."""
    votes = form.votes
    if isinstance(votes, np.ndarray):
        covered = np.zeros(len(votes), dtype=np.bool_)
        for start in range(0, len(votes), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            covered[rows] = covered_rows_of(votes[rows])
    else:
        covered = covered_rows_of(votes)
    voted = None if form.details is None else form.details.voted
    return covered if voted is None else covered | voted


def align_lfs(form: VoteForm, lf_names: tuple[str, ...], *, whose: str = "the model's fit") -> VoteForm:
    """Votes of the LFs that a model was fitted on, in the model's order.

    Names decide where both have names, and numbers where both are numbered, as the columns of a frame that
    is made of an array are.  Else columns stand for LFs by their place.  An LF without any triple abstains.

    Raises
    ------
    LabelMatrixError
        LFs that the model does not know, or that are missing, by name; without names, another number of LFs.
    """
    names = form.lf_names
    if names == lf_names:
        return form
    comparable = form.named and _are_numbered(names) == _are_numbered(lf_names)
    if not (comparable or form.partial):
        if len(names) != len(lf_names):
            message = f"L has {len(names)} columns, but the model was fitted on {len(lf_names)} LFs"
            raise LabelMatrixError(message)
        return form
    _refuse_other_lfs(names, lf_names, whose=whose, partial=form.partial)
    position = {name: place for place, name in enumerate(lf_names)}
    places = np.array([position[name] for name in names], dtype=np.int32)
    details = None
    if form.details is not None:
        details = form.details.columns(places, len(lf_names))
    votes = _with_columns_at(form.votes, places, len(lf_names))
    return form._replace(votes=votes, lf_names=lf_names, details=details)


def _are_numbered(names: tuple[str, ...]) -> bool:
    return all(_NUMBERED.fullmatch(name) for name in names)


def _refuse_other_lfs(
    names: tuple[str, ...], lf_names: tuple[str, ...], *, whose: str, partial: bool
) -> None:
    known, given = set(lf_names), set(names)
    unknown = [name for name in names if name not in known]
    missing = [] if partial else [name for name in lf_names if name not in given]
    if unknown or missing:
        message = (
            f"the LFs of L differ from those of {whose}: missing {missing}, unknown {unknown}; "
            "leave unknown ones out, and give missing ones a column of -1 if they abstain"
        )
        raise LabelMatrixError(message)


def _with_columns_at(
    votes: npt.NDArray[Any] | csr_array, places: npt.NDArray[np.int32], n_lfs: int
) -> npt.NDArray[Any] | csr_array:
    """Votes ``[n, n_lfs]`` with column j at ``places[j]``; a place that no column has abstains."""
    if isinstance(votes, np.ndarray):  # every place has a column, only triples may lack some
        return votes[:, np.argsort(places)]
    from scipy.sparse import csr_array

    placed = csr_array((votes.data, places[votes.indices], votes.indptr), shape=(votes.shape[0], n_lfs))
    return in_order(placed)


def is_sparse(votes: Any) -> bool:
    """Whether ``votes`` is a scipy sparse array or matrix."""
    if not type(votes).__module__.startswith("scipy.sparse"):
        return False
    from scipy.sparse import issparse

    return bool(issparse(votes))


def _read_table(table: pa.Table, cardinality: int) -> VoteForm:
    if triple_columns(table) is not None:
        votes, ids, lf_names = sparse_from_triples(table, cardinality)
        return VoteForm(votes, lf_names, ids, partial=True, cardinality=cardinality)
    example_ids = ids_from_table(table, where="L") if ID_COLUMN in table.column_names else None
    try:
        names = find_lf_columns(table, where="L", if_votes=_RENAME)
        dense = votes_of_columns(table, names, cardinality, where="L", example_ids=example_ids)
    except LabelMatrixError as error:
        if table.num_columns != len(TRIPLE_COLUMNS):
            raise
        message = f"{error}; if L has one row per vote, call its columns {', '.join(TRIPLE_COLUMNS)}"
        raise LabelMatrixError(message) from None
    return VoteForm(dense, names, example_ids, cardinality=cardinality)


def sparse_from_triples(
    triples: Any, cardinality: int = MAX_CARDINALITY, *, any_name: bool = False
) -> tuple[csr_array, Ids, tuple[str, ...]]:
    """Turn a table of triples into a sparse array.

    Parameters
    ----------
    triples
        Table with the columns example_id, lf and vote, or what these are called elsewhere, in any order of
        rows.
    cardinality
        Number of classes k that every vote must be below.
    any_name
        Take LFs whose names say that they are none.

    Returns
    -------
    (scipy.sparse.csr_array, numpy.ndarray, tuple of str)
        ``[n, m]`` votes; example ids ``[n]`` in the order of their first rows; LF names, sorted, as numbers
        where they are integers.

    Raises
    ------
    LabelMatrixError
        Other columns, a null id or LF, a vote that is none, or two votes of one LF on one example.
    """
    from scipy.sparse import coo_array

    table = as_table(triples, where="triples")
    columns = None if table is None else triple_columns(table, where="triples")
    if table is None or columns is None:
        found = type(triples).__name__ if table is None else table.column_names
        message = f"triples: expected a table with the columns {', '.join(TRIPLE_COLUMNS)}, got {found}"
        raise LabelMatrixError(message)
    (rows, examples), (lfs, labelers) = (_codes(table.column(name), name) for name in columns[:2])
    ids = ids_from_table(pa.table({ID_COLUMN: examples}), where="triples")
    order = pc.sort_indices(labelers).to_numpy()
    lf_names = tuple(map(str, labelers.take(order).to_pylist()))
    if not any_name:
        check_lf_names(lf_names, where="triples", if_votes=_RENAME)
    places = np.argsort(order)[lfs]
    votes, abstains = numbers_of_column(table.column(columns[2]), columns[2], where="triples", is_lf=False)
    abstains = abstains | (votes == ABSTAIN)
    _check_triples(votes, abstains, cardinality, ids=ids[rows], lfs=places, lf_names=lf_names)
    kept = votes[~abstains].astype(votes_dtype(cardinality))
    sparse = coo_array((kept, (rows[~abstains], places[~abstains])), shape=(len(ids), len(lf_names)))
    return _to_csr(sparse, ids, lf_names), ids, lf_names


def _codes(column: pa.ChunkedArray, name: str) -> tuple[npt.NDArray[np.intp], pa.Array]:
    """A number for each value of a column, and the values by number, in the order of their first rows."""
    plain = plain_values(column)
    if not len(plain):  # whatever its type, which no row may have told
        plain = pa.chunked_array([], pa.large_string())
    if plain.null_count:
        row = pc.index(pc.is_null(plain), pa.scalar(value=True)).as_py()
        message = f"triples: column '{name}' is null in row {row}; give every vote its example and LF"
        raise LabelMatrixError(message)
    if not (holds_text(plain.type) or holds_numbers(plain.type)):
        message = f"triples: column '{name}' has type {column.type}, expected integers or strings"
        raise LabelMatrixError(message)
    encoded = plain.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.intp), encoded.dictionary


def _check_triples(
    votes: npt.NDArray[Any],
    abstains: npt.NDArray[np.bool_],
    cardinality: int,
    *,
    ids: Ids,
    lfs: npt.NDArray[np.intp],
    lf_names: tuple[str, ...],
) -> None:
    """Refuse the first vote that is out of range, of ``[v]`` votes by ``lfs`` on the examples ``ids``."""
    wrong = ~abstains & ~((votes >= 0) & (votes < cardinality) & (votes == np.floor(votes)))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        cell = votes[row : row + 1, None]
        check_range(cell, cardinality, lf_names=[lf_names[lfs[row]]], example_ids=ids[row : row + 1])


def _sparse_votes(votes: Any) -> csr_array:
    """A scipy sparse array in CSR form, without the abstains that may be stored in it."""
    from scipy.sparse import coo_array

    coo = coo_array(votes)
    as_vote_array(coo.data[:, None])
    voted = coo.data != ABSTAIN
    kept = coo_array((coo.data[voted], (coo.row[voted], coo.col[voted])), shape=coo.shape)
    return _to_csr(kept, np.arange(coo.shape[0]), default_lf_names(coo.shape[1]))


def _to_csr(votes: Any, ids: npt.NDArray[Any], lf_names: tuple[str, ...]) -> csr_array:
    """CSR form; scipy would add up two votes of one LF on one example, so they are refused first."""
    cells = np.sort(votes.row.astype(np.int64) * votes.shape[1] + votes.col)
    twice = np.flatnonzero(cells[1:] == cells[:-1])
    if len(twice):
        row, lf = divmod(int(cells[twice[0]]), votes.shape[1])
        message = (
            f"LF '{lf_names[lf]}' votes more than once on example {ids[row]} ({len(twice)} such votes); "
            "keep one vote per LF and example"
        )
        raise LabelMatrixError(message)
    return votes.tocsr()
