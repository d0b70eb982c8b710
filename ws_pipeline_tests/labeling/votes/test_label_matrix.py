"""LabelMatrix: checks at the border, the Parquet contract, shards."""

from __future__ import annotations

import itertools
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ws_pipeline.errors import ExampleIdError, FileFormatError, LabelMatrixError
from ws_pipeline.labeling import (
    FitConfig,
    LabelMatrix,
    LabelModel,
    LFAnalysis,
    MajorityLabelVoter,
    ProbabilisticLabels,
    VoteCounts,
)
from ws_pipeline.labeling.votes import counting, sparse_counting, vote_checks, vote_forms
from ws_pipeline.storage.files import write_parquet

FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=60)
VOTES = [[0, 1, -1], [2, -1, 2]]


@st.composite
def matrices(draw, ids="int"):
    """Any label matrix with few rows, with shuffled integer ids or with string ids."""
    k = draw(st.sampled_from([2, 3, 128, 129, 300]))
    n, m = draw(st.integers(0, 12)), draw(st.integers(1, 5))
    votes = draw(hnp.arrays(np.int64, (n, m), elements=st.integers(-1, k - 1)))
    if ids == "int":
        numbers = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n, unique=True))
        return LabelMatrix(votes, k, np.array(numbers, dtype=np.int64))
    names = draw(st.lists(st.text("aé%/ 0", max_size=4), min_size=n, max_size=n, unique_by=str.strip))
    return LabelMatrix(votes, k, np.array(names, dtype=object), [f"LF {i} ü" for i in range(m)])


def votes_table(ids=(7, 8, 9), **columns):
    return pa.table({"example_id": pa.array(ids), **columns})


def shard(ids, votes=None, names=("a", "b"), cardinality=3):
    rows = [[0, -1]] * len(ids) if votes is None else votes
    return LabelMatrix(rows, cardinality, ids, names)


# What a label matrix is


def test_votes_are_kept_as_read_only_int8():
    matrix = LabelMatrix(VOTES, 3)
    assert matrix.votes.tolist() == VOTES
    assert matrix.votes.dtype == np.int8
    with pytest.raises(ValueError, match="read-only"):
        matrix.votes[0, 0] = 1


@pytest.mark.parametrize(
    ("cardinality", "dtype"), [(2, np.int8), (128, np.int8), (129, np.int16), (300, np.int16)]
)
def test_the_dtype_grows_with_the_number_of_classes(cardinality, dtype):
    matrix = LabelMatrix([[cardinality - 1, -1, 0]], cardinality)
    assert matrix.votes.dtype == dtype
    assert matrix.votes.tolist() == [[cardinality - 1, -1, 0]]


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64, ">i4", ">f8"]
)
def test_every_signed_dtype_with_whole_numbers_is_accepted(dtype):
    assert LabelMatrix(np.array(VOTES, dtype=dtype), 3).votes.tolist() == VOTES


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_every_unsigned_dtype_is_accepted(dtype):
    assert LabelMatrix(np.array([[0, 2, 1]], dtype=dtype), 3).votes.tolist() == [[0, 2, 1]]


def test_ids_and_names_are_numbered_by_default():
    matrix = LabelMatrix(VOTES, 3)
    assert matrix.example_ids.tolist() == [0, 1]
    assert matrix.lf_names == ("lf_0", "lf_1", "lf_2")


def test_sizes_are_counted():
    matrix = LabelMatrix(VOTES, 3)
    assert (matrix.n_examples, matrix.n_lfs, len(matrix)) == (2, 3, 2)


def test_an_example_with_a_vote_is_covered():
    assert LabelMatrix([[-1, -1], [-1, 0], [1, 1]], 2).covered.tolist() == [False, True, True]


def test_numpy_sees_the_votes():
    assert np.asarray(LabelMatrix(VOTES, 3)).tolist() == VOTES
    assert np.array(LabelMatrix(VOTES, 3), dtype=np.float64).tolist() == VOTES


def test_the_callers_arrays_are_copied():
    votes, ids = np.array(VOTES, dtype=np.int8), np.array([5, 6])
    matrix = LabelMatrix(votes, 3, ids)
    votes[:], ids[:] = 0, 0
    assert matrix.votes.tolist() == VOTES
    assert matrix.example_ids.tolist() == [5, 6]


