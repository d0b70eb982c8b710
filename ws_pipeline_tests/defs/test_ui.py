"""One person's way through the UI, in a real browser: materialize everything, look at the scores."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1700,1000"
)
START, FINISH = 120, 300  # seconds to wait at most

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium and its driver are not installed"),
]


def wait_for(condition, seconds, what):
    """The first truthy answer of ``condition``; fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(1)
    pytest.fail(f"no {what} after {seconds} s")


class Server:
    """A Dagster UI on 127.0.0.1 with a home of its own."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/server_info"):  # noqa: S310
                return True
        except OSError:
            return False

    def query(self, text):
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/graphql", json.dumps({"query": text}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return json.load(answer)["data"]


@contextmanager
def dagster_dev(spec, storage, home):
    home.mkdir()
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
    # A shell that starts tests in the background ignores SIGINT, and dagster would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    signal.signal(signal.SIGINT, before)
    try:
        server = Server(port)
        wait_for(server.answers, START, f"answer from the UI, see {home / 'log'}")
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def press(driver, text):
    """Press the button that says ``text``, as soon as it is there and can be pressed."""

    def ready():
        buttons = driver.find_elements("tag name", "button")
        return [b for b in buttons if b.text.strip() == text and b.is_displayed() and b.is_enabled()]

    wait_for(ready, 30, f"button '{text}'")[0].click()


def test_everything_can_be_materialized_from_the_ui(pipeline_folder, storage, tmp_path):
    with dagster_dev(pipeline_folder.spec_path, storage, tmp_path / "home") as server, browser() as driver:
        wait_for(lambda: "part-2" in (tmp_path / "home" / "log").read_text(), START, "registered shards")
        driver.get(f"{server.url}/locations/ws_pipeline/asset-groups/toy/lineage")
        press(driver, "Materialize all…")
        press(driver, "All")
        press(driver, "Launch backfill")
        backfills = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { status } } } }"

        def finished():
            results = server.query(backfills)["partitionBackfillsOrError"]["results"]
            states = [result["status"] for result in results]
            return states if states and "COMPLETED" in states[0] else None

        assert wait_for(finished, FINISH, "finished backfill") == ["COMPLETED_SUCCESS"]
        driver.get(f"{server.url}/assets/scores")
        wait_for(lambda: "shape_end_model_accuracy" in driver.page_source, 30, "score on the asset's page")
        assert (storage / "scores.parquet").exists()
