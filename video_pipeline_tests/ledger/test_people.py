"""What people are asked and told, and what they dropped in: reviews, alerts, intake."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from video_pipeline.errors import LedgerError
from video_pipeline.ledger import Claim, Delivery, Ledger, Outcome, ReviewStage, ReviewState
from video_pipeline.ledger.schema import briefs
from video_pipeline_tests.ledger.rows import DAY, sha256

_CLIP = "2026-11-21/clip"
_SENT, _FAILED = Delivery("Slack", "sent", "told"), Delivery("Slack", "failed", "503")
_NOT_CONFIGURED = Delivery("none", "not configured", "no webhook")


def test_a_clip_waits_for_a_person_once_a_stage(ledger: Ledger):
    assert [ledger.reviews.open(_CLIP, "quality", why) for why in ("dark", "still dark")] == [True, False]
    assert ledger.reviews.open(_CLIP, "generation", "three refusals")
    waiting = {(review.stage, review.reason) for review in ledger.reviews.waiting()}
    assert waiting == {("quality", "dark"), ("generation", "three refusals")}


def test_a_decision_ends_the_wait_and_stays(ledger: Ledger):
    ledger.reviews.open(_CLIP, "quality", "dark")
    ledger.reviews.decide(_CLIP, "quality", ReviewState.APPROVED, by="ada", reason_code="intended")
    assert not ledger.reviews.open(_CLIP, "quality", "dark again")
    review = ledger.reviews.get(_CLIP, "quality")
    assert review is not None and review.decided_at is not None
    assert (review.state, review.decided_by, review.reason_code) == (ReviewState.APPROVED, "ada", "intended")
    assert ledger.reviews.waiting() == []


def test_what_does_not_wait_cannot_be_decided(ledger: Ledger):
    with pytest.raises(LedgerError, match="No decision on 2026-11-21/clip is waiting at the quality stage"):
        ledger.reviews.decide(_CLIP, "quality", ReviewState.APPROVED, by="ada")
    ledger.reviews.open(_CLIP, "quality", "dark")
    ledger.reviews.decide(_CLIP, "quality", ReviewState.REJECTED, by="ada")
    with pytest.raises(LedgerError, match="No decision"):
        ledger.reviews.decide(_CLIP, "quality", ReviewState.APPROVED, by="bob")


def test_a_question_that_was_withdrawn_waits_no_more_and_may_be_asked_again(ledger: Ledger):
    ledger.reviews.open(_CLIP, "generation", "three refusals")
    ledger.reviews.open(_CLIP, "quality", "dark")
    ledger.reviews.withdraw(_CLIP, "generation")
    assert [review.stage for review in ledger.reviews.waiting()] == ["quality"]
    assert ledger.reviews.open(_CLIP, "generation", "an answer was lost")


def test_questions_about_earlier_files_are_withdrawn_and_no_others(ledger: Ledger):
    stages = ("raw 1", "raw 2", "raw 3", "technical 1", "generation")
    for clip_id in (_CLIP, f"{_CLIP}-other"):
        for stage in stages:
            ledger.reviews.open(clip_id, stage, "dark")
    ledger.reviews.decide(_CLIP, "raw 1", ReviewState.APPROVED, by="ada")
    ledger.reviews.withdraw_others(_CLIP, ReviewStage.RAW, keep="raw 3")
    left = {review.stage for review in ledger.reviews.waiting() if review.clip_id == _CLIP}
    assert left == {"raw 3", "technical 1", "generation"}
    assert ledger.reviews.get(_CLIP, "raw 1") is not None
    assert len(ledger.reviews.waiting()) == len(left) + len(stages)


def test_a_decision_is_not_withdrawn(ledger: Ledger):
    ledger.reviews.open(_CLIP, "generation", "three refusals")
    ledger.reviews.decide(_CLIP, "generation", ReviewState.REJECTED, by="ada")
    ledger.reviews.withdraw(_CLIP, "generation")
    review = ledger.reviews.get(_CLIP, "generation")
    assert review is not None and review.state is ReviewState.REJECTED


def test_reviews_are_found_by_the_day_of_their_clip(ledger: Ledger):
    ledger.reviews.open(_CLIP, "quality", "dark")
    ledger.reviews.open("2026-11-22/clip", "quality", "dark")
    assert [review.clip_id for review in ledger.reviews.of_day(DAY)] == [_CLIP]
    assert ledger.reviews.get(_CLIP, "generation") is None


def _alert(ledger: Ledger, cause: str = "stuck job-7", *, again_after_s: float = 86_400) -> bool:
    return ledger.alerts.add(
        cause,
        severity="warning",
        title=cause,
        text="No news for an hour.",
        fields={},
        again_after_s=again_after_s,
        failed_again_after_s=0,
    )


def _claim(ledger: Ledger) -> Claim | None:
    return ledger.alerts.claim(hold_s=60, messages_a_minute=1000)


def test_a_cause_is_to_be_told_once_however_many_ask(ledger: Ledger):
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda _: _alert(ledger), range(16)))
    assert sum(first) == 1
    (row,) = ledger.alerts.latest()
    assert (row["cause"], row["count"]) == ("stuck job-7", 16)


def test_an_alert_is_one_sender_s_however_many_ask(ledger: Ledger):
    for number in range(20):
        _alert(ledger, f"cause {number}")
    with ThreadPoolExecutor(8) as pool:
        claims = [claim for claim in pool.map(lambda _: _claim(ledger), range(30)) if claim is not None]
    causes = [alert.cause for claim in claims for alert in claim.alerts]
    assert sorted(causes) == sorted(f"cause {number}" for number in range(20))


@pytest.mark.parametrize(
    ("deliveries", "again"),
    [
        pytest.param([_FAILED], True, id="the only channel failed"),
        pytest.param([_FAILED, _FAILED], True, id="every channel failed"),
        pytest.param([_FAILED, _SENT], False, id="one channel was reached"),
        pytest.param([_SENT], False, id="sent"),
        pytest.param([_NOT_CONFIGURED], False, id="no channel"),
    ],
)
def test_a_cause_is_told_again_soon_only_when_it_reached_nobody(
    ledger: Ledger, deliveries: list[Delivery], again: bool
):
    assert _alert(ledger)
    claim = _claim(ledger)
    assert claim is not None
    ledger.alerts.settle(claim, [Outcome(claim.alerts[0], tuple(deliveries), None)], posted=True)
    assert _alert(ledger) is again
    assert _alert(ledger, again_after_s=0) is not again


def test_the_alerts_that_occurred_last_come_first(ledger: Ledger):
    for cause in ("a", "b", "c", "a"):
        _alert(ledger, cause)
    assert [row["cause"] for row in ledger.alerts.latest()] == ["a", "c", "b"]
    assert [row["cause"] for row in ledger.alerts.latest(limit=1)] == ["a"]


def test_a_file_belongs_to_the_day_that_claimed_it_first(ledger: Ledger):
    file = {"sha256": sha256("content"), "name": "briefs.yaml"}
    assert ledger.intake.claim_file(**file, day=DAY) == DAY
    assert ledger.intake.claim_file(**file, day=DAY + timedelta(days=1)) == DAY
    assert ledger.intake.claimed_files() == {("briefs.yaml", file["sha256"]): DAY}


def test_an_edited_or_renamed_file_is_another_file(ledger: Ledger):
    tomorrow = DAY + timedelta(days=1)
    ledger.intake.claim_file(sha256=sha256("content"), name="briefs.yaml", day=DAY)
    assert ledger.intake.claim_file(sha256=sha256("edited"), name="briefs.yaml", day=tomorrow) == tomorrow
    assert ledger.intake.claim_file(sha256=sha256("content"), name="copy.yaml", day=tomorrow) == tomorrow


def test_a_file_claimed_by_many_days_at_once_gets_one(ledger: Ledger):
    days = [DAY + timedelta(days=number % 8) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        owners = set(pool.map(lambda day: ledger.intake.claim_file(sha256=sha256(""), name="a.csv", day=day), days))
    assert len(owners) == 1


def test_the_brief_in_force_is_the_last_one_written(ledger: Ledger):
    for title in ("first", "second", "second"):
        ledger.intake.record_brief(
            clip_id=_CLIP, day=DAY, brief_id="clip", sha256=sha256(title), document={"title": title}
        )
    with ledger.engine.connect() as connection:
        (row,) = connection.execute(select(briefs)).mappings()
    assert (row["document"], row["sha256"]) == ({"title": "second"}, sha256("second"))


def test_a_quarantined_document_is_new_once_a_day(ledger: Ledger):
    document = {"source": "a.yaml#2", "sha256": sha256("raw"), "reasons": ["title: missing"], "raw": "{}"}
    for day in (DAY, DAY, DAY + timedelta(days=1)):
        ledger.intake.record_quarantined(day, [document, document])
    assert [len(ledger.intake.quarantined(DAY + timedelta(days=days))) for days in range(3)] == [1, 1, 0]
    (kept,) = ledger.intake.quarantined(DAY)
    assert (kept["source"], kept["reasons"], kept["raw"]) == ("a.yaml#2", ["title: missing"], "{}")
