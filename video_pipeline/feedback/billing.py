"""What vendors say that they have billed, against the ledger: matched by request, and booked where it differs.

A vendor's bill is the truth about what a job has cost. It comes late, in several lines a request or in none where
that costs nothing, and names requests that nobody here has made. So days are compared again for some nights.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from video_pipeline import checkpoints
from video_pipeline.days import begins_at, day_at
from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import PROVIDERS, BilledLine, Enquiries, is_own_gpu
from video_pipeline.ledger import ENDED, FailureKind, Job, JobState, Ledger
from video_pipeline.policy import ReconcilePolicy

_MICRODOLLAR = Decimal("0.000001")


class Match(StrEnum):
    """What a vendor's billing says of one request, beside the ledger."""

    EQUAL = "as booked"
    OTHERWISE = "billed otherwise"
    REFUSAL = "refusal billed"
    """It was refused, and booked at nothing."""
    LEAK = "not in the ledger"
    """It was billed, and no job here knows it: somebody else has bought it."""
    NOT_YET = "not billed yet"
    NEVER = "never billed"
    UNDER_WAY = "under way"
    """Its job has not ended; it is compared when it has."""


OFF = frozenset({Match.OTHERWISE, Match.REFUSAL, Match.LEAK, Match.NEVER})
"""The matches that are a difference; what has not ended or may still come is none."""


class BilledRequest(BaseModel):
    """One request that is not as booked; money in US dollars.

    `booked_usd` is what its job was booked at when it ended, by its list price. `what` was bought and by whose key
    (`buyer`) are the vendor's words. `job_key`, `clip_id` and `model` are empty for one that no job knows.
    """

    model_config = ConfigDict(frozen=True)

    request_id: str
    match: Match
    booked_usd: Decimal
    billed_usd: Decimal
    job_key: str = ""
    clip_id: str = ""
    model: str = ""
    what: str = ""
    buyer: str = ""

    @property
    def off_usd(self) -> Decimal:
        """By how much the bill is higher than what was booked; negative where it is lower."""
        return self.billed_usd - self.booked_usd


class DayBill(BaseModel):
    """A row of `vendor_bills`: what was bought at a provider on `day`, as its billing and the ledger have it.

    `requests` are the ledger's, `equal` of them as booked. `booked_usd` and `billed_usd` are sums over those that
    have a bill and those that no job knows. `differences` are all that are not as booked, also those that may still
    become so. `in_doubt` jobs may have been bought or not: one of them may be what no job knows. `why_not` is
    a clause where nothing could be compared.
    """

    model_config = ConfigDict(frozen=True)

    day: date
    provider: str
    requests: int
    equal: int = 0
    booked_usd: Decimal = Decimal(0)
    billed_usd: Decimal = Decimal(0)
    differences: tuple[BilledRequest, ...] = ()
    in_doubt: int = 0
    why_not: str = ""

    def of(self, *matches: Match) -> list[BilledRequest]:
        return [one for one in self.differences if one.match in matches]

    @property
    def off_usd(self) -> Decimal:
        """What is otherwise than booked, whichever way, over all requests."""
        return sum((abs(one.off_usd) for one in self.of(*OFF)), Decimal(0))


@dataclass(frozen=True)
class Bought:
    """A job with a request id, and what it was booked at when it ended."""

    job: Job
    booked_usd: Decimal


@dataclass(frozen=True)
class Bill:
    """All lines of one request together."""

    usd: Decimal
    first_at: datetime
    what: str
    buyer: str


def bills_of(lines: Iterable[BilledLine]) -> dict[str, Bill]:
    """The bill of each request, whatever order its lines come in; pure."""
    by_request: dict[str, list[BilledLine]] = defaultdict(list)
    for line in lines:
        by_request[line.provider_job_id].append(line)
    return {request_id: _bill(some) for request_id, some in by_request.items()}


def _bill(lines: Sequence[BilledLine]) -> Bill:
    first = min(lines, key=lambda line: (line.at, line.what, line.buyer))
    total = sum((line.usd for line in lines), Decimal(0))
    return Bill(total.quantize(_MICRODOLLAR), first.at, first.what, first.buyer)


