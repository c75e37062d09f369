"""The engine from plans to clips: what a clip is made of, what is served for nothing, what waits."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus
from video_pipeline.errors import LedgerError
from video_pipeline.generation import generate_day
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.generation.requests import build_job
from video_pipeline.ledger import (
    Actor,
    FailureKind,
    Job,
    JobState,
    LeaseLost,
    Ledger,
    Receipt,
    ReviewStage,
    ReviewState,
    TierState,
    WaitCause,
    open_ledger,
)
from video_pipeline.ledger.jobs import Jobs
from video_pipeline.media import probe
from video_pipeline.orders import Ending
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan, RoutingState
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge, usd
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, quick

PRICE = Decimal("0.022")  # A second of the cheapest model.
HARBOUR = "a harbour at dawn"


def test_a_brief_becomes_a_clip_that_is_paid_for_once(stage: Stage) -> None:
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.reason) == (ClipStatus.GENERATED, "")
    assert (clip.model, clip.strategy, clip.attempts, clip.cached) == ("sandbox/sprint", "original", 1, False)
    assert (clip.billed_usd, clip.saved_usd) == (PRICE, 0)
    assert (clip.size, clip.audio) == ((108, 192), False)
    with stage.store.local_copy(clip.media_key or "") as path:
        info = probe(path)
    assert info.duration_s == pytest.approx(clip.expected_s, abs=0.1)
    stored = stage.store.stat(clip.media_key or "")
    assert stored is not None
    assert stored.sha256 == clip.media_sha256
    [job] = stage.jobs()
    events = [row["to_state"] for row in stage.ledger.jobs.events(job.key)]
    assert [state for state in events if state != "processing"] == [
        *("reserved", "submitting", "submitted", "rendered", "stored", "accepted")
    ]


def test_a_second_run_over_the_same_day_buys_nothing(stage: Stage) -> None:
    first = stage.one(brief_of(HARBOUR))
    assert stage.one(brief_of(HARBOUR)) == first
    assert len(stage.requests) == 1


def test_a_day_is_one_call(stage: Stage) -> None:
    seen: list[str] = []
    plans = stage.plan(brief_of(HARBOUR, brief_id="one"), brief_of("a hill", brief_id="two"))
    clips = generate_day(
        plans,
        ledger=stage.ledger,
        store=stage.store,
        providers=lambda client: {"fal": stage.edge.fal(client)},
        catalogue=stage.catalogue,
        policy=stage.policy,
        notifier=Notifier([], stage.ledger.alerts),
        run_id="a-day",
        on_clip=lambda clip: seen.append(clip.brief_id),
    )
    assert [clip.brief_id for clip in clips] == ["one", "two"]
    assert sorted(seen) == ["one", "two"]
    assert {clip.status for clip in clips} == {ClipStatus.GENERATED}


# --- the cache ---------------------------------------------------------------------------------------------------


def test_an_identical_request_is_served_from_the_store_for_nothing(stage: Stage) -> None:
    made = stage.one(brief_of(HARBOUR))
    again = stage.one(brief_of(HARBOUR, brief_id="another", title="Another"), day=stage.day + timedelta(days=1))
    assert (again.status, again.cached) == (ClipStatus.GENERATED, True)
    assert (again.billed_usd, again.saved_usd) == (0, PRICE)
    assert again.media_sha256 == made.media_sha256
    assert len(stage.requests) == 1


def test_one_word_renders_fresh(stage: Stage) -> None:
    stage.one(brief_of(HARBOUR))
    other = stage.one(brief_of("a harbour at dusk", brief_id="another"))
    assert (other.cached, other.billed_usd) == (False, PRICE)
    assert len(stage.requests) == 2


def test_a_clip_that_is_no_longer_in_the_store_is_rendered_again(stage: Stage) -> None:
    made = stage.one(brief_of(HARBOUR))
    stage.store.delete(made.media_key or "")
    assert stage.one(brief_of(HARBOUR, brief_id="another")).cached is False


def test_identical_briefs_in_one_run_are_paid_for_once(stage: Stage) -> None:
    clips = stage.generate(*(brief_of(HARBOUR, brief_id=f"twin-{number}") for number in range(4)))
    assert {clip.status for clip in clips} == {ClipStatus.GENERATED}
    assert sorted(clip.cached for clip in clips) == [False, True, True, True]
    assert sum(clip.billed_usd for clip in clips) == PRICE
    assert len(stage.requests) == 1


def test_a_twin_accepted_between_the_look_and_the_reservation_is_not_bought_again(
    stage: Stage, ledger_url: str
) -> None:
    stage.one(brief_of(HARBOUR))
    [twin] = stage.jobs()
    other = open_ledger(ledger_url, embedded_dir=Path("unused"))
    _put(other, twin, JobState.STORED)

    def accept_meanwhile(connection, cursor, statement: str, *_: object) -> None:
        # The question that stands between the look into the cache and the reservation.
        if "retry_allowed = " in statement and "SELECT" in statement:
            _put(other, twin, JobState.ACCEPTED)

    event.listen(stage.ledger.engine, "after_cursor_execute", accept_meanwhile)
    try:
        clip = stage.one(brief_of(HARBOUR, brief_id="another"))
    finally:
        event.remove(stage.ledger.engine, "after_cursor_execute", accept_meanwhile)
        other.close()
    assert clip.cached
    assert len(stage.requests) == 1


def _put(ledger: Ledger, job: Job, state: JobState) -> None:
    """Set a job's state by hand."""
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET state = :state WHERE key = :key"), {"state": state, "key": job.key})


