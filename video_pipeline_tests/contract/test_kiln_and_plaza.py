"""The wires of Kiln and Plaza, asked in plain HTTP: what their files say is what they do."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from video_pipeline_tests.contract.edge import Edge, wait_for

CUT = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
FILM = b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 100
Order = Callable[..., httpx.Response]


# --- Kiln ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def kiln(edge: Edge) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{edge.base_url}/kiln/v2", headers={"X-Kiln-Token": "t"}, trust_env=False) as client:
        yield client


@pytest.fixture
def order(kiln: httpx.Client, request: pytest.FixtureRequest) -> Order:
    """Orders a piece of one second, with a prompt and a key of the test's own."""

    def post(*, key: str = "", **body: Any) -> httpx.Response:
        words = request.node.name
        asked = {"model": "sandbox/sprint", "text": f"waves, {words}", "length_ms": 1000, "noise": 7} | body
        return kiln.post("/pieces", json=asked, headers={"Idempotency-Key": key or words})

    return post


def ended(kiln: httpx.Client, piece: int) -> dict[str, Any]:
    wait_for(lambda: kiln.get(f"/pieces/{piece}").json()["state"] in ("done", "broken"))
    return kiln.get(f"/pieces/{piece}").json()


def test_a_piece_is_rendered_and_its_files_come_with_its_state(edge: Edge, kiln: httpx.Client, order: Order) -> None:
    answer = order(format="portrait")
    assert answer.status_code == 201
    assert answer.json() == {"piece": answer.json()["piece"], "state": "waiting", "charged": "0.022"}
    assert isinstance(answer.json()["piece"], int)
    document = ended(kiln, answer.json()["piece"])
    [file] = document["files"]
    assert (document["state"], document["noise"], file["type"]) == ("done", 7, "video/mp4")
    assert len(httpx.get(file["address"], trust_env=False).content) == file["bytes"]
    booked = edge.requests()[-1]
    assert (booked["wire"], booked["request_id"]) == ("kiln", str(document["piece"]))
    assert (booked["endpoint"], booked["input"]["length_ms"], booked["seconds"]) == ("sandbox/sprint", 1000, "1")


def test_the_same_key_is_the_same_piece_and_is_charged_once(edge: Edge, kiln: httpx.Client, order: Order) -> None:
    before = len(edge.requests())
    edge.fault("drop_after_accept")
    with pytest.raises(CUT):
        order()
    again = order()
    assert again.status_code == 200
    ended(kiln, again.json()["piece"])
    assert order().json()["state"] == "done"
    assert order(noise=8).json()["error"]["code"] == "key_reused"
    assert len(edge.requests()) == before + 1
    other = order(key="another")
    assert (other.status_code, other.json()["piece"] == again.json()["piece"]) == (201, False)


@pytest.mark.parametrize(
    ("fault", "code", "charged"),
    [
        ("refuse_input", "text_refused", "0.022"),
        ("refuse_output", "picture_refused", "0.022"),
        ("job_failed", "kiln_cold", "0"),
    ],
)
def test_a_broken_piece_says_why_and_what_it_costs(
    edge: Edge, kiln: httpx.Client, order: Order, fault: str, code: str, charged: str
) -> None:
    edge.fault(fault)
    document = ended(kiln, order().json()["piece"])
    assert (document["why"]["code"], document["charged"]) == (code, charged)
    assert Decimal(edge.requests()[-1]["usd"]) == Decimal(charged)


def test_a_frame_that_is_no_image_costs_nothing(kiln: httpx.Client, order: Order) -> None:
    document = ended(kiln, order(first_frame="data:image/png;base64,AAAA").json()["piece"])
    assert (document["why"]["code"], document["charged"]) == ("frame_unusable", "0")


