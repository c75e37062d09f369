"""The receiver over real HTTP: what is signed is noted once, and what is not changes nothing and learns nothing."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, select

from video_pipeline.alerts import Notifier
from video_pipeline.errors import ConfigurationError, VendorError
from video_pipeline.generation import PROVIDERS
from video_pipeline.ledger import Job, Ledger, Receipt
from video_pipeline.ledger.schema import webhook_calls
from video_pipeline.receiver import Caller, KeySet, Receiver, serve
from video_pipeline.receiver.receiver import MAX_BYTES
from video_pipeline_tests.contract.answering import Answering, answering
from video_pipeline_tests.contract.edge import plain_client
from video_pipeline_tests.contract.signing import Signer, call_body
from video_pipeline_tests.ledger.rows import a_job, reserved
from video_pipeline_tests.receiver.serving import served

FAL = PROVIDERS["fal"].webhook
assert FAL is not None
NO_SUCH = (404, {"detail": "There is no such webhook."})


def caller(base_url: str, *, pause_s: float = 60.0) -> Caller:
    url = f"{base_url}/jwks.json"
    assert FAL is not None
    return Caller(KeySet("fal", url, pause_s=pause_s), FAL.verify)


@dataclass
class Door:
    """A running receiver, and fal's side of it."""

    ledger: Ledger
    signer: Signer
    keys: Answering
    base_url: str
    client: httpx.Client = field(default_factory=plain_client)

    def call(self, job_key: str, body: bytes, *, provider: str = "fal", **signing: Any) -> tuple[int, Any]:
        headers = httpx.Headers(self.signer.headers(body, **signing), encoding="utf-8")
        answer = self.client.post(f"{self.base_url}/webhooks/{provider}/{job_key}", content=body, headers=headers)
        return answer.status_code, answer.json()

    def noted(self) -> list[tuple[str, str, int]]:
        """(job key, request, count) of every call that was kept."""
        columns = (webhook_calls.c.job_key, webhook_calls.c.provider_job_id, webhook_calls.c.count)
        with self.ledger.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(webhook_calls.c.id))]

    def alerts(self) -> list[str]:
        return [alert["title"] for alert in self.ledger.alerts.latest()]


@pytest.fixture(scope="module")
def module_door(ledger_of_module: Ledger) -> Iterator[Door]:
    signer, notifier = Signer(), Notifier([], ledger_of_module.alerts)
    with ExitStack() as stack:
        keys = stack.enter_context(answering(200, signer.key_set))
        receiver = Receiver(ledger=ledger_of_module, notifier=notifier, callers={"fal": caller(keys.base_url)})
        door = Door(ledger_of_module, signer, keys, stack.enter_context(served(receiver)))
        stack.enter_context(door.client)
        yield door


@pytest.fixture
def door(module_door: Door) -> Door:
    """Nothing is noted, and nothing was alerted."""
    with module_door.ledger.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE webhook_calls, alerts")
    return module_door


@pytest.fixture
def job(door: Door, request: pytest.FixtureRequest) -> Job:
    """A job whose submit is under way."""
    return door.ledger.jobs.submitting(reserved(door.ledger, a_job(request.node.name)))


def test_a_signed_call_is_noted_once_and_changes_no_job(door: Door, job: Job):
    for count in (1, 2, 3):
        assert door.call(job.key, call_body("r1")) == (200, {"detail": "Noted."})
        assert door.noted() == [(job.key, "r1", count)]
    assert (door.ledger.jobs.get(job.key), door.alerts()) == (job, [])
    assert door.ledger.jobs.events(job.key)[-1]["to_state"] == "submitting"


