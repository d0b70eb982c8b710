"""Label matrices as Arrow tables: a column per labeling function (LF), or beyond 256 LFs lists.

Legend: n examples, m LFs, k classes.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import ID_COLUMN, Ids, ids_to_array
from ws_pipeline.labeling.votes.vote_checks import ABSTAIN, check_same_cardinality
from ws_pipeline.labeling.votes.vote_storage import KeptVotes, columns_of, of_lists, to_lists

_CARDINALITY_KEY = b"ws_pipeline.cardinality"
_LF_NAMES_KEY = b"ws_pipeline.lf_names"  # of a table without a column per LF
_CODES = "votes"


class SparseTable(NamedTuple):
    """What a table of sparse votes holds: votes ``[n, m]``, k, and the names of the m LFs."""

    votes: KeptVotes
    cardinality: int
    lf_names: tuple[str, ...]


def encode_votes(votes: KeptVotes, cardinality: int, example_ids: Ids, lf_names: tuple[str, ...]) -> pa.Table:
    """Encode votes ``[n, m]``: example_id, then one integer column per LF, null = abstain.

    Sparse votes: example_id, then a column of lists of LF * k + vote; the names of the LFs are metadata.
    """
    columns = {ID_COLUMN: ids_to_array(example_ids)}
    metadata = {_CARDINALITY_KEY: str(cardinality)}
    if isinstance(votes, np.ndarray):
        for name, column in zip(lf_names, columns_of(votes), strict=True):
            columns[name] = pa.array(np.ascontiguousarray(column), mask=column == ABSTAIN)
    else:
        columns[_CODES] = to_lists(votes, cardinality)
        metadata[_LF_NAMES_KEY] = json.dumps(lf_names, ensure_ascii=False)
    return pa.table(columns).replace_schema_metadata(metadata)


def decode_sparse_votes(table: pa.Table, cardinality: int | None, *, where: str) -> SparseTable | None:
    """Decode a table of sparse votes; None if it has a column per LF.

    Parameters
    ----------
    table
        What :func:`encode_votes` made, or anything else.
    cardinality
        Number of classes that the votes have to be of.  Default: any.
    where
        Name of the table; opens every message.

    Raises
    ------
    LabelMatrixError
        The votes are of another number of classes, or the table is damaged.
    """
    stored = (table.schema.metadata or {}).get(_LF_NAMES_KEY)
    if stored is None:
        return None
    k, names = stored_cardinality(table, where), tuple(json.loads(stored))
    check_same_cardinality("cardinality", k if cardinality is None else cardinality, where, k)
    return SparseTable(of_lists(table.column(_CODES), len(names), k, where=where), k, names)


def stored_cardinality(table: pa.Table, where: str) -> int:
    """Number of classes that :func:`encode_votes` stored.

    Raises
    ------
    LabelMatrixError
        It is not stored.
    """
    stored = (table.schema.metadata or {}).get(_CARDINALITY_KEY)
    if stored is None:
        message = f"{where}: the number of classes is not stored in the table, pass cardinality"
        raise LabelMatrixError(message)
    return int(stored)