def test_a_piece_that_is_called_off_costs_nothing_even_when_it_was_busy(
    edge: Edge, kiln: httpx.Client, order: Order
) -> None:
    edge.fault("stuck")
    piece = order().json()["piece"]
    wait_for(lambda: kiln.get(f"/pieces/{piece}").json()["state"] == "busy")
    assert kiln.delete(f"/pieces/{piece}").status_code == 204
    document = kiln.get(f"/pieces/{piece}").json()
    assert (document["why"]["code"], document["charged"]) == ("called_off", "0")
    assert kiln.delete(f"/pieces/{piece}").json()["error"]["code"] == "over"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"text": " "}, 400, "text"),
        ({"length_ms": 99_000}, 400, "length_ms"),
        ({"length_ms": "5 s"}, 400, "length_ms"),
        ({"format": "wide"}, 400, "format"),
        ({"sharpness": "9999p"}, 400, "sharpness"),
        ({"noise": "seven"}, 400, "noise"),
        ({"model": "sandbox/nobody"}, 404, None),
    ],
)
def test_an_order_at_fault_is_refused_at_once(
    edge: Edge, order: Order, body: dict[str, Any], status: int, field: str | None
) -> None:
    before = len(edge.requests())
    answer = order(**body)
    assert (answer.status_code, answer.json()["error"].get("field")) == (status, field)
    assert len(edge.requests()) == before


def test_a_call_without_token_or_key_is_refused_and_there_is_no_history(edge: Edge, kiln: httpx.Client) -> None:
    body = {"model": "sandbox/sprint", "text": "waves"}
    assert kiln.post("/pieces", json=body).json()["error"]["code"] == "no_key"
    assert httpx.post(f"{edge.base_url}/kiln/v2/pieces", json=body, trust_env=False).status_code == 401
    assert kiln.get("/pieces").status_code == 405
    assert kiln.get("/pieces/999999999").json()["error"]["code"] == "no_such_piece"


def test_faults_of_kiln_have_kilns_words(edge: Edge, kiln: httpx.Client, order: Order) -> None:
    for fault, status, code in (
        ("submit_429", 429, "slow_down"),
        ("submit_503", 503, "closed"),
        ("submit_500", 500, "cracked"),
    ):
        edge.fault(fault)
        answer = order()
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    piece = order().json()["piece"]
    ended(kiln, piece)
    edge.fault("status_500")
    edge.fault("result_503")
    edge.fault("unknown_status")
    assert [kiln.get(f"/pieces/{piece}").status_code for _ in range(2)] == [500, 503]
    assert [kiln.get(f"/pieces/{piece}").json()["state"] for _ in range(2)] == ["glazing", "done"]


def test_a_model_of_images_gives_an_image(kiln: httpx.Client, order: Order) -> None:
    document = ended(kiln, order(model="sandbox/still", format="portrait").json()["piece"])
    [file] = document["files"]
    assert (file["type"], document["charged"]) == ("image/png", "0.003")


def test_no_wire_shows_what_came_through_another(edge: Edge, kiln: httpx.Client, order: Order) -> None:
    piece = order().json()["piece"]
    headers = {"Authorization": "Key k"}
    status = f"{edge.base_url}/fal-queue/sandbox/sprint/requests/{piece}/status"
    assert httpx.get(status, headers=headers, trust_env=False).status_code == 404
    listing = httpx.get(
        f"{edge.base_url}/fal-api/v1/models/requests/by-endpoint",
        params={"endpoint_id": "sandbox/sprint"},
        headers=headers,
        trust_env=False,
    )
    assert listing.json()["items"] == []


# --- Plaza ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def plaza(edge: Edge) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Token t"}
    with httpx.Client(base_url=f"{edge.base_url}/plaza/api", headers=headers, trust_env=False) as client:
        yield client


def announce(plaza: httpx.Client, film: bytes = FILM, **body: Any) -> httpx.Response:
    text = "A calm film.\nBrief: brief-7\nClip: clip-9\nModel: sandbox/grand"
    asked = {"caption": "Calm", "text": text, "labels": ["calm"], "made_by_model": True, "bytes": len(film)}
    return plaza.post("/posts", json=asked | body)


