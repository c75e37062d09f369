"""Cost drift over sixty days in simulated houses: is a real drift frozen, and does every freeze end by itself?

Plans, expectations, facts, scores and the nightly verdict are the product's own; the worlds are hidden from them.
Prints a table and writes JSON; fails when a promise is broken. Run it as `python -m benchmarks.drift`.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import cast

from rich.console import Console
from rich.table import Table

from video_pipeline.briefs import Brief, Storyboard, storyboard_of
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.feedback import (
    ClipFact,
    CostReport,
    DriftVerdict,
    Nights,
    build_facts,
    drift_verdict,
    expectations_of,
    spending_of,
)
from video_pipeline.ledger import Actor, Job, JobKind, JobState, Ledger, SpendCategory, TierState, Transition
from video_pipeline.orders import RenderOrder
from video_pipeline.policy import Policy, load_policy
from video_pipeline.routing import Belief, Catalogue, ClipPlan, RoutingState, load_catalogue, plan_day

FIRST = date(2026, 1, 5)
MAX_ATTEMPTS = 4
PREVIEW = "preview"
_NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
_MIX = {"draft": 0.70, "standard": 0.25, "premium": 0.05}
# The seconds that a clip lasts: 5.2 on average.
_SECONDS = (3, 4, 5, 5, 6, 8)


@dataclass(frozen=True)
class World:
    """What is true on the days `starts` to `ends` (excluded), counted from 0; else the world is calm."""

    name: str
    sandbox_prices: bool = True
    starts: int = 60
    ends: int = 60
    price: float = 1.0
    acceptance: float = 1.0
    previews_made_by_production: bool = False
    drafts_ordered_as_standard: bool = False
    cause: str = ""

    def drifts(self, number: int) -> bool:
        return self.starts <= number < self.ends


WORLDS = (
    World("calm, the article's prices"),
    World("calm, list prices", sandbox_prices=False),
    World("price +60 %, days 20-30", starts=20, ends=30, price=1.6, cause="price"),
    World("price +60 %, list prices", sandbox_prices=False, starts=20, ends=30, price=1.6, cause="price"),
    World("price +60 % for good", starts=20, price=1.6, cause="price"),
    World("previews billed as production, 15-25", starts=15, ends=25, previews_made_by_production=True, cause="leak"),
    World("drafts ordered as standard, 15-25", starts=15, ends=25, drafts_ordered_as_standard=True, cause="leak"),
    World("refusal storm, days 30-40", starts=30, ends=40, acceptance=0.45, cause="retries"),
)


@dataclass
class House:
    """What happened in one house over the days."""

    frozen: list[bool] = field(default_factory=list[bool])
    freezes: list[int] = field(default_factory=list[int])
    causes: list[str] = field(default_factory=list[str])
    warnings: int = 0
    clips: int = 0
    held: int = 0
    most_probes: int = 0


Rule = Callable[[Policy, date, Sequence[CostReport], Transition[TierState] | None], DriftVerdict]


def live(
    world: World, clips_a_day: int, seed: int, *, policy: Policy, catalogue: Catalogue, days: int = 60, rule: Rule
) -> House:
    """Let one house live in `world`; how often its models truly deliver is a little off what they are said to."""
    rng = random.Random(f"{world.name} {clips_a_day} {seed}")
    truth = {model.model: min(0.97, model.acceptance_prior * rng.uniform(0.93, 1.07)) for model in catalogue.models}
    house, nights, reports = House(), Nights(policy.scoring), list[CostReport]()
    in_force: Transition[TierState] | None = None
    beliefs: Mapping[str, Belief] = {}
    for number in range(days):
        day = FIRST + timedelta(days=number)
        frozen = in_force is not None and in_force.state is TierState.FROZEN
        tiers = frozenset({PREVIEW}) if frozen else frozenset[str]()
        state = RoutingState(frozen=tiers, probed=tiers, beliefs=beliefs)
        plans = _plans(world, number, day, clips_a_day, rng, policy, catalogue, state)
        jobs = [job for plan in plans if not plan.held for job in _jobs(world, number, plan, catalogue, truth, rng)]
        own = _facts(day, plans, jobs, catalogue)
        reports.append(_report(day, own))
        nights.night(day, own, [], catalogue)
        beliefs = nights.learned(day, catalogue).beliefs
        _note(house, plans, frozen)
        verdict = rule(policy, day, reports[-policy.drift.trailing_days :], in_force)
        house.warnings += bool(verdict.warning)
        if verdict.state is not (in_force.state if in_force else TierState.OPEN):
            if verdict.state is TierState.FROZEN:
                house.freezes.append(number)
                house.causes.append(max(verdict.causes, key=lambda cause: verdict.causes[cause], default="average"))
            in_force = Transition(PREVIEW, verdict.state, Actor.DRIFT, day, verdict.kept(), _NOON)
    return house


def the_rule_before(
    policy: Policy, day: date, reports: Sequence[CostReport], in_force: Transition[TierState] | None
) -> DriftVerdict:
    """Two days in a row over the limit freeze, the first that is not opens; clips that wait count nowhere."""
    dear = [(report.generation_usd_per_clip or 0) > policy.drift.freeze_above_usd for report in reports[-2:]]
    frozen = dear == [True, True] or (in_force is not None and in_force.state is TierState.FROZEN and dear[-1])
    return DriftVerdict(TierState.FROZEN if frozen else TierState.OPEN, "", {})


def the_rule(
    policy: Policy, day: date, reports: Sequence[CostReport], in_force: Transition[TierState] | None
) -> DriftVerdict:
    return drift_verdict(policy.drift, day, reports, in_force)


def _plans(
    world: World,
    number: int,
    day: date,
    clips: int,
    rng: random.Random,
    policy: Policy,
    catalogue: Catalogue,
    state: RoutingState,
) -> list[ClipPlan]:
    boards: list[Storyboard] = []
    for clip in range(clips):
        quality = rng.choices(list(_MIX), list(_MIX.values()))[0]
        if quality == "draft" and world.drifts(number) and world.drafts_ordered_as_standard:
            quality = "standard"
        document = {
            "brief_id": f"clip-{number}-{clip}",
            "title": "A clip",
            "platforms": ["tiktok"],
            "prompt": "Waves on a beach",
            "duration_s": rng.choice(_SECONDS),
            "quality": quality,
            "visual_complexity": 0.5,
        }
        brief = Brief.model_validate(document)
        boards.append(storyboard_of(brief, day, cap_s=15))
    # Nothing was bought before in these houses, so every decision is the fresh one.
    jobs = SimpleNamespace(of_day=lambda day: [])
    governance = SimpleNamespace(stick=lambda *, document, **_: document)
    ledger = cast(Ledger, SimpleNamespace(jobs=jobs, governance=governance))
    probes = policy.drift.probes_a_day
    return plan_day(ledger, boards, catalogue, policy.routing, state, max_attempts=MAX_ATTEMPTS, probes=probes)


def _jobs(
    world: World, number: int, plan: ClipPlan, catalogue: Catalogue, truth: dict[str, float], rng: random.Random
) -> Iterator[Job]:
    """A clip's attempts, each billed: up to four, or until one is accepted."""
    (decision,) = plan.decisions
    drifts = world.drifts(number)
    made_by, usd = catalogue.named(decision.model or ""), decision.attempt_usd
    if drifts and world.previews_made_by_production and decision.tier == PREVIEW:
        made_by = next(model for model in catalogue.models if model.tier == "production")
        length = made_by.durations.at(decision.requested_s)
        usd = made_by.usd(made_by.resolutions[0], plan.storyboard.orientation, length, audio=False)
    usd *= Decimal(str(world.price)) if drifts else 1
    accept = truth[decision.model or ""] * (world.acceptance if drifts else 1)
    for attempt in range(MAX_ATTEMPTS):
        accepted = rng.random() < accept
        yield Job(
            key=f"{plan.clip_id} {attempt}",
            kind=JobKind.VIDEO,
            day=plan.storyboard.day,
            clip_id=plan.clip_id,
            shot=0,
            shot_sha256="",
            attempt=attempt,
            strategy="original",
            reason="",
            tier=decision.tier,
            provider=made_by.provider,
            model=made_by.model,
            model_version=made_by.version,
            order=RenderOrder(
                prompt="Waves", duration_s=decision.requested_s, orientation=plan.storyboard.orientation
            ),
            request={},
            request_sha256="",
            expected_usd=decision.attempt_usd,
            state=JobState.ACCEPTED if accepted else JobState.REJECTED,
            run_id="run",
            billed_usd=usd,
            submitted_at=_NOON,
            finished_at=_NOON,
        )
        if accepted:
            return


