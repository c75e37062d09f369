"""Each clip on each platform exactly once, whatever happens on the way."""

import hashlib
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from video_pipeline.briefs import Brief
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.errors import StorageError
from video_pipeline.ledger import PublicationState, ReviewState, open_ledger
from video_pipeline.policy import load_policy
from video_pipeline.publishing import PLATFORMS, PublishRecord, PublishRequest, publish_day
from video_pipeline.publishing.platforms import Before, Session, Status
from video_pipeline.publishing.platforms.youtube import YouTubeShorts
from video_pipeline.quality import review_stage
from video_pipeline_tests.contract.orders import DAY, brief_of
from video_pipeline_tests.publishing.conftest import MEDIA, Desk, request_of


def test_a_clip_goes_public_once_with_the_bytes_that_were_approved(desk: Desk) -> None:
    media = desk.media()
    record = desk.publish(media)
    [video] = desk.videos
    assert (record.state, record.remote_id) == (PublicationState.PUBLISHED, video["video_id"])
    assert record.url == f"{desk.edge.base_url}/shorts/{video['video_id']}"
    assert record.published_at is not None
    assert video["sha256"] == media.sha256 == hashlib.sha256(MEDIA).hexdigest()
    assert video["containsSyntheticMedia"] is True
    assert desk.publish(media) == record
    assert len(desk.videos) == 1


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("upload_500", None),
        ("drop_during_upload", 0.1),
        ("drop_during_upload", 0.9),
        ("drop_after_publish", None),
        ("token_401", None),
    ],
)
def test_trouble_on_the_way_publishes_once_in_the_same_run(desk: Desk, fault: str, value: float | None) -> None:
    desk.edge.fault(fault, value=value)
    record = desk.publish(desk.media())
    assert record.state is PublicationState.PUBLISHED
    assert [video["video_id"] for video in desk.videos] == [record.remote_id]
    assert desk.publish(desk.media()) == record
    assert len(desk.videos) == 1


def test_an_upload_that_stays_interrupted_is_resumed_by_the_next_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("video_pipeline.publishing.attempt._SEND_RETRIES_S", (0.05,))
    desk.edge.fault("drop_during_upload", times=2)
    record = desk.publish(desk.media())
    assert (record.state, desk.videos) == (PublicationState.PUBLISHING, [])
    assert "An upload is interrupted" in desk.alerts()
    session = desk.publications()[0].session
    record = desk.publish(desk.media())
    assert record.state is PublicationState.PUBLISHED
    assert desk.publications()[0].session == session
    assert len(desk.videos) == 1


def test_a_session_that_no_longer_answers_leaves_the_clip_unknown_and_is_never_sent_again(desk: Desk) -> None:
    desk.edge.fault("session_expired")
    for _ in range(3):
        record = desk.publish(desk.media())
        assert (record.state, desk.videos) == (PublicationState.UNKNOWN, [])
        desk.edge.clear_faults()
    assert "Nobody knows whether a clip went public" in desk.alerts()


def test_a_clip_that_went_public_in_a_session_that_is_gone_is_not_published_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.edge.fault("drop_after_publish")
    plain = YouTubeShorts.status

    def asked_too_late(youtube: YouTubeShorts, session: Session) -> Status:
        desk.edge.fault("session_expired")
        return plain(youtube, session)

    monkeypatch.setattr(YouTubeShorts, "status", asked_too_late)
    assert desk.publish(desk.media()).state is PublicationState.UNKNOWN
    assert desk.publish(desk.media()).state is PublicationState.UNKNOWN
    assert len(desk.videos) == 1


def test_a_used_up_quota_fails_today_tells_somebody_and_goes_on_tomorrow(desk: Desk) -> None:
    desk.edge.fault("quota_exceeded")
    record = desk.publish(desk.media())
    assert (record.state, desk.videos) == (PublicationState.FAILED, [])
    assert "quotaExceeded" in (record.reason or "")
    assert "A clip was not published" in desk.alerts()
    record = desk.publish(desk.media())
    assert (record.state, record.reason) == (PublicationState.PUBLISHED, None)
    assert len(desk.videos) == 1


