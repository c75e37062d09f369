"""The fal wire's webhooks: called once a request has ended, signed, tried again; and their faults."""

import base64
import hashlib
import queue
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from video_pipeline.sandbox.deliveries import Deliveries
from video_pipeline.sandbox.faults import Faults
from video_pipeline_tests.sandbox.conftest import Client

VIDEO = "sandbox/sprint/text-to-video"
BODY = {"prompt": "waves", "duration": 1}


@dataclass(frozen=True)
class Call:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Keeps each call, and answers it with the next of `statuses`, or with 200."""

    url: str
    calls: "queue.Queue[Call]" = field(default_factory=queue.Queue)
    statuses: list[int] = field(default_factory=list)

    def next(self) -> Call:
        return self.calls.get(timeout=10)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(record.statuses.pop(0) if record.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            record.calls.put(Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body))

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    record = Receiver(f"http://127.0.0.1:{server.server_port}/webhooks/fal/the-job")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield record
    server.shutdown()
    server.server_close()
    thread.join()


def submit(sandbox: Client, receiver: Receiver, **body: Any) -> str:
    url = f"{sandbox.base_url}/fal-queue/{VIDEO}"
    return sandbox.fal.post(url, params={"fal_webhook": receiver.url}, json=BODY | body).json()["request_id"]


def document(call: Call) -> dict[str, Any]:
    return httpx.Response(200, content=call.body).json()


def is_signed(sandbox: Client, call: Call) -> bool:
    [key] = sandbox.fal.get(f"{sandbox.base_url}/fal-rest/.well-known/jwks.json").json()["keys"]
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    parts = [call.headers[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp")]
    message = "\n".join((*parts, hashlib.sha256(call.body).hexdigest()))
    try:
        public.verify(bytes.fromhex(call.headers["x-fal-webhook-signature"]), message.encode())
    except InvalidSignature:
        return False
    return True


def test_a_webhook_is_called_with_the_result_and_signed(sandbox: Client, receiver: Receiver) -> None:
    request_id = submit(sandbox, receiver)
    call = receiver.next()
    assert (call.path, is_signed(sandbox, call)) == ("/webhooks/fal/the-job", True)
    told = document(call)
    assert (told["request_id"], told["status"]) == (request_id, "OK")
    url = f"{sandbox.base_url}/fal-queue/sandbox/sprint/requests/{request_id}"
    assert told["payload"] == sandbox.fal.get(url).json()


def test_a_failed_request_is_told_with_its_details(sandbox: Client, receiver: Receiver) -> None:
    submit(sandbox, receiver, prompt="a politician")
    told = document(receiver.next())
    assert (told["status"], told["error"]) == ("ERROR", "Invalid status code: 422")
    assert told["payload"]["detail"][0]["type"] == "content_policy_violation"


def test_a_call_that_is_not_answered_well_is_made_again(sandbox: Client, receiver: Receiver) -> None:
    receiver.statuses = [500, 401]
    submit(sandbox, receiver)
    first, second, third = (receiver.next() for _ in range(3))
    assert first.body == second.body == third.body


def test_a_request_whose_answer_was_lost_is_told_of_all_the_same(sandbox: Client, receiver: Receiver) -> None:
    sandbox.fault("drop_after_accept")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        submit(sandbox, receiver)
    assert document(receiver.next())["request_id"] == sandbox.books()["requests"][-1]["request_id"]


def test_faults_of_webhooks(sandbox: Client, receiver: Receiver) -> None:
    # Each fault has a request of its own: they end in any order.
    for fault, prompt in (("forged", "a river"), ("twice", "a forest"), ("lost", "a desert"), ("late", "rain")):
        sandbox.fault(f"webhook_{fault}", match=prompt, value=0.2)
    submit(sandbox, receiver, prompt="a river")
    assert not is_signed(sandbox, receiver.next())
    submit(sandbox, receiver, prompt="a forest")
    assert receiver.next() == receiver.next()
    lost, late = (submit(sandbox, receiver, prompt=prompt) for prompt in ("a desert", "rain"))
    assert document(receiver.next())["request_id"] == late != lost
    assert receiver.calls.empty()


def test_only_this_machine_is_called(caplog: pytest.LogCaptureFixture) -> None:
    away = ["http://192.0.2.1/", "https://pipeline.example/webhooks", "http://127.0.0.1.example/", "nowhere", ""]
    deliveries = Deliveries(Faults(sqlite3.connect(":memory:")))
    for url in away:
        deliveries.send(url, b"", lambda body: {}, ())
    assert [record.args for record in caplog.records] == [(url,) for url in away]
