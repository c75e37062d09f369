"""Where a clip's seconds went, as bars on the day's page: each bar is the whole of its clip's time (O2, O3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from video_pipeline.feedback import ClipFact, CostReport, Part

_SLOWEST = 12
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
# In the order in which a clip passes them. Far apart for colour-blind readers where they stand beside each other.
_LOOKS = {
    Part.INBOX: ("#5d6878", "in the inbox, until the sensor and a run take it in"),
    Part.PLANNING: ("#a9b4c2", "storyboard and plan"),
    Part.QUEUE: ("#e0b400", "for a pool, a provider's slot, the budget"),
    Part.PROVIDER: ("#0072b2", "submit until the result is ready"),
    Part.DOWNLOAD: ("#56b4e9", "into our own store"),
    Part.CHECK: ("#009e73", "of what was rendered"),
    Part.UPSCALE: ("#cc5500", "with loading the network"),
    Part.REVIEW: ("#7fc8ae", "checks of the finished file"),
    Part.PERSON: ("#c0353c", "asked, and not answered yet"),
    Part.PUBLISHING: ("#7b4fb5", "upload"),
    Part.PLATFORM: ("#c6aee8", "the platform's processing"),
    Part.OTHER: ("#dde2ea", "between steps: the day's other clips, a run that stopped"),
}


@dataclass(frozen=True)
class Slice:
    """A part of a bar: its colour, its share of the whole in percent, and words for the pointer."""

    colour: str
    percent: float
    words: str


@dataclass(frozen=True)
class Bar:
    """A published clip's times; `slices` are in the order in which a clip passes the parts."""

    clip: str
    to_preview: str
    to_published: str
    own: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class PartLine:
    """A part that took any time on the day."""

    colour: str
    name: str
    meaning: str
    median: str
    p90: str


@dataclass(frozen=True)
class DayTimes:
    """The day's part lines, and the bars of the clips that took longest from brief to published."""

    parts: tuple[PartLine, ...]
    slowest: tuple[Bar, ...]
    published: int


def day_times(report: CostReport, facts: Sequence[ClipFact]) -> DayTimes:
    """What the page shows of the times of the day's clips, `facts`."""
    published = [fact for fact in facts if fact.to_published_s is not None]
    slowest = sorted(published, key=lambda fact: -(fact.to_published_s or 0))[:_SLOWEST]
    return DayTimes(
        parts=tuple(
            PartLine(colour, part, meaning, duration(report.median_s[part]), duration(report.p90_s[part]))
            for part, (colour, meaning) in _LOOKS.items()
            if report.p90_s.get(part)
        ),
        slowest=tuple(_bar(fact, fact.to_published_s or 0) for fact in slowest),
        published=len(published),
    )


def duration(seconds: float) -> str:
    """Seconds as people read them: `12.3 s`, `4 min 05 s`, `3 h 20 min`, `2 d 03 h`."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S:02} h"


def _bar(fact: ClipFact, whole_s: float) -> Bar:
    return Bar(
        clip=fact.title,
        to_preview="–" if fact.to_preview_s is None else duration(fact.to_preview_s),
        to_published=duration(whole_s),
        own=duration(whole_s - (fact.to_published_provider_s or 0)),
        slices=tuple(
            Slice(colour, 100 * fact.seconds[part] / whole_s, f"{part}: {duration(fact.seconds[part])}")
            for part, (colour, _) in _LOOKS.items()
            if whole_s and fact.seconds.get(part)
        ),
    )
