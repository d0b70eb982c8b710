"""Build Dagster definitions from a pipeline.yaml."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import dagster as dg

from ws_pipeline.defs.assets.checks import build_usable_check, build_vote_check
from ws_pipeline.defs.assets.classification import build_classification_assets, build_scores_asset
from ws_pipeline.defs.assets.ingest import build_ingest_assets, build_shards_asset
from ws_pipeline.defs.assets.label_reports import build_label_reports
from ws_pipeline.defs.assets.labeling import build_labeling_assets
from ws_pipeline.defs.assets.multi_label import build_multi_label_assets
from ws_pipeline.defs.assets.warning_checks import build_warning_checks
from ws_pipeline.defs.automation.jobs import build_ingest_job, build_retrain_job, build_schedule
from ws_pipeline.defs.automation.sensors import build_new_shards_sensor, build_shard_registry
from ws_pipeline.defs.automation.turns import build_executor, turn_file
from ws_pipeline.defs.io_managers import ModelIOManager, ParquetIOManager
from ws_pipeline.defs.resources import Checkpoints, ComputeDevice
from ws_pipeline.defs.spec.data_folder import check_folder
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.errors import PipelineSpecError
from ws_pipeline.settings.base import parse_settings


def build_pipeline(spec: PipelineSpec) -> dg.Definitions:
    """Assets, checks, jobs, schedule and sensors of one pipeline, without resources."""
    assets = [*build_ingest_assets(spec), build_shards_asset(spec)]
    for task in spec.tasks:
        assets += [*build_labeling_assets(spec, task), *build_label_reports(spec, task)]
    if spec.model:
        assets += build_classification_assets(spec)
    assets += [build_scores_asset(spec), *build_multi_label_assets(spec)]
    ingest = build_ingest_job(spec)
    retrain = build_retrain_job(spec, [asset.key for asset in assets])
    return dg.Definitions(
        assets=assets,
        asset_checks=[check for task in spec.tasks for check in _checks(spec, task)],
        jobs=[ingest, retrain],
        schedules=[build_schedule(spec, retrain)],
        sensors=[build_shard_registry(spec), build_new_shards_sensor(spec, ingest, retrain)],
    )


def _checks(spec: PipelineSpec, task: str) -> list[dg.AssetChecksDefinition]:
    """Checks of one task: those that block, then those that warn."""
    blocking = [build_vote_check(spec, task), build_usable_check(spec, task)]
    return [*blocking, *build_warning_checks(spec, task)]


def build_resources(
    storage: str, *, device: str = "auto", checkpoints: str | None = None
) -> dict[str, object]:
    """Resources that all pipelines share.

    Parameters
    ----------
    storage
        Folder or fsspec URL that assets are kept in.
    device
        Where models are trained: auto, cpu, cuda, cuda:N or mps.
    checkpoints
        Folder or fsspec URL of the state of trainings.  Default: "checkpoints" in ``storage``.

    Raises
    ------
    SettingsError
        The device is none of these, or there is no file system for a URL.
    """
    base_path = check_folder(checkpoints or f"{check_folder(storage)}/checkpoints")
    return {
        "io_manager": ParquetIOManager(base_path=storage),
        "model_io_manager": ModelIOManager(base_path=storage),
        "device": parse_settings(ComputeDevice, {"name": device}, where="device"),
        "checkpoints": Checkpoints(base_path=base_path),
    }


def build_definitions(
    specs: list[PipelineSpec],
    *,
    storage: str,
    device: str = "auto",
    checkpoints: str | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """All pipelines of a code location, with their resources and their executor.

    Parameters
    ----------
    specs
        The pipelines.
    storage, device, checkpoints
        See :func:`build_resources`.
    loggers
        Where runs show their log, by name; default Dagster's.

    Raises
    ------
    PipelineSpecError
        Two pipelines have the same name or the same prefix.
    SettingsError
        See :func:`build_resources`.
    """
    for first, second in combinations(specs, 2):
        _check_apart(first, second)
    resources = build_resources(storage, device=device, checkpoints=checkpoints)
    pipelines = [build_pipeline(spec) for spec in specs]
    turns: dict[str, Path] = {}
    for spec, pipeline in zip(specs, pipelines, strict=True):
        turns |= dict.fromkeys(_step_keys(pipeline), turn_file(storage, spec.prefix))
    shared = dg.Definitions(resources=resources, executor=build_executor(turns), loggers=loggers)
    return dg.Definitions.merge(shared, *pipelines)


def _step_keys(pipeline: dg.Definitions) -> list[str]:
    """Keys of the steps that make the assets of a pipeline and check them."""
    made = [*(pipeline.assets or []), *(pipeline.asset_checks or [])]
    return [part.node_def.name for part in made if isinstance(part, dg.AssetsDefinition)]


def _check_apart(first: PipelineSpec, second: PipelineSpec) -> None:
    """Refuse two pipelines that would share their shards or their assets."""
    if first.name == second.name:
        message = (
            f"{first.where} and {second.where} are both called '{first.name}', so they would share their "
            "shards; give one of them another name with the key 'name', and a 'prefix'"
        )
        raise PipelineSpecError(message)
    if first.prefix == second.prefix:
        common = f"the prefix '{first.prefix}'" if first.prefix else "no prefix"
        message = (
            f"{first.where} and {second.where} both have {common}, so their assets would have the same keys; "
            "give one of them another with the key 'prefix'"
        )
        raise PipelineSpecError(message)
