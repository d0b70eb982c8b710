"""Features: columns of numbers whatever type they are stored in; what is left out is told with its reason."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ws_pipeline.errors import ExamplesError, GoldFeatureWarning, LeftOutColumnWarning
from ws_pipeline.examples import Examples, summarise_shards
from ws_pipeline.feature_columns import LeftOut
from ws_pipeline.storage.files import ParquetSource, write_parquet

TASKS = {"digit": 10}
N = 4
HALVES = pa.array([0.5, 1.5, -2.0, 0.0])
MATRICES = [
    [[1, 2], [3, 4], [5, 6]],
    [[0, 0], [0, 0], [0, 7]],
    [[1, 1], [1, 1], [1, 1]],
    [[9, 8], [7, 6], [5, 4]],
]


def table(n=N, **columns):
    """A table of n examples with these further columns."""
    return pa.table(
        {"example_id": range(n), "split": ["train"] * n, "digit": [row % 10 for row in range(n)], **columns}
    )


def through_parquet(folder, content):
    pq.write_table(content, folder / "e.parquet")
    return folder / "e.parquet"


def read(content):
    return Examples.from_table(content, TASKS, where="e.parquet")


def left_out(**columns):
    """The warning and what is left out, by column."""
    with pytest.warns(LeftOutColumnWarning) as told:
        examples = read(table(ink=HALVES, **columns))
    assert list(examples.features) == ["ink"]
    assert len(told) == 1
    return str(told[0].message), {found.column: found for found in examples.left_out}


# What is a feature


@pytest.mark.parametrize(
    "column",
    [
        pa.array([Decimal("0.5"), Decimal("1.5"), Decimal("-2.0"), Decimal("0.0")]),
        HALVES.cast(pa.decimal32(3, 1)),
        HALVES.cast(pa.decimal256(60, 4)),
        HALVES.cast(pa.float16()),
        HALVES.dictionary_encode(),
        pc.run_end_encode(HALVES),
    ],
    ids=lambda column: str(column.type),
)
def test_numbers_of_every_type_are_features(column):
    assert read(table(ink=column)).features["ink"].tolist() == [[0.5], [1.5], [-2], [0]]


def test_decimals_become_the_nearest_float32():
    column = pa.array([Decimal("1.500"), Decimal("0.100"), Decimal("123456.789"), Decimal("0.007")])
    expected = np.array([1.5, 0.1, 123456.789, 0.007]).astype(np.float32)
    assert read(table(ink=column)).features["ink"][:, 0].tolist() == expected.tolist()


@pytest.mark.parametrize("width", [pa.int8(), pa.int16(), pa.uint16(), pa.uint32(), pa.uint64(), pa.bool_()])
def test_integers_and_booleans_are_features(width):
    assert read(table(ink=pa.array([0, 1, 1, 0]).cast(width))).features["ink"].tolist() == [
        [0],
        [1],
        [1],
        [0],
    ]


PAIRS = [[0.5, 1.0], [1.5, 2.0], [-2.0, 3.0], [0.0, 4.0]]
PAIR_TYPES = [
    pa.list_(pa.float64()),
    pa.large_list(pa.float32()),
    pa.list_(pa.float16(), 2),
    pa.list_(pa.decimal128(5, 2), 2),
    pa.list_(pa.decimal128(5, 2)),
    pa.list_view(pa.float64()),
    pa.large_list_view(pa.float64()),
]


@pytest.mark.parametrize("kind", PAIR_TYPES, ids=str)
def test_lists_of_one_length_are_features(kind):
    values = [[Decimal(str(x)) for x in row] for row in PAIRS] if "decimal" in str(kind) else PAIRS
    chunks = pa.chunked_array([pa.array(values[:1], kind), pa.array(values[1:], kind)])
    examples = read(table(pair=chunks))
    assert examples.features["pair"].tolist() == PAIRS
    assert examples.left_out == ()
    assert Examples.from_table(examples.to_table()).features["pair"].tolist() == PAIRS


def test_lists_of_dictionaries_are_features():
    lists = pa.ListArray.from_arrays([0, 2, 4, 6, 8], pa.array(np.concatenate(PAIRS)).dictionary_encode())
    assert read(table(pair=lists)).features["pair"].tolist() == PAIRS


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.list_(pa.int8())), pa.list_(pa.list_(pa.int8(), 2), 3), pa.list_(pa.list_(pa.int8()), 3)],
)
def test_nested_lists_of_one_shape_are_features_row_by_row(kind):
    values = read(table(image=pa.array(MATRICES, kind))).features["image"]
    assert values.tolist() == [np.ravel(matrix).tolist() for matrix in MATRICES]


def test_tensors_are_features(tmp_path):
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.array(MATRICES, dtype=np.float32))
    path = through_parquet(tmp_path, table(image=tensors))
    assert str(pq.read_schema(path).field("image").type).startswith("extension<arrow.fixed_shape_tensor")
    values = Examples.from_parquet(path, TASKS).features["image"]
    assert values.tolist() == [np.ravel(matrix).tolist() for matrix in MATRICES]


def test_arrays_that_pandas_writes_are_features(tmp_path):
    frame = table(ink=HALVES).to_pandas().assign(embedding=[np.full(3, row) for row in range(N)])
    frame.to_parquet(tmp_path / "e.parquet")
    assert Examples.from_parquet(tmp_path / "e.parquet", TASKS).feature_widths == {"ink": 1, "embedding": 3}


@pytest.mark.parametrize(
    "rows", [[[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0]], [[1.0, 2.0], [None, 1.0], [3.0, 4.0], [5.0, 6.0]]]
)
def test_a_list_that_is_missing_or_has_a_gap_is_refused_with_its_example(rows):
    with pytest.raises(ExamplesError, match="feature column 'pair' is NaN, null or infinite for example 1 "):
        read(table(pair=pa.array(rows, pa.list_(pa.float64()))))


# What is left out


def test_one_text_among_numbers_is_shown():
    message, found = left_out(x1=["0.5", "n.a.", "-1e3", "7"], x2=["1", "2", "3", "n/a"])
    assert message == (
        "e.parquet: 2 columns are no features: "
        "'x1' (string): numbers written as text in 3 of 4 rows, but others hold 'n.a.'; "
        "'x2' (string): numbers written as text in 3 of 4 rows, but others hold 'n/a'; "
        "the features are ['ink']; turn the others into numbers if they should be features too, or list the "
        "features under feature_columns"
    )
    assert found["x1"] == LeftOut(
        "x1", "string", "numbers written as text in 3 of 4 rows, but others hold 'n.a.'"
    )


@pytest.mark.parametrize(
    ("column", "kind", "reason"),
    [
        (["a", "b", "a", None], "string", "text, such as 'a', 'b'"),
        (["1", "2", None, "3"], "string", "numbers written as text, such as '1', '2', '3'"),
        (pa.array(["x" * 40] * N), "string", f"text, such as '{'x' * 30}...'"),
        (
            pa.array(["a", "b", "a", "b"]).dictionary_encode(),
            "dictionary<values=string, indices=int32, ordered=0>",
            "text, such as 'a', 'b'",
        ),
        (pa.nulls(N), "null", "no value in any row"),
        (pa.nulls(N, pa.string()), "string", "no value in any row"),
        (pa.array([[1], [1, 2], [], [3]]), "list<item: int64>", "lists of different lengths, 0 to 2 values"),
        (
            pa.array([[[1], [1, 2]], [[], [3]], [[1], [2]], [[1], [2]]]),
            "list<item: list<item: int64>>",
            "lists of lists of different lengths, 0 to 2 values",
        ),
        (
            pa.array([["a"], ["b"], ["c"], ["d"]]),
            "list<item: string>",
            "lists of text, such as 'a', 'b', 'c'",
        ),
        (pa.array([[]] * N, pa.list_(pa.int8())), "list<item: int8>", "no value in any row"),
        (pa.array([dt.date(2026, 1, 1)] * N), "date32[day]", "no numbers but dates or times"),
        (pa.array([1] * N, pa.duration("s")), "duration[s]", "no numbers but dates or times"),
        (pa.array([b"a"] * N), "binary", "no numbers but bytes"),
        (pa.array([{"x": 1}] * N), "struct<x: int64>", "no numbers but structs"),
        (
            pa.array([[("a", 1)]] * N, pa.map_(pa.string(), pa.int8())),
            "map<string, int8>",
            "no numbers but maps",
        ),
    ],
)
def test_what_cannot_feed_a_model_is_left_out_with_its_type_and_reason(column, kind, reason):
    message, found = left_out(note=column)
    assert found == {"note": LeftOut("note", kind, reason)}
    assert (
        f"e.parquet: 1 column is no feature: 'note' ({kind}): {reason}; the features are ['ink']" in message
    )


def test_an_index_of_pandas_is_left_out(tmp_path):
    frame = table(ink=HALVES).to_pandas().assign(**{"Unnamed: 0": range(N), "Unnamed: 0.1": range(N)})
    frame.set_index(pd.Index([3, 1, 2, 7], name="row")).to_parquet(tmp_path / "e.parquet")
    with pytest.warns(LeftOutColumnWarning, match="3 columns are no features"):
        examples = Examples.from_parquet(tmp_path / "e.parquet", TASKS)
    assert list(examples.features) == ["ink"]
    reason = "row numbers, the index of a pandas table"
    assert [(found.column, found.reason) for found in examples.left_out] == [
        ("Unnamed: 0", reason),
        ("Unnamed: 0.1", reason),
        ("row", reason),
    ]


@pytest.mark.parametrize("name", ["index", "level_0", "column0", "...1"])
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint16()])
def test_row_numbers_that_became_a_column_are_left_out(name, kind):
    _, found = left_out(**{name: pa.array(range(7, 7 + N), kind)})
    assert found == {name: LeftOut(name, str(kind), "row numbers, an index that became a column")}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("index", [0, 1, 2, 4]),
        ("index", [0.0, 1.0, 2.0, 3.0]),
        ("index", [3, 2, 1, 0]),
        ("hour", [0, 1, 2, 3]),
        ("column1", [0, 1, 2, 3]),
    ],
)
def test_columns_that_only_look_like_row_numbers_are_features(name, values):
    examples = read(table(**{name: values}))
    assert (list(examples.features), examples.left_out) == ([name], ())


def test_ids_that_were_the_index_of_pandas_are_ids(tmp_path):
    frame = table(ink=HALVES).to_pandas().assign(example_id=[7, 3, 5, 1])
    frame.set_index("example_id").to_parquet(tmp_path / "e.parquet")
    examples = Examples.from_parquet(tmp_path / "e.parquet", TASKS)
    assert (list(examples.features), examples.left_out) == (["ink"], ())


def test_a_column_without_a_name_is_left_out():
    _, found = left_out(**{"": [0, 1, 2, 3]})
    assert found[""].reason == "a column without a name, such as the row numbers of a CSV file"


def test_named_features_leave_out_the_others_without_a_warning():
    content = table(ink=HALVES, note=["a"] * N, size=HALVES)
    examples = Examples.from_table(content, TASKS, feature_columns=["size"])
    assert list(examples.features) == ["size"]
    assert [str(found) for found in examples.left_out] == [
        "'ink' (double): not named in feature_columns",
        "'note' (string): not named in feature_columns",
    ]


def test_a_named_column_of_text_is_refused_with_the_values_that_are_no_numbers():
    with pytest.raises(ExamplesError) as refused:
        Examples.from_table(
            table(x1=["1", "n.a.", "2", "3"]), TASKS, where="e.parquet", feature_columns=["x1"]
        )
    assert str(refused.value) == (
        "e.parquet: feature column 'x1' has type string, expected numbers or lists of numbers; turn it into "
        "numbers, or leave it out of the feature columns (it holds numbers written as text in 3 of 4 rows, "
        "but others hold 'n.a.')"
    )


def test_what_was_left_out_is_kept_with_the_table():
    with pytest.warns(LeftOutColumnWarning):
        examples = read(table(ink=HALVES, note=["ü"] * N))
    assert Examples.from_table(examples.to_table()).left_out == examples.left_out
    assert json.loads(examples.to_table().schema.metadata[b"ws_pipeline.left_out_columns"]) == [
        ["note", "string", "text, such as 'ü'"]
    ]


def test_without_any_feature_the_columns_are_named():
    with pytest.warns(LeftOutColumnWarning, match="there is no feature; turn"):
        examples = read(table(note=["a"] * N))
    with pytest.raises(ExamplesError) as refused:
        examples.feature_matrix()
    assert str(refused.value) == (
        "there is no feature column; there are: []; left out: 'note' (string): text, such as 'a'"
    )


# A feature that is no feature but gold


def many(n=24, *, known=24, **columns):
    labels = [row % 3 if row < known else None for row in range(n)]
    return table(n, **columns).set_column(2, "digit", pa.array(labels, pa.int8()))


@pytest.mark.parametrize("known", [24, 20])
def test_a_feature_that_equals_the_gold_labels_is_a_warning(known):
    content = many(known=known, label=[row % 3 for row in range(24)], ink=range(24))
    with pytest.warns(GoldFeatureWarning) as told:
        examples = read(content)
    assert str(told[0].message) == (
        f"e.parquet: feature column 'label' equals the gold labels of task 'digit' on all {known} examples "
        "that have one; a model fed with it has nothing to learn, and its scores mean nothing; drop "
        "the column, or list the features under feature_columns"
    )
    assert len(told) == 1
    assert Examples.from_table(examples.to_table()).feature_widths == {"label": 1, "ink": 1}


@pytest.mark.parametrize(
    "content",
    [
        many(label=[row % 3 for row in range(23)] + [0]),
        many(label=[[row % 3, 0] for row in range(24)]),
        many(known=19, label=[row % 3 for row in range(24)]),
    ],
    ids=["one differs", "two values", "few gold labels"],
)
def test_other_features_are_no_gold(content):
    assert list(read(content).features) == ["label"]


# Shards


def shards(folder, **tables):
    """Shards by name: as values, and as the files that a summary is made from."""
    values = {}
    for number, (name, content) in enumerate(tables.items()):
        ids = pa.array(range(100 * number, 100 * number + len(content)))
        values[name] = Examples.from_table(content.set_column(0, "example_id", ids), TASKS)
        write_parquet(values[name].to_table(), folder / f"{name}.parquet")
    return values, {name: ParquetSource(folder / f"{name}.parquet") for name in tables}


def three_splits(**columns):
    content = table(**columns)
    return content.set_column(1, "split", pa.array(["train", "valid", "test", "train"]))


@pytest.mark.filterwarnings("ignore::ws_pipeline.errors.LeftOutColumnWarning")
@pytest.mark.parametrize(
    ("columns", "difference"),
    [
        (
            [HALVES, ["a", "b", "c", "d"]],
            "missing ['x'] (left out there: 'x' (string): text, such as 'a', 'b', 'c')",
        ),
        (
            [["1", "n.a.", "2", ""], HALVES],
            "extra ['x'] (left out of shard 'mon': 'x' (string): numbers written as text in 2 of 4 rows, but "  # noqa: ISC003
            + "others hold 'n.a.', '')",
        ),
        (
            [[[1, 2]] * N, pa.array([[1, 2], [1], [1], [1]])],
            "missing ['x'] (left out there: 'x' (list<item: int64>): "  # noqa: ISC003
            + "lists of different lengths, 1 to 2 values)",
        ),
        ([[[1, 2]] * N, [[1, 2, 3]] * N], "'x' has 3 values instead of 2"),
        ([HALVES, pa.nulls(N)], "missing ['x'] (left out there: 'x' (null): no value in any row)"),
    ],
)
def test_shards_that_disagree_are_refused_with_the_reason(columns, difference, tmp_path):
    values, files = shards(
        tmp_path,
        **{name: three_splits(ink=HALVES, x=x) for name, x in zip(("mon", "tue"), columns, strict=True)},
    )
    expected = (
        f"the features of shard 'tue' differ from those of shard 'mon': {difference}; compute the same "
        "features for every shard"
    )
    with pytest.raises(ExamplesError) as refused:
        Examples.concatenate(values)
    assert str(refused.value) == expected
    with pytest.raises(ExamplesError) as refused:
        summarise_shards(files)
    assert str(refused.value) == expected


def untyped_shard(folder):
    """An empty shard as pandas writes it: columns without a type."""
    frame = pd.DataFrame(columns=["example_id", "split", "digit", "ink", "pair"], dtype=object)
    frame.to_parquet(folder / "empty.parquet", index=False)
    content = pq.read_table(folder / "empty.parquet")
    assert {str(field.type) for field in content.schema} == {"null"}
    return content


@pytest.mark.parametrize("named", [None, ["pair", "ink"]])
def test_an_empty_shard_of_columns_without_a_type_is_a_shard_of_no_rows(named, tmp_path):
    empty = Examples.from_table(untyped_shard(tmp_path), TASKS, feature_columns=named)
    assert (len(empty), empty.features, empty.left_out) == (0, {}, ())
    assert empty.gold["digit"].tolist() == []
    assert len(Examples.from_table(empty.to_table())) == 0


@pytest.mark.parametrize("ids", [range(N), list("abcd")])
@pytest.mark.parametrize("first", [True, False])
def test_an_empty_shard_contradicts_no_other(ids, first, tmp_path):
    full = Examples.from_table(
        three_splits(ink=HALVES, pair=PAIRS).set_column(0, "example_id", pa.array(ids)), TASKS
    )
    empty = Examples.from_table(untyped_shard(tmp_path), TASKS)
    parts = {"a": empty, "b": full} if first else {"a": full, "b": empty}
    both = Examples.concatenate(parts)
    assert both.example_ids.tolist() == list(ids)
    assert both.example_ids.dtype == full.example_ids.dtype
    assert both.feature_matrix().tolist() == full.feature_matrix().tolist()
    for name, part in parts.items():
        write_parquet(part.to_table(), tmp_path / f"{name}.parquet")
    summary = summarise_shards({name: ParquetSource(tmp_path / f"{name}.parquet") for name in parts})
    assert sorted(summary["n_examples"].to_pylist()) == [0, N]


def test_an_empty_shard_of_text_ids_goes_with_a_shard_of_numbers():
    empty = three_splits(ink=HALVES).slice(0, 0).set_column(0, "example_id", pa.array([], pa.string()))
    both = Examples.concatenate({"a": Examples.from_table(empty, TASKS), "b": read(three_splits(ink=HALVES))})
    assert both.example_ids.dtype == np.int64


# Splits and gold labels


TEXTS = [pa.string(), pa.large_string(), pa.string_view()]


@pytest.mark.parametrize("kind", TEXTS, ids=str)
@pytest.mark.parametrize("encode", [lambda column: column, lambda column: column.dictionary_encode()])
def test_ids_and_splits_are_read_from_text_of_every_type(kind, encode):
    content = table(ink=HALVES)
    content = content.set_column(0, "example_id", encode(pa.array(list("wxyz")).cast(kind)))
    content = content.set_column(1, "split", encode(pa.array(["train", "test", "train", "valid"]).cast(kind)))
    examples = read(content)
    assert examples.example_ids.tolist() == list("wxyz")
    assert examples.splits.tolist() == ["train", "test", "train", "valid"]


def test_ids_and_splits_are_read_from_run_lengths():
    content = table(ink=HALVES)
    content = content.set_column(0, "example_id", pc.run_end_encode(pa.array(list("wxyz"))))
    content = content.set_column(1, "split", pc.run_end_encode(pa.array(["train", "train", "test", "test"])))
    examples = read(content)
    assert examples.example_ids.tolist() == list("wxyz")
    assert examples.split_counts() == {"train": 2, "valid": 0, "test": 2}


GOLD = pa.array([0, 1, None, 1])


@pytest.mark.parametrize(
    "column",
    [
        GOLD.cast(pa.bool_()),
        GOLD.cast(pa.decimal128(19, 0)),
        GOLD.cast(pa.float64()).cast(pa.decimal64(5, 2)),
        GOLD.cast(pa.float16()),
        GOLD.dictionary_encode(),
        pc.run_end_encode(GOLD),
        GOLD.cast(pa.uint64()),
    ],
    ids=lambda column: str(column.type),
)
def test_gold_labels_are_read_from_integers_of_every_type(column):
    examples = read(table(ink=HALVES).set_column(2, "digit", column))
    assert examples.gold["digit"].tolist() == [0, 1, -1, 1]


def test_a_gold_label_that_is_a_fraction_is_refused_with_its_example():
    column = pa.array([Decimal("0.0"), Decimal("1.5"), None, Decimal("1.0")])
    with pytest.raises(ExamplesError, match=r"gold label of task 'digit' is 1\.5 for example 1, expected an"):
        read(table(ink=HALVES).set_column(2, "digit", column))