def test_taking_rows_keeps_ids_and_names():
    matrix = LabelMatrix(VOTES, 3, ["x", "y"], ["a", "b", "c"])
    assert matrix.take(np.array([False, True])) == LabelMatrix(VOTES[1:], 3, ["y"], ["a", "b", "c"])


@pytest.mark.parametrize(
    "other",
    [
        LabelMatrix([[0, 1, 1], [2, -1, 2]], 3),
        LabelMatrix(VOTES, 4),
        LabelMatrix(VOTES, 3, [0, 2]),
        LabelMatrix(VOTES, 3, None, ["lf_0", "lf_1", "x"]),
    ],
    ids=["votes", "classes", "ids", "names"],
)
def test_equality_looks_at_every_field(other):
    assert LabelMatrix(VOTES, 3) == LabelMatrix(VOTES, 3)
    assert LabelMatrix(VOTES, 3) != other


# What is refused


@pytest.mark.parametrize(
    ("vote", "found"),
    [(-2, "-2"), (3, "3"), (255, "255"), (2**40, "1099511627776"), (0.5, "0.5"), (np.nan, "nan")],
)
def test_a_wrong_vote_is_named_with_its_lf_its_example_and_the_range(vote, found):
    votes = [[0, 1], [1, vote], [vote, 0]]
    with pytest.raises(LabelMatrixError) as caught:
        LabelMatrix(votes, 3, ["x", "y", "z"], ["long", "short"])
    assert str(caught.value).startswith(
        f"LF 'short' votes {found} on example y, expected an integer from -1 (abstain) to 2 (cardinality=3)"
    )


def test_a_wrong_vote_without_names_is_named_by_column_and_row():
    with pytest.raises(
        LabelMatrixError, match=r"LF 'lf_1' votes 2 on example 1, expected .* to 1 \(cardinality=2\)"
    ):
        LabelMatrix([[0, 1], [1, 2]], 2)


def test_infinite_votes_are_refused():
    with pytest.raises(LabelMatrixError, match=r"LF 'lf_1' votes -inf on example 0, expected an integer"):
        LabelMatrix([[0, -np.inf, np.inf]], 2)


@pytest.mark.parametrize(
    ("votes", "found"),
    [
        (np.array([["0", "1"]]), "<U1"),
        (np.array([[None, 1]], dtype=object), "object"),
        (np.array([[True]]), "bool"),
    ],
)
def test_votes_that_are_no_numbers_are_refused(votes, found):
    with pytest.raises(LabelMatrixError, match=f"votes must be integers .* got dtype {found}"):
        LabelMatrix(votes, 2)


@pytest.mark.parametrize(("votes", "found"), [(1, r"\(\)"), ([0, 1], r"\(2,\)"), ([[[0]]], r"\(1, 1, 1\)")])
def test_votes_that_are_no_matrix_are_refused(votes, found):
    with pytest.raises(LabelMatrixError, match=rf"must have shape \[n, m\], got \d dimension\(s\): {found}"):
        LabelMatrix(votes, 2)


@pytest.mark.parametrize("cardinality", [-1, 0, 1, 32_768])
def test_a_number_of_classes_out_of_range_is_refused(cardinality):
    with pytest.raises(LabelMatrixError, match=f"cardinality must be from 2 to 32767, got {cardinality}"):
        LabelMatrix([[0, 0]], cardinality)


@pytest.mark.parametrize("rows", [[[0, 0]], [[0, 0], [0, 0], [5, 0]]])
def test_a_wrong_number_of_ids_is_refused(rows):
    with pytest.raises(LabelMatrixError, match=f"example_ids has 2 entries, but votes has {len(rows)} rows"):
        LabelMatrix(rows, 2, [1, 2])


def test_a_wrong_number_of_names_is_refused():
    with pytest.raises(LabelMatrixError, match="lf_names has 1 entries, but votes has 3 columns"):
        LabelMatrix(VOTES, 3, None, ["a"])


def test_repeated_names_are_refused():
    with pytest.raises(LabelMatrixError, match=r"LF names must be unique, repeated: \['a'\]"):
        LabelMatrix(VOTES, 3, None, ["a", "b", "a"])


def test_an_lf_with_the_name_of_the_id_column_is_refused():
    with pytest.raises(LabelMatrixError, match="an LF cannot be named 'example_id'"):
        LabelMatrix(VOTES, 3, None, ["a", "example_id", "b"])


