"""From all vote counts to probabilistic labels, for each task.

The label model is fitted on the sum of the shards' counts, so it costs nothing in the number of
examples.  A blocking check compares its labels with the plain vote before anything is trained on them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from ws_pipeline.defs.assets.alignment import check_votes_fit
from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.metadata import table_metadata, warnings_to_log
from ws_pipeline.defs.resources import ComputeDevice
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.run_config import label_model_launch_config
from ws_pipeline.errors import LabelMatrixError, WsPipelineError
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.labeling.models.baselines import MajorityLabelVoter
from ws_pipeline.labeling.models.label_model import LabelModel
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.lf_analysis import lf_summary as summarise_lfs
from ws_pipeline.labeling.votes.vote_counts import VoteCounts


def build_labeling_assets(spec: PipelineSpec, task: str) -> list[dg.AssetsDefinition]:
    """Assets that turn one task's vote counts into its probabilistic labels."""
    of_task = AssetMaker(spec, task)
    return [
        _lf_summary(of_task, task),
        _majority_vote(of_task, task),
        _label_model(of_task, task),
        _probabilistic_labels(of_task),
    ]


def _lf_summary(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    @of_task.asset("parquet", version="1", after_shards=True)
    def lf_summary(
        context: dg.AssetExecutionContext,
        vote_counts: dict[str, VoteCounts],
        label_matrix: dict[str, LabelMatrix],
        examples: dict[str, ExampleIndex],
    ) -> dg.MaterializeResult[pa.Table]:
        """One row per labeling function: what it votes, how much, and how well where gold is known.

        The gold labels of the train split are used here, in a report, and nowhere else.
        """
        check_votes_fit(label_matrix, examples, what=of_task.name("label_matrix"))
        gold = np.concatenate([examples[shard].gold[task] for shard in label_matrix])
        with warnings_to_log(context.log):
            matrix = LabelMatrix.concatenate(label_matrix)
            table = summarise_lfs(VoteCounts.total(vote_counts), matrix=matrix, gold=gold)
        metadata = {"n_lfs": table.num_rows, "summary": table_metadata(table)}
        return dg.MaterializeResult(value=table, metadata=metadata)

    return lf_summary


def _majority_vote(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    voter = MajorityLabelVoter(of_task.spec.tasks[task].cardinality)

    @of_task.asset("parquet", version="2", after_shards=True)
    def majority_vote(label_matrix: dict[str, LabelMatrix]) -> dg.MaterializeResult[ProbabilisticLabels]:
        """Labels of the plain majority vote: what the label model has to beat."""
        labels = ProbabilisticLabels.from_votes(voter, LabelMatrix.concatenate(label_matrix))
        ties = labels.covered & (labels.predictions < 0)
        metadata = {"n_covered": int(labels.covered.sum()), "n_ties": int(ties.sum())}
        return dg.MaterializeResult(value=labels, metadata=metadata)

    return majority_vote


def _label_model(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]
    run_config = label_model_launch_config(task_spec.label_model, asset=of_task.name("label_model"))

    @of_task.asset("torch", version="2", after_shards=True, config_schema=run_config.schema)
    def label_model(
        context: dg.AssetExecutionContext, vote_counts: dict[str, VoteCounts], device: ComputeDevice
    ) -> dg.MaterializeResult[LabelModel]:
        """Label model: what each labeling function's vote says about the class, learned without gold."""
        chosen, settings = device.resolve(), run_config.settings(context)
        with warnings_to_log(context.log) as told, _naming_the_task(task):
            counts = VoteCounts.total(vote_counts)
            model = LabelModel(task_spec.cardinality, verbose=False, device=chosen)
            model.fit_counts(counts, settings, class_balance=task_spec.class_balance)
        return dg.MaterializeResult(
            value=model,
            metadata={
                "device": chosen,
                "n_shards": len(vote_counts),
                **_fit_metadata(model, counts),
                "warnings": told,
            },
        )

    return label_model


@contextmanager
def _naming_the_task(task: str) -> Iterator[None]:
    """Say of which task an error is, and what a pipeline can do about votes that teach nothing."""
    try:
        yield
    except WsPipelineError as error:
        remedy = "; add LFs that vote, or leave the task out of the pipeline.yaml"
        error.add_note(f"in the label model of task '{task}'{remedy * isinstance(error, LabelMatrixError)}")
        raise


def _fit_metadata(model: LabelModel, counts: VoteCounts) -> Mapping[str, Any]:
    """Metadata of a fit: the weights, and the number of votes behind them."""
    weights = [
        dg.TableRecord({"lf": name, "weight": round(float(weight), 4)})
        for name, weight in zip(model.lf_names, model.get_weights(), strict=True)
    ]
    # without a step there is no loss: the votes tell nothing that could be learned
    loss = {"loss": model.history_[-1].loss} if model.history_ else {}
    return {
        "n_examples": counts.n_examples,
        "n_covered": counts.n_covered,
        "n_epochs": model.n_epochs_,
        **loss,
        "weights": dg.MetadataValue.table(weights),
        "silent_lfs": list(counts.silent_lfs),
    }


def _probabilistic_labels(of_task: AssetMaker) -> dg.AssetsDefinition:
    @of_task.asset("parquet", version="2")
    def probabilistic_labels(
        label_model: LabelModel, label_matrix: dict[str, LabelMatrix]
    ) -> dg.MaterializeResult[ProbabilisticLabels]:
        """P(class) of every example, from its votes and the label model."""
        labels = ProbabilisticLabels.from_votes(label_model, LabelMatrix.concatenate(label_matrix))
        confidence = labels.probs[labels.covered].max(axis=1)
        metadata = {
            "n_covered": int(labels.covered.sum()),
            "n_without_votes": int((~labels.covered).sum()),
            "mean_confidence": float(confidence.mean()),
        }
        return dg.MaterializeResult(value=labels, metadata=metadata)

    return probabilistic_labels
