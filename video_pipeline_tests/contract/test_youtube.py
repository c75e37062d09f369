"""The YouTube adapter against the sandbox's wire: a session publishes once, and always says what became of it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from video_pipeline.publishing import PublishRequest
from video_pipeline.publishing.platforms import (
    Metrics,
    Missing,
    Session,
    Status,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.platforms.youtube import YouTubeShorts
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.edge import Edge

SIZE_BYTES = 700_000


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bytes that begin as an MP4 does; the sandbox looks no further."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    path.write_bytes(
        b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * (SIZE_BYTES // 256) + bytes(SIZE_BYTES % 256 - 12)
    )
    assert path.stat().st_size == SIZE_BYTES
    return path


@pytest.fixture
def request_(request: pytest.FixtureRequest) -> PublishRequest:
    """A clip of this very test."""
    clip_id = f"2026-11-21/{request.node.name}"
    return PublishRequest(
        clip_id=clip_id,
        platform="youtube_shorts",
        title=request.node.name,
        description=f"A caption\n\nMade with AI.\nModel: sandbox/grand\nBrief: the-brief\nClip: {clip_id}",
        tags=("brief-the-brief",),
        size_bytes=SIZE_BYTES,
        size=(1080, 1920),
        duration_s=5,
    )


def resumed(youtube: YouTubeShorts, session: Session, clip: Path) -> Status:
    """What the publisher does after an interruption: ask, and send only what is not there."""
    status = youtube.status(session)
    return youtube.send(session, clip) if isinstance(status, Missing) else status


def told(metrics: Metrics) -> set[str]:
    """The names of what a platform has told."""
    return set(metrics.model_dump(exclude_none=True))


def test_a_clip_goes_public_with_its_disclosure_and_its_brief(
    youtube: YouTubeShorts, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = youtube.open_session(request_)
    assert youtube.status(session) == Missing()
    uploaded = youtube.send(session, clip)
    [video] = edge.videos_of(request_.clip_id)
    assert uploaded == Uploaded(video["video_id"], f"{edge.base_url}/shorts/{video['video_id']}")
    assert video["containsSyntheticMedia"] is True
    assert (video["brief_id"], video["tags"], video["model"]) == ("the-brief", ["brief-the-brief"], "sandbox/grand")
    assert (video["title"], video["privacyStatus"]) == (request_.title, "public")
    assert video["sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert youtube.status(session) == uploaded
    assert isinstance(uploaded, Uploaded)
    assert edge.client.get(uploaded.url).status_code == 200


def test_a_session_that_is_sent_to_twice_publishes_once(
    youtube: YouTubeShorts, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = youtube.open_session(request_)
    assert youtube.send(session, clip) == youtube.send(session, clip)
    assert len(edge.videos_of(request_.clip_id)) == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_an_upload_that_broke_off_is_resumed_in_its_session(
    youtube: YouTubeShorts, edge: Edge, clip: Path, request_: PublishRequest, share: float
) -> None:
    session = youtube.open_session(request_)
    edge.fault("drop_during_upload", value=share)
    with pytest.raises(UploadInterrupted):
        youtube.send(session, clip)
    assert youtube.status(session) == Missing()
    resumed(youtube, session, clip)
    [video] = edge.videos_of(request_.clip_id)
    assert video["sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()


def test_a_clip_whose_answer_was_lost_is_found_in_its_session(
    youtube: YouTubeShorts, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = youtube.open_session(request_)
    edge.fault("drop_after_publish")
    with pytest.raises(UploadInterrupted):
        youtube.send(session, clip)
    uploaded = youtube.status(session)
    [video] = edge.videos_of(request_.clip_id)
    assert isinstance(uploaded, Uploaded)
    assert uploaded.remote_id == video["video_id"]


def test_a_server_error_is_an_interruption(
    youtube: YouTubeShorts, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = youtube.open_session(request_)
    edge.fault("upload_500")
    with pytest.raises(UploadInterrupted):
        youtube.send(session, clip)
    resumed(youtube, session, clip)
    assert len(edge.videos_of(request_.clip_id)) == 1


@pytest.mark.parametrize("when", ["asked", "sent to"])
def test_a_session_that_has_expired_leaves_the_clip_unknown(
    youtube: YouTubeShorts, edge: Edge, clip: Path, request_: PublishRequest, when: str
) -> None:
    session = youtube.open_session(request_)
    edge.fault("session_expired")
    with pytest.raises(UploadLost):
        if when == "asked":
            youtube.status(session)
        else:
            youtube.send(session, clip)


@pytest.mark.parametrize(("fault", "reason"), [("quota_exceeded", "quotaExceeded"), ("upload_limit", "uploadLimit")])
def test_a_used_up_quota_is_a_refusal_that_passes(
    youtube: YouTubeShorts, edge: Edge, request_: PublishRequest, fault: str, reason: str
) -> None:
    edge.fault(fault)
    with pytest.raises(UploadRefused, match=reason) as caught:
        youtube.open_session(request_)
    assert not caught.value.lasting


def test_metadata_that_is_not_allowed_is_a_refusal_that_lasts(
    youtube: YouTubeShorts, request_: PublishRequest
) -> None:
    with pytest.raises(UploadRefused, match="invalidTitle") as caught:
        youtube.open_session(request_.model_copy(update={"title": "x" * 101}))
    assert caught.value.lasting


def test_a_token_that_has_run_out_is_refreshed(
    youtube: YouTubeShorts, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    edge.fault("token_401")
    session = youtube.open_session(request_)
    youtube.send(session, clip)
    assert len(edge.videos_of(request_.clip_id)) == 1


def test_a_token_that_runs_out_before_the_file_is_sent_loses_nothing(
    youtube: YouTubeShorts, edge: Edge, clip: Path, request_: PublishRequest
) -> None:
    session = youtube.open_session(request_)
    edge.fault("token_401")
    try:
        youtube.send(session, clip)
    except UploadInterrupted:
        resumed(youtube, session, clip)
    assert len(edge.videos_of(request_.clip_id)) == 1


def test_an_answer_without_an_id_is_no_reason_to_send_again(
    edge: Edge, youtube: YouTubeShorts, request_: PublishRequest
) -> None:
    session = youtube.open_session(request_)
    with answering(200, b"<html></html>") as broken, pytest.raises(UploadInterrupted, match="under which id"):
        edge.youtube(api_url=broken.base_url).status(session | {"url": broken.base_url})


def test_credentials_that_are_refused_send_nothing(edge: Edge, request_: PublishRequest) -> None:
    with pytest.raises(UploadRefused, match="credentials"):
        edge.youtube(refresh_token="").open_session(request_)


@pytest.fixture
def remote_id(youtube: YouTubeShorts, clip: Path, request_: PublishRequest) -> Iterator[str]:
    uploaded = youtube.send(youtube.open_session(request_), clip)
    assert isinstance(uploaded, Uploaded)
    yield uploaded.remote_id


def test_metrics_are_read_for_what_is_public(youtube: YouTubeShorts, remote_id: str) -> None:
    found = youtube.metrics([remote_id, "no-such-video"])
    assert set(found) == {remote_id}
    metrics = found[remote_id]
    assert told(metrics) == {"views", "likes", "comments", "engaged_views", "completion", "shares"}
    assert 0 < (metrics.completion or 0) <= 1
    assert (metrics.engaged_views or 0) <= (metrics.views or 0)


def test_metrics_are_read_for_more_videos_than_one_call_takes(youtube: YouTubeShorts, remote_id: str) -> None:
    others = [f"video-{number}" for number in range(60)]
    assert set(youtube.metrics([*others, remote_id])) == {remote_id}


def test_public_statistics_are_kept_when_analytics_are_closed(edge: Edge, remote_id: str) -> None:
    found = edge.youtube(analytics_url=f"{edge.base_url}/nowhere").metrics([remote_id])
    assert told(found[remote_id]) == {"views", "likes", "comments"}
