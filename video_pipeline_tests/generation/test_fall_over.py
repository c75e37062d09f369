"""A provider or a model that cannot serve: who serves instead, what is owed, what waits, and that nothing is lost.

Previews are sold by two vendors here, so that one of them may be down.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.generation import shots_not_to_buy
from video_pipeline.generation.providers import NotAccepted, Provider, SubmitUnknown, Undecided
from video_pipeline.generation.providers.fal import FalProvider
from video_pipeline.generation.serving import Switchboard
from video_pipeline.ledger import (
    BreakerCause,
    BreakerState,
    FailureKind,
    Job,
    JobKind,
    JobState,
    Ledger,
    Receipt,
    WaitCause,
)
from video_pipeline.ledger.schema import jobs
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, RoutingState
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, let_probe, quick

SPRINT, DASH, STEADY = "sandbox/sprint", "sandbox/dash", "sandbox/steady"
HARBOUR = "a harbour at dawn"
PRICES = {SPRINT: Decimal("0.022"), DASH: Decimal("0.026"), STEADY: Decimal("0.07")}


@pytest.fixture
def stage(
    vendors_from_outside: None,
    ledger: Ledger,
    edge: Edge,
    sandbox_catalogue: Catalogue,
    policy: Policy,
    tmp_path: Path,
) -> Iterator[Stage]:
    """Fal sells sprint and the production models, Kiln sells dash; nobody sells anything else."""
    dash = {"provider": "kiln", "wire": {"model": DASH}}
    kept = [model for model in sandbox_catalogue.models if model.model in (SPRINT, DASH, STEADY)]
    models = tuple(model.model_copy(update=dash) if model.model == DASH else model for model in kept)
    catalogue = sandbox_catalogue.model_copy(update={"models": models})
    stage = Stage(ledger, LocalStore(tmp_path / "store"), edge, catalogue, quick(policy), providers=("fal", "kiln"))
    yield stage
    stage.check_books()


def without_kiln(stage: Stage) -> None:
    models = tuple(model for model in stage.catalogue.models if model.provider != "kiln")
    stage.catalogue = stage.catalogue.model_copy(update={"models": models})


def patient(policy: Policy, **rules: Any) -> Policy:
    """Breakers that stay open for as long as a test takes."""
    waits = dict.fromkeys(policy.breaker.first_wait_s, 60.0)
    update = {"first_wait_s": waits, "longest_wait_s": waits} | rules
    return policy.model_copy(update={"breaker": policy.breaker.model_copy(update=update)})


@contextmanager
def cut_off(stage: Stage) -> Iterator[None]:
    """Whoever connects to fal is hung up on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        def connect(client: httpx.AsyncClient) -> dict[str, Provider]:
            cut = FalProvider(client, key="sandbox", queue_url=f"{address}/fal-queue", api_url=f"{address}/fal-api")
            return Stage.connect(stage, client) | {"fal": cut}

        threading.Thread(target=hang_up, daemon=True).start()
        stage.connect = connect
        yield
        del stage.connect
        server.shutdown(socket.SHUT_RDWR)


def turn_away(monkeypatch: pytest.MonkeyPatch, kind: FailureKind, reason: str) -> list[str]:
    """Fal turns every submit away, in documented words; what it was asked for."""
    asked: list[str] = []

    async def submit(self: FalProvider, job: Job, **more: Any) -> Receipt:
        asked.append(job.model)
        raise NotAccepted(kind, reason)

    monkeypatch.setattr(FalProvider, "submit", submit)
    return asked


def age(ledger: Ledger, job: Job, seconds: float) -> None:
    """As if the job had been bought so long ago."""
    with ledger.engine.begin() as connection:
        moved = jobs.c.submitted_at - timedelta(seconds=seconds)
        connection.execute(update(jobs).where(jobs.c.key == job.key).values(submitted_at=moved))


def is_silent(stage: Stage, times: int = 999) -> None:
    stage.edge.fault("status_500", match="sprint", times=times)


def models_of(stage: Stage) -> list[str]:
    return [job.model for job in stage.jobs()]


# --- the run moves on -----------------------------------------------------------------------------------------------


