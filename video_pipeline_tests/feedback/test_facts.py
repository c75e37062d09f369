"""Clip facts: each number followed from the ledger's rows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from video_pipeline.briefs import storyboard_of
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.feedback import ClipFact, Outcome, book_delivery, build_facts
from video_pipeline.ledger import (
    OUTSIDE_THE_SHOT,
    Bill,
    Failure,
    FailureKind,
    Job,
    JobKind,
    JobState,
    Ledger,
    PublicationState,
    Review,
    ReviewStage,
    ReviewState,
    SpendCategory,
)
from video_pipeline.policy import Policy
from video_pipeline.publishing import Engagement, PublishRecord
from video_pipeline_tests.briefs.documents import a_brief
from video_pipeline_tests.ledger.rows import DAY, a_job, accepted, submitted

_CLIP = f"{DAY}/one"
_BOARD = storyboard_of(a_brief("one", hook="question", style="warm"), DAY, cap_s=15)
_NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _clip(**fields: Any) -> ReviewedClip:
    values: dict[str, Any] = {
        "clip_id": _CLIP,
        "brief_id": "one",
        "day": DAY,
        "status": ClipStatus.PASSED,
        "tier": "preview",
        "model": "sandbox/sprint",
        "attempts": 1,
    }
    return ReviewedClip(**(values | fields))


def _ended(name: str, state: JobState, **fields: Any) -> Job:
    return a_job(name, clip_id=_CLIP, state=state, submitted_at=_NOON, **fields)


def _fact(*jobs: Job, clip: ReviewedClip | None = None, **sources: Any) -> ClipFact:
    values: dict[str, Any] = {
        "storyboards": {_CLIP: _BOARD},
        "costs": {},
        "records": [],
        "engagement": [],
        "own_tiers": {"sandbox/sprint": "preview"},
        "expectations": {},
        "times": {},
    }
    (fact,) = build_facts(clips=[clip or _clip()], jobs=jobs, **(values | sources))
    return fact


def test_the_cost_lines_are_the_ledgers(ledger: Ledger, policy: Policy):
    refused = submitted(ledger, a_job("one"))
    ledger.jobs.failed(refused, Failure(FailureKind.MODERATION, "refused"), bill=Bill(Decimal("0.01"), 0.5))
    accepted(ledger, a_job("two", clip_id=_CLIP, attempt=1))
    ledger.spend.book_once(
        "upscaling",
        day=DAY,
        clip_id=_CLIP,
        tier="preview",
        category=SpendCategory.UPSCALING,
        usd=Decimal("0.001"),
        note="measured",
    )
    record = PublishRecord(
        clip_id=_CLIP, brief_id="one", day=DAY, platform="youtube_shorts", state=PublicationState.PUBLISHED
    )
    for _ in range(2):
        book_delivery(ledger, policy.costs, [_clip(audio=True)], [record])
    fact = _fact(*ledger.jobs.of_day(DAY), costs=ledger.spend.by_clip(DAY))
    assert (fact.generation_usd, fact.retry_usd) == (Decimal("0.01"), Decimal("0.044"))
    assert (fact.upscaling_usd, fact.audio_usd, fact.distribution_usd) == (
        Decimal("0.001"),
        Decimal("0.004"),
        Decimal("0.002"),
    )
    assert fact.total_usd == Decimal("0.061")
    assert fact.rendered_s == 2.5


def test_a_bill_of_the_vendor_is_what_the_clip_has_cost(ledger: Ledger):
    billed, listed = accepted(ledger, a_job("one")), accepted(ledger, a_job("two", clip_id=_CLIP, attempt=1))
    ledger.jobs.vendor_billed(billed.key, Decimal("0.07"))
    fact = _fact(*ledger.jobs.of_day(DAY), costs=ledger.spend.by_clip(DAY))
    assert (fact.generation_usd, fact.retry_usd) == (Decimal("0.07"), listed.billed_usd)
    assert (fact.vendor_usd, fact.list_usd) == (Decimal("0.07"), listed.billed_usd)
    assert fact.by_model[0].billed_usd == Decimal("0.07") + listed.billed_usd
    assert fact.first_tries[0].billed_usd == Decimal("0.07")


def test_what_the_own_gpu_has_made_is_neither_billed_nor_listed():
    fact = _fact(
        _ended("at home", JobState.ACCEPTED, provider="comfyui", billed_usd=Decimal("0.0004")),
        costs={_CLIP: {SpendCategory.GENERATION: Decimal("0.0004")}},
    )
    assert (fact.own_gpu_usd, fact.vendor_usd, fact.list_usd) == (Decimal("0.0004"), 0, 0)


@pytest.mark.parametrize(
    ("clip", "published", "booked"),
    [
        ({"audio": True}, True, {"audio", "distribution"}),
        ({"audio": False}, True, {"distribution"}),
        ({"audio": True}, False, {"audio"}),
        ({"audio": True, "status": ClipStatus.REJECTED}, False, set()),
    ],
)
def test_delivery_is_booked_for_what_was_delivered(
    ledger: Ledger, policy: Policy, clip, published: bool, booked: set
):
    state = PublicationState.PUBLISHED if published else PublicationState.FAILED
    record = PublishRecord(clip_id=_CLIP, brief_id="one", day=DAY, platform="youtube_shorts", state=state)
    book_delivery(ledger, policy.costs, [_clip(**clip)], [record])
    assert set(ledger.spend.by_clip(DAY).get(_CLIP, {})) == booked


_USD = {"billed_usd": Decimal("0.044"), "billed_s": 2.0}


@pytest.mark.parametrize(
    ("job", "status", "waste"),
    [
        pytest.param(_ended("a", JobState.ACCEPTED, **_USD), ClipStatus.PASSED, {}, id="used"),
        pytest.param(
            _ended("a", JobState.ACCEPTED, **_USD), ClipStatus.REJECTED, {"clip rejected": "0.044"}, id="clip"
        ),
        pytest.param(_ended("a", JobState.REJECTED, **_USD), ClipStatus.PASSED, {"quality": "0.044"}, id="quality"),
        pytest.param(
            _ended("a", JobState.FAILED, failure_kind=FailureKind.MODERATION, **_USD),
            ClipStatus.PASSED,
            {"moderation": "0.044"},
            id="billed refusal",
        ),
        pytest.param(
            _ended("a", JobState.FAILED, failure_kind=FailureKind.GENERATION, **_USD),
            ClipStatus.PASSED,
            {"generation": "0.044"},
            id="generation",
        ),
        pytest.param(
            _ended("a", JobState.FAILED, failure_kind=FailureKind.MODERATION),
            ClipStatus.PASSED,
            {},
            id="free refusal",
        ),
    ],
)
def test_what_was_paid_for_nothing_is_waste_by_its_cause(job: Job, status: ClipStatus, waste: dict[str, str]):
    fact = _fact(job, clip=_clip(status=status))
    assert fact.waste == {cause: Decimal(usd) for cause, usd in waste.items()}


def test_waste_of_one_cause_is_added_up_and_never_more_than_was_billed():
    jobs = [_ended(str(number), JobState.REJECTED, **_USD) for number in range(3)]
    fact = _fact(*jobs, _ended("used", JobState.ACCEPTED, **_USD))
    assert fact.waste == {"quality": Decimal("0.132")}
    assert sum(fact.waste.values()) < sum(job.billed_usd for job in jobs) + _USD["billed_usd"]


def test_attempts_are_counted_by_how_they_ended():
    fact = _fact(
        _ended("a", JobState.ACCEPTED, **_USD),
        _ended("b", JobState.REJECTED, **_USD),
        _ended("c", JobState.FAILED, failure_kind=FailureKind.MODERATION),
        _ended("d", JobState.FAILED, failure_kind=FailureKind.GENERATION),
        _ended("e", JobState.ACCEPTED, model="sandbox/dash", **_USD),
    )
    sprint, dash = fact.by_model
    assert (sprint.attempts, sprint.accepted, sprint.rejections, sprint.refusals, sprint.failures) == (4, 1, 1, 1, 1)
    assert (sprint.billed_usd, sprint.billed_s) == (Decimal("0.088"), 4.0)
    assert (dash.model, dash.attempts, dash.accepted) == ("sandbox/dash", 1, 1)


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        # One that is made in the end can be made: each model that has refused it is to blame.
        (JobState.ACCEPTED, {"sandbox/sprint": (2, 2), "sandbox/dash": (1, 1), "sandbox/steady": (1, 0)}),
        (JobState.FAILED, {"sandbox/sprint": (2, 2)}),
    ],
)
def test_a_shot_that_every_model_refuses_counts_against_the_first(outcome: JobState, counted: dict):
    refused: dict[str, Any] = {"state": JobState.FAILED, "failure_kind": FailureKind.MODERATION}
    last = refused if outcome is JobState.FAILED else {"state": outcome}
    fact = _fact(
        _ended("a", attempt=0, shot_sha256="s", **refused),
        _ended("b", attempt=1, shot_sha256="s", **refused),
        _ended("c", attempt=2, shot_sha256="s", model="sandbox/dash", **refused),
        _ended("d", attempt=3, shot_sha256="s", model="sandbox/steady", **last),
    )
    assert {one.model: (one.attempts, one.refusals) for one in fact.by_model} == counted


def test_attempts_are_counted_by_the_kind_of_their_shot():
    shots = [{"prompt": "A man running", "duration_s": 2}, {"prompt": "A wide skyline", "duration_s": 2}]
    board = storyboard_of(a_brief("one", prompt=None, duration_s=None, shots=shots), DAY, cap_s=15)
    action, wide = (board.shot_sha256(shot) for shot in board.shots)
    fact = _fact(
        _ended("a", JobState.ACCEPTED, shot_sha256=action),
        _ended("b", JobState.REJECTED, shot_sha256=action),
        _ended("c", JobState.ACCEPTED, shot_sha256=wide),
        _ended("d", JobState.ACCEPTED, shot_sha256="as it stood before an edit"),
        storyboards={_CLIP: board},
    )
    (counted,) = fact.by_model
    assert (counted.attempts, counted.kinds) == (4, {"action": (2, 1), "establishing": (1, 1)})


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(_ended("a", JobState.ACCEPTED, cached_from="f" * 64), id="served from the cache"),
        pytest.param(a_job("a", clip_id=_CLIP, state=JobState.REFUSED), id="refused by our own budget"),
        pytest.param(a_job("a", clip_id=_CLIP, state=JobState.FAILED), id="never sent"),
        pytest.param(_ended("a", JobState.PROCESSING), id="under way"),
        pytest.param(_ended("a", JobState.ACCEPTED, kind=JobKind.IMAGE), id="a picture to anchor on"),
    ],
)
def test_what_no_model_was_asked_is_no_attempt_at_it(job: Job):
    assert _fact(job).by_model == ()


def test_generation_takes_from_the_first_submit_to_the_last_end():
    jobs = [
        a_job(
            str(number),
            clip_id=_CLIP,
            submitted_at=_NOON + timedelta(seconds=start),
            finished_at=_NOON + timedelta(seconds=end),
        )
        for number, (start, end) in enumerate([(5, 30), (0, 10), (20, 90)])
    ]
    assert _fact(*jobs).generation_s == 90.0
    assert _fact().generation_s == 0.0


def test_engagement_is_added_over_platforms_and_what_is_not_told_is_not_zero():
    def seen(platform: str, views: int | None, completion: float | None) -> Engagement:
        return Engagement(
            clip_id=_CLIP, brief_id="one", platform=platform, day=DAY, age_days=0, views=views, completion=completion
        )

    fact = _fact(engagement=[seen("youtube_shorts", 10, None), seen("tiktok", 5, 0.5)])
    assert (fact.views, fact.completion, fact.shares) == (15, 0.5, None)


def test_only_what_is_public_has_a_published_address():
    records = [
        PublishRecord(clip_id=_CLIP, brief_id="one", day=DAY, platform=name, state=state, url=f"https://{name}/v")
        for name, state in (
            ("youtube_shorts", PublicationState.PUBLISHED),
            ("tiktok", PublicationState.UNKNOWN),
            ("instagram_reels", PublicationState.FAILED),
        )
    ]
    assert _fact(records=records).published_urls == ("https://youtube_shorts/v",)


def test_jobs_of_another_clip_are_not_in_the_fact():
    fact = _fact(a_job("other", state=JobState.REJECTED, submitted_at=_NOON, **_USD))
    assert (fact.by_model, fact.waste, fact.rendered_s) == ((), {}, 0)


@pytest.mark.parametrize("status", ClipStatus)
def test_only_a_clip_that_passed_is_usable(status: ClipStatus):
    assert _fact(clip=_clip(status=status)).usable is (status is ClipStatus.PASSED)


def test_an_attempt_is_of_the_clips_tier_and_tells_the_models_own():
    fact = _fact(_ended("one", JobState.ACCEPTED), own_tiers={"sandbox/sprint": "production"})
    assert [(entry.tier, entry.own_tier) for entry in fact.by_model] == [("preview", "production")]
    assert [entry.own_tier for entry in _fact(_ended("one", JobState.ACCEPTED), own_tiers={}).by_model] == [""]


def test_a_clip_is_one_observation_of_each_model_that_it_was_first_tried_at():
    refused = {"failure_kind": FailureKind.MODERATION, "shot_sha256": "one", **_USD}
    jobs = [
        _ended("a", JobState.FAILED, attempt=0, finished_at=_NOON + timedelta(seconds=20), **refused),
        _ended("b", JobState.FAILED, attempt=1, **refused),
        _ended("c", JobState.ACCEPTED, attempt=2, model="sandbox/dash", shot_sha256="one"),
    ]
    first, second = _fact(*reversed(jobs)).firsts
    assert (first.model, first.outcome, first.rescue) == ("sandbox/sprint", Outcome.REFUSED, False)
    assert (first.seconds, first.billed_usd) == (20.0, Decimal("0.044"))
    assert (second.model, second.outcome, second.rescue) == ("sandbox/dash", Outcome.ACCEPTED, True)


@pytest.mark.parametrize("kind", sorted(OUTSIDE_THE_SHOT))
def test_what_failed_outside_the_shot_is_no_observation(kind: FailureKind):
    outage = _ended("a", JobState.FAILED, failure_kind=kind)
    (first,) = _fact(outage, _ended("b", JobState.REJECTED, attempt=1)).firsts
    assert (first.outcome, first.rescue) == (Outcome.REJECTED, False)


def test_a_fact_of_an_older_release_tells_its_first_tries_by_its_attempts():
    fact = _fact(
        _ended("a", JobState.FAILED, failure_kind=FailureKind.MODERATION),
        _ended("b", JobState.FAILED, failure_kind=FailureKind.MODERATION, attempt=1),
        _ended("c", JobState.ACCEPTED, attempt=2, model="sandbox/dash", shot_sha256="one"),
    )
    old = fact.model_copy(update={"firsts": ()})
    assert [(one.model, one.outcome, one.rescue) for one in old.first_tries] == [
        ("sandbox/sprint", Outcome.REFUSED, False),
        ("sandbox/dash", Outcome.ACCEPTED, True),
    ]


def test_a_fact_knows_its_kind_its_length_and_a_persons_word():
    def word(state: ReviewState) -> Review:
        return Review(_CLIP, ReviewStage.TECHNICAL, "looks odd", state, _NOON)

    assert (_fact().kind, _fact().length_s) == (_BOARD.shots[0].kind, sum(shot.duration_s for shot in _BOARD.shots))
    assert [_fact(reviews=[word(state)]).approved for state in ReviewState] == [None, True, False]
    assert _fact().approved is None
