"""Slicing functions: who is in a slice."""

from __future__ import annotations

import sys
import warnings
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.analysis import Scorer
from ws_pipeline.compat.slicing import (
    PandasParallelSFApplier,
    PandasSFApplier,
    SFApplier,
    SlicingFunction,
    nlp_slicing_function,
    slice_dataframe,
    slicing_function,
)
from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import preprocessor
from ws_pipeline.labeling.functions import nlp

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.slicing as theirs
    except ImportError:
        theirs = None

NUMBERS = [3, 43, 12, 9, 3]


@preprocessor(memoize=True)
def square(x):
    x.squared = x.num**2
    return x


@slicing_function()
def is_big(x):
    return x.num > 42


@slicing_function(pre=[square], resources={"least": 100})
def has_big_square(x, least):
    return x.squared >= least


@slicing_function(name="votes")
def as_votes(x):
    return 1 if x.num == 3 else -1


SFS = [is_big, has_big_square, as_votes]
EXPECTED = {"is_big": [0, 1, 0, 0, 0], "has_big_square": [0, 1, 1, 0, 0], "votes": [1, 0, 0, 0, 1]}


@pytest.fixture
def frame():
    return pd.DataFrame({"num": NUMBERS, "label": [0, 1, 1, 0, 1]}, index=list("abcde"))


def test_a_slicing_function_says_true_or_false():
    assert has_big_square(SimpleNamespace(num=10)) is True
    assert has_big_square(SimpleNamespace(num=9)) is False
    assert as_votes(SimpleNamespace(num=9)) == -1
    assert repr(is_big) == "SlicingFunction is_big, Preprocessors: []"


@pytest.mark.parametrize("applier", [PandasSFApplier, PandasParallelSFApplier])
def test_slices_are_a_record_array_of_0_and_1(applier, frame):
    slices = applier(SFS).apply(frame)
    assert isinstance(slices, np.recarray)
    assert {name: slices[name].tolist() for name in slices.dtype.names} == EXPECTED
    assert {slices[name].dtype for name in slices.dtype.names} == {np.dtype(np.int64)}


def test_slices_of_any_iterable():
    slices = SFApplier(SFS).apply((SimpleNamespace(num=num) for num in NUMBERS), progress_bar=False)
    assert slices.tolist() == list(zip(*EXPECTED.values(), strict=True))
    assert len(SFApplier(SFS).apply([], progress_bar=False)) == 0
    assert repr(SFApplier(SFS)) == "SFApplier, SFs: ['is_big', 'has_big_square', 'votes']"


def test_a_data_point_that_fails_is_not_in_the_slice(frame):
    sf = SlicingFunction("known", lambda x: {3: True, 43: False, 9: True}[x.num])
    with pytest.raises(LabelingFunctionError, match=r"'known' failed on .*'c' \(row 2\): KeyError: .*12"):
        PandasSFApplier([sf]).apply(frame, progress_bar=False)
    slices, meta = PandasSFApplier([sf]).apply(
        frame, progress_bar=False, fault_tolerant=True, return_meta=True
    )
    assert slices["known"].tolist() == [1, 0, 0, 1, 1]
    assert meta.faults == {"known": 1}


@pytest.mark.parametrize("result", [2, None, "yes", 0.5, -2])
def test_anything_else_is_refused_by_name_and_value(result):
    with pytest.raises(
        LabelingFunctionError, match=f"slicing function 'sf' returned {result!r}, expected True or False"
    ):
        SlicingFunction("sf", lambda _: result)(0)


def test_a_dataframe_is_cut_to_the_slice(frame):
    """A vote of -1 counts as True where its truth is asked for."""
    assert slice_dataframe(frame, has_big_square).index.tolist() == ["b", "c"]
    assert slice_dataframe(frame, as_votes).index.tolist() == ["a", "e"]


def test_slices_are_scored(frame):
    slices = PandasSFApplier([is_big, as_votes]).apply(frame, progress_bar=False)
    preds = np.array([0, 1, 1, 0, 0])
    scores = Scorer(["accuracy"]).score_slices(slices, frame.label, preds, None)
    assert scores == {"overall": {"accuracy": 0.8}, "is_big": {"accuracy": 1.0}, "votes": {"accuracy": 0.5}}


def test_decorators_without_parentheses_are_refused():
    with pytest.raises(LabelingFunctionError, match=r"missing parentheses: write @slicing_function\(\)"):
        slicing_function(lambda _: True)


def test_a_slicing_function_of_a_parsed_text(monkeypatch):
    spacy = ModuleType("spacy")
    spacy.load = lambda *_, **__: str.split
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    nlp._load.cache_clear()
    nlp.shared_parser.cache_clear()

    @nlp_slicing_function()
    def is_short(x):
        return len(x.doc) < 2

    assert is_short(SimpleNamespace(text="well")) is True
    assert is_short(SimpleNamespace(text="well done")) is False
    nlp._load.cache_clear()
    nlp.shared_parser.cache_clear()


@pytest.mark.skipif(theirs is None, reason="Snorkel is not installed")
def test_the_slices_are_those_of_snorkel(frame):
    functions = [is_big, has_big_square]
    found = PandasSFApplier(functions).apply(frame, progress_bar=False)
    expected = theirs.PandasSFApplier(functions).apply(frame, progress_bar=False)
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()
    pd.testing.assert_frame_equal(slice_dataframe(frame, is_big), theirs.slice_dataframe(frame, is_big))