def test_a_shot_moves_to_another_vendor_within_the_run_and_says_why_and_what_it_costs(stage: Stage) -> None:
    stage.edge.fault("submit_503", match="sprint", times=4)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model, clip.billed_usd) == (ClipStatus.GENERATED, DASH, PRICES[DASH])
    assert clip.fall_over.startswith(f"{DASH} instead of {SPRINT}, as {SPRINT} has failed (transient): HTTP 503")
    assert clip.fall_over.endswith("; $0.0040 more an attempt")
    failed, made = stage.jobs()
    assert (failed.state, failed.failure_kind) == (JobState.FAILED, FailureKind.TRANSIENT)
    assert clip.fall_over in made.reason
    # The ledger's decision is the one that it was bought under, and it stays.
    [plan] = stage.plan(brief_of(HARBOUR))
    [decision] = plan.decisions
    assert (decision.model, decision.attempt_usd, decision.fall_over) == (DASH, PRICES[DASH], clip.fall_over)
    assert clip.fall_over in decision.reasons
    assert stage.one(brief_of(HARBOUR)) == clip


@pytest.mark.parametrize(
    ("kind", "cause", "model"),
    [(FailureKind.QUOTA, BreakerCause.CREDIT, ""), (FailureKind.AUTH, BreakerCause.AUTH, SPRINT)],
)
def test_no_credit_leaves_the_provider_alone_at_once_and_a_refused_key_the_model(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kind: FailureKind, cause: BreakerCause, model: str
) -> None:
    stage.policy = patient(quick(stage.policy, concurrency=2))
    with monkeypatch.context() as patch:
        asked = turn_away(patch, kind, "you owe us")
        clips = stage.generate(*(brief_of(f"hill {n}", brief_id=f"hill-{n}") for n in range(6)))
        assert {(clip.status, clip.model) for clip in clips} == {(ClipStatus.GENERATED, DASH)}
        # Those that were asking already when the first answer came; the others were waiting for their turn.
        assert len(asked) < 6
    [breaker] = stage.ledger.breakers.not_closed()
    assert (breaker.provider, breaker.model, breaker.state, breaker.cause) == ("fal", model, BreakerState.OPEN, cause)
    told = [cause for cause in stage.alerts() if cause.startswith("breaker fal")]
    assert len(told) == 1


def test_a_provider_that_hangs_up_on_everybody_is_sent_nothing_that_would_be_in_doubt(stage: Stage) -> None:
    with cut_off(stage):
        clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model) == (ClipStatus.GENERATED, DASH)
    not_sent = stage.jobs()[0]
    assert (not_sent.state, not_sent.failure_kind) == (JobState.FAILED, FailureKind.TRANSIENT)
    assert not_sent.submitted_at is None
    assert "nothing was bought" in (not_sent.failure_reason or "")


