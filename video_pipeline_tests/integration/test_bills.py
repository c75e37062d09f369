"""A day's bills against the ledger, with the real adapter on the sandbox: told, and booked once whoever is killed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from video_pipeline import days
from video_pipeline.alerts import Notifier
from video_pipeline.cli import reconcile as command
from video_pipeline.cli.app import app
from video_pipeline.clips import ClipStatus
from video_pipeline.defs.assets.feedback import vendor_bills
from video_pipeline.errors import ConfigurationError
from video_pipeline.feedback import DayBill, Match, reconcile
from video_pipeline.generation import Enquiries, Provider
from video_pipeline.ledger import Job, Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract import kiln
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, quick, sent
from video_pipeline_tests.ledger.rows import all_money

_FAULTS: dict[str, tuple[tuple[str, float | None], ...]] = {
    "as listed": (),
    "in parts": (("billed_in_parts", 3),),
    "dearer": (("billed_otherwise", 1.6),),
    "taken back": (("billed_back", None),),
    "late": (("billed_late", 3600),),
    "refused": (("refuse_input", None), ("billed_refusal", None)),
}
_EXPECTED = {
    "dearer": Match.OTHERWISE,
    "taken back": Match.OTHERWISE,
    "late": Match.NOT_YET,
    "refused": Match.REFUSAL,
    "another's": Match.LEAK,
}
LIST_USD, PICTURE_USD = Decimal("0.022"), Decimal("0.003")
_KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from video_pipeline import checkpoints
from video_pipeline.feedback import reconcile
from video_pipeline.generation import PROVIDERS, Enquiries
from video_pipeline.ledger import open_ledger
from video_pipeline.policy import load_policy

url, base_url, day = sys.argv[1:]
from pathlib import Path
passed = []

def reach(name):
    passed.append(name)
    if len(passed) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoints.on_reach = reach
ask = Enquiries(lambda client: {"fal": PROVIDERS["fal"].connect_sandbox(base_url, client)})
ledger = open_ledger(url, embedded_dir=Path("unused"))
reconcile(ledger, ask, load_policy().reconcile, [date.fromisoformat(day)])
"""


class Bought(Stage):
    """A day on which every kind of bill was bought."""

    @property
    def bought_on(self) -> date:
        """The calendar day, whichever day was produced."""
        return days.day_at(min(job.submitted_at for job in self.jobs() if job.submitted_at))

    def bills(self, at: datetime | None = None) -> DayBill:
        [bill] = reconcile(self.ledger, Enquiries(self.connect), self.policy.reconcile, [self.bought_on], at=at)
        return bill

    def wait_for_bills(self) -> None:
        """Until the billing tells of all that is to come."""
        ours = {one["request_id"] for one in self.requests if "late" not in one["prompt"]}
        url, headers = f"{self.edge.base_url}/fal-api/v1/models/billing-events", {"Authorization": "Key admin"}
        deadline = time.monotonic() + 30
        while True:
            lines = self.edge.client.get(url, headers=headers, params={"limit": 1000}).json()["billing_events"]
            if ours <= {line["request_id"] for line in lines}:
                return
            assert time.monotonic() < deadline, "the billing did not come"
            time.sleep(0.05)

    def named(self, bill: DayBill) -> Mapping[str, Match]:
        """What came of each prompt that is not as booked."""
        prompts = {request["request_id"]: request["prompt"] for request in self.requests}
        return {prompts[one.request_id].split(",")[0]: one.match for one in bill.differences}

    def first(self, name: str) -> Job:
        return next(job for job in self.jobs() if job.order.prompt.startswith(f"{name},"))


