"""What a delivered clip costs: the published week of 200 clips, from the ledger, beside the published table.

The plan, the engine, the ladder and the ledger are the product's own, over HTTP. Not real: the shop that sells the
renders (`benchmarks.priced_stand_in`), which bills as the catalogue's dated list prices say, and the pixels. So there
is nothing to upscale, review or publish: each clip that comes through counts as delivered, and its upscaling and
distribution are booked at the policy's figures. Nothing is learned meanwhile: every brief meets the first morning's
beliefs.

Prints the table, what each lever is worth, and what wrong prices do; writes JSON and the tables of docs/economics.md.
Run it as `python -m benchmarks.week`.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, make_url, text

from benchmarks.bottle.house import stop_postgres
from benchmarks.priced_stand_in import Films, PricedStandIn, Refusals, open_shop
from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Brief, storyboard_of
from video_pipeline.clips import ClipStatus, GeneratedClip, ReviewedClip
from video_pipeline.feedback import book_delivery
from video_pipeline.generation import PROVIDERS, assembly, check_wires, generate_day, job_driver
from video_pipeline.ledger import JobKind, Ledger, PublicationState, SpendCategory, open_ledger
from video_pipeline.ledger.embedded import embedded_url
from video_pipeline.media import probe
from video_pipeline.policy import Policy, ProviderLimits, load_policy
from video_pipeline.publishing import PublishRecord
from video_pipeline.quality import Check, CheckName, ClipVerdict, Expectation
from video_pipeline.routing import Catalogue, Model, RoutingState, load_catalogue, plan_day, price_day
from video_pipeline.storage import LocalStore

FIRST = date(2026, 11, 23)
DAYS = 7
CLIPS = 200
GOAL_USD = Decimal("0.05")

# What it saves, weeks without it and with it do not tell: only briefs that name their preview can have it.
_REUSE = "reuse_previews"
# At which the packaged previews' models are good enough for production.
_PREVIEWS_FIDELITY = 0.40
# The models on which most was spent, of which it is shown what a wrong price does.
_MODELS = 2
_HERE = Path(__file__).resolve().parent
RESULTS = _HERE / "results" / "week.json"
PAGE = _HERE.parent / "docs" / "economics.md"
_BEGIN, _END = "<!-- written by benchmarks.week -->", "<!-- until here -->"
# Of twenty clips: 70 % drafts, 25 % standard, 5 % premium.
_QUALITIES = ("draft",) * 14 + ("standard",) * 5 + ("premium",)
# Their mean is 5.2 s.
_LENGTHS_S = (4.0, 4.5, 5.0, 5.2, 5.2, 5.2, 5.5, 5.6, 5.8, 6.0)
# 18 % of the clips are refused: of 36 clips 26 once, nine twice and one three times, which is 1.3 times.
_REFUSED_SHARE = 0.18
_PLACES = ("beach", "harbour", "workshop", "market", "kitchen", "rooftop", "forest", "studio", "river")
_SIGHTS = (
    "Waves",
    "Fog",
    "Hands at work",
    "Steam",
    "Lanterns",
    "Rain",
    "Bicycles",
    "Flowers",
    "Birds",
    "Dust in light",
)


@dataclass(frozen=True)
class Line:
    """A line of a clip's cost: its name, the published dollars, and what of the ledger it is."""

    name: str
    published_usd: Decimal
    category: SpendCategory


LINES = (
    Line("generation", Decimal("0.061"), SpendCategory.GENERATION),
    Line("retries", Decimal("0.012"), SpendCategory.RETRY),
    Line("upscaling", Decimal("0.001"), SpendCategory.UPSCALING),
    Line("audio", Decimal("0.004"), SpendCategory.AUDIO),
    Line("storage, distribution", Decimal("0.002"), SpendCategory.DISTRIBUTION),
)
# 70 % at $0.022, 25 % at $0.07 and 5 % at $0.20 a second, 5.2 s: what the published method comes to.
METHOD_USD = (
    Decimal("0.70") * Decimal("0.022") + Decimal("0.25") * Decimal("0.07") + Decimal("0.05") * Decimal("0.20")
)
METHOD_USD = (METHOD_USD * Decimal("5.2")).quantize(Decimal("0.0001"))


