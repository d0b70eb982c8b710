"""Mappers and preprocessors: what they write to, and what they remember."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import (
    LabelingFunction,
    LFApplier,
    Mapper,
    PandasLFApplier,
    Preprocessor,
    labeling_function,
    lambda_mapper,
    preprocessor,
)
from ws_pipeline.labeling.functions.dataframe_rows import iterate_rows
from ws_pipeline.labeling.functions.mapping import BaseMapper


class SplitWords(Mapper):
    def __init__(self, **settings):
        super().__init__("split", {"text": "title"}, {"words": "title_words", "lower": "title"}, **settings)

    def run(self, text):
        return {"words": text.split(), "lower": text.lower(), "more": 1}


class Counted:
    """Adds a field, and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        x.low = x.text.lower()
        return x


def counted(**settings):
    function = Counted()
    return function, preprocessor(name="counted", **settings)(function)


def test_a_mapper_reads_and_sets_the_fields_it_names():
    point = SimpleNamespace(title="So WELL", n=3)
    expected = SimpleNamespace(title="so well", n=3, title_words=["So", "WELL"])
    assert SplitWords()(point) == expected
    assert point == SimpleNamespace(title="So WELL", n=3)


def test_a_key_that_run_does_not_return_is_named():
    class Forgets(SplitWords):
        def run(self, text):
            return {"lower": text}

    with pytest.raises(
        LabelingFunctionError, match=r"Forgets 'split': run returned no 'words'.*returned lower"
    ):
        Forgets()(SimpleNamespace(title="a"))


@pytest.mark.parametrize("star", ["*rest", "**rest"])
def test_parameters_that_are_no_fields_are_refused(star):
    scope = {}
    exec(f"def run(self, text, {star}): return {{}}", scope)  # noqa: S102
    kind = type("Star", (Preprocessor,), {"run": scope["run"]})
    with pytest.raises(LabelingFunctionError, match=rf"mapper 'star'.*got '{star.replace('*', '[*]')}'"):
        kind("star")


@pytest.mark.parametrize("make", [lambda d: SimpleNamespace(d=d), lambda d: pd.Series({"d": d, "n": 1})])
def test_the_data_point_stays_as_it_was_to_the_last_level(make):
    @preprocessor()
    def write(x):
        x.d["key"].append(0)
        x.n = 7
        return x

    point = make({"key": [1]})
    assert write(point).d == {"key": [1, 0]}
    assert write(point).n == 7
    assert point.d == {"key": [1]}
    assert getattr(point, "n", 1) == 1


def test_each_preprocessor_of_a_row_sees_the_fields_set_by_those_before():
    """pandas leaves attributes out when it copies a Series."""

    @preprocessor()
    def lower(x):
        x.low = x.text.lower()
        return x

    @preprocessor(memoize=True)
    def split(x):
        x.words = x.low.split()
        return x

    @preprocessor(pre=[lower, split])
    def count(x):
        x.n_words = len(x.words)
        return x

    @labeling_function(pre=[lower, split])
    def chained(x):
        return len(x.words) + x.low.count("a")

    @labeling_function(pre=[count])
    def nested(x):
        return x.n_words

    frame = pd.DataFrame({"text": ["A b", "C", "A a A"]})
    votes = PandasLFApplier([chained, nested]).apply(frame, progress_bar=False)
    assert votes.tolist() == [[3, 2], [1, 1], [6, 3]]
    assert frame.columns.tolist() == ["text"]


def test_a_text_may_be_replaced_by_an_object_of_another_type():
    @labeling_function(pre=[preprocessor()(lambda x: setattr(x, "text", x.text.split()) or x)])
    def n_words(x):
        return len(x.text)

    frame = pd.DataFrame({"text": ["a b", "c"], "title": ["d", "e"]})
    assert PandasLFApplier([n_words]).apply(frame, progress_bar=False).tolist() == [[2], [1]]


def test_fields_that_are_lists_of_one_length_stay_lists():
    @labeling_function(pre=[preprocessor()(lambda x: x.a.append(0) or x)])
    def lengths(x):
        return 10 * len(x.a) + len(x.b)

    frame = pd.DataFrame({"a": [[1, 2], [3, 4]], "b": [[5, 6], [7, 8]]})
    assert PandasLFApplier([lengths]).apply(frame, progress_bar=False).tolist() == [[32], [32]]
    assert frame.a.tolist() == [[1, 2], [3, 4]]


def test_a_mapper_of_ones_own_may_be_a_class_that_is_called():
    class Commit(BaseMapper):
        def __call__(self, x):
            return SimpleNamespace(words=x.split())

    lf = LabelingFunction("long", lambda x: int(len(x.words) > 1), pre=[Commit("commit", [], memoize=False)])
    assert [lf("fix"), lf("fix it")] == [0, 1]


def test_a_step_that_is_remembered_is_done_once_for_all_labeling_functions():
    function, step = counted(memoize=True)
    lfs = [LabelingFunction(name, lambda x: len(x.low), pre=[step]) for name in "abc"]
    frame = pd.DataFrame({"text": ["AA", "B", "AA"], "n": [1, 2, 1]})
    assert PandasLFApplier(lfs).apply(frame, progress_bar=False).tolist() == [[2] * 3, [1] * 3, [2] * 3]
    assert function.calls == 2
    step.reset_cache()
    PandasLFApplier(lfs).apply(frame, progress_bar=False)
    assert function.calls == 4


