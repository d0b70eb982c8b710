"""LabelModel: what it refuses, in which words, and what it warns of."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ws_pipeline.errors import (
    ClassBalanceError,
    FewVotersWarning,
    LabelMatrixError,
    NotFittedError,
    SettingsError,
    SilentLFWarning,
    TrainingError,
    WsPipelineWarning,
)
from ws_pipeline.labeling import LabelMatrix, LabelModel, VoteCounts

VOTES = np.array([[0, 0, -1, 1], [1, 1, 1, -1], [-1, 2, 1, 1], [2, 0, 0, 0]])


def fit(votes=VOTES, k=3, **options):
    return LabelModel(k, verbose=False).fit(votes, progress_bar=False, **options)


# Votes


@pytest.mark.parametrize(("vote", "found"), [(-2, "-2"), (3, "3"), (1.5, "1.5"), (np.nan, "nan")])
def test_a_vote_out_of_range_is_named(vote, found):
    votes = VOTES.astype(type(vote))
    votes[2, 1] = vote
    message = rf"LF 'lf_1' votes {found} on example 2, expected an integer from -1 \(abstain\) to 2"
    with pytest.raises(LabelMatrixError, match=message):
        fit(votes)


def test_a_vote_out_of_range_is_named_when_predicting():
    model = fit()
    with pytest.raises(LabelMatrixError, match="LF 'lf_3' votes 3 on example 1"):
        model.predict_proba([[0, 0, 0, 0], [0, 0, 0, 3]])


@pytest.mark.parametrize("m", [0, 1, 2])
def test_fewer_than_three_lfs_are_refused(m):
    with pytest.raises(LabelMatrixError) as caught:
        fit(VOTES[:, :m])
    assert f"L_train should have at least 3 labeling functions, got {m} (" in str(caught.value)


@pytest.mark.parametrize("n", [0, 5])
def test_votes_that_are_all_abstains_are_refused(n):
    with pytest.raises(LabelMatrixError, match=f"vote on none of the {n} examples"):
        fit(np.full((n, 4), -1))


def test_counts_with_another_number_of_classes_are_refused():
    counts = VoteCounts.from_label_matrix(LabelMatrix(VOTES, 3))
    with pytest.raises(LabelMatrixError, match=r"L_train has cardinality 3, cardinality=4 passed in\."):
        fit(counts, 4)


def test_predicting_with_another_number_of_lfs_is_refused():
    with pytest.raises(LabelMatrixError, match="L has 3 columns, but the model was fitted on 4 LFs"):
        fit().predict(VOTES[:, :3])


def test_lfs_that_never_vote_are_warned_of_by_name():
    votes = VOTES.copy()
    votes[:, [0, 2]] = -1
    with pytest.warns(WsPipelineWarning) as caught:
        fit(LabelMatrix(votes, 3, None, list("abcd")))
    assert [warning.category for warning in caught] == [SilentLFWarning, FewVotersWarning]
    assert str(caught[0].message) == "these LFs never vote: a, c"


def test_the_warning_points_at_the_call_of_fit():
    with pytest.warns(SilentLFWarning) as caught:
        LabelModel(3).fit(np.insert(VOTES, 2, -1, axis=1), progress_bar=False)
    assert [warning.filename for warning in caught] == [__file__]


def test_an_lf_that_never_votes_does_not_change_the_predictions_of_the_others():
    silent = np.insert(VOTES, 2, -1, axis=1)
    with pytest.warns(SilentLFWarning):
        model = fit(silent, mu_clamp="final")
    assert model.predict_proba(silent) == pytest.approx(fit(mu_clamp="final").predict_proba(VOTES), abs=1e-12)


def test_no_warning_when_every_lf_votes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit()


@pytest.mark.parametrize("n_empty", [1, 7])
def test_examples_without_votes_are_allowed_and_counted(n_empty):
    votes = np.vstack([VOTES, np.full((n_empty, 4), -1)])
    assert fit(votes).coverage == pytest.approx(fit().coverage * 4 / (4 + n_empty))


# Class balance and gold labels


def test_the_class_balance_is_uniform_by_default():
    assert fit().class_balance.tolist() == [1 / 3] * 3


def test_a_class_balance_is_kept():
    assert fit(class_balance=(0.5, 0.3, 0.2)).class_balance.tolist() == [0.5, 0.3, 0.2]


@pytest.mark.parametrize("balance", [[0.5, 0.5], [0.25] * 4, [1.0], [[0.5, 0.3, 0.2]]])
def test_a_class_balance_of_another_length_is_refused(balance):
    with pytest.raises(ClassBalanceError) as caught:
        fit(class_balance=balance)
    assert f"class_balance has {np.size(balance)} entries for 3 classes; give one per class" in str(
        caught.value
    )


@pytest.mark.parametrize(("balance", "classes"), [([0.5, 0, 0.5], r"\[1\]"), ([0, 1, 0], r"\[0, 2\]")])
def test_a_class_balance_with_a_zero_is_refused(balance, classes):
    with pytest.raises(ClassBalanceError, match=rf"class_balance is 0 for classes {classes};"):
        fit(class_balance=balance)


@pytest.mark.parametrize("balance", [[0.5, -0.1, 0.6], [np.nan, 0.5, 0.5], [np.inf, 0.5, 0.5]])
def test_a_class_balance_that_is_not_positive_is_refused(balance):
    with pytest.raises(ClassBalanceError) as caught:
        fit(class_balance=balance)
    assert str(caught.value) == f"class_balance must be positive shares, at least 0 each, got {balance}"


def test_a_class_balance_that_does_not_sum_to_one_is_refused():
    with pytest.raises(ClassBalanceError, match=r"must sum to 1, got \[0.5, 0.3, 0.3\] with sum 1.1;"):
        fit(class_balance=[0.5, 0.3, 0.3])


def test_a_class_balance_may_be_off_by_rounding():
    fit(class_balance=[0.3333333, 0.3333333, 0.3333333])


def test_gold_labels_give_the_class_balance_without_the_unknown():
    assert fit(Y_dev=[0, 1, 1, -1, 2, -1, 1]).class_balance.tolist() == [0.2, 0.6, 0.2]


def test_a_class_balance_goes_before_gold_labels():
    assert fit(Y_dev=[0, 1, 2], class_balance=[0.5, 0.3, 0.2]).class_balance.tolist() == [0.5, 0.3, 0.2]


def test_gold_labels_that_miss_a_class_are_refused_by_name():
    with pytest.raises(ClassBalanceError, match=r"class_balance is 0 for classes \[0, 2\];"):
        fit(Y_dev=[1, 1, -1])


@pytest.mark.parametrize("gold", [[], [-1, -1]])
def test_gold_labels_that_are_all_unknown_are_refused(gold):
    with pytest.raises(ClassBalanceError, match="Y_dev has no known label"):
        fit(Y_dev=gold)


@pytest.mark.parametrize(
    ("gold", "found"),
    [([0, 3], "3"), ([0, -2], "-2"), ([0, 0.5], "0.5"), ([0, np.nan], "nan"), ([0, np.inf], "inf")],
)
def test_gold_labels_out_of_range_are_refused(gold, found):
    with pytest.raises(ClassBalanceError) as caught:
        fit(Y_dev=gold)
    assert str(caught.value).endswith(f"from -1 (unknown) to 2, got {found}")


def test_gold_labels_that_are_no_numbers_are_refused():
    with pytest.raises(ClassBalanceError, match=r"Y_dev must hold integers .* got dtype <U3"):
        fit(Y_dev=["cat", "dog"])


# Settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimizer": "rmsprop"},
            "Unrecognized optimizer option 'rmsprop', expected 'sgd', 'adam', 'adamax' or 'adamw'",
        ),
        (
            {"lr_scheduler": "cosine"},
            "Unrecognized lr scheduler option 'cosine', expected 'constant', 'linear'",
        ),
        ({"mu_clamp": "never"}, "Unrecognized mu clamp option 'never', expected 'step' or 'final'"),
        ({"n_epochs": 0}, "n_epochs: Input should be greater than or equal to 1, got 0"),
        ({"n_epochs": 1.5}, "n_epochs: Input should be a valid integer"),
        ({"lr": 0}, "lr: Input should be greater than 0, got 0"),
        ({"lr": np.inf}, "lr: Input should be a finite number, got inf"),
        ({"l2": -1}, "l2: Input should be greater than or equal to 0, got -1"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0, got -1"),
        ({"seed": 2**32}, "seed: Input should be less than 4294967296, got 4294967296"),
        ({"log_freq": 0}, "log_freq: Input should be greater than or equal to 1, got 0"),
        ({"mu_eps": 0}, "mu_eps: Input should be greater than 0, got 0"),
        ({"mu_eps": 0.5}, "mu_eps: Input should be less than 0.5, got 0.5"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(SettingsError) as caught:
        fit(**options)
    assert str(caught.value).startswith("LabelModel.fit: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("precisions", [[0.7] * 3, [0.7] * 5, np.full(3, 0.7)])
def test_initial_precisions_of_another_length_are_refused(precisions):
    with pytest.raises(
        SettingsError, match=f"prec_init must have shape 4, one value per LF, got {len(precisions)}"
    ):
        fit(prec_init=precisions)


@pytest.mark.parametrize("precision", [0.0, -0.1, 1.1, [0.7, 0.0, 0.7, 0.7], [0.7, 1.5, 0.7, 0.7]])
def test_initial_precisions_out_of_range_are_refused(precision):
    with pytest.raises(SettingsError) as caught:
        fit(prec_init=precision)
    assert str(caught.value) == f"LabelModel.fit: prec_init: must be precisions in (0, 1], got {precision}"


def test_an_initial_precision_that_is_not_a_number_is_refused():
    with pytest.raises(SettingsError, match=r"LabelModel.fit: prec_init.*finite number, got nan"):
        fit(prec_init=np.nan)


def test_an_unknown_setting_is_refused():
    with pytest.raises(TypeError, match="n_epoch"):
        fit(n_epoch=3)


@pytest.mark.parametrize("kind", [np.array, list, tuple])
def test_initial_precisions_per_lf_come_in_any_container(kind):
    values = [0.6, 0.7, 0.8, 0.9]
    assert np.array_equal(fit(prec_init=kind(values)).mu, fit(prec_init=values).mu)


def test_numpy_numbers_are_settings_too():
    options = {
        "n_epochs": np.int64(20),
        "lr": np.float64(0.05),
        "prec_init": np.float32(0.5),
        "seed": np.int32(3),
    }
    assert np.array_equal(fit(**options).mu, fit(n_epochs=20, lr=0.05, prec_init=0.5, seed=3).mu)


# State


def test_a_loss_that_is_not_finite_names_the_epoch():
    with pytest.raises(
        TrainingError,
        match=r"^Loss is NaN\. Consider reducing learning rate\. \(epoch 1: loss (inf|nan), lr ",
    ):
        fit(lr=1e200, mu_clamp="final")


def test_a_failed_fit_leaves_the_model_as_it_was():
    model = fit()
    mu = model.mu
    with pytest.raises(TrainingError):
        model.fit(VOTES, progress_bar=False, lr=1e200, mu_clamp="final")
    assert model.mu is mu
    assert len(model.history_) == 100


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(VOTES),
        lambda model: model.predict_proba(VOTES),
        lambda model: model.score(VOTES, [0, 0, 0, 0]),
        lambda model: model.get_weights(),
        lambda model: model.get_conditional_probs(),
        lambda model: model.save("memory://unfitted/model"),
    ],
    ids=["predict", "predict_proba", "score", "get_weights", "get_conditional_probs", "save"],
)
@pytest.mark.parametrize("kind", [NotFittedError, ValueError, AttributeError])
def test_a_model_that_is_not_fitted_says_so(use, kind):
    with pytest.raises(kind, match="this LabelModel is not fitted yet: call fit or load first"):
        use(LabelModel(3))


@pytest.mark.parametrize("cardinality", [1, 0, 40_000])
def test_a_number_of_classes_out_of_range_is_refused(cardinality):
    with pytest.raises(LabelMatrixError, match=f"cardinality must be from 2 to 32767, got {cardinality}"):
        LabelModel(cardinality)


def test_a_number_of_classes_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        LabelModel(2.5)
