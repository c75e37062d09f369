"""What a month came to: where each clip stood and why, hour by hour, and which promises were kept.

It reads the ledger and the tables of the days as anybody may, and holds them against the vendors' own books.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from benchmarks.bottle.world import BriefOrder, World
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.ledger import JobState, Ledger, PublicationState, ReviewState, TierState
from video_pipeline.storage import ObjectStore, read_rows, table_key

HOUR = timedelta(hours=1)
"""How often the bottle looks: the sensor interval of this month."""

DELIVERED, REJECTED, QUARANTINED = "delivered", "rejected", "quarantined"
_ENDED = (DELIVERED, REJECTED, QUARANTINED)
_OUT = (PublicationState.PUBLISHED, PublicationState.NOT_CONNECTED)


@dataclass
class Track:
    """One brief from its drop to its end. `waits` are seconds by cause; `stopped_until` is the world's own truth."""

    order: BriefOrder
    day: date
    dropped_at: datetime
    state: str = "dropped"
    ended_at: datetime | None = None
    waits: Counter[str] = field(default_factory=Counter[str])
    free_since: datetime | None = None
    killed: int = 0
    person: bool = False
    stops: Counter[str] = field(default_factory=Counter[str])

    @property
    def clip_id(self) -> str:
        return f"{self.day}/{self.order.brief_id}"

    @property
    def ended(self) -> bool:
        return self.state in _ENDED

    @property
    def late_s(self) -> float:
        """Seconds that it lay still although nothing was in its way, runs that were killed apart."""
        since = self.free_since or self.dropped_at
        end = self.ended_at or datetime.now(UTC)
        return (end - since).total_seconds() - self.killed * HOUR.total_seconds()


class Reckoning:
    """Follows all clips of a month."""

    def __init__(self, world: World, ledger: Ledger, store: ObjectStore) -> None:
        self._world, self._ledger, self._store = world, ledger, store
        self.tracks: dict[str, Track] = {}
        self.frozen: dict[str, list[datetime]] = defaultdict(list)
        self.nights_lost: list[date] = []
        self.failures: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.kills = 0
        self._looked_at: datetime | None = None

    def dropped(self, orders: Iterable[BriefOrder], day: date) -> None:
        """Briefs have been put into the inbox now."""
        for order in orders:
            track = Track(order, day, datetime.now(UTC))
            self.tracks[track.clip_id] = track

    def open_days(self) -> list[date]:
        """Days with a brief that has not come to its end."""
        return sorted({track.day for track in self.tracks.values() if not track.ended})

    def leave_out(self, first: date) -> None:
        """Forget the briefs from `first` on: that day was broken off."""
        self.tracks = {clip_id: track for clip_id, track in self.tracks.items() if track.day < first}

    def answered(self, clip_id: str) -> None:
        """A person has said what is to become of a clip."""
        if clip_id in self.tracks:
            self.tracks[clip_id].person = True
            self.tracks[clip_id].state = "answered"

    def look(self, moment: datetime, *, ceiling_usd: Decimal) -> None:
        """Note where everything stands at `moment`, which a tick has just brought about."""
        for tier, change in self._ledger.governance.tier_states().items():
            if change.state is TierState.FROZEN:
                self.frozen[tier].append(moment)
        passed_s = (moment - self._looked_at).total_seconds() if self._looked_at else 0.0
        self._looked_at = moment
        committed = self._ledger.spend.committed_usd(moment.date())
        for day in self.open_days():
            rows = self._rows(day)
            gone = {publication.clip_id: publication for publication in self._ledger.publications.of_days(day, day)}
            waiting = {review.clip_id for review in self._ledger.reviews.of_day(day) if _asks(review.state)}
            quarantined = {item["source"] for item in self._ledger.intake.quarantined(day)}
            for track in self.tracks.values():
                if track.day != day or track.ended:
                    continue
                row, publication = rows.get(track.clip_id), gone.get(track.clip_id)
                state, cause = _standing(track, row, publication, quarantined, asked=track.clip_id in waiting)
                track.waits[cause] += int(passed_s)
                track.state = state
                if state in _ENDED:
                    track.ended_at = datetime.now(UTC)
                elif stop := self._stop(track, row, state, cause, moment, committed, ceiling_usd):
                    track.stops[stop] += int(passed_s)
                    track.free_since = moment + HOUR

    def _rows(self, day: date) -> dict[str, ReviewedClip]:
        key = table_key("reviewed_clips", day.isoformat())
        if not self._store.exists(key):
            return {}
        return {row.clip_id: row for row in read_rows(ReviewedClip, self._store.read_bytes(key))}

    def _stop(
        self,
        track: Track,
        row: ReviewedClip | None,
        state: str,
        cause: str,
        moment: datetime,
        committed: Decimal,
        ceiling: Decimal,
    ) -> str:
        """What in the world, or which person, keeps a clip from going on at `moment`; empty when nothing does."""
        if state == "person":
            return "a person"
        made = row is not None and row.status in (ClipStatus.PASSED, ClipStatus.UPSCALED, ClipStatus.GENERATED)
        stage = "publishing" if made else "generation"
        for event in self._world.going_on(moment):
            if event.what.stops == stage:
                return event.what.value
        if made:
            return ""
        tier = row.tier if row is not None else track.order.tier
        frozen = self._ledger.governance.tier_states().get(tier)
        if frozen is not None and frozen.state is TierState.FROZEN:
            return "frozen"
        return "ceiling" if committed >= ceiling * Decimal("0.9") or "ceiling" in cause else ""


