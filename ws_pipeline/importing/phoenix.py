"""Phoenix: annotations of spans, traces or sessions, from the data frame of its client or its API."""

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

_SUBJECTS = ("span_id", "context.span_id", "trace_id", "session_id")
_NAMES = ("annotation_name", "name")
_IDENTIFIERS = ("identifier", "user_id")
_NOT_ASKED = "another question"


def read_phoenix(path: Path, options: ImportOptions) -> Export:
    """Read annotations of Phoenix; several names may be chosen, which then are part of the source.

    Raises
    ------
    ExportError
        A column is missing, or there are several names and none is chosen.
    FileFormatError
        The file is neither JSON nor a table.
    """
    records = read_json_or_rows(path)
    collector = Collector(f"{path}")
    counts = Counter(name for record in records if _label(record) and (name := _name(record)))
    questions = choose_questions(counts, options, where=collector.where, several=True)
    for record in records:
        name, label = _name(record), _label(record)
        if name not in questions:
            collector.skipped[_NOT_ASKED] += 1
            continue
        example = collector.example(_subject(record), {}, record.where)
        if label is None:
            collector.skipped["no label, but a score or an explanation"] += 1
            continue
        source = _source(record.values, record.where)
        time = record.values.get("updated_at") or record.values.get("created_at")
        collector.answer(example, f"{name}:{source}" if len(questions) > 1 else source, label, time)
    return collector.finish(options)


def _name(record: Record) -> str:
    for key in _NAMES:
        if record.values.get(key):
            return str(record.values[key])
    message = (
        f"{record.where}: none of {list(_NAMES)} has a value, got {list(record.values)}; which annotation "
        "is it?"
    )
    raise ExportError(message)


def _label(record: Record) -> str | None:
    result = record.values.get("result")
    nested = result.get("label") if isinstance(result, dict) else None
    for value in (nested, record.values.get("result.label"), record.values.get("label")):
        if text_of(value):
            return text_of(value)
    return None


def _subject(record: Record) -> Any:
    for key in _SUBJECTS:
        if record.values.get(key):
            return record.values[key]
    message = (
        f"{record.where}: none of {list(_SUBJECTS)} has a value, got {list(record.values)}; write the data "
        "frame with its index, which holds the span ids"
    )
    raise ExportError(message)


def _source(values: Mapping[str, Any], where: str) -> str:
    """Kind of the annotator, and who it is where that is known."""
    kind = text_of(values.get("annotator_kind"))
    if not kind:
        message = (
            f"{where}: no 'annotator_kind' (HUMAN, LLM or CODE), got {list(values)}; export it with this "
            "column"
        )
        raise ExportError(message)
    who = next((text_of(values[key]) for key in _IDENTIFIERS if text_of(values.get(key))), None)
    return f"{kind}:{who}" if who else kind