@dataclass(frozen=True)
class Week:
    """A week to be run. `billed` is the shop's own price list, where it is not the catalogue's."""

    name: str
    catalogue: Catalogue
    policy: Policy
    billed: Catalogue | None = None
    bills_refusals: bool = False
    clips: int = CLIPS
    all_5_2_s: bool = False
    reused: int = 0
    """So many standard briefs name a draft of an earlier day as their approved preview."""


@dataclass(frozen=True)
class Outcome:
    """What a week came to; dollars for the whole week, by the ledger unless said otherwise."""

    name: str
    clips: int
    delivered: int
    refused_clips: int
    refusals: int
    renders: int
    expected_usd: Decimal
    """Of generation and retries, by the plan."""
    shop_usd: Decimal
    """What the shop has billed for generation and retries."""
    lines: dict[str, Decimal]
    models: dict[str, tuple[int, Decimal]]
    """Files that were paid for, and dollars, by model."""
    not_delivered: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def usd(self) -> Decimal:
        return sum(self.lines.values(), Decimal(0))

    @property
    def usd_a_clip(self) -> Decimal:
        """Of a delivered clip."""
        return self.usd / max(1, self.delivered)

    def document(self) -> dict[str, Any]:
        told = asdict(self) | {"usd": self.usd, "usd_a_delivered_clip": round(self.usd_a_clip, 5)}
        return json.loads(json.dumps(told, default=str))


# --- a week --------------------------------------------------------------------------------------------------------


