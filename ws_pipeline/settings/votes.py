"""Settings of files of votes."""

from __future__ import annotations

from pydantic import Field

from ws_pipeline.settings.base import Settings


class VoteColumns(Settings):
    """Columns of votes files with one row per vote; None: the one column with a name that is usual for it."""

    example: str | None = Field(
        None, description="Column of the example's id. Default: example_id, task, item, question, ..."
    )
    source: str | None = Field(
        None, description="Column of who votes. Default: lf, worker, annotator, judge, source, ..."
    )
    label: str | None = Field(
        None, description="Column of the class. Default: vote, label, answer, response, ..."
    )
    score: str | None = Field(
        None, description="Column of numbers that say how sure the vote is. Default: votes have no score."
    )
    time: str | None = Field(
        None,
        description="Column of when the vote was given: of several votes of a source on an example the "
        "latest is taken. Default: the last one in the file.",
    )
