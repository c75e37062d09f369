"""fal's signatures: what is signed and fresh is read, and nothing else is."""

import time
from typing import Any

import pytest

from video_pipeline.generation import PROVIDERS
from video_pipeline.generation.providers import Forged, WebhookCall
from video_pipeline.wire import Unreadable
from video_pipeline_tests.contract.signing import Signer, call_body

FAL = PROVIDERS["fal"].webhook
assert FAL is not None
verify = FAL.verify
BODY = call_body("0b1c-2d3e")


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


def test_a_signature_that_openssl_has_made_is_fals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is the first of RFC 8032's test vectors."""
    request_id = "0b1c2d3e-aaaa-bbbb-cccc-0123456789ab"
    body = (
        b'{"request_id": "0b1c2d3e-aaaa-bbbb-cccc-0123456789ab", '
        b'"gateway_request_id": "0b1c2d3e-aaaa-bbbb-cccc-0123456789ab", "status": "OK", "payload": {}}'
    )
    headers = {
        "x-fal-webhook-request-id": request_id,
        "x-fal-webhook-user-id": "github|1234",
        "x-fal-webhook-timestamp": "1795000000",
        "x-fal-webhook-signature": "f99a86b48567dd151ca514dc33758a50d0023e927b5dd3c32c6240ba520626984d6eff5d705399eb"
        "84a506fbcb8b018f09857eca0fb25895e4a17448b6db730d",
    }
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    monkeypatch.setattr(time, "time", lambda: 1795000100.0)
    assert verify(headers, body, [key]) == WebhookCall(request_id, "github|1234")


def test_any_of_the_vendors_keys_may_have_signed(signer: Signer) -> None:
    keys = [Signer().public, b"no key", signer.public]
    assert verify(signer.headers(BODY), BODY, keys) == WebhookCall("0b1c-2d3e", "us")


@pytest.mark.parametrize("age_s", [-290, 290])
def test_clocks_may_differ_by_some_minutes(signer: Signer, age_s: float) -> None:
    assert verify(signer.headers(BODY, age_s=age_s), BODY, [signer.public]).provider_job_id == "0b1c-2d3e"


@pytest.mark.parametrize("age_s", [-310, 310, 10**9])
def test_a_call_of_another_time_is_refused(signer: Signer, age_s: float) -> None:
    with pytest.raises(Forged, match="five minutes"):
        verify(signer.headers(BODY, age_s=age_s), BODY, [signer.public])


@pytest.mark.parametrize(
    "changed",
    [
        {"request_id": "another"},
        {"user_id": "another"},
        {"user_id": "us\n1"},
        pytest.param({"timestamp": str(int(time.time()) + 1)}, id="a second later"),
        {"timestamp": ""},
        {"timestamp": "now"},
        {"signature": ""},
        {"signature": "00" * 64},
        {"signature": "é" * 128},
        {"signature": "no hexadecimal"},
        {"user_id": "\ud800"},
    ],
    ids=str,
)
def test_a_call_with_other_headers_than_were_signed_is_refused(signer: Signer, changed: dict[str, Any]) -> None:
    with pytest.raises(Forged, match="not fal's"):
        verify(signer.headers(BODY, **changed), BODY, [signer.public])


def test_a_call_with_another_body_than_was_signed_is_refused(signer: Signer) -> None:
    with pytest.raises(Forged, match="not fal's"):
        verify(signer.headers(BODY), call_body("another"), [signer.public])
    with pytest.raises(Forged, match="not fal's"):
        verify({}, BODY, [signer.public])
    with pytest.raises(Forged, match="not fal's"):
        verify(signer.headers(BODY), BODY, [])


@pytest.mark.parametrize("sent_at", ["٣", "-5", "1" * 5000, "1795000000.5", "0x10"], ids=repr)
def test_a_signed_time_that_is_none_is_refused(signer: Signer, sent_at: str) -> None:
    with pytest.raises(Forged, match="five minutes"):
        verify(signer.headers(BODY, sent_at=sent_at), BODY, [signer.public])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"status": "OK"}',
        call_body(None),
        call_body(7),
        call_body(""),
        call_body("a" * 101),
        call_body("../../requests/1"),
        call_body("0b1c\n"),
        call_body("0b1c\x00"),
        call_body("\ud800"),
        call_body("٣"),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_signed_body_that_says_nothing_is_unreadable(signer: Signer, body: bytes) -> None:
    with pytest.raises(Unreadable):
        verify(signer.headers(body), body, [signer.public])


def test_whatever_else_stands_in_a_body_is_not_looked_at(signer: Signer) -> None:
    body = call_body("0b1c-2d3e", status=["?"], payload={"video": {"url": "file:///etc/passwd"}}, extra=1)
    assert verify(signer.headers(body), body, [signer.public]).provider_job_id == "0b1c-2d3e"


def test_every_vendor_with_webhooks_keeps_its_keys_on_hosts_of_its_own() -> None:
    for vendor in PROVIDERS.values():
        if vendor.webhook is not None:
            assert vendor.webhook.keys_url(vendor.section(_env_file=None)).startswith("https://")
            sandbox = "http://127.0.0.1:1"
            assert vendor.webhook.sandbox_keys_url(sandbox).startswith(f"{sandbox}/")
