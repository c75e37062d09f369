"""The fal wire: shapes as in fal's SDK and documentation, prices, and what the books say."""

import base64
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from video_pipeline.sandbox.wires.fal import app_of
from video_pipeline_tests.sandbox.conftest import Client

VIDEO = "sandbox/sprint/text-to-video"


def test_a_submit_gives_the_three_urls_by_two_segments_of_the_endpoint(sandbox: Client) -> None:
    answer = sandbox.submit("fal-ai/kling-video/v3/pro/text-to-video", prompt="politician")
    body = answer.json()
    root = f"{sandbox.base_url}/fal-queue/fal-ai/kling-video/requests/{body['request_id']}"
    assert answer.status_code == 200
    assert body == {
        "status": "IN_QUEUE",
        "request_id": body["request_id"],
        "response_url": root,
        "status_url": f"{root}/status",
        "cancel_url": f"{root}/cancel",
        "queue_position": 0,
    }
    assert app_of("workflows/owner/name/part") == "workflows/owner/name"


def test_a_request_passes_queue_progress_and_completion(sandbox: Client) -> None:
    submitted = sandbox.submit(VIDEO, prompt="city lights", duration="2s", aspect_ratio="9:16", seed=5).json()
    early = sandbox.fal.get(submitted["response_url"])
    assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})
    seen = []
    while not seen or seen[-1]["status"] != "COMPLETED":
        seen.append(sandbox.fal.get(submitted["status_url"]).json())
        time.sleep(0.01)
    assert [status for status in ("IN_QUEUE", "IN_PROGRESS", "COMPLETED") if any(s["status"] == status for s in seen)]
    assert {"IN_QUEUE": "queue_position", "IN_PROGRESS": "logs", "COMPLETED": "metrics"}[seen[0]["status"]] in seen[0]
    assert seen[-1]["metrics"]["inference_time"] >= 0
    result = sandbox.fal.get(submitted["response_url"]).json()
    assert result["seed"] == 5
    video = result["video"]
    assert video["content_type"] == "video/mp4"
    downloaded = httpx.get(video["url"])  # without a key, as on fal
    assert downloaded.status_code == 200
    assert len(downloaded.content) == video["file_size"] == int(downloaded.headers["content-length"])


@pytest.mark.parametrize(
    ("endpoint", "body", "usd", "seconds"),
    [
        ("sandbox/sprint/text-to-video", {"duration": 5}, "0.110", "5"),
        ("sandbox/sprint/text-to-video", {"duration": 5, "generate_audio": True}, "0.110", "5"),
        ("sandbox/dash/text-to-video", {"duration": 2.5}, "0.065", "2.5"),
        ("sandbox/steady/text-to-video", {"duration": "4s", "generate_audio": True}, "0.40", "4"),
        ("sandbox/motion/text-to-video", {"duration": "4"}, "0.300", "4"),
        ("sandbox/grand/text-to-video", {"generate_audio": True}, "1.00", "5"),
        ("sandbox/vista/text-to-video", {"duration": 1}, "0.18", "1"),
        ("sandbox/still", {}, "0.003", "0"),
        ("sandbox/still", {"num_images": 3}, "0.009", "0"),
        ("fal-ai/flux/dev", {}, "0.025", "0"),
        ("fal-ai/wan/v2.7/text-to-video", {"duration": "10"}, "0.50", "10"),
    ],
)
def test_the_price_is_booked_on_accept(sandbox: Client, endpoint: str, body: dict, usd: str, seconds: str) -> None:
    sandbox.fault("stuck")  # nothing need be rendered to see what is booked
    request_id = sandbox.submit(endpoint, prompt="hills", **body).json()["request_id"]
    entry = sandbox.booked(request_id)
    assert Decimal(entry["usd"]) == Decimal(usd)
    assert Decimal(entry["seconds"]) == Decimal(seconds)
    assert (entry["outcome"], entry["endpoint"], entry["input"]["prompt"]) == ("queued", endpoint, "hills")
    assert (entry["wire"], entry["prompt"]) == ("fal", "hills")


