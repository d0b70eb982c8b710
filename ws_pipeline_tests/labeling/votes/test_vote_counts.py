"""VoteCounts against naive loops; additivity; the way to a table and back."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ws_pipeline.errors import LabelMatrixError, VoteCountsError
from ws_pipeline.labeling import LabelMatrix, VoteCounts
from ws_pipeline.storage.files import read_parquet, write_parquet

FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=60)


@st.composite
def votes_and_k(draw):
    k = draw(st.sampled_from([2, 3, 5, 128, 200]))
    shape = (draw(st.integers(0, 15)), draw(st.integers(1, 5)))
    few = st.sampled_from([-1, 0, 1, k - 1])  # so that LFs agree often
    return draw(hnp.arrays(np.int64, shape, elements=few)), k


def count(votes, cardinality, names=None):
    return VoteCounts.from_label_matrix(LabelMatrix(votes, cardinality, None, names))


def random_votes(n=40, m=4, k=3, seed=0):
    return np.random.default_rng(seed).integers(-1, k, (n, m))


def naive_pair_counts(votes, cardinality):
    m = votes.shape[1]
    pairs = np.zeros((m * cardinality, m * cardinality), dtype=np.int64)
    for row in votes.tolist():
        for (i, y), (j, z) in itertools.product(enumerate(row), repeat=2):
            if y != -1 and z != -1:
                pairs[i * cardinality + y, j * cardinality + z] += 1
    return pairs


def naive_lf_counts(votes):
    """Per LF: examples on which another LF votes too, and on which another votes something else."""
    m = votes.shape[1]
    overlaps, conflicts = [0] * m, [0] * m
    for row in votes.tolist():
        for i in range(m):
            others = [vote for j, vote in enumerate(row) if j != i and vote != -1]
            overlaps[i] += row[i] != -1 and len(others) > 0
            conflicts[i] += row[i] != -1 and any(vote != row[i] for vote in others)
    return overlaps, conflicts


def naive_example_counts(votes):
    """Examples with a vote, with two votes, with two different votes."""
    cast = [[vote for vote in row if vote != -1] for row in votes.tolist()]
    return (
        sum(len(row) >= 1 for row in cast),
        sum(len(row) >= 2 for row in cast),
        sum(len(set(row)) >= 2 for row in cast),
    )


@FIXED
@given(votes_and_k())
def test_pair_counts_are_those_of_a_naive_loop(example):
    votes, k = example
    assert np.array_equal(count(votes, k).pair_counts, naive_pair_counts(votes, k))


@FIXED
@given(votes_and_k())
def test_overlaps_and_conflicts_of_lfs_are_those_of_a_naive_loop(example):
    votes, k = example
    counts = count(votes, k)
    overlaps, conflicts = naive_lf_counts(votes)
    assert counts.rows.overlap_counts.tolist() == overlaps
    assert counts.rows.conflict_counts.tolist() == conflicts


@FIXED
@given(votes_and_k())
def test_covered_overlapping_and_conflicting_examples_are_those_of_a_naive_loop(example):
    votes, k = example
    counts = count(votes, k)
    found = counts.n_covered, counts.rows.n_overlapping, counts.rows.n_conflicting
    assert found == naive_example_counts(votes)
    assert counts.n_examples == len(votes)


def test_counts_are_exact_integers():
    counts = count(random_votes(), 3)
    assert {
        counts.pair_counts.dtype,
        counts.rows.overlap_counts.dtype,
        counts.rows.conflict_counts.dtype,
    } == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    ("n", "m", "k", "coverage"),
    [(20_000, 5, 200, 1.0), (150_000, 4, 3, 0.7), (5_000, 30, 4, 0.02), (63, 3, 2, 1.0), (64, 12, 130, 0.5)],
)
def test_pair_counts_of_many_rows_are_two_dimensional_histograms(n, m, k, coverage):
    votes = random_votes(n, m, k)
    votes[np.random.default_rng(1).random((n, m)) >= coverage] = -1
    pairs = count(votes, k).pair_counts
    for i, j in itertools.product(range(m), repeat=2):
        both = (votes[:, i] >= 0) & (votes[:, j] >= 0)
        expected = np.bincount(votes[both, i] * k + votes[both, j], minlength=k * k).reshape(k, k)
        assert np.array_equal(pairs[i * k : i * k + k, j * k : j * k + k], expected)


def test_counts_beyond_the_integers_of_single_precision_are_exact():
    n = 2**24 + 3
    counts = count(np.broadcast_to(np.int8(1), (n, 1)), 2)
    assert counts.pair_counts.tolist() == [[0, 0], [0, n]]


def test_class_counts_are_votes_per_lf_and_class():
    votes = np.array([[0, 1], [0, -1], [2, 1], [-1, -1]])
    assert count(votes, 3).class_counts.tolist() == [[2, 0, 1], [0, 2, 0]]


def test_coverage_is_the_share_of_all_examples():
    votes = np.array([[0, 1], [0, -1], [1, 1], [-1, -1]])
    assert count(votes, 2).coverage.tolist() == [0.75, 0.5]


def test_coverage_of_no_examples_is_zero():
    assert count(np.empty((0, 2), dtype=int), 2).coverage.tolist() == [0, 0]


def test_lfs_that_never_vote_are_named():
    votes = np.array([[0, -1, 1, -1], [1, -1, -1, -1]])
    assert count(votes, 2, ["a", "b", "c", "d"]).silent_lfs == ("b", "d")


# Additivity and order


@FIXED
@given(votes_and_k(), st.data())
def test_the_counts_of_a_split_add_up(example, data):
    votes, k = example
    cut = data.draw(st.integers(0, len(votes)))
    assert count(votes[:cut], k) + count(votes[cut:], k) == count(votes, k)


@FIXED
@given(votes_and_k(), st.lists(st.integers(0, 15), max_size=3), st.randoms(use_true_random=False))
def test_the_total_over_shards_in_any_order_is_the_count_of_everything(example, cuts, shuffler):
    votes, k = example
    parts = np.split(votes, sorted(min(cut, len(votes)) for cut in cuts))
    shards = [(f"shard {i}", count(part, k)) for i, part in enumerate(parts)]
    shuffler.shuffle(shards)
    assert VoteCounts.total(dict(shards)) == count(votes, k)


@FIXED
@given(votes_and_k(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_count(example, shuffler):
    votes, k = example
    order = list(range(len(votes)))
    shuffler.shuffle(order)
    assert count(votes[order], k) == count(votes, k)


@FIXED
@given(votes_and_k(), st.randoms(use_true_random=False))
def test_permuting_lfs_permutes_their_counts(example, shuffler):
    votes, k = example
    order = list(range(votes.shape[1]))
    shuffler.shuffle(order)
    rows = [i * k + y for i in order for y in range(k)]
    before, after = count(votes, k), count(votes[:, order], k)
    assert np.array_equal(after.pair_counts, before.pair_counts[np.ix_(rows, rows)])
    assert np.array_equal(after.rows.overlap_counts, before.rows.overlap_counts[order])
    assert np.array_equal(after.rows.conflict_counts, before.rows.conflict_counts[order])
    assert after.rows.n_conflicting == before.rows.n_conflicting


def test_adding_leaves_the_summands_alone():
    left, right = count(random_votes(seed=1), 3), count(random_votes(seed=2), 3)
    before = left.pair_counts.copy()
    total = left + right
    assert np.array_equal(left.pair_counts, before)
    assert not np.shares_memory(total.pair_counts, left.pair_counts)


@pytest.mark.parametrize("field", ["cardinality", "lf_names", "rows", "pairs"])
def test_equality_looks_at(field):
    counts = count(random_votes(), 3)
    values = {name: getattr(counts, name) for name in VoteCounts.__dataclass_fields__}
    changed = {"cardinality": 4, "lf_names": ("w", "x", "y", "z")}.get(field, values[field])
    changed = changed if changed is not values[field] else changed + changed
    assert VoteCounts(**values) == counts
    assert VoteCounts(**values | {field: changed}) != counts


@pytest.mark.parametrize("field", ["n_examples", "n_conflicting", "class_counts", "overlap_counts"])
def test_equality_of_row_counts_looks_at(field):
    rows = count(random_votes(), 3).rows
    assert replace(rows) == rows
    assert replace(rows, **{field: getattr(rows, field) + 1}) != rows


def test_no_shards_have_no_total():
    with pytest.raises(VoteCountsError, match="no vote counts to add: ingest at least one shard first"):
        VoteCounts.total({})


def test_a_total_over_other_lfs_is_refused_with_names():
    shards = {"mon": count([[0, 1]], 2, ["a", "b"]), "tue": count([[0, 1]], 2, ["a", "c"])}
    with pytest.raises(
        LabelMatrixError, match=r"shard 'tue' differ .* shard 'mon': missing \['b'\], extra \['c'\]"
    ):
        VoteCounts.total(shards)


def test_a_total_over_other_classes_is_refused_with_names():
    with pytest.raises(LabelMatrixError, match="shard 'mon' has 2 classes, but shard 'tue' has 3"):
        VoteCounts.total({"mon": count([[0, 1]], 2), "tue": count([[0, 1]], 3)})


def test_counts_of_other_lfs_do_not_add():
    with pytest.raises(LabelMatrixError, match=r"missing \['b'\], extra \['c'\]"):
        count([[0, 1]], 2, ["a", "b"]) + count([[0, 1]], 2, ["a", "c"])


def test_counts_of_other_classes_do_not_add():
    with pytest.raises(LabelMatrixError, match="'left' has 2 classes, but shard 'right' has 3"):
        count([[0, 1]], 2) + count([[0, 1]], 3)


# Tables


@FIXED
@given(votes_and_k())
def test_counts_come_back_from_their_table(example):
    counts = count(*example)
    assert VoteCounts.from_table(counts.to_table()) == counts


def test_counts_come_back_from_a_parquet_file(tmp_path):
    counts = count(random_votes(), 3, ["a", "Ü b", "c/d", ""])
    write_parquet(counts.to_table(), tmp_path / "counts.parquet")
    assert VoteCounts.from_table(read_parquet(tmp_path / "counts.parquet")) == counts


def test_counts_from_a_table_add_up_like_others():
    left, right = count(random_votes(seed=1), 3), count(random_votes(seed=2), 3)
    assert VoteCounts.from_table(left.to_table()) + right == left + right


def test_counts_from_a_label_matrix_with_a_numpy_number_of_classes_can_be_stored():
    counts = count(random_votes(), np.int64(3))
    assert VoteCounts.from_table(counts.to_table()) == counts


def test_the_table_is_one_row_per_pair_that_occurs_as_it_has_always_been():
    table = count([[0, 1, -1], [1, 1, 0]], 2).to_table()
    assert table.schema.types == [pa.int32(), pa.int32(), pa.int64()]
    assert list(zip(*table.to_pydict().values(), strict=True)) == [
        (0, 0, 1),
        (0, 3, 1),
        (1, 1, 1),
        (1, 3, 1),
        (1, 4, 1),
        (3, 3, 2),
        (3, 4, 1),
        (4, 4, 1),
    ]


@pytest.mark.parametrize(
    ("row", "column", "entry"),
    [(5, 3, 1), (-1, 3, 1), (0, 12, 1), (0, 0, 1)],
    ids=["below the diagonal", "negative", "too large", "twice"],
)
def test_a_table_with_an_entry_that_cannot_be_is_refused(row, column, entry):
    table = count(random_votes(), 3).to_table()
    columns = {name: table[name].to_pylist() for name in table.column_names}
    columns["row"][entry], columns["column"][entry] = row, column
    changed = pa.table(columns, schema=table.schema)
    message = (
        f"x.parquet: entry {entry} is at row {row} and column {column}, expected 0 <= row <= column < 12, "
        "sorted by both; the file is damaged: ingest the shard again"
    )
    with pytest.raises(VoteCountsError) as caught:
        VoteCounts.from_table(changed, where="x.parquet")
    assert str(caught.value) == message


def test_a_foreign_table_is_refused():
    with pytest.raises(
        VoteCountsError, match=r"x.parquet: not a table of vote counts, got columns \['a', 'b'\]"
    ):
        VoteCounts.from_table(pa.table({"a": [1], "b": [2]}), where="x.parquet")


def test_a_table_of_counts_without_its_header_is_refused():
    table = count(random_votes(), 3).to_table().replace_schema_metadata(None)
    with pytest.raises(VoteCountsError, match="not a table of vote counts"):
        VoteCounts.from_table(table)
