import shutil

import dagster as dg
import pyarrow.parquet as pq
import pytest
import sqlalchemy

from ws_pipeline.defs.automation.dead_runs import PROCESS_TAG, process_tags
from ws_pipeline.defs.automation.shard_state import shard_fingerprints
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.storage.file_stamps import stamps_in


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def load(pipeline_folder, storage, *changes):
    """The definitions, after replacing texts in the pipeline.yaml."""
    text = pipeline_folder.spec_path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    pipeline_folder.spec_path.write_text(text)
    return build_definitions([load_spec(pipeline_folder.spec_path)], storage=str(storage), device="cpu")


@pytest.fixture
def definitions(pipeline_folder, storage):
    return load(pipeline_folder, storage, ("n_epochs: 3", "n_epochs: 1"))


def tick(definitions, instance, name):
    """Evaluate a sensor once and do what it asks for, as the daemon would, short of starting runs."""
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    result = definitions.resolve_sensor_def(name)(context)
    for request in result.dynamic_partitions_requests:
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        else:
            for shard in request.partition_keys:
                instance.delete_dynamic_partition(request.partitions_def_name, shard)
    return result


def said(result):
    """Why a tick was skipped."""
    assert not result.run_requests
    return result.skip_reason.skip_message


def requested(result):
    return [(request.job_name, request.partition_key) for request in result.run_requests]


def execute(definitions, instance, request):
    """Execute what a sensor asked for; return the run."""
    job = definitions.resolve_job_def(request.job_name)
    tags = {**request.tags, "dagster/run_key": request.run_key}
    result = job.execute_in_process(
        instance=instance, partition_key=request.partition_key, tags=tags, raise_on_error=False
    )
    return instance.get_run_by_id(result.run_id)


def execute_all(definitions, instance):
    """Tick and execute until a tick asks for nothing; return what was asked for, and what that tick says."""
    done = []
    while (result := tick(definitions, instance, "new_shards")).run_requests:
        done += requested(result)
        for request in result.run_requests:
            key = {"dagster/run_key": request.run_key}
            assert not instance.get_runs(dg.RunsFilter(tags=key)), "Dagster would not start this again"
            execute(definitions, instance, request)
        assert len(done) < 20, f"no end to these: {done}"
    return done, said(result)


def spoil(columns):
    columns["lf_3"][2] = 3  # three classes are 0, 1, 2


def mend(columns):
    columns["lf_3"][2] = 2


ALL = [("ingest", f"part-{number}") for number in range(3)]
RETRAIN = ("retrain", None)


def test_the_registry_adds_a_partition_per_complete_shard_and_starts_nothing(
    pipeline_folder, definitions, instance
):
    pipeline_folder.votes_file("shape", "part-2").unlink()
    first = said(tick(definitions, instance, "shard_registry"))
    assert first.startswith("added part-0, part-1; left out: examples/part-2.parquet (")
    assert "missing votes/shape/part-2.parquet" in first
    assert instance.get_dynamic_partitions("toy_shards") == ["part-0", "part-1"]
    assert "no new shard" in said(tick(definitions, instance, "shard_registry"))


def test_new_shards_are_ingested_and_then_trained_on_once(definitions, instance):
    first = tick(definitions, instance, "new_shards")
    assert requested(first) == ALL
    again = tick(definitions, instance, "new_shards")
    assert [r.run_key for r in again.run_requests] == [r.run_key for r in first.run_requests]
    for request in first.run_requests:
        execute(definitions, instance, request)
    second = tick(definitions, instance, "new_shards")
    assert requested(second) == [RETRAIN]
    execute(definitions, instance, second.run_requests[0])
    assert said(tick(definitions, instance, "new_shards")) == "all 3 shards are ingested and trained on"


def test_only_a_changed_shard_is_ingested_again(pipeline_folder, definitions, instance):
    execute_all(definitions, instance)
    file = pipeline_folder.votes_file("parity", "part-1")
    pipeline_folder.edit(file, lambda columns: columns["lf_0"].__setitem__(0, 1))
    done, last = execute_all(definitions, instance)
    assert done == [("ingest", "part-1"), RETRAIN]
    assert last == "all 3 shards are ingested and trained on"


def test_what_was_ingested_and_trained_on_by_hand_is_not_done_again(definitions, instance):
    tick(definitions, instance, "shard_registry")
    for name, shard in ALL:
        definitions.resolve_job_def(name).execute_in_process(instance=instance, partition_key=shard)
    definitions.resolve_job_def("retrain").execute_in_process(instance=instance)
    assert execute_all(definitions, instance) == ([], "all 3 shards are ingested and trained on")


