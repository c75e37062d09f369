"""What the YouTube adapter makes of answers that Google's documents do not have: never a yes, never a no."""

import json
from pathlib import Path

import pytest

from video_pipeline.errors import ConfigurationError
from video_pipeline.publishing import PublishRequest
from video_pipeline.publishing.platforms import (
    Metrics,
    Missing,
    Session,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.platforms import youtube as adapter
from video_pipeline.publishing.platforms.youtube import YouTubeShorts
from video_pipeline.wire import Bounds
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.strange import ANYWHERE, google
from video_pipeline_tests.wire.raw_server import http, raw_server

KEY, SECRET = "canary-refresh-0123456789", "canary-secret-0123456789"
TOKEN_CANARY = "canary-token-0123456789"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_RETRIES_S", ())
    monkeypatch.setattr(adapter, "_CALL", Bounds(total_s=2, max_bytes=1_000_000))


@pytest.fixture
def request_() -> PublishRequest:
    return PublishRequest(
        clip_id="2026-11-21/strange",
        platform="youtube_shorts",
        title="Strange",
        description="d",
        tags=(),
        size_bytes=3000,
        size=(1080, 1920),
        duration_s=5,
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("strange") / "clip.mp4"
    path.write_bytes(bytes(3000))
    return path


def talking_to(edge: Edge, base_url: str) -> YouTubeShorts:
    """A channel whose tokens are good, and whose API is at `base_url`."""
    return edge.youtube(api_url=base_url, analytics_url=base_url, client_secret=SECRET, refresh_token=KEY)


def a_session(base_url: str) -> Session:
    return {"url": f"{base_url}/upload?id=1", "size_bytes": 3000}


def check_kept(error: UploadInterrupted | UploadRefused | UploadLost) -> None:
    """What is said and kept can be kept and shown, and holds no secret."""
    kept = json.dumps([str(error), error.answer], ensure_ascii=False)
    kept.encode()
    assert not {"\x00", "\x1b", "\\u0000"} & set(kept) and len(kept) < 10_000
    assert KEY not in kept and SECRET not in kept and TOKEN_CANARY not in kept


@pytest.mark.parametrize("answer", ANYWHERE.values(), ids=ANYWHERE)
def test_what_is_not_documented_decides_nothing(
    edge: Edge, request_: PublishRequest, clip: Path, answer: bytes
) -> None:
    with raw_server([answer]) as server:
        youtube, session = talking_to(edge, server.base_url), a_session(server.base_url)
        for call in (
            lambda: youtube.open_session(request_),
            lambda: youtube.status(session),
            lambda: youtube.send(session, clip),
            lambda: youtube.metrics(["aVideo"]),
        ):
            with pytest.raises(UploadInterrupted) as caught:
                call()
            check_kept(caught.value)


@pytest.mark.parametrize("answer", ANYWHERE.values(), ids=ANYWHERE)
def test_a_token_that_is_none_sends_nothing(edge: Edge, request_: PublishRequest, answer: bytes) -> None:
    with raw_server([answer]) as server, raw_server([]) as api:
        youtube = edge.youtube(api_url=api.base_url, token_url=server.base_url, client_secret=SECRET)
        with pytest.raises(UploadInterrupted) as caught:
            youtube.open_session(request_)
        check_kept(caught.value)
        assert (len(server.asked), api.asked) == (1, [])


@pytest.mark.parametrize(
    "body",
    [
        {"access_token": TOKEN_CANARY, "expires_in": "soon"},
        {"access_token": f"{TOKEN_CANARY}\n"},
        {"access_token": TOKEN_CANARY, "expires_in": -1},
        {"access_token": f"{TOKEN_CANARY} and more"},
    ],
)
def test_a_token_in_an_answer_that_cannot_be_used_is_not_kept(
    edge: Edge, request_: PublishRequest, body: dict[str, object]
) -> None:
    with raw_server([http(200, json.dumps(body).encode())]) as server:
        with pytest.raises(UploadInterrupted) as caught:
            edge.youtube(token_url=server.base_url).open_session(request_)
        check_kept(caught.value)


def test_an_access_token_that_is_echoed_is_redacted(edge: Edge, request_: PublishRequest) -> None:
    with raw_server([http(200, json.dumps({"access_token": TOKEN_CANARY}).encode())]) as tokens:
        echo = http(500, f"Authorization: Bearer {TOKEN_CANARY}, {KEY}, {SECRET}".encode(), f"X-Echo: {TOKEN_CANARY}")
        with raw_server([echo]) as api:
            youtube = edge.youtube(
                api_url=api.base_url, token_url=tokens.base_url, client_secret=SECRET, refresh_token=KEY
            )
            with pytest.raises(UploadInterrupted) as caught:
                youtube.open_session(request_)
            assert TOKEN_CANARY.encode() in api.asked[0]
    assert "[redacted]" in json.dumps(caught.value.answer)
    check_kept(caught.value)


@pytest.mark.parametrize(
    ("status", "reason", "lasting"),
    [
        (400, "invalidTitle", True),
        (400, "uploadLimitExceeded", False),
        (401, "authError", False),
        (403, "quotaExceeded", False),
        (403, "forbidden", False),
        (429, "rateLimitExceeded", False),
    ],
)
def test_a_refusal_in_googles_words_is_one(
    edge: Edge, request_: PublishRequest, status: int, reason: str, lasting: bool
) -> None:
    answer = http(status, google(status, reason))
    with raw_server([answer]) as server, pytest.raises(UploadRefused, match=reason) as caught:
        talking_to(edge, server.base_url).open_session(request_)
    assert caught.value.lasting is lasting
    check_kept(caught.value)


@pytest.mark.parametrize(
    ("status", "word", "refused"), [(400, "invalid_grant", True), (401, "invalid_client", True), (400, "busy", False)]
)
def test_credentials_are_refused_in_words_of_oauth_only(
    edge: Edge, request_: PublishRequest, status: int, word: str, refused: bool
) -> None:
    answer, error = (
        http(status, json.dumps({"error": word}).encode()),
        UploadRefused if refused else UploadInterrupted,
    )
    with raw_server([answer]) as server, pytest.raises(error):
        edge.youtube(token_url=server.base_url).open_session(request_)


@pytest.mark.parametrize(("status", "reason"), [(404, "notFound"), (410, "gone")])
def test_a_session_is_gone_in_googles_words_only(edge: Edge, clip: Path, status: int, reason: str) -> None:
    with raw_server([http(status, google(status, reason))]) as server:
        youtube, session = talking_to(edge, server.base_url), a_session(server.base_url)
        for call in (lambda: youtube.status(session), lambda: youtube.send(session, clip)):
            with pytest.raises(UploadLost) as caught:
                call()
            check_kept(caught.value)


@pytest.mark.parametrize(
    "location", ["", "no address", "//x/y", "javascript:alert(1)", "http://u:p@HERE/", "http://HERE\u00a0/"]
)
def test_an_upload_at_no_address_of_googles_is_no_upload(edge: Edge, request_: PublishRequest, location: str) -> None:
    with raw_server([]) as other, raw_server([]) as probe:
        here = location.replace("HERE", other.base_url.removeprefix("http://"))
        with raw_server([http(200, b"", f"Location: {here}")]) as api, pytest.raises(UploadInterrupted) as caught:
            talking_to(edge, api.base_url).open_session(request_)
        assert other.asked == probe.asked == []
        check_kept(caught.value)


def test_a_stranger_gets_neither_token_nor_file(edge: Edge, request_: PublishRequest, clip: Path) -> None:
    with raw_server([http(200, b'{"id": "stolen"}')]) as stranger:
        with raw_server([http(200, b"", f"Location: {stranger.base_url}/upload")]) as api:
            youtube = talking_to(edge, api.base_url)
            with pytest.raises(UploadInterrupted, match="no address of its own"):
                youtube.open_session(request_)
            # Nor where a ledger of before has kept it.
            for call in (
                lambda: youtube.status(a_session(stranger.base_url)),
                lambda: youtube.send(a_session(stranger.base_url), clip),
                lambda: youtube.status({"url": 7}),
            ):
                with pytest.raises(UploadInterrupted):
                    call()
        assert stranger.asked == []


def test_the_hosts_of_google_are_trusted_where_the_api_is_googles() -> None:
    googles = YouTubeShorts(
        client_id="",
        client_secret="",
        refresh_token="",
        api_url="https://www.googleapis.com",
        analytics_url="https://youtubeanalytics.googleapis.com",
        token_url="https://oauth2.googleapis.com/token",
    )
    for url, ours in (
        ("https://www.googleapis.com/upload/youtube/v3/videos?upload_id=1", True),
        ("https://youtube.googleapis.com/resumable/upload?upload_id=1", True),
        ("http://www.googleapis.com/upload", False),
        ("https://googleapis.com.evil.example/", False),
        ("https://evil.example/www.googleapis.com", False),
    ):
        assert googles._api.is_ours(url) is ours


def test_an_answer_that_drips_ends_in_time(
    edge: Edge, request_: PublishRequest, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_CALL", Bounds(total_s=0.3, max_bytes=1000))
    monkeypatch.setattr(adapter, "longest_send_s", lambda size_bytes: 0.3)
    with raw_server([b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 1000], pause_s=0.05) as server:
        youtube, session = talking_to(edge, server.base_url), a_session(server.base_url)
        for call in (lambda: youtube.open_session(request_), lambda: youtube.send(session, clip)):
            with pytest.raises(UploadInterrupted, match="time-out"):
                call()


def test_what_is_uploaded_has_a_page_that_is_built_from_its_id(edge: Edge) -> None:
    with raw_server([http(200, b'{"kind": "youtube#video", "id": "a-Video_1"}')]) as server:
        uploaded = talking_to(edge, server.base_url).status(a_session(server.base_url))
    assert uploaded == Uploaded("a-Video_1", f"{edge.base_url}/shorts/a-Video_1")
    assert isinstance(uploaded, Uploaded) and uploaded.answer is not None and uploaded.answer["status"] == 200


@pytest.mark.parametrize("video_id", ["../../evil", "a b", "", "x" * 65, "a\n", "a?b"])
def test_an_id_that_is_none_decides_nothing(edge: Edge, video_id: str) -> None:
    with raw_server([http(200, json.dumps({"id": video_id}).encode())]) as server, pytest.raises(UploadInterrupted):
        talking_to(edge, server.base_url).status(a_session(server.base_url))


def test_what_google_documents_for_an_upload_that_goes_on(edge: Edge) -> None:
    with raw_server([http(308, b"", "Range: bytes=0-42")]) as server:
        assert talking_to(edge, server.base_url).status(a_session(server.base_url)) == Missing()


@pytest.mark.parametrize(
    "statistics",
    [
        {"viewCount": -1},
        {"viewCount": "-1"},
        {"viewCount": True},
        {"viewCount": "9" * 400},
        {"viewCount": 1e300},
        {"viewCount": 1.5},
        {"likeCount": []},
        {"commentCount": "\u0663"},
    ],
)
def test_numbers_that_nobody_counts_are_no_metrics(edge: Edge, statistics: dict[str, object]) -> None:
    body = json.dumps({"items": [{"id": "aVideo", "statistics": statistics}]}).encode()
    with raw_server([http(200, body)]) as server, pytest.raises(UploadInterrupted):
        talking_to(edge, server.base_url).metrics(["aVideo"])


@pytest.mark.parametrize("ids", [["other"], ["aVideo", "aVideo"]])
def test_numbers_of_others_are_no_metrics(edge: Edge, ids: list[str]) -> None:
    body = json.dumps({"items": [{"id": video_id} for video_id in ids]}).encode()
    with raw_server([http(200, body)]) as server, pytest.raises(UploadInterrupted, match="not asked for"):
        talking_to(edge, server.base_url).metrics(["aVideo"])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["aVideo", 5, 140.5, 2], Metrics(engaged_views=5, shares=2, completion=1.0)),
        (["aVideo", 5, -1, 2], None),
        (["aVideo", True, 10, 2], None),
        (["aVideo", 5, "50", 2], None),
        (["aVideo", 5, 10], None),
        (["other", 5, 10, 2], None),
        ([{}, 5, 10, 2], None),
    ],
)
def test_a_report_is_read_by_type(edge: Edge, row: list[object], told: Metrics | None) -> None:
    names = ("video", "engagedViews", "averageViewPercentage", "shares")
    # The same server answers for statistics and analytics.
    body = {"items": [], "columnHeaders": [{"name": name} for name in names], "rows": [row]}
    with raw_server([http(200, json.dumps(body).encode())]) as server:
        youtube = talking_to(edge, server.base_url)
        if told is None:
            with pytest.raises(UploadInterrupted):
                youtube.metrics(["aVideo"])
        else:
            assert youtube.metrics(["aVideo"]) == {"aVideo": told}


@pytest.mark.parametrize(
    "named",
    [
        "aVideo_1-x",
        "https://www.youtube.com/shorts/aVideo_1-x",
        "https://youtube.com/watch?v=aVideo_1-x&t=3",
        "https://youtu.be/aVideo_1-x?si=y",
        " BASE/shorts/aVideo_1-x ",
    ],
)
def test_a_person_names_a_video_by_its_id_or_its_page(edge: Edge, named: str) -> None:
    found = edge.youtube().found(named.replace("BASE", edge.base_url))
    assert found == Uploaded("aVideo_1-x", f"{edge.base_url}/shorts/aVideo_1-x")


@pytest.mark.parametrize(
    "named", ["", "a b", "https://evil.example/shorts/aVideo", "x" * 65, "a\x00", "[red]a[/red]"]
)
def test_a_person_who_names_something_else_is_told_what_to_give(edge: Edge, named: str) -> None:
    with pytest.raises(ConfigurationError, match="give its id, or the address of its page"):
        edge.youtube().found(named)