def test_a_twin_of_another_day_that_nobody_works_on_does_not_hold_a_run(stage: Stage) -> None:
    _left_reserved(stage, stage.plan(brief_of(HARBOUR)))
    other_day = stage.day + timedelta(days=1)
    clip = stage.one(brief_of(HARBOUR), day=other_day, policy=quick(stage.policy, poll_timeout_s=0.5))
    assert clip.status is ClipStatus.WAITING
    assert "identical" in clip.reason
    assert stage.requests == []


def _left_reserved(stage: Stage, plans: Sequence[ClipPlan]) -> Job:
    """The job of the first clip as a run leaves it that is killed before the submit."""
    [plan] = plans
    attempt = Attempt(0, Strategy.ORIGINAL, plan.storyboard.shots[0].prompt)
    job = build_job(plan, plan.decisions[0], attempt, stage.catalogue, run_id="killed")
    stage.ledger.jobs.plan(job)
    assert stage.ledger.jobs.reserve(job, ceiling_usd=Decimal(25)).granted
    return stage.ledger.jobs.get(job.key)


# --- a brief that changes ----------------------------------------------------------------------------------------


def test_what_was_reserved_for_a_brief_that_changed_is_freed(stage: Stage) -> None:
    left = _left_reserved(stage, stage.plan(brief_of(HARBOUR)))
    assert stage.one(brief_of("a harbour at dusk")).status is ClipStatus.GENERATED
    assert stage.ledger.jobs.get(left.key).state is JobState.FAILED
    assert len(stage.requests) == 1


def test_what_was_bought_for_a_brief_that_changed_is_settled(stage: Stage) -> None:
    stage.edge.fault("status_500", times=40)
    stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_timeout_s=0.5))
    stage.edge.clear_faults()
    clip = stage.one(brief_of("a harbour at dusk"))
    assert (clip.status, clip.billed_usd) == (ClipStatus.GENERATED, PRICE)
    assert [job.state.final for job in stage.jobs()] == [True, True]
    assert usd(stage.requests) == 2 * PRICE


def test_what_another_worker_is_at_is_not_closed_although_the_brief_changed(stage: Stage) -> None:
    left = _left_reserved(stage, stage.plan(brief_of(HARBOUR)))
    with stage.ledger.leases.held(f"generate {left.clip_id}", ttl_s=5):
        clip = stage.one(brief_of("a harbour at dusk"))
    assert clip.status is ClipStatus.WAITING
    assert stage.ledger.jobs.get(left.key).state is JobState.RESERVED


# --- segments ----------------------------------------------------------------------------------------------------


def test_segments_are_rendered_apart_and_joined_in_their_order(stage: Stage) -> None:
    shots = ({"prompt": "a red barn at noon", "duration_s": 1}, {"prompt": "a black night sea", "duration_s": 2})
    clip = stage.one(brief_of(shots=shots))
    assert (clip.status, clip.segments, clip.attempts) == (ClipStatus.GENERATED, 2, 2)
    assert (clip.billed_usd, clip.expected_s) == (3 * PRICE, 3)
    assert clip.duration_s == pytest.approx(3, abs=0.1)
    first, second = stage.jobs()
    # The joined clip begins as the first segment does and ends as the second.
    joined, one, two = (_first_and_last(stage, key) for key in (clip.media_key, first.media_key, second.media_key))
    assert _distance(joined[0], one[0]) < _distance(joined[0], two[0])
    assert _distance(joined[1], two[1]) < _distance(joined[1], one[1])


