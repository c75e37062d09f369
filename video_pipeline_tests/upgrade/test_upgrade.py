"""The last release's ledger and store under today's code: nothing means anything else, and a day runs on them."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from video_pipeline.clips import ClipStatus, GeneratedClip, ReviewedClip
from video_pipeline.feedback import ClipFact, CostReport, ModelScore, ModelStanding, judge_drift
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.requests import build_job
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState, PublicationState
from video_pipeline.publishing import Engagement
from video_pipeline.routing import ClipPlan
from video_pipeline.settings import Mode
from video_pipeline.storage import read_rows
from video_pipeline_tests.integration.conftest import House
from video_pipeline_tests.integration.small_day import a_brief, assert_books_agree, drop, sandbox_books
from video_pipeline_tests.upgrade.conftest import LAST_RELEASE, Upgraded
from video_pipeline_tests.upgrade.make_release import GOLDEN
from video_pipeline_tests.upgrade.release_days import (
    LANTERN,
    MONDAY,
    NEXT_DAY,
    POLICY,
    RELEASE_DAYS,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
)
from video_pipeline_tests.upgrade.row_types import row_types

REFUSED = "A politician waving from a stage"
"""What the release was refused, under every strategy that it had."""
BRIEFS = (
    a_brief("lantern-anew", prompt=LANTERN["prompt"]),
    a_brief("rally-anew", prompt=REFUSED),
    a_brief("orchard"),
    a_brief("tower", quality="standard"),
    a_brief("opera", quality="premium", native_audio=True),
)


def test_the_release_left_every_state_behind(upgraded: Upgraded) -> None:
    """Otherwise the tests below show less than they say."""
    states = {job["state"] for job in upgraded.meant["jobs"].values()}
    # Within a run a planned job is bought, and a stored one judged, in the same moment.
    assert states == {state.value for state in JobState} - {"planned", "stored"}
    published = {row["state"] for row in upgraded.meant["publications"].values()}
    assert published >= {"published", "publishing", "failed", "unknown", "not_connected"}
    assert all(upgraded.meant[section] for section in upgraded.meant)
    assert all(
        upgraded.meant["in_force"][name] for name in ("frozen", "demoted", "acceptance", "affinity", "guidance")
    )


SECTIONS = (
    "jobs",
    "publications",
    "reviews",
    "money",
    "in_force",
    "tiers",
    "standings",
    "inbox",
    "quarantine",
    "briefs",
    "metrics",
    "alerts",
)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_ledger_means_what_it_meant(upgraded: Upgraded, section: str) -> None:
    assert set(upgraded.means) == set(upgraded.meant) == set(SECTIONS)
    assert upgraded.means[section] == upgraded.meant[section]


def test_the_ledger_stays_in_its_world(upgraded: Upgraded) -> None:
    assert upgraded.house.services.ledger.governance.claim_world(Mode.LIVE) is Mode.SANDBOX


def test_a_night_that_was_judged_is_not_judged_again(upgraded: Upgraded) -> None:
    services = upgraded.house.services
    (preview, *_) = judge_drift(services.ledger, services.policy.drift, day=TUESDAY, reports=[])
    assert (preview.tier, preview.reason) == ("preview", "a later day has been judged, and its word stands")


def test_todays_code_asks_for_the_same_in_the_same_words(upgraded: Upgraded) -> None:
    """Else a clip that was made would be bought again, and a prompt that was refused sent again."""
    services = upgraded.house.services
    known = 0
    for day in RELEASE_DAYS:
        jobs = services.ledger.jobs.of_day(day)
        for plan in upgraded.house.rows("generation_plan", day, ClipPlan):
            for job in jobs:
                if job.clip_id == plan.clip_id:
                    again = build_job(
                        plan, plan.decisions[job.shot], _attempt(job, jobs), services.catalogue, run_id="again"
                    )
                    assert again.request_sha256 == job.request_sha256
                    assert again.order.model_copy(update={"seed": job.order.seed}) == job.order
                    known += 1
    assert known == len(upgraded.meant["jobs"])


# An asset that came later has left nothing.
_LEFT = [asset for asset in row_types() if (GOLDEN / LAST_RELEASE.name / f"{asset}.parquet").exists()]


@pytest.mark.parametrize("asset", _LEFT)
def test_every_table_of_the_release_is_read(upgraded: Upgraded, asset: str) -> None:
    store = upgraded.house.services.store
    tables = list(store.list(f"tables/{asset}/"))
    assert tables
    assert sum(len(read_rows(row_types()[asset], store.read_bytes(key), table=key)) for key in tables) > 0


@pytest.fixture(scope="module")
def continued(upgraded: Upgraded) -> House:
    """The two days that the release had not brought to their end, run again."""
    for day in (WEDNESDAY, THURSDAY):
        upgraded.house.run("production_day", day, POLICY)
    return upgraded.house


def test_what_was_under_way_is_continued_and_not_bought_again(continued: House, upgraded: Upgraded) -> None:
    under_way = {key: job for key, job in upgraded.meant["jobs"].items() if job["day"] == str(THURSDAY)}
    states = sorted(job["state"] for job in under_way.values())
    assert states == ["processing", "rendered", "reserved", "submitted", "submitting"]
    clips = continued.rows("reviewed_clips", THURSDAY, ReviewedClip)
    assert [clip.status for clip in clips] == [ClipStatus.PASSED] * len(under_way)
    jobs = {job.key: job for job in continued.services.ledger.jobs.of_day(THURSDAY)}
    assert set(jobs) == set(under_way), "another job was bought for a clip that had one"
    for key, before in under_way.items():
        assert jobs[key].state is JobState.ACCEPTED
        assert before["receipt"] in (None, jobs[key].provider_job_id)
    # Only the one that was reserved had never been sent.
    reserved = [job["prompt"] for job in under_way.values() if job["state"] == "reserved"]
    assert [prompt for prompt in _bought_since(upgraded) if "under-way" in prompt] == reserved
    assert_books_agree(continued.services.ledger, continued.services.sandbox.base_url)


def test_an_upload_under_way_goes_on_and_one_in_doubt_does_not(continued: House, upgraded: Upgraded) -> None:
    ledger = continued.services.ledger
    states = {row.clip_id: row.state for row in ledger.publications.of_days(TUESDAY, WEDNESDAY)}
    assert states[f"{WEDNESDAY}/halting"] is states[f"{WEDNESDAY}/pauper"] is PublicationState.PUBLISHED
    assert states[f"{TUESDAY}/vanished"] is PublicationState.UNKNOWN
    assert not [prompt for prompt in _bought_since(upgraded) if "halting" in prompt or "pauper" in prompt]


@pytest.fixture(scope="module")
def next_day(continued: House) -> House:
    """The day after the upgrade, produced and scored."""
    drop(continued.inbox, NEXT_DAY, *BRIEFS)
    continued.run("nightly_scoring", THURSDAY, POLICY)
    continued.run("production_day", NEXT_DAY, POLICY)
    continued.run("nightly_scoring", NEXT_DAY, POLICY)
    return continued


def test_an_identical_request_costs_nothing(next_day: House) -> None:
    clip = _clips(next_day)["lantern-anew"]
    assert (clip.status, clip.cached, clip.billed_usd) == (ClipStatus.GENERATED, True, Decimal(0))
    assert clip.saved_usd == Decimal("0.022")
    (job,) = _jobs(next_day, "lantern-anew")
    assert job.cached_from in {job.key for job in next_day.services.ledger.jobs.of_day(MONDAY)}


def test_a_refused_prompt_is_not_sent_again_but_in_softer_words(next_day: House) -> None:
    clip = _clips(next_day)["rally-anew"]
    assert (clip.status, clip.strategy) == (ClipStatus.GENERATED, Strategy.PROMPT_REMAPPING)
    known, softer = _jobs(next_day, "rally-anew")
    assert (known.failure_kind, known.submitted_at) == (FailureKind.MODERATION, None)
    assert "already refused" in (known.failure_reason or "")
    assert "politician" not in softer.order.prompt.lower()


def test_what_is_new_is_bought_once_from_whom_the_ledger_allows(next_day: House, upgraded: Upgraded) -> None:
    clips = _clips(next_day)
    assert (clips["orchard"].status, clips["orchard"].model) == (ClipStatus.GENERATED, "sandbox/sprint")
    # Production's cheapest model is demoted since days, and may prove itself; the cinematic tier is frozen.
    assert (clips["tower"].status, clips["tower"].model) == (ClipStatus.GENERATED, "sandbox/steady")
    assert clips["opera"].status is ClipStatus.WAITING
    plans = {plan.storyboard.brief.brief_id: plan for plan in next_day.rows("generation_plan", NEXT_DAY, ClipPlan)}
    assert "the cinematic tier is frozen" in (plans["opera"].held or "")
    asked = [prompt for prompt in _bought_since(upgraded) if "under-way" not in prompt]
    softer = {job.order.prompt for job in _jobs(next_day, "rally-anew")}
    bought = [prompt for prompt in asked if prompt not in softer]
    assert len(asked) == len(bought) + 1, "what was refused is asked for in softer words"
    assert bought == [brief["prompt"] for brief in BRIEFS if brief["brief_id"] in ("orchard", "tower")]
    assert_books_agree(next_day.services.ledger, next_day.services.sandbox.base_url)


def test_the_releases_days_count_in_the_scores(next_day: House) -> None:
    scores = {score.model: score for score in next_day.rows("model_scores", NEXT_DAY, ModelScore)}
    tried = Counter(
        job.model
        for day in (*RELEASE_DAYS, NEXT_DAY)
        for job in next_day.services.ledger.jobs.of_day(day)
        if job.kind is JobKind.VIDEO and job.state.final and job.submitted_at and not job.cached_from
        # What all refuse counts against the first.
        if not _is_others(job)
    )
    assert {model: score.attempts for model, score in scores.items() if score.attempts} == tried
    standings = {row.model: row for row in next_day.rows("model_standings", NEXT_DAY, ModelStanding)}
    assert (standings["sandbox/steady"].status, standings["sandbox/steady"].changed) == ("demoted", False)


def test_the_releases_days_count_in_the_costs(next_day: House) -> None:
    (report,) = next_day.rows("cost_report", NEXT_DAY, CostReport)
    for day in RELEASE_DAYS[:-1]:
        (before,) = next_day.rows("cost_report", day, CostReport)
        assert report.by_day[str(day)] == before.generation_usd_per_clip
    assert set(report.by_day) == {str(day) for day in (*RELEASE_DAYS, NEXT_DAY)}
    facts = {fact.brief_id: fact for fact in next_day.rows("clip_facts", NEXT_DAY, ClipFact)}
    assert facts["lantern-anew"].generation_usd == 0 < facts["orchard"].generation_usd


def test_what_the_release_published_is_still_watched(next_day: House, upgraded: Upgraded) -> None:
    published = {row["clip"] for row in upgraded.meant["publications"].values() if row["state"] == "published"}
    rows = {row.clip_id: row for row in next_day.rows("engagement", NEXT_DAY, Engagement)}
    assert published <= set(rows)
    assert all(rows[clip].views for clip in published)


def _is_others(job: Job) -> bool:
    """Whether a job is for another model than the one that has refused its shot."""
    return job.strategy == Strategy.OTHER_MODEL


def _bought_since(upgraded: Upgraded) -> list[str]:
    """Prompts of what the sandbox was asked for since the upgrade, sorted."""
    known = {request["request_id"] for request in upgraded.books["requests"]}
    requests = sandbox_books(upgraded.house.services.sandbox.base_url)["requests"]
    return sorted(request["input"]["prompt"] for request in requests if request["request_id"] not in known)


def _attempt(job: Job, jobs: Sequence[Job]) -> Attempt:
    """The step of the ladder that `job` was bought for."""
    pictures = [
        other
        for other in jobs
        if (other.clip_id, other.shot, other.attempt) == (job.clip_id, job.shot, job.attempt)
        and other.kind is JobKind.IMAGE
    ]
    image = pictures[0] if pictures and job.kind is JobKind.VIDEO else None
    return Attempt(job.attempt, Strategy(job.strategy), job.order.prompt, kind=job.kind, image=image)


def _clips(house: House) -> dict[str, Any]:
    return {clip.brief_id: clip for clip in house.rows("generated_clips", NEXT_DAY, GeneratedClip)}


def _jobs(house: House, brief_id: str) -> list[Job]:
    return [job for job in house.services.ledger.jobs.of_day(NEXT_DAY) if job.clip_id == f"{NEXT_DAY}/{brief_id}"]
