"""Warnings of the library, shown in the run's log."""

import logging
import warnings

import pytest

from ws_pipeline.defs.assets.metadata import warnings_to_log
from ws_pipeline.errors import ConvergenceWarning


def test_the_librarys_own_warnings_are_logged_by_name(caplog):
    with warnings_to_log(logging.getLogger("run")) as told:
        warnings.warn("not settled yet", ConvergenceWarning, stacklevel=1)
    assert caplog.messages == told == ["ConvergenceWarning: not settled yet"]


def warn_and_fail():
    with warnings_to_log(logging.getLogger("run")):
        warnings.warn("not settled yet", ConvergenceWarning, stacklevel=1)
        _ = {}["gone"]


def test_they_are_logged_too_when_the_block_raises(caplog):
    with pytest.raises(KeyError, match="gone"):
        warn_and_fail()
    assert caplog.messages == ["ConvergenceWarning: not settled yet"]


def test_other_warnings_pass(caplog):
    with pytest.warns(DeprecationWarning, match="old"), warnings_to_log(logging.getLogger("run")):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert caplog.messages == []
