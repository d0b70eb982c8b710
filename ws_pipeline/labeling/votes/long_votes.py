"""Votes in a long table, one row per vote: what crowds, annotation tools and SQL give.

Start reading at :func:`read_long_votes`.

Legend: v rows, n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.class_names import numbers_of_names
from ws_pipeline.errors import ExampleIdError, LabelMatrixError, RepeatedVotesWarning
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, LabelMatrix, votes_dtype
from ws_pipeline.labeling.votes.vote_columns import LIST_THEM, check_lf_names
from ws_pipeline.labeling.votes.vote_forms import sparse_from_triples
from ws_pipeline.labeling.votes.vote_tables import TRIPLE_COLUMNS, TRIPLE_NAMES
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.votes import VoteColumns
from ws_pipeline.storage.arrow_types import holds_nothing, holds_numbers, holds_text, plain_values, value_type


def read_long_votes(
    table: pa.Table,
    cardinality: int,
    *,
    columns: VoteColumns,
    classes: Sequence[str] | None = None,
    lf_columns: Sequence[str] | None = None,
    tasks: Collection[str] = (),
    where: str = "votes",
) -> LabelMatrix:
    """Read a table with one row per vote.

    Parameters
    ----------
    table
        ``[v]`` rows; columns that are not named are left alone.  A label that is null or -1 is an abstain.
    cardinality
        Number of classes k.
    columns
        Names of the three columns; None: the one column that is called as is usual for it.
    classes
        Names of the k classes, which the labels may be.  Default: labels are numbers.
    lf_columns
        The sources that are LFs, in the order that they are to have; one without a vote abstains, and others
        are left alone.  Default: all sources, sorted.
    tasks
        Names of the tasks; a source of such a name is no LF.
    where
        Name of the table; opens every message.

    Returns
    -------
    LabelMatrix
        The examples in the order of their first rows.

    Raises
    ------
    LabelMatrixError
        A column is missing, an id or a source is null or of a type that names nothing, a label is no class,
        or a source is no LF by its name.

    Warns
    -----
    RepeatedVotesWarning
        A source votes more than once on an example; its last vote is taken.
    """
    example, source, label = find_columns(table, columns, where)
    for name in (example, source):
        check_names_of(table.column(name), name, where)
    labels = table.column(label)
    if classes is not None:
        what = f"{where}: column '{label}'"
        labels = numbers_of_names(labels, classes, what=what, error=LabelMatrixError)
    votes = pa.table(
        dict(zip(TRIPLE_COLUMNS, (table.column(example), table.column(source), labels), strict=True))
    )
    if not (holds_text(labels.type) or holds_numbers(labels.type) or holds_nothing(labels.type)):
        message = (
            f"{where}: column '{label}' has type {labels.type}, expected names of classes, or integers (null "
            "or -1 = abstain)"
        )
        raise LabelMatrixError(message)
    if lf_columns is not None:
        names = plain_values(votes.column(TRIPLE_COLUMNS[1])).cast(pa.large_string())
        votes = votes.filter(pc.is_in(names, value_set=pa.array(list(lf_columns), pa.large_string())))
    votes = _last_of_each(votes, where)
    try:
        sparse, ids, names = sparse_from_triples(votes, cardinality, any_name=True)
    except (LabelMatrixError, ExampleIdError) as error:
        said = str(error).removeprefix("triples: ").replace("'example_id'", f"'{example}'")
        said = said.replace("column 'vote'", f"column '{label}'")
        raise type(error)(f"{where}: {said}") from None
    if lf_columns is None:
        check_lf_names(names, tasks=tasks, where=f"{where}, column '{source}'", if_votes=LIST_THEM)
        _check_spelling(names, f"{where}, column '{source}'")
    dense = np.full(sparse.shape, ABSTAIN, dtype=votes_dtype(cardinality))
    coo = sparse.tocoo()
    dense[coo.row, coo.col] = coo.data
    matrix = LabelMatrix.trusted(dense, cardinality, ids, names)
    return matrix if lf_columns is None else matrix.with_lfs(lf_columns)


def find_columns(table: pa.Table, columns: VoteColumns, where: str) -> tuple[str, str, str]:
    """The columns of the example, the source and the label, by their given or by their usual names."""
    found = []
    for (role, given), known in zip(columns, TRIPLE_NAMES, strict=True):
        if given is not None and given not in table.column_names:
            known_names = nearest(given, table.column_names)
            message = f"{where}: no column '{given}', which votes.columns.{role} names, {known_names}"
            raise LabelMatrixError(message)
        fitting = [given] if given else [name for name in table.column_names if name.casefold() in known]
        if len(fitting) != 1:
            which = f"several may be it: {fitting}" if fitting else f"none is it among {table.column_names}"
            message = f"{where}: which column is the {role}? {which}; name it with votes.columns.{role}"
            raise LabelMatrixError(message)
        found += fitting
    example, source, label = found
    if len({example, source, label}) < len(found):
        message = f"{where}: the example, the source and the label must be three columns, got {found}"
        raise LabelMatrixError(message)
    return example, source, label


def check_names_of(column: pa.ChunkedArray, name: str, where: str) -> None:
    """Refuse a column that does not name an example, or a source, in every row."""
    kind = value_type(column.type)
    if not (holds_text(kind) or pa.types.is_integer(kind) or (holds_nothing(kind) and not len(column))):
        message = f"{where}: column '{name}' has type {column.type}, expected integers or text; cast it"
        raise LabelMatrixError(message)
    if column.null_count:
        row = pc.index(pc.is_null(column), pa.scalar(value=True)).as_py()
        message = f"{where}: column '{name}' is null in row {row}; give every vote its example and source"
        raise LabelMatrixError(message)


def _check_spelling(names: Sequence[str], where: str) -> None:
    """Refuse names of sources that differ only in blanks around them."""
    by_text: dict[str, str] = {}
    for name in names:
        other = by_text.setdefault(name.strip(), name)
        if other != name:
            message = (
                f"{where}: the sources '{other}' and '{name}' differ only in blanks; write them in one way"
            )
            raise LabelMatrixError(message)


def _last_of_each(votes: pa.Table, where: str) -> pa.Table:
    """The last vote of each source on each example, with a warning where there are several."""
    keys = [plain_values(votes.column(name)) for name in TRIPLE_COLUMNS[:2]]
    numbered = pa.table([*keys, pa.array(np.arange(len(votes)))], names=[*TRIPLE_COLUMNS[:2], "row"])
    last = numbered.group_by(list(TRIPLE_COLUMNS[:2]), use_threads=False).aggregate([("row", "max")])
    n_repeated = len(votes) - len(last)
    if not n_repeated:
        return votes
    kept = votes.take(np.sort(last["row_max"].to_numpy()))
    n_different = len(votes.group_by(list(TRIPLE_COLUMNS)).aggregate([])) - len(kept)
    message = (
        f"{where}: {n_repeated} of {len(votes)} votes are repeated, {n_different} of them with another "
        "label: a source votes more than once on an example; its last vote is taken, be it an abstain"
    )
    warnings.warn(RepeatedVotesWarning(message), stacklevel=4)
    return kept