def _asks(state: ReviewState) -> bool:
    return state is ReviewState.WAITING


def _standing(track: Track, row: ReviewedClip | None, publication: Any, quarantined: set[str], *, asked: bool) -> Any:
    """Where a clip stands: its state, and what it waits for in words that many share."""
    if row is None:
        if track.order.source in quarantined:
            return QUARANTINED, QUARANTINED
        return "begun", "not begun"
    if row.status is ClipStatus.REJECTED:
        return REJECTED, REJECTED
    if publication is not None and publication.state in _OUT:
        return DELIVERED, DELIVERED
    if publication is not None and publication.state is PublicationState.UNKNOWN:
        return "person", f"person: {_words(publication.reason)}"
    if asked or row.status is ClipStatus.REVIEW:
        return "person", f"person: {_words(row.reason)}"
    if publication is not None:
        return "publishing", f"publishing: {_words(publication.reason)}"
    return "waiting", f"{row.status}: {_words(row.reason)}"


def _words(reason: str | None) -> str:
    """A reason without what is this clip's alone."""
    said = re.sub(r"[0-9][0-9.,:$-]*", "#", reason or "no reason")
    return re.sub(r"sandbox/\w+", "MODEL", said)[:90]


@dataclass
class Promise:
    """A promise, and what speaks against it."""

    name: str
    broken: list[str] = field(default_factory=list)
    said: str = ""


def promises(reckoning: Reckoning, ledger: Ledger, world: World, books: Mapping[str, Any]) -> list[Promise]:
    """All that a month promises."""
    billed = [request for request in books["requests"] if Decimal(request["usd"]) > 0]
    asked = Counter((request["endpoint"], json.dumps(request["input"], sort_keys=True)) for request in billed)
    posted = Counter(video["clip_id"] for video in books["videos"])
    known = ledger.jobs.in_state(*JobState)
    ids = {job.provider_job_id for job in known}
    unknown_to_us = [request for request in billed if request["request_id"] not in ids]
    doubts = [job for job in known if job.state is JobState.UNKNOWN]
    tracks = list(reckoning.tracks.values())
    at_hand = [track for track in tracks if _addressable(track)]
    alone = [track for track in at_hand if track.state == DELIVERED and not track.person]
    share = len(alone) / len(at_hand) if at_hand else 1.0
    lost = [
        f"{track.clip_id} is {track.state}: {max(track.waits, key=lambda c: track.waits[c], default='')}"
        for track in tracks
        if not track.ended and track.state not in ("person",)
    ]
    latest = max((track.late_s for track in tracks if track.state != "person"), default=0) / 3600
    late = [track for track in tracks if track.late_s > 2 * HOUR.total_seconds() and track.state != "person"]
    return [
        Promise("nothing billed twice", [f"{n} times {key[0]}" for key, n in asked.items() if n > 1]),
        Promise("nothing posted twice", [f"{n} times {clip}" for clip, n in posted.items() if n > 1]),
        Promise("no clip lost", lost),
        Promise(
            "no paid render lost",
            [] if len(unknown_to_us) <= len(doubts) else [request["request_id"] for request in unknown_to_us],
            said=f"{len(unknown_to_us)} requests without a job, {len(doubts)} jobs in doubt",
        ),
        Promise(
            "what can go on does so within an interval and a run",
            [f"{track.clip_id}: {track.late_s / 3600:.1f} h, {track.state}" for track in late],
            said=f"longest {latest:.1f} h",
        ),
        Promise("no tier is frozen two days after its cause", _frozen_for_nothing(reckoning, world)),
        Promise(
            "98 % of addressable clips are delivered without a person",
            []
            if share >= 0.98
            else [
                f"{track.clip_id}: {track.state}, person {track.person}" for track in at_hand if track not in alone
            ],
            said=f"{len(alone)} of {len(at_hand)}, {share:.1%}",
        ),
    ]


