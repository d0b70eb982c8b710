"""Votes in a long table, one row per vote: what crowds, annotation tools and SQL give.

Start reading at :func:`read_long_votes`.

Legend: v rows, n examples, m labeling functions (LFs), k classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.class_names import numbers_of_names
from ws_pipeline.errors import ExampleIdError, LabelMatrixError, RepeatedVotesWarning
from ws_pipeline.labeling.votes.detailed_votes import with_details
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_checks import ABSTAIN
from ws_pipeline.labeling.votes.vote_columns import LIST_THEM, check_lf_names
from ws_pipeline.labeling.votes.vote_details import read_superclasses
from ws_pipeline.labeling.votes.vote_forms import sparse_from_triples
from ws_pipeline.labeling.votes.vote_scores import best_classes, score_numbers, scores_in_place
from ws_pipeline.labeling.votes.vote_tables import TRIPLE_COLUMNS, TRIPLE_NAMES
from ws_pipeline.settings.base import nearest
from ws_pipeline.settings.votes import VoteColumns
from ws_pipeline.storage.arrow_types import holds_nothing, holds_numbers, holds_text, plain_values, value_type

SCORE_NAMES = frozenset({"score", "confidence", "probability", "prob", "logprob", "log_prob"})
"""What the score of a vote is usually called, in lower case."""

_KEYS = TRIPLE_COLUMNS
_EXAMPLE, _LF, _VOTE = TRIPLE_COLUMNS
_SCORE, _TIME = "score", "time"


def read_long_votes(
    table: pa.Table,
    cardinality: int,
    *,
    columns: VoteColumns,
    classes: Sequence[str] | None = None,
    lf_columns: Sequence[str] | None = None,
    tasks: Collection[str] = (),
    superclasses: Mapping[str, Sequence[int]] | None = None,
    scores: Literal["vote", "class"] | None = None,
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
        Names of the columns; None: the one column that is called as is usual for it.
    classes
        Names of the k classes, which the labels may be.  Default: labels are numbers.
    lf_columns
        The sources that are LFs, in the order that they are to have; one without a vote abstains, and others
        are left alone.  Default: all sources, sorted.
    tasks
        Names of the tasks; a source of such a name is no LF.
    superclasses
        Name to the numbers of its classes; a label may be such a name, and k + t is superclass t.
    scores
        "vote": a row has the score of its vote.  "class": a source has a row for each class, with its score;
        its vote is the class with the highest one, with the lead over the second highest as the score of the
        vote, and two highest ones are an abstain.  Default: "vote" if the columns name one, else no scores.
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
        A source votes more than once on an example; its last vote is taken, or the latest one where there
        is a column of times.
    """
    sets = read_superclasses(superclasses or {}, cardinality)
    scores = scores or (None if columns.score is None else "vote")
    names = None if classes is None else [*classes, *(found.name for found in sets)]
    found = find_columns(table, columns, where, with_scores=scores is not None)
    votes = _read_rows(table, found, names, where)
    if lf_columns is not None:
        sources = plain_values(votes.column(_LF)).cast(pa.large_string())
        votes = votes.filter(pc.is_in(sources, value_set=pa.array(list(lf_columns), pa.large_string())))
    votes = _last_of_each(votes, _KEYS if scores == "class" else _KEYS[:2], where)
    if scores == "class":
        votes = _best_of_each(votes)
    matrix = _to_matrix(votes, cardinality + len(sets), found, where)
    if lf_columns is None:
        check_lf_names(
            matrix.lf_names, tasks=tasks, where=f"{where}, column '{found.source}'", if_votes=LIST_THEM
        )
        _check_spelling(matrix.lf_names, f"{where}, column '{found.source}'")
    placed = None
    if scores is not None:
        numbers = votes.column(_SCORE).to_numpy()
        placed = scores_in_place(
            votes.column(_EXAMPLE), votes.column(_LF), numbers, matrix.example_ids, matrix.lf_names
        )
    matrix = with_details(matrix, cardinality, sets, placed)
    return matrix if lf_columns is None else matrix.with_lfs(lf_columns)


class LongColumns(NamedTuple):
    """Names of the columns of a long table; None where there is none."""

    example: str
    source: str
    label: str
    score: str | None
    time: str | None


def _read_rows(table: pa.Table, found: LongColumns, names: Sequence[str] | None, where: str) -> pa.Table:
    """Columns of the triples, and where they are there, of the score and the time."""
    for name in (found.example, found.source):
        check_names_of(table.column(name), name, where)
    labels = table.column(found.label)
    if names is not None:
        what = f"{where}: column '{found.label}'"
        labels = numbers_of_names(labels, names, what=what, error=LabelMatrixError)
    if not (holds_text(labels.type) or holds_numbers(labels.type) or holds_nothing(labels.type)):
        message = (
            f"{where}: column '{found.label}' has type {labels.type}, expected names of classes, or integers "
            "(null or -1 = abstain)"
        )
        raise LabelMatrixError(message)
    rows = {_EXAMPLE: table.column(found.example), _LF: table.column(found.source), _VOTE: labels}
    if found.score is not None:
        what = f"{where}: column '{found.score}'"
        rows[_SCORE] = pa.array(score_numbers(table.column(found.score), what=what))
    if found.time is not None:
        rows[_TIME] = plain_values(table.column(found.time))
    return pa.table(rows)


