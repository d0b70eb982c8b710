import dagster as dg
import pytest

from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec import load_spec


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def definitions(pipeline_folder, storage):
    return build_definitions([load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu")


def tick(definitions, instance, name, cursor=None):
    """Evaluate a sensor once and do what it asks for, as the daemon would, short of starting runs."""
    context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=definitions)
    result = definitions.resolve_sensor_def(name)(context)
    if isinstance(result, dg.SensorResult):
        for request in result.dynamic_partitions_requests or []:
            instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
    return result


def execute(definitions, instance, request):
    job = definitions.resolve_job_def(request.job_name)
    assert job.execute_in_process(instance=instance, partition_key=request.partition_key).success


def test_the_registry_adds_a_partition_per_complete_shard_and_starts_nothing(
    pipeline_folder, definitions, instance
):
    pipeline_folder.votes_file("shape", "part-2").unlink()
    result = tick(definitions, instance, "shard_registry")
    assert not result.run_requests
    assert instance.get_dynamic_partitions("toy_shards") == ["part-0", "part-1"]
    assert "no new shard" in tick(definitions, instance, "shard_registry").skip_message


def test_new_shards_are_ingested_and_then_trained_on_once(definitions, instance):
    first = tick(definitions, instance, "new_shards")
    assert [(r.job_name, r.partition_key) for r in first.run_requests] == [
        ("ingest", f"part-{number}") for number in range(3)
    ]
    again = tick(definitions, instance, "new_shards", first.cursor)
    assert [r.run_key for r in again.run_requests] == [r.run_key for r in first.run_requests]
    for request in first.run_requests:
        execute(definitions, instance, request)
    second = tick(definitions, instance, "new_shards", first.cursor)
    assert [r.job_name for r in second.run_requests] == ["retrain"]
    execute(definitions, instance, second.run_requests[0])
    third = tick(definitions, instance, "new_shards", second.cursor)
    assert "all 3 shards are ingested and trained on" in third.skip_message


def test_only_a_changed_shard_is_ingested_again(pipeline_folder, definitions, instance):
    for request in tick(definitions, instance, "new_shards").run_requests:
        execute(definitions, instance, request)
    cursor = tick(definitions, instance, "new_shards").cursor
    file = pipeline_folder.votes_file("parity", "part-1")
    pipeline_folder.edit(file, lambda columns: columns["lf_0"].__setitem__(0, 1))
    requests = tick(definitions, instance, "new_shards", cursor).run_requests
    assert [(r.job_name, r.partition_key) for r in requests] == [("ingest", "part-1")]
    execute(definitions, instance, requests[0])
    assert [r.job_name for r in tick(definitions, instance, "new_shards", cursor).run_requests] == ["retrain"]


def test_an_empty_folder_is_skipped(pipeline_folder, definitions, instance):
    for number in range(3):
        pipeline_folder.remove_shard(f"part-{number}")
    assert "no complete shard" in tick(definitions, instance, "new_shards").skip_message


def test_the_schedule_retrains_weekly(definitions):
    schedule = definitions.resolve_schedule_def("scheduled_retrain")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * 1", "UTC")
    data = schedule.evaluate_tick(dg.build_schedule_context())
    assert len(data.run_requests) == 1
    assert schedule.job_name == "retrain"


def test_automation_starts_with_the_code_location_when_the_pipeline_says_so(pipeline_folder, storage):
    text = pipeline_folder.spec_path.read_text() + "automation: {enabled: true, schedule: '0 5 * * *'}\n"
    pipeline_folder.spec_path.write_text(text)
    enabled = build_definitions([load_spec(pipeline_folder.spec_path)], storage=str(storage))
    assert enabled.resolve_sensor_def("new_shards").default_status == dg.DefaultSensorStatus.RUNNING
    assert (
        enabled.resolve_schedule_def("scheduled_retrain").default_status == dg.DefaultScheduleStatus.RUNNING
    )
    assert enabled.resolve_schedule_def("scheduled_retrain").cron_schedule == "0 5 * * *"
