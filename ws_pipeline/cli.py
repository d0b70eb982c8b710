"""Run a whole pipeline in this process and print its scores; what ``python -m ws_pipeline`` does."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError
from upath import UPath

from ws_pipeline.analysis.scores_table import GOLD
from ws_pipeline.commands import check as checking
from ws_pipeline.commands import new as making
from ws_pipeline.defs.assets.multi_label_text import MODEL_NAMES, whole_lines
from ws_pipeline.defs.automation.command_log import command_logger
from ws_pipeline.defs.automation.dead_runs import end_dead_runs, process_tags
from ws_pipeline.defs.automation.shard_state import register_shards
from ws_pipeline.defs.automation.turns import take_turn, turn_file
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.resources import ComputeDevice
from ws_pipeline.defs.spec.multi_label_tasks import multi_label_tasks
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.shard_listing import require_shards, skipped_files
from ws_pipeline.errors import InvalidInputError, WsPipelineError
from ws_pipeline.example_index import SPLITS
from ws_pipeline.importing import command as importing
from ws_pipeline.labeling.models.probabilistic_labels import replaced_in
from ws_pipeline.storage.files import ParquetSource, read_parquet

_INTERRUPTS = {dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__}
_INTERRUPTED = 130  # what shells give for a command that SIGINT ended
_SHOWN = 10  # skipped files that are named, at most
_LOGGER = "command"
_SUBCOMMANDS = {importing.IMPORT: importing.main, checking.CHECK: checking.main, making.NEW: making.main}
_EPILOG = (
    "python -m ws_pipeline new FOLDER makes a folder to start from.  "
    "python -m ws_pipeline check PIPELINE.yaml (or its folder) reads all files and reports every problem, "
    "without running anything.  "
    "python -m ws_pipeline import FORMAT PATH --task NAME --out FOLDER makes such a folder from an export "
    "of a labelling tool or a table of answers; see python -m ws_pipeline import --help"
)
_log = logging.getLogger("ws_pipeline.command")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run, print; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in _SUBCOMMANDS:
        return _SUBCOMMANDS[arguments[0]](arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m ws_pipeline", description=__doc__, epilog=_EPILOG)
    parser.add_argument("pipeline", type=Path, help="path of a pipeline.yaml")
    parser.add_argument("--storage", default="storage", help="folder or fsspec URL of the results")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    options = parser.parse_args(arguments)
    logging.getLogger("dagster").setLevel(logging.ERROR)
    storage = options.storage if "://" in options.storage else str(Path(options.storage).resolve())
    try:
        with _terminated_as_interrupted():
            spec = load_spec(options.pipeline)
            seconds = run_pipeline(spec, storage=storage, device=options.device)
            print(report(spec, storage, seconds))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues a training where it was stopped", file=sys.stderr)
        return _INTERRUPTED
    except (WsPipelineError, dg.DagsterError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except SQLAlchemyError as error:
        home = os.environ.get("DAGSTER_HOME")
        print(f"\nthe history of runs in DAGSTER_HOME ({home}) cannot be used: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the block as an interrupt does, also where SIGINT is ignored, as in the background."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_pipeline(spec: PipelineSpec, *, storage: str, device: str = "auto") -> dict[str, float]:
    """Ingest every shard, then retrain; return the seconds that each asset took, summed over shards.

    The runs are recorded in the instance of DAGSTER_HOME where that is set.  While another run of the
    pipeline is still running, this waits and says for which.

    Raises
    ------
    WsPipelineError
        There is no shard, or a run failed; the message says why.
    """
    definitions = build_definitions([spec], storage=storage, device=device, loggers={_LOGGER: command_logger})
    seconds: dict[str, float] = {}
    shards = _find_shards(spec)
    ComputeDevice(name=device).resolve()  # a device that is not there is told before any work
    holder = f"the command 'python -m ws_pipeline' (process {os.getpid()})"
    with _instance() as instance, take_turn(turn_file(storage, spec.prefix), holder=holder, log=_log):
        end_dead_runs(instance)
        register_shards(spec, instance)
        ingest = definitions.resolve_job_def(spec.job_name("ingest"))
        for shard in shards:
            print(f"ingesting {shard} ...", flush=True)
            _execute(ingest, instance, seconds, partition_key=shard)
        print("training ...", flush=True)
        _execute(definitions.resolve_job_def(spec.job_name("retrain")), instance, seconds)
    return seconds


def _find_shards(spec: PipelineSpec) -> list[str]:
    """The shards to ingest, at least one; warn of files that are no part of any."""
    files = spec.list_files()
    skipped = skipped_files(spec, files)
    for file, reason in list(skipped.items())[:_SHOWN]:
        print(f"warning: skipped {file}: {reason}", file=sys.stderr)
    if len(skipped) > _SHOWN:
        print(f"warning: skipped {len(skipped) - _SHOWN} more", file=sys.stderr)
    return require_shards(spec, files)


def report(spec: PipelineSpec, storage: str, seconds: dict[str, float]) -> str:
    """Scores on test, or on what there is without one, time per asset, and where the files are, as text."""
    table = read_parquet(f"{storage}/{'/'.join(spec.key('scores').path)}.parquet").to_pylist()
    lines: list[str] = []
    scored = {row["split"] for row in table}
    split = next((split for split in reversed(SPLITS) if split in scored), SPLITS[-1])
    for dataset in ("covered", "all"):
        rows = [row for row in table if row["split"] == split and row["dataset"] == dataset]
        if not rows:
            continue
        counts = {row["task"]: row["n_examples"] for row in rows}
        title = f"{split} examples with votes" if dataset == "covered" else f"all {split} examples"
        lines += _score_lines(title, rows, counts)
    lines += _multi_label_lines(spec, storage)
    lines += _replaced_lines(spec, storage)
    if any(row["reference"] != GOLD for row in table if row["split"] == split):
        lines += ["", f"* no gold label in the {split} split: agreement with the label model, not accuracy"]
    lines += ["", "seconds per asset:"]
    lines += [f"  {name:<32} {value:6.2f}" for name, value in seconds.items()]
    lines += ["", f"results:  {storage}"]
    return "\n".join(lines)


def _multi_label_lines(spec: PipelineSpec, storage: str) -> list[str]:
    """Scores of multi-label tasks as a whole on test, or on the last split with gold lists."""
    lines = []
    for name in multi_label_tasks(spec.tasks):
        path = "/".join(spec.key(name, "multi_label_scores").path)
        lines += whole_lines(name, read_parquet(f"{storage}/{path}.parquet"))
    return lines


def _replaced_lines(spec: PipelineSpec, storage: str) -> list[str]:
    """Which tasks' labels are those of the plain vote, and why."""
    lines = []
    for task in spec.tasks:
        path = "/".join(spec.key(task, "probabilistic_labels").path)
        reason = replaced_in(ParquetSource(UPath(f"{storage}/{path}.parquet")).schema)
        if reason:
            lines += ["", f"{task}: the plain vote is published in place of the label model: {reason}"]
    return lines


