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
