"""From probabilistic labels and features to a scored end model.

The end model learns from the probabilistic labels of the train split.  It is validated and tested on gold
labels where a split has any of the task, else on the label model's; every score says on which.  The gold
labels of the train split are used only in the scores, as a report.
"""

from typing import Any

import dagster as dg
import pyarrow as pa

from ws_pipeline.defs.checks import require_good_labels
from ws_pipeline.defs.config import end_model_launch_config
from ws_pipeline.defs.io_managers import TensorSource
from ws_pipeline.defs.joins import check_labels_and_vote, check_same_examples, name_of
from ws_pipeline.defs.resources import Checkpoints, ComputeDevice
from ws_pipeline.defs.spec import PipelineSpec
from ws_pipeline.defs.training_metadata import describe_epoch, score_metadata, training_metadata
from ws_pipeline.defs.warnings_log import warnings_to_log
from ws_pipeline.example_ids import ids_from_table
from ws_pipeline.example_index import SPLITS, ExampleIndex
from ws_pipeline.examples import Examples
from ws_pipeline.labeling.probabilistic_labels import ProbabilisticLabels


def build_classification_assets(spec: PipelineSpec) -> list[dg.AssetsDefinition]:
    """Assets that train the end model on the probabilistic labels and score it."""
    datasets = [_train_dataset(spec), *(_reference_dataset(spec, split) for split in SPLITS[1:])]
    return [*datasets, _multitask_classifier(spec), _predictions(spec)]


def _train_dataset(spec: PipelineSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=spec.key("train_dataset"),
        ins={
            "examples": dg.AssetIn(key=spec.key("examples")),
            **_per_task(spec, "probabilistic_labels"),
            **_per_task(spec, "majority_vote"),
        },
        group_name=spec.name,
        kinds={"torch"},
        io_manager_key="model_io_manager",
        code_version="2",
    )
    def train_dataset(
        examples: dict[str, Examples], **inputs: ProbabilisticLabels
    ) -> dg.MaterializeResult[Any]:
        """Features of the train split with the probabilistic labels of its examples.

        Labels that are worse than the plain vote are refused, whatever checks the run has.
        """
        from ws_pipeline.classification.datasets import soft_dataset

        for task in spec.tasks:
            require_good_labels(spec, task, **_labels_and_vote(task, inputs), examples=examples)
        dataset = soft_dataset(
            Examples.concatenate(examples),
            **_probs_and_covered(spec, inputs),
            split="train",
            filter_uncovered=spec.filter_uncovered,
            fields=spec.fields,
        )
        n_train = sum(shard.split_counts()["train"] for shard in examples.values())
        return dg.MaterializeResult(
            value=dataset,
            metadata={"n_examples": len(dataset), "n_left_out": n_train - len(dataset)},
        )

    return train_dataset


def _reference_dataset(spec: PipelineSpec, split: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=spec.key(f"{split}_dataset"),
        ins={
            "examples": dg.AssetIn(key=spec.key("examples")),
            **_per_task(spec, "probabilistic_labels"),
        },
        group_name=spec.name,
        kinds={"torch"},
        io_manager_key="model_io_manager",
        code_version="2",
        description=f"Features of the {split} split with the gold labels of each task that has any there, "
        "and the label model's labels of each other task.",
    )
    def dataset_of_split(
        examples: dict[str, Examples], **inputs: ProbabilisticLabels
    ) -> dg.MaterializeResult[Any]:
        from ws_pipeline.classification.datasets import reference_dataset, references

        for task in spec.tasks:
            name = name_of(spec, task, "probabilistic_labels")
            check_same_examples(_labels_of(task, inputs).example_ids, examples, what=name)
        dataset = reference_dataset(
            Examples.concatenate(examples),
            split=split,
            **_probs_and_covered(spec, inputs),
            fields=spec.fields,
        )
        return dg.MaterializeResult(
            value=dataset, metadata={"n_examples": len(dataset), "reference": references(dataset)}
        )

    return dataset_of_split


def _multitask_classifier(spec: PipelineSpec) -> dg.AssetsDefinition:
    key, architecture = spec.key("multitask_classifier"), spec.model
    assert architecture is not None
    run_config = end_model_launch_config(
        spec.trainer, spec.cardinalities, architecture, asset=key.to_user_string()
    )

    @dg.asset(
        key=key,
        config_schema=run_config.schema,
        ins={
            "train_dataset": dg.AssetIn(key=spec.key("train_dataset")),
            "valid_dataset": dg.AssetIn(key=spec.key("valid_dataset")),
        },
        group_name=spec.name,
        kinds={"torch"},
        io_manager_key="model_io_manager",
        code_version="2",
    )
    def multitask_classifier(
        context: dg.AssetExecutionContext,
        train_dataset: Any,
        valid_dataset: Any,
        device: ComputeDevice,
        checkpoints: Checkpoints,
    ) -> dg.MaterializeResult[Any]:
        """End model: a trunk shared by all tasks and a head for each, trained on soft labels.

        A run that is interrupted or killed leaves a checkpoint; the next run with the same data and
        settings continues from it.
        """
        from ws_pipeline.classification.datasets import references
        from ws_pipeline.classification.end_model import train_end_model

        run = f"run {context.run.run_id[:8]} ({name_of(spec, 'multitask_classifier')})"
        with warnings_to_log(context.log), device.reserve(holder=run, log=context.log) as chosen:
            end_model = train_end_model(
                train_dataset,
                valid_dataset,
                classes=spec.cardinalities,
                architecture=architecture,
                settings=run_config.settings(context),
                fields=spec.fields,
                device=chosen,
                checkpoint_dir=checkpoints.folder_of(context.asset_key),
                on_epoch=lambda record: context.log.info(describe_epoch(record)),
            )
        return dg.MaterializeResult(
            value=end_model,
            metadata={**training_metadata(end_model), "valid_reference": references(valid_dataset)},
        )

    return multitask_classifier