def test_a_joined_clip_is_joined_once(stage: Stage) -> None:
    shots = ({"prompt": "a barn", "duration_s": 1}, {"prompt": "a sea", "duration_s": 1})
    first = stage.one(brief_of(shots=shots))
    assert stage.one(brief_of(shots=shots)) == first
    assert len(list(stage.store.list("clips"))) == 3


def test_a_long_shot_is_cut_into_equal_parts(stage: Stage) -> None:
    stage.policy = quick(stage.policy, max_segment_s=1.5)
    clip = stage.one(brief_of(HARBOUR, duration_s=3))
    assert (clip.segments, len(stage.requests)) == (2, 2)
    # Models render whole seconds, here two of 2 s; the clip is what was asked for, but for the frame that both show.
    assert (clip.billed_usd, clip.expected_s) == (4 * PRICE, 3)
    assert clip.duration_s == pytest.approx(3 - 1 / 8, abs=0.01)
    # What is said of the seam is kept with the file, which is made once.
    assert (len(clip.seams), clip.seam_faults) == (1, ())
    assert stage.one(brief_of(HARBOUR, duration_s=3)) == clip


def test_sound_is_bought_and_kept_through_the_join(stage: Stage) -> None:
    shots = ({"prompt": "a barn", "duration_s": 1}, {"prompt": "a sea", "duration_s": 1})
    clip = stage.one(brief_of(shots=shots, quality="standard", native_audio=True))
    assert (clip.status, clip.audio, clip.audio_expected) == (ClipStatus.GENERATED, True, True)
    assert clip.billed_usd == 2 * Decimal("0.10")


def test_one_segment_that_waits_holds_its_clip_and_no_other(stage: Stage) -> None:
    stage.edge.fault("submit_503", match="the broken one", times=99)
    shots = ({"prompt": "a barn", "duration_s": 1}, {"prompt": "the broken one", "duration_s": 1})
    held, whole = stage.generate(brief_of(shots=shots, brief_id="held"), brief_of("a hill", brief_id="whole"))
    assert (held.status, whole.status) == (ClipStatus.WAITING, ClipStatus.GENERATED)
    stage.edge.clear_faults()
    again, _ = stage.generate(brief_of(shots=shots, brief_id="held"), brief_of("a hill", brief_id="whole"))
    assert again.status is ClipStatus.GENERATED
    assert len(stage.requests) == 3


def _first_and_last(stage: Stage, key: str | None) -> tuple[list[float], list[float]]:
    """The mean colour of the first and of the last frame."""
    import av

    with stage.store.local_copy(key or "") as path, av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    first, last = ([float(frame[..., channel].mean()) for channel in range(3)] for frame in (frames[0], frames[-1]))
    return first, last


