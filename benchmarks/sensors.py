"""What a tick of a sensor costs with many shards, beside a loop that asks about one shard after the other.

    python benchmarks/sensors.py                  10,000 known shards, 1,000 new ones; takes some two minutes
    python benchmarks/sensors.py --quick          a tenth of that

The instance is one of Dagster's own, on SQLite in a folder of its own, in which every known shard of a
pipeline of two tasks was ingested by a run and trained on; rows of shards but the first are copies of its
rows.  The files are empty: a tick reads none.  A tick is evaluated as the daemon does, with all that Dagster
adds to it.  The loop is measured on a hundred of the shards.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import dagster as dg

from ws_pipeline.defs.automation.sensors import PURPOSE_TAG
from ws_pipeline.defs.automation.shard_state import (
    all_shards_fingerprint,
    ingested_shards,
    register_shards,
    shard_fingerprints,
)
from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec

KNOWN, NEW, SAMPLE = 10_000, 1_000, 100
SHARD, VERSION, RUN = "@shard@", "@version@", "@run@"  # stand for themselves in the rows that are copied


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    known = KNOWN // 10 if parser.parse_args().quick else KNOWN
    new = NEW * known // KNOWN
    print(f"{'CPU seconds':<52}{'a tick':>10}{'the loop':>10}{'ratio':>8}")
    for n_known, n_new in ((known, 0), (0, new), (known, new)):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), n_known, n_new)


def measure(folder: Path, n_known: int, n_new: int) -> None:
    """Print the costs with so many shards."""
    spec = write_pipeline(folder / "data", n_known + n_new)
    definitions = build_definitions([spec], storage=str(folder / "storage"), device="cpu")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        remember(spec, instance, folder, n_known)
        shards = spec.find_shards()
        some = shards[:: max(1, len(shards) // SAMPLE)]
        loop = len(shards) / len(some) * clock(lambda: ask_one_by_one(spec, instance, some))
        title = f"{n_known:,} known shards, {n_new:,} new:"
        for name in ("new_shards", "shard_registry"):
            seconds = clock(lambda name=name: tick(definitions, instance, name))
            show(f"{title} {name}", seconds, loop if name == "new_shards" else None)
        show(f"{title} asset shards", clock(lambda: ingested_shards(spec, instance, shards)), None)
        if n_new:
            show(f"{title} the command", clock(lambda: register_shards(spec, instance)), None)


def show(title: str, seconds: float, loop: float | None) -> None:
    """Print a line."""
    beside = "" if loop is None else f"{loop:10.2f}{loop / seconds:8.0f}"
    print(f"{title:<52}{seconds:10.2f}{beside}", flush=True)


def clock(call: Callable[[], object]) -> float:
    """CPU seconds that a call takes; less than the wall clock shows where other programs run too."""
    started = time.process_time()
    call()
    return time.process_time() - started


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance, name: str) -> None:
    """Evaluate a sensor as the daemon does, and print what it says to standard error."""
    context = dg.SensorEvaluationContext(
        instance_ref=instance.get_ref(),
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=None,
        repository_name="__repository__",
        repository_def=definitions.get_repository_def(),
        sensor_name=name,
    )
    with context:
        data = definitions.resolve_sensor_def(name).evaluate_tick(context)
    print(f"  {len(data.run_requests or [])} runs; {data.skip_message}", file=sys.stderr)


def ask_one_by_one(spec: PipelineSpec, instance: dg.DagsterInstance, shards: Iterable[str]) -> None:
    """What a tick would cost that asks for every shard: each file, each asset, and the run of a new shard."""
    keys = [spec.key("examples"), *(spec.key(task, "label_matrix") for task in spec.tasks)]
    for shard in shards:
        for path in [spec.examples_path(shard), *(spec.votes_path(task, shard) for task in spec.tasks)]:
            path.fs.ukey(path.path)
        asked = [dg.AssetRecordsFilter(asset_key=key, asset_partitions=[shard]) for key in keys]
        records = [instance.fetch_materializations(one, limit=1).records for one in asked]
        if not all(records):
            instance.get_runs(dg.RunsFilter(job_name="ingest", tags={PURPOSE_TAG: shard}), limit=1)


def write_pipeline(folder: Path, n_shards: int) -> PipelineSpec:
    """The pipeline, and as many shards of empty files."""
    tasks = {"shape": {"classes": ["round", "square"]}, "parity": {"classes": ["even", "odd"]}}
    spec = PipelineSpec.model_validate({"name": "many", "tasks": tasks, "data": str(folder)})
    for place in spec.places:
        (folder / place).mkdir(parents=True)
        for number in range(n_shards):
            (folder / place / f"part-{number:05}.parquet").touch()
    return spec


def remember(spec: PipelineSpec, instance: dg.DagsterInstance, folder: Path, n_known: int) -> None:
    """Fill the instance as ingesting and training on the first so many shards does."""
    shards = spec.find_shards()[:n_known]
    now = shard_fingerprints(spec, spec.list_files(), shards)
    if not shards:
        return
    instance.add_dynamic_partitions(spec.shards_name, shards)
    keys = [spec.key("examples"), *(spec.key(task, "label_matrix") for task in spec.tasks)]
    for key in keys:
        tags = {"dagster/data_version": VERSION}
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=SHARD, tags=tags))
    copy_events(folder, {key.to_string(): part for part, key in enumerate(keys)}, now)
    purpose = {PURPOSE_TAG: f"ingest:{SHARD}:{VERSION}", "dagster/partition": SHARD}
    instance.add_run(dg.DagsterRun("ingest", RUN, tags=purpose, status=dg.DagsterRunStatus.SUCCESS))
    copy_runs(folder, now)
    metadata = {"shards_fingerprint": all_shards_fingerprint(now)}
    instance.report_runless_asset_event(dg.AssetMaterialization(spec.key("shards"), metadata=metadata))
    models = [spec.key(task, "label_model") for task in spec.tasks]
    for key in (*models, spec.key("multitask_classifier"), spec.key("scores")):
        instance.report_runless_asset_event(dg.AssetMaterialization(key))


def copy_events(folder: Path, parts: dict[str, int], fingerprints: dict[str, str]) -> None:
    """Write the materialization of each asset, that of no shard, for every shard."""
    with sqlite3.connect(folder / "history" / "runs" / "index.db") as database:
        database.row_factory = sqlite3.Row
        for row in database.execute("SELECT * FROM event_logs WHERE partition = ?", [SHARD]).fetchall():
            asked = "SELECT * FROM asset_event_tags WHERE event_id = ?"
            tags = database.execute(asked, [row["id"]]).fetchall()
            for shard, fingerprint in fingerprints.items():
                values = {SHARD: shard, VERSION: fingerprint.split("-")[parts[row["asset_key"]]]}
                event = insert(database, "event_logs", row, values, leave=("id",))
                for tag in tags:
                    insert(database, "asset_event_tags", tag, {**values, row["id"]: event}, leave=("id",))
        database.execute("DELETE FROM event_logs WHERE partition = ?", [SHARD])


def copy_runs(folder: Path, fingerprints: dict[str, str]) -> None:
    """Write the run that ingested no shard for every shard."""
    with sqlite3.connect(folder / "history" / "runs.db") as database:
        database.row_factory = sqlite3.Row
        run = database.execute("SELECT * FROM runs WHERE run_id = ?", [RUN]).fetchone()
        tags = database.execute("SELECT * FROM run_tags WHERE run_id = ?", [RUN]).fetchall()
        for shard, fingerprint in fingerprints.items():
            values = {SHARD: shard, VERSION: fingerprint, RUN: f"run-of-{shard}"}
            insert(database, "runs", run, values, leave=("id",))
            for tag in tags:
                insert(database, "run_tags", tag, values, leave=("id",))


def insert(
    database: sqlite3.Connection,
    table: str,
    row: sqlite3.Row,
    values: dict[object, object],
    leave: tuple[str, ...],
) -> int | None:
    """Insert a copy of a row with other values; return its number."""
    columns = [name for name in row.keys() if name not in leave]  # noqa: SIM118  sqlite3.Row is no mapping
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
    return database.execute(statement, [replaced(row[name], values) for name in columns]).lastrowid


def replaced(value: object, values: dict[object, object]) -> object:
    """A value with every text in it that stands for another one replaced."""
    if not isinstance(value, str):
        return values.get(value, value)
    for old, new in values.items():
        value = value.replace(str(old), str(new)) if isinstance(old, str) else value
    return value


if __name__ == "__main__":
    main()
