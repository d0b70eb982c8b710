"""From probabilistic labels and features to a scored end model.

The end model learns from the probabilistic labels of the train split; gold labels serve to validate
and to test.  The gold labels of the train split are used only in the scores, as a report.
"""

from typing import Any

import dagster as dg
import pyarrow as pa

from ws_pipeline.classification.examples import SPLITS, Examples
from ws_pipeline.defs.config import end_model_run_config
from ws_pipeline.defs.resources import ComputeDevice
from ws_pipeline.defs.spec import PipelineSpec
from ws_pipeline.labeling.probabilistic_labels import ProbabilisticLabels


def build_classification_assets(spec: PipelineSpec) -> list[dg.AssetsDefinition]:
    """Assets that train the end model on the probabilistic labels and score it."""
    datasets = [_train_dataset(spec), *(_gold_dataset(spec, split) for split in SPLITS[1:])]
    return [*datasets, _multitask_classifier(spec), _predictions(spec)]


def _train_dataset(spec: PipelineSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=spec.key("train_dataset"),
        ins={
            "examples": dg.AssetIn(key=spec.key("examples")),
            **_per_task(spec, "probabilistic_labels"),
        },
        group_name=spec.name,
        kinds={"torch"},
        io_manager_key="model_io_manager",
        code_version="1",
    )
    def train_dataset(examples: dict[str, Examples], **labels: pa.Table) -> dg.MaterializeResult[Any]:
        """Features of the train split with the probabilistic labels of its covered examples."""
        from ws_pipeline.classification.datasets import soft_dataset

        soft_labels = {task: _labels_of(task, "probabilistic_labels", labels) for task in spec.tasks}
        dataset = soft_dataset(
            Examples.concatenate(examples),
            probs={task: labels.probs for task, labels in soft_labels.items()},
            covered={task: labels.covered for task, labels in soft_labels.items()},
            split="train",
        )
        return dg.MaterializeResult(value=dataset, metadata={"n_examples": len(dataset)})

    return train_dataset


def _gold_dataset(spec: PipelineSpec, split: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=spec.key(f"{split}_dataset"),
        ins={"examples": dg.AssetIn(key=spec.key("examples"))},
        deps=[spec.key("shards")],
        group_name=spec.name,
        kinds={"torch"},
        io_manager_key="model_io_manager",
        code_version="1",
        description=f"Features of the {split} split with its gold labels, -1 where unknown.",
    )
    def gold_dataset_of_split(examples: dict[str, Examples]) -> dg.MaterializeResult[Any]:
        from ws_pipeline.classification.datasets import gold_dataset

        dataset = gold_dataset(Examples.concatenate(examples), split=split)
        return dg.MaterializeResult(value=dataset, metadata={"n_examples": len(dataset)})

    return gold_dataset_of_split


def _multitask_classifier(spec: PipelineSpec) -> dg.AssetsDefinition:
    run_config_type = end_model_run_config(spec.trainer)
    architecture = spec.model
    assert architecture is not None

    @dg.asset(
        key=spec.key("multitask_classifier"),
        ins={
            "train_dataset": dg.AssetIn(key=spec.key("train_dataset")),
            "valid_dataset": dg.AssetIn(key=spec.key("valid_dataset")),
        },
        group_name=spec.name,
        kinds={"torch"},
        io_manager_key="model_io_manager",
        pool="gpu",
        code_version="1",
    )
    def multitask_classifier(
        context: dg.AssetExecutionContext,
        config: run_config_type,  # type: ignore[valid-type]
        train_dataset: Any,
        valid_dataset: Any,
        device: ComputeDevice,
    ) -> dg.MaterializeResult[Any]:
        """End model: a trunk shared by all tasks and a head for each, trained on soft labels."""
        from ws_pipeline.classification.end_model import train_end_model

        chosen = device.resolve()
        end_model = train_end_model(
            train_dataset,
            valid_dataset,
            classes=spec.cardinalities,
            architecture=architecture,
            settings=config.settings(),  # type: ignore[attr-defined]
            device=chosen,
        )
        for record in end_model.history:
            context.log.info(", ".join(f"{name} {value:.4g}" for name, value in record.items()))
        return dg.MaterializeResult(
            value=end_model,
            metadata={
                "device": chosen,
                "n_parameters": end_model.n_parameters,
                "n_epochs": len(end_model.history),
                "history": dg.MetadataValue.table([dg.TableRecord(dict(r)) for r in end_model.history]),
                **{name.replace("/", "_"): value for name, value in end_model.history[-1].items()},
            },
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
        multitask_classifier: Any, examples: dict[str, Examples], device: ComputeDevice
    ) -> dg.MaterializeResult[pa.Table]:
        """The end model's P(class) for every example and task, those without votes included."""
        chosen = device.resolve()
        table = multitask_classifier.predictions(Examples.concatenate(examples), device=chosen)
        return dg.MaterializeResult(value=table, metadata={"n_examples": table.num_rows, "device": chosen})

    return predictions


def build_scores_asset(spec: PipelineSpec) -> dg.AssetsDefinition:
    """Asset that scores the vote, the label model and the end model against gold."""
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
        code_version="1",
    )
    def scores(examples: dict[str, Examples], **inputs: Any) -> dg.MaterializeResult[pa.Table]:
        """Accuracy and macro-F1 of the vote, the label model and the end model, per task and split."""
        from ws_pipeline.analysis.scores import score_models

        everything = Examples.concatenate(examples)
        tables = []
        for task, cardinality in spec.cardinalities.items():
            vote = _labels_of(task, "majority_vote", inputs)
            labels = _labels_of(task, "probabilistic_labels", inputs)
            probs = {"vote": vote.probs, "label_model": labels.probs}
            if spec.model:
                from ws_pipeline.classification.end_model import task_probs

                probs["end_model"] = task_probs(inputs["predictions"], task, cardinality)
            tables.append(
                score_models(
                    task,
                    probs,
                    example_ids=everything.example_ids,
                    gold=everything.gold[task],
                    covered=labels.covered,
                    splits=everything.splits,
                )
            )
        table = pa.concat_tables(tables)
        return dg.MaterializeResult(value=table, metadata=_score_metadata(table))

    return scores


def _per_task(spec: PipelineSpec, name: str) -> dict[str, dg.AssetIn]:
    """One input per task, for an asset that every task has."""
    return {f"{name}__{task}": dg.AssetIn(key=spec.key(task, name)) for task in spec.tasks}


def _labels_of(task: str, name: str, inputs: dict[str, Any]) -> ProbabilisticLabels:
    """The labels of one task among the inputs that :func:`_per_task` declares."""
    return ProbabilisticLabels.from_table(inputs[f"{name}__{task}"])


def _score_metadata(table: pa.Table) -> dict[str, Any]:
    """The whole table, and the test scores one by one, so that the UI plots them over time."""
    rows = table.to_pylist()
    single = {
        f"{row['task']}_{row['model']}_{row['metric']}": row["value"]
        for row in rows
        if row["split"] == "test" and row["dataset"] == "covered"
    }
    records = [dg.TableRecord({**row, "value": round(row["value"], 4)}) for row in rows]
    return {"scores": dg.MetadataValue.table(records), **single}
