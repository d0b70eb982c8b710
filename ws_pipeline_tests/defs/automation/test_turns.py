"""Runs of one pipeline take turns, wherever they were started."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest
import yaml

from ws_pipeline.cli import main
from ws_pipeline.defs.automation.dead_runs import PROCESS_TAG
from ws_pipeline.defs.automation.turns import take_turn, turn_file
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.storage.file_lock import hold_lock, machine_locks

PROJECT = Path(__file__).resolve().parents[3]


class Log:
    """Keeps warnings."""

    def __init__(self):
        self.said = []

    def warning(self, message, *values):
        self.said.append(message % values)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(PROJECT / "dagster.yaml", folder)
    return folder


@pytest.fixture
def run_in_dagster(pipeline_folder, storage, home):
    """Start the job that ingests part-0, as Dagster starts the runs of the UI: with the job's executor."""
    processes = []

    def start():
        command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "ws_pipeline.definitions"]
        tags = json.dumps({"dagster/partition": "part-0"})
        process = subprocess.Popen(
            [*command, "-j", "ingest", "--tags", tags],
            cwd=PROJECT,
            env=os.environ
            | {
                "DAGSTER_HOME": str(home),
                "WS_PIPELINE_SPECS": str(pipeline_folder.spec_path),
                "WS_PIPELINE_STORAGE": str(storage),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def spec(pipeline_folder):
    return load_spec(pipeline_folder.spec_path)


def read_until(process, text):
    """What a process says, up to a line that contains the text."""
    said = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            return said
    pytest.fail(f"'{text}' is not in:\n{''.join(said)}")


def only_run(home):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        [run] = instance.get_runs()
        return run


def test_a_run_of_dagster_waits_for_its_turn_and_says_for_whom(run_in_dagster, home, storage, spec):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions(spec.shards_name, ["part-0"])
    with hold_lock(turn_file(str(storage), None), holder="the test", on_wait=pytest.fail):
        process = run_in_dagster()
        read_until(process, "waiting for the test to end: runs of one pipeline take turns")
        assert only_run(home).status == dg.DagsterRunStatus.STARTED
        assert only_run(home).tags[PROCESS_TAG].startswith(f"{process.pid} since ")
        assert not (storage / "examples").exists()
    process.communicate()
    assert process.returncode == 0
    assert only_run(home).status == dg.DagsterRunStatus.SUCCESS
    assert [path.name for path in (storage / "examples").iterdir()] == ["part-0.parquet"]


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_waiting(run_in_dagster, home, storage, spec, signal_number):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions(spec.shards_name, ["part-0"])
    with hold_lock(turn_file(str(storage), None), holder="the test", on_wait=pytest.fail):
        process = run_in_dagster()
        read_until(process, "waiting for the test")
        process.send_signal(signal_number)
        process.communicate(timeout=120)
    assert only_run(home).is_finished
    assert not (storage / "examples").exists()


def test_the_command_waits_for_its_turn_and_says_for_whom(pipeline_folder, storage, monkeypatch, caplog):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    held, pause = threading.Event(), threading.Event()

    def hold():
        with hold_lock(turn_file(str(storage), None), holder="the test", on_wait=pytest.fail):
            held.set()
            while "waiting for the test to end" not in caplog.text:
                pause.wait(0.1)
            assert not (storage / "examples").exists()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    content = yaml.safe_load(pipeline_folder.spec_path.read_text())
    pipeline_folder.spec_path.write_text(yaml.safe_dump(content | {"model": None, "trainer": {}}))
    assert main([str(pipeline_folder.spec_path), "--storage", str(storage), "--device", "cpu"]) == 0
    thread.join(60)
    assert (storage / "scores.parquet").exists()


def test_what_a_killed_run_was_writing_is_removed_in_its_pipeline_alone(storage):
    turn = turn_file(str(storage), None)
    other = turn_file(str(storage), "mail")
    hexadecimal = "0" * 32
    left = [storage / f".scores.parquet.{hexadecimal}.tmp", storage / "spam" / f".x.{hexadecimal}.tmp"]
    left.append(storage / "checkpoints" / "multitask_classifier" / f".best.safetensors.{hexadecimal}.tmp")
    of_mail = [
        storage / "mail" / f".x.{hexadecimal}.tmp",
        storage / "checkpoints/mail" / f".x.{hexadecimal}.tmp",
    ]
    kept = [storage / "spam" / "x.tmp", storage / ".notes.tmp"]
    for file in (*left, *of_mail, *kept, other):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with take_turn(turn, holder="me", log=Log()):
        assert all(file.exists() for file in left)  # nobody was killed
    (turn.parent / f"{turn.name}.holder").write_text("a run that was killed")
    with take_turn(turn, holder="me", log=Log()):
        assert [file for file in left if file.exists()] == []
        assert all(file.exists() for file in (*of_mail, *kept))
    (other.parent / f"{other.name}.holder").write_text("a run that was killed")
    with take_turn(other, holder="me", log=Log()):
        assert [file for file in of_mail if file.exists()] == []
        assert all(file.exists() for file in kept)


def test_pipelines_of_other_prefixes_or_storages_do_not_wait_for_each_other(tmp_path):
    storages = [str(tmp_path / "a"), str(tmp_path / "b"), "memory://a", "memory://b"]
    files = {turn_file(storage, prefix) for storage in storages for prefix in (None, "mail", "chat")}
    assert len(files) == 12
    assert turn_file("memory://a", None).parent == machine_locks()
    assert turn_file(str(tmp_path / "a"), "mail") == tmp_path / "a" / ".locks" / "mail.lock"
