"""From all vote counts to probabilistic labels, for each task.

The label model is fitted on the sum of the shards' counts, so it costs nothing in the number of
examples.  A blocking check compares its labels with the plain vote before anything is trained on them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import numpy as np
import pyarrow as pa

from ws_pipeline.defs.config import label_model_launch_config
from ws_pipeline.defs.joins import concatenate_votes, name_of
from ws_pipeline.defs.resources import ComputeDevice
from ws_pipeline.defs.spec import PipelineSpec
from ws_pipeline.defs.table_metadata import table_metadata
from ws_pipeline.defs.warnings_log import warnings_to_log
from ws_pipeline.errors import LabelMatrixError, WsPipelineError
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.files import ParquetSource
from ws_pipeline.labeling.baselines import MajorityLabelVoter
from ws_pipeline.labeling.evidence import MIN_LFS
from ws_pipeline.labeling.label_matrix import LabelMatrix
from ws_pipeline.labeling.label_model import LabelModel
from ws_pipeline.labeling.lf_analysis import lf_summary as summarise_lfs
from ws_pipeline.labeling.probabilistic_labels import ProbabilisticLabels
from ws_pipeline.labeling.vote_counts import VoteCounts


def build_labeling_assets(spec: PipelineSpec, task: str) -> list[dg.AssetsDefinition]:
    """Assets that turn one task's vote counts into its probabilistic labels."""
    return [
        _lf_summary(spec, task),
        _majority_vote(spec, task),
        _label_model(spec, task),
        _probabilistic_labels(spec, task),
    ]


def _lf_summary(spec: PipelineSpec, task: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=spec.key(task, "lf_summary"),
        ins={
            "vote_counts": dg.AssetIn(key=spec.key(task, "vote_counts")),
            "label_matrix": dg.AssetIn(key=spec.key(task, "label_matrix")),
            "examples": dg.AssetIn(key=spec.key("examples")),
        },
        deps=[spec.key("shards")],
        group_name=spec.name,
        kinds={"parquet"},
        code_version="1",
    )
    def lf_summary(
        context: dg.AssetExecutionContext,
        vote_counts: dict[str, VoteCounts],
        label_matrix: dict[str, LabelMatrix],
        examples: dict[str, ExampleIndex],
    ) -> dg.MaterializeResult[pa.Table]:
        """One row per labeling function: what it votes, how much, and how well where gold is known.

        The gold labels of the train split are used here, in a report, and nowhere else.
        """
        matrix = concatenate_votes(label_matrix, examples, what=name_of(spec, task, "label_matrix"))
        gold = np.concatenate([examples[shard].gold[task] for shard in label_matrix])
        with warnings_to_log(context.log):
            table = summarise_lfs(VoteCounts.total(vote_counts), matrix=matrix, gold=gold)
        return dg.MaterializeResult(
            value=table, metadata={"n_lfs": table.num_rows, "summary": table_metadata(table)}
        )

    return lf_summary


def _majority_vote(spec: PipelineSpec, task: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=spec.key(task, "majority_vote"),
        ins={
            "label_matrix": dg.AssetIn(key=spec.key(task, "label_matrix")),
            "examples": dg.AssetIn(key=spec.key("examples")),
        },
        deps=[spec.key("shards")],
        group_name=spec.name,
        kinds={"parquet"},
        code_version="2",
    )
    def majority_vote(
        label_matrix: dict[str, LabelMatrix], examples: dict[str, ParquetSource]
    ) -> dg.MaterializeResult[ProbabilisticLabels]:
        """Labels of the plain majority vote: what the label model has to beat."""
        matrix = concatenate_votes(label_matrix, examples, what=name_of(spec, task, "label_matrix"))
        labels = ProbabilisticLabels.from_votes(MajorityLabelVoter(spec.tasks[task].cardinality), matrix)
        ties = labels.covered & (labels.predictions < 0)
        return dg.MaterializeResult(
            value=labels,
            metadata={"n_covered": int(labels.covered.sum()), "n_ties": int(ties.sum())},
        )

    return majority_vote