def test_a_poll_without_an_answer_keeps_the_next_submit_from_being_in_doubt(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that goes silent right after it was heard."""

    class Cut(FalProvider):
        taken = 0

        async def submit(self, job: Job, **more: Any) -> Receipt:
            if self.taken:
                raise SubmitUnknown("no answer came")
            receipt = await super().submit(job, **more)
            self.taken += 1
            return receipt

        async def reach(self) -> None:
            await self._silence()

        async def poll(self, job: Job) -> bool:
            await self._silence()
            return False

        async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
            await self._silence()

        async def _silence(self) -> None:
            if self.taken:
                raise Undecided("no answer came")

    def connect(client: httpx.AsyncClient) -> dict[str, Provider]:
        address = stage.edge.base_url
        cut = Cut(client, key="sandbox", queue_url=f"{address}/fal-queue", api_url=f"{address}/fal-api")
        return Stage.connect(stage, client) | {"fal": cut}

    hills = [brief_of(f"hill {n}", brief_id=f"hill-{n}") for n in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(stage, "connect", connect)
        clips = stage.generate(*hills, policy=quick(stage.policy, concurrency=1, poll_patience_s=0.2))
    assert {clip.status for clip in clips} == {ClipStatus.WAITING, ClipStatus.GENERATED}
    first, second = sorted((job for job in stage.jobs() if job.model == SPRINT), key=lambda job: job.state.final)
    assert first.state is JobState.SUBMITTED
    assert (second.state, second.failure_kind, second.submitted_at) == (JobState.FAILED, FailureKind.TRANSIENT, None)
    assert {clip.model for clip in stage.generate(*hills)} == {SPRINT, DASH}


def test_a_key_that_cannot_be_sent_is_told_as_the_key_and_not_as_an_outage(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(client: httpx.AsyncClient) -> dict[str, Provider]:
        address = stage.edge.base_url
        key = "an-id:a secr\u00e9t"
        mistyped = FalProvider(client, key=key, queue_url=f"{address}/fal-queue", api_url=f"{address}/fal-api")
        return Stage.connect(stage, client) | {"fal": mistyped}

    monkeypatch.setattr(stage, "connect", connect)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model) == (ClipStatus.GENERATED, DASH)
    not_sent = stage.jobs()[0]
    assert (not_sent.state, not_sent.failure_kind) == (JobState.FAILED, FailureKind.AUTH)
    words = "FAL_KEY or the address of fal cannot be sent; check them for stray characters"
    assert not_sent.failure_reason == words
    assert any(words in text for text in stage.alerts().values())
    [breaker] = stage.ledger.breakers.not_closed()
    assert (breaker.provider, breaker.cause) == ("fal", BreakerCause.AUTH)


def test_a_clip_of_a_provider_that_hangs_up_waits_for_it_and_for_nobody(stage: Stage) -> None:
    without_kiln(stage)
    with cut_off(stage):
        assert stage.one(brief_of(HARBOUR)).status is ClipStatus.WAITING
    [wait] = stage.ledger.waits.all()
    assert wait.cause is WaitCause.PROVIDER
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model, clip.fall_over) == (ClipStatus.GENERATED, SPRINT, "")


def test_a_request_that_one_model_cannot_serve_is_served_by_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        turn_away(patch, FailureKind.INVALID, "value_error: too short")
        clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model) == (ClipStatus.GENERATED, DASH)
    assert "cannot serve this request: value_error" in clip.fall_over
    # It says nothing of other requests.
    assert stage.ledger.breakers.not_closed() == []


def test_a_request_that_no_model_can_serve_asks_a_person(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    without_kiln(stage)
    asked = turn_away(monkeypatch, FailureKind.INVALID, "value_error: too short")
    for _ in range(2):
        clip = stage.one(brief_of(HARBOUR))
        assert clip.status is ClipStatus.REVIEW
        assert "cannot serve this request" in clip.reason
    assert asked == [SPRINT, STEADY]


def test_a_request_that_one_model_may_still_serve_waits_for_it_and_asks_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_kiln(stage)
    with monkeypatch.context() as patch:

        async def submit(self: FalProvider, job: Job, **more: Any) -> Receipt:
            raise NotAccepted(FailureKind.TRANSIENT if job.model == SPRINT else FailureKind.INVALID, "not now")

        patch.setattr(FalProvider, "submit", submit)
        clip = stage.one(brief_of(HARBOUR))
    assert clip.status is ClipStatus.WAITING
    [wait] = stage.ledger.waits.all()
    assert (wait.cause, wait.why.until is not None) == (WaitCause.PROVIDER, True)
    let_probe(stage.ledger)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model) == (ClipStatus.GENERATED, SPRINT)


def test_failures_of_a_provider_do_not_count_on_the_ladder(stage: Stage) -> None:
    """A remapped prompt is moved to another vendor, and there the ladder goes on where it was."""
    stage.edge.fault("refuse_input", match="sprint")
    stage.edge.fault("submit_503", match="Medium shot", times=4)
    clip = stage.one(brief_of("Close-up of CEO speaking with confidence"))
    assert (clip.status, clip.strategy, clip.model) == (ClipStatus.GENERATED, "prompt_remapping", DASH)
    assert [(job.model, job.strategy) for job in stage.jobs()] == [
        (SPRINT, "original"),
        (SPRINT, "prompt_remapping"),
        (DASH, "prompt_remapping"),
    ]


def test_a_failed_attempt_does_not_keep_a_shot_from_its_cheapest_model(stage: Stage) -> None:
    without_kiln(stage)
    stage.edge.fault("submit_503", times=99)
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.WAITING
    stage.edge.clear_faults()
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model, clip.fall_over) == (ClipStatus.GENERATED, SPRINT, "")


def test_a_stand_in_that_costs_too_much_is_not_bought(stage: Stage) -> None:
    without_kiln(stage)
    rules = stage.policy.breaker.model_copy(update={"dearest_fall_over": Decimal("3.1")})
    stage.edge.fault("submit_503", match="sprint", times=99)
    waiting = stage.one(brief_of(HARBOUR), policy=stage.policy.model_copy(update={"breaker": rules}))
    assert (waiting.status, stage.requests) == (ClipStatus.WAITING, [])
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model, clip.tier) == (ClipStatus.GENERATED, STEADY, "preview")
    assert "$0.0480 more an attempt" in clip.fall_over


def test_the_ceiling_holds_for_a_stand_in(stage: Stage) -> None:
    stage.edge.fault("submit_503", match="sprint", times=99)
    clip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, ceiling_usd="0.024"))
    assert (clip.status, stage.requests) == (ClipStatus.WAITING, [])
    assert "ceiling" in clip.reason


# --- left alone, probed, back ---------------------------------------------------------------------------------------


def test_a_clip_that_nobody_can_serve_waits_for_the_next_probe_and_the_probe_brings_the_provider_back(
    stage: Stage,
) -> None:
    without_kiln(stage)
    stage.edge.fault("submit_503", times=999)
    hills = [brief_of(f"hill {n}", brief_id=f"hill-{n}") for n in range(5)]
    waiting = stage.generate(*hills)
    assert {clip.status for clip in waiting} == {ClipStatus.WAITING}
    assert all("HTTP 503" in clip.reason or "does not work" in clip.reason for clip in waiting)
    assert stage.ledger.breakers.not_closed() != []
    stage.edge.clear_faults()
    let_probe(stage.ledger)
    clips = stage.generate(*hills)
    # One of them probes; the others wait for what it hears.
    assert {(clip.status, clip.model) for clip in clips} == {(ClipStatus.GENERATED, SPRINT)}
    assert stage.ledger.breakers.not_closed() == []
    moves = [(one.after.model, one.after.state) for one in stage.ledger.breakers.transitions(since=_long_ago())]
    assert ("", BreakerState.OPEN) in moves
    assert moves[-1][1] is BreakerState.CLOSED
    assert any(cause.endswith("closed") for cause in stage.alerts())
    assert stage.ledger.breakers.untold() == []


def test_a_dead_provider_is_probed_by_one_job_a_wait(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, many clips, no credit: one submit for each wait that is over."""
    with monkeypatch.context() as patch:
        asked = turn_away(patch, FailureKind.QUOTA, "you owe us")
        stage.one(brief_of("the first", brief_id="first"))
        assert len(asked) == 1
        policy = patient(stage.policy)
        let_probe(stage.ledger)
        clips = stage.generate(*(brief_of(f"hill {n}", brief_id=f"hill-{n}") for n in range(8)), policy=policy)
    assert {(clip.status, clip.model) for clip in clips} == {(ClipStatus.GENERATED, DASH)}
    assert len(asked) == 2


def test_a_model_that_refuses_everything_is_left_alone_and_its_clips_are_made_elsewhere(stage: Stage) -> None:
    stage.edge.fault("refuse_input", match="sprint", times=999)
    stage.policy = patient(quick(stage.policy, concurrency=1))
    stage.catalogue = stage.catalogue.model_copy(update={"anchor": None})
    clips = stage.generate(*(brief_of(f"plain hill {n}", brief_id=f"hill-{n}") for n in range(14)), limit_s=40)
    [breaker] = stage.ledger.breakers.not_closed()
    assert (breaker.model, breaker.cause) == (SPRINT, BreakerCause.REFUSALS)
    assert {(clip.status, clip.model) for clip in clips} == {(ClipStatus.GENERATED, DASH)}
    left_alone = [clip for clip in clips if "refuses too much" in clip.fall_over]
    assert len(left_alone) >= 5
    assert all(f"{SPRINT} has refused this shot" in clip.fall_over for clip in clips if clip not in left_alone)


# --- refused by one model -------------------------------------------------------------------------------------------


def test_what_one_model_refuses_under_every_strategy_is_made_by_the_next(stage: Stage) -> None:
    stage.edge.fault("refuse_input", match="sprint", times=999)
    clip = stage.one(brief_of("Close-up of CEO speaking with confidence", broll=("Hands typing",)))
    assert (clip.status, clip.model, clip.strategy) == (ClipStatus.GENERATED, DASH, "other_model")
    assert clip.fall_over == f"{DASH} instead of {SPRINT}, as {SPRINT} has refused this shot; $0.0040 more an attempt"
    tried = [(job.model, job.strategy) for job in stage.jobs() if job.kind is JobKind.VIDEO]
    climbed = ["original", "prompt_remapping", "shot_substitution", "image_anchoring"]
    assert tried == [*((SPRINT, strategy) for strategy in climbed), (DASH, "other_model")]
    made = stage.jobs()[-1]
    assert made.order.prompt == "Medium shot, professional setting, minimal expression"
    assert f"refused by {SPRINT}" in made.reason
    assert stage.one(brief_of("Close-up of CEO speaking with confidence", broll=("Hands typing",))) == clip


def test_a_run_that_was_killed_on_the_way_to_another_model_goes_on_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.edge.fault("refuse_input", match="sprint", times=999)

    def stop(self: Switchboard, *args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Switchboard, "reroute", stop)
        stage.one(brief_of(HARBOUR))
    before = stage.jobs()
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model, clip.strategy) == (ClipStatus.GENERATED, DASH, "other_model")
    assert stage.jobs()[:-1] == before


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "over the ceiling"])
def test_the_step_to_another_model_stays_the_next_one_until_there_is_a_job_of_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """The one that has refused takes no picture, and the one that the shot was rerouted to does."""
    models = tuple(
        model.model_copy(update={"image_to_video": model.model != SPRINT}) for model in stage.catalogue.models
    )
    stage.catalogue = stage.catalogue.model_copy(update={"models": models})
    stage.edge.fault("refuse_input", match="sprint", times=999)
    brief = brief_of("Close-up of CEO speaking with confidence")
    reroute = Switchboard.reroute

    async def stop(self: Switchboard, *args: Any) -> None:
        await reroute(self, *args)
        raise KeyboardInterrupt

    if killed:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Switchboard, "reroute", stop)
            stage.one(brief)
    else:
        assert "ceiling" in stage.one(brief, policy=quick(stage.policy, ceiling_usd="0.024")).reason
    assert stage.plan(brief)[0].decisions[0].model == DASH
    clip = stage.one(brief)
    assert (clip.status, clip.model, clip.strategy) == (ClipStatus.GENERATED, DASH, "image_anchoring")
    softer = [(SPRINT, "prompt_remapping")]
    tried = [(SPRINT, "original"), *softer, ("sandbox/still", "image_anchoring"), (DASH, "image_anchoring")]
    assert [(job.model, job.strategy) for job in stage.jobs() if job.state is not JobState.REFUSED] == tried


