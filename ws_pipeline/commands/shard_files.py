"""Reads the files of all shards as the ingestion does, and collects what is wrong with them.

Legend: n examples, m labeling functions (LFs).  Start reading at :func:`read_shards`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ws_pipeline.commands.column_problems import find_examples_problems, find_votes_problems
from ws_pipeline.commands.findings import Findings
from ws_pipeline.commands.voting import Voting
from ws_pipeline.defs.assets.ingest import align_votes, examples_of_table, read_votes
from ws_pipeline.defs.spec.multi_label_tasks import gold_columns, written_as
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.shard_tables import examples_file, read_votes_table
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.feature_columns import FeatureSet
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix


@dataclass(frozen=True)
class ShardExamples:
    """The examples of a shard: ids, splits and gold; and the names and widths of their features."""

    index: ExampleIndex
    features: FeatureSet


@dataclass(frozen=True)
class ShardFiles:
    """What could be read of the files of a pipeline.

    Parameters
    ----------
    shards
        Names of the shards.
    examples
        Shard to its examples.
    votes
        Task to shard to the votes, in the order of the examples.
    """

    shards: Sequence[str]
    examples: dict[str, ShardExamples] = field(default_factory=dict)
    votes: dict[str, dict[str, LabelMatrix]] = field(default_factory=dict)


def read_shards(spec: PipelineSpec, shards: Sequence[str], findings: Findings) -> ShardFiles:
    """Read the files of all shards; one that cannot be read is missing from what is returned."""
    files = ShardFiles(shards, votes={task: {} for task in spec.tasks})
    with_functions = [task for task, of_task in spec.tasks.items() if of_task.labeling_functions]
    lfs = {task: findings.attempt(spec.functions_of, task) for task in with_functions}
    for shard in shards:
        table = findings.attempt(_read_examples, spec, shard)
        examples = None if table is None else _examples(spec, shard, table, findings)
        if examples is not None:
            files.examples[shard] = examples
        for task in spec.tasks:
            if task in lfs:
                votes = _votes_of_functions(spec, task, shard, lfs[task], table, examples, findings)
            else:
                votes = _votes_of_file(spec, task, shard, examples, findings)
            if votes is not None:
                files.votes[task][shard] = votes
    return files


def _read_examples(spec: PipelineSpec, shard: str) -> pa.Table:
    return examples_file(spec, shard).read()


def _examples(spec: PipelineSpec, shard: str, table: pa.Table, findings: Findings) -> ShardExamples | None:
    where = str(spec.examples_path(shard))
    alone = Findings()
    read = alone.attempt(examples_of_table, spec, table, where=where)
    if spec.model is None:
        alone.warnings.clear()  # they are about features, which nothing reads
    findings.add(alone)
    if read is None:
        find_examples_problems(spec, table, findings, where=where)
        return None
    index = ExampleIndex(read.example_ids, read.splits, read.gold, read.cardinalities)
    return ShardExamples(index, FeatureSet(read.feature_widths, read.left_out))


def _votes_of_file(
    spec: PipelineSpec, task: str, shard: str, examples: ShardExamples | None, findings: Findings
) -> LabelMatrix | None:
    """The votes in a file; where the shard's examples could not be read, the file alone is looked at."""
    path, of_task = spec.votes_path(task, shard), spec.tasks[task]
    tasks = gold_columns(spec.tasks)
    votes = findings.attempt(read_votes, path, of_task, tasks=tasks, types=spec.column_types)
    if votes is None:
        types = spec.column_types
        table = Findings().attempt(read_votes_table, path, of_task, tasks=tasks, types=types)
        if table is not None and of_task.votes.format == "wide":
            find_votes_problems(table, of_task, findings, tasks=tasks, where=str(path))
        return None
    if examples is None:
        findings.unchecked.append(f"whether the votes in {path} are on examples of their shard")
        return None
    return findings.attempt(align_votes, votes, examples.index.example_ids, where=str(path))


def _votes_of_functions(
    spec: PipelineSpec,
    task: str,
    shard: str,
    lfs: Sequence[LabelingFunction] | None,
    table: pa.Table | None,
    examples: ShardExamples | None,
    findings: Findings,
) -> LabelMatrix | None:
    name = written_as(task, spec.tasks[task])
    if lfs is None or table is None or examples is None:
        findings.unchecked.append(f"the labeling functions of task '{name}' on {spec.examples_path(shard)}")
        return None
    voting = Voting(spec, task, table, examples.index.example_ids)
    return voting.votes_of(lfs, findings, opening=f"{spec.examples_path(shard)}: task '{name}': ")
