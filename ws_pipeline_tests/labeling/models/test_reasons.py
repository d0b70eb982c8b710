"""Why labels are what they are: contradicted votes, the least sure labels, what to label next."""

from __future__ import annotations

import numpy as np
import pytest

from ws_pipeline.labeling import AutoLabelModel, LabelMatrix, LabelModel, MajorityLabelVoter, VotePatterns
from ws_pipeline.labeling.models.label_next import label_next
from ws_pipeline.labeling.models.reasons import contradicted_votes, least_sure
from ws_pipeline.labeling.votes.distinct_rows import number_rows

CLASSES = ["ham", "spam"]


def contradicted():
    """Votes among which a single vote of the first LF for spam is mostly wrong, as gold labels show."""
    rng = np.random.default_rng(0)
    gold = (rng.random(1000) < 0.2).astype(int)
    votes = np.full((1000, 4), -1)
    votes[:, 0] = np.where(rng.random(1000) < 0.3, 1, -1)
    for lf in (1, 2, 3):
        votes[:, lf] = np.where(rng.random(1000) < 0.4, np.where(rng.random(1000) < 0.9, gold, 1 - gold), -1)
    return votes, gold


@pytest.mark.parametrize("width", [0, 300])
def test_unanimous_votes_that_are_contradicted_are_listed_with_their_reason(width):
    votes, gold = contradicted()
    votes = np.column_stack([votes, np.full((1000, width), -1)])
    model = AutoLabelModel(2, ["lift_dawid_skene"]).fit(votes, np.where(np.arange(1000) < 150, gold, -1))
    patterns = VotePatterns.from_votes(votes, 2)
    rows = contradicted_votes(model, patterns, CLASSES).to_pylist()
    labels = model.predict_proba(votes).argmax(axis=1)
    alone = (votes[:, 0] == 1) & (votes[:, 1:] < 0).all(axis=1)
    assert (labels[alone] == 0).all()
    (row,) = [row for row in rows if row["votes"] == "lf_0=spam"]
    assert row["n_examples"] == alone.sum()
    assert row["label"] == "ham"
    assert row["confidence"] == pytest.approx(model.predict_proba(votes[alone]).max())
    assert row["reason"].startswith("for ham speaks: ")
    assert sum(row["n_examples"] for row in rows) == model.comparison_[0].unanimous_contradicted
    assert contradicted_votes(model, patterns, CLASSES, max_rows=0).num_rows == 0


def test_the_plain_vote_contradicts_nothing():
    votes, _ = contradicted()
    model = AutoLabelModel(2, ["majority"]).fit(votes)
    assert contradicted_votes(model, VotePatterns.from_votes(votes, 2), CLASSES).num_rows == 0
    table = least_sure(model, LabelMatrix(votes, 2), MajorityLabelVoter(2).predict_proba(votes), CLASSES)
    assert table["log_odds"].null_count == table.num_rows == 100


@pytest.mark.parametrize("kind", ["lift_dawid_skene", "dawid_skene", "matrix_completion"])
def test_the_least_sure_labels_are_taken_apart(kind):
    votes, gold = contradicted()
    matrix = LabelMatrix(votes, 2, [f"mail {i}" for i in range(1000)], ["a", "b", "c", "d"])
    model = AutoLabelModel(2, [kind]).fit(matrix, np.where(np.arange(1000) < 300, gold, -1))
    probs = model.predict_proba(matrix)
    table = least_sure(model, matrix, probs, CLASSES, max_rows=40)
    covered = matrix.covered
    assert table.num_rows == 40
    assert max(table["confidence"].to_pylist()) <= np.sort(probs[covered].max(axis=1))[40]
    names = ["prior", *(f"log-odds of {lf}" for lf in "abcd")]
    for row in table.to_pylist():
        place = int(row["example_id"].removeprefix("mail "))
        label, other = CLASSES.index(row["label"]), CLASSES.index(row["runner_up"])
        assert covered[place]
        assert row["confidence"] == pytest.approx(probs[place, label])
        assert row["log_odds"] == pytest.approx(np.log(probs[place, label] / probs[place, other]))
        assert row["log_odds"] == pytest.approx(sum(row[name] for name in names))
        said = dict(vote.split("=") for vote in row["votes"].split(", "))
        assert said == {matrix.lf_names[j]: CLASSES[v] for j, v in enumerate(votes[place]) if v >= 0}


