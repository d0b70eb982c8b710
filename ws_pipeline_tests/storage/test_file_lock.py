"""Locks between processes: one holder at a time, told to those who wait, freed by a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from unittest.mock import Mock

import pytest

from ws_pipeline.errors import FileAccessError
from ws_pipeline.storage.file_lock import hold_lock, machine_locks

HOLD = """
import sys, time
from pathlib import Path
from ws_pipeline.storage.file_lock import hold_lock
with hold_lock(Path(sys.argv[1]), holder="the other process", on_wait=print):
    print("held", flush=True)
    time.sleep(600)
"""

FORK = """
import os, sys, time
from pathlib import Path
from ws_pipeline.storage.file_lock import hold_lock
with hold_lock(Path(sys.argv[1]), holder="the parent", on_wait=print):
    if os.fork() == 0:
        print(os.getpid(), flush=True)  # what a fork gives up, it has given up by now
    time.sleep(600)
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "locks" / "turn.lock"


@pytest.fixture
def other_process(file):
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def wait_in_thread(file, told):
    """Start to wait for the lock; the event is set once it is held, and the thread ends then."""
    held = threading.Event()

    def wait():
        with hold_lock(file, holder="the thread", on_wait=told.append):
            held.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread, held


def test_a_free_lock_is_held_at_once_and_can_be_held_again(file):
    told = []
    for _ in range(2):
        with hold_lock(file, holder="me", on_wait=told.append):
            assert (file.parent / "turn.lock.holder").read_text() == "me"
    assert told == []
    assert not (file.parent / "turn.lock.holder").exists()


def test_the_second_waits_and_is_told_who_holds_the_lock(file):
    told = []
    with hold_lock(file, holder="the first", on_wait=told.append):
        thread, held = wait_in_thread(file, told)
        assert not held.wait(1)
        assert told == ["the first"]
    assert held.wait(60)
    thread.join(60)
    assert told == ["the first"]


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_leaves_the_lock_free(file, other_process, signal_number):
    told = []
    thread, held = wait_in_thread(file, told)
    assert not held.wait(1)
    other_process.send_signal(signal_number)
    assert held.wait(60)
    thread.join(60)
    assert told == ["the other process"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_worker_that_a_killed_process_leaves_does_not_keep_its_lock(file):
    with subprocess.Popen(
        [sys.executable, "-c", FORK, str(file)], stdout=subprocess.PIPE, text=True
    ) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    try:
        with hold_lock(file, holder="me", on_wait=pytest.fail) as died:
            assert died
    finally:
        os.kill(worker, signal.SIGKILL)


def test_an_error_in_the_block_frees_the_lock(file):
    with pytest.raises(ZeroDivisionError), hold_lock(file, holder="me", on_wait=pytest.fail):
        raise ZeroDivisionError
    with hold_lock(file, holder="me", on_wait=pytest.fail):
        pass


def test_a_file_that_cannot_be_written_is_named_with_what_to_do(file, tmp_path):
    (tmp_path / "locks").touch()
    with pytest.raises(FileAccessError) as caught, hold_lock(file, holder="me", on_wait=pytest.fail):
        pass
    assert str(caught.value) == (
        f"{file}: '{tmp_path / 'locks'}' is a file, expected a folder; move the file away, or choose "
        "another path"
    )


@pytest.mark.parametrize("name", ["turn.lock", "turn.lock.holder"])
def test_a_folder_in_place_of_a_file_of_the_lock_is_named_and_leaves_it_free(file, name):
    blocking = file.with_name(name)
    blocking.mkdir(parents=True)
    with (
        pytest.raises(FileAccessError, match=rf"{name}: this is a folder, expected a file"),
        hold_lock(file, holder="me", on_wait=pytest.fail),
    ):
        pass
    blocking.rmdir()
    with hold_lock(file, holder="me", on_wait=pytest.fail):
        pass


def test_a_holder_of_whom_nothing_can_be_read_is_another_process(file):
    told = []
    with hold_lock(file, holder="the first", on_wait=told.append):
        holder_file = file.with_name("turn.lock.holder")
        holder_file.write_bytes(b"\xff")
        thread, held = wait_in_thread(file, told)
        assert not held.wait(1)
    assert held.wait(60)
    thread.join(60)
    assert told == ["another process"]


def test_the_locks_of_a_machine_are_those_of_one_person():
    assert machine_locks() == machine_locks()
    assert machine_locks().name.startswith("ws_pipeline-")


def test_a_user_without_a_name_has_locks_of_a_number(monkeypatch):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    pwd = pytest.importorskip("pwd")
    monkeypatch.setattr(pwd, "getpwuid", Mock(side_effect=KeyError("uid not found: 54321")))
    monkeypatch.setattr("os.getuid", lambda: 54321)
    assert machine_locks().name == "ws_pipeline-54321"
