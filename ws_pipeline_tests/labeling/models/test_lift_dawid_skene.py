"""LiftDawidSkene against plain loops, by its properties, and on the votes that mislead models."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from ws_pipeline.errors import ClassBalanceError, LabelMatrixError, NotFittedError, SettingsError
from ws_pipeline.labeling import LabelMatrix, LabelModel, MajorityLabelVoter, synthetic_label_matrix
from ws_pipeline.labeling.models.dawid_skene import DawidSkene
from ws_pipeline.labeling.models.lift_dawid_skene import LiftDawidSkene
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline_tests.labeling.models.naive_lift import naive_lift_dawid_skene
from ws_pipeline_tests.real_data import load_real, needs_real_data


def one_class_votes(n=600, m=9, k=3, seed=0):
    """LFs of one class each that vote now and then, some of them twice as often on other classes."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(k, size=n)
    votes = np.full((n, m), -1)
    for lf in range(m):
        rate = np.where(gold == lf % k, 0.4, 0.04 * (1 + lf // k))
        votes[rng.random(n) < rate, lf] = lf % k
    return votes, gold


def panel_votes(n=600, accuracies=(0.6, 0.7, 0.8, 0.9), k=3, coverage=0.7, balance=None, seed=0):
    matrix, gold = synthetic_label_matrix(accuracies, coverage, k, n, balance, seed=seed)
    return np.array(matrix.votes, dtype=int), gold


def mixed_votes(seed=0):
    single, gold = one_class_votes(seed=seed)
    rng = np.random.default_rng(seed)
    chooser = np.where(rng.random((len(gold), 2)) < 0.7, gold[:, None], rng.integers(0, 3, (len(gold), 2)))
    few = np.full((len(gold), 1), -1)
    few[:6, 0] = gold[:6]
    silent = np.full((len(gold), 1), -1)
    return np.hstack([single, chooser, few, silent]), gold


def crowd_votes(n=300, m=40, k=3, seed=0):
    rng = np.random.default_rng(seed)
    gold = rng.integers(k, size=n)
    votes = np.full((n, m), -1)
    for row in range(n):
        for lf in rng.choice(m, 4, replace=False):
            votes[row, lf] = gold[row] if rng.random() < 0.5 + 0.012 * lf else rng.integers(k)
    return votes, gold


def copied_votes(n_copies=4, flipped=0.05):
    votes, gold = panel_votes(n=1500, accuracies=(0.6, 0.8, 0.8, 0.8, 0.8), k=2, coverage=1.0)
    rng = np.random.default_rng(0)
    copies = np.repeat(votes[:, :1], n_copies, axis=1)
    return np.hstack([np.where(rng.random(copies.shape) < flipped, 1 - copies, copies), votes]), gold


def copied_single_votes(n_copies=4):
    votes, gold = one_class_votes(k=2, m=6)
    return np.hstack([np.repeat(votes[:, :1], n_copies, axis=1), votes]), gold


CASES = {
    "copies": copied_votes,
    "copies of one class": copied_single_votes,
    "one class each": one_class_votes,
    "two classes": lambda: one_class_votes(k=2),
    "panel": panel_votes,
    "mixed": mixed_votes,
    "crowd": crowd_votes,
    "many classes": lambda: panel_votes(accuracies=(0.6,) * 7, k=50),
    "more than 256": lambda: crowd_votes(m=270),
}


def accuracy(model, votes, gold):
    """Share of right labels; a tie is right by the share of its classes."""
    covered = (votes >= 0).any(axis=1)
    comparison = model.compare_with_vote(votes[covered], gold[covered])
    return comparison.accuracy, comparison.vote_accuracy


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_recipe(case):
    votes, _ = CASES[case]()
    k = int(votes.max()) + 1
    model = LiftDawidSkene(k).fit(votes)
    intercept, weights, balance = naive_lift_dawid_skene(votes, k)
    np.testing.assert_allclose(model.intercept, intercept, atol=1e-9)
    np.testing.assert_allclose(model.weights, weights, atol=1e-9)
    np.testing.assert_allclose(model.class_balance, balance, atol=1e-9)


@pytest.mark.parametrize("case", ["one class each", "mixed", "crowd"])
def test_gold_labels_count_as_the_recipe_says(case):
    votes, gold = CASES[case]()
    gold = np.where(np.arange(len(gold)) % 7 == 0, gold, -1)
    model = LiftDawidSkene(3).fit(votes, gold)
    intercept, weights, balance = naive_lift_dawid_skene(votes, 3, gold=gold)
    np.testing.assert_allclose(model.intercept, intercept, atol=1e-9)
    np.testing.assert_allclose(model.weights, weights, atol=1e-9)
    np.testing.assert_allclose(model.class_balance, balance, atol=1e-9)
    without = LiftDawidSkene(3).fit(votes)
    np.testing.assert_array_equal(LiftDawidSkene(3).fit(votes, gold, gold_weight=0).weights, without.weights)
    assert np.abs(model.weights - without.weights).max() > 0.05


@pytest.mark.parametrize("case", CASES)
def test_probabilities_are_the_tempered_sum(case):
    votes, _ = CASES[case]()
    votes[0] = -1
    k = int(votes.max()) + 1
    model = LiftDawidSkene(k).fit(votes)
    scores = np.array(
        [model.intercept + sum(model.weights[j, v] for j, v in enumerate(row) if v >= 0) for row in votes]
    )
    n_votes = (votes >= 0).sum(axis=1)
    expected = softmax(scores / np.maximum(np.sqrt(n_votes), model.inflation)[:, None], axis=1)
    expected[n_votes == 0] = model.class_balance
    np.testing.assert_allclose(model.predict_proba(votes), expected, atol=1e-12)
    plain = LiftDawidSkene(k).fit(votes, temperature=False).predict_proba(votes)
    np.testing.assert_allclose(plain[n_votes > 0], softmax(scores[n_votes > 0], axis=1), atol=1e-12)
    np.testing.assert_array_equal(plain.argmax(axis=1), expected.argmax(axis=1))


@pytest.mark.parametrize("case", ["mixed", "panel", "crowd"])
def test_a_known_accuracy_counts_as_it_is_known(case):
    votes, _ = CASES[case]()
    known = {"lf_0": 0.95, "lf_3": 0.4}
    model = LiftDawidSkene(3).fit(votes, known_accuracy=known)
    intercept, weights, _ = naive_lift_dawid_skene(votes, 3, known={0: 0.95, 3: 0.4})
    np.testing.assert_allclose(model.intercept, intercept, atol=1e-9)
    np.testing.assert_allclose(model.weights, weights, atol=1e-9)
    assert np.abs(model.weights - LiftDawidSkene(3).fit(votes).weights).max() > 0.1


def test_a_known_accuracy_of_no_lf_or_beyond_its_range_is_refused():
    votes, _ = panel_votes()
    with pytest.raises(SettingsError, match="known_accuracy: there is no LF 'lf_9'; the LFs are lf_0, lf_1,"):
        LiftDawidSkene(3).fit(votes, known_accuracy={"lf_9": 0.9})
    with pytest.raises(SettingsError, match="the accuracy of 'lf_0' must be above 0 and below 1, got 1"):
        LiftDawidSkene(3).fit(votes, known_accuracy={"lf_0": 1})


@pytest.mark.parametrize("n_copies", [1, 2, 4, 8])
@pytest.mark.parametrize("flipped", [0, 0.02, 0.1])
def test_copies_of_a_weak_source_count_about_as_one(n_copies, flipped):
    votes, gold = copied_votes(n_copies, flipped)
    model = LiftDawidSkene(2).fit(votes)
    found, vote = accuracy(model, votes, gold)
    assert found >= 0.9 > vote or n_copies == 1
    assert model.predict_proba(votes).max(axis=1).mean() < 0.9
    assert model.discounts[: n_copies + 1].sum() < 1 + 0.3 * n_copies
    assert (model.discounts[n_copies + 1 :] == 1).all()


def test_copies_of_a_source_of_one_class_do_not_turn_the_classes_around():
    rng = np.random.default_rng(0)
    gold = rng.integers(2, size=5000)

    def source(label, precision, coverage):
        rate = 2 * coverage * np.where(gold == label, precision, 1 - precision)
        return np.where(rng.random(len(gold)) < rate, label, -1)

    good = [source(label, 0.8, 0.4) for label in (0, 0, 1, 1)]
    votes = np.column_stack([*[source(1, 0.5, 0.5)] * 5, *good])
    found, vote = accuracy(LiftDawidSkene(2).fit(votes), votes, gold)
    assert vote < 0.7
    assert found > 0.83


@pytest.mark.parametrize(
    "accuracies",
    [(0.9,) * 5, (0.95,) * 3, (0.9,) * 4 + (0.6,) * 4, (0.97,) * 3 + (0.6,) * 2, (0.99,) * 2 + (0.7,) * 3],
)
def test_sources_that_agree_because_they_are_right_are_not_discounted(accuracies):
    votes, _ = panel_votes(n=5000, accuracies=accuracies, k=2, coverage=1.0)
    assert LiftDawidSkene(2).fit(votes).discounts.tolist() == [1] * len(accuracies)


@pytest.mark.parametrize("vote", [2, 5, -2, -7])
def test_a_vote_out_of_range_has_no_explanation(vote):
    votes, _ = panel_votes(k=2)
    for model in (LiftDawidSkene(2).fit(votes), LabelModel(2, verbose=False).fit(votes, progress_bar=False)):
        with pytest.raises(
            LabelMatrixError, match=f"LF 'lf_1' votes {vote} on example 0, expected an integer"
        ):
            model.explain([[0, vote, 1, 1]])


def test_the_temperature_knows_how_far_sources_are_independent():
    apart, _ = panel_votes(n=4000, accuracies=(0.7,) * 6, k=2, coverage=1.0)
    assert LiftDawidSkene(2).fit(apart).inflation == pytest.approx(1, abs=0.1)
    copies = np.repeat(apart[:, :4], 5, axis=1)  # 20 sources that are worth 4
    assert LiftDawidSkene(2).fit(copies).inflation > 2


@pytest.mark.parametrize("case", CASES)
def test_an_explanation_sums_to_the_label(case):
    votes, _ = CASES[case]()
    votes[1] = -1
    k = int(votes.max()) + 1
    model = LiftDawidSkene(k).fit(votes)
    explained = model.explain(votes[:30])
    assert explained.contributions.shape == (30, votes.shape[1], k)
    np.testing.assert_allclose(softmax(explained.logits, axis=1), model.predict_proba(votes[:30]), atol=1e-12)
    assert not explained.contributions[1].any()
    silent = votes[:30] < 0
    assert np.allclose(explained.contributions[silent], 0) == (not model.abstain_evidence.any())


@pytest.mark.parametrize("case", ["one class each", "mixed", "crowd", "panel"])
def test_the_order_of_rows_sources_and_classes_changes_nothing(case):
    votes, _ = CASES[case]()
    model = LiftDawidSkene(3).fit(votes)
    rng = np.random.default_rng(1)
    rows, lfs, classes = rng.permutation(len(votes)), rng.permutation(votes.shape[1]), rng.permutation(3)
    np.testing.assert_array_equal(LiftDawidSkene(3).fit(votes[rows]).weights, model.weights)
    moved = LiftDawidSkene(3).fit(votes[:, lfs])
    np.testing.assert_allclose(moved.weights, model.weights[lfs], atol=1e-9)
    renamed = np.where(votes >= 0, classes[votes], -1)
    other = LiftDawidSkene(3).fit(renamed).predict_proba(renamed)
    np.testing.assert_allclose(other[:, classes], model.predict_proba(votes), atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_shards_in_any_order_give_the_same_bytes(case, tmp_path):
    votes, _ = CASES[case]()
    k = int(votes.max()) + 1
    shards = {str(i): VotePatterns.from_votes(votes[i::4], k) for i in range(4)}
    backwards = {name: shards[name] for name in reversed(shards)}
    for name, training in {
        "rows": votes,
        "shards": VotePatterns.total(shards),
        "back": VotePatterns.total(backwards),
    }.items():
        LiftDawidSkene(k).fit(training).save(tmp_path / name)
    assert (
        (tmp_path / "rows").read_bytes()
        == (tmp_path / "shards").read_bytes()
        == (tmp_path / "back").read_bytes()
    )


def test_every_form_of_votes_gives_the_same_model():
    votes, gold = one_class_votes()
    model = LiftDawidSkene(3).fit(votes, gold)
    matrix = LabelMatrix(votes, 3, np.arange(len(votes)) + 7)
    rows, lfs = np.nonzero(votes >= 0)
    triples = {"example_id": rows, "lf": [f"lf_{lf}" for lf in lfs], "vote": votes[rows, lfs]}
    by_id = {int(row) + 7: int(label) for row, label in enumerate(gold)}
    same = [
        LiftDawidSkene(3).fit(matrix, by_id),
        LiftDawidSkene(3).fit(triples, dict(enumerate(gold.tolist()))),
    ]
    for other in same:
        np.testing.assert_allclose(other.weights, model.weights, atol=1e-9)


def test_a_file_keeps_it(tmp_path):
    votes, _ = mixed_votes()
    model = LiftDawidSkene(3).fit(votes, temperature=False)
    model.save(tmp_path / "model.safetensors")
    other = LiftDawidSkene.from_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(other.predict_proba(votes), model.predict_proba(votes))
    assert (other.lf_names, other.inflation) == (model.lf_names, model.inflation)
    np.testing.assert_array_equal(other.get_weights(), model.accuracies)


def test_accuracies_are_found():
    votes, gold = panel_votes(n=5000, coverage=0.5)
    model = LiftDawidSkene(3).fit(votes)
    for lf, found in enumerate(model.get_weights()):
        voted = votes[:, lf] >= 0
        assert found == pytest.approx(np.mean(votes[voted, lf] == gold[voted]), abs=0.03)
    assert LiftDawidSkene(2).fit([[0, -1], [0, -1], [1, -1]]).get_weights()[1] == 0


# Votes that mislead models


@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("m", [1, 2, 5, 30])
def test_all_votes_for_one_class_give_that_class(m, label):
    votes = np.full((50, m), label)
    assert (LiftDawidSkene(3).fit(votes).predict(votes) == label).all()
    votes[::2, 0] = -1
    covered = (votes >= 0).any(axis=1)
    assert (LiftDawidSkene(3).fit(votes).predict(votes)[covered] == label).all()


@pytest.mark.parametrize("seed", range(3))
def test_near_copies_of_a_weak_source_do_not_win(seed):
    votes, gold = panel_votes(10_000, (0.6, 0.8, 0.8, 0.8, 0.8), 2, 1.0, seed=seed)
    copy = np.where(np.random.default_rng(seed).random(len(gold)) < 0.02, 1 - votes[:, 0], votes[:, 0])
    votes = np.column_stack([votes, copy])
    model = LiftDawidSkene(2).fit(votes)
    found, vote = accuracy(model, votes, gold)
    assert found >= 0.90 > vote
    assert model.predict_proba(votes).max(axis=1).mean() <= found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("minority", [0.05, 0.1, 0.3])
@pytest.mark.parametrize(("m", "coverage"), [(4, 1.0), (5, 0.7), (8, 0.4), (30, 0.2)])
def test_a_rare_class_does_not_turn_the_labels_around(m, coverage, minority, seed):
    accuracies = np.random.default_rng(seed + 100).uniform(0.6, 0.9, m)
    votes, gold = panel_votes(4000, accuracies, 2, coverage, [1 - minority, minority], seed=seed)
    found, vote = accuracy(LiftDawidSkene(2).fit(votes), votes, gold)
    assert found >= vote


@pytest.mark.parametrize("seed", range(3))
def test_sources_that_never_overlap_give_the_plain_vote(seed):
    rng = np.random.default_rng(seed)
    gold = rng.integers(2, size=2000)
    votes = np.full((2000, 8), -1)
    votes[np.arange(2000), rng.integers(8, size=2000)] = np.where(rng.random(2000) < 0.8, gold, 1 - gold)
    model = LiftDawidSkene(2).fit(votes)
    np.testing.assert_array_equal(model.predict(votes), MajorityLabelVoter(2).predict(votes))


@pytest.mark.parametrize("seed", range(3))
def test_a_source_below_chance_costs_nothing(seed):
    votes, gold = panel_votes(5000, (0.8, 0.8, 0.8, 0.8, 0.3), 2, 1.0, seed=seed)
    found, vote = accuracy(LiftDawidSkene(2).fit(votes), votes, gold)
    assert found > vote + 0.03


@pytest.mark.parametrize("seed", range(2))
def test_800_workers_of_three_votes_an_example(seed):
    rng = np.random.default_rng(seed)
    gold = rng.integers(3, size=4000)
    rows = np.repeat(np.arange(4000), 3)
    workers = np.concatenate([rng.choice(800, 3, replace=False) for _ in range(4000)])
    right = rng.random(len(rows)) < rng.uniform(0.5, 0.95, 800)[workers]
    given = np.where(right, gold[rows], (gold[rows] + rng.integers(1, 3, len(rows))) % 3)
    votes = np.full((4000, 800), -1)
    votes[rows, workers] = given
    found, vote = accuracy(LiftDawidSkene(3).fit(votes), votes, gold)
    assert found >= vote - 0.005


def test_a_known_balance_is_met_and_helps():
    votes, gold = panel_votes(4000, (0.65,) * 6, 2, 0.6, [0.9, 0.1])
    covered = (votes >= 0).any(axis=1)
    votes, gold = votes[covered], gold[covered]
    known = LiftDawidSkene(2).fit(votes, class_balance=[0.9, 0.1], temperature=False)
    assert known.predict_proba(votes).mean(axis=0) == pytest.approx([0.9, 0.1], abs=2e-3)
    assert known.class_balance.tolist() == [0.9, 0.1]
    assert accuracy(known, votes, gold)[0] > accuracy(LiftDawidSkene(2).fit(votes), votes, gold)[0]


@pytest.mark.parametrize("label_model", [LiftDawidSkene, DawidSkene])
def test_a_known_balance_makes_no_labels_of_a_class_that_nobody_votes_for(label_model):
    votes, _ = panel_votes(2000, k=2)
    model = label_model(3).fit(votes, class_balance=[0.2, 0.3, 0.5])
    probs = model.predict_proba(votes[(votes >= 0).any(axis=1)])
    assert (probs.argmax(axis=1) < 2).all()
    assert model.class_balance.tolist() == [0.2, 0.3, 0.5]


# Input


def test_a_model_that_is_not_fitted_says_so():
    with pytest.raises(NotFittedError, match="this LiftDawidSkene is not fitted yet: call fit or load first"):
        LiftDawidSkene(2).predict_proba([[0, 1]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"L_train": [[-1, -1]]},
            LabelMatrixError,
            "no votes at all: its 2 LFs vote on none of the 1 examples",
        ),
        ({"L_train": [[0, 2]]}, LabelMatrixError, "LF 'lf_1' votes 2"),
        ({"L_train": VotePatterns.from_votes([[0, 2]], 3)}, LabelMatrixError, "cardinality 3, expected 2"),
        ({"gold": [0]}, LabelMatrixError, "there are 1 gold labels for 2 examples"),
        ({"gold": [0, 2]}, LabelMatrixError, "gold label 2"),
        (
            {"L_train": VotePatterns.from_votes([[0, 1]], 2), "gold": [0]},
            LabelMatrixError,
            "which vote patterns do not know",
        ),
        ({"class_balance": [0.5, 0.6]}, ClassBalanceError, "sum to 1"),
        ({"gold_weight": -1}, SettingsError, "gold_weight"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        LiftDawidSkene(2).fit(**{"L_train": [[0, 1], [1, 1]], **arguments})


def test_lfs_are_matched_by_name():
    votes, _ = mixed_votes()
    names = [f"source {lf}" for lf in range(votes.shape[1])]
    model = LiftDawidSkene(3).fit(LabelMatrix(votes, 3, lf_names=names))
    turned = LabelMatrix(votes[:, ::-1], 3, lf_names=names[::-1])
    np.testing.assert_allclose(model.predict_proba(turned), model.predict_proba(votes), atol=1e-12)


# Real votes


@needs_real_data
@pytest.mark.parametrize(
    ("name", "score", "log_loss"),
    [("youtube", 86.4, 0.38), ("trec", 58.7, 1.23), ("census", 64.8, 0.38), ("crowd_rte", 92.75, 0.19)],
)
def test_real_votes(name, score, log_loss):
    data = load_real(name).covered("train")
    probs = LiftDawidSkene(data.cardinality).fit(data.votes).predict_proba(data.votes)
    assert data.score(probs.argmax(axis=1)) >= score - 0.3
    assert -np.log(probs[np.arange(len(probs)), data.gold]).mean() == pytest.approx(log_loss, abs=0.01)