def matched(
    day: date, provider: str, bills: Mapping[str, Bill], bought: Sequence[Bought], known: Iterable[str], *, over: bool
) -> DayBill:
    """The day's requests, and those of the day that no job knows, beside their bills; pure.

    `bought` are the day's own jobs, `known` the ids of all jobs. `over`: no bill of the day is expected any more.
    """
    found = [_matched(one, bills.get(one.job.provider_job_id or ""), over=over) for one in bought]
    strangers = set(bills) - set(known)
    leaks = [
        BilledRequest(
            request_id=request_id,
            match=Match.LEAK,
            booked_usd=Decimal(0),
            billed_usd=bills[request_id].usd,
            what=bills[request_id].what,
            buyer=bills[request_id].buyer,
        )
        for request_id in sorted(strangers)
        # One that was taken back has cost nobody anything.
        if day_at(bills[request_id].first_at) == day and bills[request_id].usd
    ]
    compared = [one for one in found if one.match in OFF | {Match.EQUAL} and one.match is not Match.NEVER] + leaks
    return DayBill(
        day=day,
        provider=provider,
        requests=len(bought),
        equal=sum(one.match is Match.EQUAL for one in found),
        booked_usd=sum((one.booked_usd for one in compared), Decimal(0)),
        billed_usd=sum((one.billed_usd for one in compared), Decimal(0)),
        differences=tuple(
            sorted(
                (one for one in [*found, *leaks] if one.match is not Match.EQUAL),
                key=lambda one: (-abs(one.off_usd), one.request_id),
            )
        ),
    )


def _matched(bought: Bought, bill: Bill | None, *, over: bool) -> BilledRequest:
    job = bought.job
    # A bill that was read once stays, however long the vendor shows it.
    told_usd = bill.usd if bill is not None else job.vendor_usd
    if job.state not in ENDED:
        match = Match.UNDER_WAY
    elif told_usd == bought.booked_usd or (told_usd is None and not bought.booked_usd):
        match = Match.EQUAL
    elif told_usd is None:
        match = Match.NEVER if over else Match.NOT_YET
    elif job.failure_kind is FailureKind.MODERATION and not bought.booked_usd:
        match = Match.REFUSAL
    else:
        match = Match.OTHERWISE
    return BilledRequest(
        request_id=job.provider_job_id or "",
        match=match,
        booked_usd=bought.booked_usd,
        billed_usd=told_usd or Decimal(0),
        job_key=job.key,
        clip_id=job.clip_id,
        model=job.model,
        what=bill.what if bill else "",
        buyer=bill.buyer if bill else "",
    )


def days_to_compare(day: date, policy: ReconcilePolicy) -> list[date]:
    """The days that the night of `day` looks at: its own, and those before it whose bills may have been late."""
    return [day - timedelta(days=back) for back in reversed(range(policy.again_days + 1))]


def reconcile(
    ledger: Ledger,
    enquiries: Enquiries,
    policy: ReconcilePolicy,
    days: Sequence[date],
    *,
    at: datetime | None = None,
) -> list[DayBill]:
    """Compare what was bought on each of `days`, consecutive ones, with what each provider has billed by `at`.

    What was billed is booked, each bill once. A provider that tells nothing is a row that says why. Days on which
    nothing was bought have no row. Raises LedgerError.
    """
    at = at or datetime.now(UTC)
    patience = timedelta(days=policy.again_days)
    since, until = begins_at(days[0]), min(at, begins_at(days[-1] + timedelta(days=1)) + patience)
    try:
        told = enquiries.billed(since, until)
    except ConfigurationError:
        told = {}
    rows: list[DayBill] = []
    for provider in PROVIDERS:
        if is_own_gpu(provider):
            # Nobody bills it.
            continue
        lines = told.get(provider, f"{provider} is not connected, so its billing was not asked for")
        bills = {} if isinstance(lines, str) else bills_of(lines)
        jobs_of = {day: ledger.jobs.bought_between(provider, *_span(day)) for day in days}
        known = ledger.jobs.of_requests(provider, list(bills))
        for day, jobs in jobs_of.items():
            if isinstance(lines, str):
                rows += [DayBill(day=day, provider=provider, requests=len(jobs), why_not=lines)] if jobs else []
                continue
            settled = ledger.spend.settled([job.key for job in jobs])
            bought = [Bought(job, settled[job.key]) for job in jobs]
            over = at >= begins_at(day + timedelta(days=1)) + patience
            row = matched(day, provider, bills, bought, known, over=over)
            _book(ledger, provider, jobs, bills)
            if row.of(Match.LEAK):
                doubts = ledger.jobs.in_state(JobState.UNKNOWN, JobState.SUBMITTING)
                in_doubt = sum(job.provider == provider for job in doubts)
                row = row.model_copy(update={"in_doubt": in_doubt})
            rows += [row] if row.requests or row.differences else []
    return rows


def _span(day: date) -> tuple[datetime, datetime]:
    return begins_at(day), begins_at(day + timedelta(days=1))


def _book(ledger: Ledger, provider: str, jobs: Sequence[Job], bills: Mapping[str, Bill]) -> None:
    for job in jobs:
        bill = bills.get(job.provider_job_id or "")
        # A bill below nothing is told, and believed by nobody.
        if bill is None or bill.usd < 0 or bill.usd == job.vendor_usd:
            continue
        answer = {"billing of": provider, "usd": str(bill.usd), "at": bill.first_at.isoformat(), "what": bill.what}
        ledger.jobs.vendor_billed(job.key, bill.usd, answer=answer)
        checkpoints.reached("feedback.billed")
