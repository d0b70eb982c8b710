"""LiftDawidSkene on votes with scores, and on votes for superclasses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from ws_pipeline.errors import LabelMatrixError, SettingsError
from ws_pipeline.labeling import LabelMatrix, MajorityLabelVoter
from ws_pipeline.labeling.models.auto import AutoLabelModel
from ws_pipeline.labeling.models.dawid_skene import DawidSkene
from ws_pipeline.labeling.models.family_report import find_families
from ws_pipeline.labeling.models.lift_dawid_skene import LiftDawidSkene
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.labeling.votes.vote_symbols import VoteSymbols
from ws_pipeline_tests.labeling.models.naive_symbols import naive_with_symbols

SUPERCLASSES = {"first two": [0, 1], "last two": [1, 2]}


def judged(n=400, m=6, seed=0, coverage=0.8):
    """Ratings from 0 to 9 of judges; the class is 1 where a judge rates 5 or more, and extremes are surer."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(2, size=n)
    seen = (2 * gold - 1)[:, None] * np.linspace(0.4, 1.2, m) + rng.normal(0, 1, (n, m))
    ratings = np.clip(np.round(4.5 + 2 * seen), 0, 9)
    votes = (ratings >= 5).astype(int)
    votes[rng.random((n, m)) > coverage] = -1
    votes[(votes < 0).all(axis=1), 0] = 1
    return votes, np.where(votes < 0, np.nan, ratings), gold


