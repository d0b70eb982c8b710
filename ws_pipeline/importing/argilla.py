"""Argilla 2: records as ``dataset.records.to_json`` and ``to_list`` write them.

Users and the agents of suggestions are sources.  Vectors are features where every record has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ws_pipeline.errors import ExportError
from ws_pipeline.importing.choices import one_class
from ws_pipeline.importing.collector import Collector
from ws_pipeline.importing.export import Export
from ws_pipeline.importing.export_files import read_all_records, text_of
from ws_pipeline.importing.options import ImportOptions, choose_questions
from ws_pipeline.importing.shapes import object_at, objects_at
from ws_pipeline.storage.json_files import Record

_NESTED = ("fields", "responses", "suggestions")
_COUNTING = {None, "submitted"}  # states of a response that is an answer


def read_argilla(path: Path, options: ImportOptions) -> Export:
    """Read records of Argilla 2, not flattened.

    Raises
    ------
    ExportError
        The records are flattened, there are several questions, or an answer is not one class.
    FileFormatError
        The file is not JSON.
    """
    records = read_all_records(path)
    collector = Collector(f"{path}")
    questions: Counter[str] = Counter()
    for record in records:
        _check(record)
        questions.update(name for name, _, _ in _answers(record))
    (question,) = choose_questions(questions, options, where=collector.where)
    for record in records:
        columns = object_at(record.values, "metadata", record.where) | record.values["fields"]
        example = collector.example(record.values.get("id"), columns, record.where)
        for name, source, value in _answers(record):
            if name == question:
                _read_answer(value, source, example, question, collector, record.where)
        for name, vector in object_at(record.values, "vectors", record.where).items():
            collector.vector(example, name, vector)
    return collector.finish(options)


def _read_answer(
    answer: Mapping[str, Any], source: str, example: str, question: str, collector: Collector, where: str
) -> None:
    status = text_of(answer.get("status"))
    if status not in _COUNTING:
        collector.skipped[f"response with status '{status}'"] += 1
        return
    label = one_class(answer.get("value"), where, f"the answer to '{question}'")
    collector.answer(example, source, label, score=answer.get("score"))


def _answers(record: Record) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Question, source and content of all responses and suggestions."""
    responses = object_at(record.values, "responses", record.where)
    for question in responses:
        for response in objects_at(responses, question, record.where):
            user = text_of(response.get("user_id"))
            if not user:
                message = (
                    f"{record.where}: a response to '{question}' without 'user_id'; export the records again"
                )
                raise ExportError(message)
            yield question, user, response
    suggestions = object_at(record.values, "suggestions", record.where)
    for question in suggestions:
        suggestion = object_at(suggestions, question, record.where)
        if suggestion:
            yield question, f"model:{text_of(suggestion.get('agent')) or 'unknown'}", suggestion


def _check(record: Record) -> None:
    wrong = [key for key in _NESTED if not isinstance(record.values.get(key, {}) or {}, dict)]
    if wrong or not isinstance(record.values.get("fields"), dict):
        message = (
            f"{record.where}: expected a record with the objects {list(_NESTED)}, got the keys "
            f"{list(record.values)}; write it with dataset.records.to_json(path), or with "
            "to_list(flatten=False)"
        )
        raise ExportError(message)
