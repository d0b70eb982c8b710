"""Per shard: read the files, check them, count the votes.

A shard is a dynamic partition.  Only a new or changed shard is read again; everything after these
assets works on what they stored.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import dagster as dg
import pyarrow as pa

from ws_pipeline.defs.assets.alignment import check_votes_fit, name_of
from ws_pipeline.defs.assets.asset_maker import AssetMaker, of_tasks
from ws_pipeline.defs.assets.features import check_has_features, features_metadata
from ws_pipeline.defs.assets.function_votes import label_matrix_of_functions
from ws_pipeline.defs.assets.label_lists import votes_on_label_of_table, with_gold_per_label
from ws_pipeline.defs.assets.metadata import table_metadata, warnings_to_log
from ws_pipeline.defs.automation.shard_state import (
    all_shards_fingerprint,
    check_settings_of_shards,
    examples_fingerprint,
    ingested_shards,
    shard_warnings,
    votes_fingerprint,
)
from ws_pipeline.defs.spec.multi_label_tasks import LabelTaskSpec, gold_columns
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec, ShardPath
from ws_pipeline.defs.spec.shard_tables import examples_file, read_votes_table
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.errors import ExampleIdError
from ws_pipeline.example_ids import Ids, check_same_spelling, ids_from_table
from ws_pipeline.example_index import SPLITS
from ws_pipeline.examples import Examples, summarise_shards
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.long_votes import read_long_votes
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_tables import long_columns
from ws_pipeline.labeling.votes.wide_votes import read_wide_votes
from ws_pipeline.storage.column_kinds import ColumnType
from ws_pipeline.storage.files import ParquetSource


def build_ingest_assets(spec: PipelineSpec) -> list[dg.AssetsDefinition]:
    """Assets that read shards: the examples, then label matrix and vote counts of every task."""
    assets = [_examples(spec)]
    for task in spec.tasks:
        of_task, functions = AssetMaker(spec, task), spec.tasks[task].labeling_functions
        matrix = (
            _label_matrix(of_task, task)
            if functions is None
            else label_matrix_of_functions(of_task, task, functions)
        )
        assets += [matrix, _vote_counts(of_task)]
    return assets


def _examples(spec: PipelineSpec) -> dg.AssetsDefinition:
    @AssetMaker(spec).asset("parquet", version="2", per_shard=True)
    def examples(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Examples]:
        """Examples of a shard: id, split, features and, where known, gold labels."""
        file = examples_file(spec, context.partition_key)
        path, source = file.path, examples_fingerprint(spec, context.partition_key)
        with warnings_to_log(context.log):
            shard = examples_of_table(spec, file.read(), where=str(path))
        return dg.MaterializeResult(
            value=shard,
            data_version=dg.DataVersion(source),
            metadata={
                "source": str(path),
                "source_fingerprint": source,
                **{f"n_{split}": count for split, count in shard.split_counts().items()},
                **{f"n_gold_{task}": int((gold >= 0).sum()) for task, gold in shard.gold.items()},
                **features_metadata(shard),
            },
        )

    return examples


def examples_of_table(spec: PipelineSpec, table: pa.Table, *, where: str) -> Examples:
    """Decode the table of a shard's examples, and see that it can feed the end model.

    Raises
    ------
    ExamplesError, ExampleIdError
        The table breaks the contract of :meth:`.Examples.from_table`, or has no feature.
    """
    shard = Examples.from_table(
        with_gold_per_label(spec, table, where=where),
        spec.cardinalities,
        where=where,
        feature_columns=spec.columns,
        text_columns=list(spec.features),
        classes=spec.classes,
    )
    check_has_features(spec, shard, where=where)
    return shard


def _label_matrix(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    spec, task_spec = of_task.spec, of_task.spec.tasks[task]

    @of_task.asset("parquet", version="2", per_shard=True)
    def label_matrix(
        context: dg.AssetExecutionContext, examples: ParquetSource
    ) -> dg.MaterializeResult[LabelMatrix]:
        """Votes of the task's labeling functions on a shard's examples, null = abstain."""
        path = spec.votes_path(task, context.partition_key)
        source = votes_fingerprint(spec, task, context.partition_key)
        with warnings_to_log(context.log):
            tasks = gold_columns(spec.tasks)
            votes = read_votes(path, task_spec, tasks=tasks, types=spec.column_types)
        known = ids_from_table(examples.read(columns=["example_id"]), where=str(path))
        matrix = align_votes(votes, known, where=str(path))
        return dg.MaterializeResult(
            value=matrix,
            data_version=dg.DataVersion(source),
            metadata={
                "source": str(path),
                "source_fingerprint": source,
                "n_examples": len(matrix),
                "n_lfs": matrix.n_lfs,
                "n_without_votes": int((~matrix.covered).sum()),
            },
        )

    return label_matrix


def align_votes(votes: LabelMatrix, known: Ids, *, where: str) -> LabelMatrix:
    """The votes on a shard's examples ``[n]``, in their order; see :meth:`.LabelMatrix.aligned_to`."""
    check_same_spelling(votes.example_ids, known, where=where)
    return votes.aligned_to(known, where=where)


