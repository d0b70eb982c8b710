"""Errors that are also of a foreign type."""

from __future__ import annotations

import pickle
import socket

import pytest

from ws_pipeline import errors
from ws_pipeline.errors import LabelingFunctionError, SettingTypeError, UnknownNameError, error_like

MESSAGE = "LF 'lf' failed on row 3"


class Plain(Exception):  # noqa: N818
    pass


class WithArguments(Exception):  # noqa: N818
    """An error of a library, made of two arguments."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class KeywordError(ConnectionError):
    def __init__(self, *arguments, response=None):
        super().__init__(*arguments)
        self.response = response


CAUSES = [
    AttributeError("no attribute"),
    KeyError("text"),
    IndexError(3),
    TypeError("two arguments"),
    ZeroDivisionError("division by zero"),
    AssertionError(),
    NotImplementedError(),
    RecursionError("too deep"),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
    FileNotFoundError(2, "No such file", "words.txt"),
    TimeoutError("30 s"),
    socket.gaierror(8, "unknown host"),
    ImportError("no module", name="spacy"),
    Plain("own"),
    WithArguments(429, "too many requests"),
    KeywordError("closed", response="503"),
]


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: type(cause).__name__)
def test_an_error_like_another_is_caught_as_both(cause):
    error = error_like(LabelingFunctionError, MESSAGE, cause)
    assert isinstance(error, LabelingFunctionError)
    assert isinstance(error, type(cause))
    assert (str(error), type(error).__name__) == (MESSAGE, "LabelingFunctionError")
    assert {name: getattr(error, name) for name in vars(cause)} == vars(cause)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again).__bases__, str(again)) == (type(error).__bases__, MESSAGE)
    assert vars(again) == vars(error)


def test_our_own_type_needs_no_second_one():
    for cause in (ValueError("x"), Exception("x"), LabelingFunctionError("x")):
        assert type(error_like(LabelingFunctionError, MESSAGE, cause)) is LabelingFunctionError
    narrower = errors.VoteTypeError("x")
    assert type(error_like(errors.LabelMatrixError, MESSAGE, narrower)) is errors.VoteTypeError


def test_notes_stay_with_the_cause():
    cause = KeyError("text")
    cause.add_note("a hint")
    assert not hasattr(error_like(LabelingFunctionError, MESSAGE, cause), "__notes__")


def test_what_python_cannot_join_is_ours_alone():
    class Stubborn(Exception):  # noqa: N818
        def __new__(cls, code, text):
            return super().__new__(cls, code, text)

    error = error_like(LabelingFunctionError, MESSAGE, Stubborn(1, "x"))
    assert (type(error), str(error)) == (LabelingFunctionError, MESSAGE)


def test_a_key_error_of_ours_reads_like_the_others():
    assert str(UnknownNameError("there is no task 'u'")) == "there is no task 'u'"


def test_the_tree_in_the_docstring_names_every_class_and_its_builtin_types():
    lines = {line.strip(" │├└─").split(" ")[0]: line for line in errors.__doc__.splitlines()}
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and kind.__module__ == errors.__name__:
            builtin = [
                base for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception
            ]
            assert [base.__name__ for base in builtin if base.__name__ not in lines[name]] == [], name


def test_a_wrong_type_is_both_a_wrong_setting_and_a_type_error():
    assert issubclass(SettingTypeError, errors.SettingsError)
    assert issubclass(SettingTypeError, ValueError)
    assert issubclass(SettingTypeError, TypeError)