@pytest.mark.parametrize(("lost", "serves"), [(SPRINT, DASH), (DASH, STEADY)])
def test_what_is_for_other_models_needs_none_that_has_left_the_catalogue(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lost: str, serves: str
) -> None:
    """The one that has refused it, or the one that it was rerouted to and never sent."""
    stage.edge.fault("refuse_input", match="sprint", times=999)
    reroute = Switchboard.reroute

    async def stop(self: Switchboard, *args: Any) -> None:
        if lost == DASH:
            await reroute(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Switchboard, "reroute", stop)
        stage.one(brief_of(HARBOUR))
    models = tuple(model for model in stage.catalogue.models if model.model != lost)
    stage.catalogue = stage.catalogue.model_copy(update={"models": models})
    assert stage.plan(brief_of(HARBOUR))[0].decisions[0].model == lost
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model, clip.strategy) == (ClipStatus.GENERATED, serves, "other_model")
    assert clip.fall_over.startswith(f"{serves} instead of {SPRINT}, as {SPRINT} has refused this shot; ")


def test_what_every_adequate_model_refuses_asks_a_person_and_is_not_to_be_bought(stage: Stage) -> None:
    stage.edge.fault("refuse_input", times=999)
    for _ in range(2):
        clip = stage.one(brief_of(HARBOUR))
        assert clip.status is ClipStatus.REVIEW
        assert clip.reason.endswith("original, other_model), and no other model is adequate")
    refused = [job.model for job in stage.jobs() if job.kind is JobKind.VIDEO]
    assert refused[-2:] == [DASH, STEADY]
    plans, state = stage.plan(brief_of(HARBOUR)), RoutingState()
    assert shots_not_to_buy(stage.ledger, plans, stage.policy, stage.catalogue, state) == {(clip.clip_id, 0)}


