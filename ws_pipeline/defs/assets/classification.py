"""From probabilistic labels and features to a scored end model.

The end model learns from the probabilistic labels of the train split.  It is validated and tested on gold
labels where a split has any of the task, else on the label model's; every score says on which.  The gold
labels of the train split are used only in the scores, as a report.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa

from ws_pipeline.defs.assets.alignment import check_labels_and_vote, check_same_examples, name_of
from ws_pipeline.defs.assets.asset_maker import AssetMaker, of_tasks
from ws_pipeline.defs.assets.checks import require_good_labels
from ws_pipeline.defs.assets.metadata import (
    describe_epoch,
    score_metadata,
    training_metadata,
    warnings_to_log,
)
from ws_pipeline.defs.assets.text_features import all_features, build_text_assets, text_inputs
from ws_pipeline.defs.io_managers import SavesItself, TensorSource
from ws_pipeline.defs.resources import Checkpoints, ComputeDevice
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.run_config import end_model_launch_config
from ws_pipeline.example_ids import ids_from_table
from ws_pipeline.example_index import SPLITS, ExampleIndex
from ws_pipeline.examples import Examples
from ws_pipeline.labeling.models.probabilistic_labels import ProbabilisticLabels

LABELS = {"probabilistic_labels": ProbabilisticLabels}
LABELS_AND_VOTE = LABELS | {"majority_vote": ProbabilisticLabels}


def build_classification_assets(spec: PipelineSpec) -> list[dg.AssetsDefinition]:
    """Assets that train the end model on the probabilistic labels and score it."""
    of_pipeline = AssetMaker(spec, part="end_model")
    return [
        *build_text_assets(spec),
        _train_dataset(of_pipeline),
        *(_reference_dataset(of_pipeline, split) for split in SPLITS[1:]),
        _multitask_classifier(of_pipeline),
        _predictions(of_pipeline),
    ]


def _train_dataset(of_pipeline: AssetMaker) -> dg.AssetsDefinition:
    spec = of_pipeline.spec

    @of_pipeline.asset("torch", version="2", of_each_task=LABELS_AND_VOTE, also=text_inputs(spec))
    def train_dataset(
        examples: dict[str, Examples], **inputs: ProbabilisticLabels | pa.Table
    ) -> dg.MaterializeResult[SavesItself]:
        """Features of the train split with the probabilistic labels of its examples.

        Labels that are worse than the plain vote are refused, whatever checks the run has.
        """
        from ws_pipeline.classification.data.from_examples import soft_dataset

        labels = of_tasks(spec, "probabilistic_labels", inputs)
        votes = of_tasks(spec, "majority_vote", inputs)
        for task in spec.tasks:
            require_good_labels(spec, task, labels=labels[task], vote=votes[task], examples=examples)
        dataset = soft_dataset(
            all_features(spec, examples, inputs),
            probs={task: found.probs for task, found in labels.items()},
            covered={task: found.labelled for task, found in labels.items()},
            split="train",
            filter_uncovered=spec.filter_uncovered,
            fields=spec.fields,
        )
        n_train = sum(shard.split_counts()["train"] for shard in examples.values())
        metadata = {"n_examples": len(dataset), "n_left_out": n_train - len(dataset)}
        return dg.MaterializeResult(value=dataset, metadata=metadata)

    return train_dataset


def _reference_dataset(of_pipeline: AssetMaker, split: str) -> dg.AssetsDefinition:
    spec = of_pipeline.spec
    description = (
        f"Features of the {split} split with the gold labels of each task that has any there, "
        "and the label model's labels of each other task."
    )

    @of_pipeline.asset(
        "torch",
        version="2",
        name=f"{split}_dataset",
        of_each_task=LABELS,
        also=text_inputs(spec),
        description=description,
    )
    def dataset_of_split(
        examples: dict[str, Examples], **inputs: ProbabilisticLabels | pa.Table
    ) -> dg.MaterializeResult[SavesItself]:
        from ws_pipeline.classification.data.from_examples import reference_dataset, references

        labels = of_tasks(spec, "probabilistic_labels", inputs)
        for task, found in labels.items():
            name = name_of(spec, task, "probabilistic_labels")
            check_same_examples(found.example_ids, examples, what=name)
        everything = all_features(spec, examples, inputs)
        dataset = reference_dataset(everything, split=split, **_probs_and_covered(labels), fields=spec.fields)
        return dg.MaterializeResult(
            value=dataset, metadata={"n_examples": len(dataset), "reference": references(dataset)}
        )

    return dataset_of_split


def _multitask_classifier(of_pipeline: AssetMaker) -> dg.AssetsDefinition:
    spec, name = of_pipeline.spec, of_pipeline.name("multitask_classifier")
    architecture = spec.model
    assert architecture is not None
    run_config = end_model_launch_config(spec.trainer, spec.cardinalities, architecture, asset=name)

    @of_pipeline.asset("torch", version="2", config_schema=run_config.schema)
    def multitask_classifier(
        context: dg.AssetExecutionContext,
        train_dataset: TensorSource,
        valid_dataset: TensorSource,
        device: ComputeDevice,
        checkpoints: Checkpoints,
    ) -> dg.MaterializeResult[SavesItself]:
        """End model: a trunk shared by all tasks and a head for each, trained on soft labels.

        A run that is interrupted or killed leaves a checkpoint; the next run with the same data and
        settings continues from it.
        """
        from ws_pipeline.classification.data.dict_dataset import DictDataset
        from ws_pipeline.classification.data.from_examples import references
        from ws_pipeline.classification.end_model import train_end_model

        train, valid = DictDataset.load(train_dataset.path), DictDataset.load(valid_dataset.path)
        run = f"run {context.run.run_id[:8]} ({name})"
        with warnings_to_log(context.log), device.reserve(holder=run, log=context.log) as chosen:
            end_model = train_end_model(
                train,
                valid,
                cardinalities=spec.cardinalities,
                architecture=architecture,
                settings=run_config.settings(context),
                fields=spec.fields,
                device=chosen,
                checkpoint_dir=checkpoints.folder_of(context.asset_key),
                on_epoch=lambda record: context.log.info(describe_epoch(record)),
            )
        metadata = {**training_metadata(end_model), "valid_reference": references(valid)}
        return dg.MaterializeResult(value=end_model, metadata=metadata)

    return multitask_classifier


def _predictions(of_pipeline: AssetMaker) -> dg.AssetsDefinition:
    spec, architecture = of_pipeline.spec, of_pipeline.spec.model

    @of_pipeline.asset("parquet", version="1", also=text_inputs(spec))
    def predictions(
        multitask_classifier: TensorSource,
        examples: dict[str, Examples],
        device: ComputeDevice,
        **inputs: pa.Table,
    ) -> dg.MaterializeResult[pa.Table]:
        """The end model's P(class) for every example and task, those without votes included."""
        from ws_pipeline.classification.end_model import EndModel

        chosen = device.resolve()
        end_model = EndModel.load(multitask_classifier.path, architecture=architecture, device=chosen)
        table = end_model.predictions(all_features(spec, examples, inputs))
        return dg.MaterializeResult(value=table, metadata={"n_examples": table.num_rows, "device": chosen})

    return predictions


