"""What nobody documents decides nothing; what stands in doubt is listed, and settled by a person's word."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, text

from video_pipeline.cli import people
from video_pipeline.errors import ConfigurationError, VideoPipelineError
from video_pipeline.ledger import Lease, LeaseLost, Publication, PublicationState, ReviewState
from video_pipeline.ledger.schema import publication_events
from video_pipeline.policy import load_policy
from video_pipeline.publishing import PublishRecord, publish_day
from video_pipeline.publishing.platforms import (
    Failed,
    Missing,
    Processing,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.ledger.rows import a_job, a_publication, reserved
from video_pipeline_tests.publishing.conftest import Desk, request_of
from video_pipeline_tests.publishing.test_processing import PUBLIC, SlowPlatform
from video_pipeline_tests.publishing.test_publisher import reviewed

ODD = {"status": 200, "headers": {"date": "now"}, "body": "<html>"}
SILENCE = UploadInterrupted("an odd answer", answer=ODD)


@pytest.fixture
def slow(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> SlowPlatform:
    monkeypatch.setattr("video_pipeline.publishing.attempt._SEND_RETRIES_S", ())
    platform = SlowPlatform()
    desk.others["tiktok"] = platform
    return platform


Run = Callable[..., PublishRecord]


@pytest.fixture
def run(desk: Desk, slow: SlowPlatform) -> Run:
    """A run that publishes one clip, during which the platform gives these answers when it is asked."""
    media = desk.media()

    def publish(*answers: Any, **request: Any) -> PublishRecord:
        slow.answers = iter(answers)
        record = desk.publish(media, platform="tiktok", **request)
        assert next(slow.answers, None) is None, "an answer was not asked for"
        return record

    return publish


def the(desk: Desk) -> Publication:
    [publication] = desk.publications()
    return publication


def events(desk: Desk) -> list[tuple[str, str, str, Any]]:
    columns = publication_events.c
    with desk.ledger.engine.connect() as connection:
        rows = connection.execute(
            select(columns.from_state, columns.to_state, columns.note, columns.answer).order_by(columns.id)
        ).all()
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def hours_pass(desk: Desk, hours: float) -> None:
    with desk.ledger.engine.begin() as connection:
        for table, column in (("publication_events", "at"), ("publications", "updated_at")):
            connection.execute(
                text(f"UPDATE {table} SET {column} = {column} - make_interval(hours => :hours)"), {"hours": hours}
            )


# --- what decides nothing ------------------------------------------------------------------------------------------


def test_an_odd_answer_is_asked_about_again_and_kept_once(desk: Desk, slow: SlowPlatform, run: Run) -> None:
    slow.on_send = SILENCE
    assert (run().state, run(SILENCE).state) == (PublicationState.PUBLISHING, PublicationState.PUBLISHING)
    other = UploadInterrupted("an odd answer", answer=ODD | {"body": "{}"})
    record = run(UploadInterrupted("an odd answer", answer=ODD | {"headers": {"date": "later"}}))
    assert (record.state, record.reason) == (PublicationState.PUBLISHING, "an odd answer")
    run(other)
    odd = [(note, answer["body"]) for _, _, note, answer in events(desk) if answer]
    assert odd == [("an odd answer", "<html>"), ("an odd answer", "{}")]
    record = run(replace(PUBLIC, answer={"status": 200, "body": "yes"}))
    assert (record.state, record.reason) == (PublicationState.PUBLISHED, None)
    assert events(desk)[-1][3] == {"status": 200, "body": "yes"}
    assert slow.sent == [1]


@pytest.mark.parametrize("at_first", ["sent", "processing"])
def test_a_clip_that_nobody_tells_of_for_a_day_is_in_doubt_and_never_sent_again(
    desk: Desk, slow: SlowPlatform, run: Run, at_first: str
) -> None:
    slow.on_send = SILENCE if at_first == "sent" else Processing()
    run()
    assert run(SILENCE).state is not PublicationState.UNKNOWN
    hours_pass(desk, 23)
    assert run(SILENCE).state is not PublicationState.UNKNOWN
    hours_pass(desk, 2)
    record = run(SILENCE)
    assert (record.state, record.reason) == (
        PublicationState.UNKNOWN,
        "an odd answer, and nothing has been decided for 25 hours",
    )
    assert run().state is PublicationState.UNKNOWN
    assert slow.sent == [1]
    assert "Nobody knows whether a clip went public" in desk.alerts()


def test_a_word_that_decides_begins_the_day_anew(desk: Desk, slow: SlowPlatform, run: Run) -> None:
    run()
    run(SILENCE)
    hours_pass(desk, 23)
    record = run(Processing())
    assert (record.state, record.reason) == (PublicationState.PROCESSING, None)
    hours_pass(desk, 23)
    assert run(SILENCE).state is PublicationState.PROCESSING
    hours_pass(desk, 23)
    assert run(SILENCE).state is PublicationState.PROCESSING


def test_a_platform_that_may_not_be_asked_puts_no_clip_in_doubt(desk: Desk, run: Run) -> None:
    run()
    for _ in range(3):
        hours_pass(desk, 100)
        assert run(UploadRefused("no quota")).state is PublicationState.PROCESSING
    assert run(PUBLIC).state is PublicationState.PUBLISHED


def test_an_upload_that_cannot_be_opened_is_never_in_doubt(
    desk: Desk, slow: SlowPlatform, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(slow, "open_session", lambda request, before=None: _raise(SILENCE))
        for _ in range(3):
            record = run()
            assert (record.state, record.reason) == (PublicationState.PUBLISHING, "an odd answer")
            hours_pass(desk, 100)
    assert the(desk).session is None
    assert run().state is PublicationState.PROCESSING
    assert run(SILENCE).state is PublicationState.PROCESSING
    assert run(PUBLIC).state is PublicationState.PUBLISHED


def test_a_clip_that_was_refused_and_whose_session_is_gone_is_in_doubt(
    desk: Desk, slow: SlowPlatform, run: Run
) -> None:
    """An earlier sending may have arrived, whose answer nobody has heard."""
    slow.on_send = UploadRefused("no quota")
    assert run().state is PublicationState.FAILED
    assert run(UploadLost("no such session")).state is PublicationState.UNKNOWN
    assert slow.sent == [1]


def test_credentials_that_are_taken_away_in_between_publish_nothing_twice(desk: Desk) -> None:
    media, platform = desk.media(), desk.edge.youtube()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("video_pipeline.publishing.attempt._SEND_RETRIES_S", ())
        patched.setattr(type(platform), "status", lambda self, session: _raise(SILENCE))
        desk.edge.fault("drop_after_publish")
        assert desk.publish(media).state is PublicationState.PUBLISHING
        session = the(desk).session
    desk.connected = False
    for _ in range(3):
        assert desk.publish(media).state is PublicationState.PUBLISHING
    assert the(desk).session == session
    desk.connected = True
    assert desk.publish(media).state is PublicationState.PUBLISHED
    assert len(desk.videos) == 1


def _raise(error: BaseException) -> Any:
    raise error


# --- one clip stops no other ---------------------------------------------------------------------------------------

STUMBLES: dict[str, Any] = {
    "TypeError": TypeError("a\x00b"),
    "KeyError": KeyError("canary-key-0123456789"),
    "RecursionError": RecursionError(),
    "a refusal with NUL": UploadRefused("a\x00b\ud800", answer={"body": "clean"}),
    "an interruption with NUL": UploadInterrupted("a\x00b\ud800 [red]"),
    "lost with NUL": UploadLost("a\x00b\ud800"),
    "a failure with NUL": Failed("a\x00b\ud800", lasting=True),
    "a failure of nothing": Failed(None),  # pyright: ignore[reportArgumentType]
    "None": None,
    "an id that is an object": Uploaded({"a": 1}, "x"),  # pyright: ignore[reportArgumentType]
    "an id that is nothing": Uploaded("", ""),
    "an id with NUL": Uploaded("a\x00b", "http://x/\ud800"),
}


@pytest.mark.parametrize("answer", STUMBLES.values(), ids=STUMBLES)
@pytest.mark.parametrize("call", ["open_session", "status", "send"])
def test_whatever_an_adapter_says_the_other_clips_go_on(
    desk: Desk, slow: SlowPlatform, monkeypatch: pytest.MonkeyPatch, call: str, answer: Any
) -> None:
    brief = brief_of("waves", brief_id="waves", platforms=["tiktok", "youtube_shorts"])
    clip = reviewed(desk, brief)

    def day() -> list[PublishRecord]:
        slow.answers = iter([Missing()])
        return publish_day(desk.publisher(), desk.ledger, desk.notifier, [clip], {clip.clip_id: brief}, load_policy())

    def odd(*given: Any, **named: Any) -> Any:
        return _raise(answer) if isinstance(answer, Exception) else answer

    if call == "status":
        slow.on_send = SILENCE
        day()
    monkeypatch.setattr(slow, call, odd)
    records = day()
    assert [record.platform for record in records] == ["tiktok", "youtube_shorts"]
    assert records[1].state is PublicationState.PUBLISHED
    assert "DataError" not in str(records)
    assert "canary" not in str(records) + str(desk.ledger.alerts.latest())
    assert records[0].reason or records[0].state is PublicationState.PUBLISHED
    if call == "open_session" and not isinstance(answer, UploadRefused | UploadLost):
        assert records[0].state is PublicationState.PUBLISHING


@pytest.mark.parametrize("session", [None, [], "x", {"a": "\x00"}, {"\ud800": 1}, {"a": {"b": object}}])
def test_a_session_that_cannot_be_kept_is_none(
    desk: Desk, slow: SlowPlatform, run: Run, monkeypatch: pytest.MonkeyPatch, session: Any
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(slow, "open_session", lambda request, before=None: session)
        assert run().state is PublicationState.PUBLISHING
    assert (the(desk).session, slow.sent) == (None, [])
    assert run().state is PublicationState.PROCESSING


def test_an_error_of_our_own_is_told_by_its_place_and_the_next_run_goes_on(
    desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("video_pipeline.publishing.attempt.check_rules", lambda *given: _raise(ValueError("canary")))
        record = run()
    assert record.state is PublicationState.PLANNED
    assert (record.reason or "").startswith("it broke off with a ValueError at test_doubts.py:")
    assert desk.alerts() == ["Publishing a clip broke off"]
    assert run().state is PublicationState.PROCESSING


def test_a_clip_whose_words_the_ledger_cannot_keep_has_a_record(desk: Desk, run: Run) -> None:
    record = run(title="a\x00b")
    assert (record.state, desk.publications()) == (PublicationState.FAILED, [])
    assert "broke off" in (record.reason or "")


def test_a_ledger_that_is_away_ends_the_run(desk: Desk, slow: SlowPlatform) -> None:
    media, ledger = desk.media(), desk.ledger
    publisher = desk.publisher()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(ledger.publications), "_where", lambda *given: _raise(OSError("away")))
        patched.setattr(type(ledger.publications), "plan", lambda *given: _raise(OSError("away")))
        with pytest.raises(OSError, match="away"):
            publisher.publish(
                request_of(media, platform="tiktok"), day=desk.day, media_key=media.key, media_sha256=media.sha256
            )
    assert slow.sessions == 0


def test_a_clip_that_another_worker_is_at_says_so(desk: Desk, run: Run) -> None:
    run()
    with desk.ledger.leases.held(f"publish {the(desk).key}", ttl_s=60) as lease:
        assert lease is not None
        record = run()
        assert (record.state, record.reason) == (PublicationState.PROCESSING, "another worker is at it")
    run(PUBLIC)
    with desk.ledger.leases.held(f"publish {the(desk).key}", ttl_s=60):
        record = run()
        assert (record.state, record.reason) == (PublicationState.PUBLISHED, None)


def test_a_worker_that_has_lost_its_lease_sends_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(lease: Lease) -> None:
        raise LeaseLost("lost")

    media = desk.media()
    with monkeypatch.context() as patched:
        patched.setattr(Lease, "check", check)
        record = desk.publish(media)
        assert (record.state, record.reason) == (PublicationState.PUBLISHING, "another worker has taken it over")
    assert (desk.videos, desk.alerts(), the(desk).session) == ([], [], None)
    assert desk.publish(media).state is PublicationState.PUBLISHED


def test_a_lease_that_is_taken_over_in_between_keeps_the_ledger_as_it_is(
    desk: Desk, slow: SlowPlatform, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = slow.open_session

    def overtaken(*given: Any, **named: Any) -> Any:
        with desk.ledger.engine.begin() as connection:
            connection.execute(text("UPDATE leases SET token = nextval('lease_tokens')"))
        return plain(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(slow, "open_session", overtaken)
        assert run().reason == "another worker has taken it over"
    assert (the(desk).session, slow.sent) == (None, [])


# --- a person's word -----------------------------------------------------------------------------------------------


@pytest.fixture
def doubtful(desk: Desk, slow: SlowPlatform, run: Run, monkeypatch: pytest.MonkeyPatch) -> Publication:
    """A publication in doubt, for so long that nothing of it can still be on its way."""
    run()
    run(UploadLost("no such session [bold]"))
    hours_pass(desk, 1)
    services = SimpleNamespace(ledger=desk.ledger, platforms=desk.platforms)
    monkeypatch.setattr(people, "get_services", lambda: services)
    return the(desk)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    yield lambda: capsys.readouterr().out


Said = Callable[[], str]


def refused(match: str, key: str, **answer: Any) -> None:
    with pytest.raises(VideoPipelineError, match=match):
        people.resolve(key, **answer)


def test_a_doubt_is_listed_with_its_command_until_it_is_settled(
    desk: Desk, doubtful: Publication, said: Said, run: Run
) -> None:
    people.review()
    shown = said()
    assert f"publication {doubtful.key[:16]}: publishing since" in shown
    assert f"{desk.day}/a-clip on tiktok: no such session [bold]" in shown
    assert f"video-pipeline resolve {doubtful.key[:16]} --found VIDEO_ID (or --not-found)\n" in shown
    people.resolve(doubtful.key[:16], found="clip-7")
    assert "is published at https://slow.example/clip-7. The night watch goes on" in said()
    people.review()
    assert said() == "Nothing waits for a person.\n"
    record = run()
    assert (record.state, record.remote_id) == (PublicationState.PUBLISHED, "clip-7")
    assert record.published_at is not None
    for answer in ({"found": "clip-8"}, {"not_found": True}):
        refused("is published; nothing of it is in doubt", doubtful.key[:16], **answer)


def test_what_a_person_does_not_find_starts_over_in_a_new_session(
    desk: Desk, slow: SlowPlatform, doubtful: Publication, run: Run, said: Said
) -> None:
    slow.answers = iter([UploadLost("no such session")])
    people.resolve(doubtful.key, not_found=True)
    assert (the(desk).state, the(desk).session) == (PublicationState.FAILED, None)
    people.review()
    assert "Nothing waits" in said()
    refused("is failed; nothing of it is in doubt", doubtful.key, not_found=True)
    assert run().state is PublicationState.PROCESSING
    assert run(PUBLIC).state is PublicationState.PUBLISHED
    assert slow.sent == [1, 2]


def test_what_a_person_does_not_find_and_the_session_does_is_public(
    desk: Desk, slow: SlowPlatform, doubtful: Publication
) -> None:
    slow.answers = iter([PUBLIC])
    people.resolve(doubtful.key[:16], not_found=True)
    assert (the(desk).state, the(desk).url) == (PublicationState.PUBLISHED, PUBLIC.url)


def test_what_is_still_processed_is_not_missing(desk: Desk, slow: SlowPlatform, doubtful: Publication) -> None:
    slow.answers = iter([Processing()])
    refused("still processing it", doubtful.key[:16], not_found=True)
    assert the(desk).state is PublicationState.UNKNOWN


def test_nobody_answers_while_a_worker_is_at_it(desk: Desk, doubtful: Publication) -> None:
    with desk.ledger.leases.held(f"publish {doubtful.key}", ttl_s=60):
        for answer in ({"found": "clip-7"}, {"not_found": True}):
            refused(r"A worker is at it until \d\d:\d\d:\d\d UTC; ask again then", doubtful.key, **answer)
    assert the(desk) == doubtful


def test_nobody_says_that_it_is_not_there_while_it_may_still_arrive(desk: Desk, doubtful: Publication) -> None:
    hours_pass(desk, -1)
    refused(r"may still arrive until \d\d:\d\d:\d\d UTC; ask again then", doubtful.key, not_found=True)
    people.resolve(doubtful.key, found="clip-7")
    assert the(desk).state is PublicationState.PUBLISHED


def test_a_video_of_another_clip_is_not_this_one(desk: Desk, doubtful: Publication) -> None:
    moves = desk.ledger.publications
    other = moves.plan(a_publication("other", platform="tiktok"))
    moves.published(moves.publishing(other), remote_id="clip-7", url="https://slow.example/clip-7")
    refused(f"clip-7 is {other.clip_id} on tiktok", doubtful.key, found="clip-7")


def test_a_key_that_is_none_or_several_is_refused(desk: Desk, doubtful: Publication) -> None:
    refused("0 jobs in doubt have a key that starts with nothing", "nothing", not_found=True)
    refused("Give the key", "", not_found=True)
    refused("Give one of", doubtful.key)
    refused("Give one of", doubtful.key, found="x", not_found=True)
    refused("is there or not", doubtful.key, lost=True)
    twin = doubtful.key[:20] + "0" * 44
    desk.ledger.publications.plan(a_publication("twin", key=twin))
    refused("2 keys start with", doubtful.key[:16], not_found=True)
    ledger = desk.ledger
    job = reserved(ledger, replace(a_job("twin"), key=doubtful.key[:30] + "0" * 34))
    ledger.jobs.unknown(ledger.jobs.submitting(job), "no answer")
    refused("2 keys start with", doubtful.key[:25], not_found=True)
    people.review()
    people.resolve(doubtful.key[:40], found="clip-7")


def test_a_publication_under_way_is_not_in_doubt(desk: Desk, doubtful: Publication) -> None:
    moves = desk.ledger.publications
    other = moves.publishing(moves.plan(a_publication("other")))
    refused("is publishing; nothing of it is in doubt", other.key[:16], not_found=True)


def test_decide_names_the_command_that_answers(desk: Desk, doubtful: Publication, said: Said) -> None:
    for named in (doubtful.clip_id, doubtful.key[:16], f"publication {doubtful.key[:16]}"):
        with pytest.raises(ConfigurationError, match=f"`video-pipeline resolve {doubtful.key[:16]} --found VIDEO_ID"):
            people.decide(named, approve=True, by="kim")
    with pytest.raises(ConfigurationError, match="`video-pipeline review` lists what does"):
        people.decide("nobody", approve=True, by="kim")
    with pytest.raises(ConfigurationError, match="lists what does"):
        people.decide("", approve=True, by="kim")


def test_what_waits_is_shown_as_it_is_said(desk: Desk, doubtful: Publication, said: Said) -> None:
    clip = f"{desk.day}/other"
    desk.ledger.reviews.open(clip, "technical 0123", "[/red] dark [link=https://evil.example]here[/link]\nfake: line")
    job = reserved(desk.ledger, a_job("lost", clip_id=clip))
    job = desk.ledger.jobs.unknown(desk.ledger.jobs.submitting(job), "[/] no answer")
    rendered = reserved(desk.ledger, a_job("rendered", clip_id=clip))
    with desk.ledger.engine.begin() as connection:
        connection.execute(
            text("UPDATE jobs SET state = 'rendered', submitted_at = now() - interval '2 hours' WHERE key = :key"),
            {"key": rendered.key},
        )
    people.review()
    shown = said()
    assert "  [/red] dark [link=https://evil.example]here[/link] fake: line\n" in shown
    assert f"  video-pipeline decide {clip} --approve --by NAME (or --reject)\n" in shown
    assert f"  video-pipeline resolve {job.key[:16]} --found REQUEST_ID (or --not-found, or --lost)\n" in shown
    assert f"job {rendered.key[:16]}: download" in shown
    assert f"  video-pipeline resolve {rendered.key[:16]} --lost\n" in shown
    people.decide(clip, approve=True, by="kim")
    assert f"{clip} is approved" in said()
    review = desk.ledger.reviews.get(clip, "technical 0123")
    assert review is not None and review.state is ReviewState.APPROVED
