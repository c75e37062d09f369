"""Dagster's own UI in a real browser: the graph and its groups, pictures in the metadata, a day materialised."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Page, sync_playwright

from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.definitions import build_defs
from video_pipeline.storage import open_store, read_rows, table_key
from video_pipeline_tests.clock import today
from video_pipeline_tests.end_to_end.conftest import Machine, NewMachine
from video_pipeline_tests.integration.small_day import a_brief, assert_books_agree, drop

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
GROUPS = {"briefs", "routing", "generation", "upscaling", "review", "publishing", "feedback"}
_PATIENCE_S = 90.0
_LAUNCH = """
mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_STATUS = """
query Status($id: ID!) {
  runOrError(runId: $id) { ... on Run { status stepStats { stepKey status } tags { key value } } }
}
"""


@pytest.fixture(scope="module")
def machine(new_machine: NewMachine) -> Machine:
    """A machine that has run and scored today from the command line."""
    made = new_machine()
    drop(made.inbox, today(), a_brief("lantern"), a_brief("rally", prompt="A casino night on a stage"))
    result = made.run("run-day", "--score")
    assert result.returncode == 0, result.stderr
    return made


@pytest.fixture(scope="module")
def ui(machine: Machine) -> Iterator[str]:
    """Address of Dagster's web server and daemon, started by `make dev` as a newcomer does."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = machine.folder / "dev.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                # What the tests run in is installed, whatever make knows of it.
                *("make", "dev", "--old-file", ".venv/.installed", f"BIN={Path(sys.executable).parent}"),
                *(f"PORT={port}", f"DAGSTER_HOME={machine.environment['DAGSTER_HOME']}"),
            ],
            cwd=ROOT,
            env=machine.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_loaded(address, log)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of Debian's Chromium, large enough for the whole graph."""
    chromium = shutil.which("chromium")
    assert chromium, "install Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 2200, "height": 1100})
        page.set_default_timeout(_PATIENCE_S * 1000)
        yield page
        browser.close()


def test_the_lineage_is_one_graph_with_every_asset_in_its_group(ui: str, page: Page) -> None:
    expanded = ",".join(f"global@global:{group}" for group in sorted(GROUPS))
    page.goto(f"{ui}/asset-groups?expanded={expanded}")
    shown = page.locator("svg foreignObject")
    shown.filter(has_text="weekly_cost_report").first.wait_for()
    texts = {text.strip() for text in shown.all_text_contents()}
    assets = {key.to_user_string() for key in build_defs().resolve_asset_graph().get_all_asset_keys()}
    assert assets | GROUPS <= texts


@pytest.mark.parametrize(
    ("asset", "picture"),
    [
        ("reviewed_clips", "contact_sheet"),
        ("reviewed_clips", "thumbnail"),
        ("cost_report", "cost_plot"),
        ("model_scores", "score_plot"),
    ],
)
def test_a_picture_in_the_metadata_is_really_drawn(ui: str, page: Page, asset: str, picture: str) -> None:
    page.goto(f"{ui}/assets/{asset}?view=partitions&partition={today()}")
    row = page.locator("tr", has=page.get_by_text(picture, exact=True))
    row.get_by_text("Show Markdown").click()
    image = page.locator('img[src^="data:image/"]')
    image.wait_for()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 80
    assert image.bounding_box() is not None


def test_the_checks_of_the_day_are_shown_as_passed(ui: str, page: Page) -> None:
    page.goto(f"{ui}/assets/reviewed_clips?view=checks")
    for name in ("playable", "resolution", "garbled"):
        page.get_by_text(name, exact=True).first.wait_for()


def test_a_day_materialised_from_the_ui_goes_through_every_stage_in_a_process_of_its_own(
    machine: Machine, ui: str
) -> None:
    drop(machine.inbox, today(), a_brief("kettle"))
    run_id = _launch(ui, "production_day")
    run = _wait_for_end(ui, run_id)
    assert run["status"] == "SUCCESS", run
    assert {step["status"] for step in run["stepStats"]} == {"SUCCESS"}
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    marked, worker, *_ = tags["video_pipeline/process"].split()
    assert marked == run_id
    # The run worker ends with its run, or this times out; the services go on.
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(worker)).wait(timeout=30)
    store = open_store(str(machine.state / "store"))
    clips = read_rows(ReviewedClip, store.read_bytes(table_key("reviewed_clips", str(today()))))
    assert {clip.brief_id: clip.status for clip in clips} == {
        "lantern": ClipStatus.PASSED,
        "kettle": ClipStatus.PASSED,
        "rally": ClipStatus.REVIEW,
    }
    ledger = machine.ledger()
    assert_books_agree(ledger, machine.sandbox_url())
    ledger.close()


def test_the_services_start_without_a_complaint(machine: Machine, ui: str) -> None:
    lines = (machine.folder / "dev.log").read_text().splitlines()
    assert any("Serving dagster-webserver" in line for line in lines)
    complaints = [line for line in lines if re.search("error|warning|traceback", line, re.IGNORECASE)]
    # On a machine under load a code server may miss a heartbeat; another takes its place, and the day went well.
    assert [line for line in complaints if "No heartbeat received" not in line] == []


def _launch(ui: str, job: str) -> str:
    parameters = {
        "selector": {
            "repositoryLocationName": "video_pipeline",
            "repositoryName": "__repository__",
            "jobName": job,
        },
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": str(today())}]},
    }
    launched = _ask(ui, _LAUNCH, {"parameters": parameters})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return launched["run"]["runId"]


def _wait_for_end(ui: str, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 2 * _PATIENCE_S
    while True:
        run = _ask(ui, _STATUS, {"id": run_id})["runOrError"]
        if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") or time.monotonic() > deadline:
            return run
        time.sleep(0.5)


def _ask(ui: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer = httpx.post(f"{ui}/graphql", json=body, timeout=60, trust_env=False).json()
    assert "errors" not in answer, answer
    return answer["data"]


def _wait_until_loaded(ui: str, log: Path) -> None:
    """Until the webserver answers and has the code location."""
    deadline = time.monotonic() + _PATIENCE_S
    query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"
    while time.monotonic() < deadline:
        try:
            nodes = _ask(ui, query, {})["repositoriesOrError"]["nodes"]
        except httpx.TransportError:
            nodes = []
        if nodes:
            assert [node["location"]["name"] for node in nodes] == ["video_pipeline"]
            return
        time.sleep(0.5)
    raise AssertionError(f"make dev did not come up: {log.read_text()[-2000:]}")
