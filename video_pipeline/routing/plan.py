"""The price of a day before anything is bought: expected and 90th-percentile cost (G1.8)."""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import Storyboard
from video_pipeline.errors import BudgetExceeded
from video_pipeline.ledger import Ledger
from video_pipeline.policy import ExplorationPolicy, RoutingThresholds
from video_pipeline.routing.assignment import Tally, assign
from video_pipeline.routing.catalogue import Catalogue
from video_pipeline.routing.decision import Decision
from video_pipeline.routing.hours import at_price_of, buying_moments, least_dear
from video_pipeline.routing.levers import Lever
from video_pipeline.routing.options import tier_of
from video_pipeline.routing.reuse import Preview, preview_of, with_preview
from video_pipeline.routing.state import RoutingState
from video_pipeline.routing.tree import decide

# Standard normal quantile of 0.9: the sum over a day's independent shots is close to normal.
_Z90 = 1.2815515655446004


class OverCap(BaseModel):
    """Why nothing of a day's plan is bought (G1.8), and what a cap has to let through for that to change."""

    model_config = ConfigDict(frozen=True)

    reason: str
    to_buy_usd: Decimal


class ClipPlan(BaseModel):
    """A clip's storyboard with a decision for every shot."""

    model_config = ConfigDict(frozen=True)

    clip_id: str
    storyboard: Storyboard
    decisions: tuple[Decision, ...]
    expected_usd: Decimal
    p90_usd: Decimal
    over_cap: OverCap | None = None
    """What of the clip is not bought yet is not bought now; what is, is taken to its end."""

    @property
    def held(self) -> str | None:
        """Why the clip is not generated now; a clip is held whole, as half a clip is worth nothing."""
        return next((decision.held for decision in self.decisions if decision.held), None)


class DayPlan(BaseModel):
    """Totals of a day's plans; estimates, in US dollars. `to_buy_usd` is what of `expected_usd` is not bought yet.

    `upscaling_usd` is the electricity of our own GPU, and `saves` what each lever is expected to save.
    """

    model_config = ConfigDict(frozen=True)

    day: date
    clips: int
    held: int
    expected_usd: Decimal
    p90_usd: Decimal
    to_buy_usd: Decimal
    by_tier: dict[str, Decimal]
    by_model: dict[str, Decimal]
    upscaling_usd: Decimal = Decimal(0)
    saves: dict[Lever, Decimal] = {}


def plan_clip(
    storyboard: Storyboard,
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
    *,
    max_attempts: int,
    preview: Preview | None = None,
) -> ClipPlan:
    """Decide every shot of a clip and price it; `preview` is what `preview_of` has found of the one that it names."""
    state = state.on(storyboard.day)
    decisions = _finished(storyboard, _plain(storyboard, catalogue, policy, state), preview, catalogue, policy, state)
    return priced(storyboard, decisions, max_attempts=max_attempts)


def _plain(
    storyboard: Storyboard, catalogue: Catalogue, policy: RoutingThresholds, state: RoutingState
) -> list[Decision]:
    return [decide(shot, storyboard.directed, catalogue, policy, state) for shot in storyboard.shots]


def _finished(
    storyboard: Storyboard,
    decisions: Sequence[Decision],
    preview: Preview | None,
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
) -> list[Decision]:
    """The decisions with what a cut draft saves, and with what the preview serves instead."""
    decisions = _cut_short(storyboard, decisions, catalogue, policy, state)
    if preview is None:
        return decisions
    return [_or_preview(storyboard, one, preview, catalogue, policy, state) for one in decisions]