def test_an_image_request_gives_images(sandbox: Client) -> None:
    result = sandbox.make("sandbox/still", prompt="a watch", image_size={"width": 96, "height": 160}, num_images=2)
    body = result.json()
    assert [(image["width"], image["height"], image["content_type"]) for image in body["images"]] == [
        (96, 160, "image/png")
    ] * 2
    assert body["has_nsfw_concepts"] == [False, False]
    assert body["prompt"] == "a watch"
    assert all(sandbox.fal.get(image["url"]).content.startswith(b"\x89PNG") for image in body["images"])


def test_a_refused_prompt_ends_as_a_policy_violation_and_costs_nothing(sandbox: Client) -> None:
    prompt = "Close-up of CEO speaking with confidence"
    submitted = sandbox.submit(VIDEO, prompt=prompt).json()
    result = sandbox.finish(submitted)
    [detail] = result.json()["detail"]
    assert result.status_code == 422
    assert result.headers["X-Fal-Retryable"] == "false"
    assert (detail["loc"], detail["type"], detail["input"]) == (
        ["body", "prompt"],
        "content_policy_violation",
        prompt,
    )
    entry = sandbox.booked(submitted["request_id"])
    assert (entry["usd"], entry["outcome"]) == ("0", "refused_input")


@pytest.mark.parametrize(
    ("endpoint", "body", "place", "kind"),
    [
        (VIDEO, {"duration": 3}, "prompt", "missing"),
        (VIDEO, {"prompt": "hills", "duration": 16}, "duration", "less_than_equal"),
        (VIDEO, {"prompt": "hills", "duration": "long"}, "duration", "float_parsing"),
        (VIDEO, {"prompt": "hills", "resolution": "720p"}, "resolution", "literal_error"),
        (VIDEO, {"prompt": "hills", "aspect_ratio": "wide"}, "aspect_ratio", "literal_error"),
        ("sandbox/sprint/image-to-video", {"prompt": "hills"}, "image_url", "missing"),
        (
            "sandbox/sprint/image-to-video",
            {"prompt": "hills", "image_url": "http://127.0.0.1:1/x.png"},
            "image_url",
            "file_download_error",
        ),
        (
            "sandbox/sprint/image-to-video",
            {"prompt": "hills", "image_url": "data:image/png;base64,AAAA"},
            "image_url",
            "image_load_error",
        ),
        ("sandbox/still", {"prompt": "hills", "image_size": "huge"}, "image_size", "literal_error"),
    ],
)
def test_an_invalid_body_is_accepted_and_fails_at_the_result_for_nothing(
    sandbox: Client, endpoint: str, body: dict, place: str, kind: str
) -> None:
    submitted = sandbox.submit(endpoint, **body)
    assert submitted.status_code == 200
    result = sandbox.finish(submitted.json())
    [detail] = result.json()["detail"]
    assert (result.status_code, detail["loc"], detail["type"]) == (422, ["body", place], kind)
    entry = sandbox.booked(submitted.json()["request_id"])
    assert (Decimal(entry["usd"]), entry["outcome"]) == (0, "failed")


def test_an_image_of_its_own_or_in_the_url_may_be_animated(sandbox: Client) -> None:
    image = sandbox.make("sandbox/still", prompt="a hill", image_size={"width": 90, "height": 160}).json()
    url = image["images"][0]["url"]
    data = "data:image/png;base64," + base64.b64encode(sandbox.fal.get(url).content).decode()
    for image_url in (url, data):
        result = sandbox.make("sandbox/sprint/image-to-video", prompt="a hill", image_url=image_url, duration=1)
        assert result.status_code == 200


def test_without_a_key_nothing_is_answered(sandbox: Client) -> None:
    before = len(sandbox.books()["requests"])
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Key"}):
        answer = httpx.post(f"{sandbox.base_url}/fal-queue/{VIDEO}", json={"prompt": "hills"}, headers=headers)
        assert answer.status_code == 401
        assert "detail" in answer.json()
    assert httpx.get(f"{sandbox.base_url}/fal-api/v1/models/billing-events").status_code == 401
    assert len(sandbox.books()["requests"]) == before