def _predictions(spec: PipelineSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=spec.key("predictions"),
        ins={
            "multitask_classifier": dg.AssetIn(key=spec.key("multitask_classifier")),
            "examples": dg.AssetIn(key=spec.key("examples")),
        },
        group_name=spec.name,
        kinds={"parquet"},
        code_version="1",
    )
    def predictions(
        multitask_classifier: TensorSource, examples: dict[str, Examples], device: ComputeDevice
    ) -> dg.MaterializeResult[pa.Table]:
        """The end model's P(class) for every example and task, those without votes included."""
        from ws_pipeline.classification.end_model import EndModel

        chosen = device.resolve()
        end_model = EndModel.load(multitask_classifier.path, architecture=spec.model)
        table = end_model.predictions(Examples.concatenate(examples), device=chosen)
        return dg.MaterializeResult(value=table, metadata={"n_examples": table.num_rows, "device": chosen})

    return predictions


def build_scores_asset(spec: PipelineSpec) -> dg.AssetsDefinition:
    """Asset that scores the vote, the label model and the end model."""
    end_model = {"predictions": dg.AssetIn(key=spec.key("predictions"))} if spec.model else {}

    @dg.asset(
        key=spec.key("scores"),
        ins={
            "examples": dg.AssetIn(key=spec.key("examples")),
            **_per_task(spec, "majority_vote"),
            **_per_task(spec, "probabilistic_labels"),
            **end_model,
        },
        group_name=spec.name,
        kinds={"parquet"},
        code_version="2",
    )
    def scores(examples: dict[str, ExampleIndex], **inputs: Any) -> dg.MaterializeResult[pa.Table]:
        """Accuracy and macro-F1 of the vote, the label model and the end model, per task and split.

        The column "reference" says what they are compared with: gold, or the label model's labels.
        """
        if spec.model:
            ids = ids_from_table(inputs["predictions"], where="predictions")
            check_same_examples(ids, examples, what=name_of(spec, "predictions"))
        everything = ExampleIndex.concatenate(examples)
        tables = []
        for task in spec.tasks:
            both = _labels_and_vote(task, inputs)
            check_labels_and_vote(spec, task, **both, examples=examples)
            tables.append(_score_task(spec, task, everything, **both, predictions=inputs.get("predictions")))
        table = pa.concat_tables(tables)
        return dg.MaterializeResult(value=table, metadata=score_metadata(table))

    return scores


def _score_task(
    spec: PipelineSpec,
    task: str,
    examples: ExampleIndex,
    *,
    labels: ProbabilisticLabels,
    vote: ProbabilisticLabels,
    predictions: pa.Table | None,
) -> pa.Table:
    """Score the vote, the label model and, if there is one, the end model of one task."""
    from ws_pipeline.analysis.scores import score_models

    probs = {"vote": vote.probs, "label_model": labels.probs}
    if predictions is not None:
        from ws_pipeline.classification.end_model import task_probs

        probs["end_model"] = task_probs(predictions, task, spec.cardinalities[task])
    return score_models(
        task,
        probs,
        example_ids=examples.example_ids,
        gold=examples.gold[task],
        covered=labels.covered,
        splits=examples.splits,
    )


def _per_task(spec: PipelineSpec, name: str) -> dict[str, dg.AssetIn]:
    """One input of labels per task, for an asset that every task has."""
    return {
        f"{name}__{task}": dg.AssetIn(key=spec.key(task, name), dagster_type=ProbabilisticLabels)
        for task in spec.tasks
    }


def _labels_of(task: str, inputs: dict[str, Any]) -> ProbabilisticLabels:
    """The labels of one task among the inputs that :func:`_per_task` declares."""
    labels: ProbabilisticLabels = inputs[f"probabilistic_labels__{task}"]
    return labels


def _labels_and_vote(task: str, inputs: dict[str, Any]) -> dict[str, ProbabilisticLabels]:
    """The labels of one task and what they are compared with."""
    return {"labels": _labels_of(task, inputs), "vote": inputs[f"majority_vote__{task}"]}


def _probs_and_covered(spec: PipelineSpec, inputs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The probabilistic labels of all tasks, as the datasets take them."""
    labels = {task: _labels_of(task, inputs) for task in spec.tasks}
    return {
        "probs": {task: found.probs for task, found in labels.items()},
        "covered": {task: found.covered for task, found in labels.items()},
    }