def _label_model(spec: PipelineSpec, task: str) -> dg.AssetsDefinition:
    task_spec = spec.tasks[task]
    key = spec.key(task, "label_model")
    run_config = label_model_launch_config(task_spec.label_model, asset=key.to_user_string())

    @dg.asset(
        key=key,
        config_schema=run_config.schema,
        ins={"vote_counts": dg.AssetIn(key=spec.key(task, "vote_counts"))},
        deps=[spec.key("shards")],
        group_name=spec.name,
        kinds={"torch"},
        io_manager_key="model_io_manager",
        code_version="2",
    )
    def label_model(
        context: dg.AssetExecutionContext,
        vote_counts: dict[str, VoteCounts],
        device: ComputeDevice,
    ) -> dg.MaterializeResult[LabelModel]:
        """Label model: what each labeling function's vote says about the class, learned without gold."""
        chosen = device.resolve()
        with warnings_to_log(context.log) as told, _naming_the_task(task):
            counts = VoteCounts.total(vote_counts)
            _check_learnable(counts)
            model = LabelModel(task_spec.cardinality, verbose=False, device=chosen).fit_counts(
                counts,
                run_config.settings(context),
                class_balance=task_spec.class_balance,
            )
        weights = [
            dg.TableRecord({"lf": name, "weight": round(float(weight), 4)})
            for name, weight in zip(model.lf_names, model.get_weights(), strict=True)
        ]
        return dg.MaterializeResult(
            value=model,
            metadata={
                "device": chosen,
                "n_examples": counts.n_examples,
                "n_covered": counts.n_covered,
                "n_shards": len(vote_counts),
                "n_epochs": model.n_epochs_,
                # without a step there is no loss: the votes tell nothing that could be learned
                **({"loss": model.history_[-1].loss} if model.history_ else {}),
                "weights": dg.MetadataValue.table(weights),
                "silent_lfs": list(counts.silent_lfs),
                "warnings": told,
            },
        )

    return label_model


@contextmanager
def _naming_the_task(task: str) -> Iterator[None]:
    try:
        yield
    except WsPipelineError as error:
        error.add_note(f"in the label model of task '{task}'")
        raise


def _check_learnable(counts: VoteCounts) -> None:
    """Refuse votes that the method cannot learn from, in the words of a pipeline."""
    if counts.n_lfs < MIN_LFS:
        problem = (
            f"{counts.n_lfs} LF(s), {', '.join(counts.lf_names)}, are too few to tell how far to trust each "
            f"of them, at least {MIN_LFS} are needed"
        )
    elif not counts.n_covered:
        problem = f"the {counts.n_lfs} LFs vote on none of the {counts.n_examples} examples"
    else:
        return
    message = f"{problem}; add LFs that vote, or leave the task out of the pipeline.yaml"
    raise LabelMatrixError(message)


def _probabilistic_labels(spec: PipelineSpec, task: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=spec.key(task, "probabilistic_labels"),
        ins={
            "label_model": dg.AssetIn(key=spec.key(task, "label_model")),
            "label_matrix": dg.AssetIn(key=spec.key(task, "label_matrix")),
            "examples": dg.AssetIn(key=spec.key("examples")),
        },
        group_name=spec.name,
        kinds={"parquet"},
        code_version="2",
    )
    def probabilistic_labels(
        label_model: LabelModel, label_matrix: dict[str, LabelMatrix], examples: dict[str, ParquetSource]
    ) -> dg.MaterializeResult[ProbabilisticLabels]:
        """P(class) of every example, from its votes and the label model."""
        matrix = concatenate_votes(label_matrix, examples, what=name_of(spec, task, "label_matrix"))
        labels = ProbabilisticLabels.from_votes(label_model, matrix)
        confidence = labels.probs[labels.covered].max(axis=1)
        return dg.MaterializeResult(
            value=labels,
            metadata={
                "n_covered": int(labels.covered.sum()),
                "n_without_votes": int((~labels.covered).sum()),
                "mean_confidence": float(confidence.mean()),
            },
        )

    return probabilistic_labels
