"""The same numbers as Snorkel 0.10 on random label matrices, where the two are meant to agree.

Snorkel clamps mu once, after the last step, which is ``mu_clamp="final"`` here.  It computes in
single precision: mu is off by up to 3e-7 then, and where mu is as small as 1e-4, probabilities by up
to 2e-5.  So it is also run in double precision, where the two agree to nine digits and more.
"""

from __future__ import annotations

import copy
import warnings
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from ws_pipeline.errors import SilentLFWarning
from ws_pipeline.labeling import LabelModel, MajorityLabelVoter
from ws_pipeline.labeling.models.matrix_completion import default_mu_eps

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    snorkel_model = pytest.importorskip("snorkel.labeling.model", reason="Snorkel is not installed")

N_CASES = 60
ALL_CASES = pytest.mark.parametrize("case", range(N_CASES))
TOLERANCE = 1e-5


class Case(NamedTuple):
    """One random label matrix and the class balance to fit with, None for the default."""

    votes: np.ndarray
    cardinality: int
    class_balance: list[float] | None


class Fits(NamedTuple):
    """The models of one case: Snorkel's in either precision, and ours with either time of clamping."""

    theirs: Any
    theirs_double: Any
    final: LabelModel
    step: LabelModel


@cache
def make_case(seed: int) -> Case:
    """Votes that know the class more or less well, or not at all; every second case has a prior."""
    rng = np.random.default_rng(seed)
    k, m = int(rng.integers(2, 7)), int(rng.integers(3, 41))
    n = {0: 10_000, 1: 30}.get(seed % 12, round(10 ** rng.uniform(np.log10(30), 4)))
    coverage = rng.uniform(0.05, 1, m) if seed % 3 else np.full(m, [0.05, 0.3, 1.0][seed // 3 % 3])
    balance = rng.dirichlet(np.full(k, 5.0)) if seed % 2 else None
    labels = rng.choice(k, n, p=balance)
    accurate = rng.random((n, m)) < rng.uniform(0, 0.95, m)
    votes = np.where(accurate, labels[:, None], rng.integers(0, k, (n, m)))
    votes[rng.random((n, m)) >= coverage] = -1
    return Case(votes, k, None if balance is None else balance.tolist())


def make_mistaken_case(seed: int) -> Case:
    """Votes of LFs that take one class for another, so that the classes may come out in another order."""
    rng = np.random.default_rng(seed)
    k, m, n = int(rng.integers(2, 5)), int(rng.integers(3, 8)), int(rng.integers(30, 300))
    labels, shift = rng.integers(0, k, n), rng.integers(0, k, m)
    sure = rng.random((n, m)) < 0.9
    return Case(np.where(sure, (labels[:, None] + shift) % k, rng.integers(0, k, (n, m))), k, None)


def fit_theirs(case: Case, **settings: Any) -> Any:
    model = snorkel_model.LabelModel(cardinality=case.cardinality, verbose=False)
    model.fit(case.votes, class_balance=case.class_balance, progress_bar=False, **settings)
    return model


def fit_theirs_double(case: Case, **settings: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            return fit_theirs(case, **settings)
        finally:
            torch.set_default_dtype(torch.float32)


def fit_ours(case: Case, **settings: Any) -> LabelModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SilentLFWarning)
        return LabelModel(case.cardinality, verbose=False).fit(
            case.votes, class_balance=case.class_balance, progress_bar=False, **settings
        )


@cache
def fits(seed: int) -> Fits:
    case = make_case(seed)
    return Fits(
        theirs=fit_theirs(case, seed=seed),
        theirs_double=fit_theirs_double(case, seed=seed),
        final=fit_ours(case, seed=seed, mu_clamp="final"),
        step=fit_ours(case, seed=seed),
    )


def their_mu(model: Any) -> np.ndarray:
    return model.mu.detach().numpy()


def largest_difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left - right).max())


def snorkels_own_rounding(seed: int) -> float:
    """How far Snorkel in single precision is from itself in double precision, on examples with votes."""
    models, votes = fits(seed), make_case(seed).votes
    covered = votes[(votes != -1).any(axis=1)]
    return largest_difference(
        models.theirs.predict_proba(covered), models.theirs_double.predict_proba(covered)
    )


def test_the_cases_reach_the_ends_of_their_ranges():
    cases = [make_case(seed) for seed in range(N_CASES)]
    coverages = [np.mean(case.votes != -1) for case in cases]
    assert {len(case.votes) for case in cases} >= {30, 10_000}
    assert {case.cardinality for case in cases} == {2, 3, 4, 5, 6}
    assert min(case.votes.shape[1] for case in cases) == 3
    assert max(case.votes.shape[1] for case in cases) >= 39
    assert min(coverages) < 0.06
    assert max(coverages) == 1
    assert sum(case.class_balance is None for case in cases) == N_CASES / 2


@ALL_CASES
def test_mu_clamped_at_the_end_is_snorkels(case):
    models = fits(case)
    assert largest_difference(models.final.mu, their_mu(models.theirs)) <= TOLERANCE


@ALL_CASES
def test_mu_is_that_of_snorkel_in_double_precision_to_nine_digits(case):
    models = fits(case)
    assert largest_difference(models.final.mu, their_mu(models.theirs_double)) <= 1e-9


