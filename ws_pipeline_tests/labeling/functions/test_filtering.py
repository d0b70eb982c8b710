"""Examples without votes are left out."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.labeling import LabelMatrix, filter_unlabeled_dataframe

VOTES = np.array([[0, -1], [-1, -1], [-1, 1], [-1, -1]])
FRAME = pd.DataFrame({"text": list("abcd")}, index=[7, 7, 8, 9])
PROBS = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.5, 0.5]])


@pytest.mark.parametrize(
    "votes", [VOTES, VOTES.tolist(), LabelMatrix(VOTES, 2), np.asfortranarray(VOTES, np.int8)]
)
def test_rows_without_votes_are_left_out_of_both(votes):
    frame, probs = filter_unlabeled_dataframe(FRAME, PROBS, votes)
    assert frame["text"].tolist() == ["a", "c"]
    assert frame.index.tolist() == [7, 8]
    assert probs.tolist() == [[0.9, 0.1], [0.2, 0.8]]


def test_labels_may_be_a_vector():
    assert filter_unlabeled_dataframe(FRAME, [3, 4, 5, 6], VOTES)[1].tolist() == [3, 5]


@pytest.mark.parametrize("kept", [0, 4])
def test_none_or_all_may_have_votes(kept):
    frame, probs = filter_unlabeled_dataframe(FRAME, PROBS, np.full((4, 2), 0 if kept else -1))
    assert (len(frame), probs.shape) == (kept, (kept, 2))


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    votes=hnp.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.integers(-1, 3))
)
def test_the_rows_are_those_of_snorkel(votes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snorkel = pytest.importorskip("snorkel.labeling")
    frame = pd.DataFrame({"row": np.arange(len(votes))})
    probs = np.arange(2.0 * len(votes)).reshape(-1, 2)
    found, expected = (
        f(frame, probs, votes) for f in (filter_unlabeled_dataframe, snorkel.filter_unlabeled_dataframe)
    )
    pd.testing.assert_frame_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_other_lengths_are_refused():
    with pytest.raises(LabelMatrixError, match="X has 4 rows, y has 3 and L has 4, expected the same number"):
        filter_unlabeled_dataframe(FRAME, PROBS[:3], VOTES)


def test_missing_votes_are_no_votes_to_guess():
    with pytest.raises(LabelMatrixError, match="LF 'lf_1' votes nan on example 1"):
        filter_unlabeled_dataframe(
            FRAME, PROBS, np.where(VOTES == 1, 1, [[0, 0], [-1, np.nan], [0, 0], [0, 0]])
        )
