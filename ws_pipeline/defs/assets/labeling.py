"""From all votes to probabilistic labels, for each task.

The label model is fitted on the distinct votes of all shards, and compared with the plain vote where gold
labels are known: if it is worse beyond chance, the plain vote takes its place.  What people look at besides
is in :mod:`.label_reports`.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from ws_pipeline.defs.assets.alignment import check_votes_fit, with_same_lfs
from ws_pipeline.defs.assets.asset_maker import AssetMaker
from ws_pipeline.defs.assets.label_metadata import (
    label_model_metadata,
    labels_metadata,
    vote_metadata,
    why_replaced,
)
from ws_pipeline.defs.assets.metadata import lf_table_metadata, table_metadata, warnings_to_log
from ws_pipeline.defs.assets.score_bins import build_score_bins
from ws_pipeline.defs.resources import ComputeDevice
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.run_config import label_model_launch_config
from ws_pipeline.defs.spec.task_spec import TaskSpec
from ws_pipeline.errors import LabelMatrixError, NoGoldWarning, WsPipelineError
from ws_pipeline.example_index import UNKNOWN, ExampleIndex
from ws_pipeline.labeling.models.auto import AutoLabelModel
from ws_pipeline.labeling.models.baselines import MajorityLabelVoter
from ws_pipeline.labeling.models.gold_votes import GoldRows
from ws_pipeline.labeling.models.kinds import TrainingVotes
from ws_pipeline.labeling.models.labeler import BaseLabeler
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.votes.label_matrix import LabelMatrix
from ws_pipeline.labeling.votes.lf_analysis import lf_summary as summarise_lfs
from ws_pipeline.labeling.votes.score_bins import ScoreBins
from ws_pipeline.labeling.votes.vote_counts import VoteCounts
from ws_pipeline.labeling.votes.vote_patterns import VotePatterns
from ws_pipeline.labeling.votes.vote_symbols import VoteSymbols
from ws_pipeline.settings.base import Settings
from ws_pipeline.settings.label_model import (
    LabelModelConfig,
    LiftDawidSkeneConfig,
    LiftDawidSkeneTaskConfig,
)

_SHOWN_BINS = 100


def build_labeling_assets(spec: PipelineSpec, task: str) -> list[dg.AssetsDefinition]:
    """Assets that turn one task's vote counts into its probabilistic labels."""
    of_task = AssetMaker(spec, task)
    has_scores = spec.tasks[task].votes.has_scores
    return [
        *([build_score_bins(of_task, task, spec.tasks[task])] if has_scores else []),
        _lf_summary(of_task, task),
        _majority_vote(of_task, task),
        _label_model(of_task, task),
        _probabilistic_labels(of_task, task),
    ]


def _lf_summary(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]

    @of_task.asset("parquet", version="1", after_shards=True, also=_score_bins_of(task_spec))
    def lf_summary(
        context: dg.AssetExecutionContext,
        vote_counts: dict[str, VoteCounts],
        label_matrix: dict[str, LabelMatrix],
        examples: dict[str, ExampleIndex],
        **inputs: pa.Table,
    ) -> dg.MaterializeResult[pa.Table]:
        """One row per labeling function: what it votes, how much, and how well where gold is known.

        The gold labels of all splits are used, in a report.
        """
        check_votes_fit(label_matrix, examples, what=of_task.name("label_matrix"))
        gold = np.concatenate([examples[shard].gold[task] for shard in label_matrix])
        with warnings_to_log(context.log):
            matrix = LabelMatrix.concatenate(with_same_lfs(task_spec, label_matrix))
            counts = VoteCounts.total(with_same_lfs(task_spec, vote_counts))
            table = summarise_lfs(counts, matrix=matrix, gold=gold)
        shown = lf_table_metadata("summary", table, table["n_votes"].to_numpy())
        metadata = {"n_lfs": table.num_rows, **vote_metadata(counts), **shown}
        for name, bins in inputs.items():  # how reliable votes are by their scores
            metadata[name] = table_metadata(bins.slice(0, _SHOWN_BINS))
        return dg.MaterializeResult(value=table, metadata=metadata)

    return lf_summary


def _score_bins_of(task_spec: TaskSpec) -> list[str]:
    """Name of the asset of the bins of scores, where there are scores."""
    return ["score_bins"] if task_spec.votes.has_scores else []


def _majority_vote(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]
    voter = MajorityLabelVoter(task_spec.cardinality)

    @of_task.asset("parquet", version="2", after_shards=True)
    def majority_vote(label_matrix: dict[str, LabelMatrix]) -> dg.MaterializeResult[ProbabilisticLabels]:
        """Labels of the plain majority vote: what the label model has to beat."""
        matrix = LabelMatrix.concatenate(with_same_lfs(task_spec, label_matrix))
        labels = ProbabilisticLabels.from_votes(voter, matrix)
        ties = labels.covered & (labels.predictions < 0)
        metadata = {"n_covered": int(labels.covered.sum()), "n_ties": int(ties.sum())}
        return dg.MaterializeResult(value=labels, metadata=metadata)

    return majority_vote


