"""Names of the columns of a table with a row per vote."""

from __future__ import annotations

import pytest

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.votes import VoteColumns


def test_columns_are_given_by_role_and_others_are_the_usual_ones():
    columns = parse_settings(VoteColumns, {"source": "who"})
    usual = {"example": None, "label": None, "score": None, "time": None}
    assert dict(columns) == {**usual, "source": "who"}


def test_an_unknown_role_is_refused():
    with pytest.raises(SettingsError, match=r"^VoteColumns: unknown key 'sources', did you mean 'source'\?"):
        parse_settings(VoteColumns, {"sources": "who"})