def test_repeated_ids_are_refused():
    with pytest.raises(ExampleIdError, match=r"the first: 4 \(2 times\)"):
        LabelMatrix(VOTES, 3, [4, 4])


# Tables and Parquet files


@FIXED
@given(matrices("int"))
def test_a_label_matrix_with_integer_ids_comes_back_from_its_table(matrix):
    assert LabelMatrix.from_table(matrix.to_table()) == matrix


@FIXED
@given(matrices("str"))
def test_a_label_matrix_with_string_ids_comes_back_from_its_table(matrix):
    assert LabelMatrix.from_table(matrix.to_table()) == matrix


@pytest.mark.parametrize("ids", [[3, 1], ["c", "a"]])
def test_a_label_matrix_comes_back_from_a_parquet_file(ids, tmp_path):
    matrix = LabelMatrix(VOTES, 3, ids, ["a", "b", "c"])
    write_parquet(matrix.to_table(), tmp_path / "votes.parquet")
    assert LabelMatrix.from_parquet(tmp_path / "votes.parquet") == matrix


def test_abstains_are_null_in_the_table():
    assert LabelMatrix(VOTES, 3).to_table().to_pydict() == {
        "example_id": [0, 1],
        "lf_0": [0, 2],
        "lf_1": [1, None],
        "lf_2": [None, 2],
    }


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float16(), pa.float32(), pa.float64()]
)
def test_null_and_minus_one_both_abstain(kind):
    column = pa.array([1.0, None, -1.0]).cast(kind)
    assert LabelMatrix.from_table(votes_table(a=column), 2).votes[:, 0].tolist() == [1, -1, -1]


@pytest.mark.parametrize("kind", [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()])
def test_null_abstains_in_a_column_that_cannot_hold_minus_one(kind):
    column = pa.array([1, None, 0], kind)
    assert LabelMatrix.from_table(votes_table(a=column), 2).votes[:, 0].tolist() == [1, -1, 0]


def test_nan_abstains():
    column = pa.array(np.array([1, np.nan, -1]))
    assert LabelMatrix.from_table(votes_table(a=column), 2).votes[:, 0].tolist() == [1, -1, -1]


def test_a_column_of_nothing_but_nulls_abstains():
    assert LabelMatrix.from_table(votes_table(a=pa.nulls(3)), 2).votes[:, 0].tolist() == [-1, -1, -1]


@pytest.mark.parametrize("ids", [[7, 8, 9], ["x", "y", "z"]])
def test_what_pandas_writes_is_read(ids, tmp_path):
    frame = pd.DataFrame(
        {
            "example_id": ids,
            "gaps": [1, None, 0],
            "nullable": pd.array([None, 1, -1], dtype="Int8"),
            "small": np.array([0, 1, -1], dtype=np.int8),
            "empty": [None, None, None],
        }
    )
    frame.to_parquet(tmp_path / "votes.parquet", index=False)
    matrix = LabelMatrix.from_parquet(tmp_path / "votes.parquet", 2)
    assert matrix.lf_names == ("gaps", "nullable", "small", "empty")
    assert matrix.votes.T.tolist() == [[1, -1, 0], [-1, 1, -1], [0, 1, -1], [-1, -1, -1]]
    assert matrix.example_ids.tolist() == ids


def test_columns_in_several_chunks_are_read():
    table = pa.concat_tables(
        [votes_table(ids=[1, 2], a=pa.array([0, 1])), votes_table(ids=[5], a=pa.array([1]))]
    )
    assert LabelMatrix.from_table(table, 2) == LabelMatrix([[0], [1], [1]], 2, [1, 2, 5], ["a"])


@pytest.mark.parametrize(("vote", "found"), [(-2, "-2"), (2, "2"), (256, "256"), (0.5, "0.5")])
def test_a_wrong_vote_in_a_file_is_named_with_the_file(vote, found, tmp_path):
    pq.write_table(votes_table(ids=["x", "y", "z"], a=[0, 1, 0], b=[0, vote, 1]), tmp_path / "votes.parquet")
    with pytest.raises(LabelMatrixError) as caught:
        LabelMatrix.from_parquet(tmp_path / "votes.parquet", 2)
    expected = f"{tmp_path / 'votes.parquet'}: LF 'b' votes {found} on example y, expected an integer from -1"
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("column", "found"), [(pa.array(["1", "0", "1"]), "string"), (pa.array([b"1", None, b"0"]), "binary")]
)
def test_a_column_that_is_not_numeric_is_refused(column, found):
    with pytest.raises(LabelMatrixError, match=f"v.parquet: column 'a' has type {found}, expected integers"):
        LabelMatrix.from_table(votes_table(a=column), 2, where="v.parquet")


