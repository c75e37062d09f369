"""What a plan expected of a clip beside what came of it, and a day's spending from that."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from video_pipeline.briefs import storyboard_of
from video_pipeline.clips import ClipStatus
from video_pipeline.feedback import Cause, Expectation, expectations_of, spending_of
from video_pipeline.feedback.spending import beyond_plan, planned_usd_per_clip, usd_per_clip
from video_pipeline.ledger import Job, JobState
from video_pipeline.routing import ClipPlan, Decision, Tier
from video_pipeline_tests.briefs.documents import a_brief
from video_pipeline_tests.feedback.rows import DAY, a_fact, a_tier
from video_pipeline_tests.ledger.rows import a_job

_CLIP = f"{DAY}/one"
_TIERS = {"sandbox/sprint": "preview", "sandbox/dash": "preview", "sandbox/steady": "production"}
_NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _plan(held: str | None = None, **fields: object) -> ClipPlan:
    decision = Decision(
        shot=0,
        tier=Tier.PREVIEW,
        model=None if held else "sandbox/sprint",
        attempt_usd=Decimal("0.10"),
        acceptance=0.8,
        held=held,
    )
    board = storyboard_of(a_brief("one", **fields), DAY, cap_s=15)
    return ClipPlan(
        clip_id=_CLIP, storyboard=board, decisions=(decision,), expected_usd=Decimal(0), p90_usd=Decimal(0)
    )


def _attempt(number: int, usd: str, state: JobState = JobState.ACCEPTED, **fields: object) -> Job:
    fields = {"clip_id": _CLIP, "submitted_at": _NOON, **fields}
    return a_job(f"{number}", attempt=number, billed_usd=Decimal(usd), state=state, **fields)


def _expectation(plan: ClipPlan, *jobs: Job) -> Expectation:
    return expectations_of([plan], jobs, _TIERS, max_attempts=4)[_CLIP]


def test_a_clip_that_a_freeze_holds_keeps_its_planned_price():
    expectation = _expectation(_plan(held="the preview tier is frozen"))
    assert expectation.planned_usd == Decimal("0.1248")
    assert (expectation.expected_usd, expectation.attempts) == (0, 0)


def test_attempts_are_held_against_the_plan_by_cause():
    jobs = [
        _attempt(0, "0.10", JobState.REJECTED),
        _attempt(1, "0.00", JobState.FAILED),
        _attempt(2, "0.16", model="sandbox/dash"),
    ]
    expectation = _expectation(_plan(), *jobs)
    assert expectation.expected_usd == Decimal("0.1248")
    assert (expectation.attempts, expectation.accepted) == (3, 1)
    assert expectation.expected_accepted == pytest.approx(2.4)
    assert (expectation.price_usd, expectation.leak_usd) == (Decimal("0.06"), 0)


def test_a_dearer_tiers_model_that_was_not_planned_is_a_leak():
    expectation = _expectation(_plan(), _attempt(0, "0.35", model="sandbox/steady"))
    assert (expectation.price_usd, expectation.leak_usd) == (0, Decimal("0.25"))


def test_what_the_cache_served_was_not_tried():
    cached = _attempt(0, "0.00", cached_from="another", submitted_at=None)
    assert _expectation(_plan(), cached).expected_usd == 0


def test_a_brief_that_lacks_metadata_is_counted():
    assert _expectation(_plan(quality=None)).assumed and not _expectation(_plan()).assumed


def test_a_day_is_summed_by_tier_with_what_waits_at_its_planned_price():
    bought = _expectation(_plan(), _attempt(0, "0.10"))
    held = _expectation(_plan(held="frozen"))
    facts = [
        a_fact("one", expectation=bought, generation_usd=Decimal("0.10")),
        a_fact("cached", cached=True, attempts=0, expectation=held),
        a_fact("held", status=ClipStatus.WAITING, attempts=0, expectation=held),
        a_fact("old", generation_usd=Decimal("0.30"), tier="production"),
        a_fact("refused", status=ClipStatus.REJECTED, attempts=0, expectation=held),
    ]
    preview, production = spending_of(facts)
    assert (preview.tier, preview.made, preview.waiting, preview.compared) == ("preview", 2, 1, 1)
    assert (preview.paid_usd, preview.waiting_usd) == (Decimal("0.10"), Decimal("0.1248"))
    assert (production.made, production.compared) == (1, 0)
    assert usd_per_clip([preview, production]) == Decimal("0.5248") / 4
    assert planned_usd_per_clip([preview, production]) == Decimal("0.1248")


def test_clips_that_wait_are_thought_to_drift_as_those_of_their_tier_do():
    def day(made: int, waiting: int) -> float:
        leak = Decimal("0.30") * made
        rows = [
            a_tier(made=made, waiting=waiting, compared_usd=Decimal("0.40") * made, leak_usd=leak),
            a_tier("production", made=10, planned="0.40"),
        ]
        shares = beyond_plan(rows)
        assert shares[Cause.PRICE] == shares[Cause.RETRIES] == 0
        return shares[Cause.LEAK]

    assert day(20, 0) == pytest.approx(day(3, 17)) == pytest.approx(1)
