"""Problems of a file beyond the first one: each of its columns is looked at alone.

The pipeline's readers stop at the first problem of a file.  Here they read the same file again, column by
column; ids and splits that cannot be read are replaced, so that the other columns can be looked at.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from ws_pipeline.commands.findings import Findings
from ws_pipeline.defs.assets.label_lists import votes_on_label_of_table, with_gold_per_label
from ws_pipeline.defs.spec.multi_label_rules import COMPLETE
from ws_pipeline.defs.spec.multi_label_tasks import LabelTaskSpec, gold_columns
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.example_ids import ID_COLUMN, ids_from_table
from ws_pipeline.example_index import SPLIT_COLUMN, SPLITS, ExampleIndex
from ws_pipeline.examples import Examples
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_tables import long_columns


def find_examples_problems(spec: PipelineSpec, table: pa.Table, findings: Findings, *, where: str) -> None:
    """Add the problems of all columns of a table of examples that was refused."""
    table = _with_readable_index(table, findings, where)
    with_gold = findings.attempt(with_gold_per_label, spec, table, where=where)
    table = table if with_gold is None else with_gold
    for task, names in spec.classes.items():
        k = {task: spec.cardinalities[task]}
        findings.attempt(ExampleIndex.from_table, table, k, classes={task: names}, where=where)
    taken = {ID_COLUMN, SPLIT_COLUMN, *gold_columns(spec.tasks)}
    for name in spec.columns or [name for name in table.column_names if name not in taken]:
        alone = Findings()  # what is left out is told by the file as a whole
        if spec.columns:
            alone.attempt(Examples.from_table, table, {}, where=where, feature_columns=[name])
        else:
            alone.attempt(Examples.from_table, table.select([ID_COLUMN, SPLIT_COLUMN, name]), {}, where=where)
        findings.add(Findings(alone.problems))


def find_votes_problems(
    table: pa.Table, task_spec: TaskSpec, findings: Findings, *, tasks: Collection[str], where: str
) -> None:
    """Add the problems of all columns of a wide table of votes that was refused."""
    if Findings().attempt(ids_from_table, table, where=where) is None:
        if long_columns(table) is not None:
            return  # it has a row per vote, so that its columns are no LFs
        table = _with_ids_of_rows(table)
    listed, ids = task_spec.lf_columns, [name for name in table.column_names if name == ID_COLUMN]
    parts: list[tuple[pa.Table, list[str] | None]] = [(table, [name]) for name in listed or ()]
    if listed is None:
        parts = [(table.select([*ids, name]), None) for name in table.column_names if name not in ids]
    for part, of_part in parts:
        if isinstance(task_spec, LabelTaskSpec):
            alone = task_spec.model_copy(update={"lf_columns": of_part, "label_lists": COMPLETE})
            findings.attempt(votes_on_label_of_table, part, alone, tasks=tasks, where=where)
            continue
        findings.attempt(
            LabelMatrix.from_table,
            part,
            task_spec.cardinality,
            lf_columns=of_part,
            tasks=tasks,
            classes=task_spec.classes,
            where=where,
        )


def _with_readable_index(table: pa.Table, findings: Findings, where: str) -> pa.Table:
    """The table with ids and splits that can be read; what is wrong with its own is added."""

    def is_refused(found: pa.Table) -> bool:
        return findings.attempt(ExampleIndex.from_table, found, {}, where=where) is None

    if SPLIT_COLUMN not in table.column_names:
        is_refused(table)
        table = table.append_column(SPLIT_COLUMN, _any_split(table))
    if findings.attempt(ids_from_table, table, where=where) is None:
        table = _with_ids_of_rows(table)
    if is_refused(table):
        table = _replaced(table, SPLIT_COLUMN, _any_split(table))
    return table


def _with_ids_of_rows(table: pa.Table) -> pa.Table:
    """The table with unique ids, which name the rows."""
    given = table.column(ID_COLUMN).to_pylist() if ID_COLUMN in table.column_names else [""] * len(table)
    names = [f"{value} (row {row})".strip() for row, value in enumerate(given)]
    return _replaced(table, ID_COLUMN, pa.array(names, pa.string()))


def _any_split(table: pa.Table) -> pa.Array:
    return pa.array([SPLITS[0]] * len(table), pa.string())


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    if name not in table.column_names:
        return table.append_column(name, values)
    return table.set_column(table.column_names.index(name), name, values)