def test_a_model_that_may_take_what_another_has_refused_is_waited_for(stage: Stage) -> None:
    stage.edge.fault("refuse_input", match="sprint", times=999)
    for name in (DASH, "steady"):
        stage.edge.fault("submit_503", match=name, times=99)
    assert stage.one(brief_of(HARBOUR), policy=quick(stage.policy, backoff_s=())).status is ClipStatus.WAITING
    stage.edge.clear_faults()
    let_probe(stage.ledger)
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.strategy) == (ClipStatus.GENERATED, "other_model")
    assert clip.model != SPRINT


def test_a_cached_clip_needs_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    without_kiln(stage)
    assert stage.one(brief_of(HARBOUR, seed=7)).status is ClipStatus.GENERATED
    turn_away(monkeypatch, FailureKind.QUOTA, "you owe us")
    assert stage.one(brief_of("a hill", brief_id="hill")).status is ClipStatus.WAITING
    clip = stage.one(brief_of(HARBOUR, brief_id="again", seed=7))
    assert (clip.status, clip.cached) == (ClipStatus.GENERATED, True)


# --- what was bought, and may have been -----------------------------------------------------------------------------


def test_a_provider_that_dies_while_it_renders_is_left_early_and_its_results_are_taken_in(stage: Stage) -> None:
    is_silent(stage)
    policy = quick(stage.policy, poll_patience_s=0.3)
    clips = stage.generate(*(brief_of(f"hill {n}", brief_id=f"hill-{n}") for n in range(4)), policy=policy)
    assert {clip.status for clip in clips} == {ClipStatus.WAITING}
    bought = len(stage.requests)
    assert bought == 4
    stage.edge.clear_faults()
    clips = stage.generate(*(brief_of(f"hill {n}", brief_id=f"hill-{n}") for n in range(4)), policy=policy)
    assert {(clip.status, clip.model) for clip in clips} == {(ClipStatus.GENERATED, SPRINT)}
    assert len(stage.requests) == bought


