"""Which columns of a table are votes, and votes in every type that programs store numbers in."""

from __future__ import annotations

import json
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ws_pipeline.errors import LabelMatrixError, LeftOutColumnWarning
from ws_pipeline.labeling import LabelMatrix

VOTES = [1, None, 0, 1]
PLAIN = pa.array(VOTES, pa.int8())
INTEGERS = {
    f"{sign}int{bits}": PLAIN.cast(getattr(pa, f"{sign}int{bits}")())
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
FLOATS = {f"float{bits}": PLAIN.cast(getattr(pa, f"float{bits}")()) for bits in (16, 32, 64)}
DECIMALS = {
    f"decimal{bits}": pa.array(
        [Decimal(1), None, Decimal(0), Decimal(1)], getattr(pa, f"decimal{bits}")(8, 2)
    )
    for bits in (32, 64, 128, 256)
}
OTHERS = {
    "bool": PLAIN.cast(pa.bool_()),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), PLAIN),
    "dictionary": PLAIN.dictionary_encode(),
    "run lengths": pc.run_end_encode(PLAIN),
    "run lengths of doubles": pc.run_end_encode(FLOATS["float64"]),
    "dictionary of decimals": pa.DictionaryArray.from_arrays(
        pa.array([1, None, 0, 1], pa.int32()), pa.array([Decimal("0.0"), Decimal("1.0")])
    ),
}


def table(**columns):
    return pa.table({"example_id": [7, 8, 9, 10], **columns})


def read(columns, k=2, **options):
    return LabelMatrix.from_table(table(**columns), k, where="v.parquet", **options)


# What the votes are stored in


@pytest.mark.parametrize(
    "column",
    [*INTEGERS.values(), *FLOATS.values(), *DECIMALS.values(), *OTHERS.values()],
    ids=[*INTEGERS, *FLOATS, *DECIMALS, *OTHERS],
)
def test_votes_of_every_type(column):
    chunked = pa.chunked_array([column[:1], column[1:]]) if column.type != pa.null() else column
    assert read({"a": chunked}).votes[:, 0].tolist() == [1, -1, 0, 1]


def test_minus_one_abstains_in_a_decimal_column():
    column = pa.array([Decimal("-1.0"), Decimal("1.0"), None, Decimal("0.0")])
    assert read({"a": column}).votes[:, 0].tolist() == [-1, 1, -1, 0]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array([Decimal("0.5"), None, None, None]), "0.5"),
        (pa.array([2, 0, 0, 0]).dictionary_encode(), "2"),
        (pc.run_end_encode(pa.array([-2.0, 0, 0, 0])), "-2.0"),
    ],
)
def test_a_wrong_vote_is_named_whatever_it_is_stored_in(column, found):
    with pytest.raises(LabelMatrixError) as refused:
        read({"b": PLAIN, "a": column})
    expected = f"v.parquet: LF 'a' votes {found} on example 7, expected an integer from -1 (abstain) to 1"
    assert str(refused.value).startswith(expected)


def test_a_column_without_any_type_abstains():
    assert read({"a": pa.nulls(4), "b": PLAIN}).votes.tolist() == [[-1, 1], [-1, -1], [-1, 0], [-1, 1]]


