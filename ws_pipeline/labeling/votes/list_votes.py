"""Votes that are lists of classes: what they say of one class, as votes for no (0) or yes (1).

A list is an answer to the question which of the k classes apply.  A class in it is a vote for yes.  A class
that is not in it is a vote for no if the lists of the labeling function are complete, and an abstain if they
are partial, which tell only what was found.  A missing list abstains on every class.  Start reading at
:func:`read_list_votes`.

Legend: n examples, m labeling functions (LFs), k classes, v rows of a long table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.array_types import Mask
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import ids_from_table
from ws_pipeline.label_lists import numbers_of_labels, read_label_lists
from ws_pipeline.labeling.votes.label_matrix import ABSTAIN, LabelMatrix, Votes
from ws_pipeline.labeling.votes.long_votes import check_names_of, find_columns, read_long_votes
from ws_pipeline.labeling.votes.vote_checks import repeated_names
from ws_pipeline.labeling.votes.vote_columns import LIST_THEM, find_lf_columns
from ws_pipeline.labeling.votes.vote_storage import as_kept
from ws_pipeline.settings.votes import VoteColumns
from ws_pipeline.storage.arrow_types import holds_lists, holds_text, plain_values

NO, YES = 0, 1


def read_list_votes(
    table: pa.Table,
    label: int,
    *,
    classes: Sequence[str],
    is_complete: Callable[[str], bool],
    lf_columns: Sequence[str] | None = None,
    tasks: Collection[str] = (),
    where: str = "votes",
) -> LabelMatrix:
    """Read what a table with a column of lists per LF says of one class.

    Parameters
    ----------
    table
        ``[n]`` rows: a column ``example_id``, and m columns of lists of names of classes, or of their places.
    label
        Place of the class, 0..k-1.
    classes
        Names of the k classes.
    is_complete
        Whether a class that is not in a list of the LF of this name is a vote for no.
    lf_columns
        The columns that are LFs, in the order that they are to have.  Default: all but ``example_id``.
    tasks
        Names of columns that hold gold labels, and are no LFs.
    where
        Name of the table; opens every message.

    Returns
    -------
    LabelMatrix
        ``[n, m]`` votes, 0 for no and 1 for yes.

    Raises
    ------
    LabelMatrixError
        A column is no LF by its name, or listed but not there, or holds anything but lists of classes.
    ExampleIdError
        Ids that are missing, null or repeated.
    """
    ids = ids_from_table(table, where=where)
    names = find_lf_columns(table, listed=lf_columns, tasks=tasks, where=where)
    repeated = [name for name in repeated_names(table.column_names) if name in names]
    if repeated:
        message = f"{where}: LF names must be unique, repeated: {repeated}"
        raise LabelMatrixError(message)
    votes: Votes = np.empty((len(ids), len(names)), dtype=np.int8)
    for lf, name in enumerate(names):
        lists = read_label_lists(
            table.column(name),
            classes,
            what=f"{where}: LF '{name}'",
            error=LabelMatrixError,
            hint=f"; if it is no LF, {LIST_THEM}",
        )
        votes[:, lf] = _votes_on(lists.has(label), lists.known & is_complete(name))
    return LabelMatrix.trusted(as_kept(votes), 2, ids, names)


def read_long_list_votes(
    table: pa.Table,
    label: int,
    *,
    classes: Sequence[str],
    is_complete: Callable[[str], bool],
    columns: VoteColumns,
    lf_columns: Sequence[str] | None = None,
    tasks: Collection[str] = (),
    where: str = "votes",
) -> LabelMatrix:
    """Read what a table with a row per example, source and class says of one class.

    The rows of a source on an example together are its list.  A row whose class is null, or an empty text,
    says that none of the classes applies.

    Parameters
    ----------
    table
        ``[v]`` rows; columns that are not named are left alone.
    label, classes, is_complete
        See :func:`read_list_votes`.
    columns, lf_columns, tasks, where
        See :func:`.read_long_votes`.

    Returns
    -------
    LabelMatrix
        ``[n, m]`` votes, 0 for no and 1 for yes; the examples in the order of their first rows.

    Raises
    ------
    LabelMatrixError
        A column is missing, an id or a source is null or of a type that names nothing, a label is no class, a
        source has classes and a row for none of them on one example, or is no LF by its name.
    """
    example, source, label_column, *_ = find_columns(table, columns, where)
    for name in (example, source):
        check_names_of(table.column(name), name, where)
    what = f"{where}: column '{label_column}'"
    entries = _entries(table.column(label_column), classes, what=what)
    answers = _answers(table.column(example), table.column(source), entries, label)
    if lf_columns is not None:
        names_of_lfs = pa.array(list(lf_columns), pa.large_string())
        answers = answers.filter(pc.is_in(answers["source"].cast(pa.large_string()), value_set=names_of_lfs))
    _refuse_contradictions(answers, what)
    complete = [is_complete(str(name)) for name in answers["source"].to_pylist()]
    votes = _votes_on(answers["yes_any"].to_numpy(), np.array(complete, dtype=np.bool_))
    said = pa.array(votes, mask=votes == ABSTAIN)
    return read_long_votes(
        pa.table([answers["example"], answers["source"], said], [example, source, label_column]),
        2,
        columns=VoteColumns(example=example, source=source, label=label_column),
        lf_columns=lf_columns,
        tasks=tasks,
        where=where,
    )


def _answers(
    examples: pa.ChunkedArray, sources: pa.ChunkedArray, entries: pa.ChunkedArray, label: int
) -> pa.Table:
    """A row per example and source: whether any entry is the class, and any and all of them are null."""
    is_class = pc.fill_null(pc.equal(entries, label), fill_value=False)
    columns = [plain_values(examples), plain_values(sources), is_class, entries.is_null()]
    rows = pa.table(columns, ["example", "source", "yes", "none"])
    grouped = rows.group_by(["example", "source"], use_threads=False)
    return grouped.aggregate([("yes", "any"), ("none", "any"), ("none", "all")])


def _votes_on(listed: Mask, answered: Mask) -> Votes:
    """Votes ``[n]`` on one class: yes where it is listed, no where a complete answer lacks it."""
    votes: Votes = np.where(listed, YES, np.where(answered, NO, ABSTAIN)).astype(np.int8)
    return votes


def _entries(column: pa.ChunkedArray, classes: Sequence[str], *, what: str) -> pa.ChunkedArray:
    """Numbers of the classes ``[v]`` of a long table; null says that none applies."""
    if holds_lists(column.type):
        message = (
            f"{what} has type {column.type}, expected a class in each row; leave out the rows without a "
            "list, then write a row for each entry (with pandas: frame.explode); or have a column of lists "
            "per LF, and set votes: {format: wide}"
        )
        raise LabelMatrixError(message)
    if holds_text(column.type) and "" not in classes:
        texts = plain_values(column)
        column = pc.if_else(pc.equal(texts, ""), None, texts)
    return numbers_of_labels(column, classes, what=what, error=LabelMatrixError)


def _refuse_contradictions(answers: pa.Table, what: str) -> None:
    """Refuse sources that say of an example that no class applies, and in other rows which do."""
    wrong = answers.filter(pc.and_not(answers["none_any"], answers["none_all"]))
    if len(wrong):
        message = (
            f"{what} is null for example {wrong['example'][0]} and source '{wrong['source'][0]}', which says "
            f"that none of the classes applies, but other rows of theirs have classes ({len(wrong)} such "
            "answers); leave out the rows that are null"
        )
        raise LabelMatrixError(message)
