"""Gold labels in every form, and gold labels that are among the votes."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ws_pipeline.errors import ClassBalanceError, GoldVotesWarning, InvalidInputError
from ws_pipeline.labeling import LabelMatrix, LabelModel, LFAnalysis, MajorityClassVoter, VoteCounts
from ws_pipeline.labeling.votes.gold_counts import read_gold
from ws_pipeline.labeling.votes.lf_analysis import lf_summary

RNG = np.random.default_rng(3)
GOLD = RNG.integers(0, 2, 400)
VOTES = np.where(RNG.random((400, 4)) < 0.8, GOLD[:, None], 1 - GOLD[:, None])
VOTES[RNG.random(VOTES.shape) < 0.3] = -1
NAMES = ["a", "b", "c", "d"]
THREE = RNG.integers(0, 3, 400)
VOTES_OF_THREE = np.where(RNG.random((400, 4)) < 0.7, THREE[:, None], RNG.integers(-1, 3, (400, 4)))


# Forms

KNOWN = [1, -1, 0, 1, 2, -1]
MISSING = [1, None, 0, 1, 2, None]
FORMS = {
    "list": KNOWN,
    "column": np.array(KNOWN)[:, None],
    "floats": np.array(KNOWN, dtype=float),
    "Series": pd.Series(KNOWN, index=list("uvwxyz")),
    "Series with NaN": pd.Series(MISSING, dtype=float),
    "Series with NA": pd.Series(MISSING, dtype="Int64"),
    "Series of objects": pd.Series(MISSING, dtype=object),
    "Series of categories": pd.Series(KNOWN, dtype="category"),
    "array of pandas": pd.array(MISSING, dtype="Int8"),
    "Index": pd.Index(KNOWN),
    "Arrow": pa.array(MISSING),
    "Arrow in chunks": pa.chunked_array([[1, None, 0], [1, 2, None]]),
    "Arrow decimals": pa.array(MISSING).cast(pa.decimal128(20)),
}
every_form = pytest.mark.parametrize("gold", FORMS.values(), ids=FORMS)


@every_form
def test_gold_labels_of_every_form(gold):
    labels = read_gold(gold)
    assert (labels.tolist(), labels.dtype) == (KNOWN, np.int64)


@every_form
def test_gold_labels_of_every_form_are_taken_everywhere(gold):
    votes = np.array([[1, 0, 2, -1]] * 6)
    expected = LFAnalysis(votes).lf_summary(KNOWN)
    assert LFAnalysis(votes).lf_summary(gold).equals(expected)
    model = LabelModel(3, verbose=False).fit(VOTES_OF_THREE, gold, progress_bar=False)
    assert model.class_balance.tolist() == [0.25, 0.5, 0.25]
    assert model.score(votes, gold) == model.score(votes, KNOWN)


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        (["cat", "dog"], "gold labels must be integer labels of shape"),
        (pd.Series(["cat", "dog"]), "gold labels must be integer labels of shape"),
        (pd.Series([1, "dog", None]), "gold labels must be integer labels of shape"),
        ([[0, 1], [1]], r"gold labels: row 0 has 2 value\(s\), but row 1 has 1 value\(s\)"),
        ([0, None], r"gold labels must be integer labels of shape .*, got object"),
        (np.array([0, np.nan]), "non-integer value: nan in row 1"),
        (pd.Series([0.5, None]), "non-integer value: 0.5 in row 0"),
        (np.zeros((2, 2, 2)), r"got float64 of shape \[2, 2, 2\]"),
    ],
)
def test_what_is_no_gold_is_refused(gold, message):
    with pytest.raises(InvalidInputError, match=message):
        read_gold(gold)


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([[0, 1], [1]], r"Y_dev: row 0 has 2 value\(s\), but row 1 has 1 value\(s\)"),
        (pd.Series(["cat", "dog"]), "Y_dev must hold integers .* got dtype"),
        ([0, None], "Y_dev must hold integers .* got dtype object"),
        (pd.Series([0, 7, None]), "got 7.0"),
    ],
)
def test_what_is_no_gold_is_refused_by_the_fit(gold, message):
    with pytest.raises(ClassBalanceError, match=message):
        LabelModel(2, verbose=False).fit(VOTES, gold, progress_bar=False)


# Class balance


@pytest.mark.parametrize(
    "balance",
    [
        pd.Series([2, 1, 1, 1, 0, 1, 1, 2, 0, 1]).value_counts(normalize=True),
        {2: 0.2, 0: 0.2, 1: 0.6},
        {1.0: 0.6, 0.0: 0.2, 2.0: 0.2},
        pd.Series([0.2, 0.6, 0.2]),
    ],
    ids=["value_counts", "dict", "floats", "Series"],
)
def test_a_class_balance_by_class_is_brought_to_the_order_of_the_classes(balance):
    model = LabelModel(3, verbose=False).fit(VOTES_OF_THREE, class_balance=balance, progress_bar=False)
    assert model.class_balance.tolist() == [0.2, 0.6, 0.2]
    assert MajorityClassVoter(3).fit(balance).balance.tolist() == [0.2, 0.6, 0.2]


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ({0: 0.5, 2: 0.5}, r"class_balance must have a value for each class, missing \[1\], unknown \[\]"),
        (pd.Series({"ham": 0.9, "spam": 0.1}), r"missing \[0, 1, 2\], unknown \['ham', 'spam'\]"),
        (["a", "b", "c"], r"class_balance must be 3 numbers, got \['a', 'b', 'c'\]"),
        ([[0.5], [0.5, 0.1]], r"class_balance: row 0 has 1 value\(s\), but row 1 has 2 value\(s\)"),
    ],
)
def test_what_is_no_class_balance_is_refused(balance, message):
    for take in (MajorityClassVoter(3).fit, lambda given: LabelModel(3).fit(VOTES, class_balance=given)):
        with pytest.raises(ClassBalanceError, match=message):
            take(balance)


# Gold labels among the votes


def with_gold(n_known, covered=1.0, seed=0):
    """Votes with a further LF 'leak' that equals gold, and gold that is known for some examples only."""
    rng = np.random.default_rng(seed)
    leak = np.where(rng.random(400) < covered, GOLD, -1)
    gold = np.where(np.arange(400) < n_known, GOLD, -1)
    return LabelMatrix(np.column_stack([VOTES, leak]), 2, None, [*NAMES, "leak"]), gold


def both_summaries(matrix, gold):
    return [
        lambda: LFAnalysis(matrix).lf_summary(gold),
        lambda: lf_summary(VoteCounts.from_label_matrix(matrix), matrix=matrix, gold=gold),
    ]


@pytest.mark.parametrize(("n_known", "covered"), [(400, 1.0), (20, 1.0), (100, 0.7), (400, 0.4)])
def test_an_lf_that_equals_gold_is_warned_of_by_name(n_known, covered):
    matrix, gold = with_gold(n_known, covered)
    judged = int(((matrix.votes[:, 4] != -1) & (gold != -1)).sum())
    for summarise in both_summaries(matrix, gold):
        with pytest.warns(GoldVotesWarning) as caught:
            summarise()
        message = (
            f"equal to gold on every example where both are known: 'leak' ({judged} examples); if these are "
            "gold labels and no LFs, leave them out of the votes: they make every score perfect"
        )
        assert [str(warning.message) for warning in caught] == [message]
        assert caught[0].filename == __file__


def test_of_many_lfs_that_equal_gold_ten_are_named():
    votes = np.repeat(GOLD[:, None], 12, axis=1)
    with pytest.warns(GoldVotesWarning, match=r"'9' \(400 examples\) and 2 more; if") as caught:
        LFAnalysis(votes).lf_summary(GOLD)
    assert "'10'" not in str(caught[0].message)


def spoil(matrix, gold):
    votes = matrix.votes.copy()
    votes[5, 4] = 1 - gold[5]
    return LabelMatrix(votes, 2, None, matrix.lf_names), gold


def keep_one_class(matrix, gold):
    votes = matrix.votes.copy()
    votes[votes[:, 4] == 1, 4] = -1
    return LabelMatrix(votes, 2, None, matrix.lf_names), gold


@pytest.mark.parametrize(
    ("matrix", "gold"),
    [
        spoil(*with_gold(400)),
        keep_one_class(*with_gold(400)),
        with_gold(19),
        with_gold(400, 0.1),
        with_gold(0),
        (LabelMatrix(VOTES, 2), GOLD),
    ],
    ids=["one wrong vote", "one class", "few with gold", "few votes", "no gold", "no leak"],
)
def test_an_lf_that_may_as_well_be_good_is_not_warned_of(matrix, gold):
    for summarise in both_summaries(matrix, gold):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            summarise()
