"""Statistics of labeling functions: against naive loops, against Snorkel, and over shards."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from functools import reduce
from itertools import pairwise, starmap

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ws_pipeline.errors import InvalidInputError, LabelMatrixError
from ws_pipeline.labeling import LabelingFunction, LabelMatrix, LFAnalysis
from ws_pipeline.labeling.votes.counting import count_rows
from ws_pipeline.labeling.votes.row_counts import RowCounts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.labeling as snorkel
    except ImportError:
        snorkel = None

NEEDS_SNORKEL = pytest.mark.skipif(snorkel is None, reason="Snorkel is not installed")
PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)
VOTES = np.array([[-1, 0, 0], [-1, -1, -1], [1, 0, -1], [-1, 0, -1], [0, 0, 0]])
GOLD = np.array([0, 1, 0, -1, 0])


def matrices(max_class=4, min_rows=0):
    shapes = st.tuples(st.integers(min_rows, 25), st.integers(1, 6))
    return shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(-1, max_class)))


def draw(seed, n=200, m=7, k=4, coverage=0.5):
    rng = np.random.default_rng(seed)
    votes = rng.integers(0, k, (n, m))
    votes[rng.random((n, m)) > coverage] = -1
    return votes, rng.integers(0, k, n)


def statistics(analysis):
    """Everything that needs no gold labels, as plain lists."""
    return {
        "label": [analysis.label_coverage(), analysis.label_overlap(), analysis.label_conflict()],
        "polarities": analysis.lf_polarities(),
        "coverages": analysis.lf_coverages().tolist(),
        "overlaps": analysis.lf_overlaps().tolist(),
        "overlaps by coverage": analysis.lf_overlaps(normalize_by_coverage=True).tolist(),
        "conflicts": analysis.lf_conflicts().tolist(),
        "conflicts by overlaps": analysis.lf_conflicts(normalize_by_overlaps=True).tolist(),
    }


@contextlib.contextmanager
def snorkel_runs():
    """Around calls of Snorkel only: it divides by zero, and its scipy calls are deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def ratio(part, whole):
    return part / whole if whole else 0.0


def naive_statistics(votes):
    n, m = votes.shape
    rows = [[vote for vote in row if vote != -1] for row in votes.tolist()]
    voted = [[i for i in range(n) if votes[i, j] != -1] for j in range(m)]
    overlaps = [sum(len(rows[i]) > 1 for i in voted[j]) for j in range(m)]
    conflicts = [sum(any(vote != votes[i, j] for vote in rows[i]) for i in voted[j]) for j in range(m)]
    return {
        "label": [
            ratio(sum(len(row) >= 1 for row in rows), n),
            ratio(sum(len(row) >= 2 for row in rows), n),
            ratio(sum(len(set(row)) >= 2 for row in rows), n),
        ],
        "polarities": [sorted({int(votes[i, j]) for i in voted[j]}) for j in range(m)],
        "coverages": [ratio(len(voted[j]), n) for j in range(m)],
        "overlaps": [ratio(overlaps[j], n) for j in range(m)],
        "overlaps by coverage": [ratio(overlaps[j], len(voted[j])) for j in range(m)],
        "conflicts": [ratio(conflicts[j], n) for j in range(m)],
        "conflicts by overlaps": [ratio(conflicts[j], overlaps[j]) for j in range(m)],
    }


def same_counts(one, other):
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(RowCounts)
    )


@PROPERTY
@given(votes=matrices())
def test_every_statistic_is_what_a_naive_loop_counts(votes):
    assert statistics(LFAnalysis(votes)) == naive_statistics(votes)


@PROPERTY
@given(votes=matrices(), data=st.data())
def test_shards_in_any_split_and_order_give_the_same_counts_and_analysis(votes, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(votes)), max_size=4)))
    edges = [0, *cuts, len(votes)]
    shards = data.draw(st.permutations(list(starmap(slice, pairwise(edges)))))
    order = data.draw(st.permutations(range(len(votes))))
    shuffled = votes[np.array(order, dtype=int)]
    total = reduce(RowCounts.__add__, [count_rows(shuffled[rows].astype(np.int8), 5) for rows in shards])
    assert same_counts(total, count_rows(votes.astype(np.int8), 5))
    assert statistics(LFAnalysis.from_counts(total)) == statistics(LFAnalysis(votes))