def briefs_of(week: Week) -> dict[date, list[Brief]]:
    """The week's briefs by day."""
    days: dict[date, list[Brief]] = {FIRST + timedelta(days=number): [] for number in range(DAYS)}
    refused, previews = refused_takes(week.clips), _previews(week)
    for take in range(week.clips):
        day = FIRST + timedelta(days=take * DAYS // week.clips)
        shown = previews.get(take, take)
        brief = _brief(shown, refused=shown in refused, all_5_2_s=week.all_5_2_s)
        if take in previews:
            named = {"brief_id": f"clip-{take:03d}", "quality": "standard", "preview_of": brief.brief_id}
            brief = Brief.model_validate(brief.model_dump() | named)
        days[day].append(brief)
    return days


def _previews(week: Week) -> dict[int, int]:
    """The drafts that standard clips name as their previews, by the standard clip's take."""
    refused = refused_takes(week.clips)
    pairs: dict[int, int] = {}
    for take in (take for take in range(40, week.clips) if _quality(take) == "standard" and take not in refused):
        # Forty clips are more than a day. In a block of twenty the first fourteen are drafts.
        drafts = [40 * (take // 40 - 1) + number for number in range(14)]
        free = [draft for draft in drafts if draft not in refused and draft not in pairs.values()]
        if len(pairs) < week.reused and free:
            pairs[take] = free[0]
    return pairs


def refused_takes(clips: int) -> dict[int, int]:
    """How often each of the refused clips is refused, by take: the same share of each quality."""
    by_quality = sorted(range(clips), key=lambda take: (_quality(take), take))
    share = _REFUSED_SHARE
    refused = [take for place, take in enumerate(by_quality) if int((place + 1) * share) > int(place * share)]
    return {take: 3 if number == 18 else 2 if number % 4 == 1 else 1 for number, take in enumerate(refused)}


def _quality(take: int) -> str:
    return _QUALITIES[take % len(_QUALITIES)]


def _brief(take: int, *, refused: bool, all_5_2_s: bool) -> Brief:
    sight, place = _SIGHTS[take % len(_SIGHTS)], _PLACES[take % len(_PLACES)]
    # What is refused can be softened, and has something else to show.
    prompt = f"A founder smiling at a {place}, take {take}" if refused else f"{sight} at a {place}, take {take}"
    quality = _quality(take)
    return Brief.model_validate(
        {
            "brief_id": f"clip-{take:03d}",
            "title": f"Clip {take}",
            "platforms": ["youtube_shorts"],
            "prompt": prompt,
            "broll": [f"{sight} at a {place}, no people, take {take}"] if refused else [],
            "duration_s": 5.2 if all_5_2_s else _LENGTHS_S[(take * 7 + take // 20) % len(_LENGTHS_S)],
            "quality": quality,
            "visual_complexity": 0.5,
            "native_audio": quality == "premium",
        }
    )


def run_week(week: Week, ledger: Ledger, folder: Path) -> Outcome:
    """Plan, buy, join and book every clip of a week."""
    store, policy = LocalStore(folder / "store"), week.policy
    catalogue = check_wires(week.catalogue)
    refusals = Refusals(refused_takes(week.clips), billed=week.bills_refusals)
    films = Films(folder.parent / "films")
    shop = PricedStandIn(week.billed or catalogue, refusals, films)
    expected_usd, clips = Decimal(0), list[GeneratedClip]()
    with stub_pixels(films), open_shop(shop):
        for day, briefs in briefs_of(week).items():
            cap_s, draft_s = policy.generation.max_segment_s, policy.routing.levers.draft_seconds
            boards = [storyboard_of(brief, day, cap_s=cap_s, draft_s=draft_s) for brief in briefs]
            max_attempts = policy.generation.max_attempts
            plans = plan_day(
                ledger,
                boards,
                catalogue,
                policy.routing,
                RoutingState(),
                max_attempts=max_attempts,
                exploration=policy.exploration,
            )
            expected_usd += price_day(day, plans, max_attempts=max_attempts).expected_usd
            made = generate_day(
                plans,
                ledger=ledger,
                store=store,
                providers=lambda client: {"fal": PROVIDERS["fal"].connect_sandbox(shop.base_url, client)},
                catalogue=catalogue,
                policy=policy,
                notifier=Notifier([], ledger.alerts),
                run_id=f"week {day}",
            )
            _deliver(ledger, policy, made, {plan.clip_id: plan.decisions[0].upscale_usd for plan in plans})
            clips += made
    return _outcome(week, ledger, shop, clips, expected_usd)


@contextmanager
def stub_pixels(films: Films) -> Generator[None, None, None]:
    """Of the technical checks only that of the length is made, and what is cut becomes a stub of what is left."""

    def cut(source: Path, target: Path, *, length_s: float | None = None, with_audio: bool) -> None:
        target.write_bytes(films.film(length_s or probe(source).duration_s, audio=with_audio))

    driver, assembling = cast(Any, job_driver), cast(Any, assembly)
    whole = driver.pass_gate, assembling.cut
    driver.pass_gate, assembling.cut = _check_length, cut
    try:
        yield
    finally:
        driver.pass_gate, assembling.cut = whole


def _check_length(path: Path, expected: Expectation, *_: object, **__: object) -> ClipVerdict:
    length_s = probe(path).duration_s
    passed = _as_long(length_s, expected.duration_s)
    measured, wanted = f"{length_s:.2f} s", f"{expected.duration_s:.2f} s"
    message = f"It lasts {measured}, {wanted} were ordered."
    check = Check(name=CheckName.DURATION, passed=passed, measured=measured, expected=wanted, message=message)
    return ClipVerdict(checks=(check,))


def _as_long(length_s: float, wanted_s: float) -> bool:
    return abs(length_s - wanted_s) <= 0.1 * wanted_s


def _deliver(
    ledger: Ledger, policy: Policy, clips: Sequence[GeneratedClip], upscaling_usd: Mapping[str, Decimal]
) -> None:
    """Book what comes after generation, at the policy's figures; `upscaling_usd` is the plan's, by clip."""
    reviewed = [
        ReviewedClip(**clip.model_dump()).model_copy(update={"status": ClipStatus.PASSED})
        for clip in clips
        if is_delivered(clip)
    ]
    records = [
        PublishRecord(
            clip_id=clip.clip_id,
            brief_id=clip.brief_id,
            day=clip.day,
            platform="youtube_shorts",
            state=PublicationState.PUBLISHED,
        )
        for clip in reviewed
    ]
    for clip in (clip for clip in reviewed if upscaling_usd[clip.clip_id]):
        ledger.spend.book_once(
            f"upscaling {clip.clip_id}",
            day=clip.day,
            clip_id=clip.clip_id,
            tier=clip.tier,
            category=SpendCategory.UPSCALING,
            usd=upscaling_usd[clip.clip_id],
            note="the plan's estimate",
        )
    book_delivery(ledger, policy.costs, reviewed, records)


def is_delivered(clip: GeneratedClip) -> bool:
    """Whether a clip has a file as long as its brief asks for."""
    return clip.status is ClipStatus.GENERATED and _as_long(clip.duration_s, clip.expected_s)


def _outcome(
    week: Week, ledger: Ledger, shop: PricedStandIn, clips: Sequence[GeneratedClip], expected_usd: Decimal
) -> Outcome:
    spent = Counter[SpendCategory]()
    files, dollars = Counter[str](), Counter[str]()
    jobs = [job for day in {clip.day for clip in clips} for job in ledger.jobs.of_day(day)]
    for day in {clip.day for clip in clips}:
        for of_clip in ledger.spend.by_clip(day).values():
            spent.update(cast("dict[SpendCategory, int]", of_clip))
    for job in jobs:
        if job.billed_usd:
            files[job.model] += 1
            dollars[job.model] += cast(int, job.billed_usd)
    refused = [request for request in shop.requests.values() if request.refused]
    return Outcome(
        name=week.name,
        clips=len(clips),
        delivered=sum(map(is_delivered, clips)),
        refused_clips=len({job.clip_id for job in jobs if job.failure_kind is not None}),
        refusals=len(refused),
        renders=sum(job.kind is JobKind.VIDEO and bool(job.media_key) and not job.cached_from for job in jobs),
        expected_usd=expected_usd,
        shop_usd=shop.billed_usd,
        lines={line.name: Decimal(spent[line.category]) for line in LINES},
        models={model: (files[model], Decimal(usd)) for model, usd in dollars.most_common()},
        not_delivered=dict(
            Counter(clip.reason or "too short or too long" for clip in clips if not is_delivered(clip))
        ),
    )


# --- the weeks that are compared -----------------------------------------------------------------------------------


def week_policy() -> Policy:
    """The packaged policy with ceilings that hold nothing up, and waits that are none."""
    policy = load_policy()
    generation = {
        "providers": {"fal": ProviderLimits(concurrency=16, poll_interval_s=0.02)},
        "backoff_s": (0.02, 0.04),
        "moderation_verdict_s": 0.0,
    }
    budget = {"daily_ceiling_usd": Decimal(100_000), "plan_cap_usd": Decimal(100_000)}
    return policy.model_copy(
        update={
            "generation": policy.generation.model_copy(update=generation),
            "budget": policy.budget.model_copy(update=budget),
        }
    )


def dearer(catalogue: Catalogue, factor: Decimal, models: Sequence[str]) -> Catalogue:
    """The catalogue with the prices of some models multiplied."""

    def changed(rates: Mapping[str, Decimal]) -> dict[str, Decimal]:
        return {size: usd * factor for size, usd in rates.items()}

    def entry(model: Model) -> Model:
        if model.model not in models:
            return model
        price = {"silent": changed(model.price.silent), "sound": changed(model.price.sound)}
        return model.model_copy(update={"price": model.price.model_copy(update=price)})

    return catalogue.model_copy(update={"models": tuple(map(entry, catalogue.models))})


@contextmanager
def ledgers(folder: Path) -> Iterator[Callable[[], Ledger]]:
    """Makes new ledgers, each a database of one embedded server."""
    url = make_url(embedded_url(folder / "ledger"))
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    opened: list[Ledger] = []

    def make() -> Ledger:
        name = f"week_{len(opened)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        address = url.set(database=name).render_as_string(hide_password=False)
        opened.append(open_ledger(address, embedded_dir=folder / "ledger"))
        return opened[-1]

    try:
        yield make
    finally:
        for ledger in opened:
            ledger.close()
        engine.dispose()
        stop_postgres(folder / "ledger")


def with_levers(policy: Policy, **levers: object) -> Policy:
    """The policy with some levers switched."""
    return with_routing(policy, levers=policy.routing.levers.model_copy(update=levers))


def with_routing(policy: Policy, **thresholds: object) -> Policy:
    """The policy with some thresholds of routing changed."""
    return policy.model_copy(update={"routing": policy.routing.model_copy(update=thresholds)})


def switched_off(policy: Policy) -> list[str]:
    """The levers that are on, and can be switched off one at a time."""
    return [name for name, value in policy.routing.levers if value is True and name != _REUSE]


def run_all(catalogue: Catalogue, clips: int, folder: Path, told: Callable[[Outcome], None]) -> dict[str, Any]:
    """Every week that is compared, and what is read off them."""
    with ledgers(folder) as new_ledger:

        def run(week: Week) -> dict[str, Any]:
            outcome = run_week(week, new_ledger(), folder / f"week-{len(list(folder.glob('week-*')))}")
            told(outcome)
            return outcome.document()

        policy = week_policy()
        base = Week("as it is", catalogue, policy, clips=clips)
        first = run(base)
        names = switched_off(policy)
        off = {
            name: run(replace(base, name=f"without {name}", policy=with_levers(policy, **{name: False})))
            for name in names
        }
        none = with_levers(policy, **dict.fromkeys(names, False))
        reused = clips * 3 // 40
        said = f"{reused} standard briefs name their preview"
        good_enough = with_routing(
            policy, adequate_fidelity=policy.routing.adequate_fidelity | {"production": _PREVIEWS_FIDELITY}
        )
        others = [
            run(replace(base, name="without any of these", policy=none)),
            run(replace(base, name="drafts of 4 s", policy=with_levers(policy, draft_seconds=4.0))),
            run(replace(base, name=said, reused=reused)),
            run(replace(base, name=f"{said}, good enough", policy=good_enough, reused=reused)),
            run(replace(base, name="refusals after rendering, and billed", bills_refusals=True)),
            run(replace(base, name="each clip of 5.2 s", all_5_2_s=True)),
        ]
        published = load_catalogue(_HERE / "catalogues" / "published.yaml", sandbox=False)
        at_published = run(replace(base, name="at the published prices", catalogue=published))
        bought = [model for model in first["models"] if catalogue.find(model) is not None]
        twice = dearer(catalogue, Decimal(2), bought)
        prices = [run(replace(base, name="all that is bought bills twice its list price", billed=twice))]
        for model in bought[:_MODELS]:
            known = dearer(catalogue, Decimal(2), [model])
            prices.append(run(replace(base, name=f"{model} at twice its price, as listed", catalogue=known)))
            listed = replace(base, name=f"{model} listed at twice what it bills", catalogue=known, billed=catalogue)
            prices.append(run(listed))
    return {"base": first, "without": off, "others": others, "published": at_published, "prices_wrong": prices}


# --- what is shown -------------------------------------------------------------------------------------------------


def lines_of(document: dict[str, Any]) -> list[list[str]]:
    """The published table, line by line, beside the two weeks at its prices and at the list's."""
    weeks = (document["published"], document["base"])
    rows = [["line", "published", "at the published prices", f"at {document['catalogue']}"]]
    for line in LINES:
        own = (f"{float(one['lines'][line.name]) / one['delivered']:.4f}" for one in weeks)
        rows.append([line.name, f"{line.published_usd:.3f}", *own])
    total = sum((line.published_usd for line in LINES), Decimal(0))
    return [*rows, ["total", f"{total:.3f}", *(f"{_a_clip(one):.4f}" for one in weeks)]]


def weeks_of(document: dict[str, Any]) -> list[list[str]]:
    """The week at list prices, and otherwise."""
    base = document["base"]
    rows = [["week", "delivered", "a delivered clip", "more", "plan", "ledger", "shop's bill"]]
    for one in (base, *document["without"].values(), *document["others"], *document["prices_wrong"]):
        bought = sum(float(one["lines"][name]) for name in ("generation", "retries"))
        more = _a_clip(one) - _a_clip(base)
        spent = (f"{float(usd):.2f}" for usd in (one["expected_usd"], bought, one["shop_usd"]))
        rows.append(
            [one["name"], f"{one['delivered']} of {one['clips']}", f"{_a_clip(one):.4f}", f"{more:+.4f}", *spent]
        )
    return rows


def models_of(document: dict[str, Any]) -> list[list[str]]:
    """What the week was bought from."""
    rows = [["model", "files", "dollars"]]
    return rows + [
        [model, str(files), f"{float(usd):.4f}"] for model, (files, usd) in document["base"]["models"].items()
    ]


_TABLES = (
    ("Dollars a delivered clip, by the ledger", lines_of),
    ("What was bought", models_of),
    ("The same week otherwise; dollars a clip, and of generation in the week", weeks_of),
)


def markdown(document: dict[str, Any]) -> str:
    """The tables as docs/economics.md has them."""
    parts: list[str] = []
    for title, rows_of in _TABLES:
        head, *rows = rows_of(document)
        aligned = ["---", *("---:" for _ in head[1:])]
        parts.append("\n".join([f"{title}:", "", *(f"| {' | '.join(row)} |" for row in (head, aligned, *rows))]))
    return "\n\n".join(parts)


def documented(text: str, document: dict[str, Any]) -> str:
    """The page `text` with today's tables in it."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{markdown(document)}\n{_END}{rest.partition(_END)[2]}"


def show(document: dict[str, Any], console: Console) -> None:
    for title, rows_of in _TABLES:
        head, *rows = rows_of(document)
        table = Table(title=title, title_justify="left")
        for number, name in enumerate(head):
            table.add_column(name, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(f"The published method's own arithmetic for generation is ${METHOD_USD}, and not $0.061.")
    usd = _a_clip(document["base"])
    console.print(
        f"${usd:.4f} a delivered clip is {'within' if usd <= GOAL_USD else 'over'} the goal of ${GOAL_USD}."
    )


def _a_clip(outcome: dict[str, Any]) -> float:
    return float(outcome["usd_a_delivered_clip"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=CLIPS, help="clips of the week (200)")
    parser.add_argument("--catalogue", type=Path, help="a catalogue file; the packaged list prices without it")
    parser.add_argument("--quick", action="store_true", help="20 clips; no JSON, and no tables in docs/economics.md")
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    catalogue = load_catalogue(options.catalogue, sandbox=False)
    clips, started = 20 if options.quick else options.clips, time.monotonic()
    console = Console(width=150)

    def told(outcome: Outcome) -> None:
        console.print(
            f"{time.monotonic() - started:5.0f} s  {outcome.name}: ${outcome.usd_a_clip:.4f}", highlight=False
        )

    memory = Path("/dev/shm")
    place = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="week-", dir=place, ignore_cleanup_errors=True) as name:
        # As root the embedded Postgres runs as a user of its own, who has to get in.
        Path(name).chmod(0o755)
        document = {"catalogue": catalogue.name, "goal_usd": str(GOAL_USD)}
        document |= run_all(catalogue, clips, Path(name), told)
    show(document, console)
    if not options.quick:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
        PAGE.write_text(documented(PAGE.read_text(), document))


if __name__ == "__main__":
    main()