def send(announced: dict[str, Any], film: bytes = FILM) -> httpx.Response:
    return httpx.put(announced["upload_address"], content=film, trust_env=False)


def state(plaza: httpx.Client, announced: dict[str, Any]) -> str:
    return plaza.get(f"/posts/{announced['post']}").json()["state"]


def test_a_post_is_empty_then_processing_then_live(edge: Edge, plaza: httpx.Client) -> None:
    answer = announce(plaza)
    announced = answer.json()
    assert (answer.status_code, state(plaza, announced)) == (201, "empty")
    edge.fault("slow_processing", value=1.5)
    assert send(announced).status_code == 202
    assert state(plaza, announced) == "processing"
    again = send(announced)
    assert (again.status_code, again.json()["problem"]) == (409, "already_received")
    wait_for(lambda: state(plaza, announced) == "live")
    page = plaza.get(f"/posts/{announced['post']}").json()["page"]
    assert "A calm film." in httpx.get(page, trust_env=False).text
    [video] = [video for video in edge.videos() if video["video_id"] == announced["post"]]
    assert (video["wire"], video["title"], video["clip_id"], video["tags"]) == ("plaza", "Calm", "clip-9", ["calm"])
    assert (video["privacyStatus"], video["containsSyntheticMedia"], video["bytes"]) == ("public", True, len(FILM))


def test_bytes_that_are_no_film_fail_in_processing(plaza: httpx.Client) -> None:
    announced = announce(plaza, b"no film").json()
    send(announced, b"no film")
    wait_for(lambda: state(plaza, announced) == "failed")


def test_an_upload_that_breaks_off_leaves_nothing_and_one_that_arrived_is_kept(
    edge: Edge, plaza: httpx.Client
) -> None:
    announced = announce(plaza).json()
    edge.fault("drop_during_upload")
    with pytest.raises(CUT):
        send(announced)
    assert state(plaza, announced) == "empty"
    edge.fault("upload_500")
    assert send(announced).status_code == 500
    assert send(announced, FILM[:-1]).json()["problem"] == "wrong_length"
    edge.fault("drop_after_publish")
    with pytest.raises(CUT):
        send(announced)
    assert state(plaza, announced) in ("processing", "live")
    assert len([video for video in edge.videos() if video["video_id"] == announced["post"]]) == 1


def test_what_plaza_refuses_has_plazas_words(edge: Edge, plaza: httpx.Client) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"caption": "x" * 81}, "caption"),
        ({"bytes": 0}, "bytes"),
        ({"visible_to": "nobody"}, "visible_to"),
    ]
    for body, problem in wrong:
        answer = announce(plaza, **body)
        assert (answer.status_code, answer.json()["problem"]) == (422, problem)
    for fault, status, problem in (
        ("upload_limit", 429, "posts_today"),
        ("quota_exceeded", 429, "calls"),
        ("token_401", 401, "token"),
    ):
        edge.fault(fault)
        answer = announce(plaza)
        assert (answer.status_code, answer.json()["problem"]) == (status, problem)
    announced = announce(plaza).json()
    edge.fault("session_expired")
    assert [plaza.get(f"/posts/{announced['post']}").status_code, send(announced).status_code] == [404, 404]


def test_numbers_of_posts_are_told(plaza: httpx.Client) -> None:
    announced = announce(plaza).json()
    assert plaza.get("/numbers", params={"posts": announced["post"]}).json() == {"numbers": {}}
    send(announced)
    numbers = plaza.get("/numbers", params={"posts": f"{announced['post']},nobody"}).json()["numbers"]
    assert set(numbers) == {announced["post"]}
    assert set(numbers[announced["post"]]) == {
        "plays",
        "watched",
        "watched_percent",
        "hearts",
        "replies",
        "passed_on",
    }
