"""Prodigy: JSON Lines as ``prodigy db-out`` writes them, of the interfaces choice, classification and text.

Annotators, or sessions, are sources; what the recipe review decided is gold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.choices import one_class
from ws_pipeline.importing.collector import Collector
from ws_pipeline.importing.export import Export
from ws_pipeline.importing.export_files import read_all_records, text_of
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.storage.json_files import Record

ACCEPT, REJECT, IGNORE = "accept", "reject", "ignore"
_COLUMNS = ("text", "html", "image", "audio", "video")
_SOURCES = ("_annotator_id", "_session_id")
_REVIEWED = "versions"  # what the recipe review keeps of the answers that it decided about


def read_prodigy(path: Path, options: ImportOptions) -> Export:
    """Read annotations of Prodigy.

    Raises
    ------
    ExportError
        Kinds of questions are mixed, an answer or its source is missing, or several options are chosen.
    FileFormatError
        The file is not JSON Lines.
    """
    records = read_all_records(path)
    kind = _kind(records, f"{path}")
    labels = {text_of(record.values.get("label")) for record in records} - {None}
    collector = Collector(f"{path}")
    if kind == "label":
        collector.notes.append(_explain(labels))
    for record in records:
        values, where = record
        example = collector.example(
            values.get("_input_hash"), {name: values[name] for name in _COLUMNS if name in values}, where
        )
        label = _label(record, kind, len(labels), collector)
        if label is None:
            continue
        if _REVIEWED in values:
            collector.gold_label(example, label, where)
        else:
            collector.answer(example, _source(values, options, where), label, values.get("_timestamp"))
    return collector.finish(options)


def _kind(records: list[Record], where: str) -> str:
    """What the records ask for: 'options' to choose from, whether a 'label' is right, or 'answer' alone."""
    kinds = {
        "options" if "options" in values or "accept" in values else "label" if "label" in values else "answer"
        for values, _ in records
    }
    if len(kinds) != 1:
        found = f"a mixture of {sorted(kinds)}" if kinds else "no record"
        message = f"{where}: expected records of one interface, got {found}; export each dataset apart"
        raise ExportError(message)
    return kinds.pop()


def _label(record: Record, kind: str, n_labels: int, collector: Collector) -> str | None:
    """The class that an answer is for; None, and counted, where it is for none."""
    values, where = record
    answer = values.get("answer")
    if answer not in [ACCEPT, REJECT, IGNORE]:
        message = (
            f"{where}: 'answer' is {answer!r}, expected accept, reject or ignore; export annotations (db-out)"
        )
        raise ExportError(message)
    if answer == IGNORE:
        collector.skipped["answer 'ignore'"] += 1
        return None
    if kind == "answer":
        return str(answer)
    if kind == "label":
        return _label_of_binary(values, n_labels, collector)
    if answer == REJECT:
        collector.skipped["answer 'reject' to a choice"] += 1
        return None
    label = one_class(values.get("accept"), where, "'accept'")
    if label is None:
        collector.skipped["nothing chosen"] += 1
    return label


def _label_of_binary(values: Mapping[str, Any], n_labels: int, collector: Collector) -> str | None:
    label = text_of(values.get("label"))
    if label is None or values["answer"] == ACCEPT:
        return label
    if n_labels > 1:
        collector.skipped["answer 'reject' to one of several labels"] += 1
        return None
    return f"not {label}"


def _explain(labels: set[str | None]) -> str:
    if len(labels) == 1:
        (label,) = labels
        return f"one label: accepted answers are votes for '{label}', rejected ones for 'not {label}'"
    return (
        f"{len(labels)} labels: accepted answers are votes, rejected ones rule one class out and are not read"
    )


def _source(values: Mapping[str, Any], options: ImportOptions, where: str) -> str:
    for name in _SOURCES:
        source = text_of(values.get(name))
        if source:
            return source
    if options.source is None:
        message = (
            f"{where}: neither {' nor '.join(_SOURCES)}, so that the source is not known; name it with "
            "--source"
        )
        raise ExportError(message)
    return options.source