@pytest.mark.parametrize(
    "signing",
    [
        {"signature": "00" * 64},
        {"signature": ""},
        {"timestamp": "1"},
        {"user_id": "someone else"},
        {"request_id": "é"},
        {"age_s": 301},
        {"age_s": -301},
    ],
    ids=str,
)
def test_a_call_that_is_not_signed_now_by_the_vendor_is_refused(door: Door, job: Job, signing: dict[str, Any]):
    status, said = door.call(job.key, call_body("r1"), **signing)
    assert status == 401
    assert said["detail"].startswith("The call is not believed: the signature")
    assert (door.noted(), door.alerts()) == ([], [])


def test_a_changed_body_is_refused(door: Door, job: Job):
    headers = door.signer.headers(call_body("r1"))
    url = f"{door.base_url}/webhooks/fal/{job.key}"
    assert door.client.post(url, content=call_body("r2"), headers=headers).status_code == 401
    assert door.client.post(url, content=call_body("r1")).status_code == 401
    assert door.noted() == []


def test_whoever_has_no_signature_is_not_told_which_jobs_there_are(door: Door, job: Job):
    answers = [door.call(key, call_body("r1"), signature="00" * 64) for key in (job.key, "0" * 64)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("key", ["0" * 64, "0" * 63, "A" * 64, "%00" * 64, "..%2f..%2fetc", "é" * 64])
def test_an_unknown_job_is_not_found(door: Door, key: str):
    assert door.call(key, call_body("r1")) == NO_SUCH
    assert door.noted() == []


@pytest.mark.parametrize("provider", ["kiln", "FAL", "%00", "fal%20"])
def test_an_unknown_provider_is_not_found(door: Door, job: Job, provider: str):
    assert door.call(job.key, call_body("r1"), provider=provider) == NO_SUCH


def test_other_addresses_and_methods_are_told_in_plain_words(door: Door, job: Job):
    for path in ("/", "/webhooks", "/webhooks/fal", "/docs", f"/webhooks/fal/{job.key}/more"):
        answer = door.client.get(f"{door.base_url}{path}")
        assert (answer.status_code, answer.json()) == NO_SUCH
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = door.client.request(method, f"{door.base_url}/webhooks/fal/{job.key}")
        assert (answer.status_code, answer.json()) == (405, {"detail": "A webhook is called with POST."})
        assert "server" not in answer.headers


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"[" * 5000, b"{}", call_body("a/b"), call_body("\ud800")])
def test_a_signed_call_that_says_nothing_cannot_be_read(door: Door, job: Job, body: bytes):
    said = {"detail": "The call cannot be read: its body is not as it is documented."}
    assert door.call(job.key, body) == (400, said)
    assert door.noted() == []


def test_a_call_is_read_up_to_its_largest_size(door: Door, job: Job):
    room = MAX_BYTES - len(call_body("r1", payload=""))
    assert door.call(job.key, call_body("r1", payload="x" * room))[0] == 200
    assert door.call(job.key, call_body("r1", payload="x" * (room + 1)))[0] == 413
    pieces = (b"x" * 65536 for _ in range(10**6))
    url = f"{door.base_url}/webhooks/fal/{job.key}"
    try:
        status = door.client.post(url, content=pieces).status_code
    except httpx.TransportError:
        # It was hung up while still sending.
        status = 413
    assert (status, door.noted()) == (413, [(job.key, "r1", 1)])


def test_a_request_of_another_job_changes_nothing_and_is_alerted(door: Door, job: Job):
    owner = door.ledger.jobs.submitting(reserved(door.ledger, a_job("the owner")))
    door.ledger.jobs.submitted(owner, Receipt("0b1c-owned", {}))
    for _ in range(2):
        assert door.call(job.key, call_body("0b1c-owned"))[0] == 200
    assert (door.noted(), door.ledger.jobs.get(job.key)) == ([], job)
    assert door.alerts() == ["A webhook names another job's request"]


def test_a_second_request_for_one_job_is_alerted(door: Door, job: Job):
    for request_id in ("r1", "r1", "r2"):
        assert door.call(job.key, call_body(request_id))[0] == 200
    assert door.noted() == [(job.key, "r1", 2), (job.key, "r2", 1)]
    assert door.alerts() == ["A job may be bought twice"]
    assert door.ledger.jobs.get(job.key) == job


