"""Langfuse: the table of scores, as the UI, the API and the export to a blob storage write it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.collector import Collector
from ws_pipeline.importing.export import Export
from ws_pipeline.importing.export_files import read_json_or_rows, text_of
from ws_pipeline.importing.options import ImportOptions, choose_questions
from ws_pipeline.storage.json_files import Record

TRACE, OBSERVATION = "trace", "observation"
_TYPES = {"CATEGORICAL", "BOOLEAN"}  # scores that name a class
_BOOLEANS = {"1": "True", "0": "False"}  # what Langfuse writes as stringValue of a boolean
_PEOPLE = "ANNOTATION"
_NEEDED = ("name", "source", "datatype", "traceid")


def read_langfuse(path: Path, options: ImportOptions) -> Export:
    """Read categorical and boolean scores; several names may be chosen, which then are part of the source.

    Raises
    ------
    ExportError
        A column is missing, there are several names and none is chosen, or scores are about traces and about
        observations and the level is not chosen.
    FileFormatError
        The file is neither JSON nor a table.
    """
    records = [Record(_plain(record.values), record.where) for record in read_json_or_rows(path)]
    for record in records:
        _check(record)
    collector = Collector(f"{path}")
    scores = [record for record in records if record.values["datatype"] in _TYPES]
    counts = Counter(str(record.values["name"]) for record in scores)
    questions = choose_questions(counts, options, where=collector.where, several=True)
    for record in records:
        if record.values["datatype"] not in _TYPES:
            collector.skipped[f"score of type {record.values['datatype']}"] += 1
        elif record.values["name"] not in questions:
            collector.skipped["another name of a score"] += 1
    chosen = [record for record in scores if record.values["name"] in questions]
    level = options.level or _level(chosen, collector.where)
    for record in chosen:
        _read_score(record, level, collector, several=len(questions) > 1)
    n_unknown = sum(
        record.values["source"] == _PEOPLE and not text_of(record.values.get("authoruserid"))
        for record in chosen
    )
    if n_unknown:
        collector.notes.append(
            f"{n_unknown} scores of people have no authorUserId, so that all of them are one source, "
            f"'{_PEOPLE}'"
        )
    return collector.finish(options)


def _read_score(record: Record, level: str, collector: Collector, *, several: bool) -> None:
    values, where = record
    subject = values.get(f"{level}id")
    if not text_of(subject):
        collector.skipped[f"score that is not about {_named(level)}"] += 1
        return
    example = collector.example(subject, {}, where)
    who = text_of(values.get("authoruserid")) or text_of(values.get("evaluatorid"))
    source = f"{values['source']}:{who}" if who else str(values["source"])
    label = text_of(values.get("stringvalue"))
    if not label and values["datatype"] == "BOOLEAN":
        label = _BOOLEANS.get(text_of(values.get("value")) or "")
    time = values.get("updatedat") or values.get("timestamp")
    collector.answer(example, f"{values['name']}:{source}" if several else source, label, time)


def _named(level: str) -> str:
    return "an observation" if level == OBSERVATION else "a trace"


def _level(scores: list[Record], where: str) -> str:
    """What the scores are about, if all are about one kind of things."""
    n_observations = sum(bool(text_of(record.values.get("observationid"))) for record in scores)
    n_traces = sum(
        bool(text_of(record.values.get("traceid"))) and not text_of(record.values.get("observationid"))
        for record in scores
    )
    if n_observations and n_traces:
        message = (
            f"{where}: {n_traces} scores are about a trace and {n_observations} about an observation; say "
            "with --level trace (then those of its observations count for the trace) or --level "
            "observation what an example is"
        )
        raise ExportError(message)
    return OBSERVATION if n_observations else TRACE


def _plain(values: Mapping[str, Any]) -> dict[str, str | None]:
    """Values as text; keys in lower case without underscores, as traceId of the API and trace_id of files."""
    return {name.replace("_", "").casefold(): text_of(value) for name, value in values.items()}


def _check(record: Record) -> None:
    missing = [name for name in _NEEDED if name not in record.values]
    if missing:
        message = (
            f"{record.where}: no key {missing}, got {list(record.values)}; expected scores with name, "
            "source, dataType and traceId; export the table of scores"
        )
        raise ExportError(message)
