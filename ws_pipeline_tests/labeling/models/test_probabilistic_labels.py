"""ProbabilisticLabels: made from votes, written to a table, read again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_pipeline.errors import ExampleIdError
from ws_pipeline.labeling import LabelMatrix, LabelModel, MajorityLabelVoter
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.storage.files import read_parquet, write_parquet

FIXED = settings(deadline=None, derandomize=True, database=None, max_examples=40)
MATRIX = LabelMatrix([[0, 0, 1], [-1, -1, -1], [0, 1, -1], [1, 1, 1]], 2, ["d", "a", "c", "b"])


def random_labels(n, k, ids):
    rng = np.random.default_rng(n + k)
    return ProbabilisticLabels(ids, rng.dirichlet(np.ones(k), n), rng.random(n) < 0.7)


def assert_same(left, right):
    assert left.example_ids.tolist() == right.example_ids.tolist()
    assert left.example_ids.dtype == right.example_ids.dtype
    assert left.probs.tolist() == right.probs.tolist()
    assert left.covered.tolist() == right.covered.tolist()
    assert left.labelled.tolist() == right.labelled.tolist()


def test_votes_become_labels_with_the_ids_of_the_examples():
    labels = ProbabilisticLabels.from_votes(MajorityLabelVoter(2), MATRIX)
    assert labels.example_ids.tolist() == ["d", "a", "c", "b"]
    assert labels.probs.tolist() == [[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]]
    assert labels.covered.tolist() == [True, False, True, True]


def test_examples_without_votes_and_ties_get_no_prediction():
    assert ProbabilisticLabels.from_votes(MajorityLabelVoter(2), MATRIX).predictions.tolist() == [
        0,
        -1,
        -1,
        1,
    ]


def test_an_example_without_votes_gets_no_prediction_from_an_unequal_class_balance():
    model = LabelModel(2, verbose=False).fit(MATRIX, class_balance=[0.8, 0.2], progress_bar=False)
    labels = ProbabilisticLabels.from_votes(model, MATRIX)
    assert labels.probs[1] == pytest.approx([0.8, 0.2])
    assert labels.predictions[1] == -1


def test_the_predictions_are_those_of_the_model():
    model = LabelModel(2, verbose=False).fit(MATRIX, progress_bar=False)
    assert (
        ProbabilisticLabels.from_votes(model, MATRIX).predictions.tolist() == model.predict(MATRIX).tolist()
    )


def test_the_table_has_one_column_per_class():
    table = ProbabilisticLabels.from_votes(MajorityLabelVoter(2), MATRIX).to_table()
    assert table.to_pydict() == {
        "example_id": ["d", "a", "c", "b"],
        "p_0": [1, 0.5, 0.5, 0],
        "p_1": [0, 0.5, 0.5, 1],
        "prediction": [0, -1, -1, 1],
        "covered": [True, False, True, True],
        "labelled": [True, False, True, True],
    }


def test_unsure_labels_may_be_left_out_of_the_training():
    labels = ProbabilisticLabels.from_votes(MajorityLabelVoter(2), MATRIX).for_training(min_confidence=0.6)
    assert labels.labelled.tolist() == [True, False, False, True]
    assert labels.covered.tolist() == [True, False, True, True]
    assert labels.predictions.tolist() == [0, -1, -1, 1]


def test_examples_without_votes_may_have_a_class():
    labels = ProbabilisticLabels.from_votes(MajorityLabelVoter(2), MATRIX).for_training(no_votes=1)
    assert labels.probs.tolist() == [[1, 0], [0, 1], [0.5, 0.5], [0, 1]]
    assert labels.labelled.tolist() == [True, True, True, True]
    assert labels.covered.tolist() == [True, False, True, True]
    assert labels.predictions.tolist() == [0, 1, -1, 1]


def test_a_table_of_an_older_version_is_trained_on_where_there_are_votes():
    table = ProbabilisticLabels.from_votes(MajorityLabelVoter(2), MATRIX).to_table()
    older = ProbabilisticLabels.from_table(table.drop_columns("labelled"))
    assert older.labelled.tolist() == older.covered.tolist()


def test_the_table_says_why_the_labels_are_those_of_the_plain_vote():
    labels = ProbabilisticLabels.from_votes(MajorityLabelVoter(2), MATRIX)
    assert ProbabilisticLabels.from_table(labels.to_table()).replaced == ""
    replaced = replace(labels, replaced="it lost")
    assert ProbabilisticLabels.from_table(replaced.to_table()).replaced == "it lost"


@FIXED
@given(st.integers(0, 20), st.integers(2, 12), st.booleans())
def test_labels_come_back_from_their_table(n, k, text):
    ids = np.array([f"id {i}" for i in range(n)], dtype=object) if text else np.arange(n)[::-1] - 3
    labels = random_labels(n, k, ids)
    assert_same(ProbabilisticLabels.from_table(labels.to_table()), labels)


def test_labels_come_back_from_a_parquet_file(tmp_path):
    labels = random_labels(30, 11, np.arange(30))
    write_parquet(labels.to_table(), tmp_path / "labels.parquet")
    assert_same(ProbabilisticLabels.from_table(read_parquet(tmp_path / "labels.parquet")), labels)


def test_a_table_with_repeated_ids_is_refused():
    table = random_labels(2, 3, np.array([5, 5])).to_table()
    with pytest.raises(ExampleIdError, match=r"probabilistic labels: .* the first: 5 \(2 times\)"):
        ProbabilisticLabels.from_table(table)