def test_a_clip_that_the_platform_refuses_for_itself_is_not_offered_again_as_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[str] = []
    plain = YouTubeShorts.open_session

    def open_session(youtube: YouTubeShorts, request: PublishRequest, *, before: Before = None) -> Session:
        offered.append(request.title)
        return plain(youtube, request, before=before)

    monkeypatch.setattr(YouTubeShorts, "open_session", open_session)
    # YouTube has become stricter than what we know of it.
    monkeypatch.setattr(YouTubeShorts, "limits", YouTubeShorts.limits.model_copy(update={"title": 200}))
    media, too_long = desk.media(), "x" * 101
    for _ in range(3):
        record = desk.publish(media, title=too_long)
        assert (record.state, desk.videos) == (PublicationState.REFUSED, [])
        assert "invalidTitle" in (record.reason or "")
    assert offered == [too_long]
    assert desk.publish(media, title="A harbour").state is PublicationState.PUBLISHED
    assert offered == [too_long, "A harbour"]
    assert len(desk.videos) == 1


def test_a_clip_that_breaks_a_rule_sends_nothing(desk: Desk) -> None:
    record = desk.publish(desk.media(), size=(1920, 1080))
    assert (record.state, desk.videos) == (PublicationState.FAILED, [])
    assert "1920x1080" in (record.reason or "")


def test_a_platform_that_is_not_connected_is_a_dry_run_that_says_so(desk: Desk) -> None:
    desk.connected = False
    media = desk.media()
    for platform in PLATFORMS:
        record = desk.publish(media, platform=platform)
        assert record.state is PublicationState.NOT_CONNECTED
        assert record.reason == f"dry run: {platform} is not connected, the clip would have been published now"
    assert desk.publish(media) == desk.publish(media)
    assert desk.videos == []


def test_a_dry_run_finds_broken_rules_too(desk: Desk) -> None:
    desk.connected = False
    assert desk.publish(desk.media(), duration_s=999).state is PublicationState.FAILED


def test_a_platform_that_is_connected_later_gets_the_clip(desk: Desk) -> None:
    desk.connected = False
    desk.publish(desk.media())
    desk.connected = True
    assert desk.publish(desk.media()).state is PublicationState.PUBLISHED
    assert len(desk.videos) == 1


@pytest.mark.parametrize("before", ["not connected", "a broken rule", "a used-up quota"])
def test_what_goes_public_is_the_clip_as_it_is_now(desk: Desk, before: str) -> None:
    old, new = desk.media("old", MEDIA), desk.media("new", MEDIA + b"the better ending")
    if before == "not connected":
        desk.connected = False
        desk.publish(old)
        desk.connected = True
    elif before == "a broken rule":
        desk.publish(old, size=(1920, 1080))
    else:
        desk.edge.fault("quota_exceeded")
        desk.publish(old)
    assert desk.videos == []
    record = desk.publish(new)
    assert record.state is PublicationState.PUBLISHED
    [video] = desk.videos
    assert video["sha256"] == new.sha256 == record.media_sha256


def test_bytes_that_are_not_those_that_were_approved_are_not_published(desk: Desk) -> None:
    media = desk.media()
    with desk.store.local_copy(media.key) as path:
        path.write_bytes(MEDIA[:-1] + b"!")
    with suppress(StorageError):
        desk.publish(media)
    assert desk.videos == []


