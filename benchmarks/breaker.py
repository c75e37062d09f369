"""Breakers and fall-over over twenty days in simulated houses: what is delivered, at what cost, who is left alone.

The breaker's rules and the routing are the product's own; the worlds are hidden from them. Two vendors sell the
sandbox's models. Prints a table and writes JSON; fails when a promise is broken. Run `python -m benchmarks.breaker`.
"""

import argparse
import heapq
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from statistics import fmean, median

from rich.console import Console
from rich.table import Table

from video_pipeline.briefs import Brief, StoryboardShot, storyboard_of
from video_pipeline.ledger import Breaker, BreakerCause, BreakerState, Trouble, circuit
from video_pipeline.policy import Policy, load_policy
from video_pipeline.routing import Catalogue, RoutingState, decide, load_catalogue

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 20
HOUR = 3600.0
_MIX = {"draft": 0.70, "standard": 0.25, "premium": 0.05}
_FEW = 1e-4
# One submit is turned away in so many for no reason at all; retries after 2, 4 and 8 s see to it.
_BACKOFF_S = 14.0
_SPRINT = "sandbox/sprint"


@dataclass(frozen=True)
class World:
    """What is true from `starts` to `ends`, in hours: who suffers (a provider, or one model of it), and how.

    `flaps_s` turns an outage on and off; `share` is how much fails: of submits, of clips refused, of renders late.
    """

    name: str
    kind: str = ""
    starts: float = 0
    ends: float = 0
    share: float = 1.0
    flaps_s: float = 0
    only_vendor: bool = False

    def troubled(self, at_s: float) -> bool:
        if not self.kind or not self.starts * HOUR <= at_s < self.ends * HOUR:
            return False
        return not self.flaps_s or int((at_s - self.starts * HOUR) / self.flaps_s) % 2 == 0


WORLDS = (
    World("calm"),
    World("calm, one vendor", only_vendor=True),
    World("submits fail 5 % of the time", "submits", 0, DAYS * 24, share=0.05),
    World("outage of 6 hours", "outage", 5 * 24 + 9, 5 * 24 + 15),
    World("outage of 6 hours, one vendor", "outage", 5 * 24 + 9, 5 * 24 + 15, only_vendor=True),
    World("outage on and off by 10 minutes for 12 hours", "outage", 5 * 24 + 6, 5 * 24 + 18, flaps_s=600),
    World("no credit for two days", "credit", 5 * 24 + 9, 7 * 24 + 9),
    World("no credit for two days, one vendor", "credit", 5 * 24 + 9, 7 * 24 + 9, only_vendor=True),
    World("a model refuses 95 % for five days", "refusals", 5 * 24, 10 * 24, share=0.95),
    World("a model refuses 30 % for good", "refusals", 0, DAYS * 24, share=0.30),
    World("a model is too slow for two days", "slow", 5 * 24, 7 * 24),
)


@dataclass
class House:
    """What happened in one house."""

    clips: int = 0
    delivered: int = 0
    late_s: list[float] = field(default_factory=list[float])
    usd: Decimal = Decimal(0)
    usual_usd: Decimal = Decimal(0)
    moved: int = 0
    failed_asks: int = 0
    opened: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])
    closed: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])