def test_retraining_waits_for_a_shard_that_failed_and_names_it(pipeline_folder, definitions, instance):
    file = pipeline_folder.votes_file("shape", "part-1")
    pipeline_folder.edit(file, spoil)
    requests = tick(definitions, instance, "new_shards").run_requests
    runs = [execute(definitions, instance, request) for request in requests]
    assert [run.is_success for run in runs] == [True, False, True]
    waits = said(tick(definitions, instance, "new_shards"))
    assert waits.startswith(
        f"retraining waits for shard 'part-1', whose ingest failed (run {runs[1].run_id[:8]}): fix the "
    )
    pipeline_folder.edit(file, mend)
    done, last = execute_all(definitions, instance)
    assert done == [("ingest", "part-1"), RETRAIN]
    assert last == "all 3 shards are ingested and trained on"


def test_a_failed_shard_whose_files_are_deleted_is_waited_for_no_longer(
    pipeline_folder, definitions, instance
):
    pipeline_folder.edit(pipeline_folder.votes_file("shape", "part-1"), spoil)
    assert "waits for shard 'part-1'" in execute_all(definitions, instance)[1]
    pipeline_folder.remove_shard("part-1")
    assert execute_all(definitions, instance) == ([RETRAIN], "all 2 shards are ingested and trained on")
    assert instance.get_dynamic_partitions("toy_shards") == ["part-0", "part-2"]


def test_a_changed_pipeline_yaml_ingests_the_shards_again(pipeline_folder, definitions, instance, storage):
    pipeline_folder.edit(pipeline_folder.votes_file("shape", "part-1"), spoil)
    assert "waits for shard 'part-1'" in execute_all(definitions, instance)[1]
    wider = load(pipeline_folder, storage, ("- star", "- star\n    - moon"))
    done, last = execute_all(wider, instance)
    assert done == [*ALL, RETRAIN]
    assert last == "all 3 shards are ingested and trained on"


def test_feature_columns_that_change_back_ingest_the_shards_again_each_time(
    pipeline_folder, definitions, instance, storage
):
    for number in range(3):
        file = pipeline_folder.examples_file(f"part-{number}")
        pipeline_folder.edit(file, lambda columns: columns.update(length=[0.5] * len(columns["example_id"])))
    execute_all(definitions, instance)
    named = ("name: toy", "name: toy\nfeature_columns: [features]")
    for change in (named, named[::-1], named):
        changed = load(pipeline_folder, storage, change)
        assert execute_all(changed, instance) == ([*ALL, RETRAIN], "all 3 shards are ingested and trained on")


def test_a_failed_retrain_is_named_and_repeated_only_when_something_changes(
    pipeline_folder, instance, storage
):
    broken = load(pipeline_folder, storage, ("lr: 0.01", "lr: 1.0e+30"))
    done, last = execute_all(broken, instance)
    assert done == [*ALL, RETRAIN]
    run = instance.get_runs(dg.RunsFilter(job_name="retrain"), limit=1)[0]
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert last.startswith(f"retrain failed (run {run.run_id[:8]}): look at its log")
    mended = load(pipeline_folder, storage, ("lr: 1.0e+30", "lr: 0.01"))
    assert execute_all(mended, instance) == ([RETRAIN], "all 3 shards are ingested and trained on")


def test_a_retrain_that_was_mended_by_hand_counts(pipeline_folder, instance, storage, monkeypatch):
    definitions = load(pipeline_folder, storage)
    with monkeypatch.context() as patch:
        patch.setattr("ws_pipeline.classification.end_model.train_end_model", None)
        assert "retrain failed" in execute_all(definitions, instance)[1]
    definitions.resolve_job_def("retrain").execute_in_process(instance=instance)
    assert execute_all(definitions, instance) == ([], "all 3 shards are ingested and trained on")


def start(definitions, instance, job, tags=None):
    return instance.create_run_for_job(
        definitions.resolve_job_def(job), tags=tags, status=dg.DagsterRunStatus.STARTED
    )


def test_an_ingest_that_goes_on_is_waited_for(definitions, instance):
    first, *others = tick(definitions, instance, "new_shards").run_requests
    run = start(definitions, instance, "ingest", first.tags)
    later = tick(definitions, instance, "new_shards")
    assert requested(later) == ALL[1:]
    for request in others:
        execute(definitions, instance, request)
    assert said(tick(definitions, instance, "new_shards")) == (
        f"retraining waits for shard 'part-0', whose ingest is started (run {run.run_id[:8]})"
    )


def test_a_retrain_that_goes_on_is_waited_for_whoever_started_it(definitions, instance):
    for request in tick(definitions, instance, "new_shards").run_requests:
        execute(definitions, instance, request)
    run = start(definitions, instance, "retrain")
    waits = said(tick(definitions, instance, "new_shards"))
    assert waits.startswith(f"retrain is started (run {run.run_id[:8]})")
    instance.report_run_canceled(run)
    assert requested(tick(definitions, instance, "new_shards")) == [RETRAIN]


