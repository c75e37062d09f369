"""Who serves an attempt: the model that its shot was given, or the next adequate one while that cannot (G2.8).

A model cannot serve while its breaker, or its provider's, is open; in this run, when it has just failed here outside
the shot; and never, when it says that this very request is invalid, or has refused the shot under every strategy.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.generation import messages
from video_pipeline.generation.cadence import look_again_in
from video_pipeline.generation.ladder import Attempt, refused_everywhere
from video_pipeline.generation.ledger_threads import LedgerThreads
from video_pipeline.generation.requests import build_job
from video_pipeline.ledger import Breaker, BreakerState, FailureKind, Job, JobKind, Lease, Ledger
from video_pipeline.policy import Policy, RoutingThresholds
from video_pipeline.routing import Catalogue, ClipPlan, Decision, FallOver, RoutingState, decide

_LOG = logging.getLogger(__name__)

# What a model that has failed so is not asked for again by the same run.
_NOT_IN_THIS_RUN = (FailureKind.TRANSIENT, FailureKind.AUTH, FailureKind.QUOTA, FailureKind.CANCELED)
_ASK_AGAIN_S = 0.25


@dataclass(frozen=True)
class Served:
    """A planned job, and the decision that it is bought under."""

    job: Job
    decision: Decision


@dataclass(frozen=True)
class Unserved:
    """No adequate model can serve now; `until` is the next probe of one that could, where there is one.

    `breaker` is the provider or model whose breaker is in that one's way; `person` says that none ever will as things
    stand.
    """

    reason: str
    provider: str = ""
    breaker: str = ""
    until: datetime | None = None
    person: bool = False


class Switchboard:
    """Gives each attempt of a run to a model that can serve it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        threads: LedgerThreads,
        catalogue: Catalogue,
        policy: Policy,
        state: RoutingState,
        notifier: Notifier,
        run_id: str,
    ) -> None:
        self._ledger = ledger
        self._db = threads
        self._catalogue = catalogue
        self._thresholds = policy.routing
        self._rules = policy.breaker
        self._lease_s = policy.generation.lease_s
        self._state = standing_in(state, policy)
        self._notifier = notifier
        self._run_id = run_id

    @asynccontextmanager
    async def serving(
        self, plan: ClipPlan, decision: Decision, attempt: Attempt, history: Sequence[Job], owed: Sequence[Job]
    ) -> AsyncGenerator[Served | Unserved, None]:
        """Who serves an attempt. It may be a probe, and is the only one then for as long as the block lasts."""
        out = never_by(attempt, history) | self._out(history, owed)
        blocked: dict[str, list[Breaker]] = {}
        patience = asyncio.get_running_loop().time() + self._rules.probe_patience_s
        async with AsyncExitStack() as probes:
            while True:
                unavailable = out | {model: found[0].why for model, found in blocked.items()}
                chosen = self._next(plan, decision, attempt, unavailable)
                if chosen is None:
                    probed = any(one.state is BreakerState.HALF_OPEN for found in blocked.values() for one in found)
                    if probed and asyncio.get_running_loop().time() < patience:
                        # Another shot is asking just now, and what it hears is good for this one, too.
                        await asyncio.sleep(_ASK_AGAIN_S)
                        blocked = {}
                        continue
                    yield self._unserved(attempt, history, out, blocked)
                    return
                job = build_job(plan, chosen, attempt, self._catalogue, run_id=self._run_id)
                in_the_way = await self._admitted(job, probes)
                if not in_the_way or await self._is_cached(job):
                    yield Served(job, chosen)
                    break
                blocked[job.model] = in_the_way
                if not in_the_way[0].model:
                    # A provider as a whole: none of its models is the way out, not even when it works a moment later.
                    blocked |= dict.fromkeys(self._sold_by(job.provider), in_the_way)

    def can_anchor(self, plan: ClipPlan, decision: Decision, history: Sequence[Job]) -> bool:
        """Whether a shot may be made from a picture."""
        return can_anchor(plan, decision, history, self._catalogue, self._thresholds, self._state)

    async def may_buy(self, job: Job, probes: AsyncExitStack) -> str:
        """Why a job whose money is set aside is not to be bought; empty when it is, maybe as a probe."""
        in_the_way = await self._admitted(job, probes)
        return in_the_way[0].why if in_the_way else ""

    async def reroute(self, plan: ClipPlan, decision: Decision, lease: Lease) -> None:
        """Commit that a shot is served otherwise from now on."""
        shot = plan.storyboard.shots[decision.shot]
        await self._db(
            self._ledger.governance.reroute,
            clip_id=plan.clip_id,
            shot=shot.index,
            shot_sha256=plan.storyboard.shot_sha256(shot),
            document=decision.model_dump(mode="json"),
            lease=lease,
        )
        checkpoints.reached("generation.rerouted")
        _LOG.info("%s shot %d: %s", plan.clip_id, shot.index, decision.fall_over or decision.reasons[-1])

    async def tell(self) -> None:
        """Alert what has changed with the breakers, once, whoever has changed it."""
        await self._db(_tell, self._ledger, self._notifier)

    def _out(self, history: Sequence[Job], owed: Sequence[Job]) -> dict[str, str]:
        """Models that are not asked for this shot in this run whatever their breakers say, and why."""
        out = {
            job.model: f"{job.model} has failed ({job.failure_kind}): {job.failure_reason}"
            for job in history
            if job.run_id == self._run_id and _is_trouble(job)
        }
        for job in owed:
            out[job.model] = f"{job.model} has not handed over what it was paid for"
        return out

    def _next(
        self, plan: ClipPlan, decision: Decision, attempt: Attempt, unavailable: Mapping[str, str]
    ) -> Decision | None:
        """The decision as it is when its model can serve, else with the next adequate one; None without any."""
        if attempt.kind is JobKind.IMAGE:
            # There is one model of pictures.
            return None if self._catalogue.anchor_model.model in unavailable else decision
        if attempt.image is not None:
            unavailable = _without_pictures(self._catalogue) | dict(unavailable)
        if self._catalogue.find(decision.model or "") is None and not attempt.not_by:
            # What was routed to a model that has left the catalogue is told as that.
            return decision
        return stand_in(plan, decision, self._catalogue, self._thresholds, self._state, unavailable)

    async def _admitted(self, job: Job, probes: AsyncExitStack) -> list[Breaker]:
        """The breakers that keep a job from being bought; none when it may be, as a probe where one is due."""
        in_the_way = await self._db(self._ledger.breakers.in_the_way, job.provider, job.model, self._rules)
        now = datetime.now(UTC)
        if not in_the_way or not all(one.next_probe_at and now >= one.next_probe_at for one in in_the_way):
            return in_the_way
        async with AsyncExitStack() as held:
            for one in in_the_way:
                resource = f"probe {one.provider} {one.model}"
                lease = self._ledger.leases.held(resource, ttl_s=self._lease_s)
                taken = await self._db(lease.__enter__)
                held.push_async_callback(self._db, lease.__exit__, None, None, None)
                probe = self._ledger.breakers.probe
                if taken is None or not await self._db(probe, one.provider, one.model, job.key, self._rules):
                    return await self._db(self._ledger.breakers.in_the_way, job.provider, job.model, self._rules)
            # When the probe has ended, what it has shown is read off its job.
            held.push_async_callback(self._db, self._ledger.breakers.in_the_way, job.provider, job.model, self._rules)
            await probes.enter_async_context(held.pop_all())
        _LOG.info("%s is the probe of %s", job.clip_id, ", ".join(one.subject for one in in_the_way))
        return []

    async def _is_cached(self, job: Job) -> bool:
        """Whether it is served from our own store, for which nobody has to work."""
        return await self._db(self._ledger.jobs.cached, job.request_sha256) is not None

    def _sold_by(self, provider: str) -> list[str]:
        return [model.model for model in self._catalogue.models if model.provider == provider]

    def _unserved(
        self,
        attempt: Attempt,
        history: Sequence[Job],
        out: Mapping[str, str],
        blocked: Mapping[str, Sequence[Breaker]],
    ) -> Unserved:
        if blocked:
            probes = {model: max(one.next_probe_at or one.since for one in found) for model, found in blocked.items()}
            model = min(probes, key=lambda name: (probes[name], name))
            first = blocked[model][0]
            until = probes[model]
            others = {found[0].why for found in blocked.values()} - {first.why}
            and_so = f" ({'; '.join(sorted(others))})" if others else ""
            reason = f"{first.why}{and_so}; it is asked again from {until:%Y-%m-%d %H:%M:%S} UTC on"
            return Unserved(reason, first.provider, first.subject, until)
        last = history[-1] if history else None
        # One that only failed for now may serve in a while.
        never = out.keys() <= never_by(attempt, history).keys()
        if never and attempt.not_by:
            return Unserved(f"{refused_everywhere(history)}, and no other model is adequate", person=True)
        if never and last is not None and last.failure_kind is FailureKind.INVALID:
            return Unserved(f"{last.model} cannot serve this request: {last.failure_reason}", person=True)
        why = "; ".join(out.values()) or "no model of the catalogue can serve it"
        provider = last.provider if last else ""
        wait = look_again_in(self._rules, _tried_for_s(history))
        return Unserved(f"no adequate model can serve now: {why}", provider, until=datetime.now(UTC) + wait)


