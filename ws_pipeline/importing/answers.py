"""Answers of sources about examples: nulls, and which of several answers counts.

Legend: a answers.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.errors import ExportError
from ws_pipeline.example_ids import ID_COLUMN

ANSWER = (ID_COLUMN, "source", "label")
TIME = "time"
SCORE = "score"
NO_LABEL = "no label"
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")


def check_answers(answers: pa.Table, names: tuple[str, str], where: str) -> tuple[pa.Table, dict[str, int]]:
    """Leave out answers without a label; refuse those without an example or a source.

    Parameters
    ----------
    answers
        ``[a]`` rows of text ``example_id``, ``source`` and ``label``, and perhaps of ``time``, and of numbers
        ``score``.
    names
        What the columns of the example and of the source are called in the file.
    where
        Name of the file; opens the message.

    Returns
    -------
    (pyarrow.Table, dict)
        The answers with a label; reason to number of rows left out.

    Raises
    ------
    ExportError
        Names the column and the row, counted from 1 without the header.
    """
    for name, column in zip(names, ANSWER[:2], strict=True):
        values = answers.column(column)
        if values.null_count:
            row = pc.index(pc.is_null(values), pa.scalar(value=True)).as_py() + 1
            message = (
                f"{where}: row {row} has no value in column '{name}' ({values.null_count} such rows); give "
                "every answer its example and source"
            )
            raise ExportError(message)
    labelled = answers.filter(pc.is_valid(answers["label"]))
    n_without = answers.num_rows - labelled.num_rows
    return labelled, ({NO_LABEL: n_without} if n_without else {})


def keep_last(answers: pa.Table, where: str) -> pa.Table:
    """The last answer of each source on each example: by ``time`` where there is one, else by position.

    An answer without a time counts as earlier than those with one.

    Raises
    ------
    ExportError
        Answers are repeated, and a time is neither a number nor a date that can be read.
    """
    pairs = answers.group_by(list(ANSWER[:2])).aggregate([])
    if len(pairs) == answers.num_rows:
        return answers
    rows = np.arange(answers.num_rows)
    if TIME in answers.column_names:
        rows = np.lexsort((rows, _seconds(answers.column(TIME), where)))
    ordered = answers.take(rows).append_column("position", pa.array(np.arange(answers.num_rows)))
    last = ordered.group_by(list(ANSWER[:2]), use_threads=False).aggregate([("position", "max")])
    kept: pa.Table = answers.take(np.sort(rows[last["position_max"].to_numpy()]))
    return kept


def _seconds(column: pa.ChunkedArray, where: str) -> npt.NDArray[np.float64]:
    """``[a]`` seconds; -inf where there is no time."""
    texts = column.cast(pa.large_string())
    seconds = {text: _one_time(text, where) for text in texts.unique().to_pylist()}
    return np.array([seconds[text] for text in texts.to_pylist()], dtype=np.float64)


def _one_time(text: str | None, where: str) -> float:
    if not text:
        return -np.inf
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError as broken:
        message = (
            f"{where}: the time {text!r} is neither a number nor a date such as 2026-01-31T12:00:00Z, "
            "which is needed to find the last of repeated answers; write the times in one of these ways"
        )
        raise ExportError(message) from broken
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
