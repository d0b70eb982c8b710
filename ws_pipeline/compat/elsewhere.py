"""Appliers of Snorkel for clusters: the names are here, and say how the pipeline does their work."""

from __future__ import annotations

from typing import Any

from ws_pipeline.errors import SnorkelImportError

_SHARDS = (
    "apply the labeling functions to one part of the data at a time with PandasLFApplier or "
    "PandasParallelLFApplier, on as many machines as you like, and write each part's votes as a shard, "
    "votes/<task>/<shard>.parquet; the pipeline counts the shards one by one and adds the counts"
)


class _OnACluster:
    def __init__(self, *_: Any, **__: Any) -> None:
        message = f"{type(self).__name__} has no counterpart in ws_pipeline: {_SHARDS}"
        raise SnorkelImportError(message)


class DaskLFApplier(_OnACluster):
    """Refuses to be made: see the message."""


class DaskSFApplier(_OnACluster):
    """Refuses to be made: see the message."""


class SparkLFApplier(_OnACluster):
    """Refuses to be made: see the message."""


class SparkSFApplier(_OnACluster):
    """Refuses to be made: see the message."""