def test_without_memoize_it_is_done_each_time():
    function, step = counted()
    step(SimpleNamespace(text="A"))
    step(SimpleNamespace(text="A"))
    assert function.calls == 2


def test_none_is_remembered_too():
    calls = []
    step = lambda_mapper(name="none", memoize=True)(calls.append)
    assert step(SimpleNamespace(a=1)) is None
    assert step(SimpleNamespace(a=1)) is None
    assert len(calls) == 1


def test_what_is_remembered_cannot_be_written_to():
    _, step = counted(memoize=True)
    step(SimpleNamespace(text="A")).low = "changed"
    assert step(SimpleNamespace(text="A")).low == "a"
    row = pd.Series({"text": "A"})
    found = step(row)
    found["text"] = "changed"
    assert step(row)["text"] == "A"


def test_a_key_of_ones_own_decides_what_is_the_same():
    function, step = counted(memoize=True, memoize_key=lambda x: x.id)
    assert step(SimpleNamespace(id=1, text="A")).low == "a"
    assert step(SimpleNamespace(id=1, text="B", frame=pd.DataFrame())).low == "a"
    assert function.calls == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        ([1], (1,)),
        (np.zeros(2, np.int8), np.zeros(1, np.int16)),
        (np.zeros((2, 1)), np.zeros((1, 2))),
        ({"a": 1}, {"a": True}),
        ("1", 1),
        ([None], [float("nan")]),
    ],
)
def test_values_of_different_types_are_told_apart(one, other):
    step = lambda_mapper(name="type", memoize=True)(lambda x: SimpleNamespace(found=x.value))
    for value in (one, other):
        found = step(SimpleNamespace(value=value)).found
        assert type(found) is type(value)
        assert np.shape(found) == np.shape(value)


@pytest.mark.parametrize(
    "value", [float("nan"), {"a": [1, {2}]}, np.array([1.0, np.nan]), np.array([[1], "a"], object)]
)
def test_equal_values_are_found_again(value):
    function, step = counted(memoize=True)
    for _ in range(2):
        again = pickle.loads(pickle.dumps(value))  # noqa: S301
        step(SimpleNamespace(text="A", value=again))
        step(pd.Series({"text": "A", "value": again}, dtype=object))
    assert function.calls == 2


def test_fields_set_by_an_earlier_step_are_part_of_the_key():
    function, step = counted(memoize=True)
    rows = [pd.Series({"text": "A"}) for _ in range(2)]
    rows[1].lang = "de"
    assert [hasattr(step(row), "lang") for row in rows] == [False, True]
    assert function.calls == 2


def test_a_value_that_cannot_be_looked_up_is_named_with_the_remedy():
    _, step = counted(memoize=True)
    with pytest.raises(
        LabelingFunctionError, match=r"a DataFrame in the data point.*memoize_key=lambda x: x.id"
    ):
        step(SimpleNamespace(text="A", table=pd.DataFrame()))


def test_rows_of_a_frame_are_taken_as_they_come():
    function, step = counted(memoize=True)
    frame = pd.DataFrame({"text": ["A", "A"], "n": [1, 1]}, index=["x", "y"])
    assert [step(row).low for row in iterate_rows(frame)] == ["a", "a"]
    assert function.calls == 1


def test_a_step_that_returns_nothing_is_named_in_a_chain_and_in_a_labeling_function():
    nothing = lambda_mapper(name="nothing")(lambda _: None)
    after = lambda_mapper(name="after", pre=[nothing])(lambda x: x)
    with pytest.raises(
        LabelingFunctionError, match=r"^after: preprocessor LambdaMapper nothing.*returned None"
    ):
        after(SimpleNamespace())
    lf = LabelingFunction("lf", lambda _: 0, pre=[nothing])
    with pytest.raises(LabelingFunctionError, match=r"LF 'lf'.*data point 0.*nothing"):
        LFApplier([lf]).apply([SimpleNamespace()], progress_bar=False)


@pytest.mark.parametrize("decorator", [lambda_mapper, preprocessor])
def test_decorators_without_parentheses_are_refused(decorator):
    with pytest.raises(
        LabelingFunctionError, match=f"missing parentheses: write @{decorator.__name__}\\(\\)"
    ):
        decorator(lambda x: x)


def test_what_is_remembered_is_not_pickled():
    step = SplitWords(memoize=True)
    step(SimpleNamespace(title="a b"))
    copied = pickle.loads(pickle.dumps(step))  # noqa: S301
    assert len(step._cache) == 1
    assert copied._cache == {}
    assert copied(SimpleNamespace(title="a b")).title_words == ["a", "b"]


def test_representations_name_what_comes_before():
    @preprocessor()
    def first(x):
        return x

    second = lambda_mapper(name="second", pre=[first])(lambda x: x)
    assert repr(second) == "LambdaMapper second, Pre: [LambdaPreprocessor first, Pre: []]"
