"""The bins of scores of a task whose votes have scores, and how reliable the votes in each are."""

import dagster as dg
import numpy as np
from pydantic import Field

from ws_pipeline.defs.assets.alignment import check_votes_fit, with_same_lfs
from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.metadata import table_metadata, warnings_to_log
from ws_pipeline.defs.io_managers import FolderIOManager
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.score_bins import ScoreBins
from ws_pipeline.storage.files import read_parquet

_SHOWN = 100  # rows of the table in the UI


class ScoreBinsConfig(dg.Config):
    """Whether the bins of scores are kept."""

    fix_again: bool = Field(
        default=False,
        description="Fix the bins by the scores that there are now; else those of LFs that have some stay.",
    )


def build_score_bins(of_task: AssetMaker, task: str, task_spec: TaskSpec) -> dg.AssetsDefinition:
    """The asset of a task whose votes have scores."""

    @of_task.asset("parquet", version="1", after_shards=True, required_resource_keys={"io_manager"})
    def score_bins(
        context: dg.AssetExecutionContext,
        config: ScoreBinsConfig,
        label_matrix: dict[str, LabelMatrix],
        examples: dict[str, ExampleIndex],
    ) -> dg.MaterializeResult[ScoreBins]:
        """Bins of the scores of each LF, fixed at the first fit, and how often votes in each are right.

        The gold labels of all splits are used, in a report.
        """
        check_votes_fit(label_matrix, examples, what=of_task.name("label_matrix"))
        gold = np.concatenate([examples[shard].gold[task] for shard in label_matrix])
        before = None if config.fix_again else _bins_before(context)
        matrices = with_same_lfs(task_spec, label_matrix)
        with warnings_to_log(context.log):
            bins = ScoreBins.of(matrices, task_spec.votes.score_bins, before=before, gold=gold)
        kept = {} if before is None else before.edges
        return dg.MaterializeResult(
            value=bins,
            metadata={
                "n_bins": bins.n_bins,
                "n_lfs": len(bins.edges),
                "n_lfs_fixed_now": sum(
                    name not in kept or not np.array_equal(edges, kept[name])
                    for name, edges in bins.edges.items()
                ),
                "bins": table_metadata(bins.table.slice(0, _SHOWN)),
            },
        )

    return score_bins


def _bins_before(context: dg.AssetExecutionContext) -> ScoreBins | None:
    """The bins of the last run, if there are any."""
    manager: FolderIOManager = context.resources.io_manager
    path = manager.path_of(context.asset_key)
    return ScoreBins.from_table(read_parquet(path)) if path.exists() else None
