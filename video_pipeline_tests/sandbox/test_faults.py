"""Every fault does what it says, as often as it was ordered, to what it matches."""

import time
from decimal import Decimal

import httpx
import pytest

from video_pipeline_tests.sandbox.conftest import Client
from video_pipeline_tests.sandbox.test_footage import changes, decode

VIDEO = "sandbox/sprint/text-to-video"
CUT = (httpx.RemoteProtocolError, httpx.ReadError)


@pytest.mark.parametrize(("fault", "code"), [("submit_429", 429), ("submit_503", 503), ("submit_500", 500)])
def test_a_submit_is_refused_and_not_booked(sandbox: Client, fault: str, code: int) -> None:
    before = len(sandbox.books()["requests"])
    sandbox.fault(fault, value=7)
    refused = sandbox.submit(VIDEO, prompt="gore")
    assert refused.status_code == code
    assert refused.headers.get("Retry-After") == ("7" if code == 429 else None)
    assert len(sandbox.books()["requests"]) == before
    assert sandbox.submit(VIDEO, prompt="gore").status_code == 200


@pytest.mark.parametrize(("fault", "booked"), [("drop_before_accept", 0), ("drop_after_accept", 1)])
def test_a_dropped_submit_is_booked_or_not(sandbox: Client, fault: str, booked: int) -> None:
    before = len(sandbox.books()["requests"])
    sandbox.fault(fault)
    with pytest.raises(CUT):
        sandbox.submit(VIDEO, prompt="still water", duration=1)
    requests = sandbox.books()["requests"]
    assert len(requests) == before + booked
    if booked:
        assert Decimal(requests[-1]["usd"]) == Decimal("0.022")


def test_a_delayed_submit_is_accepted_though_the_client_left(sandbox: Client) -> None:
    before = len(sandbox.books()["requests"])
    sandbox.fault("submit_delay", value=0.4)
    with pytest.raises(httpx.ReadTimeout):
        sandbox.fal.post(
            f"{sandbox.base_url}/fal-queue/{VIDEO}", json={"prompt": "gore"}, timeout=httpx.Timeout(10, read=0.1)
        )
    deadline = time.monotonic() + 10
    while len(sandbox.books()["requests"]) == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_ordered_refusal_of_the_input_costs_nothing_and_of_the_output_the_price(sandbox: Client) -> None:
    for fault, place, usd, outcome in (
        ("refuse_input", ["body", "prompt"], Decimal(0), "refused_input"),
        ("refuse_output", ["output"], Decimal("0.022"), "refused_output"),
    ):
        sandbox.fault(fault)
        submitted = sandbox.submit(VIDEO, prompt="hills", duration=1).json()
        result = sandbox.finish(submitted)
        [detail] = result.json()["detail"]
        assert (result.status_code, detail["loc"]) == (422, place)
        assert detail["type"] == "content_policy_violation"
        entry = sandbox.booked(submitted["request_id"])
        assert (Decimal(entry["usd"]), entry["outcome"], entry["faults"]) == (usd, outcome, [fault])


def test_a_failed_job_costs_nothing(sandbox: Client) -> None:
    sandbox.fault("job_failed")
    submitted = sandbox.submit(VIDEO, prompt="hills").json()
    result = sandbox.finish(submitted)
    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "generation_failed")
    entry = sandbox.booked(submitted["request_id"])
    assert (entry["usd"], entry["outcome"]) == ("0", "failed")


def test_reads_fail_as_often_as_ordered_and_then_work(sandbox: Client) -> None:
    submitted = sandbox.submit(VIDEO, prompt="gore").json()
    sandbox.finish(submitted)
    sandbox.fault("status_500", times=2)
    sandbox.fault("unknown_status")
    sandbox.fault("result_503")
    answers = [sandbox.fal.get(submitted["status_url"]) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 500, 200, 200]
    assert answers[2].json()["status"] not in ("IN_QUEUE", "IN_PROGRESS", "COMPLETED")
    assert answers[3].json()["status"] == "COMPLETED"
    failed = sandbox.fal.get(submitted["response_url"])
    assert (failed.status_code, failed.json()["error_type"]) == (503, "runner_disconnected")
    assert failed.headers["X-Fal-Error-Type"] == "runner_disconnected"
    assert sandbox.fal.get(submitted["response_url"]).status_code == 422