def _cut_short(
    storyboard: Storyboard,
    decisions: Sequence[Decision],
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
) -> list[Decision]:
    """The decisions; the first of a draft that was cut says what that saves beside the decisions of all its shots."""
    if not storyboard.uncut:
        return list(decisions)
    uncut = [decide(shot, storyboard.directed, catalogue, policy, state) for shot in storyboard.uncut]
    whole_s, kept_s = sum(shot.duration_s for shot in storyboard.uncut), storyboard.brief.total_s
    whole_usd, kept_usd = (sum(one.accepted_usd for one in several) for several in (uncut, decisions))
    first, saved = decisions[0], max(Decimal(0), _usd(whole_usd - kept_usd))
    worth = f"${saved:.4f}" if saved else "nothing"
    said = f"the draft is cut from {whole_s:g} s to {kept_s:g} s, which saves {worth}"
    saves = first.saves | ({Lever.DRAFT_SECONDS: saved} if saved else {})
    return [first.model_copy(update={"reasons": (*first.reasons, said), "saves": saves}), *decisions[1:]]


def _or_preview(
    storyboard: Storyboard,
    decision: Decision,
    preview: Preview,
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
) -> Decision:
    """The decision, or what serves instead for nothing: a freeze is about what is paid for, and holds no reuse."""
    if decision.held:
        shot, thawed = storyboard.shots[decision.shot], replace(state, frozen=frozenset())
        free = decide(shot, storyboard.directed, catalogue, policy, thawed)
        served = with_preview(storyboard, free, preview, catalogue, policy)
        if served.reuse:
            return served
    return with_preview(storyboard, decision, preview, catalogue, policy)


def priced(storyboard: Storyboard, decisions: Sequence[Decision], *, max_attempts: int) -> ClipPlan:
    """A clip plan with its price from its decisions."""
    held = any(decision.held for decision in decisions)
    mean, variance = _sum(() if held else [cost_moments(decision, max_attempts) for decision in decisions])
    return ClipPlan(
        clip_id=storyboard.clip_id,
        storyboard=storyboard,
        decisions=tuple(decisions),
        expected_usd=_usd(mean),
        p90_usd=_usd(mean + _Z90 * math.sqrt(variance)),
    )


def plan_day(
    ledger: Ledger,
    storyboards: Iterable[Storyboard],
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state: RoutingState,
    *,
    max_attempts: int,
    probes: int = 0,
    exploration: ExplorationPolicy | None = None,
    now: datetime | None = None,
    keep: bool = True,
) -> list[ClipPlan]:
    """Plan a day's clips; a shot that money was spent on keeps the decision that it was bought under.

    Of each tier in `state.probed`, at most `probes` clips of the day are not held. The ledger holds that bound for
    the calendar day, whatever is planned. With `exploration` some clips are given to models that one learns of,
    within budgets that are the production day's however often it is planned, and in whatever parts. Prices are those
    of the moment `now`, or of off-peak hours that a clip waits for; without it, the list's. Without `keep`
    nothing is noted, and each shot has the decision that it would have if it were planned now.
    """
    boards = list(storyboards)
    previews = {board.clip_id: preview_of(ledger, board, policy) for board in boards}
    # What a preview serves whole is not bought, so nothing is drawn for it, and no probe is spent on it.
    reused: dict[str, Sequence[Decision]] = {
        board.clip_id: plan.decisions
        for board in boards
        if (preview := previews[board.clip_id]) is not None
        and (plan := plan_clip(board, catalogue, policy, state, max_attempts=max_attempts, preview=preview))
        and all(decision.reuse for decision in plan.decisions)
    }
    bought = [board for board in boards if board.clip_id not in reused]
    probing = _probing(ledger, bought, policy, state, probes)
    opened = replace(state, frozen=state.frozen - state.probed)

    def state_now(board: Storyboard) -> RoutingState:
        return (opened if board.clip_id in probing else state).on(board.day)

    moments = _buying_moments(ledger, bought, catalogue, policy, state_now, now)

    def state_of(board: Storyboard) -> RoutingState:
        return replace(state_now(board), priced_at=moments.get(board.clip_id))

    fresh: dict[str, Sequence[Decision]] = {}
    for day in sorted({board.day for board in bought}):
        of_day = [board for board in bought if board.day == day]
        if exploration is None:
            fresh |= {board.clip_id: _plain(board, catalogue, policy, state_of(board)) for board in of_day}
        else:
            tally, begun = _used(ledger, day, boards)
            fresh |= assign(of_day, catalogue, policy, state_of, exploration, tally, begun)
    plans: list[ClipPlan] = []
    for board in boards:
        decisions = reused.get(board.clip_id)
        if decisions is None:
            preview, plain = previews[board.clip_id], fresh[board.clip_id]
            decisions = _finished(board, plain, preview, catalogue, policy, state_of(board))
            if now is not None and board.clip_id in moments:
                moment = moments[board.clip_id]
                decisions = [at_price_of(one, board, catalogue, moment, now) for one in decisions]
        if keep:
            decisions = _kept(ledger, board, decisions)
        plans.append(priced(board, decisions, max_attempts=max_attempts))
    return plans