def test_a_job_that_may_have_been_bought_is_not_fallen_over_from(stage: Stage) -> None:
    stage.edge.fault("submit_500", match="sprint", times=9)
    for _ in range(2):
        assert stage.one(brief_of(HARBOUR)).status is ClipStatus.REVIEW
    assert [job.state for job in stage.jobs()] == [JobState.UNKNOWN]


@pytest.fixture
def left(stage: Stage) -> Job:
    """A job that was bought, and that its provider does not tell of."""
    is_silent(stage)
    assert stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_patience_s=0.2)).status is ClipStatus.WAITING
    [job] = stage.jobs()
    return job


def test_after_the_policys_wait_another_model_serves_and_the_late_result_is_booked(stage: Stage, left: Job) -> None:
    hours = quick(stage.policy, poll_patience_s=0.2)
    assert stage.one(brief_of(HARBOUR), policy=hours).status is ClipStatus.WAITING
    assert models_of(stage) == [SPRINT]
    age(stage.ledger, left, stage.policy.generation.give_up_after_s)
    clip = stage.one(brief_of(HARBOUR), policy=hours)
    assert (clip.status, clip.model) == (ClipStatus.GENERATED, DASH)
    assert "has not handed over what it was paid for" in clip.fall_over
    late = stage.ledger.jobs.get(left.key)
    assert not late.state.final
    stage.edge.clear_faults()
    assert stage.one(brief_of(HARBOUR)).model == DASH
    late = stage.ledger.jobs.get(left.key)
    assert (late.state, late.failure_kind, late.billed_usd) == (
        JobState.FAILED,
        FailureKind.CANCELED,
        PRICES[SPRINT],
    )
    assert len(stage.requests) == 2