def test_keys_are_asked_for_once_however_many_forged_calls_come(door: Door, job: Job):
    assert door.call(job.key, call_body("r1"))[0] == 200
    asked = len(door.keys.asked)
    assert {door.call(job.key, call_body("r1"), signature="00")[0] for _ in range(20)} == {401}
    assert len(door.keys.asked) == asked == 1


def test_a_new_key_of_the_vendors_is_fetched_when_it_is_used(door: Door, job: Job):
    new = Signer()
    current = {"keys": json.loads(door.signer.key_set)["keys"]}
    with answering(200, json.dumps(current).encode()) as keys:
        receiver = Receiver(
            ledger=door.ledger,
            notifier=Notifier([], door.ledger.alerts),
            callers={"fal": caller(keys.base_url, pause_s=0.0)},
        )
        with served(receiver) as base_url, plain_client() as client:
            there = Door(door.ledger, door.signer, keys, base_url, client)
            assert there.call(job.key, call_body("r1"))[0] == 200
            keys.body = new.key_set
            there.signer = new
            assert there.call(job.key, call_body("r1"))[0] == 200
            # The vendor cannot be asked for a while: what was fetched serves.
            keys.body = b"<html>busy</html>"
            assert there.call(job.key, call_body("r1"))[0] == 200
            assert there.call(job.key, call_body("r1"), signature="00")[0] == 401
            assert there.call(job.key, call_body("r1"))[0] == 200
    assert door.noted() == [(job.key, "r1", 4)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (302, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": [{"kty": "RSA", "n": "x"}]}'),
        (200, b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]}'),
        (200, b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "\xc3\xa9"}]}'),
        (200, b'{"keys": "' + b"x" * 100_000 + b'"}'),
    ],
)
def test_keys_that_cannot_be_had_are_an_error_and_are_not_asked_for_at_once_again(status: int, body: bytes):
    async def fetch() -> None:
        keys = caller(server.base_url).keys
        for _ in range(2):
            with pytest.raises(VendorError, match="key"):
                await keys.keys()

    with answering(status, body, {"Location": "/elsewhere"} if status == 302 else None) as server:
        asyncio.run(fetch())
    assert len(server.asked) == 1


def test_without_keys_nothing_is_believed_and_the_vendor_is_to_call_again(door: Door, job: Job):
    callers = {"fal": caller("http://127.0.0.1:1")}
    receiver = Receiver(ledger=door.ledger, notifier=Notifier([], door.ledger.alerts), callers=callers)
    with served(receiver) as base_url, plain_client() as client:
        answer = Door(door.ledger, door.signer, door.keys, base_url, client).call(job.key, call_body("r1"))
    assert answer == (503, {"detail": "The call cannot be verified now; call again later."})
    assert door.noted() == []


def test_without_a_ledger_the_vendor_is_to_call_again(door: Door, job: Job):
    gone = Ledger(create_engine("postgresql+psycopg://nobody:a-password@127.0.0.1:1/none"))
    receiver = Receiver(ledger=gone, notifier=Notifier([], gone.alerts), callers={"fal": caller(door.keys.base_url)})
    with served(receiver) as base_url, plain_client() as client:
        answer = Door(door.ledger, door.signer, door.keys, base_url, client).call(job.key, call_body("r1"))
    assert answer == (503, {"detail": "The call cannot be noted now; call again later."})


def test_a_port_that_is_taken_is_said(door: Door):
    receiver = Receiver(ledger=door.ledger, notifier=Notifier([], door.ledger.alerts), callers={})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}: another program has the port"):
            serve(receiver, host="127.0.0.1", port=port)
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1"):
        serve(receiver, host="192.0.2.1", port=0)
