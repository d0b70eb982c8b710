"""Which of several answers counts."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.answers import keep_last


def answers(rows, times=None):
    columns = dict(zip(("example_id", "source", "label"), zip(*rows, strict=True), strict=True))
    columns = {name: pa.array(values, pa.large_string()) for name, values in columns.items()}
    if times is not None:
        columns["time"] = pa.array(times, pa.large_string())
    return pa.table(columns)


ROWS = [("a", "w", "first"), ("b", "w", "x"), ("a", "w", "second"), ("a", "v", "y")]


def kept(times=None):
    return [tuple(row.values())[:3] for row in keep_last(answers(ROWS, times), "file").to_pylist()]


def test_without_times_the_last_row_counts():
    assert kept() == [ROWS[1], ROWS[2], ROWS[3]]


@pytest.mark.parametrize(
    ("times", "first_counts"),
    [
        (["10", "1", "9", "1"], True),
        (["9.5", None, "1e1", None], False),
        (["2026-01-01T12:00:00+02:00", None, "2026-01-01T11:00:00Z", None], False),
        (["2026-01-01T14:00:00+02:00", None, "2026-01-01T11:00:00.5Z", None], True),
        (["2024-05-29 13:46:19.963000", None, "2024-05-29", None], True),
        (["2024-05-29", None, None, None], True),
        (["5", None, "5", None], False),
    ],
)
def test_the_latest_answer_counts(times, first_counts):
    assert kept(times) == ([ROWS[0], ROWS[1], ROWS[3]] if first_counts else [ROWS[1], ROWS[2], ROWS[3]])


def test_a_time_that_is_none_is_refused_only_where_it_matters():
    with pytest.raises(
        ExportError, match="file: the time 'yesterday' is neither a number nor a date such as"
    ):
        kept(["yesterday", None, "2", None])
    once = answers(ROWS[:2], ["yesterday", "2"])
    assert keep_last(once, "file") is once
