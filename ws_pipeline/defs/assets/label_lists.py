"""Reads files of multi-label tasks, with lists as votes and gold labels, as those of a task per class."""

from collections.abc import Collection

import pyarrow as pa

from ws_pipeline.defs.spec.multi_label_tasks import LabelTaskSpec, multi_label_tasks
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.errors import LabelMatrixError
from ws_pipeline.label_lists import with_gold_of_each
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.list_votes import read_list_votes, read_long_list_votes


def votes_on_label_of_table(
    table: pa.Table, task_spec: LabelTaskSpec, *, tasks: Collection[str], where: str
) -> LabelMatrix:
    """Read what a table of votes on a multi-label task says of one of its classes.

    Raises
    ------
    LabelMatrixError, ExampleIdError
        See :func:`.read_list_votes` and :func:`.read_long_list_votes`; or ``label_lists`` names an LF that is
        not there.
    """
    if task_spec.votes.format == "long":
        return read_long_list_votes(
            table,
            task_spec.label,
            classes=task_spec.labels,
            is_complete=task_spec.is_complete,
            columns=task_spec.votes.columns,
            lf_columns=task_spec.lf_columns,
            tasks=tasks,
            where=where,
        )
    matrix = read_list_votes(
        table,
        task_spec.label,
        classes=task_spec.labels,
        is_complete=task_spec.is_complete,
        lf_columns=task_spec.lf_columns,
        tasks=tasks,
        where=where,
    )
    unknown = task_spec.unknown_lf(matrix.lf_names)
    if unknown:
        message = f"{where}: {unknown}"
        raise LabelMatrixError(message)
    return matrix


def with_gold_per_label(spec: PipelineSpec, table: pa.Table, *, where: str) -> pa.Table:
    """The table of a shard's examples with gold labels of the task of each class in place of gold lists.

    Raises
    ------
    ExamplesError
        See :func:`.with_gold_of_each`.
    """
    for name, of_labels in multi_label_tasks(spec.tasks).items():
        places = {task: task_spec.label for task, task_spec in of_labels.items()}
        classes = next(iter(of_labels.values())).labels
        table = with_gold_of_each(table, name, places, classes, where=where)
    return table