def never_by(attempt: Attempt, history: Sequence[Job]) -> dict[str, str]:
    """The models that can never serve an attempt after `history`, and why."""
    refused = {model: f"{model} has refused this shot" for model in sorted(attempt.not_by)}
    return refused | _invalid_at(history)


def standing_in(state: RoutingState, policy: Policy) -> RoutingState:
    """The state that a stand-in is chosen by.

    The guard in the ledger holds freezes; a clip of a frozen tier that may go on may fall over, too.
    """
    return replace(state, frozen=frozenset(), dearest=float(policy.breaker.dearest_fall_over))


def stand_in(
    plan: ClipPlan,
    decision: Decision,
    catalogue: Catalogue,
    thresholds: RoutingThresholds,
    state: RoutingState,
    unavailable: Mapping[str, str],
) -> Decision | None:
    """The decision as it is when its model is not `unavailable`, else with the next adequate one; None without any.

    A model that has left the catalogue cannot serve either. `state` is one by `standing_in`.
    """
    if decision.model and catalogue.find(decision.model) is None:
        unavailable = {decision.model: f"{decision.model} has left the catalogue"} | dict(unavailable)
    if decision.model not in unavailable:
        return decision
    first = decision.fell_over or FallOver(model=decision.model or "", why="", usd=decision.attempt_usd)
    shot, brief = plan.storyboard.shots[decision.shot], plan.storyboard.directed
    found = decide(shot, brief, catalogue, thresholds, replace(state, unavailable=unavailable))
    if found.held or found.model is None:
        return None
    # What was drawn for the clip was drawn for the model that it was first given to.
    found = found.model_copy(update={"chance": decision.chance, "draw": decision.draw})
    if found.model == first.model:
        return found
    first = replace(first, why=unavailable.get(first.model, first.why))
    moved = found.model_copy(update={"fell_over": first})
    return moved.model_copy(update={"reasons": (*moved.reasons, moved.fall_over)})


