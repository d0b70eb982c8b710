"""From all vote counts to probabilistic labels, for each task.

The label model is fitted on the sum of the shards' counts, so it costs nothing in the number of
examples.  A blocking check compares its labels with the plain vote before anything is trained on them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from ws_pipeline.defs.assets.alignment import check_votes_fit
from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.metadata import table_metadata, warnings_to_log
from ws_pipeline.defs.resources import ComputeDevice
from ws_pipeline.defs.spec.launch_checks import LaunchConfig
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.run_config import label_model_launch_config
from ws_pipeline.errors import LabelMatrixError, WsPipelineError
from ws_pipeline.example_index import UNKNOWN, ExampleIndex
from ws_pipeline.labeling.models.additive import AdditiveLabeler
from ws_pipeline.labeling.models.auto import AutoLabelModel
from ws_pipeline.labeling.models.baselines import MajorityLabelVoter
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.kinds import TrainingVotes, fit_label_model
from ws_pipeline.labeling.models.label_model import LabelModel
from ws_pipeline.labeling.models.labeler import BaseLabeler
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.lf_analysis import lf_summary as summarise_lfs
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.settings.label_model import MatrixCompletionConfig


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
    settings = of_task.spec.tasks[task].label_model
    run_config = label_model_launch_config(settings, asset=of_task.name("label_model"))
    if isinstance(settings, MatrixCompletionConfig):
        return _label_model_of_counts(of_task, task, run_config)
    return _label_model_of_votes(of_task, task, run_config)


def _label_model_of_counts(
    of_task: AssetMaker, task: str, run_config: LaunchConfig[Any]
) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]

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


def _label_model_of_votes(
    of_task: AssetMaker, task: str, run_config: LaunchConfig[Any]
) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]

    @of_task.asset("torch", version="1", after_shards=True, config_schema=run_config.schema)
    def label_model(
        context: dg.AssetExecutionContext,
        label_matrix: dict[str, LabelMatrix],
        examples: dict[str, ExampleIndex],
        device: ComputeDevice,
    ) -> dg.MaterializeResult[BaseLabeler]:
        """Label model of the kind that the pipeline.yaml names; "auto" chooses one by the gold labels."""
        chosen, settings = device.resolve(), run_config.settings(context)
        check_votes_fit(label_matrix, examples, what=of_task.name("label_matrix"))
        with warnings_to_log(context.log) as told, _naming_the_task(task):
            votes = _training_votes(label_matrix)
            rows = _gold_rows(label_matrix, examples, task, use_train=settings.use_train_gold)
            balance = task_spec.class_balance
            if settings.kind == "auto":
                auto = AutoLabelModel(task_spec.cardinality, device=chosen)
                model: BaseLabeler = auto.fit_votes(votes, rows, class_balance=balance)
            else:
                gold = rows.count(task_spec.cardinality)
                model = fit_label_model(settings.kind, votes, settings, gold=gold, class_balance=balance)
        return dg.MaterializeResult(
            value=model,
            metadata={
                "device": chosen,
                "n_shards": len(label_matrix),
                "n_gold": len(rows),
                **_choice_metadata(model, settings.kind, votes.patterns),
                "warnings": told,
            },
        )

    return label_model


def _training_votes(label_matrix: Mapping[str, LabelMatrix]) -> TrainingVotes:
    patterns = {shard: VotePatterns.from_label_matrix(matrix) for shard, matrix in label_matrix.items()}
    return TrainingVotes(
        VotePatterns.total(patterns),
        lambda: VoteCounts.total(
            {shard: VoteCounts.from_label_matrix(matrix) for shard, matrix in label_matrix.items()}
        ),
    )


def _gold_rows(
    label_matrix: Mapping[str, LabelMatrix],
    examples: Mapping[str, ExampleIndex],
    task: str,
    *,
    use_train: bool,
) -> GoldRows:
    """Votes and gold labels of the valid split, and of the train split if that is wanted; never of test."""
    splits = ["valid", "train"] if use_train else ["valid"]
    parts = []
    for shard, matrix in label_matrix.items():
        usable = np.isin(examples[shard].splits.astype(str), splits)
        gold = np.where(usable, examples[shard].gold[task], UNKNOWN)
        parts.append(GoldRows.read(matrix, gold, matrix.cardinality))
    return GoldRows.concatenate(parts)


def _choice_metadata(model: BaseLabeler, kind: str, patterns: VotePatterns) -> dict[str, Any]:
    """Metadata of a label model that was fitted on vote patterns: which it is, and why."""
    metadata: dict[str, Any] = {
        "kind": kind,
        "n_examples": patterns.n_examples,
        "n_covered": patterns.covered().n_examples,
        "n_patterns": patterns.n_patterns,
    }
    if isinstance(model, AutoLabelModel):
        metadata |= {"kind": model.kind_, "reason": model.reason_}
        metadata["candidates"] = table_metadata(pa.Table.from_pylist([asdict(c) for c in model.comparison_]))
        model = model.chosen_
    if isinstance(model, AdditiveLabeler):
        metadata["variance_inflation"] = model.inflation
    if isinstance(model, AdditiveLabeler | LabelModel):
        metadata["weights"] = _weights_table(model)
    return metadata


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
    # without a step there is no loss: the votes tell nothing that could be learned
    loss = {"loss": model.history_[-1].loss} if model.history_ else {}
    return {
        "n_examples": counts.n_examples,
        "n_covered": counts.n_covered,
        "n_epochs": model.n_epochs_,
        **loss,
        "weights": _weights_table(model),
        "silent_lfs": list(counts.silent_lfs),
    }


def _weights_table(model: LabelModel | AdditiveLabeler) -> dg.TableMetadataValue:
    """How often each LF is right when it votes, as the model sees it."""
    weights = zip(model.lf_names, model.get_weights(), strict=True)
    records = [dg.TableRecord({"lf": name, "weight": round(float(weight), 4)}) for name, weight in weights]
    return dg.MetadataValue.table(records)


def _probabilistic_labels(of_task: AssetMaker) -> dg.AssetsDefinition:
    @of_task.asset("parquet", version="2")
    def probabilistic_labels(
        label_model: BaseLabeler, label_matrix: dict[str, LabelMatrix]
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
