"""Vote patterns against a counter of rows; additivity in any order; the way to a table and back."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array

from ws_pipeline.errors import LabelMatrixError, VoteCountsError
from ws_pipeline.labeling import LabelMatrix, VoteCounts
from ws_pipeline.labeling.votes import distinct_rows
from ws_pipeline.labeling.votes.vote_forms import dense_votes, read_votes
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.storage.files import read_parquet, write_parquet

FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=60)
SHAPES = [(4, 2), (45, 2), (30, 10), (3, 200), (256, 2), (257, 2), (300, 5)]


def rows_of(patterns):
    votes = dense_votes(read_votes(patterns.votes))
    return Counter({tuple(row): n for row, n in zip(votes.tolist(), patterns.counts.tolist(), strict=True)})


def repeated_votes(n, m, k, seed=0):
    """Votes of which many rows are the same, many abstain, and some have no vote."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, k, (max(2, n // 3), m))
    rows[rng.random(rows.shape) < 0.7] = -1
    rows[0] = -1
    return rows[rng.integers(0, len(rows), n)]


@st.composite
def votes_and_k(draw):
    k = draw(st.sampled_from([2, 3, 128, 200]))
    shape = (draw(st.integers(0, 15)), draw(st.integers(1, 5)))
    return draw(hnp.arrays(np.int64, shape, elements=st.sampled_from([-1, 0, 1, k - 1]))), k


@FIXED
@given(votes_and_k())
def test_every_row_is_counted(example):
    votes, k = example
    assert rows_of(VotePatterns.from_votes(votes, k)) == Counter(map(tuple, votes.tolist()))


@pytest.mark.parametrize(("m", "k"), SHAPES)
def test_every_row_is_counted_whatever_the_shape(m, k):
    votes = repeated_votes(90, m, k)
    patterns = VotePatterns.from_votes(votes, k)
    assert rows_of(patterns) == Counter(map(tuple, votes.tolist()))
    assert isinstance(patterns.votes, np.ndarray) == (m <= 256)
    assert (patterns.n_examples, patterns.n_lfs) == (90, m)
    assert patterns.n_votes @ patterns.counts == np.count_nonzero(votes >= 0)
    assert (patterns.class_counts == VoteCounts.from_votes(votes, k).class_counts).all()
    assert (patterns.covered().n_votes > 0).all()
    assert patterns.covered().n_examples == np.count_nonzero((votes >= 0).any(axis=1))


@pytest.mark.parametrize(("m", "k"), SHAPES)
def test_shards_in_any_order_give_the_same_bytes(m, k):
    votes = repeated_votes(120, m, k)
    whole = VotePatterns.from_votes(votes, k)
    parts = {str(i): VotePatterns.from_votes(votes[i::3], k) for i in range(3)}
    backwards = {name: parts[name] for name in reversed(parts)}
    assert VotePatterns.total(parts) == VotePatterns.total(backwards) == whole
    assert parts["2"] + parts["0"] + parts["1"] == whole
    assert VotePatterns.from_votes(votes[::-1], k) == whole
    assert whole.to_table().equals(VotePatterns.total(backwards).to_table())


@pytest.mark.parametrize(("m", "k"), SHAPES)
def test_sparse_votes_give_the_same_patterns(m, k):
    votes = repeated_votes(60, m, k)
    rows, lfs = np.nonzero(votes >= 0)
    sparse = csr_array((votes[rows, lfs], (rows, lfs)), shape=votes.shape)
    assert VotePatterns.from_votes(sparse, k) == VotePatterns.from_votes(votes, k)


@pytest.mark.parametrize(("m", "k"), [(45, 2), (300, 5)])
def test_rows_of_the_same_hash_are_told_apart(m, k, monkeypatch):
    votes = repeated_votes(60, m, k)
    monkeypatch.setattr(distinct_rows, "_hash_words", lambda words: np.zeros(len(words), dtype=np.uint64))
    monkeypatch.setattr(
        distinct_rows, "_hash_codes", lambda _codes, starts: np.zeros(len(starts) - 1, dtype=np.uint64)
    )
    patterns = VotePatterns.from_votes(votes, k)
    assert rows_of(patterns) == Counter(map(tuple, votes.tolist()))
    assert VotePatterns.from_votes(votes[::-1], k) == patterns


def test_many_rows_are_merged_part_by_part(monkeypatch):
    votes = repeated_votes(200_000, 6, 3)
    whole = VotePatterns.from_votes(votes, 3)
    monkeypatch.setattr(distinct_rows, "_HELD_ROWS", 1000)
    assert VotePatterns.from_votes(votes, 3) == whole


@pytest.mark.parametrize(("m", "k"), SHAPES)
def test_a_file_keeps_them(m, k, tmp_path):
    patterns = VotePatterns.from_votes(repeated_votes(50, m, k), k, [f"größe {i}" for i in range(m)])
    write_parquet(patterns.to_table(), tmp_path / "patterns.parquet")
    assert VotePatterns.from_table(read_parquet(tmp_path / "patterns.parquet")) == patterns


def test_names_and_classes_of_the_label_matrix_are_kept():
    matrix = LabelMatrix([[0, 2], [0, 2]], 3, lf_names=["a", "b"])
    patterns = VotePatterns.from_label_matrix(matrix)
    assert (patterns.lf_names, patterns.cardinality, patterns.n_patterns) == (("a", "b"), 3, 1)


def test_what_does_not_belong_together_is_refused():
    left = VotePatterns.from_votes([[0, 1]], 2)
    with pytest.raises(LabelMatrixError, match="differ from those of shard 'left': missing"):
        left + VotePatterns.from_votes([[0, 1]], 2, ["lf_0", "other"])
    with pytest.raises(LabelMatrixError, match="3"):
        left + VotePatterns.from_votes([[0, 1]], 3)
    with pytest.raises(VoteCountsError, match="ingest at least one shard"):
        VotePatterns.total({})
    with pytest.raises(LabelMatrixError, match="LF 'lf_1' votes 2"):
        VotePatterns.from_votes([[0, 2]], 2)


def test_other_tables_are_refused():
    with pytest.raises(VoteCountsError, match=r"here: not a table of vote patterns, got columns \['a'\]"):
        VotePatterns.from_table(pa.table({"a": [1]}), where="here")
    table = VotePatterns.from_votes(repeated_votes(9, 300, 2), 2).to_table()
    lists = pa.array([[600]] * len(table), pa.large_list(pa.int64()))
    damaged = table.set_column(0, "votes", lists).replace_schema_metadata(table.schema.metadata)
    with pytest.raises(VoteCountsError, match="coded as 600 or 600, expected 0 to 599"):
        VotePatterns.from_table(damaged)


def test_equal_only_to_equal_patterns():
    patterns = VotePatterns.from_votes([[0, 1], [1, 1]], 2)
    assert patterns != VotePatterns.from_votes([[0, 1], [1, 1], [1, 1]], 2)
    assert patterns != VotePatterns.from_votes([[0, 1], [1, 0]], 2)
    assert patterns != "patterns"
