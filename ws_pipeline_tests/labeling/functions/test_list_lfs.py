"""Labeling functions that return lists: what they say of one class, and what is no list."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import keyword_lf, labeling_function
from ws_pipeline.labeling.functions.apply_by_lf import apply_by_lf
from ws_pipeline.labeling.functions.apply_parallel import pack, unpack
from ws_pipeline.labeling.functions.lf_fingerprint import lf_fingerprint
from ws_pipeline.labeling.functions.list_lfs import on_label

CLASSES = ["sports", "politics", "tech"]


def ask(lf, label, *, is_complete=True, classes=CLASSES):
    return on_label(lf, label, classes=classes, is_complete=is_complete)


def answering(answer):
    return labeling_function("lf")(lambda x: answer)  # noqa: ARG005


@pytest.mark.parametrize(
    ("answer", "votes"),
    [
        (["sports", "tech"], [1, 0, 1]),
        (("tech",), [0, 0, 1]),
        ({0, 1}, [1, 1, 0]),
        (frozenset({"politics"}), [0, 1, 0]),
        (np.array([2, 0]), [1, 0, 1]),
        ([np.int64(1), 2.0], [0, 1, 1]),
        ([], [0, 0, 0]),
        ("tech", [0, 0, 1]),
        (1, [0, 1, 0]),
        (2.0, [0, 0, 1]),
        (-1, [-1, -1, -1]),
        (None, [-1, -1, -1]),
        (float("nan"), [-1, -1, -1]),
    ],
)
def test_an_answer_is_a_vote_on_each_class(answer, votes):
    lf = answering(answer)
    assert [ask(lf, label)("point") for label in range(3)] == votes
    partial = [1 if vote == 1 else -1 for vote in votes]
    assert [ask(lf, label, is_complete=False)("point") for label in range(3)] == partial


@pytest.mark.parametrize(
    "answer", [True, [True, False], 3, [-1], [0.5], "tec", ["tech", "tec"], {"tech": 1.5}, object]
)
def test_an_answer_that_is_no_list_of_classes_names_the_function(answer):
    with pytest.raises(
        LabelingFunctionError, match=r"^LF 'lf' returned .*, expected a list of classes, by their"
    ):
        ask(answering(answer), 0)("point")


def test_the_nearest_class_is_named():
    with pytest.raises(LabelingFunctionError, match=r"returned \['tec'\].* did you mean 'tech'\?"):
        ask(answering(["tec"]), 0)("point")


FRAME = pd.DataFrame({"text": ["a goal", "the vote on chips", "chips", "rain"]})


@labeling_function()
def by_row(x):
    return [name for word, name in (("goal", "sports"), ("vote", 1), ("chips", "tech")) if word in x.text]


@labeling_function(vectorized=True)
def at_once(df):
    return df["text"].map(lambda text: [2] if "chips" in text else None)


def test_functions_of_both_kinds_are_applied_as_others_are():
    lfs = [by_row, at_once, keyword_lf("goals", ["goal"], 0)]
    votes = [apply_by_lf([ask(lf, label) for lf in lfs], FRAME).votes for label in range(3)]
    assert [found["by_row"].tolist() for found in votes] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]]
    assert [found["at_once"].tolist() for found in votes] == [[-1, 0, 0, -1], [-1, 0, 0, -1], [-1, 1, 1, -1]]
    assert [found["goals"].tolist() for found in votes] == [[1, -1, -1, -1], [0, -1, -1, -1], [0, -1, -1, -1]]


def test_preprocessors_and_resources_stay():
    lf = labeling_function("lf", resources={"name": "tech"}, pre=[str.strip])(
        lambda text, name: [name] if text == "chips" else []
    )
    assert ask(lf, 2)(" chips ") == 1


def test_functions_travel_to_other_processes():
    lfs = unpack(pack([ask(lf, 2) for lf in (by_row, at_once)]))
    assert [found.tolist() for found in apply_by_lf(lfs, FRAME).votes.values()] == [
        [0, 1, 1, 0],
        [-1, 1, 1, -1],
    ]


def test_a_function_that_fails_is_told_with_the_example():
    @labeling_function()
    def wrong(x):
        return ["tech"] if x.text == "chips" else ["rain"]

    with pytest.raises(LabelingFunctionError, match=r"LF 'wrong' .* row 0.*returned \['rain'\]"):
        apply_by_lf([ask(wrong, 0)], FRAME)
    tolerant = apply_by_lf([ask(wrong, 2)], FRAME, fault_tolerant=True)
    assert (tolerant.votes["wrong"].tolist(), tolerant.faults["wrong"]) == ([-1, -1, 1, -1], 3)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([["tech"]], "returned list of length 1, expected 4 lists of classes, one per row"),
        (None, "returned NoneType, expected 4 lists"),
        (["tech", None, ["war"], None], r"returned \['war'\], expected a list .*\(position 2\)"),
    ],
)
def test_answers_of_a_vectorized_function_that_are_no_lists_are_refused(answers, said):
    lf = labeling_function("lf", vectorized=True)(lambda df: answers)  # noqa: ARG005
    with pytest.raises(LabelingFunctionError, match=said):
        ask(lf, 0)(FRAME)


@pytest.mark.parametrize("lf", [by_row, at_once], ids=["by_row", "at_once"])
def test_the_fingerprint_tells_the_question_and_the_function(lf):
    questions = [
        lf,
        ask(lf, 0),
        ask(lf, 1),
        ask(lf, 0, is_complete=False),
        ask(lf, 0, classes=CLASSES[::-1]),
        ask(answering([]), 0),
    ]
    assert len({lf_fingerprint(question) for question in questions}) == len(questions)
    assert lf_fingerprint(ask(lf, 0)) == lf_fingerprint(ask(lf, 0))