def _to_matrix(votes: pa.Table, cardinality: int, found: LongColumns, where: str) -> LabelMatrix:
    """Votes of which each source has one on an example."""
    try:
        sparse, ids, names = sparse_from_triples(votes.select(_KEYS), cardinality, any_name=True)
    except (LabelMatrixError, ExampleIdError) as error:
        said = str(error).removeprefix("triples: ").replace("'example_id'", f"'{found.example}'")
        said = said.replace("column 'vote'", f"column '{found.label}'")
        raise type(error)(f"{where}: {said}") from None
    return LabelMatrix.trusted(sparse, cardinality, ids, names)


def _best_of_each(rows: pa.Table) -> pa.Table:
    """One row per source and example, of rows with the score of one class each."""
    keys = [
        plain_values(rows.column(name)).combine_chunks().dictionary_encode().indices.to_numpy()
        for name in _KEYS[:2]
    ]
    classes = rows.column(_VOTE).to_numpy()
    best, is_above, leads = best_classes(keys, classes, rows.column(_SCORE).to_numpy())
    votes = rows.take(best)
    label = pa.array(np.where(is_above, classes[best], ABSTAIN))
    return votes.set_column(2, _VOTE, label).set_column(3, _SCORE, pa.array(leads))


def find_columns(
    table: pa.Table, columns: VoteColumns, where: str, *, with_scores: bool = False
) -> LongColumns:
    """The columns by their given names, or by those that they usually have and no other one is given."""
    usual = dict(zip(("example", "source", "label"), TRIPLE_NAMES, strict=True))
    usual |= {"score": SCORE_NAMES} if with_scores else {}
    named = {role: name for role, name in columns if name is not None}
    found = {}
    for role in (*usual, *(named.keys() - usual.keys())):
        others = {name for other, name in named.items() if other != role}
        candidates = [name for name in table.column_names if name not in others]
        found[role] = _find_column(table, role, named.get(role), candidates, usual.get(role, ()), where)
    if len(set(found.values())) < len(found):
        said = ", ".join(f"{role}: {name}" for role, name in found.items())
        message = f"{where}: {len(found)} different columns are needed, got {said}"
        raise LabelMatrixError(message)
    return LongColumns(
        found["example"], found["source"], found["label"], found.get("score"), found.get("time")
    )


def _find_column(
    table: pa.Table,
    role: str,
    given: str | None,
    candidates: Sequence[str],
    usual: Collection[str],
    where: str,
) -> str:
    if given is not None and given not in table.column_names:
        known_names = nearest(given, table.column_names)
        message = f"{where}: no column '{given}', which votes.columns.{role} names, {known_names}"
        raise LabelMatrixError(message)
    fitting = [given] if given else [name for name in candidates if name.casefold() in usual]
    if len(fitting) != 1:
        which = f"several may be it: {fitting}" if fitting else f"none is it among {table.column_names}"
        message = f"{where}: which column is the {role}? {which}; name it with votes.columns.{role}"
        raise LabelMatrixError(message)
    return fitting[0]


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


def _last_of_each(votes: pa.Table, keys: Sequence[str], where: str) -> pa.Table:
    """The last row of each of the keys, the latest where there are times, with a warning of all others."""
    columns = [plain_values(votes.column(name)) for name in keys]
    n_kept = len(pa.table(columns, names=list(keys)).group_by(list(keys)).aggregate([]))
    n_repeated = len(votes) - n_kept
    if not n_repeated:
        return votes
    order = _in_time(votes)
    rank = np.empty(len(votes), dtype=np.int64)
    rank[order] = np.arange(len(votes))
    numbered = pa.table([*columns, pa.array(rank)], names=[*keys, "row"])
    last = numbered.group_by(list(keys), use_threads=False).aggregate([("row", "max")])
    kept = votes.take(np.sort(order[last["row_max"].to_numpy()]))
    n_different = len(votes.select(_KEYS).group_by(list(_KEYS)).aggregate([])) - n_kept
    is_last = "latest" if _TIME in votes.column_names else "last"
    message = (
        f"{where}: {n_repeated} of {len(votes)} votes are repeated, {n_different} of them with another "
        f"label: a source votes more than once on an example; its {is_last} vote is taken, be it an abstain"
    )
    warnings.warn(RepeatedVotesWarning(message), stacklevel=4)
    return kept


def _in_time(votes: pa.Table) -> npt.NDArray[Any]:
    """Rows from the earliest to the latest, those of one time in their order; without times, as they are."""
    if _TIME not in votes.column_names:
        return np.arange(len(votes))
    times = votes.column(_TIME)
    order = pc.sort_indices(times).to_numpy().astype(np.int64)  # those without a time come last
    return np.roll(order, times.null_count)
