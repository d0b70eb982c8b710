"""Runs whose process was killed: they are ended, so that nothing waits for them.

Dagster learns from the process of a run that the run has ended.  A process that was killed says nothing: its
run stays "started" for ever, takes one of the places for runs at a time, and keeps its slots in pools.  So
every run of a pipeline is tagged with its process, and whoever looks next ends those whose process is gone.
"""

import socket
import sys

import dagster as dg
import psutil

#: Tags of a run: the machine and the process that executes it.
HOST_TAG = "ws_pipeline/host"
PROCESS_TAG = "ws_pipeline/process"

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_SAME_SECONDS = 1.0  # between two readings of when one process started


def process_tags() -> dict[str, str]:
    """Tags of a run that this process executes."""
    process = psutil.Process()
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: f"{process.pid} since {started(process):.2f}"}


def started(process: psutil.Process) -> float:
    """Start time of a process, in seconds that do not change when the clock is set."""
    at: float = process.create_time()
    # Linux counts from the boot, and psutil adds the time of the boot, as the clock has it now
    return at - psutil.boot_time() if sys.platform == "linux" else at


def end_dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """End the runs whose process, on this machine, is gone; free what they hold.

    Runs on other machines, and runs that no process of a pipeline has taken up, are left alone.

    Returns
    -------
    list of dagster.DagsterRun
        The runs as they were, still unfinished.
    """
    here = dg.RunsFilter(statuses=_UNFINISHED, tags={HOST_TAG: socket.gethostname()})
    dead = [run for run in instance.get_runs(here) if not _is_alive(run.tags[PROCESS_TAG])]
    for run in dead:
        _end(instance, run)
    return dead


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    pid = run.tags[PROCESS_TAG].partition(" ")[0]
    message = (
        f"Process {pid}, which executed this run, is gone: it was killed, ran out of memory, or the machine "
        "was restarted. Start the run again; a training continues from its last checkpoint."
    )
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_alive(tag: str) -> bool:
    """Whether the process of a tag still runs; its number may belong to another one by now."""
    pid, _, at = tag.partition(" since ")
    try:
        process = psutil.Process(int(pid))
        return abs(started(process) - float(at)) < _SAME_SECONDS and not _has_ended(process)
    except psutil.NoSuchProcess:
        return False


def _has_ended(process: psutil.Process) -> bool:
    """Whether only the exit status of a process is left, which its parent has not asked for."""
    return bool(process.status() == psutil.STATUS_ZOMBIE)
