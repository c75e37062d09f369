"""What holds for a whole account: one alert for all of its clips, and they go on by themselves when it passes."""

from datetime import UTC, datetime, timedelta

import pytest

from video_pipeline.ledger import PublicationState, WaitCause, What
from video_pipeline.publishing import PublishRecord
from video_pipeline.publishing.platforms import instagram as adapter
from video_pipeline_tests.contract.orders import DAY
from video_pipeline_tests.publishing.conftest import Desk

NAME = "instagram_reels"


@pytest.fixture
def reels(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk that publishes to Instagram."""
    monkeypatch.setattr(adapter, "_RETRIES_S", ())
    monkeypatch.setattr("video_pipeline.publishing.attempt._SEND_RETRIES_S", (0.0,))
    desk.others[NAME] = desk.edge.instagram()
    return desk


def brought_on(desk: Desk, name: str = "one") -> PublishRecord:
    clip_id = f"{DAY}/{name}"
    return desk.publish(desk.media(), platform=NAME, clip_id=clip_id, description=f"A clip.\nClip: {clip_id}")


def wait(desk: Desk) -> tuple[WaitCause, timedelta | None]:
    """What the one publication that waits is waiting for, and how long."""
    [wait] = [wait for wait in desk.ledger.waits.all() if wait.what is What.PUBLICATION]
    return wait.why.cause, wait.why.until and wait.why.until - datetime.now(UTC)


def test_a_reel_is_published_in_one_run_and_once(reels: Desk) -> None:
    record = brought_on(reels)
    [video] = reels.videos
    assert (record.state, record.remote_id) == (PublicationState.PUBLISHED, video["video_id"])
    assert brought_on(reels) == record
    assert (len(reels.videos), reels.alerts()) == (1, [])


def test_a_token_that_was_revoked_is_one_alert_for_all_clips_and_they_go_on_with_another(reels: Desk) -> None:
    reels.edge.fault("token_401", times=99)
    for name in ("one", "two"):
        record = brought_on(reels, name)
        assert record.state is PublicationState.FAILED
        assert "refused the access token (190" in (record.reason or "")
    assert reels.alerts() == ["A clip was not published"]
    reels.edge.clear_faults()
    assert {brought_on(reels, name).state for name in ("one", "two")} == {PublicationState.PUBLISHED}
    assert len(reels.videos) == 2


def test_a_token_that_expires_in_the_middle_loses_nothing_that_was_sent(
    reels: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reels.edge.fault("slow_processing", value=0.5)
    reels.others[NAME] = reels.edge.instagram(processing_waits_s=())
    assert brought_on(reels).state is PublicationState.PROCESSING
    session = reels.publications()[0].session
    reels.edge.fault("token_401", times=99)
    assert brought_on(reels).state is PublicationState.PROCESSING
    reels.edge.clear_faults()
    reels.others[NAME] = reels.edge.instagram()
    assert brought_on(reels).state is PublicationState.PUBLISHED
    assert (reels.publications()[0].session, len(reels.videos)) == (session, 1)


def test_the_publishing_limit_is_read_before_anything_is_sent_and_waited_for(reels: Desk) -> None:
    reels.edge.fault("upload_limit")
    assert brought_on(reels).state is PublicationState.FAILED
    cause, until = wait(reels)
    assert cause is WaitCause.QUOTA and until is not None and timedelta(0) < until <= timedelta(hours=1)
    assert (reels.publications()[0].session, reels.videos) == (None, [])
    assert brought_on(reels).state is PublicationState.PUBLISHED


def test_a_limit_that_is_reached_at_the_end_keeps_the_container(reels: Desk) -> None:
    reels.edge.fault("publish_limit")
    record = brought_on(reels)
    assert (record.state, reels.videos) == (PublicationState.PUBLISHING, [])
    assert wait(reels)[0] is WaitCause.QUOTA
    session = reels.publications()[0].session
    assert brought_on(reels).state is PublicationState.PUBLISHED
    assert (reels.publications()[0].session, len(reels.videos)) == (session, 1)


def test_a_lost_answer_to_publish_is_found_in_the_same_run(reels: Desk) -> None:
    reels.edge.fault("drop_after_publish")
    # It is found by its caption, so that no other test may have published it.
    record = brought_on(reels, "lost")
    [video] = reels.videos
    assert (record.state, record.remote_id) == (PublicationState.PUBLISHED, video["video_id"])


@pytest.mark.parametrize("fault", ["session_expired", "processing_error"])
def test_a_container_that_came_to_nothing_is_followed_by_another(reels: Desk, fault: str) -> None:
    reels.edge.fault(fault)
    assert brought_on(reels).state is PublicationState.FAILED
    assert brought_on(reels).state is PublicationState.PUBLISHED
    assert len(reels.videos) == 1


def test_a_dry_run_of_a_release_before_is_published_when_the_account_is_there(reels: Desk) -> None:
    account = reels.others.pop(NAME)
    assert brought_on(reels).state is PublicationState.NOT_CONNECTED
    reels.others[NAME] = account
    assert brought_on(reels).state is PublicationState.PUBLISHED
