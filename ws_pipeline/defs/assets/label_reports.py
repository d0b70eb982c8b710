"""Tables about a task's labels for people: how label models compare, what is unsure, what to label next."""

from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ws_pipeline.defs.assets.alignment import check_same_examples, with_same_lfs
from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.label_metadata import comparison_table
from ws_pipeline.defs.assets.metadata import table_metadata
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.errors import FileFormatError
from ws_pipeline.example_ids import ids_from_table
from ws_pipeline.example_index import UNKNOWN, ExampleIndex
from ws_pipeline.labeling.models.auto import AutoLabelModel
from ws_pipeline.labeling.models.family_report import find_families
from ws_pipeline.labeling.models.label_next import label_next as choose_next
from ws_pipeline.labeling.models.labeler import BaseLabeler
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.models.reasons import least_sure as find_least_sure
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns

_SHOWN = 12  # rows of a table in the UI
_SHOWN_COLUMNS = ("example_id", "label", "runner_up", "confidence", "votes")


def build_label_reports(spec: PipelineSpec, task: str) -> list[dg.AssetsDefinition]:
    """Assets about one task's labels, on which nothing else depends."""
    of_task = AssetMaker(spec, task)
    return [
        _label_model_comparison(of_task),
        _lf_families(of_task, task),
        _least_sure(of_task, task),
        _label_next(spec, task),
    ]


def _label_model_comparison(of_task: AssetMaker) -> dg.AssetsDefinition:
    @of_task.asset("parquet", version="1")
    def label_model_comparison(label_model: BaseLabeler) -> dg.MaterializeResult[pa.Table]:
        """The candidates for the label model beside the plain vote, without gold labels and with them."""
        model = _chosen(label_model)
        table = comparison_table(model)
        return dg.MaterializeResult(
            value=table,
            metadata={
                "published": model.kind_,
                "reason": model.reason_,
                "comparison": table_metadata(table),
            },
        )

    return label_model_comparison


def _lf_families(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]

    @of_task.asset("parquet", version="1")
    def lf_families(
        label_model: BaseLabeler, label_matrix: dict[str, LabelMatrix]
    ) -> dg.MaterializeResult[pa.Table]:
        """LFs that say the same for other reasons than the class, and the few that carry the panel."""
        matrices = with_same_lfs(task_spec, label_matrix)
        shards = {shard: VotePatterns.from_label_matrix(matrix) for shard, matrix in matrices.items()}
        families = find_families(label_model, VotePatterns.total(shards))
        in_families = families.table.filter(pc.is_valid(families.table["family"]))
        n_families = len(pc.unique(in_families["family"]))
        carriers = families.carriers
        more = f" and {len(carriers) - _SHOWN} more" if len(carriers) > _SHOWN else ""
        return dg.MaterializeResult(
            value=families.table,
            metadata={
                "n_families": n_families,
                "effective_number": families.effective_number,
                "summary": (
                    f"{families.n_voting} LFs that vote are worth {families.effective_number:.1f} "
                    f"independent ones; {len(carriers)} carry the panel: "
                    f"{', '.join(carriers[:_SHOWN])}{more}"
                ),
                "families": table_metadata(in_families.sort_by("family").slice(0, _SHOWN)),
            },
        )

    return lf_families


def _least_sure(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]

    @of_task.asset("parquet", version="1")
    def least_sure(
        label_model: BaseLabeler,
        label_matrix: dict[str, LabelMatrix],
        probabilistic_labels: ProbabilisticLabels,
    ) -> dg.MaterializeResult[pa.Table]:
        """The hundred examples with the least sure labels: what each LF adds to the log-odds."""
        matrix = LabelMatrix.concatenate(with_same_lfs(task_spec, label_matrix))
        check_same_examples(
            probabilistic_labels.example_ids, label_matrix, what=of_task.name("probabilistic_labels")
        )
        table = find_least_sure(_chosen(label_model), matrix, probabilistic_labels.probs, task_spec.classes)
        shown = table.select(list(_SHOWN_COLUMNS)).slice(0, _SHOWN)
        return dg.MaterializeResult(
            value=table, metadata={"n_examples": table.num_rows, "first": table_metadata(shown)}
        )

    return least_sure


def _label_next(spec: PipelineSpec, task: str) -> dg.AssetsDefinition:
    task_spec = spec.tasks[task]
    # with an end model it comes after that, and so is in its group: groups have arrows one way only
    of_task = AssetMaker(spec, task, part="end_model" if spec.model else None)

    @of_task.asset("parquet", version="1", also=["predictions"] if spec.model else [])
    def label_next(
        label_matrix: dict[str, LabelMatrix],
        examples: dict[str, ExampleIndex],
        probabilistic_labels: ProbabilisticLabels,
        **inputs: pa.Table,
    ) -> dg.MaterializeResult[pa.Table]:
        """The examples of train and valid whose gold label would help most, for annotators.

        Gold labels of the train split that are there, but not used, are counted in the metadata; the key
        use_train_gold of the label model lets it use them.
        """
        labels_name = of_task.name("probabilistic_labels")
        check_same_examples(probabilistic_labels.example_ids, examples, what=labels_name)
        index = ExampleIndex.concatenate(examples)
        table = choose_next(
            LabelMatrix.concatenate(with_same_lfs(task_spec, label_matrix)),
            probabilistic_labels.probs,
            task_spec.classes,
            askable=(index.gold[task] == UNKNOWN) & (index.splits != "test"),
            end_model_probs=_end_model_probs(of_task, task, examples, inputs.get("predictions")),
        )
        splits = dict(zip(index.example_ids.tolist(), index.splits.tolist(), strict=True))
        of_examples = pa.array([splits[i] for i in table.column("example_id").to_pylist()], pa.string())
        table = table.add_column(1, "split", of_examples)
        used = np.isin(index.splits.astype(str), [*task_spec.gold_splits, "test"])
        return dg.MaterializeResult(
            value=table,
            metadata={
                "n_examples": table.num_rows,
                "n_gold_not_used": int(((index.gold[task] != UNKNOWN) & ~used).sum()),
                "first": table_metadata(table.slice(0, _SHOWN)),
            },
        )

    return label_next


def _end_model_probs(
    of_task: AssetMaker, task: str, examples: dict[str, ExampleIndex], predictions: pa.Table | None
) -> Any:
    """P(class) by the end model ``[n, k]``, or None if there is none."""
    if predictions is None:
        return None
    from ws_pipeline.classification.end_model import task_probs

    ids = ids_from_table(predictions, where="predictions")
    check_same_examples(ids, examples, what=of_task.name("predictions"))
    return task_probs(predictions, task, of_task.spec.cardinalities[task])


def _chosen(model: BaseLabeler) -> AutoLabelModel:
    """A task's label model, which older versions stored without a comparison."""
    if not isinstance(model, AutoLabelModel):
        message = (
            f"the stored label model is a {type(model).__name__} of an older version, which compared "
            "nothing; materialize label_model again"
        )
        raise FileFormatError(message)
    return model