def _facts(day: date, plans: Sequence[ClipPlan], jobs: Sequence[Job], catalogue: Catalogue) -> list[ClipFact]:
    bought = Counter(job.clip_id for job in jobs)
    costs: dict[str, dict[SpendCategory, Decimal]] = {}
    for job in jobs:
        line = costs.setdefault(job.clip_id, {SpendCategory.GENERATION: Decimal(0)})
        line[SpendCategory.GENERATION] += job.billed_usd
    clips = [
        ReviewedClip(
            clip_id=plan.clip_id,
            brief_id=plan.storyboard.brief.brief_id,
            day=day,
            status=ClipStatus.PASSED if bought[plan.clip_id] else ClipStatus.WAITING,
            tier=plan.decisions[0].tier,
            attempts=bought[plan.clip_id],
        )
        for plan in plans
    ]
    return build_facts(
        storyboards={plan.clip_id: plan.storyboard for plan in plans},
        clips=clips,
        jobs=jobs,
        costs=costs,
        records=[],
        engagement=[],
        own_tiers=catalogue.tiers,
        expectations=expectations_of(plans, jobs, catalogue.tiers, max_attempts=MAX_ATTEMPTS),
        times={},
    )


def _report(day: date, facts: Sequence[ClipFact]) -> CostReport:
    """The part of the day's cost report that the drift is judged on."""
    made = [fact for fact in facts if fact.attempts]
    paid = sum((fact.generation_usd for fact in made), Decimal(0))
    return CostReport(
        day=day,
        clips=len(facts),
        generated=len(made),
        usable=len(made),
        total_usd=paid,
        generation_usd=paid,
        generation_usd_per_clip=paid / len(made) if made else None,
        usd_per_usable_clip=None,
        saved_by_cache_usd=Decimal(0),
        waste={},
        lines=(),
        by_day={},
        spending=spending_of(facts),
    )


