"""Sensors: keep the partitions as the files are; ingest new and changed shards, then retrain.

A run that failed is not repeated for the same files and settings; one that was killed is, up to three times.
What a tick leaves undone it says, in the words that the UI shows as the reason why it was skipped.

A tick lists every folder once and asks the instance a number of questions that does not grow with the number
of shards that are known.  A limited number of its runs wait at a time, so that others get their turn; the
next ticks ask for more.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG

from ws_pipeline.defs.automation.dead_runs import end_dead_runs
from ws_pipeline.defs.automation.jobs import AssetJob
from ws_pipeline.defs.automation.shard_state import (
    ShardChanges,
    all_shards_fingerprint,
    digest,
    ingested_shards,
    last_run_of_shard,
    portions,
    shard_changes,
    stale_shards,
    trained_fingerprint,
)
from ws_pipeline.defs.spec.data_folder import Listing
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.shard_listing import skipped_files

#: Tag of a run that a sensor asked for: what for, so that its end can be looked up.
PURPOSE_TAG = "ws_pipeline/purpose"
_SHOWN = 5  # of the things that a tick lists, the number that is written out
_ATTEMPTS = 3  # to execute a run that is killed
_OWN_FAULT = {
    reason.value
    for reason in (
        RunFailureReason.STEP_FAILURE,
        RunFailureReason.RUN_EXCEPTION,
        RunFailureReason.JOB_INITIALIZATION_FAILURE,
    )
}
_RUNS = 100  # that wait or run at most; the daemon plans and queues each of them before the next


def build_shard_registry(spec: PipelineSpec) -> dg.SensorDefinition:
    """Sensor that keeps the partitions as the files are; it starts no runs, so it is always on."""

    @dg.sensor(
        name=spec.job_name("shard_registry"),
        minimum_interval_seconds=spec.automation.interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adds a partition for every shard whose files are all there, and removes the partitions "
        "of which no file is left.",
    )
    def shard_registry(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        end_dead_runs(context.instance)
        files, known = spec.list_files(), context.instance.get_dynamic_partitions(spec.shards_name)
        changes = shard_changes(spec, files, known)
        news = _in_words(changes) or [f"no new shard in {spec.origin}, {len(known)} known"]
        return dg.SensorResult(
            skip_reason="; ".join([*news, *_left_out(spec, files)]),
            dynamic_partitions_requests=_partition_requests(spec, changes),
        )

    return shard_registry


def build_new_shards_sensor(
    spec: PipelineSpec,
    ingest: "AssetJob",
    retrain: "AssetJob",
) -> dg.SensorDefinition:
    """Sensor that ingests shards whose files or settings are new, and retrains when all are in."""

    @dg.sensor(
        name=spec.job_name("new_shards"),
        jobs=[ingest, retrain],
        minimum_interval_seconds=spec.automation.interval_seconds,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if spec.automation.enabled else dg.DefaultSensorStatus.STOPPED
        ),
        description="Ingests new and changed shards, then retrains once on all of them. Waits for a shard "
        "that cannot be ingested until its files or the pipeline.yaml are fixed, or its files are deleted.",
    )
    def new_shards(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        end_dead_runs(context.instance)
        files, known = spec.list_files(), context.instance.get_dynamic_partitions(spec.shards_name)
        changes = shard_changes(spec, files, known)
        shards = {*known, *changes.new} - {*changes.gone}
        ingested = ingested_shards(spec, context.instance, shards)
        requests, held = _ingest(context.instance, spec, ingest.name, stale_shards(spec, files, ingested))
        if not spec.find_shards(files):
            said = f"no complete shard in {spec.origin}"
        elif requests or held or changes.incomplete or changes.doubled:
            said = _waits(held, changes, later=len(requests))
            requests = requests[: _room(held)]
        else:
            requests, said = _retrain(context.instance, spec, retrain.name, ingested)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else "; ".join([*_in_words(changes), said, *_left_out(spec, files)]),
            dynamic_partitions_requests=_partition_requests(spec, changes),
        )

    return new_shards


def _ingest(
    instance: dg.DagsterInstance, spec: PipelineSpec, job_name: str, stale: Mapping[str, str]
) -> tuple[list[dg.RunRequest], dict[str, dg.DagsterRun]]:
    """Split stale shards: runs to request, or the run still in progress, failed or without an end."""
    purposes = {shard: f"ingest:{shard}:{found}" for shard, found in stale.items()}
    found = _runs_for(instance, job_name, list(purposes.values()))
    runs = {
        shard: found[purpose][0]
        if _never_settles(instance, spec, shard, found[purpose])
        else _once(job_name, purpose, found[purpose], partition_key=shard)
        for shard, purpose in purposes.items()
    }
    requests = [run for run in runs.values() if isinstance(run, dg.RunRequest)]
    return requests, {shard: run for shard, run in runs.items() if isinstance(run, dg.DagsterRun)}


def _never_settles(
    instance: dg.DagsterInstance, spec: PipelineSpec, shard: str, runs: Sequence[dg.DagsterRun]
) -> bool:
    """Whether a shard was ingested again and again, and looks different to this process each time.

    That is what labeling functions do that read a random number, or the time, when their module is imported.
    """
    if len(list(takewhile(lambda run: run.is_success, runs))) < _ATTEMPTS:
        return False
    made_by = [
        last_run_of_shard(instance, spec.key(task, "label_matrix"), shard)
        for task, of_task in spec.tasks.items()
        if of_task.labeling_functions is not None
    ]
    return runs[0].run_id in made_by


def _room(held: Mapping[str, dg.DagsterRun]) -> int:
    """Number of runs that may still be requested."""
    return max(0, _RUNS - sum(not run.is_finished for run in held.values()))


def _waits(held: Mapping[str, dg.DagsterRun], changes: ShardChanges, later: int) -> str:
    """Name the shards that retraining waits for, with the reason and what to do."""
    waits = [f"shard '{shard}', whose {_fate(run)}" for shard, run in held.items()]
    waits += [
        f"shard '{shard}', which lost {', '.join(files)}" for shard, files in changes.incomplete.items()
    ]
    waits += changes.doubled.values()
    stuck = changes.incomplete or changes.doubled or any(run.is_finished for run in held.values())
    steps = "fix the files or the pipeline.yaml, start the job again, or delete the files to continue without"
    others = f", and for {later} shard(s) whose turn is later" if later else ""
    return f"retraining waits for {_listed(waits)}{others}" + (f": {steps}" if stuck else "")


def _retrain(
    instance: dg.DagsterInstance, spec: PipelineSpec, job_name: str, ingested: Mapping[str, str]
) -> tuple[list[dg.RunRequest], str]:
    """Request a run, or say why there is none to request."""
    shards = all_shards_fingerprint(ingested)
    running = next(iter(instance.get_runs(dg.RunsFilter(job_name=job_name), limit=1)), None)
    if running and not running.is_finished:
        return [], f"{_fate(running)}; what has changed since it began is trained on afterwards"
    if trained_fingerprint(spec, instance) == shards:
        return [], f"all {len(ingested)} shards are ingested and trained on"
    purpose = f"retrain:{digest(shards, spec.model_dump(mode='json'))}"
    run = _once(job_name, purpose, _runs_for(instance, job_name, [purpose])[purpose])
    if isinstance(run, dg.RunRequest):
        return [run], ""
    return [], f"{_fate(run)}: look at its log, fix the files or the pipeline.yaml, or start the job again"


def _once(
    job_name: str, purpose: str, runs: Sequence[dg.DagsterRun], partition_key: str | None = None
) -> dg.RunRequest | dg.DagsterRun:
    """The request of a run, or the last run for this purpose if it is still running or has failed.

    One that succeeded, but whose results were replaced since, is repeated.  So is one that was killed, but a
    run that is killed each time, because it needs too much memory, comes to an end.
    """
    last = runs[0] if runs else None
    killed = list(takewhile(_was_killed, runs))
    if last and not last.is_success and not 0 < len(killed) < _ATTEMPTS:
        return last
    return dg.RunRequest(
        job_name=job_name,
        # Dagster starts a run per key and sensor once and for all
        run_key=f"{purpose}:{last.run_id}" if last else purpose,
        partition_key=partition_key,
        tags={PURPOSE_TAG: purpose},
    )


def _runs_for(
    instance: dg.DagsterInstance, job_name: str, purposes: Sequence[str]
) -> dict[str, list[dg.DagsterRun]]:
    """The runs for each of the purposes, the newest first."""
    runs: dict[str, list[dg.DagsterRun]] = {purpose: [] for purpose in purposes}
    for some in portions(purposes):
        for run in instance.get_runs(dg.RunsFilter(job_name=job_name, tags={PURPOSE_TAG: list(some)})):
            runs[run.tags[PURPOSE_TAG]].append(run)
    return runs


def _was_killed(run: dg.DagsterRun) -> bool:
    """Whether a run ended because its process did, and not because of what it did."""
    return (
        run.status == dg.DagsterRunStatus.FAILURE and run.tags.get(RUN_FAILURE_REASON_TAG) not in _OWN_FAULT
    )


def _fate(run: dg.DagsterRun) -> str:
    """Describe how a run ended, with the part of its id that the UI shows."""
    ends = {
        dg.DagsterRunStatus.SUCCESS: "succeeds each time, but its labeling functions look different in every "
        "process: have none read a random number or the time when its module is imported;",
        dg.DagsterRunStatus.FAILURE: "was killed" if _was_killed(run) else "failed",
        dg.DagsterRunStatus.CANCELED: "was canceled",
    }
    end = ends.get(run.status, f"is {run.status.value.lower().replace('_', ' ')}")
    return f"{run.job_name} {end} (run {run.run_id[:8]})"


def _partition_requests(
    spec: PipelineSpec, changes: ShardChanges
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    add = [spec.shards.build_add_request(shards) for shards in portions(changes.new)]
    delete = [spec.shards.build_delete_request(changes.gone)] if changes.gone else []
    return [*add, *delete]


def _in_words(changes: ShardChanges) -> list[str]:
    """Describe the changes of a tick to the partitions."""
    return [
        *([f"added {_listed(changes.new)}"] if changes.new else []),
        *([f"removed {_listed(changes.gone)}, of which no file is left"] if changes.gone else []),
    ]


def _left_out(spec: PipelineSpec, files: Listing) -> list[str]:
    """Describe the files that belong to no shard."""
    skipped = [f"{file} ({reason})" for file, reason in skipped_files(spec, files).items()]
    return [f"left out: {_listed(skipped)}"] if skipped else []


def _listed(things: Sequence[str]) -> str:
    more = [f"{len(things) - _SHOWN} more"] if len(things) > _SHOWN else []
    return ", ".join([*things[:_SHOWN], *more])
