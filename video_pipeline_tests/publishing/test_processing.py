"""A platform that takes the bytes and says later what has become of them: asked again, never sent the same twice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from video_pipeline.ledger import PublicationState
from video_pipeline.publishing import PLATFORMS, PublishRecord, PublishRequest
from video_pipeline.publishing.platforms import (
    Before,
    Failed,
    Metrics,
    Missing,
    Processing,
    Session,
    Status,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline_tests.publishing.conftest import Desk

PUBLIC = Uploaded("clip-1", "https://slow.example/clip-1")
Answer = Status | Exception


class SlowPlatform:
    """A platform that keeps the books of its sessions; `answers` are what it says, in turn, when it is asked."""

    name = "tiktok"
    connected = True
    limits = PLATFORMS["tiktok"].limits
    processing_waits_s: Sequence[float] = ()

    def __init__(self) -> None:
        self.sessions = 0
        self.sent: list[int] = []
        self.asked = 0
        self.answers: Iterator[Answer] = iter(())
        self.on_send: Answer = Processing()

    def open_session(self, request: PublishRequest, *, before: Before = None) -> Session:
        self.sessions += 1
        return {"number": self.sessions, "of": request.clip_id}

    def status(self, session: Session) -> Status:
        self.asked += 1
        return _said(next(self.answers))

    def send(self, session: Session, path: Path, *, before: Before = None) -> Status:
        self.sent.append(session["number"])
        return _said(self.on_send)

    def found(self, named: str) -> Uploaded:
        return Uploaded(named, f"https://slow.example/{named}")

    def metrics(self, remote_ids: Sequence[str]) -> Mapping[str, Metrics]:
        return {}


def _said(answer: Answer) -> Status:
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
def slow(desk: Desk) -> SlowPlatform:
    platform = SlowPlatform()
    desk.others["tiktok"] = platform
    return platform


@pytest.fixture
def publish(desk: Desk, slow: SlowPlatform, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PublishRecord]:
    """A run that publishes the clip, during which the platform gives these answers when it is asked."""
    monkeypatch.setattr("video_pipeline.publishing.attempt._SEND_RETRIES_S", (0.0,))
    media = desk.media()

    def run(*answers: Answer, **request: object) -> PublishRecord:
        slow.answers = iter(answers)
        record = desk.publish(media, platform="tiktok", **request)
        assert next(slow.answers, None) is None, "an answer was not asked for"
        return record

    return run


Publish = Callable[..., PublishRecord]


def test_what_is_processed_soon_is_public_in_the_same_run(desk: Desk, slow: SlowPlatform, publish: Publish) -> None:
    slow.processing_waits_s = (0.0, 0.0, 0.0)
    record = publish(Processing(), PUBLIC)
    assert (record.state, record.remote_id, record.url) == (PublicationState.PUBLISHED, PUBLIC.remote_id, PUBLIC.url)
    assert record.published_at is not None
    assert (slow.sent, slow.asked, desk.alerts()) == ([1], 2, [])


def test_what_is_processed_for_long_is_asked_about_by_every_run_and_sent_once(
    desk: Desk, slow: SlowPlatform, publish: Publish
) -> None:
    slow.processing_waits_s = (0.0,)
    assert publish(Processing()).state is PublicationState.PROCESSING
    for _ in range(3):
        record = publish(Processing(), Processing())
        assert (record.state, record.url) == (PublicationState.PROCESSING, None)
    assert publish(Processing(), PUBLIC).state is PublicationState.PUBLISHED
    assert publish().state is PublicationState.PUBLISHED
    assert (slow.sessions, slow.sent, desk.alerts()) == (1, [1], [])


def test_a_platform_that_cannot_be_asked_now_pages_nobody_about_what_it_has(
    desk: Desk, slow: SlowPlatform, publish: Publish
) -> None:
    publish()
    for trouble in (UploadInterrupted("no network"), UploadRefused("no quota")):
        assert publish(trouble).state is PublicationState.PROCESSING
    assert publish(PUBLIC).state is PublicationState.PUBLISHED
    assert (slow.sent, desk.alerts()) == ([1], [])


def test_an_upload_whose_answer_was_lost_is_not_repeated_when_the_platform_has_it(
    desk: Desk, slow: SlowPlatform, publish: Publish
) -> None:
    slow.on_send = UploadInterrupted("the answer was lost")
    assert publish(Processing()).state is PublicationState.PROCESSING
    assert publish(PUBLIC).state is PublicationState.PUBLISHED
    assert (slow.sent, desk.alerts()) == ([1], [])


def test_bytes_that_are_missing_after_all_are_sent_in_the_same_session(slow: SlowPlatform, publish: Publish) -> None:
    assert publish().state is PublicationState.PROCESSING
    assert publish(Missing()).state is PublicationState.PROCESSING
    assert publish(PUBLIC).state is PublicationState.PUBLISHED
    assert slow.sent == [1, 1]


def test_a_platform_to_which_bytes_are_always_missing_is_an_interruption(
    desk: Desk, slow: SlowPlatform, publish: Publish
) -> None:
    slow.on_send = Missing()
    assert publish(Missing()).state is PublicationState.PUBLISHING
    assert (slow.sent, desk.alerts()) == ([1, 1], ["An upload is interrupted"])


def test_a_clip_that_failed_on_the_platform_is_begun_anew_by_the_next_run(
    desk: Desk, slow: SlowPlatform, publish: Publish
) -> None:
    publish()
    record = publish(Failed("the file could not be fetched"))
    assert (record.state, record.reason) == (PublicationState.FAILED, "the file could not be fetched")
    assert desk.alerts() == ["A clip was not published"]
    assert publish(Failed("the file could not be fetched")).state is PublicationState.PROCESSING
    assert publish(PUBLIC).state is PublicationState.PUBLISHED
    assert slow.sent == [1, 2]


def test_a_clip_that_the_platform_refused_for_itself_goes_again_with_other_words_only(
    slow: SlowPlatform, publish: Publish
) -> None:
    publish()
    assert publish(Failed("copyright", lasting=True)).state is PublicationState.REFUSED
    assert publish().state is PublicationState.REFUSED
    assert publish(Failed("copyright", lasting=True), title="Another").state is PublicationState.PROCESSING
    assert slow.sent == [1, 2]


def test_a_clip_that_was_refused_and_is_being_processed_after_all_is_not_sent_again(
    slow: SlowPlatform, publish: Publish
) -> None:
    slow.on_send = UploadRefused("no quota")
    assert publish().state is PublicationState.FAILED
    assert publish(Processing(), Processing()).state is PublicationState.PROCESSING
    assert publish(PUBLIC).state is PublicationState.PUBLISHED
    assert slow.sent == [1]


def test_a_clip_of_which_every_trace_is_lost_is_unknown_and_never_sent_again(
    desk: Desk, slow: SlowPlatform, publish: Publish
) -> None:
    publish()
    assert publish(UploadLost("no such clip")).state is PublicationState.UNKNOWN
    assert publish().state is PublicationState.UNKNOWN
    assert (slow.sent, desk.alerts()) == ([1], ["Nobody knows whether a clip went public"])
