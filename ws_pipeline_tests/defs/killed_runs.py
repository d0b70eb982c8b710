"""Runs a pipeline in child processes and kills them with SIGKILL; run by test_killed_runs.py.

Prints what came of it as JSON.  Arguments: a pipeline.yaml, a folder for everything else, how many runs to
kill at a moment, how many while they write a file, and a seed.

The parent imports what the first run has imported and forks, so that a run costs no imports.  The kills are
spread over the whole chain: the first is near its start, the last near its end.  After each kill the same
command runs again, to its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import itertools
import json
import os
import random
import shutil
import signal
import stat
import sys
import time
from pathlib import Path

import dagster as dg

from ws_pipeline import cli

SECONDS = 300  # until a run that is not killed has to be through


def start(spec, folder, deadly_write=None):
    """Start the command in a child process, which may die while it writes a file; its process id."""
    child = os.fork()
    if child:
        return child
    with (folder / "log").open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    count_writes(folder / "writes", deadly_write)
    status = 3
    try:
        status = cli.main([str(spec), "--storage", str(folder / "storage"), "--device", "cpu"])
    finally:
        (folder / "modules").write_text("\n".join(sys.modules))
        sys.stdout.flush()
        os._exit(status)


def count_writes(file, deadly):
    """Keep the number of files that this process has written; die before one of them is complete."""
    written, sync = itertools.count(1), os.fsync

    def fsync(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # not that of a folder, after the file is renamed
            number = next(written)
            file.write_text(str(number))
            if number == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)

    os.fsync = fsync


def wait(child, seconds):
    """The exit status of a child, negative for a signal; None if it has not ended after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def digests(storage):
    """Path below the storage to a digest of its content, without the locks."""
    files = [path for path in sorted(storage.rglob("*")) if path.is_file() and ".locks" not in path.parts]
    return {str(path.relative_to(storage)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run_to_its_end(spec, folder):
    """Exit status, seconds and digests of a run that is not killed."""
    begun = time.monotonic()
    child = start(spec, folder)
    status = wait(child, SECONDS)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return status, time.monotonic() - begun, digests(folder / "storage")


def kill_and_run_again(spec, folder, *, seconds=SECONDS, deadly_write=None):
    """Kill a run after so many seconds, or while it writes a file, and run again; what came of it."""
    shutil.rmtree(folder / "storage")
    child = start(spec, folder, deadly_write)
    status = wait(child, seconds)
    if status is None:
        os.kill(child, signal.SIGKILL)
        status = wait(child, SECONDS)
    said = (folder / "log").read_text().splitlines()
    again, _, found = run_to_its_end(spec, folder)
    return {
        "first": status,
        "said_last": said[-1] if said else "",
        "second": again,
        "log": (folder / "log").read_text(),
        "digests": found,
    }


def main(spec, folder, n_moments, n_writes, seed):
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "storage")
    status, seconds, expected = run_to_its_end(spec, folder)
    assert status == 0, (folder / "log").read_text()
    for module in (folder / "modules").read_text().splitlines():
        with contextlib.suppress(ImportError):  # some are made by other modules, and cannot be imported
            importlib.import_module(module)
    total = int((folder / "writes").read_text())
    rng = random.Random(seed)  # noqa: S311
    moments = [(number + rng.random()) / n_moments * seconds for number in range(n_moments)]
    writes = [1 + int((number + rng.random()) / n_writes * total) for number in range(n_writes)]
    outcomes = [kill_and_run_again(spec, folder, seconds=moment) for moment in moments]
    outcomes += [kill_and_run_again(spec, folder, deadly_write=number) for number in writes]
    with dg.DagsterInstance.get() as instance:
        statuses = [found.status.value for found in instance.get_runs()]
    sys.stdout.write(json.dumps({"expected": expected, "outcomes": outcomes, "statuses": statuses}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