@PROPERTY
@given(votes=matrices(max_class=2), data=st.data())
def test_permuting_the_labeling_functions_permutes_the_rows_of_the_summary(votes, data):
    gold = np.array(
        data.draw(st.lists(st.integers(-1, 2), min_size=len(votes), max_size=len(votes))), dtype=int
    )
    names = [f"lf {j}" for j in range(votes.shape[1])]
    order = data.draw(st.permutations(range(votes.shape[1])))
    summary = LFAnalysis(LabelMatrix(votes, 3, None, names)).lf_summary(gold)
    permuted_names = [names[j] for j in order]
    permuted = LFAnalysis(LabelMatrix(votes[:, order], 3, None, permuted_names)).lf_summary(gold)
    expected = summary.loc[permuted_names].assign(j=range(len(names)))
    pd.testing.assert_frame_equal(permuted, expected)


@PROPERTY
@given(votes=matrices(max_class=2), data=st.data())
def test_permuting_the_examples_changes_nothing(votes, data):
    order = np.array(data.draw(st.permutations(range(len(votes)))), dtype=int)
    gold = np.arange(len(votes)) % 4 - 1
    pd.testing.assert_frame_equal(
        LFAnalysis(votes[order]).lf_summary(gold[order]), LFAnalysis(votes).lf_summary(gold)
    )


@NEEDS_SNORKEL
@pytest.mark.parametrize("seed", range(12))
def test_every_statistic_is_that_of_snorkel(seed):
    votes, gold = draw(seed, k=2 + seed % 4, coverage=[0.05, 0.5, 1.0][seed % 3])
    k = 2 + seed % 4
    with snorkel_runs():
        theirs = snorkel.LFAnalysis(votes)
        expected = statistics(theirs)
        accuracies, tables = theirs.lf_empirical_accuracies(gold), theirs.lf_empirical_probs(gold, k)
    ours = LFAnalysis(votes)
    for name, values in statistics(ours).items():
        if name == "polarities":
            assert values == expected[name]
        else:
            assert values == pytest.approx(expected[name], abs=1e-15)
    assert ours.lf_empirical_accuracies(gold) == pytest.approx(accuracies, abs=1e-15)
    np.testing.assert_array_equal(ours.lf_empirical_probs(gold, k), tables)