def can_anchor(
    plan: ClipPlan,
    decision: Decision,
    history: Sequence[Job],
    catalogue: Catalogue,
    thresholds: RoutingThresholds,
    state: RoutingState,
) -> bool:
    """Whether a picture can be bought, and an adequate model starts from one: the shot's own, or one that stands in.

    A shot of a model that the catalogue has lost is made by no other. `state` is one by `standing_in`.
    """
    if catalogue.anchor is None or catalogue.find(decision.model or "") is None:
        return False
    out = _without_pictures(catalogue) | _invalid_at(history)
    return stand_in(plan, decision, catalogue, thresholds, state, out) is not None


def _without_pictures(catalogue: Catalogue) -> dict[str, str]:
    """The models that start from no picture, and that in words."""
    return {
        model.model: f"{model.model} starts from no picture" for model in catalogue.models if not model.image_to_video
    }


def _invalid_at(history: Sequence[Job]) -> dict[str, str]:
    """The models that say that the request itself is invalid there, and why."""
    return {
        job.model: f"{job.model} cannot serve this request: {job.failure_reason}"
        for job in history
        if job.failure_kind is FailureKind.INVALID
    }


def _is_trouble(job: Job) -> bool:
    """Whether its model was of no use; one that was set aside and never wanted says nothing of it."""
    never_wanted = job.failure_kind is FailureKind.CANCELED and job.submitted_at is None
    return job.failure_kind in _NOT_IN_THIS_RUN and not never_wanted


def _tried_for_s(history: Sequence[Job]) -> float:
    """Seconds since the first of a shot's jobs was to be bought."""
    first = min((job.submitted_at for job in history if job.submitted_at), default=None)
    return (datetime.now(UTC) - first).total_seconds() if first else 0.0


def _tell(ledger: Ledger, notifier: Notifier) -> None:
    for transition in ledger.breakers.untold():
        alert = messages.breaker_moved(transition)
        if alert is not None:
            notifier.notify(alert)
        ledger.breakers.told(transition)