def read_votes(
    path: ShardPath,
    task_spec: TaskSpec,
    *,
    tasks: Collection[str],
    types: Mapping[str, ColumnType] = MappingProxyType({}),
) -> LabelMatrix:
    """Read the file of a shard's votes in the format that the pipeline.yaml names."""
    table, votes = read_votes_table(path, task_spec, tasks=tasks, types=types), task_spec.votes
    if isinstance(task_spec, LabelTaskSpec) and votes.format == "long":
        return votes_on_label_of_table(table, task_spec, tasks=tasks, where=str(path))
    superclasses = task_spec.classes_of_superclasses
    if votes.format == "wide":
        try:
            if isinstance(task_spec, LabelTaskSpec):
                return votes_on_label_of_table(table, task_spec, tasks=tasks, where=str(path))
            return read_wide_votes(
                table,
                task_spec.classes,
                lf_columns=task_spec.lf_columns,
                tasks=tasks,
                superclasses=superclasses,
                scores=votes.scores,
                score_suffix=votes.score_suffix,
                where=str(path),
            )
        except ExampleIdError as error:
            raise ExampleIdError(f"{error}{_if_long(table)}") from None
    return read_long_votes(
        table,
        task_spec.cardinality,
        columns=votes.columns,
        classes=task_spec.classes,
        lf_columns=task_spec.lf_columns,
        tasks=tasks,
        superclasses=superclasses,
        scores=votes.scores,
        where=str(path),
    )


def _if_long(table: pa.Table) -> str:
    """End of the message about ids that are missing or repeated, where there seems to be a row per vote."""
    columns = long_columns(table)
    if columns is None:
        return ""
    named = ", ".join(f"'{name}'" for name in columns)
    return f"; {named} look like columns of a row per vote; if so, set votes: {{format: long}} for this task"


def _vote_counts(of_task: AssetMaker) -> dg.AssetsDefinition:
    @of_task.asset("parquet", version="1", per_shard=True)
    def vote_counts(label_matrix: LabelMatrix) -> dg.MaterializeResult[VoteCounts]:
        """Exact counts of votes and pairs of votes on a shard; all that fitting needs of it."""
        counts = VoteCounts.from_label_matrix(label_matrix)
        metadata = {
            "n_examples": counts.n_examples,
            "n_covered": counts.n_covered,
            "n_conflicting": counts.rows.n_conflicting,
            "n_votes": int(counts.class_counts.sum()),
        }
        return dg.MaterializeResult(value=counts, metadata=metadata)

    return vote_counts


def build_shards_asset(spec: PipelineSpec) -> dg.AssetsDefinition:
    """Asset that checks the shards against each other; the models wait for it."""
    of_pipeline = AssetMaker(spec)
    per_task = {"vote_counts": dict[str, VoteCounts], "label_matrix": dict[str, ParquetSource]}

    @of_pipeline.asset("parquet", version="2", of_each_task=per_task)
    def shards(
        context: dg.AssetExecutionContext,
        examples: dict[str, ParquetSource],
        **inputs: dict[str, VoteCounts] | dict[str, ParquetSource],
    ) -> dg.MaterializeResult[pa.Table]:
        """Shards and what is in them; refuses an id in two shards, differing features, a missing split.

        Refuses shards that were ingested only in part or before the pipeline.yaml changed, and warns of those
        whose files changed or are gone.
        """
        ingested = ingested_shards(spec, context.instance, examples)
        check_settings_of_shards(spec, examples, of_tasks(spec, "vote_counts", inputs), ingested)
        for task, votes in of_tasks(spec, "label_matrix", inputs).items():
            check_votes_fit(votes, examples, what=name_of(spec, task, "label_matrix"))
        # without an end model there is nothing to validate or test
        summary = summarise_shards(examples, needed_splits=SPLITS if spec.model else ())
        for warning in shard_warnings(spec, context.instance, ingested):
            context.log.warning("%s; training uses what was ingested", warning)
        metadata = {
            "n_shards": summary.num_rows,
            "n_examples": sum(summary["n_examples"].to_pylist()),
            "shards_fingerprint": all_shards_fingerprint(ingested),
            "summary": table_metadata(summary),
        }
        return dg.MaterializeResult(value=summary, metadata=metadata)

    return shards