def test_what_does_not_exist_is_not_found(sandbox: Client) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    assert sandbox.submit("sandbox/unknown/text-to-video", prompt="hills").status_code == 404
    assert sandbox.fal.get(f"{sandbox.base_url}/fal-queue/sandbox/sprint/requests/{nobody}/status").status_code == 404
    assert sandbox.fal.get(f"{sandbox.base_url}/media/{nobody}_0.mp4").status_code == 404
    assert sandbox.fal.get(f"{sandbox.base_url}/media/..%2Fbooks.sqlite3").status_code == 404


def test_a_body_that_is_no_object_is_refused_at_once(sandbox: Client) -> None:
    answer = sandbox.fal.post(f"{sandbox.base_url}/fal-queue/{VIDEO}", content=b"[1]")
    assert answer.status_code == 422


def test_a_waiting_request_is_canceled_for_nothing(start: Callable[..., tuple[Client, Path]]) -> None:
    client, _ = start(("render_delay_s: 0.06", "render_delay_s: 1"))
    submitted = client.submit(VIDEO, prompt="hills").json()
    assert client.fal.put(submitted["cancel_url"]).status_code == 202
    assert client.finish(submitted).status_code == 499
    assert client.fal.put(submitted["cancel_url"]).status_code == 400
    time.sleep(0.7)  # past the moment at which the work would have begun: it must not
    entry = client.booked(submitted["request_id"])
    assert (entry["outcome"], entry["usd"]) == ("canceled", "0")
    assert client.fal.get(submitted["status_url"]).json()["status"] == "COMPLETED"


def test_a_request_that_is_being_rendered_stays_billed_when_canceled(sandbox: Client) -> None:
    sandbox.fault("stuck")
    submitted = sandbox.submit(VIDEO, prompt="hills", duration=1).json()
    while sandbox.fal.get(submitted["status_url"]).json()["status"] != "IN_PROGRESS":
        time.sleep(0.01)
    assert sandbox.fal.put(submitted["cancel_url"]).status_code == 202
    entry = sandbox.booked(submitted["request_id"])
    assert (entry["outcome"], Decimal(entry["usd"])) == ("canceled", Decimal("0.022"))


def test_the_listing_finds_a_request_by_endpoint_and_time(sandbox: Client) -> None:
    endpoint = "fal-ai/listed/text-to-video"
    ids = [sandbox.submit(endpoint, prompt=f"blood {number}").json()["request_id"] for number in range(3)]
    url = f"{sandbox.base_url}/fal-api/v1/models/requests/by-endpoint"
    sent = [entry["accepted_at"] for entry in sandbox.books()["requests"] if entry["request_id"] in ids]
    first = sandbox.fal.get(url, params={"endpoint_id": endpoint, "limit": 2}).json()
    assert ([item["request_id"] for item in first["items"]], first["has_more"]) == (ids[:0:-1], True)
    assert set(first["items"][0]) == {"request_id", "endpoint_id", "sent_at", "started_at", "ended_at", "status_code"}
    rest = sandbox.fal.get(url, params={"endpoint_id": endpoint, "limit": 2, "cursor": first["next_cursor"]}).json()
    assert ([item["request_id"] for item in rest["items"]], rest["next_cursor"]) == (ids[:1], None)
    span = {"endpoint_id": endpoint, "start": sent[1], "end": sent[2], "expand": "payloads"}
    [middle] = sandbox.fal.get(url, params=span).json()["items"]
    assert middle["request_id"] == ids[1]
    assert middle["json_input"] == {"prompt": "blood 1"}
    assert "json_output" in middle
    assert sandbox.fal.get(url).status_code == 422


def _usd(lines: list[dict]) -> Decimal:
    assert all(Decimal(str(line["cost_total"])) * 10**9 == line["cost_estimate_nano_usd"] for line in lines)
    return sum((Decimal(line["cost_estimate_nano_usd"]) / 10**9 for line in lines), Decimal(0))