def test_booleans_are_votes_for_the_classes_zero_and_one():
    column = pa.array([True, False, None])
    assert LabelMatrix.from_table(votes_table(a=column), 2).votes[:, 0].tolist() == [1, 0, -1]


def test_two_columns_of_one_name_are_refused():
    table = pa.Table.from_arrays(
        [pa.array([1, 2]), pa.array([0, 1]), pa.array([0, 1])], names=["example_id", "a", "a"]
    )
    with pytest.raises(LabelMatrixError, match=r"v.parquet: LF names must be unique, repeated: \['a'\]"):
        LabelMatrix.from_table(table, 2, where="v.parquet")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([4, None, 9], r"v.parquet: 1 example id\(s\) are null, the first in row 1"),
        ([4, 9, 4], r"v.parquet: example ids must be unique, 1 are repetitions, the first: 4 \(2 times\)"),
        ([0.5, 1.0, 2.0], "v.parquet: column 'example_id' has type double, expected int64 or string"),
    ],
)
def test_bad_ids_are_refused(ids, message):
    with pytest.raises(ExampleIdError, match=message):
        LabelMatrix.from_table(votes_table(ids=ids, a=[0, 1, 0]), 2, where="v.parquet")


def test_a_table_without_ids_is_refused():
    with pytest.raises(ExampleIdError, match=r"v.parquet: no column 'example_id', got \['a'\]"):
        LabelMatrix.from_table(pa.table({"a": [0, 1]}), 2, where="v.parquet")