def with_sets(n=500, m=5, seed=0):
    """Votes for one of 3 classes, or for one of two pairs of them (3 and 4), by choosers of both."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(3, size=n)
    right = rng.random((n, m)) < np.linspace(0.5, 0.9, m)
    said = np.where(right, gold[:, None], rng.integers(0, 3, (n, m)))
    pairs = np.where(said == 0, 3, np.where(said == 2, 4, rng.integers(3, 5, (n, m))))
    votes = np.where(rng.random((n, m)) < 0.4, pairs, said)
    votes[:, -1] = np.where(gold == 0, -1, np.where(rng.random(n) < 0.6, 4, -1))  # one symbol
    return votes, gold


def fit(matrix, **settings):
    return LiftDawidSkene(matrix.cardinality).fit(matrix, **settings)


@pytest.mark.parametrize("n_bins", [2, 4])
def test_scores_are_those_of_plain_loops(n_bins):
    votes, scores, _ = judged()
    scores[:50, 0] = np.nan
    matrix = LabelMatrix(votes, 2, scores=scores)
    model = fit(matrix, n_bins=n_bins)
    assert_array_equal(model.discounts, 1)
    codes = model.symbols.encode(matrix).votes.astype(int)
    groups, levels = np.where(codes < 0, -1, codes // (n_bins + 1)), np.maximum(codes, 0) % (n_bins + 1)
    intercept, weights = naive_with_symbols(groups, levels, [{0}, {1}], 2, n_bins + 1)
    assert_allclose(model.intercept, intercept, atol=1e-10)
    assert_allclose(model.weights.reshape(weights.shape), weights, atol=1e-10)


def test_superclasses_are_those_of_plain_loops():
    votes, _ = with_sets()
    model = fit(LabelMatrix(votes, 3, superclasses=SUPERCLASSES))
    assert_array_equal(model.discounts, 1)
    intercept, weights = naive_with_symbols(
        votes, np.zeros_like(votes), [{0}, {1}, {2}, {0, 1}, {1, 2}], 3, 1
    )
    assert_allclose(model.intercept, intercept, atol=1e-10)
    assert_allclose(model.weights, weights[:, :, 0], atol=1e-10)


def test_scores_make_better_labels():
    votes, scores, gold = judged(n=4000, m=20, coverage=1.0)
    plain, scored = fit(LabelMatrix(votes, 2)), fit(LabelMatrix(votes, 2, scores=scores))

    def loss(model, matrix):
        probs = model.predict_proba(matrix)
        return -np.log(probs[np.arange(len(gold)), gold]).mean()

    assert loss(scored, LabelMatrix(votes, 2, scores=scores)) < 0.8 * loss(plain, LabelMatrix(votes, 2))
    # the two highest ratings, and the lowest, are surer than those in the middle
    gains = scored.weights[-1].reshape(2, 6, 2)
    assert gains[1, 5, 1] - gains[1, 5, 0] > gains[1, 3, 1] - gains[1, 3, 0]
    assert gains[0, 1, 0] - gains[0, 1, 1] > gains[0, 3, 0] - gains[0, 3, 1]


def test_scores_that_tell_nothing_change_little():
    votes, scores, gold = judged(n=3000)
    noise = np.where(np.isnan(scores), np.nan, np.random.default_rng(0).random(scores.shape))
    plain, scored = fit(LabelMatrix(votes, 2)), fit(LabelMatrix(votes, 2, scores=noise))
    matrix = LabelMatrix(votes, 2, scores=noise)
    probs, expected = scored.predict_proba(matrix), plain.predict_proba(votes)
    assert np.abs(probs - expected).mean() < 0.02
    assert np.mean(probs.argmax(axis=1) == gold) > np.mean(expected.argmax(axis=1) == gold) - 0.005


def test_judges_with_common_errors_are_less_sure():
    votes, scores, _ = judged(n=2000, m=12, coverage=1.0)
    alone = fit(LabelMatrix(votes, 2, scores=scores))
    shared = np.random.default_rng(1).normal(0, 2, (2000, 1))
    ratings = np.clip(np.round(scores + shared), 0, 9)
    together = fit(LabelMatrix((ratings >= 5).astype(int), 2, scores=ratings))
    assert 1 <= alone.inflation < 1.2
    assert together.inflation > 1.5


def test_the_inflation_is_that_of_the_log_odds():
    votes, scores, _ = judged(n=300, m=4)
    matrix = LabelMatrix(votes, 2, scores=scores)
    model = fit(matrix, n_bins=3)
    model.has_temperature = False
    codes, probs = model.symbols.encode(matrix).votes, model.predict_proba(matrix)
    centred = model.weights - model.weights.mean(axis=2, keepdims=True)
    added = np.array([[centred[j, s] if s >= 0 else np.zeros(2) for j, s in enumerate(row)] for row in codes])

    def variance(values, of_class):  # [n, ...] with the weights of a class
        shares = probs[:, of_class] / probs[:, of_class].sum()
        mean = np.tensordot(shares, values, axes=1)
        return np.tensordot(shares, values**2, axes=1) - mean**2

    sizes = probs.sum(axis=0)
    together = sum(sizes[y] * variance(added.sum(axis=1), y).sum() for y in range(2))
    apart = sum(sizes[y] * variance(added, y).sum() for y in range(2))
    assert_allclose(model.inflation, max(1, together / apart), rtol=1e-9)


def test_one_bin_is_the_class_alone():
    votes, scores, _ = judged()
    matrix = LabelMatrix(votes, 2, scores=scores)
    assert_allclose(
        fit(matrix, n_bins=1).predict_proba(matrix),
        fit(LabelMatrix(votes, 2)).predict_proba(votes),
        atol=1e-9,
    )


def test_a_vote_for_a_superclass_excludes_the_other_classes():
    votes, gold = with_sets(n=3000)
    matrix = LabelMatrix(votes, 3, superclasses=SUPERCLASSES)
    model = fit(matrix)
    alone = LabelMatrix([[-1, -1, -1, 3, -1]], 3, superclasses=SUPERCLASSES)
    (probs,) = model.predict_proba(alone)
    assert probs[2] < 0.2 < min(probs[:2])
    assert alone.covered.tolist() == [True]
    labels = ProbabilisticLabels.from_votes(model, alone)
    assert labels.covered.tolist() == [True]
    known = np.where(votes >= 3, -1, votes)
    assert (model.predict(matrix) == gold).mean() > (fit(LabelMatrix(known, 3)).predict(known) == gold).mean()


def test_the_plain_vote_counts_a_superclass_in_equal_parts():
    matrix = LabelMatrix([[3, 4, -1], [3, 0, -1], [3, -1, -1], [2, 3, 3]], 3, superclasses=SUPERCLASSES)
    probs = MajorityLabelVoter(3).predict_proba(matrix)
    assert_allclose(probs, [[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]])


def test_other_models_take_the_class_alone():
    votes, scores, _ = judged()
    with_scores, without = LabelMatrix(votes, 2, scores=scores), LabelMatrix(votes, 2)
    for model in (DawidSkene(2), MajorityLabelVoter(2)):
        if isinstance(model, DawidSkene):
            model.fit(with_scores)
        assert_array_equal(model.predict_proba(with_scores), model.predict_proba(without))


def test_gold_labels_are_counted_by_symbol():
    votes, scores, gold = judged(n=60, m=3)
    matrix = LabelMatrix(votes, 2, scores=scores)
    symbols = VoteSymbols.of({"votes": matrix})
    anchored = fit(matrix, gold=gold, gold_weight=50.0)
    # 50 copies of each example, whose class is certain
    codes = symbols.encode(matrix).votes
    joint = np.zeros((3, 12, 2))
    for row, label in zip(codes, gold, strict=True):
        for lf in np.flatnonzero(row >= 0):
            joint[lf, row[lf], label] += 50
    from ws_pipeline.labeling.models.lift_em import GoldVotes
    from ws_pipeline.settings.label_model import LiftDawidSkeneConfig

    counted = GoldVotes(joint / 50, np.bincount(gold).astype(float))
    config = LiftDawidSkeneConfig(gold_weight=50.0)
    by_hand = LiftDawidSkene(2).fit_patterns(symbols.patterns(matrix), config, gold=counted, symbols=symbols)
    assert_array_equal(anchored.weights, by_hand.weights)
    assert not np.array_equal(anchored.weights, fit(matrix).weights)


def test_patterns_of_shards_add_up_to_the_same_fit():
    votes, scores, _ = judged()
    whole = LabelMatrix(votes, 2, scores=scores)
    shards = {
        name: whole.take(np.arange(start, start + 100))
        for name, start in zip("cabd", range(0, 400, 100), strict=True)
    }
    symbols = VoteSymbols.of(shards)
    patterns = VotePatterns.total({name: symbols.patterns(shard) for name, shard in shards.items()})
    from ws_pipeline.settings.label_model import LiftDawidSkeneConfig

    config = LiftDawidSkeneConfig()
    one = LiftDawidSkene(2).fit_patterns(patterns, config, symbols=symbols)
    assert_array_equal(one.weights, fit(whole).weights)
    assert_array_equal(one.predict_proba(whole), fit(whole).predict_proba(whole))


def test_files_keep_the_symbols(tmp_path):
    votes, scores, _ = judged()
    matrix = LabelMatrix(np.where(votes == 1, 2, votes), 3, scores=scores, superclasses=SUPERCLASSES)
    model = fit(matrix, n_bins=3)
    model.save(tmp_path / "model")
    loaded = LiftDawidSkene.from_file(tmp_path / "model")
    assert loaded.symbols.superclasses == model.symbols.superclasses
    assert loaded.symbols.n_bins == 3
    assert_array_equal(loaded.predict_proba(matrix), model.predict_proba(matrix))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_explanations_sum_to_the_log_odds():
    votes, scores, _ = judged()
    matrix = LabelMatrix(votes, 2, scores=scores)
    model = fit(matrix)
    logits = model.explain(matrix).logits
    probs = model.predict_proba(matrix)
    assert_allclose(logits[:, 1] - logits[:, 0], np.log(probs[:, 1] / probs[:, 0]), atol=1e-8)


def test_lfs_are_matched_by_name_with_their_scores():
    votes, scores, _ = judged()
    matrix = LabelMatrix(votes, 2, scores=scores, lf_names=list("abcdef"))
    model = fit(matrix)
    turned = LabelMatrix(votes[:, ::-1], 2, scores=scores[:, ::-1], lf_names=list("fedcba"))
    assert_array_equal(model.predict_proba(turned), model.predict_proba(matrix))


def test_auto_compares_the_scored_model_with_the_vote():
    votes, scores, gold = judged(n=1500, m=8)
    matrix = LabelMatrix(votes, 2, scores=scores)
    known = np.where(np.arange(1500) < 300, gold, -1)
    model = AutoLabelModel(2).fit(matrix, gold=known)
    assert model.kind_ == "lift_dawid_skene"
    assert model.chosen_.symbols.n_bins == 5
    by_kind = {candidate.kind: candidate for candidate in model.comparison_}
    assert by_kind["lift_dawid_skene"].log_loss < by_kind["dawid_skene"].log_loss
    assert by_kind["majority"].n_gold == 300
    assert (model.predict(matrix) == gold).mean() > by_kind["majority"].accuracy


def test_auto_covers_examples_with_superclass_votes_only():
    votes, gold = with_sets(n=600)
    votes[:20] = -1
    votes[:20, 3] = 3
    matrix = LabelMatrix(votes, 3, superclasses=SUPERCLASSES)
    model = AutoLabelModel(3).fit(matrix, gold=gold)
    by_kind = {candidate.kind: candidate for candidate in model.comparison_}
    assert by_kind["lift_dawid_skene"].coverage == 1
    assert ProbabilisticLabels.from_votes(model, matrix).covered.all()
    assert (model.predict(matrix)[:20] != 2).all()


def test_votes_for_superclasses_alone_are_enough():
    _, gold = with_sets(n=600)
    rng = np.random.default_rng(0)
    says = np.stack([gold != 2, gold != 0, gold != 1], axis=1) ^ (rng.random((600, 3)) < 0.1)
    matrix = LabelMatrix(np.where(says, [3, 4, 5], -1), 3, superclasses=SUPERCLASSES | {"ends": [0, 2]})
    assert (matrix.votes == -1).all()
    for known in (None, np.where(np.arange(600) < 200, gold, -1)):
        model = AutoLabelModel(3).fit(matrix, gold=known)
        covered = matrix.covered
        assert model.kind_ == "lift_dawid_skene"
        labels = model.predict_proba(matrix)[covered].argmax(axis=1)
        assert np.mean(labels == gold[covered]) > 0.6
    families = find_families(model, VotePatterns.from_label_matrix(matrix))
    assert (families.n_voting, families.carriers) == (0, [])
    with pytest.raises(LabelMatrixError, match="no votes at all"):
        fit(LabelMatrix(np.full((5, 2), -1), 3, superclasses=SUPERCLASSES))


def test_other_superclasses_are_refused():
    votes, _ = with_sets()
    model = fit(LabelMatrix(votes, 3, superclasses=SUPERCLASSES))
    other = LabelMatrix(votes, 3, superclasses={"ends": [0, 2], "last two": [1, 2]})
    with pytest.raises(LabelMatrixError, match=r"superclasses ends \[0, 2\].*fitted with first two \[0, 1\]"):
        model.predict_proba(other)


def test_bins_are_checked():
    votes, scores, _ = judged()
    with pytest.raises(SettingsError, match="n_bins"):
        fit(LabelMatrix(votes, 2, scores=scores), n_bins=0)
