"""Votes in a wide table, one column per labeling function (LF), with what they may say beyond a class.

Start reading at :func:`read_wide_votes`.

Legend: n examples, m LFs, k classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.labeling.votes.detailed_votes import with_details
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_details import read_superclasses
from ws_pipeline.labeling.votes.vote_scores import score_numbers, votes_of_class_scores

SCORE_SUFFIX = "_score"
"""Usual end of the name of the column with the scores of an LF, which begins with the LF's name."""


def read_wide_votes(
    table: pa.Table,
    classes: Sequence[str],
    *,
    lf_columns: Sequence[str] | None = None,
    tasks: Collection[str] = (),
    superclasses: Mapping[str, Sequence[int]] | None = None,
    scores: Literal["vote", "class"] | None = None,
    score_suffix: str = SCORE_SUFFIX,
    where: str = "votes",
) -> LabelMatrix:
    """Read a table with one column per LF.

    Parameters
    ----------
    table
        ``[n]`` rows: ``example_id``, and votes, see :meth:`.LabelMatrix.from_table`.
    classes
        Names of the k classes, which columns of text may hold.
    lf_columns, tasks, where
        See :meth:`.LabelMatrix.from_table`.
    superclasses
        Name to the numbers of its classes; columns of text may hold these names, and k + t is superclass t.
    scores
        "vote": a column whose name is that of an LF and ``score_suffix`` has the scores of its votes.
        "class": a column of an LF has lists of k numbers, a score for each class, or structs of them; the
        vote is the class with the highest one, its score the lead over the second highest, and two highest
        ones are an abstain.  Default: no scores.
    score_suffix
        End of the names of columns of scores.

    Raises
    ------
    LabelMatrixError, ExampleIdError
        See :meth:`.LabelMatrix.from_table`; or scores that are no numbers, or are there of no LF.
    """
    k, sets = len(classes), read_superclasses(superclasses or {}, len(classes))
    columns: dict[str, Any] = {}
    if scores == "vote":
        table, columns = _take_scores(table, score_suffix, where)
    if scores == "class":
        table, columns = _take_class_scores(table, classes, where)
    names = [*classes, *(name for name, _ in sets)]
    matrix = LabelMatrix.from_table(
        table, len(names), lf_columns=lf_columns, tasks=tasks, classes=names, where=where
    )
    found = None
    if columns:
        nothing = np.full(len(matrix), np.nan)
        found = np.column_stack([columns.get(name, nothing) for name in matrix.lf_names]).astype(np.float32)
    return with_details(matrix, k, sets, found)


def _take_scores(table: pa.Table, suffix: str, where: str) -> tuple[pa.Table, dict[str, Any]]:
    """Take the columns of scores out of a table; LF name to its scores ``[n]``."""
    there = set(table.column_names)
    scored = {name: name + suffix for name in table.column_names if name + suffix in there}
    if not scored:
        message = (
            f"{where}: scores are to be in columns that are called as an LF and end in '{suffix}', found "
            f"{[name for name in table.column_names if name != ID_COLUMN]}; set votes.score_suffix to the "
            "end of their names, or leave votes.scores out"
        )
        raise LabelMatrixError(message)
    scores = {
        lf: score_numbers(table.column(column), what=f"{where}: column '{column}'")
        for lf, column in scored.items()
    }
    return table.drop_columns(list(scored.values())), scores


def _take_class_scores(
    table: pa.Table, classes: Sequence[str], where: str
) -> tuple[pa.Table, dict[str, Any]]:
    """Put votes in the place of scores for each class; LF name to the scores of its votes ``[n]``."""
    scores: dict[str, Any] = {}
    for place, name in enumerate(table.column_names):
        found = votes_of_class_scores(table.column(place), classes, what=f"{where}: column '{name}'")
        if found is not None:
            votes, scores[name] = found
            table = table.set_column(place, name, pa.array(votes))
    if not scores:
        message = (
            f"{where}: expected columns of lists of {len(classes)} numbers, a score for each class, found "
            f"{[f'{field.name}: {field.type}' for field in table.schema]}; leave votes.scores out if votes "
            "have no scores"
        )
        raise LabelMatrixError(message)
    return table, scores