def _note(house: House, plans: Sequence[ClipPlan], frozen: bool) -> None:
    held = sum(plan.held is not None for plan in plans)
    house.frozen.append(frozen)
    house.clips += len(plans)
    house.held += held
    if frozen:
        previews = sum(plan.decisions[0].tier == PREVIEW for plan in plans)
        house.most_probes = max(house.most_probes, previews - held)


@dataclass(frozen=True)
class Row:
    """One world and size over its houses: what became of the promises."""

    world: str
    clips_a_day: int
    houses: int
    frozen_share: float
    held_share: float
    false_freezes: int
    caught_within_3_nights: float | None
    caught_within_5_nights: float | None
    longest_after_the_cause: int
    causes: dict[str, int]
    warnings_a_house: float
    most_probes_a_day: int
    frozen_share_before: float


def summed(world: World, clips_a_day: int, houses: Sequence[House], before: Sequence[House]) -> Row:
    false = sum(not world.drifts(night) for house in houses for night in house.freezes)
    caught = {
        nights: [any(world.starts <= night < world.starts + nights for night in house.freezes) for house in houses]
        for nights in (3, 5)
    }
    after = [sum(house.frozen[world.ends :]) for house in houses]
    return Row(
        world=world.name,
        clips_a_day=clips_a_day,
        houses=len(houses),
        frozen_share=round(fmean(fmean(house.frozen) for house in houses), 4),
        held_share=round(sum(house.held for house in houses) / sum(house.clips for house in houses), 4),
        false_freezes=false,
        caught_within_3_nights=round(fmean(caught[3]), 4) if world.cause else None,
        caught_within_5_nights=round(fmean(caught[5]), 4) if world.cause else None,
        longest_after_the_cause=max(after) if world.cause else 0,
        causes=dict(Counter(cause for house in houses for cause in house.causes)),
        warnings_a_house=round(fmean(house.warnings for house in houses), 2),
        most_probes_a_day=max(house.most_probes for house in houses),
        frozen_share_before=round(fmean(fmean(house.frozen) for house in before), 4),
    )