@pytest.fixture(scope="module")
def stage(
    ledger_of_module: Ledger,
    module_edge: Edge,
    sandbox_catalogue: Catalogue,
    policy: Policy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bought:
    store = LocalStore(tmp_path_factory.mktemp("store"))
    stage = Bought(ledger_of_module, store, module_edge, sandbox_catalogue, quick(policy))
    for name, faults in _FAULTS.items():
        for fault, value in faults:
            module_edge.fault(fault, match=f"{name}, a hill", value=value)
    briefs = [brief_of(f"{name}, a hill", brief_id=name.replace(" ", "-")) for name in _FAULTS]
    assert {clip.status for clip in stage.generate(*briefs)} == {ClipStatus.GENERATED}
    usual = stage.first("as listed")
    module_edge.client.post(
        f"{module_edge.base_url}/fal-queue/{usual.request['endpoint']}",
        json=sent(usual) | {"prompt": "another's, a hill"},
        headers={"Authorization": "Key somebody"},
    ).raise_for_status()
    stage.wait_for_bills()
    return stage


def _money(stage: Bought) -> dict[str, Any]:
    return {
        "jobs": {job.key: (job.billed_usd, job.vendor_usd) for job in stage.jobs()},
        "events": {job.key: len(stage.ledger.jobs.events(job.key)) for job in stage.jobs()},
        "lines": all_money(stage.ledger),
    }


@pytest.mark.parametrize("who", ["a key that may not", "nobody", "a billing that fails"])
def test_where_nothing_is_told_the_row_says_why_and_nothing_is_booked(stage: Bought, who: str) -> None:
    def connect(client: httpx.AsyncClient) -> dict[str, Provider]:
        if who == "nobody":
            raise ConfigurationError("no provider is connected")
        return {"fal": stage.edge.fal(client, admin_key="" if who == "a key that may not" else "admin")}

    if who == "a billing that fails":
        stage.edge.fault("billing_503")
    before = _money(stage)
    [bill] = reconcile(stage.ledger, Enquiries(connect), stage.policy.reconcile, [stage.bought_on])
    said = {
        "a key that may not": "fal's key may not read billing (HTTP 403): give an admin-scoped key in FAL_ADMIN_KEY",
        "nobody": "fal is not connected, so its billing was not asked for",
        "a billing that fails": "fal answered a question for the billing with HTTP 503",
    }
    assert bill.why_not.startswith(said[who])
    assert (bill.requests, bill.differences, _money(stage)) == (8, (), before)


def test_days_on_which_nothing_was_bought_have_no_row(stage: Bought) -> None:
    yesterday = stage.bought_on - timedelta(days=1)
    assert reconcile(stage.ledger, Enquiries(stage.connect), stage.policy.reconcile, [yesterday]) == []


def test_a_reconcile_that_is_killed_is_gone_on_with_and_each_bill_is_booked_once(stage: Bought) -> None:
    url = stage.ledger.engine.url.render_as_string(hide_password=False)
    told = [url, stage.edge.base_url, str(stage.bought_on)]
    killed = subprocess.run([sys.executable, "-c", _KILLED, *told], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert sum(job.vendor_usd is not None for job in stage.jobs()) == 2

    bill = stage.bills()
    assert stage.named(bill) == _EXPECTED
    # As listed, in parts; and after the refusal a picture, and the clip made from it.
    assert (bill.requests, bill.equal, bill.in_doubt) == (8, 4, 0)
    assert bill.booked_usd == 5 * LIST_USD + PICTURE_USD
    assert bill.billed_usd == LIST_USD * (3 + Decimal("1.6") + 0 + 1 + 1) + PICTURE_USD
    leak = bill.of(Match.LEAK)[0]
    assert leak.buyer.startswith("key ") and leak.what == stage.first("as listed").request["endpoint"]
    books = {request["request_id"]: Decimal(request["usd"]) for request in stage.requests}
    for job in stage.jobs():
        assert (job.vendor_usd is None) is job.order.prompt.startswith("late")
        assert job.billed_usd == books[job.provider_job_id or ""]
    assert all_money(stage.ledger) == sum((job.billed_usd for job in stage.jobs()), Decimal(0))

    before = _money(stage)
    assert stage.bills() == bill
    assert _money(stage) == before
    # What never comes is told in the end, and stays at its list price.
    over = stage.bills(datetime.now(UTC) + timedelta(days=8))
    assert stage.named(over) == _EXPECTED | {"late": Match.NEVER}
    assert _money(stage) == before


def test_a_night_says_it_in_one_message_however_often_it_is_run(stage: Bought) -> None:
    day = stage.bought_on
    result: object = None
    for _ in range(2):
        result = vendor_bills(
            dg.build_asset_context(partition_key=day.isoformat()),
            ledger=stage.ledger,
            enquiries=Enquiries(stage.connect),
            policy=stage.policy,
            notifier=Notifier([], stage.ledger.alerts),
        )
    told = [row for row in stage.ledger.alerts.latest() if row["cause"].startswith("bills ")]
    assert [(row["count"], row["told_count"]) for row in told] == [(2, 1)]
    assert set(told[0]["fields"]) == {"billed otherwise", "refusal billed", "not in the ledger"}
    assert isinstance(result, dg.MaterializeResult) and result.metadata is not None
    assert (result.metadata["requests"], result.metadata["not billed yet"]) == (8, 1)


@pytest.mark.usefixtures("vendors_from_outside")
def test_a_provider_without_a_billing_says_so() -> None:
    until = datetime.now(UTC)
    enquiries = Enquiries(lambda client: {"kiln": kiln.VENDOR.connect_sandbox("http://127.0.0.1:1", client)})
    told = enquiries.billed(until - timedelta(days=1), until)
    assert told == {"kiln": "kiln has no billing that could be asked for"}


class _Served:
    """The parts of `Services` that the command asks for."""

    def __init__(self, stage: Bought) -> None:
        self.ledger, self.policy = stage.ledger, stage.policy
        self.enquiries = Enquiries(stage.connect)


def test_the_command_tells_each_difference_and_that_there_are_some(
    stage: Bought, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "get_services", lambda: _Served(stage))
    monkeypatch.setattr(command, "console", Console(width=400))
    said = CliRunner().invoke(app, ["reconcile", "--day", str(stage.bought_on)])
    assert said.exit_code == 1, said.output
    for words in (*(match.value for match in set(_EXPECTED.values())), "+60%", "bought with key ", "7 more nights"):
        assert words in said.output
    told = CliRunner().invoke(app, ["reconcile", "--json"])
    document = json.loads(told.output)
    assert (told.exit_code, document["last"]) == (1, str(days.today()))
    [day] = document["days"]
    assert (day["requests"], len(day["differences"])) == (8, 5)


def test_the_command_says_where_there_is_nothing_to_compare(stage: Bought, monkeypatch: pytest.MonkeyPatch) -> None:
    services = _Served(stage)
    monkeypatch.setattr(command, "get_services", lambda: services)
    day = stage.bought_on - timedelta(days=3)
    said = CliRunner().invoke(app, ["reconcile", "--day", str(day)])
    assert (said.exit_code, said.output.strip()) == (0, f"Nothing was bought from a provider on {day}.")
    services.enquiries = Enquiries(lambda client: {"fal": stage.edge.fal(client, admin_key="")})
    said = CliRunner().invoke(app, ["reconcile", "--day", str(stage.bought_on)])
    assert (said.exit_code, "admin-scoped key in FAL_ADMIN_KEY" in said.output) == (0, True)
    assert "stay at list prices" in said.output
    ahead = CliRunner().invoke(app, ["reconcile", "--day", str(days.today() + timedelta(days=1))])
    assert isinstance(ahead.exception, ConfigurationError)
