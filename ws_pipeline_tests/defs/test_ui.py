"""One person's way through the UI, in a real browser: materialize everything, look at the scores."""

import shutil
from contextlib import contextmanager, suppress

import pytest

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


def press(driver, text, wait_for):
    """Press the button that says ``text``, as soon as it is there and can be pressed."""
    from selenium.common.exceptions import WebDriverException

    def pressed():
        for button in driver.find_elements("tag name", "button"):
            with suppress(WebDriverException):  # the page is drawn again, or something is before it
                if button.text.strip() == text and button.is_displayed() and button.is_enabled():
                    button.click()
                    return True
        return False

    wait_for(pressed, 60, f"button '{text}'")


def test_everything_can_be_materialized_from_the_ui(
    pipeline_folder, storage, tmp_path, dagster_dev, wait_for
):
    pipeline_folder.remove_shard("part-2")
    with dagster_dev(pipeline_folder.spec_path, storage, tmp_path / "home") as server, browser() as driver:
        wait_for(lambda: "part-1" in (tmp_path / "home" / "log").read_text(), START, "registered shards")
        driver.get(f"{server.url}/asset-groups")
        press(driver, "Materialize all…", wait_for)
        press(driver, "All", wait_for)
        press(driver, "Launch backfill", wait_for)
        backfills = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { status } } } }"

        def finished():
            results = server.query(backfills)["partitionBackfillsOrError"]["results"]
            states = [result["status"] for result in results]
            return states if states and "COMPLETED" in states[0] else None

        assert wait_for(finished, FINISH, "finished backfill") == ["COMPLETED_SUCCESS"]
        driver.get(f"{server.url}/assets/scores")
        wait_for(lambda: "shape_end_model_accuracy" in driver.page_source, 30, "score on the asset's page")
        assert (storage / "scores.parquet").exists()
