"""Warnings of the library, shown in the run's log."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ws_pipeline.errors import WsPipelineWarning


@contextmanager
def warnings_to_log(log: dg.DagsterLogManager) -> Iterator[list[str]]:
    """Log the library's own warnings that are raised in the block; let all others pass.

    Yields
    ------
    list of str
        Filled with what was logged, once the block has ended.
    """
    told: list[str] = []
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield told
    finally:
        # also when the block raises: what was warned of may be why
        for warning in caught:
            if issubclass(warning.category, WsPipelineWarning):
                told.append(f"{warning.category.__name__}: {warning.message}")
                log.warning("%s", told[-1])
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
