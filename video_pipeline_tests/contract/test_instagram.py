"""The Instagram adapter against the sandbox's wire: a container goes public once, and says whether it has."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from video_pipeline.errors import ConfigurationError
from video_pipeline.publishing import PLATFORMS, PublishRequest, check_rules
from video_pipeline.publishing.platforms import (
    Failed,
    Missing,
    Processing,
    Session,
    Status,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.platforms import instagram as adapter
from video_pipeline.publishing.platforms.instagram import InstagramReels
from video_pipeline.wire import Bounds
from video_pipeline_tests.contract.edge import Edge, wait_for
from video_pipeline_tests.contract.strange import ANYWHERE
from video_pipeline_tests.wire.raw_server import http, raw_server

FILM = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 800


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_RETRIES_S", (0.0,))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    path.write_bytes(FILM)
    return path


@pytest.fixture
def request_(request: pytest.FixtureRequest) -> PublishRequest:
    """A clip of this very test."""
    clip_id = f"2026-11-21/{request.node.name}"
    return PublishRequest(
        clip_id=clip_id,
        platform="instagram_reels",
        title=request.node.name,
        description=f"{request.node.name}\n\nMade with AI.\nModel: sandbox/grand\nBrief: the-brief\nClip: {clip_id}",
        tags=("brief-the-brief",),
        size_bytes=len(FILM),
        size=(1080, 1920),
        duration_s=5,
    )


def ready(instagram: InstagramReels, request: PublishRequest, clip: Path) -> Session:
    """A session whose film has been processed, and that nobody has told to go public."""
    session = instagram.open_session(request)
    assert instagram.send(session, clip) == Processing()
    wait_for(lambda: instagram.status(session) == Missing())
    return session


def brought_on(instagram: InstagramReels, session: Session, clip: Path) -> Status:
    """What the publisher does: ask, send what is missing, ask again."""
    status: Status = Processing()

    def ended() -> bool:
        nonlocal status
        status = instagram.status(session)
        if isinstance(status, Missing):
            status = instagram.send(session, clip)
        return not isinstance(status, Processing | Missing)

    wait_for(ended)
    return status


def test_a_reel_goes_public_with_its_caption(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = instagram.open_session(request_)
    assert instagram.status(session) == Missing()
    edge.fault("slow_processing", value=1.5)
    assert instagram.send(session, clip) == Processing()
    assert instagram.status(session) == Processing()
    assert edge.videos_of(request_.clip_id) == []
    uploaded = brought_on(instagram, session, clip)
    [video] = edge.videos_of(request_.clip_id)
    assert isinstance(uploaded, Uploaded)
    assert uploaded == Uploaded(video["video_id"], f"{edge.base_url}/reel/{video['video_id']}")
    assert (video["wire"], video["description"]) == ("instagram", request_.description)
    assert (video["brief_id"], video["model"]) == ("the-brief", "sandbox/grand")
    assert video["sha256"] == hashlib.sha256(FILM).hexdigest()
    assert edge.client.get(uploaded.url).status_code == 200
    assert instagram.status(session) == uploaded


def test_the_word_to_publish_is_given_as_often_as_it_may_be_and_one_reel_comes_of_it(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = ready(instagram, request_, clip)
    assert isinstance(instagram.send(session, clip), Uploaded)
    assert isinstance(instagram.send(session, clip), Uploaded)
    assert len(edge.videos_of(request_.clip_id)) == 1


def test_a_lost_answer_to_publish_is_found_by_the_container_and_the_caption(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = ready(instagram, request_, clip)
    edge.fault("drop_after_publish")
    with pytest.raises(UploadInterrupted, match="the word to publish was lost"):
        instagram.send(session, clip)
    uploaded = instagram.status(session)
    [video] = edge.videos_of(request_.clip_id)
    assert isinstance(uploaded, Uploaded) and uploaded.remote_id == video["video_id"]


def test_a_published_container_whose_reel_nobody_finds_is_not_published_again(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = ready(instagram, request_, clip)
    instagram.send(session, clip)
    edited = session | {"caption": "The owner has written another caption."}
    for ask in (lambda: instagram.status(edited), lambda: instagram.send(edited, clip)):
        with pytest.raises(UploadInterrupted, match="does not show it yet"):
            ask()
    assert len(edge.videos_of(request_.clip_id)) == 1


def test_a_container_that_is_gone_leaves_the_clip_unknown_unless_its_reel_is_there(
    instagram: InstagramReels, clip: Path, request_: PublishRequest
) -> None:
    session = ready(instagram, request_, clip)
    gone = session | {"container": "0" * 32}
    with pytest.raises(UploadLost):
        instagram.status(gone)
    with pytest.raises(UploadLost):
        instagram.send(gone, clip)
    uploaded = instagram.send(session, clip)
    assert instagram.status(gone) == uploaded


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_an_upload_that_broke_off_goes_on_where_it_did(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest, share: float
) -> None:
    session = instagram.open_session(request_)
    edge.fault("drop_during_upload", value=share)
    with pytest.raises(UploadInterrupted):
        instagram.send(session, clip)
    assert isinstance(brought_on(instagram, session, clip), Uploaded)
    [video] = edge.videos_of(request_.clip_id)
    assert video["sha256"] == hashlib.sha256(FILM).hexdigest()


def test_an_error_of_the_upload_host_is_an_interruption(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = instagram.open_session(request_)
    edge.fault("upload_500")
    with pytest.raises(UploadInterrupted):
        instagram.send(session, clip)
    assert isinstance(brought_on(instagram, session, clip), Uploaded)


def test_a_word_that_came_too_early_is_given_again(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = ready(instagram, request_, clip)
    edge.fault("not_ready")
    assert instagram.send(session, clip) == Processing()
    assert edge.videos_of(request_.clip_id) == []
    assert isinstance(brought_on(instagram, session, clip), Uploaded)


def test_an_error_with_the_status_200_is_no_yes(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = ready(instagram, request_, clip)
    edge.fault("error_in_200", times=2)
    with pytest.raises(UploadInterrupted):
        instagram.status(session)
    assert isinstance(instagram.send(session, clip), Uploaded)


@pytest.mark.parametrize(
    ("film", "fault", "subcode", "lasting"),
    [(b"no film" * 99, "", "2207026", True), (FILM, "processing_error", "2207053", False)],
)
def test_a_film_that_could_not_be_processed_has_failed(
    instagram: InstagramReels,
    edge: Edge,
    tmp_path: Path,
    request_: PublishRequest,
    film: bytes,
    fault: str,
    subcode: str,
    lasting: bool,
) -> None:
    (tmp_path / "film.mp4").write_bytes(film)
    session = instagram.open_session(request_.model_copy(update={"size_bytes": len(film)}))
    if fault:
        edge.fault(fault)
    status = brought_on(instagram, session, tmp_path / "film.mp4")
    assert isinstance(status, Failed) and subcode in status.reason and status.lasting is lasting
    assert edge.videos_of(request_.clip_id) == []


def test_a_container_that_has_expired_has_failed_and_published_nothing(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = ready(instagram, request_, clip)
    edge.fault("session_expired")
    for status in (instagram.status(session), instagram.send(session, clip)):
        assert isinstance(status, Failed) and not status.lasting and "expired" in status.reason
    assert edge.videos_of(request_.clip_id) == []


@pytest.mark.parametrize(
    ("fault", "cause", "minutes"),
    [
        ("upload_limit", "publishing limit", 60),
        ("quota_exceeded", "rate limit", 30),
        ("token_401", "access token", 0),
    ],
)
def test_what_keeps_the_account_from_publishing_is_a_refusal_that_passes(
    instagram: InstagramReels, edge: Edge, request_: PublishRequest, fault: str, cause: str, minutes: int
) -> None:
    edge.fault(fault)
    with pytest.raises(UploadRefused) as caught:
        instagram.open_session(request_)
    assert (caught.value.lasting, caught.value.cause) == (False, cause)
    until = caught.value.not_before
    assert (until is not None) is bool(minutes)
    if until is not None:
        off = until - datetime.now(UTC) - timedelta(minutes=minutes)
        assert abs(off) < timedelta(minutes=2)


@pytest.mark.parametrize("fault", ["publish_limit", "token_401"])
def test_a_refusal_on_the_way_leaves_the_container_as_it_was(
    instagram: InstagramReels, edge: Edge, clip: Path, request_: PublishRequest, fault: str
) -> None:
    session = ready(instagram, request_, clip)
    edge.fault(fault)
    with pytest.raises(UploadInterrupted) as caught:
        instagram.send(session, clip)
    assert isinstance(caught.value.__cause__, UploadRefused)
    assert isinstance(instagram.send(session, clip), Uploaded)
    assert len(edge.videos_of(request_.clip_id)) == 1


@pytest.mark.parametrize("answer", ANYWHERE.values(), ids=ANYWHERE)
def test_what_is_not_documented_decides_nothing(
    edge: Edge, clip: Path, request_: PublishRequest, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_RETRIES_S", ())
    monkeypatch.setattr(adapter, "_CALL", Bounds(total_s=2, max_bytes=1_000_000))
    with raw_server([answer]) as server:
        instagram = edge.instagram(graph_url=server.base_url, access_token="canary-token-0123456789")
        session = {"container": "1", "url": f"{server.base_url}/1", "size_bytes": len(FILM), "caption": "A film"}
        for call in (
            lambda: instagram.open_session(request_),
            lambda: instagram.status(session),
            lambda: instagram.send(session, clip),
            lambda: instagram.metrics(["1"]),
        ):
            with pytest.raises(UploadInterrupted) as caught:
                call()
            assert "canary" not in f"{caught.value} {caught.value.answer}"


@pytest.mark.parametrize(
    ("code", "subcode", "cause", "lasting"),
    [
        (190, 463, "access token", False),
        (200, None, "permission", False),
        (613, None, "rate limit", False),
        (9, 2207042, "publishing limit", False),
        (4, 2207051, "blocked as spam", False),
        (25, 2207050, "restricted account", False),
        (352, 2207026, "", True),
        (36003, 2207009, "", True),
        (100, None, "", False),
    ],
)
def test_the_documents_words_for_a_no_are_one(
    edge: Edge, request_: PublishRequest, code: int, subcode: int | None, cause: str, lasting: bool
) -> None:
    error = {"message": "no", "type": "OAuthException", "code": code, "error_subcode": subcode}
    with raw_server([http(400, json.dumps({"error": error}).encode())]) as server:
        with pytest.raises(UploadRefused) as caught:
            edge.instagram(graph_url=server.base_url).open_session(request_)
        assert (caught.value.cause, caught.value.lasting) == (cause, lasting)


def test_a_caption_that_is_too_long_is_a_refusal_that_lasts(
    instagram: InstagramReels, request_: PublishRequest
) -> None:
    with pytest.raises(UploadRefused, match="36004") as caught:
        instagram.open_session(request_.model_copy(update={"description": "x" * 2201}))
    assert caught.value.lasting


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ("x" * 2201, "longer than the 2200 characters"),
        (" ".join(f"#tag{number}" for number in range(31)), "has 31 hashtags, instagram_reels allows 30"),
        (" ".join(f"@who{number}" for number in range(21)), "has 21 mentions, instagram_reels allows 20"),
    ],
)
def test_the_rules_of_captions_are_known_before_anything_is_bought(
    request_: PublishRequest, description: str, sentence: str
) -> None:
    limits = PLATFORMS["instagram_reels"].limits
    assert check_rules(request_, limits) == []
    assert sentence in " ".join(check_rules(request_.model_copy(update={"description": description}), limits))


def test_a_person_names_a_reel_by_its_page_or_its_id(
    instagram: InstagramReels, clip: Path, request_: PublishRequest
) -> None:
    uploaded = instagram.send(ready(instagram, request_, clip), clip)
    assert isinstance(uploaded, Uploaded)
    named = (uploaded.remote_id, uploaded.url, f"https://www.instagram.com/reel/{uploaded.remote_id}/?igsh=1")
    assert [instagram.found(name) for name in named] == [uploaded] * 3
    for wrong in ("https://elsewhere.example/reel/1/", "no id", f"{uploaded.url}x", "0" * 11):
        with pytest.raises(ConfigurationError):
            instagram.found(wrong)


def test_numbers_are_told_of_reels_that_are_there(
    instagram: InstagramReels, clip: Path, request_: PublishRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = instagram.send(ready(instagram, request_, clip), clip)
    assert isinstance(uploaded, Uploaded)
    told = instagram.metrics([uploaded.remote_id, "0" * 11])
    assert set(told) == {uploaded.remote_id}
    assert set(told[uploaded.remote_id].model_dump(exclude_none=True)) == {"views", "likes", "comments", "shares"}
    # An account without one of them is asked for the others, and what it does not tell is not zero.
    monkeypatch.setattr(adapter, "_NUMBERS", ("views,likes,a_metric_of_tomorrow", "likes,shares"))
    fewer = instagram.metrics([uploaded.remote_id])[uploaded.remote_id]
    assert set(fewer.model_dump(exclude_none=True)) == {"likes", "shares"}


def test_half_a_connection_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    vendor = PLATFORMS["instagram_reels"]
    monkeypatch.delenv("INSTAGRAM_USER_ID", raising=False)
    monkeypatch.delenv("INSTAGRAM_ACCESS_TOKEN", raising=False)
    assert vendor.connect(vendor.section()) is None
    monkeypatch.setenv("INSTAGRAM_ACCESS_TOKEN", "a-token")
    with pytest.raises(ConfigurationError, match="half connected: INSTAGRAM_USER_ID is not set"):
        vendor.connect(vendor.section())
    monkeypatch.setenv("INSTAGRAM_USER_ID", "@our_account")
    with pytest.raises(ConfigurationError, match="a number"):
        vendor.connect(vendor.section())
    monkeypatch.setenv("INSTAGRAM_USER_ID", "17841400000000000")
    assert vendor.connect(vendor.section()) is not None