def _distance(one: list[float], other: list[float]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def test_a_render_that_is_longer_than_its_shot_is_cut_to_it(stage: Stage) -> None:
    clip = stage.one(brief_of(HARBOUR, duration_s=1.5))
    assert (clip.status, clip.billed_usd, clip.expected_s) == (ClipStatus.GENERATED, 2 * PRICE, 1.5)
    assert clip.duration_s == pytest.approx(1.5, abs=0.01)
    [job] = stage.jobs()
    assert job.media_sha256 != clip.media_sha256
    # Made once, and nothing else is made when the day runs again.
    files = list(stage.store.list("clips"))
    assert stage.one(brief_of(HARBOUR, duration_s=1.5)) == clip
    assert list(stage.store.list("clips")) == files
    assert len(stage.requests) == 1


def test_clips_of_other_lengths_are_cut_from_the_same_render(stage: Stage) -> None:
    lengths_s = (1.25, 1.5, 2)
    clips = [
        stage.one(brief_of(HARBOUR, brief_id=f"clip-{number}", duration_s=length_s))
        for number, length_s in enumerate(lengths_s)
    ]
    assert [clip.duration_s for clip in clips] == [pytest.approx(length_s, abs=0.01) for length_s in lengths_s]
    assert len(stage.requests) == 1


def test_the_sound_of_a_cut_clip_ends_with_it(stage: Stage) -> None:
    clip = stage.one(brief_of(HARBOUR, duration_s=1.5, quality="standard", native_audio=True))
    assert (clip.status, clip.audio) == (ClipStatus.GENERATED, True)
    with stage.store.local_copy(clip.media_key or "") as path:
        info = probe(path)
    assert info.audio[0].duration_s == pytest.approx(1.5, abs=0.025)


def test_a_render_of_the_right_length_keeps_its_bytes(stage: Stage) -> None:
    for audio in (False, True):
        clip = stage.one(brief_of(HARBOUR, brief_id=f"sound-{audio}".lower(), quality="standard", native_audio=audio))
        [job] = [job for job in stage.jobs() if job.clip_id == clip.clip_id]
        assert (clip.media_key, clip.media_sha256, clip.audio) == (job.media_key, job.media_sha256, audio)


@pytest.mark.parametrize("duration_s", [1, 1.5])
def test_sound_that_nobody_asked_for_is_left_out(stage: Stage, duration_s: float) -> None:
    stage.edge.fault("unasked_audio")
    clip = stage.one(brief_of(HARBOUR, duration_s=duration_s))
    assert (clip.status, clip.attempts, clip.audio) == (ClipStatus.GENERATED, 1, False)
    [job] = stage.jobs()
    with stage.store.local_copy(job.media_key or "") as path:
        assert probe(path).audio
    with stage.store.local_copy(clip.media_key or "") as path:
        assert not probe(path).audio
    assert stage.one(brief_of(HARBOUR, duration_s=duration_s)) == clip


# --- the budget --------------------------------------------------------------------------------------------------


def test_over_the_ceiling_nothing_is_sent_and_the_next_day_goes_on(stage: Stage) -> None:
    briefs = [brief_of(f"hill number {number}", brief_id=f"hill-{number}") for number in range(5)]
    clips = stage.generate(*briefs, policy=quick(stage.policy, ceiling_usd="0.05"))
    assert sorted(clip.status for clip in clips) == ["generated"] * 2 + ["waiting"] * 3
    assert usd(stage.requests) == 2 * PRICE
    waiting = [clip for clip in clips if clip.status is ClipStatus.WAITING]
    assert all("ceiling" in clip.reason for clip in waiting)
    assert any("ceiling reached" in cause for cause in stage.alerts())
    clips = stage.generate(*briefs)
    assert {clip.status for clip in clips} == {ClipStatus.GENERATED}
    assert len(stage.requests) == 5


def test_near_the_ceiling_somebody_is_told(stage: Stage) -> None:
    stage.one(brief_of(HARBOUR), policy=quick(stage.policy, ceiling_usd="0.025"))
    assert any("ceiling near" in cause for cause in stage.alerts())


def test_a_frozen_tier_buys_nothing_even_for_plans_made_before(stage: Stage) -> None:
    plans = stage.plan(brief_of(HARBOUR))
    stage.ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.PERSON, day=stage.day, evidence={})
    [clip] = stage.run(plans)
    assert (clip.status, stage.requests) == (ClipStatus.WAITING, [])
    assert "frozen" in clip.reason
    stage.ledger.governance.set_tier("preview", TierState.OPEN, by=Actor.PERSON, day=stage.day, evidence={})
    [clip] = stage.run(plans)
    assert clip.status is ClipStatus.GENERATED


def test_a_frozen_tier_still_serves_what_was_paid_for(stage: Stage) -> None:
    stage.one(brief_of(HARBOUR))
    stage.ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.PERSON, day=stage.day, evidence={})
    assert stage.one(brief_of(HARBOUR, brief_id="another")).cached


# --- a clip that is held -----------------------------------------------------------------------------------------

TWO_SHOTS = ({"prompt": "a barn", "duration_s": 1}, {"prompt": "a sea", "duration_s": 1})
FROZEN = RoutingState(frozen=frozenset({"preview"}))