def test_a_table_from_elsewhere_needs_the_number_of_classes():
    with pytest.raises(
        LabelMatrixError, match=r"v.parquet: the number of classes is not stored .* pass cardinality"
    ):
        LabelMatrix.from_table(votes_table(a=[0, 1, 0]), where="v.parquet")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(share, tmp_path):
    path = tmp_path / "votes.parquet"
    write_parquet(LabelMatrix(VOTES, 3).to_table(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileFormatError, match=r"votes.parquet: not a complete Parquet file"):
        LabelMatrix.from_parquet(path, 3)


# Shards


def test_shards_are_stacked_in_order():
    both = LabelMatrix.concatenate({"one": shard([5, 6]), "two": shard([1], [[2, 1]])})
    assert both == LabelMatrix([[0, -1], [0, -1], [2, 1]], 3, [5, 6, 1], ["a", "b"])


def test_no_shards_are_refused():
    with pytest.raises(LabelMatrixError, match="no shards to concatenate"):
        LabelMatrix.concatenate({})


def test_an_id_in_two_shards_is_refused_with_both_names():
    shards = {"mon": shard([1, 2]), "tue": shard([3]), "wed": shard([4, 2])}
    with pytest.raises(
        ExampleIdError, match=r"example 2 is in shard 'mon' and in shard 'wed' \(1 such ids\)"
    ):
        LabelMatrix.concatenate(shards)


@pytest.mark.parametrize(
    ("names", "difference"),
    [
        (("a", "c"), r"missing \['b'\], extra \['c'\]"),
        (("a",), r"missing \['b'\], extra \[\]"),
        (("a", "b", "c"), r"missing \[\], extra \['c'\]"),
        (("b", "a"), "same names in another order"),
    ],
)
def test_a_shard_with_other_lfs_is_refused_with_the_difference(names, difference):
    other = shard([3], [[0] * len(names)], names)
    with pytest.raises(
        LabelMatrixError, match=rf"shard 'tue' differ from those of shard 'mon': {difference}"
    ):
        LabelMatrix.concatenate({"mon": shard([1]), "tue": other})


def test_a_shard_with_another_number_of_classes_is_refused():
    with pytest.raises(LabelMatrixError, match="shard 'mon' has 3 classes, but shard 'tue' has 4"):
        LabelMatrix.concatenate({"mon": shard([1]), "tue": shard([2], cardinality=4)})


# Votes and examples


@pytest.mark.parametrize("order", list(itertools.permutations([3, 1, 2])))
def test_votes_follow_the_order_of_the_examples(order):
    votes = {3: [0, 1], 1: [1, 1], 2: [-1, 0]}
    matrix = LabelMatrix(list(votes.values()), 2, list(votes))
    assert matrix.aligned_to(np.array(order)).votes.tolist() == [votes[example] for example in order]


def test_examples_without_votes_abstain():
    aligned = LabelMatrix([[0, 1], [1, 1]], 2, ["b", "d"], ["x", "y"]).aligned_to(
        np.array(list("abcde"), dtype=object)
    )
    assert aligned.votes.tolist() == [[-1, -1], [0, 1], [-1, -1], [1, 1], [-1, -1]]
    assert aligned.example_ids.tolist() == list("abcde")
    assert aligned.covered.sum() == 2


@pytest.mark.parametrize(
    ("ids", "known", "found"),
    [
        ([1, 9, 2, 8], [1, 2], r"2 vote row\(s\)"),
        ([1, 9], [2, 1], r"1 vote row\(s\)"),
        ([9], [], r"1 vote row\(s\)"),
    ],
)
def test_votes_for_unknown_examples_are_refused(ids, known, found):
    matrix = LabelMatrix([[0, 1]] * len(ids), 2, ids)
    with pytest.raises(LabelMatrixError, match=rf"shard 'x': {found} are for unknown examples, the first: 9"):
        matrix.aligned_to(np.array(known, dtype=np.int64), where="shard 'x'")


@pytest.mark.parametrize(("ids", "known"), [([1], ["a"]), (["a"], [1])])
def test_integer_and_string_ids_do_not_mix(ids, known):
    other = np.array(known, dtype=object if known == ["a"] else np.int64)
    with pytest.raises(ExampleIdError) as caught:
        LabelMatrix([[0, 1]], 2, ids).aligned_to(other, where="shard 'x'")
    assert str(caught.value).startswith(
        f"shard 'x': the votes have ids such as {ids}, the examples have ids such as {known}"
    )


@pytest.fixture
def checks(monkeypatch):
    """How often votes were checked to be in range, wherever that is done."""
    modules = [vote_checks, counting, sparse_counting, vote_forms]
    check = Mock(wraps=vote_checks.check_range)
    for module in modules:
        monkeypatch.setattr(module, "check_range", check)
    return check


def test_votes_are_checked_once_on_their_way_from_a_file_to_labels(tmp_path, checks):
    rng = np.random.default_rng(3)
    write_parquet(LabelMatrix(rng.integers(-1, 2, (50, 4)), 2).to_table(), tmp_path / "votes")
    checks.reset_mock()
    matrix = LabelMatrix.from_parquet(tmp_path / "votes", 2)
    assert checks.call_count == matrix.n_lfs  # column by column
    matrix = LabelMatrix.concatenate({"only": matrix.aligned_to(np.arange(50)).take(np.arange(50) < 40)})
    counts = VoteCounts.from_label_matrix(matrix)
    model = LabelModel(2, verbose=False).fit_counts(counts, FitConfig(n_epochs=2))
    ProbabilisticLabels.from_votes(model, matrix)
    ProbabilisticLabels.from_votes(MajorityLabelVoter(2), matrix)
    model.compare_with_vote(matrix, np.zeros(40, dtype=int))
    LFAnalysis(matrix).lf_conflicts()
    assert checks.call_count == matrix.n_lfs


def test_votes_of_more_classes_than_the_model_has_are_checked_again(checks):
    matrix = LabelMatrix([[2, 0, 1], [1, 1, 0], [0, 0, 0]], 3)
    checks.reset_mock()
    with pytest.raises(LabelMatrixError, match="LF 'lf_0' votes 2 on example 0"):
        MajorityLabelVoter(2).predict_proba(matrix)
    assert checks.called


def test_rows_may_be_taken_once_only():
    matrix = LabelMatrix([[1, 0], [0, 1], [1, 1]], 2, example_ids=["a", "b", "c"])
    assert matrix.take(np.array([2, 0])).example_ids.tolist() == ["c", "a"]
    with pytest.raises(ExampleIdError, match="the first: b"):
        matrix.take(np.array([1, 1]))
    with pytest.raises(ExampleIdError, match="the first: b"):
        matrix.aligned_to(np.array(["a", "b", "b", "c"], dtype=object))