def _buying_moments(
    ledger: Ledger,
    boards: Sequence[Storyboard],
    catalogue: Catalogue,
    policy: RoutingThresholds,
    state_of: Callable[[Storyboard], RoutingState],
    now: datetime | None,
) -> dict[str, datetime]:
    """Clip -> when it is bought, where prices are those of a moment; a clip that money was spent on waits no more."""
    if now is None or not policy.levers.price_of_the_hour:
        return {}
    wait_h = policy.levers.off_peak_wait_h
    days = {board.day for board in boards} if wait_h else set[date]()
    begun = {row.clip_id for day in days for row in ledger.governance.decided_on(day) if row.begun}
    moments: dict[str, datetime] = {}
    for board in boards:
        possible = [now] if board.clip_id in begun else buying_moments(board, catalogue, now, wait_h=wait_h)
        if len(possible) == 1:
            moments[board.clip_id] = now
            continue
        state = state_of(board)
        priced_then = [
            (moment, _plain(board, catalogue, policy, replace(state, priced_at=moment))) for moment in possible
        ]
        moments[board.clip_id] = least_dear(priced_then)
    return moments


def _kept(ledger: Ledger, board: Storyboard, decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions in force on a clip's shots once these are noted."""
    return [
        Decision.model_validate(
            ledger.governance.stick(
                clip_id=board.clip_id,
                shot=shot.index,
                shot_sha256=board.shot_sha256(shot),
                document=decision.model_dump(mode="json"),
            )
        )
        for shot, decision in zip(board.shots, decisions, strict=True)
    ]


def _used(ledger: Ledger, day: date, boards: Sequence[Storyboard]) -> tuple[Tally, dict[str, list[Decision]]]:
    """What a day's decisions that stand have used of its budgets, and those on the begun shots of `boards`.

    A decision stands when money was spent on its shot, or when its clip is not planned now. What a preview serves is
    not bought, so it uses nothing.
    """
    planned = {board.clip_id: {board.shot_sha256(shot) for shot in board.shots} for board in boards}
    standing: dict[str, list[Decision]] = {}
    begun: dict[str, list[Decision]] = {}
    for row in ledger.governance.decided_on(day):
        if row.begun or row.clip_id not in planned:
            decision = Decision.model_validate(row.document)
            if decision.reuse:
                continue
            standing.setdefault(row.clip_id, []).append(decision)
            if row.shot_sha256 in planned.get(row.clip_id, ()):
                begun.setdefault(row.clip_id, []).append(decision)
    tally = Tally()
    for decisions in standing.values():
        tally.note(decisions)
    return tally, begun


def price_day(
    day: date, plans: Iterable[ClipPlan], *, max_attempts: int, bought: Collection[tuple[str, int]] = ()
) -> DayPlan:
    """Expected and 90th-percentile cost of a day, by tier and by model.

    `bought` names the shots, as (clip id, shot), that a run would not buy any more.
    """
    by_tier: dict[str, Decimal] = {}
    by_model: dict[str, Decimal] = {}
    saves: dict[Lever, Decimal] = {}
    upscaling = Decimal(0)
    moments: list[tuple[float, float]] = []
    unbought: list[tuple[float, float]] = []
    plans = list(plans)
    for plan in plans:
        for decision in () if plan.held else plan.decisions:
            mean, variance = cost_moments(decision, max_attempts)
            moments.append((mean, variance))
            if (plan.clip_id, decision.shot) not in bought:
                unbought.append((mean, variance))
            upscaling += decision.upscale_usd
            for lever, usd in decision.saves.items():
                saves[lever] = saves.get(lever, Decimal(0)) + usd
            by_tier[decision.tier] = by_tier.get(decision.tier, Decimal(0)) + _usd(mean)
            if decision.serving:
                by_model[decision.serving] = by_model.get(decision.serving, Decimal(0)) + _usd(mean)
    mean, variance = _sum(moments)
    return DayPlan(
        day=day,
        clips=len(plans),
        held=sum(plan.held is not None for plan in plans),
        expected_usd=_usd(mean),
        p90_usd=_usd(mean + _Z90 * math.sqrt(variance)),
        to_buy_usd=_usd(_sum(unbought)[0]),
        by_tier=by_tier,
        by_model=by_model,
        upscaling_usd=upscaling,
        saves=saves,
    )


def check_cap(plan: DayPlan, *, cap_usd: Decimal) -> None:
    """Refuse a day's plan that is expected to cost more than `cap_usd`, before any call (G1.8).

    What is bought already does not count, so a run that buys nothing is never refused. Raises BudgetExceeded.
    """
    if plan.to_buy_usd > cap_usd:
        left = f", ${plan.to_buy_usd:.2f} of it to be bought yet" if plan.to_buy_usd < plan.expected_usd else ""
        raise BudgetExceeded(
            f"The plan for {plan.day} is expected to cost ${plan.expected_usd:.2f} (p90 ${plan.p90_usd:.2f}) for "
            f"{plan.clips} clips{left}, over the cap of ${cap_usd}. Nothing of that is bought. "
            "Lower the quality of some briefs, move some to another day, or raise budget.plan_cap_usd in the policy."
        )


def cost_moments(decision: Decision, max_attempts: int) -> tuple[float, float]:
    """Mean and variance of what a shot costs when each of at most `max_attempts` attempts is billed."""
    if decision.held or decision.reuse:
        return 0.0, 0.0
    price = float(decision.attempt_usd)
    mean, variance = attempts_moments(decision.acceptance, max_attempts)
    return price * mean, price**2 * variance


def attempts_moments(acceptance: float, max_attempts: int) -> tuple[float, float]:
    """Mean and variance of the number of attempts: geometric with the acceptance rate, cut off at `max_attempts`."""
    mean = square = 0.0
    for attempts in range(1, max_attempts + 1):
        last = attempts == max_attempts
        probability = (1 - acceptance) ** (attempts - 1) * (1.0 if last else acceptance)
        mean += probability * attempts
        square += probability * attempts**2
    return mean, square - mean**2


def _probing(
    ledger: Ledger, boards: Sequence[Storyboard], policy: RoutingThresholds, state: RoutingState, probes: int
) -> set[str]:
    """The clips of frozen tiers that are not held: those begun already, and others up to `probes` a day and tier."""
    found: set[str] = set()
    for day in {board.day for board in boards} if state.probed else ():
        started = {job.clip_id for job in ledger.jobs.of_day(day) if job.submitted_at}
        for tier in state.probed:
            held = [
                board.clip_id
                for board in boards
                if board.day == day and tier_of(board.brief, policy)[0].value == tier
            ]
            begun = started.intersection(held)
            others = sorted(set(held) - begun, key=lambda clip: hashlib.sha256(clip.encode()).digest())
            found |= begun | set(others[: max(0, probes - len(begun))])
    return found


def _sum(moments: Iterable[tuple[float, float]]) -> tuple[float, float]:
    means, variances = zip(*moments, strict=True) if (moments := list(moments)) else ((), ())
    return sum(means), sum(variances)


def _usd(value: float) -> Decimal:
    return Decimal(f"{value:.6f}")