def build_scores_asset(spec: PipelineSpec) -> dg.AssetsDefinition:
    """Asset that scores the vote, the label model and the end model."""
    end_model = ["predictions"] if spec.model else []

    of_pipeline = AssetMaker(spec, part="end_model" if spec.model else None)

    @of_pipeline.asset("parquet", version="2", of_each_task=LABELS_AND_VOTE, also=end_model)
    def scores(
        examples: dict[str, ExampleIndex], **inputs: ProbabilisticLabels | pa.Table
    ) -> dg.MaterializeResult[pa.Table]:
        """Accuracy and macro-F1 of the vote, the label model and the end model, per task and split.

        The column "reference" says what they are compared with: gold, or the label model's labels.
        """
        predictions = inputs.get("predictions")
        if predictions is not None:
            ids = ids_from_table(predictions, where="predictions")
            check_same_examples(ids, examples, what=name_of(spec, "predictions"))
        labels = of_tasks(spec, "probabilistic_labels", inputs)
        votes = of_tasks(spec, "majority_vote", inputs)
        for task in spec.tasks:
            check_labels_and_vote(spec, task, labels=labels[task], vote=votes[task], examples=examples)
        index = ExampleIndex.concatenate(examples)
        table = pa.concat_tables(
            _score_task(spec, task, index, labels=labels[task], vote=votes[task], predictions=predictions)
            for task in spec.tasks
        )
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
    from ws_pipeline.analysis.scores_table import score_models

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


def _probs_and_covered(labels: Mapping[str, ProbabilisticLabels]) -> dict[str, dict[str, Any]]:
    """The probabilistic labels of all tasks, as the datasets take them."""
    return {
        "probs": {task: found.probs for task, found in labels.items()},
        "covered": {task: found.covered for task, found in labels.items()},
    }
