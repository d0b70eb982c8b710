"""LFs applied one after the other: the votes of the plain appliers, the same in any number of processes."""

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import LabelingFunction, PandasLFApplier, labeling_function
from ws_pipeline.labeling.functions import apply_by_lf as module
from ws_pipeline.labeling.functions.apply_by_lf import apply_by_lf


@labeling_function()
def is_even(x):
    return 1 if x.number % 2 == 0 else -1


@labeling_function(resources={"limit": 7})
def is_large(x, limit):
    return 0 if x.number > limit else -1


@labeling_function()
def says_so(x):
    return x.number > 10  # a boolean is a vote


@labeling_function(vectorized=True)
def is_small(df):
    return df.number.lt(3).map({True: 0, False: -1})


LFS = [is_even, is_small, is_large, says_so]


def divide(x):
    return 1 // (x.number - 12)


FAILS = LabelingFunction("fails", divide)


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch):
    monkeypatch.setattr(module, "_PART_ROWS", 8)
    monkeypatch.setattr(module, "_BLOCK_ROWS", 3)


@pytest.fixture
def frame():
    return pd.DataFrame({"number": np.arange(20), "text": "a"})


@pytest.mark.parametrize("n_processes", [1, 2])
def test_votes_are_those_of_the_pandas_applier(frame, n_processes):
    applied = apply_by_lf(LFS, frame, n_processes=n_processes)
    expected = PandasLFApplier(LFS).apply(frame, progress_bar=False)
    assert list(applied.votes) == ["is_even", "is_small", "is_large", "says_so"]
    assert np.array_equal(np.column_stack(list(applied.votes.values())), expected)
    assert applied.votes["is_small"].tolist() == [0, 0, 0] + [-1] * 17
    assert not applied.faults
    assert applied.seconds.keys() == applied.votes.keys()
    assert min(applied.seconds.values()) > 0


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_fault_is_named(frame, n_processes):
    with pytest.raises(
        ZeroDivisionError, match=r"^LF .fails. failed on example 12: ZeroDivisionError: .*fix it"
    ) as raised:
        apply_by_lf([is_even, FAILS], frame, n_processes=n_processes, name_row="example {}".format)
    assert isinstance(raised.value, LabelingFunctionError)


@pytest.mark.parametrize("n_processes", [1, 2])
def test_tolerated_faults_are_counted(frame, n_processes):
    applied = apply_by_lf([FAILS, is_even], frame, n_processes=n_processes, fault_tolerant=True)
    assert applied.faults == {"fails": 1}
    assert applied.votes["fails"].tolist() == [-1] * 12 + [-1] + [1] + [0] * 6
    assert applied.votes["is_even"].tolist() == [1, -1] * 10


@pytest.mark.parametrize("result", [None, "spam", 2.5, -2, 40_000])
def test_what_is_no_vote_is_a_fault(frame, result):
    lf = LabelingFunction("odd", lambda x: result if x.number == 9 else 1)
    with pytest.raises(LabelingFunctionError, match=r"LF 'odd' failed on row 9: .*expected a class from 0"):
        apply_by_lf([lf], frame)
    applied = apply_by_lf([lf], frame, fault_tolerant=True)
    assert applied.faults == {"odd": 1}
    assert applied.votes["odd"].tolist() == [1] * 9 + [-1] + [1] * 10


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ([1, 0], r"LF 'at_once' returned list of shape \[2\], expected 8 votes, one per row"),
        (1, r"LF 'at_once' returned 1, expected 8 votes, one per row"),
        ([1] * 7 + [9.5], r"LF 'at_once' returned 9.5, expected a class .* \(position 7\)"),
        ([1] * 7 + [-3], r"LF 'at_once' returned -3, expected a class .* \(position 7\)"),
    ],
)
def test_what_is_no_column_of_votes_is_a_fault(frame, result, said):
    lf = labeling_function("at_once", vectorized=True)(lambda _df: result)
    with pytest.raises(
        LabelingFunctionError, match=rf"LF 'at_once' failed on the 8 rows from row 0 on: {said}"
    ):
        apply_by_lf([lf], frame)
    assert apply_by_lf([lf, is_even], frame, fault_tolerant=True).faults == {"at_once": 20}


def leaves(x):
    if x.number == 9:
        raise SystemExit
    return 1


def test_a_function_that_ends_the_process_is_a_fault(frame):
    lf = LabelingFunction("leaves", leaves)
    with pytest.raises(LabelingFunctionError, match=r"LF 'leaves' failed on row 9: SystemExit"):
        apply_by_lf([lf], frame)
    assert apply_by_lf([lf], frame, fault_tolerant=True).faults == {"leaves": 1}


def test_progress_is_told_part_by_part(frame):
    done = []
    apply_by_lf([is_even], frame, progress=done.append)
    assert done == [8, 16, 20]


def test_no_rows_and_no_lfs(frame):
    assert apply_by_lf(LFS, frame.iloc[:0]).votes["is_even"].tolist() == []
    assert apply_by_lf([], frame).votes == {}


def test_a_vectorized_lf_takes_a_frame_alone():
    with pytest.raises(
        LabelingFunctionError, match="'is_small' is vectorized and takes a DataFrame, got int"
    ):
        is_small(3)
    with pytest.raises(LabelingFunctionError, match="'both' is vectorized and has preprocessors"):
        labeling_function("both", pre=[str.strip], vectorized=True)(lambda df: df)


def test_faults_of_vectorized_lfs_by_the_pandas_applier(frame):
    lf = labeling_function("fails_at_once", vectorized=True)(lambda df: df.nowhere)
    applier = PandasLFApplier([is_even, lf])
    with pytest.raises(AttributeError, match="LF 'fails_at_once' failed on the 20 rows from row 0 on"):
        applier.apply(frame, progress_bar=False)
    votes, meta = applier.apply(frame, progress_bar=False, fault_tolerant=True, return_meta=True)
    assert meta.faults == {"fails_at_once": 20}
    assert votes.tolist() == [[1, -1], [-1, -1]] * 10
