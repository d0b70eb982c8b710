"""The maths of the label model, each function against another way to get the same numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ws_pipeline.errors import TrainingError
from ws_pipeline.labeling.models.matrix_completion import (
    DenseOverlaps,
    EpochRecord,
    Objective,
    align_columns,
    complete_matrix,
    default_mu_eps,
    initial_mu,
)
from ws_pipeline.settings.label_model import FitConfig


def random_problem(m=5, k=3, seed=0):
    """O ``[d, d]`` of random votes, a class balance p ``[k]`` and some mu ``[d, k]``."""
    rng = np.random.default_rng(seed)
    votes = rng.integers(-1, k, (60, m))
    one_hot = (votes[:, :, None] == np.arange(k)).reshape(60, -1).astype(float)
    return one_hot.T @ one_hot / 60, rng.dirichlet(np.full(k, 5.0)), rng.random((m * k, k))


def naive_loss(overlaps, p, mu, start, l2):
    d, k = mu.shape
    loss = 0.0
    for r, s in itertools.product(range(d), repeat=2):
        if r // k != s // k:
            loss += (overlaps[r, s] - sum(mu[r, z] * p[z] * mu[s, z] for z in range(k))) ** 2
    for r in range(d):
        loss += (sum(mu[r, z] * p[z] for z in range(k)) - overlaps[r, r]) ** 2
        loss += l2 * sum((mu[r, z] - start[r, z]) ** 2 for z in range(k))
    return loss


def evaluate(overlaps, p, mu, start, l2):
    rates = overlaps.diagonal().copy()
    known = DenseOverlaps(torch.tensor(overlaps), len(p))
    objective = Objective(known, *map(torch.tensor, (rates, p, start)), l2)
    loss, gradient = objective.loss_and_gradient(torch.tensor(mu))
    return loss, gradient.numpy()


def complete(overlaps, p, **settings):
    return complete_matrix(overlaps, p, FitConfig(**settings), mu_eps=settings.get("mu_eps", 0.01))[:2]


# Start


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, 0.01),
        (2, 0.01),
        (100, 0.01),
        (101, 0.001),
        (1000, 0.001),
        (1001, 1e-4),
        (10_000, 1e-4),
        (10_001, 1e-5),
    ],
)
def test_the_smallest_probability_follows_the_number_of_examples(n, expected):
    assert default_mu_eps(n) == pytest.approx(expected, rel=1e-12)


def test_the_initial_mu_is_bayes_rule_by_hand():
    rates = np.array([[0.2, 0.3], [0.5, 0.0]])
    mu = initial_mu(rates, np.array([0.5, 0.8]), np.array([0.4, 0.6]))
    expected = [[0.2 * 0.5 / 0.4, 0], [0, 0.3 * 0.5 / 0.6], [0.5 * 0.8 / 0.4, 0], [0, 0]]
    assert mu == pytest.approx(np.array(expected))


def test_the_initial_mu_never_exceeds_one():
    mu = initial_mu(np.array([[0.9, 0.1]]), np.array([0.7]), np.array([0.1, 0.9]))
    assert mu == pytest.approx(np.array([[1, 0], [0, 0.1 * 0.7 / 0.9]]))


def test_the_initial_mu_is_scaled_by_one_number_drawn_from_the_seed():
    overlaps, p, _ = random_problem()
    start = initial_mu(np.diagonal(overlaps).reshape(5, 3), np.full(5, 0.7), p)
    _, history = complete(overlaps, p, seed=11)
    scale = np.random.RandomState(11).random_sample()
    assert history[0].loss == pytest.approx(naive_loss(overlaps, p, start * scale, start, 0.0), rel=1e-12)


# Objective


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize(("m", "k"), [(3, 2), (4, 3), (2, 5)])
def test_the_loss_is_that_of_a_naive_loop(m, k, l2):
    overlaps, p, mu = random_problem(m, k)
    start = mu[::-1].copy()
    assert evaluate(overlaps, p, mu, start, l2)[0] == pytest.approx(
        naive_loss(overlaps, p, mu, start, l2), rel=1e-12
    )


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize(("m", "k"), [(3, 2), (7, 3), (4, 6)])
def test_the_gradient_is_that_of_autograd(m, k, l2):
    overlaps, p, mu = random_problem(m, k)
    start = mu[::-1].copy()
    observed, P, free, centre = (torch.tensor(a) for a in (overlaps, np.diag(p), mu, start))
    free.requires_grad_()
    other_lf = torch.arange(m * k)[:, None] // k != torch.arange(m * k)[None, :] // k
    loss = ((observed - free @ P @ free.T)[other_lf] ** 2).sum() + (
        ((free @ P).sum(1) - observed.diagonal()) ** 2
    ).sum()
    (loss + l2 * ((free - centre) ** 2).sum()).backward()
    assert np.abs(evaluate(overlaps, p, mu, start, l2)[1] - free.grad.numpy()).max() < 1e-12


def test_the_truth_has_no_loss_and_no_gradient():
    _, p, mu = random_problem()
    overlaps = mu * p @ mu.T
    np.fill_diagonal(overlaps, mu @ p)
    loss, gradient = evaluate(overlaps, p, mu, mu, 0.5)
    assert abs(loss) < 1e-12
    assert np.abs(gradient).max() < 1e-12


# Optimisation


@pytest.mark.parametrize("clamp", ["step", "final"])
def test_the_steps_are_gradient_descent_with_momentum(clamp):
    overlaps, p, _ = random_problem()
    start = initial_mu(np.diagonal(overlaps).reshape(5, 3), np.full(5, 0.7), p)
    mu, velocity = start * np.random.RandomState(3).random_sample(), np.zeros((15, 3))
    for _ in range(25):
        velocity = 0.9 * velocity + evaluate(overlaps, p, mu, start, 0.1)[1]
        mu -= 0.05 * velocity
        if clamp == "step":
            mu = mu.clip(0.02, 0.98)
    found, _ = complete(overlaps, p, seed=3, n_epochs=25, lr=0.05, l2=0.1, mu_eps=0.02, mu_clamp=clamp)
    assert np.abs(found - mu.clip(0.02, 0.98)).max() < 1e-12


def test_the_two_times_of_clamping_differ():
    overlaps, p, _ = random_problem()
    step, final = (complete(overlaps, p, mu_clamp=when)[0] for when in ("step", "final"))
    assert np.abs(step - final).max() > 1e-3


@pytest.mark.parametrize("clamp", ["step", "final"])
def test_mu_stays_in_its_bounds(clamp):
    overlaps, p, _ = random_problem()
    mu, _ = complete(overlaps, p, lr=0.5, mu_eps=0.2, mu_clamp=clamp, n_epochs=5)
    assert mu.min() == pytest.approx(0.2)
    assert mu.max() <= 0.8


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamax"])
def test_every_optimizer_lowers_the_loss(optimizer):
    _, history = complete(*random_problem()[:2], optimizer=optimizer)
    assert history[-1].loss < 0.5 * history[0].loss


def test_the_history_has_one_record_per_epoch():
    _, history = complete(*random_problem()[:2], n_epochs=4, lr=0.2, lr_scheduler="linear")
    assert [record.epoch for record in history] == [0, 1, 2, 3]
    assert [record.lr for record in history] == pytest.approx([0.2, 0.15, 0.1, 0.05])


def test_warm_up_starts_below_the_base_rate():
    _, history = complete(*random_problem()[:2], n_epochs=4, lr=0.2, warmup_steps=2)
    assert [record.lr for record in history] == pytest.approx([0.1, 0.2, 0.2, 0.2])


def test_every_record_is_reported_as_it_comes():
    seen: list[EpochRecord] = []
    overlaps, p, _ = random_problem()
    _, history, _ = complete_matrix(overlaps, p, FitConfig(n_epochs=7), mu_eps=0.01, on_epoch=seen.append)
    assert seen == history


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_epoch():
    seen: list[EpochRecord] = []
    overlaps, p, _ = random_problem()
    config = FitConfig(lr=1e200, mu_clamp="final")
    with pytest.raises(TrainingError) as caught:
        complete_matrix(overlaps, p, config, mu_eps=0.01, on_epoch=seen.append)
    assert 0 < len(seen) < 20
    assert str(caught.value).startswith(
        f"Loss is NaN. Consider reducing learning rate. (epoch {seen[-1].epoch + 1}: loss "
    )
    assert str(caught.value).count("lr 1e+200") == 1


def test_the_arguments_are_not_changed():
    overlaps, p, _ = random_problem()
    before = overlaps.copy(), p.copy()
    complete(overlaps, p)
    assert np.array_equal(overlaps, before[0])
    assert np.array_equal(p, before[1])


# Order of the classes


def best_order_by_trying(mu, p):
    """The column order of the largest sum_i P(LF_i = y, Y = y) that swaps classes of equal prior only."""
    k = len(p)
    rounded = np.around(p, 3)

    def trust(order):
        return sum(mu[i * k + y, order[y]] * p[y] for i in range(len(mu) // k) for y in range(k))

    orders = [
        order for order in itertools.permutations(range(k)) if np.array_equal(rounded[list(order)], rounded)
    ]
    return mu[:, list(max(orders, key=trust))]


@pytest.mark.parametrize(
    "p",
    [[0.5, 0.5], [0.3, 0.7], [0.25] * 4, [0.3, 0.2, 0.3, 0.2], [0.2, 0.2, 0.6], [0.33333, 0.33331, 0.33336]],
)
@pytest.mark.parametrize("seed", range(5))
def test_columns_are_ordered_as_trying_all_orders_does(p, seed):
    p = np.array(p)
    mu = np.random.default_rng(seed).random((4 * len(p), len(p)))
    assert np.array_equal(align_columns(mu, p), best_order_by_trying(mu, p))


def test_columns_that_were_swapped_are_swapped_back():
    mu = np.tile(0.1 + 0.6 * np.eye(3), (4, 1))
    for order in itertools.permutations(range(3)):
        assert np.array_equal(align_columns(mu[:, list(order)], np.full(3, 1 / 3)), mu)


def test_columns_of_classes_with_different_priors_stay():
    swapped = np.tile([[0.1, 0.9], [0.9, 0.1]], (3, 1))
    assert np.array_equal(align_columns(swapped, np.array([0.499, 0.501])), swapped)
