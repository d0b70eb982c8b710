"""Per shard: apply a task's labeling functions to the examples, those that have changed and no others."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt

from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.metadata import table_metadata
from ws_pipeline.defs.automation.shard_state import votes_fingerprint
from ws_pipeline.defs.io_managers import FolderIOManager
from ws_pipeline.defs.spec.multi_label_tasks import gold_columns
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.shard_tables import TableSource, examples_file, stamp_of_shard
from ws_pipeline.defs.spec.task_spec import FunctionsSpec
from ws_pipeline.errors import ExampleIdError
from ws_pipeline.example_ids import ID_COLUMN, ids_from_table
from ws_pipeline.example_index import SPLIT_COLUMN
from ws_pipeline.labeling.functions.apply_by_lf import AppliedLFs, apply_by_lf
from ws_pipeline.labeling.functions.function_votes import (
    NO_VOTES,
    FunctionVotes,
    report_table,
    side_by_side,
)
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.labeling.functions.lf_fingerprint import lf_fingerprint
from ws_pipeline.storage.files import ParquetSource

_SECONDS_BETWEEN_LINES = 10.0


def label_matrix_of_functions(of_task: AssetMaker, task: str, settings: FunctionsSpec) -> dg.AssetsDefinition:
    """The label matrix of a task whose votes are made by labeling functions."""
    spec = of_task.spec

    @of_task.asset("parquet", version="2", per_shard=True, required_resource_keys={"io_manager"})
    def label_matrix(
        context: dg.AssetExecutionContext, examples: ParquetSource
    ) -> dg.MaterializeResult[FunctionVotes]:
        """Votes of the task's labeling functions on a shard's examples, null = abstain.

        Only functions that are new or have changed since the shard's last votes are applied, unless the
        examples have changed.
        """
        shard, k = context.partition_key, spec.cardinalities[task]
        file, source = examples_file(spec, shard), votes_fingerprint(spec, task, shard)
        path, file_stamp, lfs = (
            str(file.path),
            stamp_of_shard(spec.examples_path(shard)),
            spec.functions_of(task),
        )
        columns = columns_to_vote_on(spec, file.schema.names)
        # the columns too, which are others when a task is added that has its gold labels in one of them
        stamp = f"{file_stamp} {', '.join(columns)}"
        ids = ids_from_table(file.read(columns=[ID_COLUMN]), where=path)
        known = ids_from_table(examples.read(columns=[ID_COLUMN]), where=path)
        _check_same_examples(ids, known, path=path)
        fingerprints, before = {lf.name: lf_fingerprint(lf) for lf in lfs}, _votes_before(context)
        kept = before.unchanged(fingerprints, ids, stamp, fault_tolerant=settings.fault_tolerant)
        applied = _apply(context, settings, [lf for lf in lfs if lf.name not in kept], file, columns)
        made = kept | applied.votes
        columns_in_order = {name: made[name] for name in fingerprints}
        matrix = side_by_side(columns_in_order, k, ids, spec.tasks[task].classes_of_superclasses)
        faults = {name: n for name, n in before.faults.items() if name in kept} | applied.faults
        votes = FunctionVotes(matrix, fingerprints, stamp, faults)
        return dg.MaterializeResult(
            value=votes,
            data_version=dg.DataVersion(source),
            metadata={
                "source": path,
                "source_fingerprint": source,
                "n_examples": len(votes.matrix),
                "n_lfs": votes.matrix.n_lfs,
                "n_without_votes": int((~votes.matrix.covered).sum()),
                "n_lfs_applied": len(applied.votes),
                "n_faults": sum(votes.faults.values()),
                "labeling_functions": table_metadata(report_table(lfs, applied, votes.faults)),
            },
        )

    return label_matrix


def columns_to_vote_on(spec: PipelineSpec, columns: Sequence[str]) -> list[str]:
    """What labeling functions may read: no gold labels, and no split, which would tell where they are."""
    hidden = {SPLIT_COLUMN, *gold_columns(spec.tasks)}
    return [name for name in columns if name not in hidden]


def _check_same_examples(ids: npt.NDArray[Any], known: npt.NDArray[Any], *, path: str) -> None:
    if not np.array_equal(ids, known):
        message = (
            f"{path}: holds other examples than those that were ingested a moment ago ({len(ids)} instead of "
            f"{len(known)}, or others); the file changed in between: ingest the shard again"
        )
        raise ExampleIdError(message)


def _votes_before(context: dg.AssetExecutionContext) -> FunctionVotes:
    """The shard's last votes, if functions made them."""
    manager: FolderIOManager = context.resources.io_manager
    path = manager.path_of(context.asset_key, context.partition_key)
    return (FunctionVotes.from_source(ParquetSource(path)) if path.exists() else None) or NO_VOTES


def _apply(
    context: dg.AssetExecutionContext,
    settings: FunctionsSpec,
    lfs: Sequence[LabelingFunction],
    file: ParquetSource | TableSource,
    columns: list[str],
) -> AppliedLFs:
    """Votes of these labeling functions; without any, the examples are not read."""
    if not lfs:
        return AppliedLFs({}, Counter(), {})
    frame = file.read(columns=columns).to_pandas()
    ids = frame[ID_COLUMN]
    return apply_by_lf(
        lfs,
        frame,
        n_processes=settings.processes,
        fault_tolerant=settings.fault_tolerant,
        name_row=lambda row: f"example {ids.iloc[row]}",
        progress=_progress_lines(context, f"{len(lfs)} labeling functions", len(frame)),
    )


def _progress_lines(context: dg.AssetExecutionContext, what: str, n_examples: int) -> Callable[[int], object]:
    """Log how many examples are done, at the end and now and then before it."""
    last = time.monotonic()

    def tell(n_done: int) -> None:
        nonlocal last
        if n_done == n_examples or time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            context.log.info("applied %s to %s of %s examples", what, f"{n_done:,}", f"{n_examples:,}")
            last = time.monotonic()

    return tell
