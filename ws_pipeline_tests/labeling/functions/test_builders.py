"""Ready-made labeling functions, against loops over the rows."""

import re

import numpy as np
import pandas as pd
import pytest

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import (
    ProbabilisticLabels,
    keyword_lf,
    labels_lf,
    lookup_lf,
    model_lf,
    regex_lf,
    threshold_lf,
)
from ws_pipeline.labeling.functions.apply_by_lf import apply_by_lf
from ws_pipeline.labeling.functions.lf_fingerprint import lf_fingerprint

TEXTS = ["Win a prize", "winter", "C++ (free)", "feel free!", None, "", "a+b", "100 % off", "PRIZE"]
FRAME = pd.DataFrame({"text": TEXTS})


def votes(lf, frame=FRAME):
    return lf(frame).tolist()


@pytest.mark.parametrize("words", [["win"], ["free", "prize"], ["C++"], ["a+b", "100 %"], ["(free)"]])
def test_whole_words(words):
    def has_word(text):
        # a keyword that ends in a sign needs no end of a word there
        ends = [
            (r"\b" if word[0].isalnum() else "") + re.escape(word) + (r"\b" if word[-1].isalnum() else "")
            for word in words
        ]
        return text is not None and re.search("|".join(ends), text, re.IGNORECASE) is not None

    assert votes(keyword_lf("lf", words, 1)) == [1 if has_word(text) else -1 for text in TEXTS]


@pytest.mark.parametrize(
    ("word", "text", "vote"),
    [
        ("ber", "über", -1),
        ("o", "año", -1),
        ("café", "caféteria", -1),
        ("café", "im Café.", 1),
        ("été", "pété", -1),
        ("кот", "который", -1),
        ("кот", "это кот", 1),
        ("free", "free", 1),
        ("free", "free_x", -1),
    ],
)
def test_whole_words_of_other_languages(word, text, vote):
    assert votes(keyword_lf("lf", [word], 1), pd.DataFrame({"text": [text]})) == [vote]


def test_a_set_of_keywords_is_one_function():
    lfs = [keyword_lf("lf", words, 1) for words in ({"win", "free"}, ["free", "win"])]
    assert lf_fingerprint(lfs[0]) == lf_fingerprint(lfs[1])


def test_columns_of_other_types_are_named():
    frame = pd.DataFrame({"number": [1, 2], "kind": pd.Categorical(["a", None]), "p": [0.5, 50]})
    with pytest.raises(LabelingFunctionError, match="column 'number' has type int64, expected texts"):
        votes(keyword_lf("lf", ["a"], 1, column="number"), frame)
    assert votes(lookup_lf("lf", "kind", {"a": 1}), frame) == [1, -1]
    with pytest.raises(LabelingFunctionError, match=r"probabilities are from 0 to 1, got .* in \['p'\]"):
        votes(model_lf("lf", "p"), frame)


def test_a_probability_of_float32_reaches_its_own_threshold():
    frame = pd.DataFrame({"p": np.array([0.9, 0.89], dtype=np.float32)})
    assert votes(model_lf("lf", "p", thresholds=0.9), frame) == [1, -1]
    assert votes(model_lf("lf", "p", thresholds=np.float32(0.9)), frame) == [1, -1]


def test_parts_of_words_and_case():
    assert votes(keyword_lf("lf", ["win"], 0, whole_words=False)) == [0, 0, -1, -1, -1, -1, -1, -1, -1]
    assert votes(keyword_lf("lf", ["prize"], 0, ignore_case=False)) == [0] + [-1] * 8


def test_patterns():
    assert votes(regex_lf("lf", r"^\d+|\bfree\b", 2)) == [-1, -1, 2, 2, -1, -1, -1, 2, -1]
    assert votes(regex_lf("lf", "prize", 1, ignore_case=True)) == [1] + [-1] * 7 + [1]


def test_another_column():
    frame = FRAME.rename(columns={"text": "title"})
    assert votes(keyword_lf("lf", ["prize"], 1, column="title"), frame)[0] == 1
    with pytest.raises(LabelingFunctionError, match="no column 'titel', did you mean 'title'"):
        votes(keyword_lf("lf", ["prize"], 1, column="titel"), frame)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"above": 2}, [-1, -1, 1, 1, -1]),
        ({"below": 2}, [1, -1, -1, -1, -1]),
        ({"above": 1, "below": 3}, [-1, 1, -1, -1, -1]),
        ({"above": 3, "below": 2}, [1, -1, -1, 1, -1]),
    ],
)
def test_thresholds(limits, expected):
    frame = pd.DataFrame({"number": [1, 2, 3, 4.5, np.nan]})
    assert votes(threshold_lf("lf", "number", 1, **limits), frame) == expected


def test_lookup():
    frame = pd.DataFrame({"domain": ["a", "b", "c", None], "number": [1, 2, 1, 3]})
    assert votes(lookup_lf("lf", "domain", {"a": 0, "c": 2}), frame) == [0, -1, 2, -1]
    assert votes(lookup_lf("lf", "number", {1: 1}), frame) == [1, -1, 1, -1]