class Ledgerish:
    """The breakers of a house with the evidence that the ledger would read off its jobs."""

    def __init__(self, policy: Policy, house: House) -> None:
        self.rules, self.house = policy.breaker, house
        self.rows: dict[tuple[str, str], Breaker] = {}
        # (when, provider, model): submits accepted, and renders ended in time.
        self.accepted: list[tuple[float, str, str]] = []
        self.made: list[tuple[float, str, str]] = []
        # (submitted, known at, model, refused): each clip once a model.
        self.tried: list[tuple[float, float, str, bool]] = []

    def of(self, provider: str, model: str, at: float) -> Breaker:
        return self.rows.get((provider, model)) or Breaker(provider, _moment(at), model)

    def keep(self, before: Breaker, after: Breaker, at: float) -> None:
        self.rows[after.provider, after.model] = after
        if after.state is before.state:
            return
        entry = (at, after.subject, str(after.cause or before.cause))
        if before.state is BreakerState.CLOSED:
            self.house.opened.append(entry)
        elif after.state is BreakerState.CLOSED:
            self.house.closed.append(entry)

    def report(self, provider: str, model: str, cause: BreakerCause, key: str, at: float) -> None:
        trouble = Trouble(provider, model, cause, key, cause.value)
        whole = self._failed(provider, "", trouble, at)
        if whole.state is not BreakerState.CLOSED and whole.cause is BreakerCause.OUTAGE:
            for key_of, row in list(self.rows.items()):
                if key_of[0] == provider and row.model and row.cause is BreakerCause.OUTAGE and row.failed_at:
                    self.rows[key_of] = circuit.absorbed(row, _moment(at))
        else:
            self._failed(provider, model, trouble, at)

    def _failed(self, provider: str, model: str, trouble: Trouble, at: float) -> Breaker:
        before = self.of(provider, model, at)
        works = self.made if model else self.accepted
        since = before.failed_at
        again = since is not None and any(
            _moment(when) > since and who == provider and model in ("", which)
            for when, who, which in reversed(works)
            if when <= at
        )
        after = circuit.failed(before, trouble, _moment(at), answered=again, seen=0, rules=self.rules)
        self.keep(before, after, at)
        return after

    def refused(self, provider: str, model: str, at: float) -> None:
        before = self.of(provider, model, at)
        since = at - self.rules.refusal_window_s
        if before.openings:
            since = max(since, (before.since - START).total_seconds())
        # As the ledger counts: what is under way is not refused.
        bad = self._tried(model, since, at)[1]
        good = sum(name == model and since <= sent <= at for sent, _, name, _ in self.tried) - bad
        after = circuit.refused(before, bad, good + bad, _moment(at), seen=0, rules=self.rules)
        self.keep(before, after, at)

    def in_the_way(self, provider: str, model: str, at: float) -> list[Breaker]:
        left: list[Breaker] = []
        for name in ("", model):
            before = self.of(provider, name, at)
            if before.state is BreakerState.CLOSED:
                continue
            good, bad = self._answers(before, at)
            after = circuit.answered(before, good, bad, _moment(at), seen=0, rules=self.rules)
            self.keep(before, after, at)
            if after.state is not BreakerState.CLOSED:
                left.append(after)
        return left

    def probe(self, breakers: Sequence[Breaker], key: str, at: float, busy: set[tuple[str, str]]) -> bool:
        """Whether a job may go as the probe of all these; one at a time, as their leases see to."""
        if any((one.provider, one.model) in busy or not one.is_due(_moment(at)) for one in breakers):
            for one in breakers:
                spent = one.state is BreakerState.HALF_OPEN and not one.probes_left
                if spent and (one.provider, one.model) not in busy:
                    self.keep(one, circuit.exhausted(one, _moment(at), self.rules), at)
            return False
        for one in breakers:
            self.keep(one, circuit.probing(one, key, _moment(at), self.rules), at)
            busy.add((one.provider, one.model))
        return True

    def _answers(self, before: Breaker, at: float) -> tuple[int, int]:
        since = (before.since - START).total_seconds()
        if before.cause is BreakerCause.REFUSALS:
            return self._tried(before.model, since, at) if before.state is BreakerState.HALF_OPEN else (0, 0)
        failed_at = (before.failed_at - START).total_seconds() if before.failed_at else since
        works, since = (self.made, since) if before.model else (self.accepted, failed_at)
        found = (
            1
            for when, provider, model in works
            if since < when <= at and provider == before.provider and before.model in ("", model)
        )
        return sum(found), 0

    def _tried(self, model: str, since: float, at: float) -> tuple[int, int]:
        found = [bad for sent, known, name, bad in self.tried if name == model and sent >= since and known <= at]
        return len(found) - sum(found), sum(found)


@dataclass(frozen=True)
class _Clip:
    number: int
    brief: Brief
    shot: StoryboardShot
    due: float


