"""Refusals and failures of every class: what the engine does, what it costs, and when a person is asked."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import select, update

from video_pipeline.clips import ClipStatus
from video_pipeline.errors import LedgerError
from video_pipeline.generation import PROVIDERS, find_unknown, resolve_unknown
from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.ledger import FailureKind, Job, JobKind, JobState, Mark, ReviewState
from video_pipeline.ledger.schema import clip_marks, jobs
from video_pipeline.orders import Ending
from video_pipeline.routing import Tier
from video_pipeline_tests.contract.edge import usd
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, let_probe, let_settle, quick

PRICE = Decimal("0.022")
STILL = Decimal("0.003")
HARBOUR = "a harbour at dawn"
CEO = "Close-up of CEO speaking with confidence"


def strategies(stage: Stage) -> list[str]:
    return [job.strategy for job in stage.jobs()]


def assert_waits_for_a_person(stage: Stage, clip_id: str) -> None:
    review = stage.ledger.reviews.get(clip_id, "generation")
    assert review is not None
    assert review.state is ReviewState.WAITING
    assert told(stage, clip_id) == [f"{clip_id}: {review.reason}"]


def told(stage: Stage, clip_id: str) -> list[str]:
    """What people were told about the clip, in the order of time."""
    alerts = reversed(stage.ledger.alerts.latest())
    return [alert["text"] for alert in alerts if alert["cause"].startswith(f"review {clip_id} ")]


# --- the ladder --------------------------------------------------------------------------------------------------


def test_a_refused_prompt_is_remapped(stage: Stage) -> None:
    clip = stage.one(brief_of(CEO))
    assert (clip.status, clip.strategy, clip.attempts) == (ClipStatus.GENERATED, "prompt_remapping", 2)
    assert clip.billed_usd == PRICE
    refused, made = stage.jobs()
    assert (refused.state, refused.failure_kind, refused.billed_usd) == (
        JobState.FAILED,
        FailureKind.MODERATION,
        0,
    )
    assert made.order.prompt == "Medium shot, professional setting, minimal expression"
    assert "content_policy_violation" in made.reason


def test_a_shot_is_substituted_where_no_words_help(stage: Stage) -> None:
    clip = stage.one(brief_of("A casino night", broll=("flags in the wind",)))
    assert (clip.status, clip.strategy) == (ClipStatus.GENERATED, "shot_substitution")
    assert stage.jobs()[-1].order.prompt == "flags in the wind"
    assert usd(stage.requests) == PRICE


def test_a_clip_starts_from_a_picture_where_text_alone_is_refused(stage: Stage) -> None:
    stage.edge.fault("refuse_input", match="text-to-video", times=3)
    clip = stage.one(brief_of(CEO, broll=("hands typing",)))
    assert (clip.status, clip.strategy) == (ClipStatus.GENERATED, "image_anchoring")
    assert strategies(stage) == ["original", "prompt_remapping", *["shot_substitution"], *["image_anchoring"] * 2]
    picture, moving = stage.jobs()[-2:]
    assert (picture.kind, moving.kind) == (JobKind.IMAGE, JobKind.VIDEO)
    assert moving.order.start_image == picture.media_url
    assert clip.billed_usd == PRICE + STILL
    assert clip.attempts == 4


def test_a_clip_starts_from_a_picture_at_another_model_where_its_own_takes_none(stage: Stage) -> None:
    blind = [
        model.model_copy(update={"image_to_video": model.tier is not Tier.PREVIEW})
        for model in stage.catalogue.models
    ]
    stage.catalogue = stage.catalogue.model_copy(update={"models": tuple(blind)})
    stage.edge.fault("refuse_input", match="text-to-video", times=3)
    clip = stage.one(brief_of(CEO, broll=("hands typing",)))
    assert (clip.status, clip.strategy, clip.tier) == (ClipStatus.GENERATED, "image_anchoring", "preview")
    *_, picture, moving = stage.jobs()
    assert (moving.model, moving.tier, moving.order.start_image) == ("sandbox/steady", "preview", picture.media_url)
    assert clip.stills == (picture.media_key,)
    assert clip.fall_over.startswith(
        "sandbox/steady instead of sandbox/sprint, as sandbox/sprint starts from no picture; $"
    )
    assert clip.fall_over in moving.reason
    assert clip.billed_usd == usd(stage.requests)


def test_no_picture_is_bought_where_no_adequate_model_starts_from_one(stage: Stage) -> None:
    blind = [model.model_copy(update={"image_to_video": False}) for model in stage.catalogue.models]
    stage.catalogue = stage.catalogue.model_copy(update={"models": tuple(blind)})
    clip = stage.one(brief_of("A casino night"))
    assert clip.status is ClipStatus.REVIEW
    assert {job.kind for job in stage.jobs()} == {JobKind.VIDEO}


def test_a_shot_that_every_strategy_is_refused_for_goes_to_a_person_and_costs_nothing(stage: Stage) -> None:
    clip = stage.one(brief_of("A casino night"))
    assert (clip.status, clip.billed_usd) == (ClipStatus.REVIEW, 0)
    assert "refused by moderation" in clip.reason
    assert_waits_for_a_person(stage, clip.clip_id)
    asked = len(stage.requests)
    assert stage.one(brief_of("A casino night")).status is ClipStatus.REVIEW
    assert len(stage.requests) == asked


def test_a_known_refusal_is_not_sent_again(stage: Stage) -> None:
    stage.one(brief_of(CEO))
    assert len(stage.requests) == 2
    clip = stage.one(brief_of(CEO, brief_id="another"), day=stage.day + timedelta(days=1))
    assert (clip.status, clip.strategy, clip.cached) == (ClipStatus.GENERATED, "prompt_remapping", True)
    assert len(stage.requests) == 2


def test_a_refusal_of_the_finished_clip_is_paid_for_and_climbs_the_ladder(stage: Stage) -> None:
    stage.edge.fault("refuse_output")
    clip = stage.one(brief_of("A man smiling at the sea"))
    assert (clip.status, clip.strategy, clip.billed_usd) == (ClipStatus.GENERATED, "prompt_remapping", 2 * PRICE)
    refused, made = stage.jobs()
    assert (refused.ending, made.ending) == (Ending.OUTPUT_REFUSED, None)
    assert made.reason.startswith("sandbox/sprint took the prompt, and what it made was refused")


def test_the_time_of_a_verdict_cuts_off_neither_a_submit_nor_a_refusal_that_comes_later(stage: Stage) -> None:
    assert stage.policy.generation.moderation_verdict_s == 0.2
    stage.edge.fault("submit_delay", value=0.4, times=2)
    clip = stage.one(brief_of(CEO))
    assert (clip.status, clip.strategy, clip.attempts) == (ClipStatus.GENERATED, "prompt_remapping", 2)
    assert len(stage.requests) == 2


def test_a_prompt_that_passed_before_is_asked_once_more_where_its_provider_allows_that(stage: Stage) -> None:
    for fault in ("refuse_input", "retry_allowed"):
        stage.edge.fault(fault)
    clip = stage.one(brief_of(HARBOUR, brief_id="new"))
    assert stage.jobs()[0].ending is Ending.PROMPT_REFUSED
    assert clip.strategy != "original", "nothing says that it was chance"
    stage.one(brief_of(HARBOUR, brief_id="passes", duration_s=2))
    for fault in ("refuse_input", "retry_allowed"):
        stage.edge.fault(fault)
    clip = stage.one(brief_of(HARBOUR, brief_id="longer", duration_s=3))
    assert (clip.status, clip.strategy, clip.attempts) == (ClipStatus.GENERATED, "original", 2)
    assert clip.billed_usd == 3 * PRICE


def test_a_refused_segment_climbs_and_the_other_does_not(stage: Stage) -> None:
    shots = ({"prompt": CEO, "duration_s": 1}, {"prompt": HARBOUR, "duration_s": 1})
    clip = stage.one(brief_of(shots=shots))
    assert (clip.status, clip.strategy, clip.attempts) == (
        ClipStatus.GENERATED,
        "prompt_remapping+original",
        3,
    )


def test_a_kept_picture_is_still_good_when_the_providers_copy_is_gone(stage: Stage) -> None:
    stage.edge.fault("refuse_input", match="text-to-video", times=2)
    assert stage.one(brief_of(CEO)).status is ClipStatus.GENERATED
    for file in (stage.edge.state_dir / "media").glob("*.png"):
        file.unlink()
    # The same picture, for a clip of another length: the picture is in our store, the clip is new.
    stage.edge.fault("refuse_input", match="text-to-video", times=2)
    longer = brief_of(CEO, brief_id="longer", duration_s=2)
    clip = stage.one(longer, day=stage.day + timedelta(days=8))
    assert (clip.status, clip.strategy) == (ClipStatus.GENERATED, "image_anchoring")


# --- failures ----------------------------------------------------------------------------------------------------


def test_a_failed_job_is_tried_once_more_with_another_prompt_and_says_why(stage: Stage) -> None:
    stage.edge.fault("job_failed")
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.strategy, clip.billed_usd) == (ClipStatus.GENERATED, "modified_prompt", PRICE)
    failed, made = stage.jobs()
    assert failed.failure_kind is FailureKind.GENERATION
    assert HARBOUR in made.reason
    assert "generation_failed" in made.reason
    assert made.order.prompt not in ("", HARBOUR)


def test_a_job_that_fails_twice_goes_to_a_person(stage: Stage) -> None:
    stage.edge.fault("job_failed", times=2)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.billed_usd) == (ClipStatus.REVIEW, 0)
    assert_waits_for_a_person(stage, clip.clip_id)


@pytest.mark.parametrize(
    ("fault", "failed", "corrected"),
    [
        ("black", "black", True),
        ("frozen", "frozen", True),
        ("garbled", "garbled", True),
        ("truncated_mp4", "playable", False),
        ("corrupt_file", "playable", False),
        ("tiny_file", "file_size", False),
        ("wrong_size", "resolution", False),
        ("wrong_length", "duration", False),
    ],
)
def test_a_bad_clip_is_discarded_and_made_again(stage: Stage, fault: str, failed: str, corrected: bool) -> None:
    stage.edge.fault(fault)
    clip = stage.one(brief_of(HARBOUR))
    # What words can mend is asked for in other words; the rest is luck.
    asked_for = stage.policy.generation.corrections[failed] if corrected else ""
    strategy = "corrected_prompt" if corrected else "original"
    assert (clip.status, clip.strategy, clip.attempts) == (ClipStatus.GENERATED, strategy, 2)
    assert clip.billed_usd == 2 * PRICE
    rejected, made = stage.jobs()
    assert made.order.prompt == ". ".join(filter(None, (HARBOUR, asked_for)))
    checks = {check["name"]: check["passed"] for check in (rejected.verdict or {})["checks"]}
    assert (rejected.state, checks[failed]) == (JobState.REJECTED, False)
    assert failed in made.reason
    assert made.order.seed != rejected.order.seed


def test_a_clip_without_the_sound_that_was_paid_for_is_made_again(stage: Stage) -> None:
    stage.edge.fault("no_audio")
    clip = stage.one(brief_of(HARBOUR, quality="standard", native_audio=True))
    assert (clip.status, clip.attempts, clip.audio) == (ClipStatus.GENERATED, 2, True)


def test_three_bad_clips_in_a_row_go_to_a_person(stage: Stage) -> None:
    stage.edge.fault("black", times=9)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts, clip.billed_usd) == (ClipStatus.REVIEW, 3, 3 * PRICE)
    assert_waits_for_a_person(stage, clip.clip_id)


def test_three_bad_clips_from_a_picture_go_to_a_person(stage: Stage) -> None:
    stage.edge.fault("refuse_input", match="text-to-video", times=2)
    stage.edge.fault("black", match="image-to-video", times=99)
    clip = stage.one(brief_of(CEO), policy=quick(stage.policy, ceiling_usd="0.15"))
    assert clip.status is ClipStatus.REVIEW
    assert sum("image-to-video" in request["endpoint"] for request in stage.requests) == 3


def test_a_picture_that_another_clip_has_too_does_not_stop_the_ladder(stage: Stage) -> None:
    for name in ("one", "two"):
        stage.edge.fault("refuse_input", match="text-to-video", times=2)
        # Another clip, whose picture has the same words.
        clip = stage.one(brief_of(f"{CEO}{'.' * (name == 'two')}", brief_id=name))
        assert (clip.status, clip.strategy) == (ClipStatus.GENERATED, "image_anchoring")
        stage.edge.clear_faults()


def test_a_provider_that_is_busy_for_a_moment_is_asked_again(stage: Stage) -> None:
    stage.edge.fault("submit_429", value=0.05, times=2)
    stage.edge.fault("submit_503")
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts) == (ClipStatus.GENERATED, 1)
    assert len(stage.requests) == 1


def test_a_provider_that_stays_busy_fails_the_run_tells_somebody_and_is_asked_by_the_next(stage: Stage) -> None:
    stage.edge.fault("submit_503", times=99)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, stage.requests) == (ClipStatus.WAITING, [])
    # By then the provider itself may be left alone.
    assert "HTTP 503" in clip.reason or "does not work" in clip.reason
    assert any(cause.startswith("transient fal") for cause in stage.alerts())
    stage.edge.clear_faults()
    let_probe(stage.ledger)
    clip = stage.one(brief_of(HARBOUR))
    # Other models of the provider failed as well, and none of that keeps the shot from the cheapest one.
    assert (clip.status, clip.strategy, clip.model) == (ClipStatus.GENERATED, "original", "sandbox/sprint")
    assert len(stage.requests) == 1


def test_a_job_that_takes_too_long_is_asked_for_again_by_the_next_run_and_never_bought_again(stage: Stage) -> None:
    stage.edge.fault("stuck")
    clip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_timeout_s=0.5))
    assert (clip.status, clip.billed_usd) == (ClipStatus.WAITING, 0)
    assert any(cause.startswith("timeout") for cause in stage.alerts())
    with stage.ledger.engine.begin() as connection:
        connection.execute(update(jobs).values(submitted_at=jobs.c.submitted_at - timedelta(seconds=120)))
    # What is late counts from its submit, so a later run only looks; it would be stopped long before 60 s.
    clip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_timeout_s=60.0))
    assert clip.status is ClipStatus.WAITING
    assert len(stage.requests) == 1
    # When nobody wants it any more it is called off; its GPU was used.
    assert stage.one(brief_of("a hill")).status is ClipStatus.GENERATED
    late = next(job for job in stage.jobs() if job.order.prompt == HARBOUR)
    assert (late.state, late.failure_kind, late.billed_usd) == (JobState.FAILED, FailureKind.CANCELED, PRICE)


def test_a_job_whose_status_cannot_be_read_is_left_early_and_taken_in_by_the_next_run(stage: Stage) -> None:
    stage.edge.fault("status_500", times=99)
    clip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_patience_s=0.3))
    assert (clip.status, clip.billed_usd) == (ClipStatus.WAITING, 0)
    assert any(cause.startswith("silent fal") for cause in stage.alerts())
    stage.edge.clear_faults()
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts, clip.billed_usd) == (ClipStatus.GENERATED, 1, PRICE)
    assert len(stage.requests) == 1
    with stage.ledger.engine.connect() as connection:
        marks = connection.execute(select(clip_marks.c.mark).order_by(clip_marks.c.id)).scalars().all()
    assert marks == [Mark.LEFT, Mark.TAKEN_UP]


@pytest.mark.parametrize("fault", ["status_500", "unknown_status", "result_503"])
def test_trouble_while_polling_gives_no_job_up(stage: Stage, fault: str) -> None:
    stage.edge.fault(fault, times=4)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts) == (ClipStatus.GENERATED, 1)


# --- a submit whose answer was lost ------------------------------------------------------------------------------


def test_a_submit_whose_answer_was_lost_is_found_and_goes_on(stage: Stage) -> None:
    stage.edge.fault("drop_after_accept")
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts, clip.billed_usd) == (ClipStatus.GENERATED, 1, PRICE)
    assert len(stage.requests) == 1


def test_a_lost_submit_that_the_listing_shows_late_is_found_at_the_second_look(stage: Stage) -> None:
    stage.edge.fault("drop_after_accept")
    stage.edge.fault("listing_lag", value=0.4)
    clip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, lookup_wait_s=1.0))
    assert clip.status is ClipStatus.GENERATED
    assert len(stage.requests) == 1


@pytest.mark.parametrize("fault", ["drop_before_accept", "submit_500"])
def test_a_submit_that_nobody_can_find_is_never_sent_again_and_asks_a_person(stage: Stage, fault: str) -> None:
    stage.edge.fault(fault)
    for _ in range(3):
        clip = stage.one(brief_of(HARBOUR))
        assert clip.status is ClipStatus.REVIEW
    [job] = stage.jobs()
    assert (job.state, stage.requests) == (JobState.UNKNOWN, [])
    assert_waits_for_a_person(stage, clip.clip_id)
    [told] = [text for cause, text in stage.alerts().items() if cause.startswith("unknown")]
    assert f"video-pipeline resolve {job.key[:16]}" in told


@pytest.mark.parametrize(
    ("fault", "attempts"), [("drop_after_accept", 1), ("submit_503", 2), ("drop_before_accept", None)]
)
def test_a_submit_that_nobody_can_be_asked_about_waits_for_the_provider(
    stage: Stage, fault: str, attempts: int | None
) -> None:
    stage.edge.fault(fault)
    stage.edge.fault("listing_503", times=100)
    for _ in range(2):
        clip = stage.one(brief_of(HARBOUR))
        assert (clip.status, [job.state for job in stage.jobs()]) == (ClipStatus.WAITING, [JobState.SUBMITTING])
    assert stage.ledger.reviews.waiting() == []
    assert [cause for cause in stage.alerts() if cause.startswith("untold")]
    stage.edge.clear_faults()
    clip = stage.one(brief_of(HARBOUR))
    if attempts is None:
        assert (clip.status, stage.requests) == (ClipStatus.REVIEW, [])
    else:
        assert (clip.status, clip.attempts, len(stage.requests)) == (ClipStatus.GENERATED, attempts, 1)


def test_a_provider_that_can_never_be_asked_leaves_a_submit_to_a_person(stage: Stage) -> None:
    stage.edge.fault("drop_after_accept")
    stage.edge.fault("listing_503", times=100)
    stage.one(brief_of(HARBOUR))
    with stage.ledger.engine.begin() as connection:
        connection.execute(update(jobs).values(submitted_at=jobs.c.submitted_at - timedelta(days=4)))
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.REVIEW


@pytest.fixture
def doubtful(stage: Stage) -> Job:
    """A submit that was accepted, whose answer was lost, and that the listing shows too late."""
    stage.edge.fault("drop_after_accept")
    stage.edge.fault("listing_lag", value=60)
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.REVIEW
    [job] = stage.jobs()
    assert (job.state, len(stage.requests)) == (JobState.UNKNOWN, 1)
    return job


def resolve(stage: Stage, job: Job, request_id: str | None) -> None:
    fal = stage.edge.fal(httpx.AsyncClient())
    unknown = find_unknown(stage.ledger, job.key[:16])
    let_settle(stage.ledger, unknown)
    resolve_unknown(stage.ledger, fal, unknown, request_id=request_id, policy=stage.policy.generation)


def test_money_in_doubt_stays_reserved(stage: Stage, doubtful: Job) -> None:
    clip = stage.one(brief_of("a hill", brief_id="other"), policy=quick(stage.policy, ceiling_usd="0.03"))
    assert clip.status is ClipStatus.WAITING
    assert "ceiling" in clip.reason


def test_a_doubtful_submit_that_a_person_finds_goes_on_without_buying_again(stage: Stage, doubtful: Job) -> None:
    resolve(stage, doubtful, stage.requests[0]["request_id"])
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts, clip.billed_usd) == (ClipStatus.GENERATED, 1, PRICE)
    assert len(stage.requests) == 1


def test_a_doubtful_submit_that_a_person_does_not_find_is_free_to_be_bought(stage: Stage) -> None:
    stage.edge.fault("drop_before_accept")
    stage.one(brief_of(HARBOUR))
    resolve(stage, stage.jobs()[0], None)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts, clip.billed_usd) == (ClipStatus.GENERATED, 2, PRICE)
    assert len(stage.requests) == 1


@pytest.mark.parametrize("fault", ["drop_after_accept", "drop_before_accept"])
def test_nobody_is_asked_about_a_submit_that_a_person_has_looked_up(stage: Stage, fault: str) -> None:
    stage.edge.fault(fault)
    stage.edge.fault("listing_lag", value=60)
    clip = stage.one(brief_of(HARBOUR))
    assert_waits_for_a_person(stage, clip.clip_id)
    [job] = stage.jobs()
    resolve(stage, job, next((request["request_id"] for request in stage.requests), None))
    assert stage.ledger.reviews.waiting() == []
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED
    assert stage.ledger.reviews.waiting() == []


def test_nobody_answers_while_a_worker_is_at_the_clip(stage: Stage, doubtful: Job) -> None:
    with stage.ledger.leases.held(f"generate {doubtful.clip_id}", ttl_s=60):
        for request_id in (None, stage.requests[0]["request_id"]):
            with pytest.raises(LedgerError, match=r"A worker is at it until \d\d:\d\d:\d\d UTC; ask again then"):
                resolve(stage, doubtful, request_id)
    assert stage.ledger.jobs.get(doubtful.key) == doubtful


def test_nobody_answers_while_what_was_sent_may_still_arrive(stage: Stage, doubtful: Job) -> None:
    fal = stage.edge.fal(httpx.AsyncClient())
    with pytest.raises(LedgerError, match=r"may still arrive until \d\d:\d\d:\d\d UTC; ask again then"):
        resolve_unknown(stage.ledger, fal, doubtful, request_id=None, policy=stage.policy.generation)
    assert stage.ledger.jobs.get(doubtful.key) == doubtful


def test_nobody_answers_while_what_a_stopped_worker_sent_last_may_still_arrive(stage: Stage, doubtful: Job) -> None:
    """It may have sent it again long after its first try, up to the end of its lease."""
    stopped = "another-host:1:cafe0000"
    assert stage.ledger.leases.acquire(f"generate {doubtful.clip_id}", stopped, ttl_s=0)
    with pytest.raises(LedgerError, match="may still arrive"):
        resolve(stage, doubtful, None)


def test_a_clip_with_two_doubtful_submits_waits_until_both_are_looked_up(stage: Stage) -> None:
    stage.edge.fault("drop_before_accept", times=2)
    shots = ({"prompt": "a hill", "duration_s": 1}, {"prompt": "a lake", "duration_s": 1})
    clip = stage.one(brief_of(shots=shots))
    first, second = stage.jobs()
    resolve(stage, first, None)
    assert_waits_for_a_person(stage, clip.clip_id)
    resolve(stage, second, None)
    assert stage.ledger.reviews.waiting() == []


def test_nobody_is_asked_about_a_clip_that_came_out_after_all(stage: Stage) -> None:
    """The brief was changed, as a person is told to."""
    refused = stage.one(brief_of("A casino night on a stage"))
    assert_waits_for_a_person(stage, refused.clip_id)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.clip_id, clip.status) == (refused.clip_id, ClipStatus.GENERATED)
    assert stage.ledger.reviews.waiting() == []


def test_a_clip_that_is_asked_about_anew_is_told_anew(stage: Stage) -> None:
    clip_id = stage.one(brief_of("A casino night on a stage")).clip_id
    assert stage.one(brief_of("A casino night on a stage")).status is ClipStatus.REVIEW
    assert len(told(stage, clip_id)) == 1, "one question is told once, however many runs meet it"
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED
    assert stage.one(brief_of("A casino night in a car")).status is ClipStatus.REVIEW
    assert len(told(stage, clip_id)) == 2
    stage.edge.fault("job_failed", times=2)
    assert stage.one(brief_of("a hill")).status is ClipStatus.REVIEW
    last = told(stage, clip_id)[-1]
    [waiting] = stage.ledger.reviews.waiting()
    assert (len(told(stage, clip_id)), last) == (3, f"{clip_id}: {waiting.reason}")
    assert "failed again" in waiting.reason


def test_two_lost_submits_of_one_moment_find_each_their_own(stage: Stage) -> None:
    stage.edge.fault("drop_after_accept", times=4)
    clips = stage.generate(*(brief_of(f"hill number {n}", brief_id=f"hill-{n}") for n in range(4)))
    assert {clip.status for clip in clips} == {ClipStatus.GENERATED}
    assert len(stage.requests) == 4
    by_id = {request["request_id"]: request["input"] for request in stage.requests}
    assert all(by_id[job.provider_job_id or ""] == job.request["arguments"] for job in stage.jobs())


# --- the file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["truncated_file", "slow_body"])
def test_a_download_that_goes_wrong_is_repeated_alone(stage: Stage, fault: str) -> None:
    stage.edge.fault(fault, value=0.3)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.attempts) == (ClipStatus.GENERATED, 1)
    assert len(stage.requests) == 1


def test_a_download_that_no_retry_brings_is_brought_by_the_next_run_and_not_rendered_again(stage: Stage) -> None:
    stage.edge.fault("truncated_file", times=99)
    clip = stage.one(brief_of(HARBOUR))
    assert clip.status is ClipStatus.WAITING
    assert clip.billed_usd == PRICE
    stage.edge.clear_faults()
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.billed_usd) == (ClipStatus.GENERATED, PRICE)
    assert len(stage.requests) == 1


def test_a_file_that_the_provider_no_longer_has_is_said_aloud_and_not_bought_again(stage: Stage) -> None:
    stage.edge.fault("expired_url")
    for _ in range(2):
        clip = stage.one(brief_of(HARBOUR))
        assert clip.status in (ClipStatus.WAITING, ClipStatus.REVIEW)
        assert len(stage.requests) == 1
    assert any("HTTP 404" in text for text in stage.alerts().values())


def test_a_file_at_an_address_inside_is_not_fetched(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    untrusted = replace(
        PROVIDERS["fal"], connect_sandbox=lambda base_url, client: stage.edge.fal(client, trusted=False)
    )
    monkeypatch.setitem(PROVIDERS, "fal", untrusted)
    clip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, max_modified_retries=0))
    assert clip.status is ClipStatus.WAITING
    assert any("only plain https" in text for text in stage.alerts().values())
    assert list(stage.store.list("clips")) == []


def test_a_person_is_asked_about_a_file_that_does_not_come_for_as_long_as_files_live(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.edge.fault("expired_url")
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.WAITING
    [job] = stage.jobs()
    assert stage.ledger.jobs.doubts(late_since=datetime.now(UTC)) == [job]
    assert stage.ledger.jobs.doubts(late_since=datetime.now(UTC) - timedelta(hours=1)) == []
    monkeypatch.setattr(FalProvider, "terms", replace(FalProvider.terms, url_lifetime_s=0.0))
    clip = stage.one(brief_of(HARBOUR))
    assert clip.status is ClipStatus.REVIEW
    [question] = stage.ledger.reviews.waiting()
    assert "does not hand over its file" in question.reason
    [job] = stage.jobs()
    assert (job.state, job.billed_usd, len(stage.requests)) == (JobState.RENDERED, PRICE, 1)


@pytest.mark.parametrize("fault", ["truncated_mp4", "corrupt_file"])
def test_a_render_that_is_bad_at_the_provider_is_judged_when_it_came_twice(stage: Stage, fault: str) -> None:
    stage.edge.fault(fault)
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED
    assert [job.state for job in stage.jobs()] == [JobState.REJECTED, JobState.ACCEPTED]
    stage.check_books()
