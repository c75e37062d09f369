"""What the week's patterns say to whoever writes briefs: what works, how surely, and what nobody can tell yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from video_pipeline.feedback.patterns import EditorialPattern, Measure, Parameter
from video_pipeline.policy import GuidancePolicy


@dataclass(frozen=True)
class PlatformSheet:
    """A platform's rows, the largest gain first in each part; `effect` is what the defaults of open briefs did.

    `works` is surely better than the other clips, `worse` probably worse, `open` could still be luck, and `few` was
    tried too little to tell.
    """

    platform: str
    measure: Measure
    works: tuple[EditorialPattern, ...]
    worse: tuple[EditorialPattern, ...]
    open: tuple[EditorialPattern, ...]
    few: tuple[EditorialPattern, ...]
    effect: EditorialPattern | None

    @property
    def verdict(self) -> str:
        """What to write next week, in a sentence."""
        if self.works:
            return f"On {self.platform} {_and([f'the {named(row)}' for row in self.works])} work{_s(self.works)}."
        return f"Nothing is surely better than the rest on {self.platform} yet."


def sheets_of(rows: Sequence[EditorialPattern], policy: GuidancePolicy) -> list[PlatformSheet]:
    """A week's rows by platform."""
    return [
        _sheet(platform, [row for row in rows if row.platform == platform], policy)
        for platform in sorted({row.platform for row in rows})
    ]


def named(row: EditorialPattern) -> str:
    """What the row is of, in words."""
    return f"{row.parameter} {row.value}"


def gain_words(row: EditorialPattern) -> str:
    """The gain as people say it: points of a clip that are watched more, or times the views."""
    return f"{_amount(row, row.gain)} {_unit(row)}"


def interval_words(row: EditorialPattern) -> str:
    """The interval of the gain."""
    return f"{_amount(row, row.low)} to {_amount(row, row.high)} {_unit(row)}"


def sure_words(row: EditorialPattern) -> str:
    """The probability of a gain, which no data makes certain."""
    if row.probability > 0.99 or row.probability < 0.01:
        return "> 99 %" if row.probability > 0.5 else "< 1 %"
    return f"{100 * row.probability:.0f} %"


def effect_words(row: EditorialPattern, policy: GuidancePolicy) -> str:
    """What the defaults of open briefs did, in a sentence or two."""
    if not row.others:
        return f"{row.clips} clips were made with defaults and none was held out, so their effect cannot be told."
    told = "surely better" if row.verdict.works else "not told apart"
    return (
        f"{row.clips} clips were made with defaults, {row.others} like them were held out: {gain_words(row)} "
        f"({interval_words(row)} with {policy.confidence:.0%}), {told}."
    )


def _amount(row: EditorialPattern, gain: float) -> str:
    if row.measure is Measure.COMPLETION:
        return f"{100 * gain:+.1f}"
    # Half of it is the usual clip's; see `Measure`.
    share = min(max(0.5 + gain, 0.01), 0.99)
    return f"{share / (1 - share):.2f}"


def _unit(row: EditorialPattern) -> str:
    return "points" if row.measure is Measure.COMPLETION else "× the views"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _s(rows: Sequence[EditorialPattern]) -> str:
    return "s" if len(rows) == 1 else ""


def _sheet(platform: str, rows: Sequence[EditorialPattern], policy: GuidancePolicy) -> PlatformSheet:
    parts: dict[str, list[EditorialPattern]] = {name: [] for name in ("works", "worse", "open", "few")}
    for row in sorted(rows, key=lambda row: (-row.gain, row.parameter, row.value)):
        if row.parameter is not Parameter.GUIDANCE:
            parts[_part(row, policy)].append(row)
    effect = next((row for row in rows if row.parameter is Parameter.GUIDANCE), None)
    return PlatformSheet(
        platform=platform,
        measure=rows[0].measure,
        **{name: tuple(own) for name, own in parts.items()},
        effect=effect,
    )


def _part(row: EditorialPattern, policy: GuidancePolicy) -> str:
    if min(row.clips, row.others) < policy.minimum_clips:
        return "few"
    if row.verdict.works:
        return "works"
    return "worse" if row.high < 0 else "open"