def test_what_a_held_clip_has_at_the_provider_is_finished_and_nothing_more_is_bought(stage: Stage) -> None:
    stage.edge.fault("status_500", times=99)
    stage.one(brief_of(shots=TWO_SHOTS), policy=quick(stage.policy, ceiling_usd="0.03", poll_timeout_s=0.5))
    stage.edge.clear_faults()
    assert sorted(job.state for job in stage.jobs()) == [JobState.REFUSED, JobState.SUBMITTED]
    plans = stage.plan(brief_of(shots=TWO_SHOTS), state=FROZEN)
    assert plans[0].held
    [clip] = stage.run(plans)
    assert (clip.status, clip.attempts, clip.billed_usd) == (ClipStatus.WAITING, 1, PRICE)
    assert "frozen" in clip.reason
    assert sorted(job.state for job in stage.jobs()) == [JobState.ACCEPTED, JobState.REFUSED]
    assert len(stage.requests) == 1
    clip = stage.one(brief_of(shots=TWO_SHOTS))
    assert (clip.status, len(stage.requests)) == (ClipStatus.GENERATED, 2)


def test_what_a_held_clip_has_at_the_provider_is_asked_for_although_the_clip_is_held(stage: Stage) -> None:
    stage.edge.fault("status_500", times=99)
    late = quick(stage.policy, ceiling_usd="0.03", poll_timeout_s=0.5)
    stage.one(brief_of(shots=TWO_SHOTS), policy=late)
    causes: list[tuple[WaitCause, str]] = []
    for _ in range(2):
        [clip] = stage.run(stage.plan(brief_of(shots=TWO_SHOTS), state=FROZEN), policy=late)
        assert (clip.status, "frozen" in clip.reason) == (ClipStatus.WAITING, True)
        causes += [(wait.cause, wait.why.hinges_on) for wait in stage.ledger.waits.all()]
        stage.edge.clear_faults()
    # As long as something is there, it does not wait for what holds it up: until then the file may be gone.
    assert causes[0] == (WaitCause.RESULT, "fal")
    assert causes[1][0] is WaitCause.MODEL


def test_a_clip_that_a_person_has_rejected_is_not_bought_until_its_brief_is_changed(stage: Stage) -> None:
    clip_id = stage.plan(brief_of(HARBOUR))[0].clip_id
    stage.ledger.reviews.open(clip_id, ReviewStage.GENERATION, "refused by moderation")
    stage.ledger.reviews.decide(clip_id, ReviewStage.GENERATION, ReviewState.REJECTED, by="maria")
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.reason, stage.requests) == (ClipStatus.REJECTED, "refused by moderation", [])
    stage.ledger.intake.record_brief(
        clip_id=clip_id, day=stage.day, brief_id=clip_id.split("/")[1], sha256="new", document={}
    )
    assert stage.one(brief_of("a hill")).status is ClipStatus.GENERATED


def test_what_a_held_clip_has_only_reserved_is_freed(stage: Stage) -> None:
    left = _left_reserved(stage, stage.plan(brief_of(shots=TWO_SHOTS)))
    [clip] = stage.run(stage.plan(brief_of(shots=TWO_SHOTS), state=FROZEN))
    assert (clip.status, stage.requests) == (ClipStatus.WAITING, [])
    assert stage.ledger.jobs.get(left.key).state is JobState.FAILED
    assert stage.one(brief_of(shots=TWO_SHOTS)).status is ClipStatus.GENERATED


def test_a_held_clip_that_another_worker_has_is_left_to_it(stage: Stage) -> None:
    left = _left_reserved(stage, stage.plan(brief_of(shots=TWO_SHOTS)))
    with stage.ledger.leases.held(f"generate {left.clip_id}", ttl_s=5):
        stage.run(stage.plan(brief_of(shots=TWO_SHOTS), state=FROZEN))
    assert stage.ledger.jobs.get(left.key).state is JobState.RESERVED


# --- two at once -------------------------------------------------------------------------------------------------


def test_a_clip_that_another_worker_has_is_left_to_it(stage: Stage) -> None:
    [plan] = stage.plan(brief_of(HARBOUR))
    with stage.ledger.leases.held(f"generate {plan.clip_id}", ttl_s=5):
        [clip] = stage.run([plan])
    assert (clip.status, stage.requests) == (ClipStatus.WAITING, [])
    assert "another worker" in clip.reason


def test_a_clip_that_is_taken_over_ends_here_and_the_others_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = stage.plan(brief_of("a hill", brief_id="taken"), brief_of("a lake", brief_id="kept"))
    taken = plans[0].clip_id

    def take_over(name: str) -> None:
        if name == "generation.reserved":
            _to_another_worker(stage.ledger, f"generate {taken}")

    monkeypatch.setattr(checkpoints, "on_reach", take_over)
    clips = stage.run(plans)
    assert [clip.status for clip in clips] == [ClipStatus.WAITING, ClipStatus.GENERATED]
    assert clips[0].reason == "another worker has taken this clip over, or may do so"
    assert stage.alerts() == {}
    assert [request["input"]["prompt"] for request in stage.requests] == ["a lake"]