@pytest.mark.parametrize(
    ("fault", "value", "usd", "lines"),
    [
        ("", None, "0.003", 1),
        ("billed_otherwise", 2.0, "0.006", 1),
        ("billed_in_parts", 4, "0.003", 4),
        ("billed_back", None, "0", 2),
    ],
)
def test_the_billing_agrees_with_the_books(sandbox: Client, fault: str, value: float, usd: str, lines: int) -> None:
    if fault:
        sandbox.fault(fault, match=f"a hill, {fault}", value=value)
    size = {"width": 64, "height": 64}
    paid = sandbox.submit("sandbox/still", prompt=f"a hill, {fault}", image_size=size).json()["request_id"]
    found = sandbox.billed(paid, lines)
    assert {line["endpoint_id"] for line in found} == {"sandbox/still"}
    assert (_usd(found), len(found)) == (Decimal(usd), lines)
    assert Decimal(sandbox.booked(paid)["usd"]) == Decimal(usd)


def test_the_billing_comes_late_and_has_no_line_for_what_is_free(sandbox: Client) -> None:
    sandbox.fault("billed_refusal", match="gore, billed")
    sandbox.fault("billed_late", match="gore, late")
    sandbox.fault("billed_refusal", match="gore, late")
    free, late, refused = (
        sandbox.submit("sandbox/still", prompt=f"gore{words}").json() for words in ("", ", late", ", billed")
    )
    for submitted in (free, late, refused):
        sandbox.finish(submitted)
    assert _usd(sandbox.billed(refused["request_id"], 1)) == Decimal(sandbox.booked(refused["request_id"])["usd"]) > 0
    told = sandbox.billing(request_id=[free["request_id"], late["request_id"], refused["request_id"]]).json()
    assert [line["request_id"] for line in told["billing_events"]] == [refused["request_id"]]


def test_the_billing_is_read_page_by_page_newest_first_and_by_administrators_alone(sandbox: Client) -> None:
    size = {"width": 64, "height": 64}
    ids = [sandbox.submit("sandbox/still", prompt="a hill", image_size=size).json()["request_id"] for _ in range(3)]
    for request_id in ids:
        sandbox.billed(request_id, 1)
    query: dict = {"request_id": ",".join(ids), "limit": 2, "expand": "auth_method"}
    first = sandbox.billing(**query).json()
    rest = sandbox.billing(**query, cursor=first["next_cursor"]).json()
    lines = first["billing_events"] + rest["billing_events"]
    assert [line["request_id"] for line in lines] == ids[::-1]
    assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
    assert len({line["auth_method"] for line in lines}) == 1 and "test" not in lines[0]["auth_method"]
    ended = lines[1]["timestamp"]
    since = sandbox.billing(**query | {"start": ended, "limit": 9}).json()["billing_events"]
    before = sandbox.billing(**query | {"end": ended, "limit": 9}).json()["billing_events"]
    assert ([len(since), len(before)], since + before) == ([2, 1], lines)
    denied = sandbox.billing(key="test")
    assert (denied.status_code, denied.json()["error"]["type"]) == (403, "authorization_error")
    assert sandbox.billing(start="2026-01-01T00:00:00Z", end="2026-09-01T00:00:00Z").status_code == 422


def test_the_books_of_another_day_are_empty(sandbox: Client) -> None:
    sandbox.submit(VIDEO, prompt="gore")
    today = sandbox.books()["requests"][-1]["accepted_at"][:10]
    assert sandbox.books(day=today)["requests"]
    assert sandbox.books(day="2001-01-01") == {"requests": [], "videos": []}
    assert sandbox.fal.get(f"{sandbox.base_url}/_sandbox/books", params={"day": "today"}).status_code == 422


def test_the_front_page_shows_the_books_and_escapes_prompts(sandbox: Client) -> None:
    sandbox.submit(VIDEO, prompt="gore <script>alert(1)</script>")
    page = sandbox.fal.get(sandbox.base_url).text
    assert "gore &lt;script&gt;" in page
    assert "<script>" not in page


def test_a_configured_refusal_rate_refuses(start: Callable[..., tuple[Client, Path]]) -> None:
    old = 'sandbox/still: {usd_per_image: "0.003", appeal: 0.5, refusal_rate: 0}'
    client, _ = start((old, old.replace("refusal_rate: 0", "refusal_rate: 1")))
    result = client.make("sandbox/still", prompt="a hill")
    assert result.json()["detail"][0]["type"] == "content_policy_violation"
