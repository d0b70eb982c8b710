"""The report of an import as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ws_pipeline.importing.export import Report
from ws_pipeline.importing.folder import Written

_SHOWN = 20


def report_text(report: Report, written: Written, folder: Path) -> str:
    """What was found and what was written.

    Parameters
    ----------
    report
        What was found.
    written
        What was decided when the folder was written.
    folder
        The folder.
    """
    n_votes = sum(report.sources.values())
    counts = ", ".join(f"{split} {count}" for split, count in written.splits.items())
    lines = [
        f"examples  {report.n_examples} ({counts})",
        f"votes     {n_votes} of {len(report.sources)} sources",
        *_listed(report.sources),
        f"classes   {len(report.labels)} (votes)",
        *_listed(report.labels),
        f"gold      {report.n_gold} examples",
        f"repeated  {report.n_repeated} answers, {report.n_different} with another label; the last counts",
        f"skipped   {sum(report.skipped.values())} records",
        *_listed(report.skipped),
        *(f"note: {note}" for note in (*written.notes, *report.notes)),
        "",
        f"written:  {folder}",
        f"run it:   python -m ws_pipeline {folder / 'pipeline.yaml'}",
    ]
    return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> list[str]:
    lines = [f"  {count:>8}  {name}" for name, count in list(counts.items())[:_SHOWN]]
    return [*lines, f"            and {len(counts) - _SHOWN} more"] if len(counts) > _SHOWN else lines