@NEEDS_SNORKEL
@pytest.mark.parametrize("gold", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_the_summary_is_that_of_snorkel(gold, named):
    votes, labels = draw(seed=3)
    weights = np.linspace(0, 1, votes.shape[1])
    lfs = [LabelingFunction(f"lf {j}", lambda _: 0) for j in range(votes.shape[1])] if named else None
    arguments = (labels, weights) if gold else ()
    with snorkel_runs():
        expected = snorkel.LFAnalysis(votes, lfs).lf_summary(*arguments)
    pd.testing.assert_frame_equal(LFAnalysis(votes, lfs).lf_summary(*arguments), expected)


def test_a_small_summary_by_hand():
    matrix = LabelMatrix(VOTES, 2, None, ["a", "b", "c"])
    summary = LFAnalysis(matrix).lf_summary(GOLD, est_weights=[0.7, 0.8, 0.9])
    assert summary.index.tolist() == ["a", "b", "c"]
    assert summary.to_dict("list") == {
        "j": [0, 1, 2],
        "Polarity": [[0, 1], [0], [0]],
        "Coverage": [0.4, 0.8, 0.4],
        "Overlaps": [0.4, 0.6, 0.4],
        "Conflicts": [0.2, 0.2, 0.0],
        "Correct": [1, 3, 2],
        "Incorrect": [1, 0, 0],
        "Emp. Acc.": [0.5, 1.0, 1.0],
        "Learned Weight": [0.7, 0.8, 0.9],
    }


def test_without_names_the_summary_counts_the_labeling_functions():
    summary = LFAnalysis(VOTES).lf_summary()
    assert summary.index.tolist() == [0, 1, 2]
    assert summary.columns.tolist() == ["Polarity", "Coverage", "Overlaps", "Conflicts"]


def test_names_come_from_the_functions_before_the_label_matrix():
    lfs = [LabelingFunction(name, lambda _: 0) for name in "xyz"]
    assert LFAnalysis(LabelMatrix(VOTES, 2), lfs).lf_summary().index.tolist() == ["x", "y", "z"]
    assert LFAnalysis(LabelMatrix(VOTES, 2)).lf_names == ("lf_0", "lf_1", "lf_2")


def test_weights_in_a_series_are_matched_by_name():
    weights = pd.Series({"c": 0.9, "a": 0.7, "b": 0.8})
    summary = LFAnalysis(LabelMatrix(VOTES, 2, None, ["a", "b", "c"])).lf_summary(est_weights=weights)
    assert summary["Learned Weight"].tolist() == [0.7, 0.8, 0.9]


@pytest.mark.parametrize(
    "votes",
    [
        np.full((4, 3), -1),
        np.zeros((4, 3), dtype=int),
        np.array([[0, -1, 1], [0, -1, 1]]),
        np.array([[0, 1, -1]]),
        np.zeros((0, 3), dtype=int),
        np.zeros((0, 0), dtype=int),
        np.zeros((3, 0), dtype=int),
        np.array([[127, 126, -1], [127, 127, -1]], dtype=np.int8),
        np.array([[200, 199, -1], [127, 128, -1]], dtype=np.int16),
        np.array([[300, -1], [44, 300]], dtype=np.int64),
        np.array([[1.0, -1.0], [0.0, 1.0]]),
        np.array([[200, 1], [0, 255]], dtype=np.uint8),
        np.asfortranarray(VOTES),
        VOTES[::-1, ::2],
    ],
    ids=str,
)
def test_hostile_matrices_are_counted_like_any_other(votes):
    frozen = votes.copy(order="K")
    frozen.flags.writeable = False
    assert statistics(LFAnalysis(frozen)) == naive_statistics(votes)
    summary = LFAnalysis(frozen).lf_summary(np.zeros(len(votes), dtype=int))
    assert len(summary) == votes.shape[1]
    assert np.array_equal(frozen, votes)


def test_a_label_matrix_is_analysed_like_its_array():
    assert statistics(LFAnalysis(LabelMatrix(VOTES, 7))) == statistics(LFAnalysis(VOTES))
    assert np.array_equal(LFAnalysis(VOTES.tolist()).L, VOTES)


def test_counts_alone_give_a_summary_but_no_accuracies():
    counts = LFAnalysis(VOTES).counts
    analysis = LFAnalysis.from_counts(counts, ["a", "b", "c"])
    expected = LFAnalysis(LabelMatrix(VOTES, 2, None, ["a", "b", "c"])).lf_summary()
    pd.testing.assert_frame_equal(analysis.lf_summary(), expected)
    with pytest.raises(LabelMatrixError, match=r"made from counts and has no votes; use LFAnalysis\(L\)"):
        analysis.lf_summary(GOLD)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LFAnalysis([[0, -2]]), "LF 'lf_1' votes -2 on example 0"),
        (lambda: LFAnalysis([[0, np.nan]]), "LF 'lf_1' votes nan on example 0"),
        (lambda: LFAnalysis([[0, np.inf]]), "LF 'lf_1' votes inf on example 0"),
        (lambda: LFAnalysis([[0, 0.5]]), "LF 'lf_1' votes 0.5 on example 0"),
        (lambda: LFAnalysis([[0, 10**6]]), "LF 'lf_1' votes 1000000 on example 0"),
        (lambda: LFAnalysis([["a"]]), "votes must be integers"),
        (lambda: LFAnalysis([0, 1]), r"must have shape \[n, m\], got 1 dimension"),
        (
            lambda: LFAnalysis(VOTES, []),
            "L has 3 columns, one per LF, but lfs has 0 LFs",
        ),
        (
            lambda: LFAnalysis.from_counts(LFAnalysis(VOTES).counts, ["a"]),
            r"L has 3 columns, one per LF, but lfs has 1 LFs",
        ),
        (lambda: LFAnalysis(VOTES).lf_summary([0, 1]), "there are 2 gold labels for 5 examples"),
        (lambda: LFAnalysis(VOTES).lf_summary([0, 1, 0, -2, 0]), "got -2 in row 3"),
        (lambda: LFAnalysis(VOTES).lf_summary([0, 1, 0, 0.5, 0]), "non-integer value: 0.5 in row 3"),
        (
            lambda: LFAnalysis(VOTES).lf_summary(["a"] * 5),
            r"gold labels must be integer labels .* <U1 of shape",
        ),
        (lambda: LFAnalysis(VOTES).lf_summary(None, [1, 2]), r"est_weights must have shape \[3\], got \[2\]"),
        (
            lambda: LFAnalysis(VOTES).lf_empirical_probs(GOLD, 1),
            "k=1, but there is a vote or a gold label 1;",
        ),
        (lambda: LFAnalysis(VOTES).lf_empirical_probs([0, 0, 0, 0, 5], 3), "vote or a gold label 5; classes"),
    ],
)
def test_bad_input_is_refused_with_what_was_found(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
