"""Labeling functions applied to DataFrames: a data point is what a row as a Series is."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import LabelingFunction, PandasLFApplier
from ws_pipeline.labeling.functions.dataframe_rows import DataFrameRow, iterate_rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.labeling as snorkel
        from snorkel.preprocess import preprocessor
    except ImportError:
        snorkel = None

NEEDS_SNORKEL = pytest.mark.skipif(snorkel is None, reason="Snorkel is not installed")
TEXTS = ["one", "two!", None]
FRAMES = {
    "mixed": pd.DataFrame(
        {"text": TEXTS, "num": [1, 2, 3], "f": [0.5, np.nan, 2], "flag": [True, False, True]}
    ),
    "integers": pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]}),
    "small integers": pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]}, dtype=np.int8),
    "integers and floats": pd.DataFrame({"a": [1, 2, 3], "b": [4.5, 5, 6]}),
    "booleans and floats": pd.DataFrame({"a": [True, False, True], "b": [4.5, 5, 6]}),
    "texts": pd.DataFrame({"a": TEXTS, "b": ["x", "y", "z"]}),
    "objects": pd.DataFrame({"a": [[1], {2}, None], "b": TEXTS}, dtype=object),
    "dates": pd.DataFrame({"a": pd.to_datetime(["2020-01-01"] * 3), "b": pd.to_datetime(["2021-01-01"] * 3)}),
    "dates and texts": pd.DataFrame({"a": pd.to_datetime(["2020-01-01"] * 3), "b": TEXTS}),
    "nullable": pd.DataFrame({"a": [1, None, 3], "b": [4, 5, 6]}, dtype="Int64"),
    "nullable and texts": pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": TEXTS}),
    "categories": pd.DataFrame({"a": pd.Categorical(["x", "y", "x"])}),
    "names of methods": pd.DataFrame(
        {"size": [1, 2, 3], "name": TEXTS, "index": [4, 5, 6], "b c": [7, 8, 9]}
    ),
    "own names": pd.DataFrame({"ws_to_series": [1, 2, 3], "_ws_fields": TEXTS}),
    "number columns": pd.DataFrame({0: [1, 2, 3], 1: TEXTS}),
    "repeated columns": pd.DataFrame([[1, 2], [3, 4], [5, 6]], columns=["a", "a"]),
    "two levels": pd.DataFrame(
        [[1, "x"], [3, "y"], [5, "z"]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    ),
}
ALL_FRAMES = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())


def rows_of(frame, index=("r0", "r1", "r1")):
    """The rows as data points, beside the Series that DataFrame.apply would make of them."""
    labeled = frame.set_axis(list(index))
    series = []
    labeled.apply(lambda row: series.append(row.copy()), axis=1)
    return list(zip(iterate_rows(labeled), series, strict=True))


def same(found, expected):
    """Whether two values are equal and of the same type."""
    if isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(found, expected)
    elif isinstance(expected, np.ndarray | pd.Index | pd.api.extensions.ExtensionArray):
        assert list(map(str, found)) == list(map(str, expected))
    elif pd.api.types.is_scalar(expected) and pd.isna(expected):
        assert pd.isna(found)
    else:
        assert found == expected
    return type(found) is type(expected)


@ALL_FRAMES
def test_items_are_those_of_the_series(frame):
    for point, series in rows_of(frame):
        for key in frame.columns.unique():
            assert same(point[key], series[key]), key


@ALL_FRAMES
def test_attributes_are_those_of_the_series(frame):
    for point, series in rows_of(frame):
        for key in ["name", "size", "index", "dtype", "a", "b", "text", "num", "missing", "values", "name"]:
            assert same(getattr(point, key, "none"), getattr(series, key, "none")), key


def test_plain_frames_get_light_rows_and_the_others_series():
    light = {name for name, frame in FRAMES.items() if isinstance(rows_of(frame)[0][0], DataFrameRow)}
    assert light >= {"mixed", "integers", "texts", "objects", "names of methods", "number columns"}
    assert not light & {"own names", "repeated columns", "dates", "categories"}


@pytest.mark.parametrize(
    "use",
    [
        len,
        lambda x: list(map(str, x)),
        repr,
        str,
        lambda x: "num" in x,
        lambda x: "other" in x,
        lambda x: x.get("other", 7),
        lambda x: x.fillna("").to_dict(),
        lambda x: x[["num", "flag"]].to_dict(),
        lambda x: x.iloc[1],
        lambda x: x.loc["num"],
        lambda x: x.isna().tolist(),
        lambda x: (x == 1).tolist(),
        lambda x: (x != 1).tolist(),
        lambda x: np.asarray(x).tolist(),
        lambda x: hasattr(x, "other"),
    ],
)
def test_whatever_else_a_series_can_do_a_row_can(use):
    for point, series in rows_of(FRAMES["mixed"].drop(columns="f")):
        assert use(point) == use(series)


@pytest.mark.parametrize("name", ["integers", "small integers", "integers and floats", "texts", "mixed"])
def test_an_array_of_a_row_is_that_of_its_series(name):
    for point, series in rows_of(FRAMES[name]):
        found, expected = np.asarray(point), np.asarray(series)
        assert found.dtype == expected.dtype
        assert list(map(str, found)) == list(map(str, expected))


def test_a_row_has_no_truth_value_as_a_series_has_none():
    (point, _), *_ = rows_of(FRAMES["mixed"])
    with pytest.raises(ValueError, match="truth value of a Series is ambiguous"):
        bool(point)


@pytest.mark.parametrize("key", ["other", 7])
def test_a_column_that_is_not_there_is_an_error_of_the_usual_kind(key):
    (point, series), *_ = rows_of(FRAMES["mixed"])
    for x in (point, series):
        with pytest.raises(KeyError):
            x[key]
    with pytest.raises(AttributeError, match="'Series' object has no attribute 'other'"):
        _ = point.other


@pytest.mark.parametrize(
    "write", [lambda x: setattr(x, "num", 9), lambda x: x.__setitem__("num", 9)], ids=["attribute", "item"]
)
def test_writing_to_a_row_is_seen_in_the_row_and_nowhere_else(write):
    frame = FRAMES["integers"].rename(columns={"a": "num"})
    (point, _), *others = rows_of(frame)
    assert (point.num, point["num"], point.b) == (1, 1, 4)
    write(point)
    assert (point.num, point["num"], point.b, point.to_dict()) == (9, 9, 4, {"num": 9, "b": 4})
    assert others[0][0].num == 2
    assert frame["num"].tolist() == [1, 2, 3]


def test_a_deleted_item_is_gone():
    (point, _), *_ = rows_of(FRAMES["integers"])
    del point["a"]
    assert not hasattr(point, "a") or "a" not in point


def test_what_dir_lists_is_what_a_series_has():
    (point, series), *_ = rows_of(FRAMES["mixed"])
    assert set(dir(point)) == set(dir(series))
    assert {"text", "num"} <= set(dir(point))


def test_naming_the_index_of_a_row_or_of_its_copy_leaves_the_frame_alone():
    frame = FRAMES["mixed"].copy()
    point = next(iterate_rows(frame))
    copy.copy(point).index.name = "of the copy"
    assert point.index.name is None
    point.index.name = "of the row"
    assert frame.columns.name is None


@pytest.mark.parametrize("name", ["mixed", "objects", "nullable and texts"])
def test_a_copy_of_a_row_that_was_written_to_has_what_was_written(name):
    for point, series in rows_of(FRAMES[name]):
        for x in (point, series):
            x["added"] = "new"
        pd.testing.assert_series_equal(copy.copy(point), series)


def test_copying_a_row_takes_no_detour_over_its_pickled_form(monkeypatch):
    monkeypatch.setattr(DataFrameRow, "__reduce__", lambda _: pytest.fail("pickled"))
    (point, series), *_ = rows_of(FRAMES["mixed"])
    pd.testing.assert_series_equal(copy.copy(point), series)


def test_only_the_fields_that_are_asked_for_are_made():
    values = np.arange(1000.0).reshape(2, 500)
    point = next(iterate_rows(pd.DataFrame(values, columns=[f"c{i}" for i in range(500)])))
    assert (point.c3, point["c7"], point.c3) == (3, 7, 3)
    assert list(vars(point)) == ["c3"]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])  # noqa: S301
def test_a_copy_of_a_row_is_a_series_of_its_own(duplicate):
    for point, series in rows_of(FRAMES["mixed"]):
        other = duplicate(point)
        pd.testing.assert_series_equal(other, series)
        other["num"] = 100
        assert point.num == series["num"]
        assert point.to_dict()["num"] == series["num"]


def test_rows_beyond_the_first_chunk_are_in_order():
    frame = pd.DataFrame({"num": np.arange(10_000) % 128, "text": "x"})
    lf = LabelingFunction("num", lambda x: x.num)
    votes = PandasLFApplier([lf]).apply(frame, progress_bar=False)
    assert np.array_equal(votes[:, 0], frame["num"])
    assert votes.dtype == np.int8


def lfs_of(module_type):
    return [
        module_type("exclaims", lambda x: 1 if str(x.text).endswith("!") else -1),
        module_type("num", lambda x: x["num"] - 1),
        module_type("missing", lambda x: int(x.isna().sum())),
        module_type("label", lambda x: int(x.name[1])),
        module_type("fails", lambda x: 1 // (x.num - 1)),
    ]


@NEEDS_SNORKEL
@pytest.mark.parametrize("name", ["mixed", "nullable and texts"])
def test_votes_and_faults_are_those_of_snorkel(name):
    frame = FRAMES[name].rename(columns={"a": "num", "b": "text"}).set_axis(["r0", "r7", "r7"])
    options = {"progress_bar": False, "fault_tolerant": True, "return_meta": True}
    usable = slice(None) if name == "mixed" else slice(0, 1)
    expected, theirs = snorkel.PandasLFApplier(lfs_of(snorkel.LabelingFunction)).apply(
        frame[usable], **options
    )
    votes, ours = PandasLFApplier(lfs_of(LabelingFunction)).apply(frame[usable], **options)
    np.testing.assert_array_equal(votes, expected)
    assert ours.faults == theirs.faults
    assert ours.faults == {"fails": 1}


@NEEDS_SNORKEL
def test_memoizing_preprocessors_of_snorkel_work_in_its_labeling_functions_and_in_ours():
    @preprocessor(memoize=True)
    def lower(x):
        x.text = x.text.lower()
        return x

    def shouts(x):
        return 1 if x.text == "hey" else 0

    frame = pd.DataFrame({"text": ["HEY", "ho", "HEY"]})
    ours = LabelingFunction("ours", shouts, pre=[lower])
    theirs = snorkel.LabelingFunction("theirs", shouts, pre=[lower])
    raw = LabelingFunction("raw", lambda x: int(x.text.isupper()))
    votes = PandasLFApplier([ours, theirs, raw]).apply(frame, progress_bar=False)
    assert votes.tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 1]]


def test_a_preprocessor_that_writes_changes_neither_the_frame_nor_other_labeling_functions():
    def lower(x):
        x.text = x.text.lower()
        return x

    frame = pd.DataFrame({"text": ["HEY", "ho"], "num": [1, 2]})
    lfs = [
        LabelingFunction("lower", lambda x: int(x.text.islower()), pre=[lower]),
        LabelingFunction("raw", lambda x: int(x.text.islower())),
    ]
    assert PandasLFApplier(lfs).apply(frame, progress_bar=False).tolist() == [[1, 0], [1, 1]]
    assert frame["text"].tolist() == ["HEY", "ho"]


@pytest.mark.parametrize("index", [["x", "y"], [10, 20], pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])])
def test_a_failing_labeling_function_is_named_with_the_index_label(index):
    frame = pd.DataFrame({"num": [1, 0]}, index=index)
    lf = LabelingFunction("inverse", lambda x: 1 // int(x.num))
    with pytest.raises(LabelingFunctionError) as caught:
        PandasLFApplier([lf]).apply(frame, progress_bar=False)
    label = repr(frame.index.tolist()[1])
    expected = f"LF 'inverse' failed on the row with index label {label} (row 1): ZeroDivisionError: "
    assert str(caught.value).startswith(expected)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_column_that_is_not_there_names_the_labeling_function():
    lf = LabelingFunction("typo", lambda x: x.txet)
    with pytest.raises(
        LabelingFunctionError, match=r"LF 'typo' failed on .* label 0 .*has no attribute 'txet'"
    ):
        PandasLFApplier([lf]).apply(FRAMES["mixed"], progress_bar=False)


@pytest.mark.parametrize("frame", [FRAMES["mixed"].iloc[:0], pd.DataFrame()], ids=["no rows", "nothing"])
def test_an_empty_frame_has_no_votes(frame):
    lf = LabelingFunction("lf", lambda _: 0)
    assert PandasLFApplier([lf]).apply(frame, progress_bar=False).shape == (0, 1)


def test_a_frame_without_columns_still_has_rows():
    lf = LabelingFunction("label", lambda x: x.name)
    assert PandasLFApplier([lf]).apply(pd.DataFrame(index=[3, 4]), progress_bar=False).tolist() == [[3], [4]]


def test_anything_but_a_frame_is_refused():
    with pytest.raises(
        LabelingFunctionError, match="PandasLFApplier expects a DataFrame, got list; use LFApplier"
    ):
        PandasLFApplier([]).apply([1], progress_bar=False)