def live(world: World, clips_a_day: int, seed: int, *, policy: Policy, catalogue: Catalogue) -> House:
    """Let one house live in `world`; waiting clips are taken up again when what they wait for may be asked."""
    rng = random.Random(f"{world.name} {clips_a_day} {seed}")
    house = House()
    books = Ledgerish(policy, house)
    busy: dict[tuple[str, str], float] = {}
    catalogue = _vendors(catalogue, one=world.only_vendor)
    state = RoutingState(dearest=float(policy.breaker.dearest_fall_over))
    serial, keys = count(), count()
    queue: list[tuple[float, int, _Clip, dict[str, str]]] = []
    for clip in _clips(clips_a_day, rng):
        heapq.heappush(queue, (clip.due, next(serial), clip, {}))
        house.clips += 1
    while queue:
        at, _, clip, out = heapq.heappop(queue)
        if at > DAYS * 24 * HOUR:
            continue
        usual = decide(clip.shot, clip.brief, catalogue, policy.routing, replace(state, unavailable={}))
        blocked: dict[str, Sequence[Breaker]] = {}
        free = {key for key, until in busy.items() if until > at}
        while True:
            unavailable = {**out, **{name: found[0].why for name, found in blocked.items()}}
            chosen = decide(clip.shot, clip.brief, catalogue, policy.routing, replace(state, unavailable=unavailable))
            if chosen.model is None:
                moments = [max(one.next_probe_at or one.since for one in found) for found in blocked.values()]
                then = min(((moment - START).total_seconds() for moment in moments), default=at + 60)
                # The night watch runs every half minute; a probe under way is waited for.
                heapq.heappush(queue, (max(at + 30, then + rng.uniform(0, 30)), next(serial), clip, {}))
                break
            model = catalogue.named(chosen.model)
            key = f"job {next(keys)}"
            in_the_way = books.in_the_way(model.provider, model.model, at)
            probes = set(free)
            if in_the_way and not books.probe(in_the_way, key, at, probes):
                blocked[model.model] = in_the_way
                continue
            mine = probes - free
            outcome, ended = _asked(world, model.provider, model.model, at, rng)
            for subject in mine:
                busy[subject] = ended if subject[1] else at + _BACKOFF_S
            if outcome in ("outage", "credit"):
                house.failed_asks += 1
                books.report(model.provider, model.model, BreakerCause(outcome), key, ended)
                again = {**out, model.model: "has failed"}
                heapq.heappush(queue, (ended, next(serial), clip, again))
                break
            books.accepted.append((at, model.provider, model.model))
            first = model.model not in out
            if first:
                books.tried.append((at, ended, model.model, outcome == "refused"))
            if outcome == "slow":
                late = at + policy.breaker.slow_after_s
                books.report(model.provider, model.model, BreakerCause.SLOW, key, late)
            else:
                books.made.append((ended, model.provider, model.model))
            if outcome == "refused":
                books.refused(model.provider, model.model, ended)
                # The next rung: a remapped prompt, which a model that refuses everything refuses as well.
                asks = out.get("asks", "")
                heapq.heappush(queue, (ended, next(serial), clip, {**out, "asks": asks + "x"}))
                if len(asks) >= policy.generation.max_ladder_attempts:
                    queue.pop(next(i for i, entry in enumerate(queue) if entry[2] is clip))
                    heapq.heapify(queue)
                break
            house.delivered += 1
            house.late_s.append(ended - clip.due)
            house.usd += chosen.attempt_usd
            house.usual_usd += usual.attempt_usd
            house.moved += chosen.model != usual.model
            break
    return house


def _asked(world: World, provider: str, model: str, at: float, rng: random.Random) -> tuple[str, float]:
    """What becomes of a job that is submitted now, and when that is known."""
    troubled = world.troubled(at)
    away = world.kind == "outage" or (world.kind == "submits" and rng.random() < world.share**4)
    if away and troubled and provider == "one":
        return "outage", at + _BACKOFF_S
    if world.kind == "credit" and troubled and provider == "one":
        return "credit", at + 1
    if rng.random() < _FEW:
        return "outage", at + _BACKOFF_S
    usual = rng.uniform(40, 120)
    if world.kind == "slow" and troubled and model == _SPRINT:
        return "slow", at + rng.uniform(2, 6) * 900
    share = world.share if world.kind == "refusals" and troubled and model == _SPRINT else 0.10
    if rng.random() < share:
        return "refused", at + 5
    return "made", at + usual


def _vendors(catalogue: Catalogue, *, one: bool) -> Catalogue:
    """The sandbox's models, sold by one vendor, or the second of each tier by another."""
    models = [
        model.model_copy(update={"provider": "one" if one or number % 2 == 0 else "two"})
        for number, model in enumerate(catalogue.models)
    ]
    return catalogue.model_copy(update={"models": tuple(models)})


def _clips(a_day: int, rng: random.Random) -> list[_Clip]:
    """Clips of all days, dropped between 6 and 20 o'clock."""
    clips: list[_Clip] = []
    for day in range(DAYS):
        for _ in range(a_day):
            number = len(clips)
            brief = Brief.model_validate(
                {
                    "brief_id": f"clip-{number}",
                    "title": "A clip",
                    "platforms": ("youtube_shorts",),
                    "quality": rng.choices(list(_MIX), list(_MIX.values()))[0],
                    "visual_complexity": 0.5,
                    "prompt": f"hill number {number}",
                    "duration_s": rng.choice((3, 5, 8)),
                }
            )
            [shot] = storyboard_of(brief, date(2026, 1, 5) + timedelta(days=day), cap_s=15).shots
            clips.append(_Clip(number, brief, shot, day * 24 * HOUR + rng.uniform(6, 20) * HOUR))
    return clips


def _moment(at: float) -> datetime:
    return START + timedelta(seconds=at)


@dataclass(frozen=True)
class Row:
    """A line of the table: all houses of one size in one world; times in minutes, money in US dollars."""

    world: str
    clips_a_day: int
    houses: int
    delivered_share: float
    moved_share: float
    extra_usd_share: float
    median_wait_min: float
    longest_wait_min: float
    failed_asks: float
    false_opens: int
    opened_after_min: float | None
    closed_after_min: float | None
    noticed_share: float | None


