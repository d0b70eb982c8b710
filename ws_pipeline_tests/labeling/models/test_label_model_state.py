"""LabelModel: nothing outside it changes, predicting changes nothing in it, same input, same bytes."""

from __future__ import annotations

import copy
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from ws_pipeline.labeling import LabelMatrix, LabelModel, MajorityLabelVoter

MAKE_VOTES = "np.random.default_rng(0).integers(-1, 3, (300, 5))"
FIT = "LabelModel(3, verbose=False).fit(votes, progress_bar=False, n_epochs=40, seed=7)"


def make_votes():
    return np.random.default_rng(0).integers(-1, 3, (300, 5))


def fit(votes):
    return LabelModel(3, verbose=False).fit(votes, progress_bar=False, n_epochs=40, seed=7)


def random_states():
    """The states of the three global random number generators, comparable."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), (name, keys.tolist(), *rest), torch.get_rng_state().tolist()


USES = {
    "predict": lambda model, votes: model.predict(votes),
    "predict at random": lambda model, votes: model.predict(votes, tie_break_policy="random"),
    "predict at true random": lambda model, votes: model.predict(votes, tie_break_policy="true-random"),
    "predict_proba": lambda model, votes: model.predict_proba(votes),
    "score": lambda model, votes: model.score(votes, np.zeros(len(votes), dtype=int)),
    "get_weights": lambda model, _: model.get_weights(),
    "get_conditional_probs": lambda model, _: model.get_conditional_probs(),
    "save": lambda model, _: model.save("memory://state/model"),
}
EVERY_USE = pytest.mark.parametrize("use", USES.values(), ids=USES)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_fitting_leaves_the_global_random_numbers_alone(optimizer):
    before = random_states()
    LabelModel(3, verbose=False).fit(make_votes(), progress_bar=False, seed=3, optimizer=optimizer)
    assert random_states() == before


@EVERY_USE
def test_using_a_model_leaves_the_global_random_numbers_alone(use):
    model = fit(make_votes())
    before = random_states()
    use(model, make_votes())
    assert random_states() == before


@pytest.mark.parametrize("policy", ["abstain", "random", "true-random"])
def test_the_majority_vote_leaves_the_global_random_numbers_alone(policy):
    before = random_states()
    MajorityLabelVoter(3).predict(make_votes(), tie_break_policy=policy)
    assert random_states() == before


def test_the_global_random_numbers_do_not_reach_the_model():
    np.random.seed(1)  # noqa: NPY002
    first = fit(make_votes())
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(2)
    assert np.array_equal(fit(make_votes()).mu, first.mu)


@EVERY_USE
def test_using_a_model_does_not_change_it(use):
    model = fit(make_votes())
    before = copy.deepcopy(vars(model))
    use(model, make_votes()[:17])
    assert vars(model).keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(model, name), value)


def test_results_can_be_changed_without_changing_the_model():
    model = fit(make_votes())
    before = model.mu.copy()
    for result in (model.get_conditional_probs(), model.get_weights(), model.predict_proba(make_votes())):
        result[:] = 0.5
    assert np.array_equal(model.mu, before)
    assert model.class_balance == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float64])
def test_the_callers_votes_are_not_changed(order, dtype):
    votes = np.array(make_votes(), dtype=dtype, order=order)
    before = votes.copy()
    fit(votes).predict(votes)
    MajorityLabelVoter(3).predict(votes)
    assert np.array_equal(votes, before)
    assert votes.flags.writeable


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float64])
def test_read_only_votes_of_any_memory_order_work(order, dtype):
    votes = np.array(make_votes(), dtype=dtype, order=order)
    votes.flags.writeable = False
    model, expected = fit(votes), fit(make_votes())
    assert np.array_equal(model.mu, expected.mu)
    assert np.array_equal(model.predict_proba(votes), expected.predict_proba(make_votes()))


def test_the_callers_class_balance_is_not_changed():
    balance = np.array([0.5, 0.3, 0.2])
    balance.flags.writeable = False
    LabelModel(3, verbose=False).fit(make_votes(), class_balance=balance, progress_bar=False)
    assert balance.tolist() == [0.5, 0.3, 0.2]


def test_the_same_input_gives_the_same_bytes_twice(tmp_path):
    for name in ("first", "second"):
        fit(LabelMatrix(make_votes(), 3)).save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_same_input_gives_the_same_bytes_in_another_process(tmp_path):
    code = (
        "import sys, numpy as np; from ws_pipeline.labeling import LabelModel;"
        f"votes = {MAKE_VOTES}; {FIT}.save(sys.argv[1])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, env=environment)
    fit(make_votes()).save(tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_another_input_gives_other_bytes(tmp_path):
    fit(make_votes()).save(tmp_path / "first")
    fit(make_votes()[:-1]).save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() != (tmp_path / "second").read_bytes()