def _label_model(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]
    run_config = label_model_launch_config(task_spec.label_model, asset=of_task.name("label_model"))

    @of_task.asset(
        "torch",
        version="3",
        after_shards=True,
        also=_score_bins_of(task_spec),
        config_schema=run_config.schema,
    )
    def label_model(
        context: dg.AssetExecutionContext,
        vote_counts: dict[str, VoteCounts],
        label_matrix: dict[str, LabelMatrix],
        examples: dict[str, ExampleIndex],
        device: ComputeDevice,
        **inputs: pa.Table,
    ) -> dg.MaterializeResult[AutoLabelModel]:
        """Label model of the kind that the pipeline.yaml names, or the plain vote where that is better.

        Gold labels of the valid split anchor it, if it can be anchored, and compare it with the plain vote;
        no example judges a model that was anchored on it.
        """
        chosen, settings = device.resolve(), run_config.settings(context)
        check_votes_fit(label_matrix, examples, what=of_task.name("label_matrix"))
        with warnings_to_log(context.log) as told, _naming_the_task(task, vote_counts):
            matrices = with_same_lfs(task_spec, label_matrix)
            votes = _training_votes(matrices, with_same_lfs(task_spec, vote_counts), inputs.get("score_bins"))
            rows = _gold_rows(matrices, examples, task, splits=task_spec.gold_splits)
            model = auto_label_model(task_spec.cardinality, settings, device=chosen)
            model.fit_votes(votes, rows, class_balance=_class_balance(task_spec, rows))
        if why_replaced(model):
            context.log.warning("the plain vote takes the place of the label model: %s", why_replaced(model))
        return dg.MaterializeResult(
            value=model,
            metadata={
                "device": chosen,
                "n_shards": len(label_matrix),
                "n_gold": len(rows),
                **label_model_metadata(model, votes, classes=task_spec.classes),
                "warnings": told,
            },
        )

    return label_model


def auto_label_model(cardinality: int, settings: LabelModelConfig, *, device: str) -> AutoLabelModel:
    """The label model that settings of a task ask for, not fitted; one kind is a choice without others."""
    if settings.kind == "auto":
        lift = LiftDawidSkeneConfig(known_accuracy=settings.known_accuracy)
        return AutoLabelModel(cardinality, settings={"lift_dawid_skene": lift}, device=device)
    of_kind: dict[str, Settings] = {} if settings.kind == "majority" else {settings.kind: settings}
    if isinstance(settings, LiftDawidSkeneTaskConfig):
        shared = settings.model_dump(exclude={"kind", "use_train_gold"})
        of_kind = {settings.kind: LiftDawidSkeneConfig(**shared)}
    return AutoLabelModel(cardinality, [settings.kind], settings=of_kind, calibrated=False, device=device)


def _class_balance(task_spec: TaskSpec, rows: GoldRows) -> Any:
    """The class balance that the label model is told: given, that of the gold labels, or none."""
    given = task_spec.class_balance
    if isinstance(given, str) and not len(rows):
        message = (
            "class_balance is from_gold, but no example with votes has a gold label in the splits "
            f"{', '.join(task_spec.gold_splits)}; it is estimated"
        )
        warnings.warn(NoGoldWarning(message), stacklevel=2)
        return None
    return given


def _training_votes(
    label_matrix: Mapping[str, LabelMatrix],
    vote_counts: Mapping[str, VoteCounts],
    of_scores: pa.Table | None,
) -> TrainingVotes:
    patterns = {shard: VotePatterns.from_label_matrix(matrix) for shard, matrix in label_matrix.items()}
    votes = TrainingVotes(VotePatterns.total(patterns), lambda: VoteCounts.total(vote_counts))
    if of_scores is None:
        symbols = VoteSymbols.of(label_matrix)
    else:
        bins = ScoreBins.from_table(of_scores)
        symbols = VoteSymbols.of(label_matrix, bins.n_bins, edges=bins.edges)
    if symbols is None:
        return votes
    said = {shard: symbols.patterns(matrix) for shard, matrix in label_matrix.items()}
    return replace(votes, symbols=symbols, said=VotePatterns.total(said))


def _gold_rows(
    label_matrix: Mapping[str, LabelMatrix],
    examples: Mapping[str, ExampleIndex],
    task: str,
    *,
    splits: Sequence[str],
) -> GoldRows:
    """Votes and gold labels of the examples of some splits that have both."""
    parts = []
    for shard, matrix in label_matrix.items():
        usable = np.isin(examples[shard].splits.astype(str), splits)
        gold = np.where(usable, examples[shard].gold[task], UNKNOWN)
        parts.append(GoldRows.read(matrix, gold, matrix.cardinality))
    return GoldRows.concatenate(parts)


@contextmanager
def _naming_the_task(task: str, vote_counts: Mapping[str, VoteCounts]) -> Iterator[None]:
    """Say of which task an error is, and what a pipeline can do about votes that teach nothing."""
    try:
        yield
    except WsPipelineError as error:
        remedy = ""
        if isinstance(error, LabelMatrixError):
            any_vote = any(counts.n_covered for counts in vote_counts.values())
            other = "set label_model: {kind: auto}" if any_vote else "leave the task out"
            remedy = f"; add LFs that vote, or {other} in the pipeline.yaml"
        error.add_note(f"in the label model of task '{task}'{remedy}")
        raise


def _probabilistic_labels(of_task: AssetMaker, task: str) -> dg.AssetsDefinition:
    task_spec = of_task.spec.tasks[task]

    @of_task.asset("parquet", version="3")
    def probabilistic_labels(
        label_model: BaseLabeler, label_matrix: dict[str, LabelMatrix]
    ) -> dg.MaterializeResult[ProbabilisticLabels]:
        """P(class) of every example, from its votes and the label model."""
        matrix = LabelMatrix.concatenate(with_same_lfs(task_spec, label_matrix))
        labels = ProbabilisticLabels.from_votes(label_model, matrix)
        labels = labels.for_training(
            min_confidence=task_spec.min_confidence, no_votes=task_spec.class_without_votes
        )
        labels = replace(labels, replaced=why_replaced(label_model))
        return dg.MaterializeResult(value=labels, metadata=labels_metadata(labels, task_spec.classes))

    return probabilistic_labels
