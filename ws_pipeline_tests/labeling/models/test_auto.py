"""AutoLabelModel: which model it takes, why, and that its labels are not worse than the vote."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ws_pipeline.errors import GoldClassesWarning, LabelMatrixError, NotFittedError, SettingsError
from ws_pipeline.labeling import (
    AutoLabelModel,
    DawidSkene,
    LiftDawidSkene,
    MajorityLabelVoter,
    synthetic_label_matrix,
)
from ws_pipeline.labeling.models import auto, choosing
from ws_pipeline.labeling.models.candidates import Candidate, Trial
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.kinds import TrainingVotes, fit_label_model
from ws_pipeline.labeling.models.lift_dawid_skene import find_discounts
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.settings.label_model import FitConfig, LiftDawidSkeneConfig
from ws_pipeline_tests.labeling.models.naive_lift import naive_lift_dawid_skene
from ws_pipeline_tests.real_data import load_real, needs_real_data

KINDS = ["lift_dawid_skene", "dawid_skene", "matrix_completion", "majority"]


def votes_and_gold(n=800, k=2, seed=0, accuracies=(0.6, 0.7, 0.75, 0.8, 0.9)):
    matrix, gold = synthetic_label_matrix(accuracies, 0.7, k, n, seed=seed)
    return np.array(matrix.votes), gold


def misleading_votes():
    """Votes that a label model turns around: the many agree with each other, the gold with the few."""
    rng = np.random.default_rng(0)
    gold = rng.integers(2, size=1000)
    votes = np.column_stack([np.where(rng.random(1000) < 0.9, gold, 1 - gold) for _ in range(5)])
    return votes, gold


def with_known(gold, n_known):
    return np.where(np.arange(len(gold)) < n_known, gold, -1)


def by_kind(model):
    return {candidate.kind: candidate for candidate in model.comparison_}


def test_without_gold_it_is_the_preferred_model():
    votes, _ = votes_and_gold()
    model = AutoLabelModel(2).fit(votes)
    expected = LiftDawidSkene(2).fit(votes).predict_proba(votes)
    np.testing.assert_array_equal(model.predict_proba(votes), expected)
    assert (model.kind_, model.reason_) == ("lift_dawid_skene", "there are no gold labels to choose by")
    assert [candidate.kind for candidate in model.comparison_] == KINDS
    for candidate in model.comparison_:
        assert candidate.n_gold == 0
        assert math.isnan(candidate.accuracy)
    assert by_kind(model)["majority"].agreement == 1


def test_what_contradicts_the_vote_is_counted():
    votes, _ = votes_and_gold()
    votes[0] = -1
    covered = votes[(votes >= 0).any(axis=1)]
    model = AutoLabelModel(2).fit(votes)
    labels = LiftDawidSkene(2).fit(votes).predict_proba(covered)
    tallies = np.stack([(covered == label).sum(axis=1) for label in range(2)], axis=1)
    chosen = labels.argmax(axis=1)
    agrees = tallies[np.arange(len(chosen)), chosen] == tallies.max(axis=1)
    found = by_kind(model)["lift_dawid_skene"]
    assert found.agreement == pytest.approx(np.mean(agrees))
    unanimous = (tallies > 0).sum(axis=1) == 1
    assert found.unanimous_contradicted == np.count_nonzero(unanimous & ~agrees)
    assert found.mean_confidence == pytest.approx(labels.max(axis=1).mean())


def test_sparse_patterns_are_counted_as_dense_ones():
    votes, gold = votes_and_gold()
    wide = np.hstack([votes, np.full((len(votes), 300), -1)])
    narrow, other = (
        by_kind(AutoLabelModel(2, KINDS[:1]).fit(table, gold))["lift_dawid_skene"] for table in (votes, wide)
    )
    assert other.unanimous_contradicted == narrow.unanimous_contradicted
    assert other.agreement == pytest.approx(narrow.agreement)


def test_no_example_judges_a_model_that_was_anchored_on_it():
    votes, gold = votes_and_gold(n=60)
    known = with_known(gold, 20)
    model = AutoLabelModel(2, ["lift_dawid_skene"]).fit(votes, known)
    rows = np.flatnonzero((known >= 0) & (votes >= 0).any(axis=1))
    order = rows[np.argsort(known[rows], kind="stable")]
    hits = []
    for fold in range(5):
        judged = order[fold::5]
        anchors = known.copy()
        anchors[judged] = -1
        intercept, weights, _ = naive_lift_dawid_skene(votes, 2, gold=anchors)
        for row in judged:
            voted = np.flatnonzero(votes[row] >= 0)
            scores = intercept + weights[voted, votes[row, voted]].sum(axis=0)
            hits.append(scores.argmax() == gold[row])
    found = by_kind(model)["lift_dawid_skene"]
    assert found.n_gold == len(rows)
    assert found.accuracy == pytest.approx(np.mean(hits))


def test_gold_labels_anchor_what_is_chosen():
    votes, gold = votes_and_gold()
    known = with_known(gold, 200)
    model = AutoLabelModel(2).fit(votes, known)
    expected = LiftDawidSkene(2).fit(votes, known).predict_proba(votes)
    np.testing.assert_array_equal(model.chosen_.predict_proba(votes), expected)
    assert "no other candidate is better beyond chance on" in model.reason_


def turned_around(_, L):
    votes = np.asarray(getattr(L, "votes", L))
    return 1 - MajorityLabelVoter(2).predict_proba(votes)


def test_a_model_that_is_worse_than_the_vote_is_not_published(monkeypatch):
    votes, gold = misleading_votes()
    monkeypatch.setattr(LiftDawidSkene, "predict_proba", turned_around)
    model = AutoLabelModel(2, ["lift_dawid_skene"]).fit(votes, with_known(gold, 100))
    assert model.kind_ == "majority"
    assert "lift_dawid_skene is worse than the plain vote on examples with gold labels: " in model.reason_
    np.testing.assert_array_equal(model.predict_proba(votes), MajorityLabelVoter(2).predict_proba(votes))
    assert by_kind(model)["lift_dawid_skene"].n_lost > 80


def test_another_model_is_taken_only_if_it_is_better_beyond_chance(monkeypatch):
    votes, gold = misleading_votes()
    monkeypatch.setattr(LiftDawidSkene, "predict_proba", turned_around)
    model = AutoLabelModel(2).fit(votes, with_known(gold, 100))
    assert model.kind_ in {"dawid_skene", "matrix_completion"}
    assert "on which lift_dawid_skene is wrong" in model.reason_
    few = AutoLabelModel(2).fit(votes, with_known(gold, 4))
    assert few.kind_ == "lift_dawid_skene"  # four examples may be chance


def test_a_candidate_that_cannot_be_fitted_is_named_and_left_out():
    votes, gold = votes_and_gold(accuracies=(0.8, 0.9))
    model = AutoLabelModel(2, ["matrix_completion", "lift_dawid_skene"]).fit(votes, gold)
    assert model.kind_ == "lift_dawid_skene"
    assert "at least 3 labeling functions, got 2" in by_kind(model)["matrix_completion"].note
    with pytest.raises(LabelMatrixError, match="at least 3 labeling functions, got 2"):
        AutoLabelModel(2, ["matrix_completion"]).fit(votes, gold)


def test_a_wrong_setting_of_a_candidate_is_an_error():
    votes, gold = votes_and_gold()
    settings = {"lift_dawid_skene": LiftDawidSkeneConfig(known_accuracy={"zz": 0.9})}
    with pytest.raises(SettingsError, match="known_accuracy: there is no LF 'zz'"):
        AutoLabelModel(2, settings=settings).fit(votes, gold)
    with pytest.raises(SettingsError, match=r"settings must be some of .*; got lift_dawid_skene: dict"):
        AutoLabelModel(2, settings={"lift_dawid_skene": {"gold_weight": 3}})
    with pytest.raises(SettingsError, match="got majority: "):
        AutoLabelModel(2, settings={"majority": FitConfig()})
    for kinds in (["dawid_skene", "dawid_skene"], ["dawid_skene", "majority"]):
        with pytest.raises(SettingsError, match="candidates must be different, and without majority"):
            AutoLabelModel(2, kinds)


def test_without_the_preferred_model_the_plain_vote_stands_in_for_it(monkeypatch):
    votes, gold = votes_and_gold(n=3000)

    def fail(*_, **__):
        message = "no luck"
        raise LabelMatrixError(message)

    monkeypatch.setattr(LiftDawidSkene, "fit_patterns", fail)
    model = AutoLabelModel(2).fit(votes)
    assert model.kind_ == "majority"
    said = "lift_dawid_skene could not be fitted (LabelMatrixError: no luck); there are no gold labels"
    assert model.reason_ == f"{said} to choose by"
    chosen = AutoLabelModel(2).fit(votes, gold)
    assert chosen.kind_ in {"dawid_skene", "matrix_completion"}
    assert "on which majority is wrong" in chosen.reason_


def test_gold_labels_of_one_class_do_not_anchor_choose_or_calibrate():
    votes, gold = votes_and_gold(n=3000, accuracies=(0.8, 0.7, 0.6, 0.75))
    known = np.where((gold == 0) & (np.cumsum(gold == 0) <= 300), 0, -1)
    said = r"none of the 300 gold labels is of the classes \[1\], which 5.* of the plain vote's labels are of"
    with pytest.warns(GoldClassesWarning, match=said):
        model = AutoLabelModel(2).fit(votes, known)
    assert model.kind_ == "lift_dawid_skene"
    assert "the gold labels lack classes that are voted for" in model.reason_
    assert model.calibration_ is None
    unanchored = LiftDawidSkene(2).fit(votes).predict_proba(votes)
    np.testing.assert_array_equal(model.predict_proba(votes), unanchored)
    few = AutoLabelModel(2).fit(votes, np.where(np.cumsum(known == 0) <= 4, known, -1))
    assert "no other candidate is better" in few.reason_  # may be chance


@pytest.mark.parametrize(
    ("n_known", "classes", "judges"), [(60, 50, True), (300, 50, True), (60, 1, False), (60, 10, False)]
)
def test_rare_classes_may_be_missing_by_chance(n_known, classes, judges):
    votes, gold = votes_and_gold(n=3000, k=50, accuracies=(0.8,) * 6)
    rows = GoldRows.read(
        votes, np.where((np.cumsum(gold < classes) <= n_known) & (gold < classes), gold, -1), 50
    )
    assert len(np.unique(rows.labels)) <= min(classes, 50)
    assert choosing.can_judge(TrainingVotes.of(votes, 50, 5).covered(), rows) == judges


@pytest.mark.parametrize("judges", [True, False])
def test_gold_that_cannot_judge_leaves_the_preferred_model(judges):
    gold = np.zeros(40, dtype=np.int64)
    rows = GoldRows(np.zeros((40, 1), dtype=np.int8), gold)
    worse, better = np.tile([0.1, 0.9], (40, 1)), np.tile([0.9, 0.1], (40, 1))
    trials = [
        Trial(Candidate(kind), MajorityLabelVoter(2), probs)
        for kind, probs in (("lift_dawid_skene", worse), ("dawid_skene", better))
    ]
    chosen, reason = choosing.choose(trials, trials[0], rows, judges=judges)
    assert chosen.report.kind == ("dawid_skene" if judges else "lift_dawid_skene")
    assert ("lack classes" in reason) == (not judges)


def test_patterns_are_votes_too():
    votes, _ = votes_and_gold()
    patterns = VotePatterns.from_votes(votes, 2)
    model, other = AutoLabelModel(2).fit(patterns), AutoLabelModel(2).fit(votes)
    assert model.comparison_ == other.comparison_ or repr(model.comparison_) == repr(other.comparison_)
    with pytest.raises(
        LabelMatrixError, match="gold labels belong to examples, which vote patterns do not know"
    ):
        AutoLabelModel(2).fit(patterns, [0, 1])


def test_the_plain_vote_alone_is_compared_with_nothing():
    votes, _ = votes_and_gold()
    assert [candidate.kind for candidate in AutoLabelModel(2, ["majority"]).fit(votes).comparison_] == [
        "majority"
    ]


def test_a_balance_from_gold_is_that_of_the_labels_that_a_model_is_anchored_on():
    votes, gold = votes_and_gold(n=60)
    rows = GoldRows.read(votes, with_known(gold, 30), 2)
    training = TrainingVotes(VotePatterns.from_votes(votes, 2), lambda: VoteCounts.from_votes(votes, 2))
    seen = []

    def spy(kind, votes, settings, **options):
        seen.append((kind, len(rows), options["class_balance"], options["gold"].class_counts))
        return fit_label_model(kind, votes, settings, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auto, "fit_label_model", spy)
        AutoLabelModel(2, ["lift_dawid_skene"]).fit_votes(training, rows, class_balance="from_gold")
    assert len(seen) == 6
    for _, _, balance, counts in seen:
        np.testing.assert_allclose(balance, (counts + 1) / (counts.sum() + 2))


def test_labels_that_are_not_finite_are_not_published(monkeypatch):
    votes, gold = votes_and_gold()
    monkeypatch.setattr(LiftDawidSkene, "predict_proba", lambda _, L: np.full((len(L), 2), np.nan))
    monkeypatch.setattr(DawidSkene, "predict_proba", lambda _, L: np.full((len(L), 2), np.nan))
    model = AutoLabelModel(2, ["lift_dawid_skene", "dawid_skene"]).fit(votes, gold)
    assert model.kind_ == "majority"
    assert model.reason_.startswith("lift_dawid_skene could not be fitted (WsPipelineError: the prob")
    assert "not finite" in by_kind(model)["lift_dawid_skene"].note


@pytest.mark.parametrize("n_known", [0, 1, 3, 50])
def test_a_file_keeps_all_of_it(n_known, tmp_path):
    votes, gold = votes_and_gold()
    model = AutoLabelModel(2).fit(votes, with_known(gold, n_known))
    model.save(tmp_path / "model")
    other = AutoLabelModel.from_file(tmp_path / "model")
    np.testing.assert_array_equal(other.predict_proba(votes), model.predict_proba(votes))
    assert (other.kind_, other.reason_, other.candidates) == (model.kind_, model.reason_, model.candidates)
    assert repr(other.comparison_) == repr(model.comparison_)
    other.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_the_same_votes_give_the_same_bytes(tmp_path):
    votes, gold = votes_and_gold()
    for name in ("one", "other"):
        AutoLabelModel(2).fit(votes, with_known(gold, 100)).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_known_balance_reaches_every_model():
    votes, gold = votes_and_gold()
    model = AutoLabelModel(2, ["lift_dawid_skene"]).fit(votes, gold, class_balance=[0.45, 0.55])
    assert model.chosen_.class_balance.tolist() == [0.45, 0.55]


def test_bad_input_is_refused():
    with pytest.raises(SettingsError, match=r"candidates must be some of majority, .*, got \['best'\]"):
        AutoLabelModel(2, ["best"])
    with pytest.raises(SettingsError, match=r"got \[\]"):
        AutoLabelModel(2, [])
    with pytest.raises(NotFittedError, match="this AutoLabelModel is not fitted yet"):
        AutoLabelModel(2).predict_proba([[0, 1]])
    with pytest.raises(LabelMatrixError, match="no votes at all"):
        AutoLabelModel(2).fit([[-1, -1]])
    with pytest.raises(LabelMatrixError, match="there are 1 gold labels for 2 examples"):
        AutoLabelModel(2).fit([[0, 1], [1, 1]], [0])
    with pytest.raises(LabelMatrixError, match="a gold label 2 in row 0"):
        AutoLabelModel(2).fit([[0, 1], [1, 1]], [2, 0])


@needs_real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["youtube", "trec", "census", "crowd_rte"])
@pytest.mark.parametrize("n_known", [0, 50, 500])
def test_on_real_votes_nothing_is_refused_or_worse_than_the_vote(name, n_known):
    data = load_real(name).covered("train")
    rng = np.random.default_rng(0)
    gold = np.full(len(data.gold), -1)
    known = rng.choice(len(gold), min(n_known, len(gold) // 2), replace=False)
    gold[known] = data.gold[known]
    model = AutoLabelModel(data.cardinality).fit(data.votes, gold)
    assert model.kind_ in auto.CANDIDATES
    unseen = np.where(gold < 0, data.gold, -1)
    assert model.compare_with_vote(data.votes, unseen).verdict != "worse"


def test_families_are_looked_for_once_for_all_fits(monkeypatch):
    found = []

    def count(patterns, alphabet):
        found.append(patterns)
        return find_discounts(patterns, alphabet)

    votes, gold = votes_and_gold()
    alone = AutoLabelModel(2).fit(votes, with_known(gold, 100))
    monkeypatch.setattr("ws_pipeline.labeling.models.kinds.find_discounts", count)
    monkeypatch.setattr("ws_pipeline.labeling.models.lift_dawid_skene.find_discounts", None)
    model = AutoLabelModel(2).fit(votes, with_known(gold, 100))
    assert len(found) == 1
    assert model.comparison_ == alone.comparison_
    np.testing.assert_array_equal(model.predict_proba(votes), alone.predict_proba(votes))
