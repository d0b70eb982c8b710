"""Votes, gold labels and settings that are no arrays: every function refuses them in plain words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.errors import InvalidInputError, LabelMatrixError, SettingsError
from ws_pipeline.labeling import (
    LabelMatrix,
    LabelModel,
    LFAnalysis,
    MajorityClassVoter,
    MajorityLabelVoter,
    RandomVoter,
    VoteCounts,
    filter_unlabeled_dataframe,
    generate_simple_label_matrix,
    synthetic_label_matrix,
)
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels

VOTES = np.array([[0, 0, 1, 1], [1, 1, 1, -1], [-1, 0, 1, 1], [1, 0, 0, 0]])
FRAME = pd.DataFrame({"text": list("wxyz")})
MODEL = LabelModel(2, verbose=False).fit(VOTES, progress_bar=False)

TAKE_VOTES = {
    "LabelMatrix": lambda votes: LabelMatrix(votes, 2),
    "VoteCounts": lambda votes: VoteCounts.from_votes(votes, 2),
    "fit": lambda votes: LabelModel(2, verbose=False).fit(votes, progress_bar=False),
    "predict": MODEL.predict,
    "predict_proba": MODEL.predict_proba,
    "score": lambda votes: MODEL.score(votes, [0, 1]),
    "vote": MajorityLabelVoter().predict_proba,
    "class": MajorityClassVoter().fit([0.5, 0.5]).predict,
    "chance": RandomVoter().predict,
    "analysis": LFAnalysis,
    "filter": lambda votes: filter_unlabeled_dataframe(FRAME[:2], [0, 1], votes),
    "labels": lambda votes: ProbabilisticLabels.from_votes(MajorityLabelVoter(), votes),
}
ODD_VOTES = {
    "ragged": (
        [[0, 1], [1]],
        r"votes: row 0 has 2 value\(s\), but row 1 has 1 value\(s\); give all rows the same",
    ),
    "one row": ([0, 1], r"the label matrix must have shape \[n, m\], got 1 dimension\(s\): \(2,\)"),
    "a Series": (pd.Series([0, 1]), r"must have shape \[n, m\], got 1 dimension\(s\): \(2,\)"),
    "a cube": ([[[0], [1]]], r"the label matrix must have shape \[n, m\], got 3 dimension\(s\): \(1, 2, 1\)"),
    "nothing": (None, r"must have shape \[n, m\], got 0 dimension\(s\)"),
    "missing": (
        [[0, None], [1, 1]],
        "got dtype object, with None in row 0, column 1; use -1 for abstain, then",
    ),
    "class names": (
        [["ham", "spam"]],
        "got dtype <U4, with 'ham' in row 0, column 0; map class names to 0..k-1",
    ),
    "objects": (np.array([[0, 1]], dtype=object), r"got dtype object; convert with L.astype\(int\)"),
    "masks": (
        [[True, False]],
        r"got dtype bool, which cannot abstain; .* or np.where\(L, 1, -1\) if False abstains",
    ),
    "fractions": ([[0.5, 1]], "LF 'lf_0' votes 0.5 on example 0, expected an integer from -1"),
}


@pytest.mark.parametrize("take", TAKE_VOTES.values(), ids=TAKE_VOTES)
@pytest.mark.parametrize(("votes", "message"), ODD_VOTES.values(), ids=ODD_VOTES)
def test_odd_votes_are_refused_by_all_that_look_at_them(take, votes, message):
    blind = take in (TAKE_VOTES["class"], TAKE_VOTES["chance"])
    if blind and "LF 'lf_0'" in message:
        pytest.skip("looks at the number of rows only")
    if "LF 'lf_0'" in message:
        votes = np.repeat(votes, 2, axis=0)[:, [0, 1, 1, 1]]
    with pytest.raises(LabelMatrixError, match=message):
        take(votes)


def test_missing_votes_in_an_array_are_refused_with_what_to_do():
    with pytest.raises(
        LabelMatrixError, match=r"votes nan on example 0.*; in an array, use -1 for missing votes"
    ):
        LabelMatrix([[0, np.nan]], 2)


TAKE_GOLD = {
    "score": lambda gold: MODEL.score(VOTES, gold),
    "vote": lambda gold: MajorityLabelVoter().score(VOTES, gold),
    "accuracies": LFAnalysis(VOTES).lf_empirical_accuracies,
    "probabilities": lambda gold: LFAnalysis(VOTES).lf_empirical_probs(gold, 2),
    "summary": LFAnalysis(VOTES).lf_summary,
    "fit": lambda gold: LabelModel(2, verbose=False).fit(VOTES, gold, progress_bar=False),
}


@pytest.mark.parametrize("take", TAKE_GOLD.values(), ids=TAKE_GOLD)
@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([[0, 1], [1], [0], [1]], r"row 0 has 2 value\(s\), but row 1 has 1 value\(s\)"),
        (["ham", "spam", "ham", "ham"], r"(integer labels of shape|must hold integers).*<U4"),
        ([0, None, 1, 1], r"(integer labels of shape|must hold integers).*object"),
    ],
)
def test_odd_gold_is_refused_by_all_that_look_at_it(take, gold, message):
    with pytest.raises(InvalidInputError, match=message):
        take(gold)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: synthetic_label_matrix([[0.5], [0.5, 0.5]], 1.0),
            r"accuracies: row 0 has 1 value\(s\), but row 1",
        ),
        (
            lambda: synthetic_label_matrix(["high"], 1.0),
            r"accuracies must be numbers from 0 to 1, got \['high'\]",
        ),
        (
            lambda: synthetic_label_matrix([0.5], {"a": 1}),
            r"coverages must be numbers from 0 to 1, got {'a': 1}",
        ),
        (
            lambda: filter_unlabeled_dataframe(FRAME, [[0], [1, 1], [0], [1]], VOTES),
            r"y: row 0 has 1 value\(s\), but",
        ),
    ],
)
def test_odd_numbers_are_refused(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_generated_matrices_are_as_before():
    assert generate_simple_label_matrix(5, 3, 2, seed=0)[2].shape == (5, 3)


# What goes by the names of LFs


@pytest.mark.parametrize("make", [dict, pd.Series])
def test_initial_precisions_by_name_are_brought_to_the_order_of_the_lfs(make):
    table = pd.DataFrame(VOTES, columns=list("abcd"))
    fit = LabelModel(2, verbose=False).fit
    by_name = fit(
        table, prec_init=make({"d": 0.9, "c": 0.8, "b": 0.7, "a": 0.6}), progress_bar=False
    ).mu.copy()
    assert np.array_equal(by_name, fit(table, prec_init=[0.6, 0.7, 0.8, 0.9], progress_bar=False).mu)
    with pytest.raises(
        SettingsError, match=r"prec_init must have a value for each LF, missing \['d'\], unknown \['e'\]"
    ):
        fit(table, prec_init=make({"e": 0.9, "c": 0.8, "b": 0.7, "a": 0.6}), progress_bar=False)


def test_weights_of_other_lfs_are_refused_and_numbered_ones_are_in_order():
    analysis = LFAnalysis(pd.DataFrame(VOTES, columns=list("abcd")))
    weights = analysis.lf_summary(est_weights=pd.Series([0.1, 0.2, 0.3, 0.4]))["Learned Weight"]
    assert weights.tolist() == [0.1, 0.2, 0.3, 0.4]
    with pytest.raises(
        LabelMatrixError, match=r"est_weights must have a value for each LF, missing \['d'\], unknown \['e'\]"
    ):
        analysis.lf_summary(est_weights=pd.Series({"a": 0.1, "b": 0.2, "c": 0.3, "e": 0.4}))


class Named:
    """As much of a labeling function as an analysis needs."""

    def __init__(self, name):
        self.name = name


def test_ragged_weights_are_refused():
    with pytest.raises(
        LabelMatrixError, match=r"est_weights: row 0 has 1 value\(s\), but row 1 has 2 value\(s\)"
    ):
        LFAnalysis(VOTES).lf_summary(est_weights=[[0.1], [0.2, 0.3], [0.4], [0.5]])


def test_votes_with_names_are_matched_to_the_functions():
    frame = pd.DataFrame(VOTES, columns=list("abcd"))
    summary = LFAnalysis(frame, [Named(name) for name in "dbca"]).lf_summary()
    pd.testing.assert_frame_equal(
        summary.drop(columns="j").loc[list("abcd")], LFAnalysis(frame).lf_summary().drop(columns="j")
    )
    with pytest.raises(
        LabelMatrixError, match=r"LFs of L differ from those of lfs: missing \['e'\], unknown \['d'\]"
    ):
        LFAnalysis(frame, [Named(name) for name in "abce"])


@pytest.mark.parametrize("names", [["a"], ["a", "b", "a", "c"], list("abcde")])
def test_names_of_counts_have_to_fit(names):
    with pytest.raises(LabelMatrixError, match=r"lf_names has|must be unique"):
        VoteCounts.from_votes(VOTES, 2, names)


# Data points and votes


IDS = [7, 3, 9, 5]


@pytest.mark.parametrize("as_index", [False, True])
def test_data_points_and_votes_of_the_same_examples_are_filtered(as_index):
    points = FRAME.assign(example_id=IDS)
    points = points.set_index("example_id") if as_index else points
    votes = np.where(np.arange(4)[:, None] == 1, -1, VOTES)
    kept, labels = filter_unlabeled_dataframe(points, [0, 1, 2, 3], LabelMatrix(votes, 2, IDS))
    assert (kept["text"].tolist(), labels.tolist()) == (["w", "y", "z"], [0, 2, 3])
    with pytest.raises(LabelMatrixError, match=r"in another order: in row 0 X has example 7, L has 5"):
        filter_unlabeled_dataframe(points, [0, 1, 2, 3], LabelMatrix(votes, 2, IDS[::-1]))


def test_triples_need_data_points_with_ids():
    table = pd.DataFrame({"task": IDS, "worker": "a", "label": [0, -1, 1, 0]})
    kept, _ = filter_unlabeled_dataframe(FRAME.assign(example_id=IDS), [0, 1, 2, 3], table)
    assert kept["text"].tolist() == ["w", "y", "z"]
    with pytest.raises(LabelMatrixError, match="X needs a column or an index 'example_id'"):
        filter_unlabeled_dataframe(FRAME, [0, 1, 2, 3], table)