def test_the_registry_removes_a_shard_of_which_no_file_is_left(pipeline_folder, definitions, instance):
    tick(definitions, instance, "shard_registry")
    pipeline_folder.remove_shard("part-1")
    assert said(tick(definitions, instance, "shard_registry")) == "removed part-1, of which no file is left"
    assert instance.get_dynamic_partitions("toy_shards") == ["part-0", "part-2"]


def test_a_shard_that_is_gone_leaves_the_partitions_and_comes_back_as_it_was(
    pipeline_folder, definitions, instance, storage, tmp_path
):
    execute_all(definitions, instance)
    for file in (files := sorted(pipeline_folder.root.rglob("part-1.parquet"))):
        file.rename(tmp_path / "_".join(file.relative_to(pipeline_folder.root).parts))
    assert execute_all(definitions, instance) == ([RETRAIN], "all 2 shards are ingested and trained on")
    assert pq.read_table(storage / "shards.parquet")["shard"].to_pylist() == ["part-0", "part-2"]
    for file in files:
        (tmp_path / "_".join(file.relative_to(pipeline_folder.root).parts)).rename(file)
    done, last = execute_all(definitions, instance)
    assert [step for step in done if step not in ALL] == [RETRAIN]
    assert last == "all 3 shards are ingested and trained on"


@pytest.mark.parametrize("folder", [".", "examples", "votes", "votes/shape"])
def test_a_folder_that_is_missing_or_empty_removes_no_shard(
    pipeline_folder, definitions, instance, folder, tmp_path
):
    tick(definitions, instance, "shard_registry")
    (pipeline_folder.root / folder).rename(tmp_path / "elsewhere")
    for name in ("shard_registry", "new_shards"):
        assert tick(definitions, instance, name).dynamic_partitions_requests == []
    (pipeline_folder.root / folder).mkdir(parents=True)
    for name in ("shard_registry", "new_shards"):
        assert tick(definitions, instance, name).dynamic_partitions_requests == []
    assert len(instance.get_dynamic_partitions("toy_shards")) == 3


def test_a_shard_that_lost_a_file_is_named_and_waited_for(pipeline_folder, definitions, instance):
    tick(definitions, instance, "shard_registry")
    pipeline_folder.votes_file("parity", "part-2").unlink()
    done, last = execute_all(definitions, instance)
    assert done == ALL[:2]
    assert "retraining waits for shard 'part-2', which lost votes/parity/part-2.parquet" in last
    assert len(instance.get_dynamic_partitions("toy_shards")) == 3


def test_a_shard_may_have_any_name_that_a_file_may_have(pipeline_folder, definitions, instance):
    name = "Größe 1, 'neu': 50%"
    for file in sorted(pipeline_folder.root.rglob("part-1.parquet")):
        file.rename(file.with_name(f"{name}.parquet"))
    done, last = execute_all(definitions, instance)
    assert ("ingest", name) in done
    assert last == "all 3 shards are ingested and trained on"


def test_an_empty_folder_is_skipped(pipeline_folder, definitions, instance):
    for number in range(3):
        pipeline_folder.remove_shard(f"part-{number}")
    assert f"no complete shard in {pipeline_folder.root}" in said(tick(definitions, instance, "new_shards"))


def test_a_tick_lists_only_some_of_the_files_that_it_leaves_out(pipeline_folder, definitions, instance):
    for number in range(7):
        (pipeline_folder.root / "examples" / f"note-{number}.txt").write_text("")
    last = said(tick(definitions, instance, "shard_registry"))
    assert "examples/note-4.txt (its name does not end in .parquet, .csv, " in last
    assert last.endswith("(of text also with .gz)), 2 more")
    assert "note-5" not in last


@pytest.fixture
def questions():
    """Counts what the databases are asked, and the folders that are listed."""
    asked = []

    def ask(_connection, _cursor, statement, *_):
        asked.append(statement)

    def list_folder(folder, *, suffix):
        asked.append(str(folder))
        return stamps_in(folder, suffix=suffix)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", ask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ws_pipeline.defs.spec.data_folder.stamps_in", list_folder)
        yield asked
    sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", ask)


def add_shards(pipeline_folder, numbers):
    for number in numbers:
        for file in pipeline_folder.root.rglob("part-0.parquet"):
            shutil.copy(file, file.with_name(f"more-{number}.parquet"))


