"""Labeling functions applied to data points of any kind."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_pipeline.errors import LabelingFunctionError, LabelMatrixError
from ws_pipeline.labeling import LabelingFunction, LFApplier, PandasLFApplier

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.labeling as snorkel
    except ImportError:
        snorkel = None

HALF = LabelingFunction("half", lambda x: 100 // x if x < 60 else -1)
EVEN = LabelingFunction("even", lambda x: 1 - x % 2)


def apply(lfs, points, **options):
    return LFApplier(lfs).apply(points, progress_bar=False, **options)


def remainder_lfs(module_type, divisors):
    return [module_type(f"mod {d}", lambda x, d=d: x % d if x % (d + 1) else -1) for d in divisors]


@pytest.mark.parametrize("make", [list, tuple, iter, np.array, pd.Series, lambda points: (x for x in points)])
def test_any_iterable_is_labeled_in_order(make):
    votes = apply([HALF, EVEN], make([50, 7, 60]))
    assert votes.tolist() == [[2, 1], [14, 0], [-1, 1]]
    assert votes.dtype == np.int8


def test_the_rows_of_an_array_are_data_points():
    lf = LabelingFunction("first", lambda x: x[0] if x[1] else -1)
    assert apply([lf], np.array([[3, 0], [4, 1]])).tolist() == [[-1], [4]]


def test_objects_are_data_points():
    lf = LabelingFunction("num", lambda x: x.num)
    assert apply([lf], [SimpleNamespace(num=n) for n in (1, 0)]).tolist() == [[1], [0]]


@pytest.mark.skipif(snorkel is None, reason="Snorkel is not installed")
@settings(derandomize=True, deadline=None, max_examples=50)
@given(points=st.lists(st.integers(0, 1000), max_size=30), divisors=st.sets(st.integers(1, 50), min_size=1))
def test_the_votes_are_those_of_snorkel(points, divisors):
    theirs = snorkel.LFApplier(remainder_lfs(snorkel.LabelingFunction, divisors))
    expected = theirs.apply(points, progress_bar=False)
    np.testing.assert_array_equal(apply(remainder_lfs(LabelingFunction, divisors), points), expected)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(points=st.lists(st.integers(0, 1000), max_size=20), order=st.permutations(range(5)))
def test_permuting_the_labeling_functions_permutes_the_columns(points, order):
    lfs = remainder_lfs(LabelingFunction, range(2, 7))
    permuted = apply([lfs[j] for j in order], points)
    np.testing.assert_array_equal(permuted, apply(lfs, points)[:, order])


@pytest.mark.parametrize(("highest", "dtype"), [(127, np.int8), (128, np.int16), (32766, np.int16)])
def test_classes_beyond_eight_bits_get_more(highest, dtype):
    votes = apply([LabelingFunction("lf", lambda x: x)], [-1, highest])
    assert votes.tolist() == [[-1], [highest]]
    assert votes.dtype == dtype


@pytest.mark.parametrize(("n", "m"), [(0, 2), (3, 0), (0, 0)])
def test_without_points_or_functions_there_are_no_votes(n, m):
    lfs = [LabelingFunction(f"lf {j}", lambda _: 0) for j in range(m)]
    assert apply(lfs, [5] * n).shape == (n, m)


def test_a_failing_labeling_function_is_named_with_the_position_and_its_own_error():
    with pytest.raises(LabelingFunctionError) as caught:
        apply([EVEN, HALF], [1, 2, 0, 0])
    assert str(caught.value).startswith("LF 'half' failed on data point 2: ZeroDivisionError: ")
    assert "fault_tolerant=True" in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_result_that_is_no_vote_is_named_with_the_position():
    with pytest.raises(
        LabelingFunctionError, match=r"LF 'lf' failed on data point 1: LF 'lf' returned 0\.5, "
    ):
        apply([LabelingFunction("lf", lambda x: x)], [1, 0.5])


def test_faults_can_count_as_abstains():
    lfs = [HALF, EVEN, LabelingFunction("none", lambda x: None if x else 0)]
    votes, meta = apply(lfs, [0, 0, 50], fault_tolerant=True, return_meta=True)
    assert votes.tolist() == [[-1, 1, 0], [-1, 1, 0], [2, 1, -1]]
    assert meta.faults == {"half": 2, "none": 1}
    assert meta.faults["even"] == 0


def test_without_faults_the_metadata_has_none():
    votes, meta = apply([EVEN], [4], return_meta=True)
    assert votes.tolist() == [[1]]
    assert meta.faults == {}


def test_an_interrupt_is_no_fault():
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply([LabelingFunction("lf", interrupt)], [1], fault_tolerant=True)


@pytest.mark.parametrize("applier", [LFApplier, PandasLFApplier])
def test_two_labeling_functions_of_one_name_are_refused(applier):
    with pytest.raises(LabelingFunctionError, match="Operator names not unique: 2 LFs named 'even'; give"):
        applier([EVEN, HALF, EVEN])


def test_a_plain_function_is_refused():
    with pytest.raises(
        LabelingFunctionError, match="got <built-in function len>; decorate it with @labeling"
    ):
        LFApplier([len])


def test_a_dataframe_needs_its_own_applier():
    with pytest.raises(LabelingFunctionError, match=r"LFApplier got a DataFrame, .* use PandasLFApplier"):
        apply([EVEN], pd.DataFrame({"num": [1]}))


@pytest.mark.parametrize("applier", [LFApplier, PandasLFApplier])
def test_the_progress_bar_is_on_unless_turned_off(applier, capsys):
    lf = LabelingFunction("lf", lambda _: 1)
    points = [1, 2] if applier is LFApplier else pd.DataFrame({"num": [1, 2]})
    applier([lf]).apply(points, progress_bar=False)
    assert capsys.readouterr().err == ""
    applier([lf]).apply(points)
    assert "2/2" in capsys.readouterr().err


def test_a_label_matrix_gets_names_and_ids():
    matrix = LFApplier([HALF, EVEN]).apply_to_label_matrix([50, 60], 3, ["a", "b"], progress_bar=False)
    assert matrix.lf_names == ("half", "even")
    assert matrix.example_ids.tolist() == ["a", "b"]
    assert matrix.votes.tolist() == [[2, 1], [-1, 1]]


def test_a_label_matrix_refuses_a_vote_beyond_its_classes():
    with pytest.raises(LabelMatrixError, match="LF 'half' votes 2 on example 0"):
        LFApplier([HALF]).apply_to_label_matrix([50], 2, progress_bar=False)


def test_the_representation_lists_the_names():
    assert repr(LFApplier([HALF, EVEN])) == "LFApplier, LFs: ['half', 'even']"
