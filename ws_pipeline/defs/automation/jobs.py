"""Jobs and the weekly schedule."""

from typing import TYPE_CHECKING, TypeAlias

import dagster as dg

from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec

if TYPE_CHECKING:
    # what dg.define_asset_job returns; Dagster does not export its name
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

AssetJob: TypeAlias = "UnresolvedAssetJobDefinition"


def build_ingest_job(spec: PipelineSpec) -> "AssetJob":
    """Job that reads one shard."""
    return dg.define_asset_job(
        spec.job_name("ingest"),
        selection=dg.AssetSelection.assets(*ingest_keys(spec)),
        tags=spec.tags,
        description="Read one shard: its examples, its votes and their counts.",
    )


def build_retrain_job(spec: PipelineSpec, keys: list[dg.AssetKey]) -> "AssetJob":
    """Job that refits every model on all ingested shards."""
    ingest = set(ingest_keys(spec))
    return dg.define_asset_job(
        spec.job_name("retrain"),
        selection=dg.AssetSelection.assets(*(key for key in keys if key not in ingest)),
        tags=spec.tags,
        description="Refit the label models on all ingested shards, retrain the end model, score it.",
    )


def build_schedule(spec: PipelineSpec, job: "AssetJob") -> dg.ScheduleDefinition:
    """Schedule that retrains, weekly by default."""
    return dg.ScheduleDefinition(
        name=spec.job_name("scheduled_retrain"),
        job=job,
        cron_schedule=spec.automation.schedule,
        execution_timezone=spec.automation.timezone,
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if spec.automation.enabled else dg.DefaultScheduleStatus.STOPPED
        ),
        description="Retrain at fixed times, on the shards as they are ingested.",
    )


def ingest_keys(spec: PipelineSpec) -> list[dg.AssetKey]:
    """Keys of the assets that exist once per shard."""
    per_task = [spec.key(task, name) for task in spec.tasks for name in ("label_matrix", "vote_counts")]
    return [spec.key("examples"), *per_task]