def test_a_shard_without_rows_may_have_columns_of_any_type():
    names = {"a": pa.null(), "b": pa.int8(), "c": pa.decimal128(5)}
    empty = pa.table({name: pa.array([], kind) for name, kind in {"example_id": pa.null(), **names}.items()})
    matrix = LabelMatrix.from_table(empty, 3)
    assert (matrix.votes.shape, matrix.lf_names) == ((0, 3), ("a", "b", "c"))
    full = LabelMatrix([[0, 1, 2]], 3, ["x"], "abc")
    assert LabelMatrix.concatenate({"empty": matrix, "full": full}) == full


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_ids_that_are_text_of_any_type(kind):
    ids = pa.array(["x", "y"])
    ids = ids.dictionary_encode() if pa.types.is_dictionary(kind) else ids.cast(kind)
    matrix = LabelMatrix.from_table(pa.table({"example_id": ids, "a": [0, 1]}), 2)
    assert matrix.example_ids.tolist() == ["x", "y"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize(
    ("texts", "found", "remedy"),
    [
        (
            [None, "spam", "ham", None],
            "spam",
            "map class names to 0..k-1 first, or list the LF columns with lf_columns",
        ),
        (["1", "0", None, "1"], "1", "cast it to integers"),
        (["-1", "0", None, "1"], "-1", "cast it to integers"),
    ],
)
def test_text_is_refused_with_what_to_do(kind, texts, found, remedy):
    with pytest.raises(LabelMatrixError) as refused:
        read({"a": pa.array(texts).cast(kind)})
    message = str(refused.value)
    assert message.startswith(
        f"v.parquet: column 'a' has type {kind}, expected integers (null or -1 = abstain), "
    )
    assert f"got the text '{found}'; {remedy}" in message


def test_columns_of_other_types_are_refused_with_what_to_do():
    column = pa.array([0, 1, 2, 3], pa.timestamp("s"))
    with pytest.raises(
        LabelMatrixError, match=r"'made' has type timestamp\[s\].*; leave it out, or list the LF"
    ):
        read({"made": column})


# Which columns are votes


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("spam", "the gold labels of task 'spam'"),
        ("Spam", "the gold labels of task 'spam'"),
        ("split", "the split of the examples"),
        ("label", "gold labels"),
        ("Labels", "gold labels"),
        ("gold", "gold labels"),
        ("target", "gold labels"),
        ("class", "gold labels"),
        ("y", "gold labels"),
        ("ground_truth", "gold labels"),
        ("id", "ids or row numbers"),
        ("index", "ids or row numbers"),
    ],
)
def test_a_column_that_means_something_else_is_refused_by_name(name, meaning):
    with pytest.raises(LabelMatrixError) as refused:
        read({"a": PLAIN, name: PLAIN}, tasks=["spam", "other"])
    assert str(refused.value) == (
        f"v.parquet: by its name, '{name}' is no LF, but holds {meaning}; leave it out, or list the LF "
        "columns with lf_columns"
    )


@pytest.mark.parametrize(
    "name", ["labels_spam", "gold_standard_regex", "has_label", "classy", "truthy", "yes"]
)
def test_names_that_only_remind_of_it_are_lfs(name):
    assert read({name: PLAIN}, tasks=["spam"]).lf_names == (name,)


def test_listed_columns_are_the_lfs_in_their_order_and_no_others():
    columns = {"a": PLAIN, "spam": PLAIN, "label": pa.array([0, 0, 0, 0]), "text": pa.array(list("wxyz"))}
    matrix = read(columns, tasks=["spam"], lf_columns=["label", "a"])
    assert matrix.lf_names == ("label", "a")
    assert matrix.votes.tolist() == [[0, 1], [0, -1], [0, 0], [0, 1]]


def test_a_listed_column_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(
        LabelMatrixError, match=r"v.parquet: no column 'wrods', which lf_columns lists, did you mean 'words'"
    ):
        read({"words": PLAIN, "b": PLAIN}, lf_columns=["b", "wrods"])


@pytest.mark.parametrize(
    ("listed", "message"), [(["a", "a"], "repeated: .'a'."), (["example_id"], "cannot be named 'example_id'")]
)
def test_listed_columns_have_to_be_lfs(listed, message):
    with pytest.raises(LabelMatrixError, match=message):
        read({"a": PLAIN}, lf_columns=listed)


def test_a_label_matrix_with_any_names_comes_back_from_its_table():
    matrix = LabelMatrix([[0, 1]], 2, ["x"], ["label", "Unnamed: 0"])
    assert LabelMatrix.from_table(matrix.to_table()) == matrix
    assert LabelMatrix.from_table(matrix.to_table(), lf_columns=["label"]).lf_names == ("label",)


# The index of a pandas frame


def written(frame, tmp_path, **options):
    frame.to_parquet(tmp_path / "v.parquet", **options)
    return tmp_path / "v.parquet"