def test_labels_of_another_task():
    labels = ProbabilisticLabels(
        np.array([5, 6, 7, 8]),
        np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5]]),
        np.array([True, True, True, False]),
    )
    frame = pd.DataFrame({"example_id": [8, 7, 6, 5, 4]})
    assert votes(labels_lf("lf", labels, {0: 2, 1: 0}), frame) == [-1, 0, 0, 2, -1]
    assert votes(labels_lf("lf", labels.to_table(), {0: 2, 1: 0}, min_confidence=0.7), frame) == [
        -1,
        0,
        -1,
        2,
        -1,
    ]
    assert votes(labels_lf("lf", {7: 1, 4: 0}, {1: 3}), frame) == [-1, 3, -1, -1, -1]
    with pytest.raises(LabelingFunctionError, match="there is no label of the other task"):
        labels_lf("lf", labels, {0: 1}, min_confidence=0.99)
    with pytest.raises(LabelingFunctionError, match="votes is empty"):
        labels_lf("lf", labels, {})
    with pytest.raises(LabelingFunctionError, match=r"expected a table of probabilistic labels .* got .*'x'"):
        labels_lf("lf", pd.DataFrame({"x": [1]}), {0: 1})


def test_votes_of_a_model():
    frame = pd.DataFrame(
        {"p": [0.95, 0.6, 0.2, np.nan], "a": [0.5, 0.2, 0.3, 0.1], "b": [0.3, 0.2, 0.3, 0.2]}
    )
    frame["c"] = 1 - frame.a - frame.b
    assert votes(model_lf("lf", "p", thresholds=[0.7, 0.9]), frame) == [1, -1, 0, -1]
    assert votes(model_lf("lf", ["a", "b", "c"], thresholds=[0.5, 0.5, 0.65]), frame) == [0, -1, -1, 2]
    assert votes(model_lf("lf", ["a", "b", "c"]), frame) == [0, 2, -1, 2]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: keyword_lf("lf", "free", 1),
            "keywords must be a list of words that are not empty, got 'free'",
        ),
        (lambda: keyword_lf("lf", [], 1), r"keywords must be .* got \[\]"),
        (lambda: keyword_lf("lf", ["a", ""], 1), "keywords must be"),
        (lambda: regex_lf("lf", "(?<=a)b", 1), "no regular expression of RE2 .*use|need a labeling function"),
        (lambda: regex_lf("lf", "(", 1), "no regular expression of RE2"),
        (lambda: regex_lf("lf", "a", -1), "a class is a whole number from 0 on, got -1"),
        (lambda: threshold_lf("lf", "x", "spam", above=1), "a class is a whole number from 0 on, got 'spam'"),
        (lambda: threshold_lf("lf", "x", 1), "give a limit, above=, below= or both"),
        (lambda: threshold_lf("lf", "x", 1, above="1"), "a limit is a number, got '1'"),
        (lambda: threshold_lf("lf", "x", 1, above=float("nan")), "a limit is a number, got nan"),
        (lambda: keyword_lf("lf", [1], 1), r"keywords must be .* got \[1\]"),
        (lambda: model_lf("lf", []), "expected at least one column"),
        (lambda: lookup_lf("lf", "x", {}), "the table is empty"),
        (lambda: lookup_lf("lf", "x", {"a": True}), "a class is a whole number from 0 on, got True"),
        (lambda: model_lf("lf", ["a", "b", "c"], thresholds=[0.5]), "one for each of 3 classes, got 1"),
    ],
)
def test_wrong_settings_are_refused(make, said):
    with pytest.raises(LabelingFunctionError, match=said) as raised:
        make()
    assert str(raised.value).startswith("LF 'lf': ")


def test_their_settings_are_in_the_fingerprint():
    fingerprints = [
        lf_fingerprint(lf)
        for lf in (
            keyword_lf("lf", ["free"], 1),
            keyword_lf("lf", ["free", "prize"], 1),
            keyword_lf("lf", ["free"], 0),
            regex_lf("lf", "free", 1),
            threshold_lf("lf", "x", 1, above=1),
            threshold_lf("lf", "x", 1, above=2),
            lookup_lf("lf", "x", {"a": 1}),
            lookup_lf("lf", "x", {"a": 0}),
        )
    ]
    assert len(set(fingerprints)) == len(fingerprints)
    assert fingerprints[0] == lf_fingerprint(keyword_lf("lf", ["free"], 1))


def test_they_run_in_other_processes(monkeypatch):
    from ws_pipeline.labeling.functions import apply_by_lf as module

    monkeypatch.setattr(module, "_PART_ROWS", 4)
    applied = apply_by_lf([keyword_lf("lf", ["prize"], 1)], FRAME, n_processes=2)
    assert applied.votes["lf"].tolist() == [1] + [-1] * 7 + [1]