def test_a_late_result_serves_its_shot_when_nothing_else_has(stage: Stage, left: Job) -> None:
    age(stage.ledger, left, stage.policy.generation.give_up_after_s)
    stage.edge.fault("submit_503", match=DASH, times=99)
    stage.edge.fault("submit_503", match="steady", times=99)
    assert stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_patience_s=0.2)).status is ClipStatus.WAITING
    stage.edge.clear_faults()
    clip = stage.one(brief_of(HARBOUR))
    assert (clip.status, clip.model, clip.billed_usd) == (ClipStatus.GENERATED, SPRINT, PRICES[SPRINT])
    assert len(stage.requests) == 1


def test_no_second_job_while_one_is_in_flight(stage: Stage, left: Job) -> None:
    """However often it is run, and whatever else could serve."""
    age(stage.ledger, left, stage.policy.generation.give_up_after_s - 60)
    for _ in range(3):
        clip: GeneratedClip = stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_patience_s=0.1))
        assert clip.status is ClipStatus.WAITING
    assert len(stage.requests) == 1
    stage.edge.clear_faults()
    assert stage.one(brief_of(HARBOUR)).status is ClipStatus.GENERATED


def test_a_job_that_nobody_wants_any_more_is_called_off_and_followed_to_its_end(stage: Stage) -> None:
    stage.edge.fault("stuck", match="sprint")
    policy = quick(stage.policy, poll_timeout_s=0.3)
    assert stage.one(brief_of(HARBOUR), policy=policy).status is ClipStatus.WAITING
    is_silent(stage, times=2)
    assert stage.one(brief_of("a hill")).status is ClipStatus.GENERATED
    stage.edge.clear_faults()
    stage.one(brief_of("a hill"))
    called_off = next(job for job in stage.jobs() if job.order.prompt == HARBOUR)
    notes = [event["note"] for event in stage.ledger.jobs.events(called_off.key)]
    assert any(note.startswith("called off: the brief was changed") for note in notes)
    assert (called_off.state, called_off.failure_kind) == (JobState.FAILED, FailureKind.CANCELED)


def test_what_was_bought_for_a_brief_that_is_withdrawn_is_called_off_although_its_day_is_empty(stage: Stage) -> None:
    stage.edge.fault("stuck", match="sprint")
    assert stage.one(brief_of(HARBOUR), policy=quick(stage.policy, poll_timeout_s=0.3)).status is ClipStatus.WAITING
    assert stage.run([], days=[stage.day]) == []
    [job] = stage.jobs()
    assert (job.state, job.failure_kind, job.billed_usd) == (JobState.FAILED, FailureKind.CANCELED, PRICES[SPRINT])


def test_a_model_that_takes_too_long_is_slow_once_a_job(stage: Stage) -> None:
    stage.edge.fault("stuck", match="sprint", times=3)
    policy = patient(quick(stage.policy, poll_timeout_s=0.3), slow_after_s=0.3)
    hills = [brief_of(f"hill {n}", brief_id=f"hill-{n}") for n in range(3)]
    for _ in range(2):
        stage.generate(*hills[:2], policy=policy)
    assert stage.ledger.breakers.not_closed() == []
    stage.generate(*hills, policy=policy)
    [breaker] = stage.ledger.breakers.not_closed()
    assert (breaker.model, breaker.cause, breaker.failures) == (SPRINT, BreakerCause.SLOW, 3)
    assert stage.one(brief_of("a lake", brief_id="lake")).model == DASH
    for job in stage.jobs():
        if job.model == SPRINT:
            age(stage.ledger, job, stage.policy.generation.give_up_after_s)
    clips = stage.generate(*hills)
    assert {(clip.status, clip.model) for clip in clips} == {(ClipStatus.GENERATED, DASH)}
    # Called off: they had used the GPU.
    stage.generate(*hills)
    assert {job.failure_kind for job in stage.jobs() if job.model == SPRINT} == {FailureKind.CANCELED}


def _long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)