def _score_lines(title: str, rows: list[dict[str, object]], counts: dict[str, int]) -> list[str]:
    lines = ["", f"{title:<26} {'':<12} {'accuracy':>9} {'macro-F1':>9}"]
    for task, n_examples in counts.items():
        for model, name in MODEL_NAMES.items():
            own = [row for row in rows if (row["task"], row["model"]) == (task, model)]
            values = {row["metric"]: row["value"] for row in own}
            if values:
                mark = "" if own[0]["reference"] == GOLD else " *"
                label = f"  {task} ({n_examples}){mark}" if model == "vote" else ""
                lines.append(f"{label:<26} {name:<12} {values['accuracy']:9.3f} {values['f1_macro']:9.3f}")
    return lines


def _execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    seconds: dict[str, float],
    partition_key: str | None = None,
) -> None:
    """Execute a job here; add up the seconds of its steps."""
    with _terminated_as_interrupted():  # Dagster leaves SIGTERM as it finds SIGINT
        result = job.execute_in_process(
            instance=instance,
            partition_key=partition_key,
            run_config={"loggers": {_LOGGER: {}}},
            tags=process_tags(),
            raise_on_error=False,
        )
    for event in result.all_events:
        if event.is_step_success:
            name = str(event.step_key).replace("__", "/")
            seconds[name] = seconds.get(name, 0.0) + event.step_success_data.duration_ms / 1000
    if any(error.cls_name in _INTERRUPTS for error in _errors(result)):
        raise KeyboardInterrupt
    if not result.success:
        message = f"{job.name} stopped: {'; '.join(_reasons(result))}"
        raise WsPipelineError(message)


def _reasons(result: dg.ExecuteInProcessResult) -> list[str]:
    """Explain why a run failed: by its failed blocking checks, else its errors, else what Dagster says."""
    checks = [
        f"{check.asset_key.to_user_string()}, {check.check_name}: {check.description}"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    errors = [error.message.strip() for error in _errors(result)]
    ends = [event.message for event in result.all_events if event.is_failure and event.message]
    return checks or errors or ends or [f"it ended as {result.dagster_run.status.value.lower()}"]


def _errors(result: dg.ExecuteInProcessResult) -> list[Any]:
    """Errors of the failed steps, or of the run where no step failed, as when a resource cannot be made."""
    steps = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    runs = [event.job_failure_data.error for event in result.all_events if event.is_job_failure]
    return [_telling(error) for error in (steps or runs) if error is not None]


def _telling(error: Any) -> Any:
    """Prefer our own error to the library error behind it; ours names the fix."""
    while error.cause is not None and not error.message.startswith(f"{WsPipelineError.__module__}."):
        error = error.cause
    return error


def _instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME, or one for this process alone.

    Raises
    ------
    InvalidInputError
        The instance's dagster.yaml is broken in a way that Dagster has no error of its own for.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        return dg.DagsterInstance.ephemeral()
    try:
        return dg.DagsterInstance.get()
    except (dg.DagsterError, OSError, SQLAlchemyError):
        raise
    except Exception as broken:
        message = f"{Path(home) / 'dagster.yaml'} cannot be used, fix it or copy the project's: {broken}"
        raise InvalidInputError(message) from broken
