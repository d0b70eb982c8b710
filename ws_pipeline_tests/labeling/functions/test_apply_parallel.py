"""Several processes give what one gives: votes, faults, errors."""

from __future__ import annotations

import os
import re
import threading

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import (
    LabelingFunction,
    PandasLFApplier,
    PandasParallelLFApplier,
    labeling_function,
    preprocessor,
)

SCHEDULERS = pytest.mark.parametrize("scheduler", ["processes", "threads", "single-threaded"])
MARKS = {"high": 70}


@preprocessor(memoize=True)
def half(x):
    x.half = x.num // 2
    return x


@labeling_function(pre=[half])
def of_half(x):
    return x.half


@labeling_function(resources={"marks": MARKS})
def with_resources(x, marks):
    return 1 if x.num > marks["high"] else -1


def make_lfs():
    threshold = 3

    def closure(x):
        return 300 if x.num > threshold + MARKS["high"] else -1

    def fails(x):
        return 1 // (x.num % 13)

    return [
        of_half,
        with_resources,
        LabelingFunction("closure", closure),
        LabelingFunction("lambda", lambda x: x.name % 2),
        LabelingFunction("fails", fails),
    ]


def make_frame(n=101):
    return pd.DataFrame({"num": np.arange(1, n + 1), "text": "a"}, index=np.arange(n) + 1000)


@SCHEDULERS
@pytest.mark.parametrize("n_parallel", [2, 3, 200])
def test_votes_and_faults_are_those_of_one_process(scheduler, n_parallel):
    if scheduler == "processes" and n_parallel == 200:
        n_parallel = 4
    frame, lfs = make_frame(), make_lfs()
    votes, meta = PandasParallelLFApplier(lfs).apply(
        frame, n_parallel, scheduler, fault_tolerant=True, return_meta=True
    )
    expected, expected_meta = PandasLFApplier(lfs).apply(
        frame, progress_bar=False, fault_tolerant=True, return_meta=True
    )
    np.testing.assert_array_equal(votes, expected)
    assert votes.dtype == expected.dtype == np.int16
    assert meta == expected_meta
    assert meta.faults["fails"] == 7


@SCHEDULERS
def test_the_first_failure_is_told_with_row_and_cause_as_by_one_process(scheduler):
    frame, lfs = make_frame(), make_lfs()
    with pytest.raises(LabelingFunctionError) as parallel:
        PandasParallelLFApplier(lfs).apply(frame.iloc[13:], 3, scheduler)
    with pytest.raises(LabelingFunctionError) as serial:
        PandasLFApplier(lfs).apply(frame.iloc[13:], progress_bar=False)
    assert str(parallel.value) == str(serial.value)
    assert re.search(
        r"LF 'fails' failed on the row with index label .*1025.* \(row 12\)", str(parallel.value)
    )
    assert isinstance(parallel.value.__cause__, ZeroDivisionError)


def test_a_failure_in_a_later_part_names_the_row_of_the_whole_frame():
    lf = LabelingFunction("late", lambda x: 1 // (x.num - 90))
    with pytest.raises(LabelingFunctionError, match=r"index label .*1089.* \(row 89\)"):
        PandasParallelLFApplier([lf]).apply(make_frame(), 3)


def test_an_error_that_cannot_be_sent_comes_with_its_words():
    class LocalError(Exception):
        def __init__(self, first, second):
            super().__init__(f"{first} and {second}")

    def fails(_):
        raise LocalError(*["one", "two"])

    with pytest.raises(LabelingFunctionError, match="LocalError: one and two") as found:
        PandasParallelLFApplier([LabelingFunction("lf", fails)]).apply(make_frame(4))
    assert str(found.value.__cause__) == "LocalError: one and two"


def test_an_lf_that_cannot_be_sent_is_named_with_the_remedy():
    lock = threading.Lock()
    lfs = [of_half, LabelingFunction("locked", lambda _: int(lock.locked()))]
    with pytest.raises(
        LabelingFunctionError, match=r"LF 'locked' cannot be sent.*lock.*scheduler=\"threads\""
    ):
        PandasParallelLFApplier(lfs).apply(make_frame(4))
    assert PandasParallelLFApplier(lfs).apply(make_frame(2), scheduler="threads").tolist() == [[0, 0], [1, 0]]


def test_a_process_that_is_killed_is_told():
    def dies(_):
        os._exit(1)

    with pytest.raises(
        LabelingFunctionError, match=r"one of 2 processes that applied 1 LFs to 4 rows ended by"
    ):
        PandasParallelLFApplier([LabelingFunction("dies", dies)]).apply(make_frame(4))
    assert PandasParallelLFApplier([of_half]).apply(make_frame(4)).ravel().tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_rows_than_processes(n):
    votes = PandasParallelLFApplier(make_lfs()).apply(make_frame(n), 4)
    assert votes.tolist() == [[0, -1, -1, 0, 1]][:n]
    assert votes.shape == (n, 5)


def test_a_label_matrix_has_the_names():
    matrix = PandasParallelLFApplier([of_half]).apply_to_label_matrix(make_frame(4), 3, progress_bar=False)
    assert matrix.lf_names == ("of_half",)
    assert matrix.votes.ravel().tolist() == [0, 1, 1, 2]


def test_a_plan_that_is_none_is_refused_with_what_was_found():
    applier = PandasParallelLFApplier([of_half])
    with pytest.raises(
        LabelingFunctionError, match="at least 2, got 1; for one process, use PandasLFApplier"
    ):
        applier.apply(make_frame(4), 1)
    with pytest.raises(LabelingFunctionError, match="must be a whole number, at least 2, got '2'"):
        applier.apply(make_frame(4), "2")
    with pytest.raises(
        LabelingFunctionError, match=r"scheduler 'dask', expected one of 'processes', 'threads'"
    ):
        applier.apply(make_frame(4), 2, "dask")
    with pytest.raises(LabelingFunctionError, match="PandasParallelLFApplier expects a DataFrame, got list"):
        applier.apply([1, 2])
