"""Transformation functions: changed copies of data points and rows."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.compat.augmentation import (
    PandasTFApplier,
    TFApplier,
    TransformationFunction,
    transformation_function,
)
from ws_pipeline.compat.policies import ApplyAllPolicy, ApplyEachPolicy, ApplyOnePolicy, RandomPolicy
from ws_pipeline.errors import InvalidInputError, LabelingFunctionError
from ws_pipeline.labeling import preprocessor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.augmentation as theirs
    except ImportError:
        theirs = None


@transformation_function()
def square(x):
    x.num = x.num**2
    return x


@transformation_function()
def square_unless_2(x):
    return None if x.num == 2 else square(x)


@transformation_function()
def add_word(x):
    x.n_words = len(x.text.split())
    return x


def points(*numbers):
    return [SimpleNamespace(num=number) for number in numbers]


def make_frame():
    columns = {
        "num": [1, 2, 3],
        "small": np.array([1, 2, 3], np.int8),
        "share": [0.5, 1.0, np.nan],
        "flag": [True, False, True],
        "text": ["a b", "c", None],
        "day": pd.to_datetime(["2020-01-01", "2020-02-01", None]),
        "kind": pd.Categorical(["x", "y", "x"]),
        "count": pd.array([1, None, 3], dtype="Int64"),
        "things": [[1], {"a": 1}, None],
    }
    return pd.DataFrame(columns, index=pd.Index(["r", "s", "t"], name="id"))


def test_copies_come_behind_their_original():
    applier = TFApplier([square], ApplyAllPolicy(1, n_per_original=2))
    data = points(1, 2, 3)
    assert applier.apply(data, progress_bar=False) == points(1, 1, 1, 2, 4, 4, 3, 9, 9)
    assert data == points(1, 2, 3)


def test_a_sequence_applies_one_after_the_other():
    applier = TFApplier([square], RandomPolicy(1, sequence_length=2, keep_original=False))
    assert applier.apply(points(1, 2, 3), progress_bar=False) == points(1, 16, 81)


def test_where_no_function_applies_there_is_no_copy():
    applier = TFApplier([square_unless_2], ApplyOnePolicy())
    assert applier.apply(points(1, 2, 3), progress_bar=False) == points(1, 1, 2, 3, 9)
    applier = TFApplier([square_unless_2, square], ApplyAllPolicy(2, keep_original=False))
    assert applier.apply(points(1, 2, 3), progress_bar=False) == points(1, 4, 81)


def test_a_function_may_be_a_class():
    class Times(TransformationFunction):
        def run(self, num):
            return {"num": 10 * num}

    applier = TFApplier([Times("times"), square], ApplyEachPolicy(2, keep_original=False))
    assert applier.apply(points(3), progress_bar=False) == points(30, 9)
    assert repr(applier) == "TFApplier, Policy: ApplyEachPolicy, TFs: ['times', 'square']"


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_batches_are_the_whole_in_parts(n):
    applier = TFApplier([square], ApplyOnePolicy())
    batches = list(applier.apply_generator(points(*range(n)), batch_size=2))
    assert [len(batch) for batch in batches] == [4] * (n // 2) + [2] * (n % 2)
    joined = [copied for batch in batches for copied in batch]
    assert joined == applier.apply(points(*range(n)), progress_bar=False)
    frame = pd.DataFrame({"num": np.arange(n)})
    parts = list(PandasTFApplier([square], ApplyOnePolicy()).apply_generator(frame, batch_size=2))
    assert [len(part) for part in parts] == [len(batch) for batch in batches]


def test_rows_keep_their_labels_and_columns_their_types():
    frame = make_frame()
    found = PandasTFApplier([square], ApplyOnePolicy()).apply(frame, progress_bar=False)
    assert found.index.tolist() == ["r", "r", "s", "s", "t", "t"]
    assert found.index.name == "id"
    assert found.num.tolist() == [1, 1, 2, 4, 3, 9]
    assert found.dtypes.tolist() == frame.dtypes.tolist()
    pd.testing.assert_frame_equal(found.iloc[::2], frame)
    pd.testing.assert_frame_equal(frame, make_frame())


def test_whole_numbers_stay_whole_beside_fractions():
    """A row of numbers is a Series of floats."""
    frame = pd.DataFrame({"num": [1, 2], "share": [0.5, 0.25]})
    found = PandasTFApplier([square], ApplyOnePolicy()).apply(frame, progress_bar=False)
    assert found.dtypes.tolist() == [np.int64, np.float64]
    assert found.num.tolist() == [1, 1, 2, 4]


@pytest.mark.parametrize(("column", "value"), [("num", 0.5), ("text", 7), ("kind", "z"), ("flag", "maybe")])
def test_a_column_takes_values_that_do_not_fit_its_type(column, value):
    @transformation_function()
    def replace(x):
        x[column] = value
        return x

    found = PandasTFApplier([replace], ApplyOnePolicy()).apply(make_frame(), progress_bar=False)
    assert found[column].iloc[1::2].tolist() == [value] * 3
    assert found[column].iloc[0] == make_frame()[column].iloc[0]


def test_new_fields_are_columns():
    frame = pd.DataFrame({"text": ["a b", "c"]})
    found = PandasTFApplier([add_word], ApplyOnePolicy()).apply(frame, progress_bar=False)
    assert found.columns.tolist() == ["text", "n_words"]
    assert found.n_words.tolist()[1::2] == [2, 1]
    assert found.n_words.isna().tolist() == [True, False, True, False]


@preprocessor()
def parse(x):
    x.words, x.n_words = x.text.split(), 0
    return x


def test_fields_of_preprocessors_are_no_columns():
    """They are of the text before the change, and may be what no file holds, such as a parsed text."""

    @transformation_function(pre=[parse])
    def drop_first(x):
        x.text, x.n_words = " ".join(x.words[1:]), len(x.words) - 1
        return x

    class DropLast(TransformationFunction):
        def run(self, text, words):
            return {"text": text.removesuffix(words[-1])}

    frame = pd.DataFrame({"text": ["a b", "c d e"]})
    tfs = [drop_first, DropLast("drop_last", pre=[parse])]
    found = PandasTFApplier(tfs, ApplyEachPolicy(2, keep_original=False)).apply(frame, progress_bar=False)
    assert found.columns.tolist() == ["text", "n_words"]
    assert found.text.tolist() == ["b", "a ", "d e", "c d "]
    assert found.n_words.dropna().tolist() == [1, 2]
    assert drop_first(SimpleNamespace(text="a b")).words == ["a", "b"]


def test_nothing_is_left_of_nothing():
    frame = make_frame()
    never = transformation_function(name="never")(lambda _: None)
    found = PandasTFApplier([never], ApplyOnePolicy(keep_original=False)).apply(frame, progress_bar=False)
    pd.testing.assert_frame_equal(found, frame.iloc[:0])


def test_the_same_seed_gives_the_same_table():
    def augmented(**settings):
        policy = RandomPolicy(2, 2, n_per_original=3, **settings)
        tfs = [square, transformation_function(name="add")(lambda x: setattr(x, "num", x.num + 1) or x)]
        return PandasTFApplier(tfs, policy).apply(pd.DataFrame({"num": range(20)}), progress_bar=False)

    pd.testing.assert_frame_equal(augmented(), augmented())
    assert not augmented().equals(augmented(seed=1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TFApplier([square, square], ApplyAllPolicy(2)), "2 TFs are called 'square'"),
        (lambda: TFApplier([str], ApplyOnePolicy()), "got <class 'str'>; decorate it"),
        (lambda: TFApplier([square], RandomPolicy(2)), r"RandomPolicy is for 2 TFs, got 1: \['square'\]"),
        (lambda: list(TFApplier([square], ApplyOnePolicy()).apply_generator([], 0)), "at least 1, got 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()


def test_what_is_no_row_is_named_with_the_row():
    to_text = transformation_function(name="to_text")(lambda x: x.text)
    with pytest.raises(InvalidInputError, match=r"return the row or None, got str for the row with .*'r'"):
        PandasTFApplier([to_text], ApplyOnePolicy()).apply(make_frame(), progress_bar=False)


def test_the_decorator_without_parentheses_is_refused():
    with pytest.raises(
        LabelingFunctionError, match=r"missing parentheses: write @transformation_function\(\)"
    ):
        transformation_function(lambda x: x)


@pytest.mark.skipif(theirs is None, reason="Snorkel is not installed")
@pytest.mark.parametrize("columns", [["num"], ["num", "text"], ["num", "share", "flag", "day"]])
def test_the_table_is_that_of_snorkel(columns):
    """Where Snorkel keeps the types, and no field is new."""
    frame = make_frame()[columns].rename_axis(None)
    their_square = theirs.transformation_function(name="square")(square._f)
    policy = theirs.ApplyOnePolicy(2)
    found = PandasTFApplier([square], ApplyOnePolicy(2)).apply(frame, progress_bar=False)
    expected = theirs.PandasTFApplier([their_square], policy).apply(frame, progress_bar=False)
    pd.testing.assert_frame_equal(found, expected)