def test_a_stuck_job_stays_in_progress(sandbox: Client) -> None:
    sandbox.fault("stuck")
    submitted = sandbox.submit(VIDEO, prompt="gore").json()
    deadline = time.monotonic() + 10
    while sandbox.fal.get(submitted["status_url"]).json()["status"] == "IN_QUEUE":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)  # refusals take 0.1 s
    assert sandbox.fal.get(submitted["status_url"]).json()["status"] == "IN_PROGRESS"
    assert sandbox.booked(submitted["request_id"])["outcome"] == "queued"


def test_a_lagging_listing_shows_the_request_later(sandbox: Client) -> None:
    endpoint = "fal-ai/lag/text-to-video"
    sandbox.fault("listing_lag", value=1)
    request_id = sandbox.submit(endpoint, prompt="gore").json()["request_id"]

    def listed() -> list[str]:
        url = f"{sandbox.base_url}/fal-api/v1/models/requests/by-endpoint"
        items = sandbox.fal.get(url, params={"endpoint_id": endpoint}).json()["items"]
        return [item["request_id"] for item in items]

    assert listed() == []
    deadline = time.monotonic() + 10
    while listed() != [request_id]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_download_is_cut_slow_or_expired_and_only_expiry_stays(sandbox: Client) -> None:
    url = sandbox.make(VIDEO, prompt="hills at dawn", duration=1).json()["video"]["url"]
    whole = sandbox.fal.get(url).content
    sandbox.fault("truncated_file", match="hills at dawn")
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.fal.get(url)
    sandbox.fault("slow_body", value=0.3)
    started = time.monotonic()
    assert sandbox.fal.get(url).content == whole
    assert time.monotonic() - started > 0.25
    sandbox.fault("expired_url")
    assert [sandbox.fal.get(url).status_code for _ in range(2)] == [404, 404]


def test_a_fault_of_the_file_spoils_the_file_that_is_served(sandbox: Client) -> None:
    sandbox.fault("frozen")
    sandbox.fault("wrong_length", value=0.5)
    frames = decode(sandbox.video(duration=2)).frames
    assert len(frames) == 12
    assert changes(frames).max() < 0.3


def test_a_fault_hits_only_what_it_matches(sandbox: Client) -> None:
    sandbox.fault("submit_503", match="Second brief")
    assert sandbox.submit(VIDEO, prompt="gore, first brief").status_code == 200
    assert sandbox.submit(VIDEO, prompt="gore, second brief").status_code == 503
    assert sandbox.submit(VIDEO, prompt="gore, second brief").status_code == 200
    sandbox.fault("submit_503", match="sandbox/dash")
    assert sandbox.submit(VIDEO, prompt="gore").status_code == 200
    assert sandbox.submit("sandbox/dash/text-to-video", prompt="gore").status_code == 503


def test_faults_are_listed_counted_down_and_cleared(sandbox: Client) -> None:
    url = f"{sandbox.base_url}/_sandbox/faults"
    sandbox.fault("submit_500", times=3, match="gore")
    sandbox.submit(VIDEO, prompt="gore")
    assert sandbox.fal.get(url).json() == {
        "faults": [{"fault": "submit_500", "match": "gore", "times": 2, "value": None}]
    }
    assert sandbox.fal.delete(url).json() == {"faults": []}
    assert sandbox.submit(VIDEO, prompt="gore").status_code == 200


@pytest.mark.parametrize(
    "body", [{}, [], {"fault": "rain"}, {"fault": "stuck", "times": 0}, {"fault": "stuck", "when": "now"}]
)
def test_an_order_that_makes_no_sense_is_refused_with_a_sentence(sandbox: Client, body: object) -> None:
    answer = sandbox.fal.post(f"{sandbox.base_url}/_sandbox/faults", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith(".")