def test_matrix_completion_explains_its_labels():
    votes, _ = contradicted()
    model = LabelModel(2, verbose=False).fit(votes, progress_bar=False)
    logits = model.explain(votes).logits
    expected = model.predict_proba(votes)
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), expected)


def test_what_to_label_next_is_unsure_and_frequent_and_seen_differently_by_the_end_model():
    votes = np.array([[0, 1], [0, 1], [0, 1], [0, 0], [1, 0], [-1, -1], [1, 1]])
    probs = np.array([[0.5, 0.5]] * 3 + [[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])
    askable = np.array([False, True, True, True, True, True, False])
    matrix = LabelMatrix(votes, 2)
    found = label_next(matrix, probs, CLASSES, askable=askable).to_pylist()
    assert [row["example_id"] for row in found] == [1, 4, 3]
    assert found[0]["score"] == pytest.approx(3 * np.log(2))
    assert [row["n_same_votes"] for row in found] == [3, 1, 1]
    assert found[1]["entropy"] == pytest.approx(-(0.6 * np.log(0.6) + 0.4 * np.log(0.4)))
    end_model = np.array([[0.5, 0.5], [0.5, 0.5], [0.6, 0.4], [0.1, 0.9], [0.6, 0.4], [1, 0], [0, 1]])
    told = label_next(matrix, probs, CLASSES, askable=askable, end_model_probs=end_model).to_pylist()
    assert [row["example_id"] for row in told] == [3, 2]  # on the others both agree
    assert told[1]["score"] == pytest.approx(3 * np.log(2) * 0.1)
    assert told[0]["disagreement"] == pytest.approx(0.8)
    assert (told[0]["label"], told[0]["end_model_label"]) == ("ham", "spam")
    assert len(label_next(matrix, probs, CLASSES, askable=askable, max_rows=1)) == 1


def test_there_may_be_nothing_to_label():
    matrix = LabelMatrix(np.array([[0, 1], [-1, -1]]), 2)
    table = label_next(matrix, np.full((2, 2), 0.5), CLASSES, askable=np.array([False, True]))
    assert table.num_rows == 0
    assert table.column_names[:2] == ["example_id", "score"]


@pytest.mark.parametrize(("m", "k"), [(3, 2), (45, 2), (70, 30)])
def test_rows_have_the_same_number_if_they_are_equal(m, k):
    rng = np.random.default_rng(0)
    distinct = rng.integers(-1, k, (40, m)).astype(np.int8)
    votes = distinct[rng.integers(40, size=500)]
    numbers = number_rows(votes, k)
    assert len(set(numbers.tolist())) == len({row.tobytes() for row in votes}) == numbers.max() + 1
    for number in range(numbers.max() + 1):
        rows = votes[numbers == number]
        assert (rows == rows[0]).all()


def test_of_many_lfs_those_that_add_nothing_to_the_least_sure_labels_have_no_column():
    votes, _ = contradicted()
    wide = np.column_stack([votes, np.full((1000, 300), -1)])
    narrow, many = LabelMatrix(votes, 2), LabelMatrix(wide, 2)
    model = AutoLabelModel(2, ["dawid_skene"]).fit(many)
    table = least_sure(model, many, model.predict_proba(many), CLASSES, max_rows=40)
    names = [name for name in table.column_names if name.startswith("log-odds of")]
    assert names == [f"log-odds of lf_{lf}" for lf in range(4)]
    parts = np.column_stack([table[name].to_numpy() for name in ("prior", *names)])
    np.testing.assert_allclose(parts.sum(axis=1), table["log_odds"].to_numpy())
    voted = [row["votes"] for row in table.to_pylist()]
    alone = AutoLabelModel(2, ["dawid_skene"]).fit(narrow)
    found = least_sure(alone, narrow, alone.predict_proba(narrow), CLASSES, max_rows=40)
    assert voted == found["votes"].to_pylist()
    plain = AutoLabelModel(2, ["majority"]).fit(many)
    assert least_sure(plain, many, plain.predict_proba(many), CLASSES).column_names[-2:] == [
        "log_odds",
        "prior",
    ]
