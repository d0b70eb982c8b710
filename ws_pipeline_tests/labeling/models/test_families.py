"""Families of LFs: how alike they are, what they are worth, and which carry the panel."""

from __future__ import annotations

import numpy as np
import pytest

from ws_pipeline.errors import TooLargeError
from ws_pipeline.labeling import LiftDawidSkene, MajorityLabelVoter, VotePatterns
from ws_pipeline.labeling.models import families
from ws_pipeline.labeling.models.families import discounts, similarities
from ws_pipeline.labeling.models.family_report import find_families
from ws_pipeline_tests.labeling.models.naive_lift import naive_discounts
from ws_pipeline_tests.labeling.models.test_lift_dawid_skene import CASES, copied_votes, panel_votes


def patterns_of(votes):
    return VotePatterns.from_votes(votes, int(votes.max()) + 1).covered()


@pytest.mark.parametrize("case", CASES)
def test_discounts_are_those_of_plain_loops(case):
    votes, _ = CASES[case]()
    patterns = patterns_of(votes)
    expected = naive_discounts(votes[(votes >= 0).any(axis=1)], patterns.cardinality)
    np.testing.assert_allclose(discounts(patterns, patterns.class_counts), expected)


@pytest.mark.parametrize("width", [0, 300])
def test_copies_have_similarity_one_and_independent_sources_none(width):
    votes, _ = panel_votes(n=4000, accuracies=(0.34, 0.34, 0.34), k=3, coverage=1.0)
    votes = np.column_stack([votes, votes[:, 0], np.full((len(votes), width), -1)])
    found = similarities(patterns_of(votes))
    assert found[0, 3] == found[3, 0] == 1
    assert found[0, 1] < 0.1
    assert not found.diagonal().any()
    assert not found[4:].any()


def test_a_few_votes_in_common_are_no_family():
    votes = np.full((99, 2), 0)
    votes[::2] = 1
    assert similarities(patterns_of(votes))[0, 1] == 0
    assert similarities(patterns_of(np.vstack([votes, votes])))[0, 1] == 1


def test_many_patterns_are_sampled_always_in_the_same_way(monkeypatch):
    votes, _ = panel_votes(n=3000, accuracies=(0.6,) * 10, k=3, coverage=0.7)
    patterns = patterns_of(np.column_stack([votes, votes[:, 0]]))
    whole = similarities(patterns)
    monkeypatch.setattr(families, "_SAMPLED", 500)
    sampled = similarities(patterns)
    assert np.array_equal(sampled, similarities(patterns))
    assert sampled[0, 10] == 1
    np.testing.assert_allclose(sampled, whole, atol=0.15)


def test_comparing_more_sources_than_fit_into_memory_is_refused(monkeypatch):
    votes, _ = panel_votes(n=500, accuracies=(0.6,) * 4, k=2, coverage=0.7)
    patterns = patterns_of(votes)
    monkeypatch.setattr(families, "_SQUARES", 10**15)
    with pytest.raises(
        TooLargeError, match=r"comparing 4 labeling functions with each other needs .* vote little"
    ):
        discounts(patterns, patterns.class_counts)


def rows_of(report):
    return {row["lf"]: row for row in report.table.to_pylist()}


@pytest.mark.parametrize("model", [LiftDawidSkene(2), MajorityLabelVoter(2)])
def test_copies_are_one_family_and_one_of_them_carries(model):
    votes, _ = copied_votes(n_copies=2, flipped=0.02)
    if isinstance(model, LiftDawidSkene):
        model = model.fit(votes)
    found = find_families(model, patterns_of(votes))
    rows = rows_of(found)
    family = [rows[f"lf_{lf}"]["family"] for lf in range(7)]
    assert family[0] is not None
    assert family[0] == family[1] == family[2]
    assert rows["lf_0"]["n_members"] >= 3
    assert rows["lf_0"]["strength"] > 0.8
    assert rows["lf_0"]["near_copies"] == ["lf_1", "lf_2"]
    assert rows["lf_2"]["near_copies"] == []


def test_a_family_is_worth_less_than_its_members():
    votes, _ = copied_votes(n_copies=2, flipped=0.02)
    model = LiftDawidSkene(2).fit(votes)
    found = find_families(model, patterns_of(votes))
    assert found.n_voting == 7
    assert found.effective_number == pytest.approx(7 / model.inflation)
    assert 3 < found.effective_number < 6
    assert len(found.carriers) == round(found.effective_number)
    assert set(found.carriers) <= {"lf_3", "lf_4", "lf_5", "lf_6"}


def test_independent_sources_are_no_family():
    votes, _ = panel_votes(n=4000, accuracies=(0.7,) * 6, k=2, coverage=0.8)
    found = find_families(LiftDawidSkene(2).fit(votes), patterns_of(votes))
    assert found.table["family"].null_count == 6
    assert found.effective_number == pytest.approx(6, abs=0.3)
    assert len(found.carriers) == 6


def test_the_information_is_the_mutual_information_of_vote_and_class():
    rng = np.random.default_rng(0)
    votes = np.where(rng.random((2000, 3)) < 0.6, rng.integers(2, size=(2000, 3)), -1)
    model = LiftDawidSkene(2).fit(votes, temperature=False)
    covered = votes[(votes >= 0).any(axis=1)]
    probs = model.predict_proba(covered)
    found = rows_of(find_families(model, patterns_of(votes)))
    for lf in range(3):
        both = np.array([[probs[covered[:, lf] == vote, y].sum() for y in (0, 1)] for vote in (-1, 0, 1)])
        both /= both.sum()
        apart = both.sum(axis=1, keepdims=True) * both.sum(axis=0)
        assert found[f"lf_{lf}"]["information"] == pytest.approx((both * np.log(both / apart)).sum())


def test_sparse_patterns_have_the_same_families():
    votes, _ = copied_votes(n_copies=2)
    wide = np.column_stack([votes, np.full((len(votes), 300), -1)])
    narrow = find_families(LiftDawidSkene(2).fit(votes), patterns_of(votes))
    other = find_families(LiftDawidSkene(2).fit(wide), patterns_of(wide))
    assert other.n_voting == narrow.n_voting
    assert other.effective_number == pytest.approx(narrow.effective_number)
    assert other.table["family"].to_pylist()[:7] == narrow.table["family"].to_pylist()
    assert other.carriers == narrow.carriers


def test_one_source_alone_is_no_family():
    votes = np.array([[0], [1], [-1], [1]])
    found = find_families(MajorityLabelVoter(2), patterns_of(votes))
    assert rows_of(found)["lf_0"]["family"] is None
    assert found.carriers == ["lf_0"]