def run(worlds: Sequence[World], sizes: dict[int, int], policy: Policy) -> list[Row]:
    """Each world at each size; `sizes` maps clips a day to houses."""
    rows: list[Row] = []
    for world in worlds:
        catalogue = load_catalogue(sandbox=world.sandbox_prices)
        for size, houses in sizes.items():
            parts = {"policy": policy, "catalogue": catalogue}
            now = [live(world, size, seed, rule=the_rule, **parts) for seed in range(houses)]
            before = [live(world, size, 0, rule=the_rule_before, **parts)]
            rows.append(summed(world, size, now, before))
    return rows


def broken_promises(rows: Sequence[Row], worlds: Sequence[World]) -> list[str]:
    """What is not as promised, a sentence each."""
    causes = {world.name: world.cause for world in worlds}
    said: list[str] = []
    for row in rows:
        where = f"{row.world}, {row.clips_a_day} clips a day"
        # In a world that has calm days only by half, luck may look like a drift once in a house's years.
        if row.false_freezes > (0.05 * row.houses if causes[row.world] else 0):
            said.append(f"{where}: {row.false_freezes} false freezes")
        if row.longest_after_the_cause > 2:
            said.append(f"{where}: frozen for {row.longest_after_the_cause} days after the cause was gone")
        # Twelve clips leave room for luck: retries alone are caught a little later there.
        promised = 0.6 if causes[row.world] == "retries" and row.clips_a_day < 12 else 0.95
        if causes[row.world] and (row.caught_within_3_nights or 0) < promised:
            said.append(f"{where}: only {row.caught_within_3_nights:.0%} caught within three nights")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few houses, and no JSON")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/drift.json"))
    options = parser.parse_args()
    sizes = {4: 10, 29: 3} if options.quick else {4: 60, 29: 20, 300: 2}
    policy = load_policy()
    rows = run(WORLDS, sizes, policy)
    table = Table(title="Sixty days under the cost drift's rule")
    for name in (
        "world",
        "clips a day",
        "houses",
        "frozen days",
        "held clips",
        "false",
        "caught in 3 (5) nights",
        "days after",
        "cause named",
        "warnings",
        "before: frozen",
    ):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row.world,
            str(row.clips_a_day),
            str(row.houses),
            f"{row.frozen_share:.1%}",
            f"{row.held_share:.1%}",
            str(row.false_freezes),
            ""
            if row.caught_within_3_nights is None
            else f"{row.caught_within_3_nights:.0%} ({row.caught_within_5_nights:.0%})",
            str(row.longest_after_the_cause),
            ", ".join(f"{cause} {count}" for cause, count in row.causes.items()),
            f"{row.warnings_a_house:.1f}",
            f"{row.frozen_share_before:.1%}",
        )
    Console(width=170).print(table)
    if not options.quick:
        options.json.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n")
    if broken := broken_promises(rows, WORLDS):
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
