"""Runs of one pipeline take turns.

Two runs at a time would mix their results: each asset reads what the others have stored, and a training has
one folder for its checkpoints.  So a run holds its pipeline's turn from its first step to its last, and the
next run waits, whether it was started by the command, from the UI, by a schedule or by a sensor.

The turn is a file lock and not a pool of Dagster: a pool's slot stays taken when its run is killed, and
Dagster's in-process executor waits for a slot in a busy loop that no signal ends.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import raise_execution_interrupts
from upath import UPath

from ws_pipeline.defs.automation.dead_runs import end_dead_runs, process_tags
from ws_pipeline.storage.file_lock import hold_lock, machine_locks
from ws_pipeline.storage.files import is_local, partial_files

_LOCKS = ".locks"
_CHECKPOINTS = "checkpoints"  # the default folder of those, in the storage
_NO_PREFIX = "pipeline"


def turn_file(storage: str, prefix: str | None) -> Path:
    """File whose lock is the turn of the pipeline that keeps its assets there.

    Parameters
    ----------
    storage
        Folder or fsspec URL of the assets.  The file is inside of a folder; for a URL it is among this
        machine's temporary files, so that runs on other machines do not see it.
    prefix
        The prefix of the pipeline's assets.
    """
    path = UPath(storage)
    if is_local(path):
        return Path(path.path) / _LOCKS / f"{prefix or _NO_PREFIX}.lock"
    name = hashlib.sha256(f"{storage} {prefix}".encode()).hexdigest()[:16]
    return machine_locks() / f"{name}.lock"


def build_executor(turns: Mapping[str, Path]) -> dg.ExecutorDefinition:
    """Dagster's in-process executor, for runs that take turns.

    Steps run one after another in the run's own process: a chain gains nothing from processes, and a step
    would pay seconds to import torch.

    Parameters
    ----------
    turns
        Step key to the file of the turn that a run with this step takes.
    """
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return dg.ExecutorDefinition(
        name=dg.in_process_executor.name,
        config_schema=dg.in_process_executor.config_schema,  # type: ignore[arg-type]
        executor_creation_fn=lambda context: TurnTakingExecutor(create(context), turns),
        description="Executes all steps in the run's process, once no other run of the pipeline is running.",
    )


class TurnTakingExecutor(dg.Executor):
    """Executes a run when it is the run's turn.

    Parameters
    ----------
    inner
        Executes the steps.
    turns
        See :func:`build_executor`.
    """

    def __init__(self, inner: dg.Executor, turns: Mapping[str, Path]) -> None:
        self._inner = inner
        self._turns = turns

    @property
    def retries(self) -> Any:
        """Whether steps may be retried."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """Steps that a step waits for."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        """Wait for the turn, then execute the steps; an interrupt ends the waiting at once."""
        run = plan_context.dagster_run
        plan_context.instance.add_run_tags(run.run_id, process_tags())
        end_dead_runs(plan_context.instance)
        keys = execution_plan.step_keys_to_execute
        with ExitStack() as stack:
            with raise_execution_interrupts():
                for file in sorted({self._turns[key] for key in keys if key in self._turns}):
                    turn = take_turn(file, holder=_describe(run), log=plan_context.log)
                    stack.enter_context(turn)
            yield from self._inner.execute(plan_context, execution_plan)


@contextmanager
def take_turn(file: Path, *, holder: str, log: Any) -> Iterator[None]:
    """Hold a pipeline's turn; what is waited for is logged as a warning.

    What a run that was killed has left of files that it was writing is removed.

    Parameters
    ----------
    file
        See :func:`turn_file`.
    holder
        What others are told who wait for it.
    log
        A logger.
    """

    def say(found: str) -> None:
        log.warning("waiting for %s to end: runs of one pipeline take turns", found)

    with hold_lock(file, holder=holder, on_wait=say) as died:
        if died and file.parent.name == _LOCKS:
            _remove_partial_files(file)
        yield


def _remove_partial_files(turn: Path) -> None:
    """Clear up after a killed run; other pipelines of the same storage may be writing their files."""
    storage = turn.parent.parent
    prefixes = {file.stem for file in turn.parent.glob("*.lock")}
    for path in partial_files(storage):
        below = path.relative_to(storage).parts
        key = below[1:] if below[0] == _CHECKPOINTS else below
        if turn.stem == (key[0] if key[0] in prefixes else _NO_PREFIX):
            path.unlink(missing_ok=True)


def _describe(run: dg.DagsterRun) -> str:
    return f"run {run.run_id[:8]} ({run.job_name}, process {os.getpid()})"
