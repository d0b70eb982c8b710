"""Labeling functions: votes, resources, preprocessors, and results that are no votes."""

from __future__ import annotations

import enum
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling import LabelingFunction, labeling_function


class Answer(enum.IntEnum):
    NO = 0
    YES = 1


def returns(result):
    return LabelingFunction("lf", lambda _: result)


def double(x):
    return SimpleNamespace(num=x.num * 2)


def add_one(x):
    x.num += 1
    return x


def test_the_decorator_names_the_labeling_function_after_the_function():
    @labeling_function()
    def is_big(x):
        return 1 if x.num > 42 else -1

    assert isinstance(is_big, LabelingFunction)
    assert is_big.name == "is_big"
    assert [is_big(SimpleNamespace(num=n)) for n in (42, 43)] == [-1, 1]


def test_a_name_given_to_the_decorator_wins():
    @labeling_function(name="other")
    def is_big(_):
        return 0

    assert is_big.name == "other"


def test_a_decorator_without_parentheses_is_refused():
    with pytest.raises(LabelingFunctionError, match="missing parentheses: write @labeling_function"):

        @labeling_function
        def is_big(_):
            return 0


def test_resources_arrive_as_keyword_arguments():
    @labeling_function(resources={"known": {3: 1, 4: 0}, "default": -1})
    def look_up(x, known, default):
        return known.get(x, default)

    assert [look_up(x) for x in (3, 4, 5)] == [1, 0, -1]


def test_preprocessors_run_in_order():
    x = SimpleNamespace(num=5)
    twice_plus_one = LabelingFunction("a", lambda x: x.num, pre=[double, add_one])
    plus_one_twice = LabelingFunction("b", lambda x: x.num, pre=[add_one, double])
    assert (twice_plus_one(x), plus_one_twice(x)) == (11, 12)


@pytest.mark.parametrize("make", [lambda: SimpleNamespace(num=5), lambda: {"num": 5}])
def test_a_preprocessor_that_writes_to_the_data_point_leaves_the_callers_alone(make):
    def write(x):
        if isinstance(x, dict):
            x["num"] = 7
        else:
            x.num = 7
        return x

    x = make()
    assert LabelingFunction("lf", lambda x: x["num"] if isinstance(x, dict) else x.num, pre=[write])(x) == 7
    assert x == make()


def test_a_preprocessor_that_returns_nothing_is_named():
    lf = LabelingFunction("lf", lambda _: 0, pre=[add_one, print])
    with pytest.raises(
        LabelingFunctionError,
        match="LF 'lf': preprocessor <built-in function print> returned None",
    ):
        lf(SimpleNamespace(num=1))


@pytest.mark.parametrize(
    ("result", "vote"),
    [
        (-1, -1),
        (0, 0),
        (32766, 32766),
        (True, 1),
        (False, 0),
        (np.True_, 1),
        (np.int8(-1), -1),
        (np.uint64(3), 3),
        (2.0, 2),
        (np.float32(2), 2),
        (np.array(4), 4),
        (Answer.YES, 1),
    ],
)
def test_integers_of_any_kind_are_votes(result, vote):
    found = returns(result)(None)
    assert found == vote
    assert type(found) is int or isinstance(found, enum.IntEnum)


@pytest.mark.parametrize(
    "result",
    [
        -2,
        32767,
        10**30,
        0.7,
        float("nan"),
        float("inf"),
        -1.5,
        None,
        "1",
        np.array([1]),
        [0],
        1j,
        np.float64(0.5),
    ],
)
def test_any_other_result_is_refused_by_name_and_value(result):
    message = f"LF 'lf' returned {result!r}, expected a class from 0 to k-1, or -1 to abstain"
    message += "; return the place of the class, not its name" if isinstance(result, str) else ""
    with pytest.raises(LabelingFunctionError, match=f"^{re.escape(message)}$"):
        returns(result)(None)


def test_what_the_function_raises_comes_through():
    with pytest.raises(ZeroDivisionError):
        LabelingFunction("lf", lambda x: 1 // x)(0)


def test_the_representation_names_the_preprocessors():
    assert repr(LabelingFunction("lf", lambda _: 0)) == "LabelingFunction lf, Preprocessors: []"
    assert repr(LabelingFunction("lf", lambda _: 0, pre=[print])).endswith("[<built-in function print>]")


def test_the_representation_is_that_of_snorkel():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snorkel = pytest.importorskip("snorkel.labeling")

    def is_big(_):
        return 0

    assert repr(labeling_function(pre=[print])(is_big)) == repr(
        snorkel.labeling_function(pre=[print])(is_big)
    )


def test_resources_changed_later_change_nothing():
    resources = {"vote": 1}
    lf = LabelingFunction("lf", lambda _, vote: vote, resources=resources)
    resources["vote"] = 0
    assert lf(None) == 1
