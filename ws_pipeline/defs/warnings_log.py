"""Warnings of the library, shown in the run's log."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ws_pipeline.errors import WsPipelineWarning


@contextmanager
def warnings_to_log(log: dg.DagsterLogManager) -> Iterator[None]:
    """Log the library's own warnings that are raised in the block; let all others pass."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        # also when the block raises: what was warned of may be why
        for warning in caught:
            if issubclass(warning.category, WsPipelineWarning):
                log.warning("%s: %s", warning.category.__name__, warning.message)
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
