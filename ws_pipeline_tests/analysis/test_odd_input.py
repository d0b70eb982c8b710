"""Labels and probabilities that are no arrays: every function refuses them in plain words."""

from __future__ import annotations

import pandas as pd
import pytest

from ws_pipeline.analysis import (
    Scorer,
    get_label_buckets,
    get_label_instances,
    metric_score,
    preds_to_probs,
    probs_to_preds,
)
from ws_pipeline.errors import InvalidInputError

RAGGED = [[0, 1], [1]]
FOUND = r"row 0 has 2 value\(s\), but row 1 has 1 value\(s\); give all rows the same length"
LABELS = [0, 1]
PROBS = [[0.5, 0.5], [0.2, 0.8]]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("probs", lambda: probs_to_preds(RAGGED)),
        ("keys", lambda: probs_to_preds(PROBS, keys=RAGGED)),
        ("preds", lambda: preds_to_probs(RAGGED, 2)),
        ("label array 1", lambda: get_label_buckets(LABELS, RAGGED)),
        ("x", lambda: get_label_instances((0,), RAGGED, LABELS)),
        ("label array 0", lambda: get_label_instances((0,), LABELS, RAGGED)),
        ("metric 'accuracy': golds", lambda: metric_score(RAGGED, LABELS)),
        ("metric 'accuracy': preds", lambda: metric_score(LABELS, RAGGED)),
        ("metric 'roc_auc': probs", lambda: metric_score(LABELS, probs=RAGGED, metric="roc_auc")),
        ("metric 'f1': probs", lambda: metric_score(LABELS, LABELS, RAGGED, metric="f1")),
        ("golds", lambda: Scorer(["accuracy"]).score(RAGGED, LABELS)),
        ("preds", lambda: Scorer(["accuracy"]).score(LABELS, RAGGED)),
        ("probs", lambda: Scorer(["accuracy"]).score(LABELS, LABELS, RAGGED)),
        ("slice 's'", lambda: Scorer(["accuracy"]).score_slices({"s": RAGGED}, LABELS, LABELS, None)),
    ],
)
def test_ragged_input_is_refused_by_name(name, call):
    with pytest.raises(InvalidInputError, match=f"{name}: {FOUND}"):
        call()


def test_probabilities_that_are_text_are_refused():
    with pytest.raises(InvalidInputError, match=r"probs must be numbers, got <U3, such as .*'0.5'"):
        probs_to_preds([["0.5", "0.5"]])


MISSING = pd.Series([1, None], dtype="Int64")


@pytest.mark.parametrize(
    "call",
    [
        lambda: preds_to_probs(MISSING, 2),
        lambda: get_label_buckets(MISSING),
        lambda: metric_score(MISSING, LABELS),
        lambda: metric_score(pd.Series([True, None], dtype="boolean"), LABELS),
        lambda: metric_score(pd.array([1, None], dtype="Int8"), LABELS),
    ],
)
def test_a_missing_label_is_no_class(call):
    with pytest.raises(InvalidInputError, match=r"got nan in row 1|non-integer value: nan in row 1"):
        call()


@pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "int8", "category"])
def test_labels_of_every_type_of_pandas_are_labels(kind):
    labels = pd.Series([1, 0, 1]).astype("boolean" if kind == "boolean" else kind)
    assert metric_score(labels, [1, 0, 0]) == pytest.approx(2 / 3)
    assert preds_to_probs(labels, 2).tolist() == [[0, 1], [1, 0], [0, 1]]
