"""Runs whose process is gone are ended; all others are left alone."""

import subprocess
import sys

import dagster as dg
import psutil
import pytest

from ws_pipeline.defs.automation.dead_runs import HOST_TAG, PROCESS_TAG, end_dead_runs, process_tags, started

STATUS = dg.DagsterRunStatus


@dg.op
def work():
    pass


@dg.job
def retrain():
    work()


@pytest.fixture
def instance(tmp_path):
    with dg.instance_for_test(temp_dir=str(tmp_path)) as found:
        yield found


@pytest.fixture
def process():
    """A process that does nothing."""
    idle = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield idle
    idle.kill()
    idle.wait()


def tags_of(process):
    return process_tags() | {PROCESS_TAG: f"{process.pid} since {started(psutil.Process(process.pid)):.2f}"}


def add_run(instance, tags, status=STATUS.STARTED):
    return instance.create_run_for_job(retrain, tags=tags, status=status).run_id


def status_of(instance, run_id):
    return instance.get_run_by_id(run_id).status


@pytest.mark.parametrize("status", [STATUS.NOT_STARTED, STATUS.STARTING, STATUS.STARTED])
def test_the_run_of_a_killed_process_has_failed_and_says_why(instance, process, status):
    run_id = add_run(instance, tags_of(process), status)
    assert end_dead_runs(instance) == []
    assert status_of(instance, run_id) == status
    process.kill()
    process.wait()
    assert [run.run_id for run in end_dead_runs(instance)] == [run_id]
    assert status_of(instance, run_id) == STATUS.FAILURE
    [event] = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert f"Process {process.pid}, which executed this run, is gone: it was killed" in event.message
    assert end_dead_runs(instance) == []


def test_a_process_that_only_waits_for_its_parent_is_gone(instance, process):
    run_id = add_run(instance, tags_of(process))
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert [run.run_id for run in end_dead_runs(instance)] == [run_id]


def test_a_number_that_belongs_to_another_process_by_now_is_no_sign_of_life(instance, process):
    at = started(psutil.Process(process.pid))
    old = add_run(instance, process_tags() | {PROCESS_TAG: f"{process.pid} since {at - 2:.2f}"})
    assert [run.run_id for run in end_dead_runs(instance)] == [old]


def test_a_run_that_was_to_be_canceled_is_canceled(instance, process):
    run_id = add_run(instance, tags_of(process), STATUS.CANCELING)
    process.kill()
    process.wait()
    end_dead_runs(instance)
    assert status_of(instance, run_id) == STATUS.CANCELED


@pytest.mark.parametrize("status", [STATUS.SUCCESS, STATUS.FAILURE, STATUS.CANCELED])
def test_runs_that_have_ended_are_left_alone(instance, process, status):
    run_id = add_run(instance, tags_of(process), status)
    process.kill()
    process.wait()
    assert end_dead_runs(instance) == []
    assert status_of(instance, run_id) == status


def test_runs_elsewhere_and_of_others_are_left_alone(instance, process):
    elsewhere = add_run(instance, tags_of(process) | {HOST_TAG: "another machine"})
    of_others = add_run(instance, {})
    process.kill()
    process.wait()
    assert end_dead_runs(instance) == []
    assert status_of(instance, elsewhere) == status_of(instance, of_others) == STATUS.STARTED


def test_what_a_dead_run_holds_of_a_pool_is_free_again(instance, process):
    storage = instance.event_log_storage
    storage.set_concurrency_slots("gpu", 1)
    dead, living = add_run(instance, tags_of(process)), add_run(instance, process_tags())
    assert storage.claim_concurrency_slot("gpu", dead, "work").is_claimed
    assert not storage.claim_concurrency_slot("gpu", living, "work").is_claimed
    process.kill()
    process.wait()
    end_dead_runs(instance)
    assert storage.claim_concurrency_slot("gpu", living, "work").is_claimed
