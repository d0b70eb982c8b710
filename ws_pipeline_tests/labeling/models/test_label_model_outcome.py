"""How a fit ends: converged or not, diverged, degenerate; and what it leaves behind."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ws_pipeline.errors import ConvergenceWarning, DegenerateWeightsWarning, SettingsError, TrainingError
from ws_pipeline.labeling import FitConfig, LabelModel, VoteCounts


def votes(n=2000, m=8, k=2, coverage=0.7, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, (n, 1))
    drawn = np.where(rng.random((n, m)) < np.linspace(0.55, 0.9, m), truth, rng.integers(0, k, (n, m)))
    return np.where(rng.random((n, m)) < coverage, drawn, -1)


def fit(L, **settings):
    return LabelModel(2, verbose=False).fit(L, progress_bar=False, **settings)


def test_without_tol_a_fit_takes_exactly_its_epochs():
    model = fit(votes(), n_epochs=37)
    assert model.n_epochs_ == len(model.history_) == 37
    assert model.converged_ is None


def test_with_tol_a_fit_stops_when_the_loss_has_settled():
    model = fit(votes(), n_epochs=5000, tol=1e-6)
    assert model.converged_ is True
    assert 10 < model.n_epochs_ < 5000
    losses = [record.loss for record in model.history_]
    assert min(losses[:-10]) - min(losses[-10:]) <= 1e-6 * losses[0]
    assert min(losses[:-11]) - min(losses[-11:-1]) > 1e-6 * losses[0]


def test_a_fit_that_runs_out_of_epochs_warns_and_says_what_to_do():
    with pytest.warns(ConvergenceWarning, match=r"still decreasing after 12 epochs .* raise n_epochs or tol"):
        model = fit(votes(), n_epochs=12, tol=1e-9)
    assert model.converged_ is False


def test_convergence_survives_saving(tmp_path):
    fit(votes(), n_epochs=5000, tol=1e-6).save(tmp_path / "model")
    assert LabelModel.from_file(tmp_path / "model").converged_ is True


def test_the_loss_never_rises_at_a_small_learning_rate():
    model = fit(votes(), lr=1e-4, n_epochs=300)
    losses = np.array([record.loss for record in model.history_])
    assert np.all(np.diff(losses) <= 1e-12)


def test_a_diverging_loss_stops_and_names_the_epoch_and_the_remedy():
    with pytest.raises(TrainingError, match=r"Loss diverges\. Consider reducing learning rate.*\(epoch 1: "):
        fit(votes(m=20), lr=3.0, mu_clamp="final")


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    model = fit(votes())
    before = model.mu.copy()
    with pytest.raises(TrainingError):
        model.fit(votes(m=20), progress_bar=False, lr=3.0, mu_clamp="final")
    assert np.array_equal(model.mu, before)


def test_equal_weights_at_the_clamp_are_degenerate():
    sparse_votes = votes(n=3000, m=30, coverage=0.02)
    with pytest.warns(DegenerateWeightsWarning, match=r"mu_eps=0\.3 is likely too high"):
        fit(sparse_votes, mu_eps=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(sparse_votes)


def test_the_centred_l2_term_enters_once():
    counts = VoteCounts.from_votes(votes(), 2)
    plain = LabelModel(2, verbose=False).fit_counts(counts, FitConfig(n_epochs=1))
    pulled = LabelModel(2, verbose=False).fit_counts(counts, FitConfig(n_epochs=1, l2=0.5))
    scale = np.random.RandomState(0).random_sample()
    rates = counts.class_counts / counts.n_examples
    start = np.zeros((8, 2, 2))
    start[:, [0, 1], [0, 1]] = np.clip(rates * 0.7 / 0.5, 0, 1)
    drift = (scale - 1) * start.reshape(16, 2)
    difference = pulled.history_[0].loss - plain.history_[0].loss
    assert difference == pytest.approx(0.5 * (drift**2).sum(), rel=1e-9)


def test_details_of_the_optimizer_come_flat_or_in_snorkels_nested_form():
    flat = fit(votes(), optimizer_config={"momentum": 0.5})
    nested = fit(votes(), optimizer_config={"sgd_config": {"momentum": 0.5}})
    assert np.array_equal(flat.mu, nested.mu)
    assert not np.array_equal(flat.mu, fit(votes()).mu)
    with_betas = fit(votes(), optimizer="adam", optimizer_config={"adam_config": {"betas": (0.5, 0.9)}})
    assert np.array_equal(
        with_betas.mu, fit(votes(), optimizer="adam", optimizer_config={"beta1": 0.5, "beta2": 0.9}).mu
    )


def test_details_of_the_schedule_come_flat_or_in_snorkels_nested_form():
    nested = {"warmup_steps": 3, "warmup_unit": "epochs", "exponential_config": {"gamma": 0.8}}
    model = fit(votes(), lr_scheduler="exponential", lr_scheduler_config=nested)
    assert [round(record.lr, 6) for record in model.history_[:5]] == [0.003333, 0.006667, 0.01, 0.01, 0.008]
    unused = fit(votes(), lr_scheduler="constant", lr_scheduler_config={"step_config": {"gamma": 0.1}})
    assert np.array_equal(unused.mu, fit(votes()).mu)


def test_an_unknown_detail_names_the_nearest_known_one():
    with pytest.raises(SettingsError, match="unknown key 'momentun', did you mean 'momentum'"):
        fit(votes(), optimizer_config={"momentun": 0.5})


def test_settings_that_are_no_mapping_are_refused():
    with pytest.raises(SettingsError, match="expected a mapping of settings, got float"):
        fit(votes(), optimizer_config=0.9)


@pytest.mark.parametrize("coverage", [0.5, 0.01])
def test_known_accuracies_are_recovered(coverage):
    rng = np.random.default_rng(1)
    n, m = 10_000, 20
    accuracies = rng.uniform(0.6, 0.9, m)
    truth = rng.integers(0, 2, n)
    right = rng.random((n, m)) < accuracies
    L = np.where(right, truth[:, None], 1 - truth[:, None])
    L[rng.random((n, m)) >= coverage] = -1
    model = fit(L, n_epochs=2000, lr=0.01)
    expected = coverage * accuracies
    found = np.diagonal(model.get_conditional_probs()[:, 1:], axis1=1, axis2=2).mean(axis=1)
    assert np.abs(found - expected).mean() < 0.01


def test_no_conditional_probability_is_below_the_floor():
    always = np.random.default_rng(0).integers(0, 2, (500, 4))
    near_copies = np.repeat(always[:, :1], 4, axis=1)
    near_copies[[0, 1, 2, 3], [0, 1, 2, 3]] ^= 1
    model = fit(near_copies, n_epochs=300, lr=0.05)
    table = model.get_conditional_probs()
    assert model.mu_eps_ == 0.001
    assert (1 - table[:, 1:].sum(axis=1)).min() < model.mu_eps_
    assert table.min() == model.mu_eps_
