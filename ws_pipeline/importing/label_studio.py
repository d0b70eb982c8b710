"""Label Studio: the JSON export, JSON-MIN, and CSV.

Of JSON, annotators and versions of models are sources, and annotations that are marked as ground truth are
gold labels; JSON-MIN and CSV know annotators only.  Start reading at :func:`read_label_studio`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.choices import one_class
from ws_pipeline.importing.collector import Collector
from ws_pipeline.importing.export import Export
from ws_pipeline.importing.export_files import read_json_or_rows, text_of
from ws_pipeline.importing.options import ImportOptions, choose_questions
from ws_pipeline.importing.shapes import object_at, objects_at
from ws_pipeline.storage.json_files import Record

_CHOICES = "choices"
#: Columns of JSON-MIN and CSV that are neither data nor an answer.
_KNOWN = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}


def read_label_studio(path: Path, options: ImportOptions) -> Export:
    """Read an export of Label Studio.

    Raises
    ------
    ExportError
        The file is of another kind, several choices are made in one answer, or there are several questions.
    FileFormatError
        The file is not JSON or CSV.
    """
    records = read_json_or_rows(path)
    collector = Collector(f"{path}")
    if any("annotations" in record.values for record in records):
        _read_tasks(records, collector, options)
    else:
        _read_flat(records, collector, options)
    return collector.finish(options)


def _read_tasks(records: list[Record], collector: Collector, options: ImportOptions) -> None:
    questions: Counter[str] = Counter()
    for task, where in records:
        questions.update(_questions(task, where))
    (question,) = choose_questions(questions, options, where=collector.where)
    for task, where in records:
        example = collector.example(task.get("id"), object_at(task, "data", where), where)
        for annotation in objects_at(task, "annotations", where):
            _read_annotation(annotation, example, question, collector, where)
        for prediction in objects_at(task, "predictions", where):
            label = _label(prediction, question, collector, where)
            if label is not None:
                source = f"model:{text_of(prediction.get('model_version')) or 'unknown'}"
                collector.answer(example, source, label, _time(prediction))
    _note_other_results(records, collector)


def _read_annotation(
    annotation: Mapping[str, Any], example: str, question: str, collector: Collector, where: str
) -> None:
    if annotation.get("was_cancelled") or annotation.get("skipped"):
        collector.skipped["cancelled annotation"] += 1
        return
    label = _label(annotation, question, collector, where)
    if label is None:
        return
    if annotation.get("ground_truth"):
        collector.gold_label(example, label, where)
        return
    collector.answer(example, _annotator(annotation.get("completed_by"), where), label, _time(annotation))


def _label(answer: Mapping[str, Any], question: str, collector: Collector, where: str) -> str | None:
    """The class that an annotation or a prediction chooses; None, and counted, where it chooses none."""
    found = [
        result
        for result in objects_at(answer, "result", where)
        if result.get("type") == _CHOICES and text_of(result.get("from_name")) == question
    ]
    if not found:
        collector.skipped[f"no answer to '{question}'"] += 1
        return None
    if len(found) > 1:
        message = (
            f"{where}: {len(found)} answers to '{question}' in one annotation (id {answer.get('id')}), "
            "expected one; choices about regions of an example are not read"
        )
        raise ExportError(message)
    label = one_class(object_at(found[0], "value", where).get(_CHOICES), where, f"the answer to '{question}'")
    if label is None:
        collector.skipped[f"no answer to '{question}'"] += 1
    return label


def _questions(task: Mapping[str, Any], where: str) -> Iterator[str]:
    """The question of each answer that is a choice."""
    for kind in ("annotations", "predictions"):
        for answer in objects_at(task, kind, where):
            for result in objects_at(answer, "result", where):
                question = text_of(result.get("from_name"))
                if result.get("type") == _CHOICES and question:
                    yield question


def _note_other_results(records: list[Record], collector: Collector) -> None:
    """Count answers of other types, such as rectangles, which are not read."""
    for task, where in records:
        for kind in ("annotations", "predictions"):
            for answer in objects_at(task, kind, where):
                for result in objects_at(answer, "result", where):
                    if result.get("type") != _CHOICES:
                        collector.skipped[f"result of type '{result.get('type')}'"] += 1


def _annotator(completed_by: Any, where: str) -> str:
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    name = text_of(completed_by)
    if not name:
        message = (
            f"{where}: an annotation without 'completed_by', so that its source is not known; export it again"
        )
        raise ExportError(message)
    return name


def _time(answer: Mapping[str, Any]) -> Any:
    return answer.get("updated_at") or answer.get("created_at")


def _read_flat(records: list[Record], collector: Collector, options: ImportOptions) -> None:
    """JSON-MIN and CSV, which have a row per annotation and do not say which columns are answers."""
    _refuse_other_kinds(records, collector.where)
    counts = _column_counts(records)
    if not options.questions:
        listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
        message = (
            f"{collector.where}: JSON-MIN and CSV do not say which column is the answer; name it with "
            f"--question; the columns are (values): {listed}"
        )
        raise ExportError(message)
    (question,) = choose_questions(counts, options, where=collector.where)
    for values, where in records:
        others = {name: value for name, value in values.items() if name not in _KNOWN and name != question}
        example = collector.example(values.get("id"), others, where)
        if not text_of(values.get("annotator")):
            collector.skipped["no annotator"] += 1
            continue
        label = one_class(_choices(values.get(question)), where, f"the answer to '{question}'")
        time = values.get("updated_at") or values.get("created_at")
        collector.answer(example, _annotator(values["annotator"], where), label, time)


def _column_counts(records: list[Record]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for values, _ in records:
        counts.update(
            name for name, value in values.items() if name not in _KNOWN and value not in (None, "")
        )
    return dict(counts)


def _choices(value: Any) -> Any:
    """Choices of a column: a name, or an object with several, which CSV has as JSON text."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return value
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.get(_CHOICES, value) if isinstance(value, dict) else value


def _refuse_other_kinds(records: list[Record], where: str) -> None:
    for values, place in records:
        if "completions" in values:
            message = (
                f"{place}: 'completions' is the format of Label Studio before 1.0; export it with a newer one"
            )
            raise ExportError(message)
        missing = [name for name in ("id", "annotator") if name not in values]
        if missing:
            message = (
                f"{place}: no key {missing}, got {list(values)}; expected the exports JSON (tasks with "
                "'annotations'), JSON-MIN or CSV of Label Studio"
            )
            raise ExportError(message)
    if not records:
        message = f"{where}: there is no task; export the project again"
        raise ExportError(message)