def summed(world: World, clips_a_day: int, houses: Sequence[House]) -> Row:
    starts, ends = world.starts * HOUR, world.ends * HOUR
    wanted = {"outage": "outage", "credit": "credit", "refusals": "refusals", "slow": "slow"}.get(world.kind)
    true = [
        [at for at, _, cause in house.opened if wanted and starts <= at <= ends + HOUR and cause == wanted]
        for house in houses
    ]
    # A model that refuses 30 % is for the nightly scores: to leave it alone here is called false.
    if world.kind == "refusals" and world.share < 0.5:
        true = [[] for _ in houses]
    false = sum(len(house.opened) for house in houses) - sum(len(found) for found in true)
    after = [
        max(0.0, at - ends) / 60
        for house in houses
        for at, _, cause in house.closed
        if wanted and cause == wanted and at >= ends
    ]
    opened = [(found[0] - starts) / 60 for found in true if found]
    usual = sum((house.usual_usd for house in houses), Decimal(0))
    paid = sum((house.usd for house in houses), Decimal(0))
    late = [value / 60 for house in houses for value in house.late_s]
    clips = sum(house.clips for house in houses)
    return Row(
        world=world.name,
        clips_a_day=clips_a_day,
        houses=len(houses),
        delivered_share=round(sum(house.delivered for house in houses) / clips, 4),
        moved_share=round(sum(house.moved for house in houses) / clips, 4),
        extra_usd_share=round(float(paid / usual) - 1, 4) if usual else 0.0,
        median_wait_min=round(median(late), 1),
        longest_wait_min=round(max(late), 1),
        failed_asks=round(fmean(house.failed_asks for house in houses), 1),
        false_opens=false,
        opened_after_min=round(median(opened), 1) if opened else None,
        closed_after_min=round(max(after), 1) if after else None,
        noticed_share=round(len(opened) / len(houses), 2) if wanted and world.share > 0.5 else None,
    )


def run(sizes: dict[int, int], policy: Policy, said: Callable[[str], None]) -> list[Row]:
    """Each world at each size; `sizes` maps clips a day to houses."""
    catalogue, rows = load_catalogue(sandbox=True), list[Row]()
    for world in WORLDS:
        said(world.name)
        for size, houses in sizes.items():
            lived = [live(world, size, seed, policy=policy, catalogue=catalogue) for seed in range(houses)]
            rows.append(summed(world, size, lived))
    return rows


def broken_promises(rows: Sequence[Row]) -> list[str]:
    """What is not as promised, a sentence each."""
    said: list[str] = []
    longest = 60 + 1
    for row in rows:
        where = f"{row.world}, {row.clips_a_day} clips a day"
        if row.false_opens > 0.05 * row.houses:
            said.append(f"{where}: {row.false_opens} false opens in {row.houses} houses")
        if row.delivered_share < 0.98 and "refuses" not in row.world:
            said.append(f"{where}: only {row.delivered_share:.1%} delivered")
        # A provider that works again serves within its longest wait, once there is a job to probe it with.
        probed = row.clips_a_day >= 29 and not row.world.startswith("a model")
        if probed and (row.closed_after_min or 0) > longest + 10 * 60:
            said.append(f"{where}: closed {row.closed_after_min:.0f} minutes after the cause was gone")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few houses, and no JSON")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/breaker.json"))
    options = parser.parse_args()
    sizes = {4: 3, 29: 1} if options.quick else {4: 20, 29: 4, 300: 1}
    console = Console(width=190)
    rows = run(sizes, load_policy(), lambda name: console.print(f"{name} ..."))
    table = Table(title=f"{DAYS} days of breakers and fall-over")
    for name in (
        "world",
        "clips a day",
        "houses",
        "delivered",
        "moved",
        "extra cost",
        "wait: median, longest (min)",
        "asks in vain a house",
        "false opens",
        "noticed",
        "opened after (min)",
        "closed after (min)",
    ):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row.world,
            str(row.clips_a_day),
            str(row.houses),
            f"{row.delivered_share:.1%}",
            f"{row.moved_share:.1%}",
            f"{row.extra_usd_share:+.1%}",
            f"{row.median_wait_min:.0f}, {row.longest_wait_min:.0f}",
            f"{row.failed_asks:.1f}",
            str(row.false_opens),
            "" if row.noticed_share is None else f"{row.noticed_share:.0%}",
            "" if row.opened_after_min is None else f"{row.opened_after_min:.0f}",
            "" if row.closed_after_min is None else f"{row.closed_after_min:.0f}",
        )
    console.print(table)
    if not options.quick:
        options.json.write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n")
    if broken := broken_promises(rows):
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
