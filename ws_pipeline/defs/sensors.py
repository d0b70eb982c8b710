"""Sensors: register shards as their files appear; ingest new and changed ones, then retrain."""

import hashlib

import dagster as dg

from ws_pipeline.defs.jobs import AssetJob
from ws_pipeline.defs.shards import ingested_fingerprint, shard_fingerprint
from ws_pipeline.defs.spec import PipelineSpec


def build_shard_registry(spec: PipelineSpec) -> dg.SensorDefinition:
    """Sensor that adds a partition for every new shard; it starts no runs, so it is always on."""

    @dg.sensor(
        name=spec.job_name("shard_registry"),
        minimum_interval_seconds=spec.automation.interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adds a partition for every shard whose files are all there.",
    )
    def shard_registry(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        known = set(context.instance.get_dynamic_partitions(spec.shards_name))
        new = [shard for shard in spec.find_shards() if shard not in known]
        if not new:
            return dg.SkipReason(f"no new shard in {spec.folder}, {len(known)} known")
        return dg.SensorResult(dynamic_partitions_requests=[spec.shards.build_add_request(new)])

    return shard_registry


def build_new_shards_sensor(
    spec: PipelineSpec,
    ingest: "AssetJob",
    retrain: "AssetJob",
) -> dg.SensorDefinition:
    """Sensor that ingests shards whose files are new or changed, and retrains when all are in."""

    @dg.sensor(
        name=spec.job_name("new_shards"),
        jobs=[ingest, retrain],
        minimum_interval_seconds=spec.automation.interval_seconds,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if spec.automation.enabled else dg.DefaultSensorStatus.STOPPED
        ),
        description="Ingests new and changed shards, then retrains once on all of them.",
    )
    def new_shards(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        on_disk = {shard: shard_fingerprint(spec, shard) for shard in spec.find_shards()}
        stale = {
            shard: found
            for shard, found in on_disk.items()
            if ingested_fingerprint(spec, context.instance, shard) != found
        }
        if stale:
            return _ingest(context, spec, ingest.name, stale)
        if not on_disk:
            return dg.SkipReason(f"no complete shard in {spec.folder}")
        state = hashlib.sha256(repr(sorted(on_disk.items())).encode()).hexdigest()[:16]
        if context.cursor == state:
            return dg.SkipReason(f"all {len(on_disk)} shards are ingested and trained on")
        request = dg.RunRequest(job_name=retrain.name, run_key=f"retrain:{state}")
        return dg.SensorResult(run_requests=[request], cursor=state)

    return new_shards


def _ingest(
    context: dg.SensorEvaluationContext, spec: PipelineSpec, job_name: str, stale: dict[str, str]
) -> dg.SensorResult | dg.SkipReason:
    """Request one run per stale shard; the same content is requested once, however often it fails."""
    known = set(context.instance.get_dynamic_partitions(spec.shards_name))
    new = [shard for shard in stale if shard not in known]
    requests = [
        dg.RunRequest(job_name=job_name, partition_key=shard, run_key=f"ingest:{shard}:{found}")
        for shard, found in stale.items()
    ]
    return dg.SensorResult(
        run_requests=requests,
        cursor=context.cursor,
        dynamic_partitions_requests=[spec.shards.build_add_request(new)] if new else [],
    )