def _addressable(track: Track) -> bool:
    """Whether it can be delivered by the pipeline alone: a valid brief with a prompt that some model takes."""
    return track.order.kind not in ("hopeless", "malformed")


def _frozen_for_nothing(reckoning: Reckoning, world: World) -> list[str]:
    """Spans of a freeze that lie more than two days after the last cause's end, or have no cause at all."""
    causes = [event for event in world.events if event.what.drifts]
    broken: list[str] = []
    for tier, moments in reckoning.frozen.items():
        for span in _spans(moments):
            ended = [min(event.ends_at, span[-1]) for event in causes if event.starts_at <= span[-1]]
            allowed = max([span[0], *ended]) + timedelta(days=2)
            if span[-1] > allowed:
                over = (span[-1] - allowed).total_seconds() / 86400
                broken.append(
                    f"{tier} frozen {span[0]:%d %b %H:00} to {span[-1]:%d %b %H:00}, {over:.1f} days too long"
                )
    return broken


def _spans(moments: list[datetime]) -> list[list[datetime]]:
    spans: list[list[datetime]] = []
    for moment in moments:
        if spans and moment - spans[-1][-1] <= HOUR * 1.5:
            spans[-1].append(moment)
        else:
            spans.append([moment])
    return spans


def as_document(
    reckoning: Reckoning, kept: list[Promise], ledger: Ledger, books: Mapping[str, Any]
) -> dict[str, Any]:
    """The month in numbers."""
    tracks = list(reckoning.tracks.values())
    states = Counter(track.state for track in tracks)
    waits, clips, longest = Counter[str](), Counter[str](), Counter[str]()
    for track in tracks:
        for cause, seconds in track.waits.items():
            if seconds and cause not in _ENDED:
                waits[cause] += seconds
                clips[cause] += 1
                longest[cause] = max(longest[cause], seconds)
    stops = Counter[str]()
    for track in tracks:
        stops.update(track.stops)
    spent = sum(
        (
            usd
            for day in {track.day for track in tracks}
            for lines in ledger.spend.by_clip(day).values()
            for usd in lines.values()
        ),
        Decimal(0),
    )
    billed = sum((Decimal(request["usd"]) for request in books["requests"]), Decimal(0))
    delivered = states[DELIVERED]
    return {
        "clips": len(tracks),
        "states": dict(states),
        "kinds": dict(Counter(track.order.kind for track in tracks)),
        "delivered_with_a_person": sum(track.person for track in tracks if track.state == DELIVERED),
        "spent_usd": str(spent),
        "billed_by_vendors_usd": str(billed),
        "usd_per_usable_clip": str(round(spent / delivered, 4)) if delivered else None,
        "frozen_days": {tier: round(len(moments) / 24, 1) for tier, moments in reckoning.frozen.items()},
        "runs": dict(reckoning.runs),
        "kills": reckoning.kills,
        "nights_lost": [str(day) for day in reckoning.nights_lost],
        "failed_runs": dict(reckoning.failures),
        "waits": {
            cause: {
                "clips": clips[cause],
                "hours": round(seconds / 3600, 1),
                "longest_hours": round(longest[cause] / 3600, 1),
            }
            for cause, seconds in waits.most_common()
        },
        "stopped_hours": {stop: round(seconds / 3600, 1) for stop, seconds in stops.most_common()},
        "promises": [asdict(promise) for promise in kept],
    }