def test_a_clip_that_is_taken_over_while_its_submit_connects_is_not_bought(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = FalProvider.submit

    async def connect_slowly(fal: FalProvider, job: Job, *, before: Callable[[], None], **more: Any) -> Receipt:
        _to_another_worker(stage.ledger, f"generate {job.clip_id}")
        with pytest.raises(LeaseLost):
            while True:
                before()
                await asyncio.sleep(0.01)
        return await submit(fal, job, before=before, **more)

    monkeypatch.setattr(FalProvider, "submit", connect_slowly)
    clip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, lease_s=2.0))
    assert (clip.status, stage.requests, stage.alerts()) == (ClipStatus.WAITING, [], {})
    [job] = stage.jobs()
    # It was allowed before it was refused, so that it may have been sent for all that its worker knows.
    assert job.state is JobState.SUBMITTING


def test_a_worker_that_finds_its_connections_closed_when_it_wakes_up_alerts_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = LedgerError("The ledger cannot be reached.")

    def wake_up(jobs: Jobs, *_: object, **__: object) -> None:
        _to_another_worker(stage.ledger, f"generate {clip_id}")
        with pytest.raises(LeaseLost):
            jobs.plan(planned)
        raise closed

    [plan] = stage.plan(brief_of(HARBOUR))
    clip_id, planned = plan.clip_id, _left_reserved(stage, [plan])
    monkeypatch.setattr(Jobs, "submitting", wake_up)
    [clip] = stage.run([plan])
    assert (clip.status, clip.reason) == (
        ClipStatus.WAITING,
        "another worker has taken this clip over, or may do so",
    )
    assert (stage.alerts(), stage.requests) == ({}, [])


def test_a_worker_whose_heart_has_stopped_stops(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = True

    def stop_the_heart(name: str) -> None:
        nonlocal beats
        beats = beats and name != "generation.submitted"

    def renew_or_not(*given: Any) -> None:
        if not beats and "UPDATE leases SET until" in given[2]:
            raise LedgerError("The database does not answer.")

    monkeypatch.setattr(checkpoints, "on_reach", stop_the_heart)
    event.listen(stage.ledger.engine, "before_cursor_execute", renew_or_not)
    stage.edge.fault("status_500", times=400)
    clip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, lease_s=1.0, poll_timeout_s=60.0))
    stage.edge.clear_faults()
    assert (clip.status, clip.reason) == (ClipStatus.WAITING, "another worker has taken this clip over, or may do so")
    beats = True
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED
    assert len(stage.requests) == 1


def test_two_engines_in_two_threads_buy_everything_once(stage: Stage) -> None:
    briefs = [brief_of(f"hill number {number}", brief_id=f"hill-{number}") for number in range(3)]
    plans = stage.plan(*briefs, brief_of("hill number 0", brief_id="twin"))
    threads = [threading.Thread(target=stage.run, args=(order,)) for order in (plans, plans[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {clip.status for clip in stage.run(plans)} == {ClipStatus.GENERATED}
    assert len(stage.requests) == 3


def _to_another_worker(ledger: Ledger, resource: str) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(
            text("UPDATE leases SET token = nextval('lease_tokens') WHERE resource = :resource"),
            {"resource": resource},
        )


def test_a_model_that_bills_what_it_refuses_is_booked_so_whatever_its_provider_does(
    ledger: Ledger, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy, tmp_path: Path
) -> None:
    """Without the fixture's comparison with the sandbox, which bills no refused prompt."""
    bills = {"billed": frozenset({Ending.PROMPT_REFUSED})}
    models = tuple(
        model.model_copy(update={"price": model.price.model_copy(update=bills)}) for model in sandbox_catalogue.models
    )
    catalogue = sandbox_catalogue.model_copy(update={"models": models})
    stage = Stage(ledger, LocalStore(tmp_path / "store"), edge, catalogue, quick(policy))
    edge.fault("refuse_input")
    stage.one(brief_of(HARBOUR))
    refused, *_ = stage.jobs()
    assert (refused.failure_kind, refused.billed_usd) == (FailureKind.MODERATION, PRICE)
