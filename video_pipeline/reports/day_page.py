"""The day as an HTML page (`day_report.html`) that needs nothing but itself; further pages have more clips (O3)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from video_pipeline.feedback import (
    TROUBLE,
    BilledRequest,
    ClipFact,
    CostReport,
    DayBill,
    ListedModel,
    providers_of_day,
)
from video_pipeline.ledger import Ledger
from video_pipeline.media import data_uri
from video_pipeline.reports.addresses import web_address
from video_pipeline.reports.gallery import sheet_names
from video_pipeline.reports.model_facts import Given, Tries, given_of, values_of
from video_pipeline.reports.model_page import model_page_key, newest_scores
from video_pipeline.reports.pages import CHART_WIDTH, template
from video_pipeline.reports.plots import cost_svg, value_svg, waste_svg
from video_pipeline.reports.timeline import day_times, duration
from video_pipeline.storage import ObjectStore, StoredObject, report_key

CLIPS_A_PAGE = 200
# Of what waits for a person, and of what is quarantined.
_MOST_ROWS = 100


def day_report(
    store: ObjectStore,
    ledger: Ledger,
    report: CostReport,
    facts: Sequence[ClipFact],
    *,
    limit_usd: Decimal,
    recent: Sequence[ClipFact] = (),
    bills: Sequence[DayBill] = (),
    prices: Sequence[ListedModel] = (),
) -> StoredObject:
    """Write the page of the report's day into the store, and a further page for each `CLIPS_A_PAGE` more clips.

    Returns the first. It shows the first contact sheet; the others are linked. Long lists end with how many more.
    `limit_usd` is the average cost a clip at which drift freezes previews, `recent` the facts of the trailing days,
    `bills` and `prices` what the night has learned of vendors' bills and prices. Raises StorageError.
    """
    sheets = sheet_names(store, report.day)
    scores = newest_scores(store)
    values, given = values_of(scores, recent), given_of(ledger.governance.decided_on(report.day))
    shared = {
        "web_address": web_address,
        "report": report,
        "sheets": sheets,
        "quarantined": ledger.intake.quarantined(report.day),
        "reviews": ledger.reviews.of_day(report.day),
        "most_rows": _MOST_ROWS,
        "sheet": data_uri("image/jpeg", store.read_bytes(report_key(report.day, sheets[0]))) if sheets else None,
        "cost_svg": cost_svg(report, limit_usd=limit_usd, width=CHART_WIDTH) if report.by_day else None,
        "waste_svg": waste_svg(report, width=CHART_WIDTH) if report.waste_by_day else None,
        "value_svg": value_svg(values, width=CHART_WIDTH) if any(value.worth for value in values) else None,
        "scored_on": scores[0].day if scores else None,
        "providers": providers_of_day(ledger.jobs.of_day(report.day)),
        "models": _models(facts, given),
        "explored_usd": sum((one.extra_usd for one in given.values()), Decimal(0)),
        "bills": bills,
        "prices": [row for row in prices if row.state in TROUBLE],
        "not_as_booked": _not_as_booked(bills),
        "times": day_times(report, facts),
        "duration": duration,
        "made_at": datetime.now(UTC),
    }
    compiled = template("day_report.html")
    names = [page_name(number) for number in range(1, pages_for(len(facts)) + 1)]
    stored: list[StoredObject] = []
    for index, name in enumerate(names):
        own = facts[index * CLIPS_A_PAGE : (index + 1) * CLIPS_A_PAGE]
        page = compiled.render(shared, facts=own, name=name, pages=names)
        key = report_key(report.day, name)
        stored.append(store.put_bytes(key, page.encode(), content_type="text/html", overwrite=True))
    for key in list(store.list(report_key(report.day, "report"))):
        if key.rsplit("/", 1)[1] not in names:
            store.delete(key)
    return stored[0]


def _not_as_booked(bills: Sequence[DayBill]) -> list[tuple[date, BilledRequest]]:
    """Every request that is not as booked with the day that it was bought on, the largest differences first."""
    found = [(bill.day, one) for bill in bills for one in bill.differences]
    return sorted(found, key=lambda pair: (-abs(pair[1].off_usd), pair[1].request_id))


def _models(facts: Sequence[ClipFact], given: Mapping[str, Given]) -> list[tuple[str, str | None, Tries, Tries]]:
    """Each model that the day's clips were tried at: where its page is, its first tries, and those to learn by.

    One that only came after others had refused a shot is not scored, and has no page by that.
    """
    tries: dict[str, Tries] = defaultdict(Tries)
    by_draw: dict[str, Tries] = defaultdict(Tries)
    for fact in facts:
        bought = given.get(fact.clip_id)
        for one in fact.first_tries:
            tries[one.model].add(one)
            if bought and bought.model == one.model:
                by_draw[one.model].add(one)
    # The pages of models lie beside the folders of days.
    scored = {entry.model for fact in facts for entry in fact.by_model}
    pages = {model: f"../{model_page_key(model).split('/', 1)[1]}" for model in scored}
    return [(model, pages.get(model), every, by_draw[model]) for model, every in sorted(tries.items())]


def pages_for(clips: int) -> int:
    """How many pages a day of `clips` clips has; one at least."""
    return max(1, -(-clips // CLIPS_A_PAGE))


def page_name(number: int) -> str:
    """The name of a day's page, counted from 1, among the day's reports."""
    return "report.html" if number == 1 else f"report-{number}.html"
