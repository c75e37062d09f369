"""Ceilings: what may not be bought waits or is refused in a sentence, and goes on when it may."""

from decimal import Decimal

import httpx
import pytest

from video_pipeline import days
from video_pipeline.clips import ClipStatus, GeneratedClip, ReviewedClip
from video_pipeline.ledger import JobState, WaitCause
from video_pipeline_tests.integration.conftest import House, NewHouse
from video_pipeline_tests.integration.small_day import a_brief, assert_books_agree, drop, sandbox_books

DAY = days.today()


@pytest.fixture(autouse=True)
def day_of_the_test() -> None:
    """Collected before midnight, it may be run after it."""
    global DAY
    DAY = days.today()


@pytest.fixture
def house(new_house: NewHouse) -> House:
    built = new_house()
    drop(built.inbox, DAY, a_brief("lantern"), a_brief("kettle"))
    return built


def test_over_the_ceiling_clips_wait_the_day_succeeds_and_goes_on_when_there_is_money(house: House) -> None:
    house.run("production_day", DAY, {"budget": {"daily_ceiling_usd": "0.01"}})
    clips = house.rows("generated_clips", DAY, GeneratedClip)
    assert [clip.status for clip in clips] == [ClipStatus.WAITING] * 2
    assert all("the daily ceiling of $0.01 would be passed" in clip.reason for clip in clips)
    assert sandbox_books(house.services.sandbox.base_url)["requests"] == []

    house.run("production_day", DAY)
    assert [clip.status for clip in house.rows("reviewed_clips", DAY, ReviewedClip)] == [ClipStatus.PASSED] * 2
    assert_books_agree(house.services.ledger, house.services.sandbox.base_url)


def test_the_ceiling_lets_the_first_clip_through_and_holds_the_second(house: House) -> None:
    house.run("production_day", DAY, {"budget": {"daily_ceiling_usd": "0.03"}})
    house.run("nightly_scoring", DAY)
    statuses = sorted(clip.status for clip in house.rows("reviewed_clips", DAY, ReviewedClip))
    assert statuses == [ClipStatus.PASSED, ClipStatus.WAITING]
    assert house.services.ledger.spend.committed_usd(DAY) < Decimal("0.03")
    assert_books_agree(house.services.ledger, house.services.sandbox.base_url)


def test_a_plan_over_the_cap_fails_in_a_sentence_and_nothing_was_sent(house: House) -> None:
    result = house.run("production_day", DAY, {"budget": {"plan_cap_usd": "0.01"}}, succeeds=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "generation_plan"
    assert failure.step_failure_data.error is not None
    said = failure.step_failure_data.error.message
    assert f"The plan for {DAY} is expected to cost $0.0" in said
    assert "over the cap of $0.01. Nothing of that is bought." in said
    assert not (house.folder / "state" / "sandbox").exists(), "the provider was not even looked for"
    assert house.services.ledger.jobs.in_state(*JobState) == []
    assert house.services.ledger.spend.by_clip(DAY) == {}


def test_a_day_that_is_bought_runs_again_whatever_the_cap(house: House) -> None:
    house.run("production_day", DAY)
    house.run("production_day", DAY, {"budget": {"plan_cap_usd": "0.01"}})
    assert [clip.status for clip in house.rows("reviewed_clips", DAY, ReviewedClip)] == [ClipStatus.PASSED] * 2
    assert_books_agree(house.services.ledger, house.services.sandbox.base_url)


def test_over_the_cap_a_day_takes_what_it_has_bought_to_its_end_and_buys_nothing_more(new_house: NewHouse) -> None:
    house = new_house()
    drop(house.inbox, DAY, a_brief("lantern"), a_brief("parade", prompt="A casino night on a stage"))
    control = f"{house.services.sandbox.base_url}/_sandbox/faults"
    httpx.post(control, json={"fault": "result_503", "times": 1000}, trust_env=False).raise_for_status()
    house.run("production_day", DAY, {"generation": {"backoff_s": [0.01], "poll_patience_s": 0.1}})
    assert [clip.status for clip in house.rows("reviewed_clips", DAY, ReviewedClip)] == [ClipStatus.WAITING] * 2
    httpx.delete(control, trust_env=False).raise_for_status()

    drop(house.inbox, DAY, a_brief("kettle"))
    house.run("production_day", DAY, {"budget": {"plan_cap_usd": "0.01"}})
    clips = {clip.brief_id: clip for clip in house.rows("reviewed_clips", DAY, ReviewedClip)}
    assert clips["lantern"].status is ClipStatus.PASSED
    assert clips["kettle"].status is ClipStatus.WAITING
    assert "over the cap of $0.01. Nothing of that is bought." in clips["kettle"].reason
    # The refused one would be sent in other words.
    assert clips["parade"].status is ClipStatus.WAITING
    waits = house.services.ledger.waits.all()
    assert {wait.subject for wait in waits} == {f"{DAY}/kettle", f"{DAY}/parade"}
    assert {(wait.why.cause, wait.why.hinges_on) for wait in waits} == {(WaitCause.CEILING, "plan")}
    assert all(wait.why.usd is not None and wait.why.usd > Decimal("0.01") for wait in waits)
    (told,) = [row for row in house.services.ledger.alerts.latest() if "over the cap" in row["title"]]
    assert told["severity"] == "critical"
    assert len(sandbox_books(house.services.sandbox.base_url)["requests"]) == 2

    house.run("production_day", DAY)
    clips = {clip.brief_id: clip.status for clip in house.rows("reviewed_clips", DAY, ReviewedClip)}
    assert clips == {
        "lantern": ClipStatus.PASSED,
        "kettle": ClipStatus.PASSED,
        "parade": ClipStatus.REVIEW,
    }
    assert_books_agree(house.services.ledger, house.services.sandbox.base_url)
