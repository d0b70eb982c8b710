"""Votes that tell nothing, or little, of how accurate the LFs are: right labels, and the true cause."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ws_pipeline.errors import (
    CatchAllLFWarning,
    ConvergenceWarning,
    CopiedLFsWarning,
    DegenerateWeightsWarning,
    EvidenceWarning,
    FewVotersWarning,
    NoAgreementWarning,
    NoOverlapWarning,
    OneClassVotesWarning,
    SilentLFWarning,
    UnanimousVotesWarning,
    UnvotedClassWarning,
    WsPipelineWarning,
)
from ws_pipeline.labeling import LabelModel, MajorityLabelVoter, VoteCounts
from ws_pipeline.labeling.models import evidence
from ws_pipeline.labeling.models.evidence import assumed_mu, find_evidence

BALANCES = [None, [0.5, 0.5], [0.9, 0.1], [0.02, 0.98]]
CLAMPS = ["step", "final"]
N = 600


def fit(votes, k=2, **settings):
    """A fitted model, and the warnings by category."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = LabelModel(k, verbose=False).fit(votes, progress_bar=False, **settings)
    assert all(issubclass(warning.category, WsPipelineWarning) for warning in caught)
    return model, {warning.category: str(warning.message) for warning in caught}


def drawn(gold, accuracies, coverage, k=2, seed=0):
    """Votes of LFs with these accuracies, wrong votes spread evenly."""
    rng = np.random.default_rng(seed)
    shape = len(gold), len(accuracies)
    wrong = (gold[:, None] + rng.integers(1, k, shape)) % k
    votes = np.where(rng.random(shape) < accuracies, gold[:, None], wrong)
    return np.where(rng.random(shape) < coverage, votes, -1)


def random_gold(k=2, seed=1, n=N):
    return np.random.default_rng(seed).integers(0, k, n)


def agree_with_the_vote(model, votes):
    """Whether the labels are the vote's wherever it is decided."""
    vote = MajorityLabelVoter(model.cardinality).predict(votes)
    return np.array_equal(model.predict(votes)[vote >= 0], vote[vote >= 0])


# One class


