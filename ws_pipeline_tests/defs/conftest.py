"""A Dagster UI on 127.0.0.1 for tests, with a home of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
START = 120  # seconds to wait at most until it answers


def wait_until(condition, seconds, what):
    """The first truthy answer of ``condition``; fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.5)
    pytest.fail(f"no {what} after {seconds} s")


class Server:
    """A Dagster UI on 127.0.0.1 with a home of its own."""

    def __init__(self, port, process):
        self.url = f"http://127.0.0.1:{port}"
        self.process = process

    def kill(self):
        """Kill the server and all that it has started, runs included, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/server_info"):  # noqa: S310
                return True
        except OSError:
            return False

    def query(self, text, **variables):
        """The answer to a GraphQL query; one that is an error comes with the status 500."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            return json.load(refused)["data"]


@contextmanager
def run_dagster_dev(spec, storage, home):
    home.mkdir(exist_ok=True)
    shutil.copy(PROJECT / "dagster.yaml", home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "WS_PIPELINE_SPECS": str(spec),
        "WS_PIPELINE_STORAGE": str(storage),
        "WS_PIPELINE_DEVICE": "cpu",
    }
    command = [Path(sys.executable).parent / "dagster", "dev", "-w", PROJECT / "workspace.yaml"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = Server(port, process)
        wait_until(server.answers, START, f"answer from the UI, see {home / 'log'}")
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # nothing, if it has ended
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def wait_for():
    """Wait for the first truthy answer of a function."""
    return wait_until


@pytest.fixture
def dagster_dev():
    """Start a server as a context manager, from a pipeline.yaml, a storage folder and a new home."""
    return run_dagster_dev