@ALL_CASES
def test_probabilistic_labels_are_snorkels_where_there_are_votes(case):
    models, votes = fits(case), make_case(case).votes
    covered = votes[(votes != -1).any(axis=1)]
    ours = models.final.predict_proba(covered)
    assert largest_difference(ours, models.theirs_double.predict_proba(covered)) <= 1e-9
    # where Snorkel's single precision alone moves its labels further, no more than that
    bound = max(TOLERANCE, snorkels_own_rounding(case) + 1e-9)
    assert largest_difference(ours, models.theirs.predict_proba(covered)) <= bound


def test_snorkels_own_rounding_stays_below_the_tolerance_in_all_but_a_few_cases():
    assert sum(snorkels_own_rounding(case) <= TOLERANCE for case in range(N_CASES)) >= 55
    assert max(snorkels_own_rounding(case) for case in range(N_CASES)) <= 2e-5


@ALL_CASES
def test_with_snorkels_own_mu_the_probabilistic_labels_are_snorkels(case):
    models, votes = fits(case), make_case(case).votes
    covered = votes[(votes != -1).any(axis=1)]
    ours = copy.copy(models.final)
    ours.mu = their_mu(models.theirs).astype(np.float64)
    assert largest_difference(ours.predict_proba(covered), models.theirs.predict_proba(covered)) <= TOLERANCE


@ALL_CASES
def test_weights_are_snorkels_for_lfs_that_vote(case):
    models = fits(case)
    voting = (make_case(case).votes != -1).any(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        theirs = models.theirs.get_weights()
    assert largest_difference(models.final.get_weights()[voting], theirs[voting]) <= TOLERANCE


@ALL_CASES
def test_conditional_probabilities_are_snorkels(case):
    models = fits(case)
    theirs = np.maximum(models.theirs.get_conditional_probs(), models.final.mu_eps_)
    assert largest_difference(models.final.get_conditional_probs(), theirs) <= TOLERANCE


@ALL_CASES
def test_mu_clamped_at_every_step_stays_in_its_bounds(case):
    mu, mu_eps = fits(case).step.mu, default_mu_eps(len(make_case(case).votes))
    assert mu.min() >= mu_eps
    assert mu.max() <= 1 - mu_eps


def test_clamping_at_every_step_gives_another_mu_wherever_the_clamp_is_at_work():
    differences = [
        largest_difference(fits(seed).step.mu, their_mu(fits(seed).theirs)) for seed in range(N_CASES)
    ]
    assert np.mean(np.array(differences) > 1e-3) > 0.5
    assert max(differences) > 0.1


@pytest.mark.parametrize("seed", [102, 123, 184, 315])
def test_classes_that_come_out_in_another_order_are_ordered_as_snorkel_orders_them(seed, monkeypatch):
    case = make_mistaken_case(seed)
    ours, theirs = fit_ours(case, seed=seed, mu_clamp="final"), fit_theirs(case, seed=seed)
    assert largest_difference(ours.mu, their_mu(theirs)) <= TOLERANCE
    monkeypatch.setattr("ws_pipeline.labeling.models.estimation.align_columns", lambda mu, _: mu)
    assert largest_difference(fit_ours(case, seed=seed, mu_clamp="final").mu, ours.mu) > 0.01


def test_another_seed_gives_another_mu():
    case = make_case(7)
    assert (
        largest_difference(fit_ours(case, seed=8, mu_clamp="final").mu, their_mu(fits(7).theirs)) > TOLERANCE
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"n_epochs": 37},
        {"lr": 0.002},
        {"optimizer": "adam"},
        {"optimizer": "adamax", "lr": 0.003},
        {"lr_scheduler": "linear"},
        {"lr_scheduler": "exponential"},
        {"lr_scheduler": "step"},
        {"prec_init": 0.9},
        {"mu_eps": 0.03},
    ],
    ids=str,
)
@pytest.mark.parametrize("case", [5, 16])
def test_settings_mean_what_they_mean_to_snorkel(case, settings):
    ours = fit_ours(make_case(case), seed=1, mu_clamp="final", **settings)
    theirs = fit_theirs(make_case(case), seed=1, **settings)
    assert largest_difference(ours.mu, their_mu(theirs)) <= TOLERANCE
    assert largest_difference(ours.mu, fits(case).final.mu) > 10 * TOLERANCE


@pytest.mark.parametrize("kind", [list, np.array])
def test_one_initial_precision_per_lf_means_what_it_means_to_snorkel(kind):
    case = make_case(5)
    precisions = kind(np.linspace(0.5, 0.9, case.votes.shape[1]).tolist())
    ours = fit_ours(case, seed=1, mu_clamp="final", prec_init=precisions)
    assert largest_difference(ours.mu, their_mu(fit_theirs(case, seed=1, prec_init=precisions))) <= TOLERANCE


def test_gold_labels_give_the_class_balance_they_give_snorkel():
    case = make_case(16)
    gold = np.random.default_rng(0).integers(0, case.cardinality, 50)
    ours = fit_ours(case, seed=1, mu_clamp="final", Y_dev=gold)
    theirs = fit_theirs(case, seed=1, Y_dev=gold)
    assert largest_difference(ours.class_balance, theirs.p) <= 1e-12
    assert largest_difference(ours.mu, their_mu(theirs)) <= TOLERANCE


@pytest.mark.parametrize("seed", range(8))
def test_the_majority_vote_is_snorkels(seed):
    case = make_case(seed)
    votes = case.votes[:200]
    ours, theirs = MajorityLabelVoter(case.cardinality), snorkel_model.MajorityLabelVoter(case.cardinality)
    assert ours.predict_proba(votes).tolist() == theirs.predict_proba(votes).tolist()
    assert ours.predict(votes).tolist() == theirs.predict(votes).tolist()