@pytest.mark.parametrize("mu_clamp", CLAMPS)
@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("coverage", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("label", [0, 1])
def test_votes_for_one_class_give_that_class(label, coverage, balance, mu_clamp):
    votes = drawn(np.full(N, label), np.ones(4), coverage)
    model, told = fit(votes, class_balance=balance, mu_clamp=mu_clamp)
    covered = (votes >= 0).any(axis=1)
    assert model.predict(votes).tolist() == np.where(covered, label, -1).tolist()
    assert model.predict_proba(votes)[covered, label].min() > 0.69
    assert told[OneClassVotesWarning].startswith(
        f"all {(votes >= 0).sum()} votes are for class {label}: nobody ever disagrees"
    )
    assert f"every example with a vote gets class {label};" in told[OneClassVotesWarning]
    assert DegenerateWeightsWarning not in told


def test_votes_for_class_1_of_3_give_class_1():
    votes = drawn(np.ones(N, dtype=int), np.ones(5), 0.4)
    model, told = fit(votes, 3)
    covered = (votes >= 0).any(axis=1)
    assert set(model.predict(votes)[covered].tolist()) == {1}
    assert model.predict_proba(votes)[covered, 1].min() == pytest.approx(0.7)
    assert list(told) == [OneClassVotesWarning]


def test_a_model_of_nothing_took_no_steps_and_can_be_saved(tmp_path):
    model, _ = fit(np.zeros((50, 3), dtype=int))
    assert (model.history_, model.n_epochs_, model.converged_) == ([], 0, None)
    model.save(tmp_path / "model")
    assert np.array_equal(LabelModel.from_file(tmp_path / "model").mu, model.mu)


# No overlap, few voters


@pytest.mark.parametrize("mu_clamp", CLAMPS)
@pytest.mark.parametrize("balance", BALANCES)
def test_one_vote_per_example_is_taken_as_it_is(balance, mu_clamp):
    votes = drawn(random_gold(), np.full(4, 0.8), 1.0)
    votes[np.arange(4) != np.random.default_rng(2).integers(0, 4, (N, 1))] = -1
    model, told = fit(votes, class_balance=balance, mu_clamp=mu_clamp)
    assert model.predict(votes).tolist() == votes.max(axis=1).tolist()
    assert list(told) == [NoOverlapWarning]
    assert told[NoOverlapWarning] == (
        "no example has votes of two LFs (600 of 600 have a vote): how accurate an LF is can only be told "
        "from where others vote too; every vote is taken to be right with probability prec_init, as in the "
        "plain vote; add LFs that vote on the same examples"
    )


def test_the_assumed_precision_is_that_of_the_settings():
    votes = np.full((40, 3), -1)
    votes[np.arange(40), np.arange(40) % 3] = np.arange(40) % 2
    model, _ = fit(votes, prec_init=[0.6, 0.8, 0.9])
    found = model.predict_proba(votes).max(axis=1)
    assert found[:3] == pytest.approx([0.6, 0.8, 0.9])
    assert model.get_weights() == pytest.approx([0.6, 0.8, 0.9])


def test_one_lf_that_votes_alone_is_followed_and_all_causes_are_told():
    votes = np.full((N, 4), -1)
    votes[:, 0] = drawn(random_gold(), np.array([0.8]), 0.6)[:, 0]
    model, told = fit(votes)
    assert model.predict(votes).tolist() == votes[:, 0].tolist()
    assert list(told) == [SilentLFWarning, NoOverlapWarning]
    assert told[SilentLFWarning] == "these LFs never vote: lf_1, lf_2, lf_3"
    assert f"({(votes[:, 0] >= 0).sum()} of 600 have a vote)" in told[NoOverlapWarning]


@pytest.mark.parametrize("row", [[1, 1, 0, 1], [0, -1, -1, -1], [0, 0, -1, 1]])
@pytest.mark.parametrize("mu_clamp", CLAMPS)
def test_one_example_with_votes_gets_their_majority(row, mu_clamp):
    votes = np.full((1000, 4), -1)
    votes[5] = row
    model, told = fit(votes, mu_clamp=mu_clamp)
    assert agree_with_the_vote(model, votes)
    assert model.predict_proba(votes)[5].max() > 0.69
    found = "only 1 example has" if row.count(-1) < 3 else "no example has"
    assert told[NoOverlapWarning].startswith(f"{found} votes of two LFs (1 of 1000 have a vote)")


@pytest.mark.parametrize("balance", BALANCES)
def test_two_lfs_that_vote_are_the_plain_vote(balance):
    votes = np.full((N, 4), -1)
    votes[:, 1:3] = drawn(random_gold(), np.array([0.9, 0.6]), 0.6)
    model, told = fit(votes, class_balance=balance)
    assert agree_with_the_vote(model, votes)
    assert list(told) == [SilentLFWarning, FewVotersWarning]
    assert told[FewVotersWarning].startswith(
        "only 'lf_1', 'lf_2' vote where another LF votes too, of 4 LFs: with fewer than 3 it cannot be told"
    )


@pytest.mark.parametrize("mu_clamp", CLAMPS)
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("polarity", [[0], [1], [0, 1]])
def test_an_lf_that_votes_where_nobody_else_does_is_followed(mu_clamp, seed, polarity):
    gold = random_gold(seed=seed)
    alone = np.random.default_rng(seed).random(N) < 0.3
    votes = drawn(gold, np.full(6, 0.85), 0.8, seed=seed)
    votes[alone, :5] = votes[~alone, 5] = -1
    votes[~np.isin(votes[:, 5], polarity), 5] = -1
    model, told = fit(votes, mu_clamp=mu_clamp)
    heard = votes[:, 5] >= 0
    assert model.predict(votes)[heard].tolist() == votes[heard, 5].tolist()
    assert model.predict_proba(votes)[heard].max(axis=1) == pytest.approx(0.7)
    assert list(told) == [NoOverlapWarning]
    assert told[NoOverlapWarning] == (
        "'lf_5' never vote where another LF votes too: the votes do not tell how accurate they are; each of "
        "their votes is taken to be right with probability prec_init"
    )
    others, _ = fit(votes[:, :5], mu_clamp=mu_clamp)
    assert np.array_equal(model.mu[:10], others.mu)


# No agreement, copies


@pytest.mark.parametrize("mu_clamp", CLAMPS)
def test_lfs_that_always_disagree_leave_ties_undecided(mu_clamp):
    gold = random_gold()
    votes = np.stack([gold, 1 - gold, np.full(N, -1), np.full(N, -1)], axis=1)
    votes[::3] = votes[::3, [2, 3, 0, 1]]
    votes[::5] = [[1, -1, -1, -1]]
    model, told = fit(votes, mu_clamp=mu_clamp)
    tied = (votes >= 0).sum(axis=1) == 2
    assert set(model.predict(votes)[tied].tolist()) == {-1}
    assert agree_with_the_vote(model, votes)
    assert list(told) == [NoAgreementWarning]
    n_overlapping = ((votes >= 0).sum(axis=1) > 1).sum()
    assert told[NoAgreementWarning].startswith(
        f"no two LFs ever cast the same vote, on {n_overlapping} examples with votes of several: it cannot "
        "be told who is right;"
    )


@pytest.mark.parametrize("balance", BALANCES)
def test_copies_of_one_lf_are_that_lf(balance):
    votes = np.repeat(drawn(random_gold(), np.array([0.8]), 0.7), 4, axis=1)
    model, told = fit(votes, class_balance=balance)
    assert model.predict(votes).tolist() == votes[:, 0].tolist()
    assert list(told) == [CopiedLFsWarning]
    assert told[CopiedLFsWarning].startswith(
        "'lf_0', 'lf_1', 'lf_2', 'lf_3' cast the same votes on every example, as copies of one LF do: their "
        "agreement does not tell how accurate they are;"
    )


def test_copies_among_other_lfs_are_named_in_groups():
    gold = random_gold()
    others = drawn(gold, np.full(3, 0.8), 1.0)
    copied = drawn(gold, np.full(2, 0.6), 0.9, seed=5)
    votes = np.column_stack([copied[:, 0], others, copied[:, [1, 0, 1, 0]]])
    _, told = fit(votes)
    assert list(told) == [CopiedLFsWarning]
    assert told[CopiedLFsWarning].startswith(
        "these LFs cast the same votes on every example: lf_0 = lf_5 = lf_7; lf_4 = lf_6; the model takes"
    )


@pytest.mark.parametrize("n_shared", [9, 99])
def test_few_equal_votes_may_be_chance(n_shared):
    gold = random_gold()
    votes = drawn(gold, np.full(5, 0.8), 0.9)
    votes[n_shared:, :2] = -1
    votes[:n_shared, 0] = votes[:n_shared, 1] = gold[:n_shared] if n_shared > 9 else 1
    assert fit(votes)[1] == {}
    votes[n_shared, :2] = votes[n_shared, 2] = gold[n_shared] if n_shared > 9 else 1
    assert list(fit(votes)[1]) == [CopiedLFsWarning]


def test_equal_sums_of_votes_are_no_copies():
    gold = random_gold()
    votes = drawn(gold, np.full(4, 0.8), 1.0)
    votes[:, 1] = np.roll(votes[:, 0], 1)
    assert fit(votes)[1] == {}


def test_many_parts_of_the_pairs_find_the_same(monkeypatch):
    votes = np.repeat(drawn(random_gold(3), np.full(3, 0.6), 0.9, k=3), 2, axis=1)
    counts = VoteCounts.from_votes(votes, 3)
    whole = evidence._groups_of_copies(counts)
    assert whole == [[0, 1], [2, 3], [4, 5]]
    small = evidence._agreements
    monkeypatch.setattr(evidence, "_agreements", lambda counts: small(counts, 3))
    assert evidence._groups_of_copies(counts) == whole


# Unanimity


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("mu_clamp", CLAMPS)
def test_lfs_that_never_disagree_are_followed_without_a_warning(k, share, mu_clamp):
    gold = np.where(np.random.default_rng(3).random(N) < share, random_gold(k), 0)
    votes = drawn(gold, np.ones(5), 0.5, k=k)
    model, told = fit(votes, k, mu_clamp=mu_clamp)
    assert agree_with_the_vote(model, votes)
    assert told == {}


@pytest.mark.parametrize("balance", [[0.99, 0.01], [0.01, 0.99]])
def test_a_fit_that_contradicts_unanimous_votes_is_replaced_by_them(balance):
    votes = drawn(random_gold(), np.ones(5), 0.5)
    model, told = fit(votes, class_balance=balance)
    assert agree_with_the_vote(model, votes)
    assert list(told) == [UnanimousVotesWarning]
    assert told[UnanimousVotesWarning].startswith(
        "the LFs never disagree, but the fit takes votes of 'lf_0', "
    )


# A class without votes


@pytest.mark.parametrize("mu_clamp", CLAMPS)
def test_a_class_without_votes_is_named_and_never_predicted(mu_clamp):
    votes = drawn(random_gold(), np.full(5, 0.7), 0.6)
    model, told = fit(votes, 4, mu_clamp=mu_clamp)
    assert list(told) == [UnvotedClassWarning]
    assert told[UnvotedClassWarning].startswith("no LF ever votes for class(es) [2, 3]: what the model says")
    assert set(model.predict(votes).tolist()) <= {-1, 0, 1}
    assert agree_with_the_vote(model, votes)


# Catch-all LFs


def catch_alls(share=0.2, n_catch_alls=2, seed=0):
    """Catch-alls that vote 0 on 95 % of the examples, beside LFs that vote 1 where they see it; and gold."""
    rng = np.random.default_rng(seed)
    gold = (rng.random(1000) < share).astype(int)
    seen = drawn(gold, np.full(4, 0.8), 0.4, seed=seed)
    seen[seen == 0] = -1
    always = np.where(rng.random((1000, n_catch_alls)) < 0.95, 0, -1)
    return np.column_stack([always, seen]), gold


def accuracy(model, votes, gold):
    return model.score(votes, gold, tie_break_policy="random")["accuracy"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_catch_alls_that_lead_the_fit_astray_are_named_with_a_remedy_that_helps(seed):
    votes, gold = catch_alls(seed=seed)
    step, told = fit(votes)
    vote = accuracy(MajorityLabelVoter(), votes, gold)
    assert accuracy(step, votes, gold) < vote - 0.3
    assert list(told) == [CatchAllLFWarning]
    assert told[CatchAllLFWarning] == (
        "on more than 90% of the examples class 0 gets a vote of 'lf_0', 'lf_1', 100% of all votes for it; "
        "with mu clamped at each step the fit takes these for no evidence of class 0, so that the labels may "
        "be far worse than the plain vote: pass mu_clamp='final', or give the class_balance if it is known; "
        "compare them with MajorityLabelVoter's"
    )
    given, told = fit(votes, class_balance=[0.8, 0.2])
    assert accuracy(given, votes, gold) > vote - 0.05
    assert told == {}
    final, told = fit(votes, mu_clamp="final")
    assert accuracy(final, votes, gold) > vote - 0.05
    assert np.count_nonzero(final.predict(votes) == 1) == 0
    assert "100% of all votes for it; the fit takes all votes for class 1 for" in told[CatchAllLFWarning]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_catch_alls_that_turn_all_votes_for_another_class_are_named(seed):
    rng = np.random.default_rng(seed)
    gold = (rng.random(1000) < 0.45).astype(int)
    always = np.where(rng.random((1000, 2)) < np.where(gold == 0, 0.97, 0.95)[:, None], 0, -1)
    able = drawn(gold, np.full(2, 0.85), 0.3, seed=seed + 50)
    sure = np.where(rng.random((1000, 2)) < np.where(gold == 1, 0.5, 0.03)[:, None], 1, -1)
    votes = np.column_stack([always, able, sure])
    step, told = fit(votes)
    vote = accuracy(MajorityLabelVoter(), votes, gold)
    assert accuracy(step, votes, gold) < vote - 0.1
    assert np.count_nonzero(step.predict(votes) == 1) == 0
    assert list(told) == [CatchAllLFWarning]
    assert "a vote of 'lf_0', 'lf_1', " in told[CatchAllLFWarning]
    assert (
        "with mu clamped at each step the fit takes all votes for class 1 for no evidence of it, so that the "
        "labels may be far worse than the plain vote: pass mu_clamp='final'"
    ) in told[CatchAllLFWarning]
    final, told = fit(votes, mu_clamp="final")
    assert accuracy(final, votes, gold) > vote
    assert told == {}


def test_leaving_a_catch_all_out_is_a_remedy_only_where_others_vote_for_its_class():
    gold = random_gold()
    votes = drawn(gold, np.full(5, 0.75), 0.5)
    votes[:, 0] = 0
    _, told = fit(votes)
    assert list(told) == [CatchAllLFWarning]
    assert told[CatchAllLFWarning].endswith(
        "if it is known, or leave these LFs out; compare them with MajorityLabelVoter's"
    )
    model, told = fit(votes[:, 1:])
    assert accuracy(model, votes[:, 1:], gold) > accuracy(MajorityLabelVoter(), votes, gold)
    assert told == {}


def test_a_catch_all_that_does_no_harm_is_not_warned_of():
    gold = random_gold()
    votes = drawn(gold, np.full(6, 0.8), 0.6)
    votes[:, 0] = np.where(np.random.default_rng(4).random(N) < 0.95, 0, -1)
    model, told = fit(votes)
    assert told == {}
    assert accuracy(model, votes, gold) > accuracy(MajorityLabelVoter(), votes, gold)


# The assumed parameters


@pytest.mark.parametrize("k", [2, 3, 10])
@pytest.mark.parametrize("precision", [0.05, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("mu_eps", [1e-5, 0.01, 0.2])
def test_the_assumed_parameters_are_the_plain_vote_whatever_the_balance(k, precision, mu_eps):
    rng = np.random.default_rng(0)
    votes = rng.integers(-1, k, (200, 5))
    balance = rng.dirichlet(np.ones(k)) * 0.5 + 0.5 / k
    rates = (votes[:, :, None] == np.arange(k)).mean(axis=0)
    model = LabelModel(k)
    model.mu = assumed_mu(rates, np.full(5, precision), balance, mu_eps=mu_eps)
    model.class_balance, model.lf_names = balance, tuple(f"lf_{i}" for i in range(5))
    assert model.mu.min() >= mu_eps
    assert model.mu.max() <= 1 - mu_eps
    if mu_eps < 0.2:  # a factor of (1 - mu_eps) / mu_eps at most may be less than the balance takes
        assert agree_with_the_vote(model, votes)


def test_an_assumed_precision_is_the_probability_of_a_vote():
    mu = assumed_mu(np.full((1, 4), 0.1), np.array([0.6]), np.full(4, 0.25), mu_eps=1e-3).reshape(4, 4)
    posterior = mu / mu.sum(axis=1, keepdims=True)
    assert np.diagonal(posterior) == pytest.approx(0.6)
    assert mu @ np.full(4, 0.25) == pytest.approx(0.1)  # the rates that were seen


# What is said of ordinary votes, and of other faults


@pytest.mark.parametrize("k", [2, 4])
def test_ordinary_votes_raise_no_warning(k):
    votes = drawn(random_gold(k), np.linspace(0.5, 0.9, 6), 0.6, k=k)
    assert fit(votes, k)[1] == {}
    found = find_evidence(VoteCounts.from_votes(votes, k))
    assert found.learnable.all()
    assert found.causes == []


def test_the_kinds_of_missing_evidence_can_be_caught_at_once():
    kinds = {OneClassVotesWarning, NoOverlapWarning, FewVotersWarning, NoAgreementWarning}
    assert {*kinds, UnanimousVotesWarning, CopiedLFsWarning} == set(EvidenceWarning.__subclasses__())


def test_the_warnings_point_at_the_call_of_fit():
    with pytest.warns(OneClassVotesWarning) as caught:
        LabelModel(2, verbose=False).fit(np.zeros((5, 3), dtype=int), progress_bar=False)
    assert [warning.filename for warning in caught] == [__file__]


def test_too_few_epochs_for_tol_are_told_as_such():
    votes = drawn(random_gold(), np.linspace(0.5, 0.9, 6), 0.6)
    model, told = fit(votes, n_epochs=10, tol=1e-3)
    assert model.converged_ is False
    assert told[ConvergenceWarning] == (
        "tol compares losses over 10 epochs, so that 10 epochs are too few to tell whether the loss has "
        f"settled (loss {model.history_[-1].loss:.4g}); raise n_epochs, or leave tol out"
    )


def test_a_high_clamp_is_blamed_only_where_it_is_high_for_these_votes():
    sparse_votes = drawn(random_gold(n=3000), np.linspace(0.55, 0.9, 30), 0.02)
    _, told = fit(sparse_votes, mu_eps=0.3)
    assert list(told) == [DegenerateWeightsWarning]
    assert (
        "mu_eps=0.3 is likely too high for these votes, since a typical LF votes for a class on a share "
        in (told[DegenerateWeightsWarning])
    )