def ingest_without_a_run(pipeline_folder, instance, *, with_version=True):
    """Record that all shards are ingested as they are; as it was long ago, without data versions."""
    spec = load_spec(pipeline_folder.spec_path)
    shards = spec.find_shards()
    instance.add_dynamic_partitions(spec.shards_name, shards)
    keys = [spec.key("examples"), *(spec.key(task, "label_matrix") for task in spec.tasks)]
    for shard, found in shard_fingerprints(spec, spec.list_files(), shards).items():
        for key, part in zip(keys, found.split("-"), strict=True):
            tags = {"dagster/data_version": part if with_version else "0"}
            metadata = {"source_fingerprint": part}
            made = dg.AssetMaterialization(key, partition=shard, tags=tags, metadata=metadata)
            instance.report_runless_asset_event(made)


@pytest.mark.parametrize("name", ["shard_registry", "new_shards"])
@pytest.mark.parametrize("known", [False, True])
def test_a_tick_asks_no_more_questions_when_there_are_more_shards(
    pipeline_folder, definitions, instance, questions, name, known
):
    numbers = []
    for shards in (range(2), range(2, 20)):
        add_shards(pipeline_folder, shards)
        if known:
            ingest_without_a_run(pipeline_folder, instance)
        context = dg.build_sensor_context(instance=instance, definitions=definitions)
        questions.clear()
        definitions.resolve_sensor_def(name)(context)
        numbers.append(len(questions))
    assert numbers[0] == numbers[1]
    listed = [asked for asked in questions if asked.startswith(str(pipeline_folder.root))]
    assert sorted(listed) == [
        str(pipeline_folder.root / place) for place in ("examples", "votes/parity", "votes/shape")
    ]


def test_new_partitions_are_added_in_one_call(pipeline_folder, definitions, instance):
    add_shards(pipeline_folder, range(20))
    for name in ("shard_registry", "new_shards"):
        context = dg.build_sensor_context(instance=instance, definitions=definitions)
        (request,) = definitions.resolve_sensor_def(name)(context).dynamic_partitions_requests
        assert len(request.partition_keys) == 23


def test_a_limited_number_of_runs_is_waited_for_at_a_time(definitions, instance, monkeypatch):
    monkeypatch.setattr("ws_pipeline.defs.automation.sensors._RUNS", 2)
    first = tick(definitions, instance, "new_shards")
    assert requested(first) == ALL[:2]
    runs = [start(definitions, instance, "ingest", request.tags) for request in first.run_requests]
    waits = said(tick(definitions, instance, "new_shards"))
    assert waits == (
        f"retraining waits for shard 'part-0', whose ingest is started (run {runs[0].run_id[:8]}), "
        f"shard 'part-1', whose ingest is started (run {runs[1].run_id[:8]}), "
        "and for 1 shard(s) whose turn is later"
    )
    instance.report_run_canceled(runs[0])
    assert requested(tick(definitions, instance, "new_shards")) == ALL[2:]


def request_for(result, shard):
    """What a tick asks for, for one shard."""
    return next((request for request in result.run_requests if request.partition_key == shard), None)


def test_a_run_that_was_killed_is_repeated_but_not_for_ever(definitions, instance):
    keys = set()
    for _ in range(3):
        request = request_for(tick(definitions, instance, "new_shards"), "part-0")
        keys.add(request.run_key)
        run = start(definitions, instance, "ingest", request.tags)
        assert request_for(tick(definitions, instance, "new_shards"), "part-0") is None
        instance.report_run_failed(run)  # as Dagster does when the process of a run is gone
    assert len(keys) == 3
    last = tick(definitions, instance, "new_shards")
    assert request_for(last, "part-0") is None
    for request in last.run_requests:
        execute(definitions, instance, request)
    assert said(tick(definitions, instance, "new_shards")).startswith(
        f"retraining waits for shard 'part-0', whose ingest was killed (run {run.run_id[:8]}): fix the files"
    )


@pytest.mark.parametrize("name", ["shard_registry", "new_shards"])
def test_a_tick_ends_runs_whose_process_is_gone(definitions, instance, name):
    request = request_for(tick(definitions, instance, "new_shards"), "part-0")
    gone = process_tags() | {PROCESS_TAG: "1 since 1e9"}
    run = start(definitions, instance, "ingest", request.tags | gone)
    tick(definitions, instance, name)
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert request_for(tick(definitions, instance, "new_shards"), "part-0")


def test_what_was_ingested_before_fingerprints_were_data_versions_is_ingested_once_more(
    pipeline_folder, definitions, instance
):
    ingest_without_a_run(pipeline_folder, instance, with_version=False)
    done, last = execute_all(definitions, instance)
    assert done == [*ALL, RETRAIN]
    assert last == "all 3 shards are ingested and trained on"


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
