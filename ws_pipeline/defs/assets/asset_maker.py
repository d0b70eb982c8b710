"""The part of an asset's definition that follows from the pipeline, said once for all assets.

The name of the function is the name of the asset; its parameters are the assets that it reads, of the same
task where the task has them.  So a module of assets shows what each asset does and little else.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec

TASK_ASSETS = (
    "label_matrix",
    "vote_counts",
    "score_bins",
    "lf_summary",
    "majority_vote",
    "label_model",
    "label_model_comparison",
    "lf_families",
    "probabilistic_labels",
    "least_sure",
    "label_next",
)
"""Assets that a task has, in the order of the data's way; score_bins where votes have scores."""
MULTI_LABEL_ASSETS = ("label_sets", "multi_label_scores")
"""Assets that a multi-label task has, beside those of the tasks of its classes."""

Decorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]


@dataclass(frozen=True)
class AssetMaker:
    """Makes the assets of a pipeline, or of one of its tasks.

    Parameters
    ----------
    spec
        The pipeline.
    task
        The task whose assets are made; None for the assets that all tasks share.
    part
        The part of the pipeline that the UI shows as a group of its own.  Default: the task.
    tasks
        The tasks that ``of_each_task`` means.  Default: all.
    """

    spec: PipelineSpec
    task: str | None = None
    part: str | None = None
    tasks: tuple[str, ...] | None = None

    def asset(
        self,
        kind: str,
        *,
        version: str,
        name: str | None = None,
        per_shard: bool = False,
        after_shards: bool = False,
        of_each_task: Mapping[str, Any] | None = None,
        also: Iterable[str] = (),
        **options: Any,
    ) -> Decorator:
        """Decorate a function that makes an asset.

        Parameters
        ----------
        kind
            "parquet" for a table, "torch" for a model or a dataset of tensors.
        version
            Code version; a change marks what is stored as made by older code.
        name
            Name of the asset.  Default: that of the function.
        per_shard
            The asset has one partition per shard.
        after_shards
            The asset is made after the shards were checked against each other, without reading the result.
        of_each_task
            Names of assets that every task has to the types that they are read as.  The function takes them
            as keywords ``<name>__<task>``.
        also
            Names of further assets that the function takes as keywords.
        **options
            Passed on to :func:`dagster.asset`.
        """

        def decorate(make: Callable[..., Any]) -> dg.AssetsDefinition:
            # what an asset reads is declared, since Dagster would look for it beside the asset
            inputs = {read: dg.AssetIn(key=self.key(read)) for read in [*_inputs(make), *also]}
            for read, kind_of_value in (of_each_task or {}).items():
                inputs |= {
                    f"{read}__{task}": dg.AssetIn(key=self.spec.key(task, read), dagster_type=kind_of_value)
                    for task in (self.spec.tasks if self.tasks is None else self.tasks)
                }
            definition: dg.AssetsDefinition = dg.asset(
                key=self.key(name or make.__name__),
                ins=inputs,
                deps=[self.spec.key("shards")] if after_shards else None,
                partitions_def=self.spec.shards if per_shard else None,
                group_name=self.spec.group(self.part or self.task),
                kinds={kind},
                io_manager_key="model_io_manager" if kind == "torch" else "io_manager",
                code_version=version,
                owners=self.spec.owners,
                tags=self.spec.tags,
                **options,
            )(make)
            return definition

        return decorate

    def key(self, name: str) -> dg.AssetKey:
        """Key of the asset of this name: the task's where the task has one, else the pipeline's."""
        in_task = self.task is not None and name in (*TASK_ASSETS, *MULTI_LABEL_ASSETS)
        return self.spec.key(*([self.task] if in_task and self.task else []), name)

    def name(self, name: str) -> str:
        """The asset of this name as the UI names it."""
        return self.key(name).to_user_string()


def of_tasks(spec: PipelineSpec, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Task name to the task's asset of this name, among what an asset reads ``of_each_task``."""
    return {task: inputs[f"{name}__{task}"] for task in spec.tasks}


def _inputs(make: Callable[..., Any]) -> list[str]:
    """Parameters that are assets: all but the context, the config, resources and collected keywords."""
    return [
        name
        for name, parameter in inspect.signature(make).parameters.items()
        if name not in ("context", "config")
        and not _is_resource(parameter.annotation)
        and parameter.kind is not parameter.VAR_KEYWORD
    ]


def _is_resource(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, dg.ConfigurableResource)