# ids and indexes that are no range, which pandas would write as one without a column
FRAME = pd.DataFrame({"example_id": [7, 8, 12], "a": [0, 1, 0], "b": [1, 1, 0]})
MATRIX = LabelMatrix([[0, 1], [1, 1], [0, 0]], 2, [7, 8, 12], ["a", "b"])


@pytest.mark.parametrize(
    ("frame", "index"),
    [
        (FRAME.set_axis([1, 0, 5]), "['__index_level_0__']"),
        (FRAME.set_index(pd.Index([1, 0, 0], name="fold")), "['fold']"),
        (
            FRAME.set_index(pd.MultiIndex.from_tuples([(0, 1), (1, 0), (1, 1)], names=["m", None])),
            "['m', '__index_level_1__']",
        ),
        (FRAME.assign(**{"Unnamed: 0": [0, 1, 0]}), "['Unnamed: 0']"),
        (FRAME.assign(**{"": [0, 1, 0]}), "['']"),
    ],
)
def test_the_index_of_a_frame_is_left_out_and_said(frame, index, tmp_path):
    path = written(frame, tmp_path)
    with pytest.warns(LeftOutColumnWarning) as caught:
        assert LabelMatrix.from_parquet(path, 2) == MATRIX
    message = (
        f"{path}: column(s) {index} left out: the index of a pandas frame, no votes; write the file with "
        "index=False, or list the LF columns with lf_columns"
    )
    assert [str(warning.message) for warning in caught] == [message]


def test_an_index_that_holds_the_ids_is_read(tmp_path):
    path = written(FRAME.set_index("example_id"), tmp_path)
    assert json.loads(pq.read_schema(path).metadata[b"pandas"])["index_columns"] == ["example_id"]
    assert LabelMatrix.from_parquet(path, 2) == MATRIX


def test_an_index_that_is_listed_or_that_no_file_has_is_not_warned_of(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LabelMatrix.from_parquet(written(FRAME, tmp_path), 2).lf_names == ("a", "b")
        indexed = written(FRAME.set_index(pd.Index([1, 0, 0], name="fold")), tmp_path)
        assert LabelMatrix.from_parquet(indexed, 2, lf_columns=["fold"]).votes[:, 0].tolist() == [1, 0, 0]


def test_class_names_as_categories_are_refused_with_one_of_them():
    with pytest.raises(
        LabelMatrixError, match=r"column 'a' has type dictionary.* got the text 'spam'; map class"
    ):
        read({"a": pa.array(["spam", None, "ham", "ham"]).dictionary_encode()})


def test_gold_beside_the_votes_would_have_been_an_lf_that_is_always_right():
    gold = np.array([0, 1, 1, 0])
    with pytest.raises(LabelMatrixError, match="'gold' is no LF"):
        read({"a": PLAIN, "gold": gold})


@pytest.mark.parametrize("index", [False, True])
def test_the_columns_of_a_frame_may_be_listed(index):
    frame = (
        FRAME.assign(label=[1, 1, 1]).set_index("example_id", drop=True) if index else FRAME.assign(label=1)
    )
    matrix = LabelMatrix.from_table(frame, 2, lf_columns=["label", "a"])
    assert matrix == LabelMatrix([[1, 0], [1, 1], [1, 0]], 2, [7, 8, 12], ["label", "a"])


def test_an_array_is_no_table():
    with pytest.raises(
        LabelMatrixError, match=r"label matrix: expected a table .* use LabelMatrix\(votes, k\) for"
    ):
        LabelMatrix.from_table(np.array([[0, 1]]), 2)


def test_ids_that_pandas_keeps_as_a_range_are_the_ids(tmp_path):
    frame = pd.DataFrame({"a": [0, 1, 0]}, index=pd.RangeIndex(100, 103, name="example_id"))
    assert pq.read_schema(written(frame, tmp_path)).names == ["a"]
    matrix = LabelMatrix.from_parquet(written(frame, tmp_path), 2)
    assert matrix == LabelMatrix([[0], [1], [0]], 2, [100, 101, 102], ["a"])
