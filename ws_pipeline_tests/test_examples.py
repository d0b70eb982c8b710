"""Examples: the Parquet contract of features, splits and gold labels; shards; their summary."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_pipeline.errors import ExampleIdError, ExamplesError, FileFormatError, LeftOutColumnWarning
from ws_pipeline.examples import Examples, summarise_shards
from ws_pipeline.storage.files import ParquetSource, read_parquet, write_parquet

FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=60)
CARDINALITIES = {"digit": 10, "parity": 2}
ROWS = 4


def pixels(values, width=2, kind=None):
    """A fixed-size-list column, from rows of ``width`` values; a row may be None."""
    return pa.array(values, pa.list_(kind or pa.float64(), width))


def make_table(n=ROWS, **columns):
    """A valid table of n examples, with columns replaced, added, or (None) left out."""
    cycle = ["train", "valid", "test", "train"]
    content = {
        "example_id": [10 + row for row in range(n)],
        "split": [cycle[row % 4] for row in range(n)],
        "ink": [0.5 * row for row in range(n)],
        "pixels": pixels([[row, -row] for row in range(n)]),
        "digit": [row % 10 for row in range(n)],
        "parity": pa.array([None if row == 1 else row % 2 for row in range(n)], pa.int8()),
    }
    return pa.table({name: column for name, column in (content | columns).items() if column is not None})


def read(**columns):
    return Examples.from_table(make_table(**columns), CARDINALITIES, where="e.parquet")


def refusal(error=ExamplesError, **columns):
    with pytest.raises(error) as caught:
        read(**columns)
    return str(caught.value)


def assert_same(left, right):
    assert left.example_ids.tolist() == right.example_ids.tolist()
    assert left.example_ids.dtype == right.example_ids.dtype
    assert left.splits.tolist() == right.splits.tolist()
    assert left.cardinalities == right.cardinalities
    for mine, theirs in ((left.features, right.features), (left.gold, right.gold)):
        assert list(mine) == list(theirs)
        for name, values in mine.items():
            assert values.dtype == theirs[name].dtype
            assert np.array_equal(values, theirs[name])


@st.composite
def any_examples(draw):
    n = draw(st.integers(0, 8))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = draw(st.dictionaries(st.sampled_from(["a", "b ü", "c/d"]), st.integers(1, 4)))
    text = draw(st.booleans())
    return Examples(
        example_ids=np.array([f"id {i}" for i in range(n)], dtype=object) if text else np.arange(n) - 3,
        splits=seed.choice(["train", "valid", "test"], n).astype(object),
        features={name: seed.normal(size=(n, width)).astype(np.float32) for name, width in widths.items()},
        gold={task: seed.integers(-1, k, n) for task, k in CARDINALITIES.items()},
        cardinalities=CARDINALITIES,
    )


# The contract


def test_a_table_is_decoded_by_its_columns():
    examples = read()
    assert len(examples) == ROWS
    assert examples.example_ids.tolist() == [10, 11, 12, 13]
    assert examples.splits.tolist() == ["train", "valid", "test", "train"]
    assert examples.features["ink"].tolist() == [[0], [0.5], [1], [1.5]]
    assert examples.features["pixels"].tolist() == [[0, 0], [1, -1], [2, -2], [3, -3]]
    assert examples.gold["digit"].tolist() == [0, 1, 2, 3]
    assert examples.gold["parity"].tolist() == [0, -1, 0, 1]
    assert examples.cardinalities == CARDINALITIES


def test_features_are_float32_and_gold_is_int64():
    examples = read()
    assert {values.dtype for values in examples.features.values()} == {np.dtype(np.float32)}
    assert {labels.dtype for labels in examples.gold.values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int64(), pa.float32(), pa.float64(), pa.bool_()])
def test_numbers_of_every_kind_are_features(kind):
    column = pa.array([0, 1, 1, 0]).cast(kind)
    assert read(ink=column).features["ink"].tolist() == [[0], [1], [1], [0]]


@pytest.mark.parametrize("kind", [pa.uint8(), pa.int64(), pa.float32(), pa.float64()])
def test_fixed_size_lists_of_every_kind_are_features(kind):
    column = pixels([[0, 1], [2, 3], [4, 5], [6, 7]], kind=kind)
    assert read(pixels=column).features["pixels"].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("column", [["a"] * ROWS, pa.array([[1], [1, 2], [], [3]]), pa.array([b"a"] * ROWS)])
def test_columns_that_cannot_feed_a_model_are_left_out_with_a_warning(column):
    with pytest.warns(LeftOutColumnWarning, match=r"^e.parquet: 1 column is no feature: 'note' \("):
        examples = read(note=column)
    assert list(examples.features) == ["ink", "pixels"]
    assert [left_out.column for left_out in examples.left_out] == ["note"]


def test_the_index_that_pandas_leaves_behind_is_no_feature(tmp_path):
    frame = pd.DataFrame(
        {"example_id": [7, 8, 9], "split": ["train"] * 3, "ink": [1.0, 2.0, 3.0]}, index=[0, 1, 5]
    )
    frame.to_parquet(tmp_path / "e.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "e.parquet").names
    with pytest.warns(LeftOutColumnWarning, match="'__index_level_0__' .* the index of a pandas table"):
        assert list(Examples.from_parquet(tmp_path / "e.parquet", CARDINALITIES).features) == ["ink"]


def test_named_feature_columns_are_read_in_their_order():
    examples = Examples.from_table(make_table(), CARDINALITIES, feature_columns=["pixels"])
    assert list(examples.features) == ["pixels"]


def test_a_named_feature_column_that_is_not_there_is_refused():
    with pytest.raises(
        ExamplesError, match=r"^e.parquet: no feature column \['pixel'\], got \['example_id', 'split'"
    ):
        Examples.from_table(make_table(), CARDINALITIES, where="e.parquet", feature_columns=["ink", "pixel"])


def read_named(column):
    return Examples.from_table(
        make_table(named=column), CARDINALITIES, where="e.parquet", feature_columns=["named"]
    )


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.int8())])
def test_a_named_column_of_lists_of_one_length_is_read(kind):
    rows = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 2]]
    chunks = pa.chunked_array([pa.array(rows[:1], kind), pa.array(rows[1:], kind)])
    examples = read_named(chunks)
    assert examples.features["named"].tolist() == rows
    assert_same(Examples.from_table(examples.to_table()), examples)


def test_arrays_that_pandas_writes_are_read_when_named(tmp_path):
    file = tmp_path / "part-0.parquet"
    frame = make_table().to_pandas().assign(named=[np.full(3, row) for row in range(ROWS)])
    frame.to_parquet(file)
    examples = Examples.from_parquet(file, CARDINALITIES, feature_columns=["named"])
    assert examples.features["named"].tolist() == [[row] * 3 for row in range(ROWS)]


def test_a_null_list_is_refused_with_its_example():
    with pytest.raises(ExamplesError, match="'named' is NaN, null or infinite for example 12"):
        read_named(pa.array([[1.0], [2.0], None, [3.0]]))


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[1], [2], [3, 4], [5]], "1 values for example 10 and 2 values for example 12"),
        ([[]] * ROWS, "0 values for example 10"),
        ([None] * ROWS, "no list"),
    ],
)
def test_lists_of_different_lengths_are_refused_with_two_examples(rows, found):
    with pytest.raises(ExamplesError) as caught:
        read_named(pa.array(rows, pa.list_(pa.float32())))
    assert str(caught.value) == (
        "e.parquet: feature column 'named' has type list<item: float>, expected lists of one length, "
        f"got {found}; store it as a fixed-size list"
    )


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (["a", "b", "c", "d"], "string"),
        (["1", "2", "3", "4"], "string"),
        (pa.array([["a"]] * ROWS), "list<item: string>"),
        (pixels([["a", "b"]] * ROWS, kind=pa.string()), "fixed_size_list<item: string>[2]"),
        (pa.array(["a", "b", "c", "d"]).dictionary_encode(), "dictionary<"),
        (pa.array([1, 2, 3, 4], pa.timestamp("s")), "timestamp[s]"),
    ],
)
def test_a_named_column_that_holds_no_numbers_is_refused_with_its_type(column, kind):
    with pytest.raises(ExamplesError) as caught:
        read_named(column)
    assert f"e.parquet: feature column 'named' has type {kind}" in str(caught.value)
    assert "expected numbers or lists of numbers; turn it into numbers, or leave it out" in str(caught.value)


def test_columns_in_several_chunks_are_read():
    whole = make_table(6)
    assert_same(
        Examples.from_table(pa.concat_tables([whole.slice(0, 2), whole.slice(2)]), CARDINALITIES),
        Examples.from_table(whole, CARDINALITIES),
    )


def test_two_columns_of_one_name_are_refused():
    table = make_table()
    table = table.rename_columns(["ink" if name == "pixels" else name for name in table.column_names])
    with pytest.raises(ExamplesError, match=r"^e.parquet: column names must be unique, repeated: \['ink'\]$"):
        Examples.from_table(table, CARDINALITIES, where="e.parquet")


# Features


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf"), 1e39])
def test_a_feature_that_is_not_a_finite_number_is_refused_with_its_example(value):
    message = refusal(ink=pa.array([0.0, 1.0, value, value]))
    assert message == (
        "e.parquet: feature column 'ink' is NaN, null or infinite for example 12 (2 example(s) in all); "
        "impute or drop these before writing the file"
    )


@pytest.mark.parametrize("row", [None, [1.0, None], [float("nan"), 1.0]])
def test_a_feature_list_that_is_not_finite_is_refused_with_its_example(row):
    message = refusal(example_id=list("wxyz"), pixels=pixels([[0, 0], row, [2, 2], [3, 3]]))
    assert message.startswith(
        "e.parquet: feature column 'pixels' is NaN, null or infinite for example x (1 example(s)"
    )


def test_the_feature_matrix_puts_all_columns_side_by_side():
    assert read().feature_matrix().tolist() == [[0, 0, 0], [0.5, 1, -1], [1, 2, -2], [1.5, 3, -3]]


def test_the_feature_matrix_takes_the_named_columns_in_their_order():
    assert read().feature_matrix(["pixels", "ink"])[1].tolist() == [1, -1, 0.5]


def test_the_feature_matrix_of_a_missing_column_is_refused():
    with pytest.raises(ExamplesError, match=r"no feature column \['shape'\]; there are: \['ink', 'pixels'\]"):
        read().feature_matrix(["ink", "shape"])


def test_examples_without_features_have_no_feature_matrix():
    with pytest.raises(ExamplesError, match=r"^there is no feature column; there are: \[\]$"):
        read(ink=None, pixels=None).feature_matrix()


def test_the_widths_of_the_features_are_told():
    assert read().feature_widths == {"ink": 1, "pixels": 2}


# Splits


def test_the_examples_of_a_split_are_found():
    assert read().in_split("train").tolist() == [True, False, False, True]
    assert read().split_counts() == {"train": 2, "valid": 1, "test": 1}


@pytest.mark.parametrize(
    ("split", "found"), [(None, "None"), ("dev", "'dev'"), ("Train", "'Train'"), ("", "''")]
)
def test_an_unknown_split_is_refused_with_its_example(split, found):
    assert refusal(split=["train", split, split, "test"]) == (
        f"e.parquet: example 11 has split {found}, expected one of ['train', 'valid', 'test']; "
        "2 example(s) are affected"
    )


def test_a_table_without_splits_is_refused():
    assert refusal(split=None).startswith("e.parquet: no column 'split', got ['example_id', 'ink', ")


def test_splits_that_are_no_strings_are_refused():
    assert refusal(split=[0, 1, 2, 0]) == "e.parquet: column 'split' has type int64, expected string"


# Gold labels and ids


def test_gold_labels_are_unknown_without_their_column():
    assert read(parity=None).gold["parity"].tolist() == [-1] * ROWS


def test_gold_labels_are_unknown_where_all_are_null():
    assert read(parity=pa.nulls(ROWS)).gold["parity"].tolist() == [-1] * ROWS


@pytest.mark.parametrize(
    "column", [pa.array([0, None, 1, 1]), pa.array([0, -1, 1, 1]), pa.array(np.array([0, np.nan, 1, 1]))]
)
def test_gold_labels_may_be_null_or_minus_one_or_nan(column):
    assert read(parity=column).gold["parity"].tolist() == [0, -1, 1, 1]


@pytest.mark.parametrize(
    ("label", "found"),
    [(2, "2"), (-2, "-2"), (2**60 + 1, "1.15292e+18"), (0.5, "0.5"), (float("inf"), "inf")],
)
def test_a_gold_label_out_of_range_is_refused_with_its_example(label, found):
    assert refusal(parity=[0, 1, label, 1] if isinstance(label, int) else [0.0, 1.0, label, 1.0]) == (
        f"e.parquet: gold label of task 'parity' is {found} for example 12, "
        "expected an integer from 0 to 1, or null"
    )


def test_gold_labels_that_are_no_numbers_are_refused():
    assert refusal(parity=["even", "odd", "even", "odd"]) == (
        "e.parquet: gold column 'parity' has type string, expected integers (null = unknown)"
    )


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2, None, 4], "e.parquet: 1 example id(s) are null, the first in row 2"),
        ([1, 2, 2, 4], "e.parquet: example ids must be unique, 1 are repetitions, the first: 2 (2 times)"),
        (None, "e.parquet: no column 'example_id', got ['split', "),
    ],
)
def test_bad_ids_are_refused(ids, message):
    assert refusal(ExampleIdError, example_id=ids).startswith(message)


# Round trips


@FIXED
@given(any_examples())
def test_examples_come_back_from_their_table(examples):
    assert_same(Examples.from_table(examples.to_table()), examples)


def test_examples_come_back_from_a_parquet_file(tmp_path):
    examples = read(example_id=list("dcba"))
    write_parquet(examples.to_table(), tmp_path / "e.parquet")
    assert_same(Examples.from_parquet(tmp_path / "e.parquet", CARDINALITIES), examples)
    assert_same(Examples.from_table(read_parquet(tmp_path / "e.parquet")), examples)


def test_unknown_gold_labels_are_null_in_the_table():
    assert read().to_table()["parity"].to_pylist() == [0, None, 0, 1]


def test_what_pandas_writes_is_read(tmp_path):
    frame = pd.DataFrame(
        {
            "example_id": list("abc"),
            "split": ["train", "valid", "test"],
            "x": [1, 2, 3],
            "parity": [0, None, 1],
        }
    )
    frame.to_parquet(tmp_path / "e.parquet", index=False)
    examples = Examples.from_parquet(tmp_path / "e.parquet", {"parity": 2})
    assert examples.gold["parity"].tolist() == [0, -1, 1]
    assert examples.features["x"].tolist() == [[1], [2], [3]]


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "e.parquet"
    write_parquet(make_table(), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileFormatError, match=r"e.parquet: not a complete Parquet file"):
        Examples.from_parquet(path, CARDINALITIES)


def test_an_error_in_a_file_names_the_file(tmp_path):
    pq.write_table(make_table(split=["dev"] * 4), tmp_path / "e.parquet")
    with pytest.raises(ExamplesError) as caught:
        Examples.from_parquet(tmp_path / "e.parquet", CARDINALITIES)
    assert str(caught.value).startswith(f"{tmp_path / 'e.parquet'}: example 10 has split 'dev'")


# Shards


def test_shards_are_stacked_in_order():
    whole = make_table(6)
    parts = {"one": whole.slice(0, 2), "two": whole.slice(2)}
    shards = {name: Examples.from_table(part, CARDINALITIES) for name, part in parts.items()}
    assert_same(Examples.concatenate(shards), Examples.from_table(whole, CARDINALITIES))


def test_no_shards_are_refused():
    with pytest.raises(ExamplesError, match="no shards of examples to concatenate"):
        Examples.concatenate({})


OTHER_FEATURES = pytest.mark.parametrize(
    ("columns", "difference"),
    [
        ({"pixels": pixels([[0, 0, 0]] * ROWS, 3)}, "'pixels' has 3 values instead of 2"),
        ({"ink": None}, r"missing \['ink'\]"),
        ({"hue": [0.0] * ROWS}, r"extra \['hue'\]"),
    ],
    ids=["shape", "missing", "extra"],
)


@OTHER_FEATURES
def test_shards_with_other_features_are_refused_with_the_difference(columns, difference):
    shards = {"mon": read(), "tue": read(example_id=[1, 2, 3, 4], **columns)}
    with pytest.raises(
        ExamplesError, match=f"features of shard 'tue' differ from those of shard 'mon': {difference}; "
    ):
        Examples.concatenate(shards)


def test_an_id_in_two_shards_is_refused_with_both_names():
    shards = {"mon": read(), "tue": read(example_id=[1, 2, 11, 4])}
    with pytest.raises(ExampleIdError, match="example 11 is in shard 'mon' and in shard 'tue'"):
        Examples.concatenate(shards)


# Summary of shards


def store(folder, **shards):
    """Write tables as the files that a summary is made from."""
    for name, table in shards.items():
        write_parquet(Examples.from_table(table, CARDINALITIES).to_table(), folder / f"{name}.parquet")
    return {name: ParquetSource(folder / f"{name}.parquet") for name in shards}


def test_a_summary_counts_examples_splits_and_gold_labels(tmp_path):
    shards = store(tmp_path, mon=make_table(), tue=make_table(2, example_id=[1, 2], digit=None))
    assert summarise_shards(shards).to_pylist() == [
        {
            "shard": "mon",
            "n_examples": 4,
            "n_train": 2,
            "n_valid": 1,
            "n_test": 1,
            "n_gold_digit": 4,
            "n_gold_parity": 3,
        },
        {
            "shard": "tue",
            "n_examples": 2,
            "n_train": 1,
            "n_valid": 1,
            "n_test": 0,
            "n_gold_digit": 0,
            "n_gold_parity": 1,
        },
    ]


def test_a_summary_of_nothing_is_refused():
    with pytest.raises(ExamplesError, match="there are no shards yet: ingest at least one first"):
        summarise_shards({})


@pytest.mark.parametrize(
    ("splits", "missing"),
    [(["train", "train", "test", "test"], "'valid'"), (["valid"] * 4, "'train', 'test'")],
)
def test_a_split_that_occurs_in_no_shard_is_refused(splits, missing, tmp_path):
    shards = store(tmp_path, mon=make_table(split=splits))
    with pytest.raises(ExamplesError) as caught:
        summarise_shards(shards)
    counts = {split: splits.count(split) for split in ("train", "valid", "test")}
    assert str(caught.value).startswith(f"no example has split {missing}, got {counts};")


@OTHER_FEATURES
def test_a_summary_refuses_shards_with_other_features(columns, difference, tmp_path):
    shards = store(tmp_path, mon=make_table(), tue=make_table(example_id=[1, 2, 3, 4], **columns))
    with pytest.raises(
        ExamplesError, match=f"features of shard 'tue' differ from those of shard 'mon': {difference}; "
    ):
        summarise_shards(shards)


def test_a_summary_refuses_an_id_in_two_shards(tmp_path):
    shards = store(tmp_path, mon=make_table(), tue=make_table(example_id=[1, 2, 3, 13]))
    with pytest.raises(ExampleIdError, match="example 13 is in shard 'mon' and in shard 'tue'"):
        summarise_shards(shards)


# Given from Python


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"features": {"x": [[1.0], [1.0, 2.0]]}},
            "feature column 'x': expected an array [n, width] with n = 2 example ids, got list",
        ),
        (
            {"features": {"x": np.array([[1.0], [1.0, 2.0]], dtype=object)}},
            "feature column 'x': expected an array [n, width] with n = 2 example ids, got shape [2]",
        ),
        (
            {"features": {"x": np.zeros((3, 1))}},
            "feature column 'x': expected an array [n, width] with n = 2 example ids, got shape [3, 1]",
        ),
        (
            {"gold": {"digit": [[0], [0, 1]]}},
            "gold labels of task 'digit': expected an array [n] with n = 2 example ids, got list",
        ),
        (
            {"gold": {"digit": np.zeros(1)}},
            "gold labels of task 'digit': expected an array [n] with n = 2 example ids, got shape [1]",
        ),
        ({"splits": ["train"]}, "splits: expected an array [n] with n = 2 example ids, got list"),
    ],
)
def test_arrays_of_another_shape_are_refused(changes, found):
    values = {"example_ids": np.arange(2), "splits": np.array(["train"] * 2, dtype=object), "features": {}}
    with pytest.raises(ExamplesError) as refused:
        Examples(**(values | {"gold": {}, "cardinalities": CARDINALITIES} | changes))
    assert str(refused.value) == f"{found}; make an array of it, in which all rows have one length"
