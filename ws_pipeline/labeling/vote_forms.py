"""The forms that votes come in, brought to two: a dense array, or a sparse one.

Besides an array ``[n, m]`` with -1 for abstain, votes may be

- a :class:`~ws_pipeline.labeling.LabelMatrix`;
- a scipy sparse array or matrix ``[n, m]``: stored entries are votes, stored zeros are votes for class 0,
  and what is not stored abstains;
- a table of triples, the form of crowds and of SQL: a pandas or Arrow table with the columns
  ``example_id``, ``lf`` and ``vote``, one row per vote (null or -1: the example is there, the LF abstains).

Legend: n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.labeling.label_matrix import ABSTAIN, LabelMatrix, as_vote_array, default_lf_names

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TRIPLE_COLUMNS = (ID_COLUMN, "lf", "vote")


class VoteForm(NamedTuple):
    """Votes ``[n, m]``, dense or sparse, whose values are not checked yet, and the LFs' names."""

    votes: npt.NDArray[Any] | csr_array
    lf_names: tuple[str, ...]


def read_votes(L: Any) -> VoteForm:
    """Bring votes of any form to a dense or sparse array.

    Raises
    ------
    LabelMatrixError
        Not ``[n, m]``, not numbers, or two votes of one LF on one example.
    """
    if isinstance(L, LabelMatrix):
        return VoteForm(L.votes, L.lf_names)
    if is_triples(L):
        votes, _, lf_names = sparse_from_triples(L)
        return VoteForm(votes, lf_names)
    votes = _sparse_votes(L) if is_sparse(L) else as_vote_array(L)
    return VoteForm(votes, default_lf_names(votes.shape[1]))


def is_sparse(votes: Any) -> bool:
    """Whether ``votes`` is a scipy sparse array or matrix."""
    if not type(votes).__module__.startswith("scipy.sparse"):
        return False
    from scipy.sparse import issparse

    return bool(issparse(votes))


def is_triples(votes: Any) -> bool:
    """Whether ``votes`` is a table with the columns example_id, lf and vote."""
    columns = getattr(votes, "column_names", getattr(votes, "columns", None))
    return columns is not None and set(map(str, columns)) == set(TRIPLE_COLUMNS)


def sparse_from_triples(table: Any) -> tuple[csr_array, npt.NDArray[Any], tuple[str, ...]]:
    """Turn a table of triples into a sparse array.

    Parameters
    ----------
    table
        pandas or Arrow table with the columns example_id, lf and vote, in any order of rows.

    Returns
    -------
    (scipy.sparse.csr_array, numpy.ndarray, tuple of str)
        ``[n, m]`` votes, example ids ``[n]`` and LF names, both sorted.

    Raises
    ------
    LabelMatrixError
        A null id or LF, a vote that is no number, or two votes of one LF on one example.
    """
    from scipy.sparse import coo_array

    arrow = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
    for column in TRIPLE_COLUMNS[:2]:
        if arrow[column].null_count:
            row = pc.index(pc.is_null(arrow[column]), pa.scalar(value=True)).as_py()
            message = f"triples: column '{column}' is null in row {row}; give every vote its example and LF"
            raise LabelMatrixError(message)
    ids, rows = np.unique(arrow[ID_COLUMN].to_numpy(), return_inverse=True)
    names, lfs = np.unique(arrow["lf"].cast(pa.string()).to_numpy().astype(str), return_inverse=True)
    votes = _vote_column(arrow["vote"])
    voted = votes != ABSTAIN
    shape = (len(ids), len(names))
    sparse = coo_array((votes[voted], (rows[voted], lfs[voted])), shape=shape)
    lf_names = tuple(map(str, names))
    return _to_csr(sparse, ids, lf_names), ids, lf_names


def _vote_column(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        message = (
            f"triples: column 'vote' has type {column.type}, expected integers; "
            "map class names to 0..k-1 first"
        )
        raise LabelMatrixError(message)
    if pa.types.is_unsigned_integer(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    votes: npt.NDArray[Any] = pc.fill_null(column, ABSTAIN).to_numpy()
    return votes


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
