"""Gathers examples, answers and gold labels of an export record by record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ws_pipeline.errors import ExportError
from ws_pipeline.example_ids import ID_COLUMN
from ws_pipeline.importing.answers import ANSWER, SCORE, TIME
from ws_pipeline.importing.export import Export, Found, add_gold, make_export
from ws_pipeline.importing.export_files import is_integer, number_of, text_of
from ws_pipeline.importing.options import ImportOptions
from ws_pipeline.importing.vectors import feature_vectors


class Collector:
    """Gathers what a reader finds, and becomes an :class:`.Export` at the end.

    Parameters
    ----------
    where
        Name of the export; opens the messages.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.skipped: Counter[str] = Counter()
        self.notes: list[str] = []
        self.gold: dict[str, str] = {}
        self._integer_ids = True
        self._examples: dict[str, dict[str, str | None]] = {}
        self._answers: list[tuple[str, str, str, str | None]] = []
        self._scores: list[float | None] = []
        self._differing: dict[str, str] = {}
        self._vectors: dict[str, dict[str, Any]] = {}

    def example(
        self, example: Any, columns: Mapping[str, Any], where: str, *, same: Sequence[str] = ()
    ) -> str:
        """Note an example; return its id as text.

        Parameters
        ----------
        example
            Its id.
        columns
            Values of its other columns.  A column that another record of the example has another value of is
            left out at the end, with a note.
        where
            The record, for messages.
        same
            Columns that all records of the example must have the same value of.

        Raises
        ------
        ExportError
            There is no id, or a value differs that must be the same.
        """
        name = text_of(example)
        self._integer_ids = self._integer_ids and is_integer(example)
        if not name:
            message = f"{where}: there is no example id; export the records with their ids"
            raise ExportError(message)
        texts = {column: text_of(value) for column, value in columns.items()}
        known = self._examples.setdefault(name, texts)
        for column in texts.keys() | known.keys() if known is not texts else ():
            if texts.get(column) == known.get(column):
                continue
            if column in same:
                message = (
                    f"{where}: example '{name}' has the {column} {texts.get(column)!r}, but before it was "
                    f"{known.get(column)!r}; are these exports of one project?"
                )
                raise ExportError(message)
            self._differing.setdefault(column, name)
        return name

    def answer(
        self, example: str, source: str, label: str | None, time: Any = None, score: Any = None
    ) -> None:
        """Note the answer of a source, and how sure it is of it; without a label it is skipped."""
        if label is None or not label.strip():
            self.skipped["no label"] += 1
        else:
            self._answers.append((example, source, label, text_of(time)))
            self._scores.append(number_of(score))

    def gold_label(self, example: str, label: str, where: str) -> None:
        """Note the gold label of an example; refuse another one."""
        add_gold(self.gold, example, label, where)

    def vector(self, example: str, name: str, values: Any) -> None:
        """Note a vector of an example, such as an embedding."""
        self._vectors.setdefault(name, {})[example] = values

    def finish(self, options: ImportOptions) -> Export:
        """What was gathered, with one answer per source and example.

        Raises
        ------
        ExportError
            See :func:`.make_export`.
        """
        columns = zip(*self._answers, strict=True) if self._answers else [[]] * 4
        answers = pa.table(
            {
                name: pa.array(values, pa.large_string())
                for name, values in zip((*ANSWER, TIME), columns, strict=True)
            }
        ).append_column(SCORE, pa.array(self._scores, pa.float64()))
        notes = [
            f"column '{column}' is left out: it differs between records of an example, such as '{example}'"
            for column, example in sorted(self._differing.items())
        ]
        examples, features = self._with_vectors(self._table())
        found = Found(
            self.where,
            examples,
            answers,
            self.gold,
            self.skipped,
            notes=(*self.notes, *notes),
            features=features,
            integer_ids=self._integer_ids,
        )
        return make_export(found, options)

    def _with_vectors(self, examples: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
        """The examples with the vectors that all of them have, and the columns of these."""
        features: list[str] = []
        for name, vectors in self._vectors.items():
            column = feature_vectors([vectors.get(example) for example in self._examples])
            if column is None:
                self.notes.append(
                    f"vector '{name}' is left out: not every example has one of the same length"
                )
                continue
            features.append(f"{name}_vector" if name in examples.column_names else name)
            examples = examples.append_column(features[-1], column)
        return examples, tuple(features)

    def _table(self) -> pa.Table:
        """The examples in the order of their first records."""
        names = dict.fromkeys(name for columns in self._examples.values() for name in columns)
        texts = {ID_COLUMN: pa.array(list(self._examples), pa.large_string())}
        for name in names:
            if name not in self._differing and name != ID_COLUMN:
                values = [columns.get(name) for columns in self._examples.values()]
                texts[name] = pa.array(values, pa.large_string())
        return pa.table(texts)