def test_bytes_that_are_damaged_after_an_interruption_are_not_published(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("video_pipeline.publishing.attempt._SEND_RETRIES_S", ())
    desk.edge.fault("drop_during_upload", value=0)
    media = desk.media()
    assert desk.publish(media).state is PublicationState.PUBLISHING
    with desk.store.local_copy(media.key) as path:
        path.write_bytes(MEDIA[:-1] + b"!")
    assert desk.publish(media).state is PublicationState.FAILED
    assert desk.videos == []


def test_a_clip_for_a_platform_that_there_is_no_more_fails_and_holds_no_other(desk: Desk) -> None:
    brief = brief_of("waves", platforms=["gone", "youtube_shorts"])
    records = publish_all(desk, (brief, reviewed(desk, brief)))
    assert [record.state for record in records] == [PublicationState.FAILED, PublicationState.PUBLISHED]
    assert records[0].reason == "there is no platform gone any more"


def test_two_publishers_at_once_publish_once(desk: Desk, ledger_url: str) -> None:
    media = desk.media()
    records: list[PublishRecord] = []

    def publish() -> None:
        ledger = open_ledger(ledger_url, embedded_dir=Path("unused"))
        try:
            records.append(
                desk.publisher(ledger).publish(
                    request_of(media), day=DAY, media_key=media.key, media_sha256=media.sha256
                )
            )
        finally:
            ledger.close()

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(records) == len(threads)
    assert len(desk.videos) == 1
    assert desk.publish(media).state is PublicationState.PUBLISHED
    assert len(desk.videos) == 1


# --- a day -------------------------------------------------------------------------------------------------------


def reviewed(desk: Desk, brief: Brief, status: ClipStatus = ClipStatus.PASSED) -> ReviewedClip:
    media = desk.media(brief.brief_id)
    return ReviewedClip(
        clip_id=f"{DAY}/{brief.brief_id}",
        brief_id=brief.brief_id,
        day=DAY,
        status=status,
        tier="preview",
        model="sandbox/sprint",
        duration_s=5,
        final_key=media.key,
        final_sha256=media.sha256,
        final_bytes=media.size_bytes,
        final_size=(1080, 1920),
    )


def publish_all(desk: Desk, *clips: tuple[Brief, ReviewedClip]) -> list[PublishRecord]:
    briefs = {clip.clip_id: brief for brief, clip in clips}
    return publish_day(
        desk.publisher(), desk.ledger, desk.notifier, [clip for _, clip in clips], briefs, load_policy()
    )


def test_a_clip_goes_to_every_platform_that_its_brief_names(desk: Desk) -> None:
    brief = brief_of("waves", brief_id="waves", platforms=list(PLATFORMS))
    records = publish_all(desk, (brief, reviewed(desk, brief)))
    assert {record.platform: record.state for record in records} == {
        "youtube_shorts": PublicationState.PUBLISHED,
        "instagram_reels": PublicationState.NOT_CONNECTED,
        "tiktok": PublicationState.NOT_CONNECTED,
    }
    [video] = desk.videos
    assert (video["clip_id"], video["brief_id"], video["model"]) == (f"{DAY}/waves", "waves", "sandbox/sprint")


@pytest.mark.parametrize("status", [status for status in ClipStatus if status is not ClipStatus.PASSED])
def test_a_clip_that_has_not_passed_stays_here(desk: Desk, status: ClipStatus) -> None:
    brief = brief_of("waves")
    assert publish_all(desk, (brief, reviewed(desk, brief, status))) == []
    assert desk.videos == []


@pytest.mark.parametrize(("decision", "published"), [(None, 0), (ReviewState.REJECTED, 0), (ReviewState.APPROVED, 1)])
def test_a_clip_that_a_person_has_a_say_in_waits_for_the_word(
    desk: Desk, decision: ReviewState | None, published: int
) -> None:
    brief = brief_of("waves")
    clip = reviewed(desk, brief)
    stage = review_stage(clip.final_sha256 or "")
    desk.ledger.reviews.open(clip.clip_id, stage, "borderline")
    if decision is not None:
        desk.ledger.reviews.decide(clip.clip_id, stage, decision, by="a person")
    assert len(publish_all(desk, (brief, clip))) == published
    assert len(desk.videos) == published


def test_one_clip_that_cannot_go_holds_no_other(desk: Desk) -> None:
    one, other = brief_of("waves", brief_id="one"), brief_of("hills", brief_id="other")
    wide = reviewed(desk, one).model_copy(update={"final_size": (1920, 1080)})
    records = publish_all(desk, (one, wide), (other, reviewed(desk, other)))
    assert [record.state for record in records] == [PublicationState.FAILED, PublicationState.PUBLISHED]


def test_a_clip_whose_file_is_gone_holds_no_other(desk: Desk) -> None:
    one, other = brief_of("waves", brief_id="one"), brief_of("hills", brief_id="other")
    gone, there = reviewed(desk, one), reviewed(desk, other)
    desk.store.delete(gone.final_key or "")
    publish_all(desk, (one, gone), (other, there))
    assert [video["brief_id"] for video in desk.videos] == ["other"]
