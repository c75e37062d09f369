"""Guidance applied: what was learned to work becomes the default of a brief that leaves it open (G4.7).

A share of such briefs is held out, so that the effect is measured. What was drawn when a brief was taken in stays,
whatever is learned later; and what a person has written is never changed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs.bibles import NO_BIBLES, Bibles
from video_pipeline.briefs.brief import Brief
from video_pipeline.ledger import Ledger, Preference

# Fields of a brief that guidance has defaults for.
_FIELDS = ("hook", "style")


class AppliedGuidance(BaseModel):
    """What guidance had for the fields that a brief left open when it was taken in.

    `values` maps the field to the default. A brief that is `held_out` was left as it is: they are what it would have
    been given. `version` is that of the external asset `editorial_guidance`, which was learned up to the week that
    begins on `learned_from`.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    learned_from: date
    values: dict[str, str]
    held_out: bool

    def open_in(self, brief: Brief) -> dict[str, str]:
        """The defaults that `brief` is made with: none of what a person has written since, none when held out."""
        return (
            {} if self.held_out else {name: value for name, value in self.values.items() if not getattr(brief, name)}
        )

    @property
    def sentence(self) -> str:
        """What was done, in words."""
        values = " and ".join(f"{name} {value}" for name, value in sorted(self.values.items()))
        by = f"the guidance of the week of {self.learned_from} (version {self.version})"
        return f"held out from {values}, the default by {by}" if self.held_out else f"{values} by {by}"


class TakenBrief(Brief):
    """A row of the asset `briefs`: the brief as a person wrote it, and what was noted of it when it was taken in."""

    applied: AppliedGuidance | None = None
    bibles: Bibles = NO_BIBLES
    """What the bibles say of whom and what it names, and said when it was taken in."""

    @classmethod
    def of(cls, brief: Brief, applied: AppliedGuidance | None, bibles: Bibles = NO_BIBLES) -> "TakenBrief":
        noted: dict[str, Any] = {"applied": applied} | ({"bibles": bibles} if bibles != NO_BIBLES else {})
        return cls.model_validate(brief.model_dump(exclude_unset=True) | noted)

    @property
    def brief(self) -> Brief:
        """The brief alone, which still knows what it did not say."""
        return Brief.model_validate(self.model_dump(exclude={"applied", "bibles"}, exclude_unset=True))

    @property
    def sha256(self) -> str:
        """That of the brief, which no note changes."""
        return self.brief.sha256

    @property
    def defaults(self) -> dict[str, str]:
        """What it is made with for the fields that it leaves open."""
        return self.applied.open_in(self) if self.applied else {}


Guide = Callable[[Brief], AppliedGuidance | None]
"""What guidance in force has for a brief; None where it leaves nothing open that guidance has a default for."""


def no_guidance(brief: Brief) -> AppliedGuidance | None:
    """Where nothing has been learned."""
    return None


def guidance_version(guidance: Mapping[str, Any]) -> str:
    """Names guidance by its content: the data version of the external asset `editorial_guidance`."""
    return hashlib.sha256(json.dumps(guidance, sort_keys=True).encode()).hexdigest()[:12]


def guide_in_force(ledger: Ledger, *, holdout_share: float) -> Guide:
    """The guide by what is in force now: platform -> field -> values that work, the best first."""
    guidance, learned_from = ledger.governance.learned(Preference.EDITORIAL_GUIDANCE)
    if learned_from is None or not guidance:
        return no_guidance
    version = guidance_version(guidance)

    def guide(brief: Brief) -> AppliedGuidance | None:
        found = {name: _default(name, brief.platforms, guidance) for name in _FIELDS if not getattr(brief, name)}
        values = {name: value for name, value in found.items() if value}
        if not values:
            return None
        held_out = _drawn(brief.brief_id) < holdout_share
        return AppliedGuidance(version=version, learned_from=learned_from, values=values, held_out=held_out)

    return guide


def applied_guidance(ledger: Ledger, day: date) -> dict[str, AppliedGuidance | None]:
    """Clip -> what was applied when its brief was taken in, for every brief of `day` that was."""
    return {
        clip_id: None if document is None else AppliedGuidance.model_validate(document, extra="ignore")
        for clip_id, document in ledger.intake.applied_guidance(day).items()
    }


def _default(name: str, platforms: Sequence[str], guidance: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """What works on most of the platforms that the one clip goes to; of those, what is placed best there."""
    places: dict[str, list[int]] = {}
    for platform in platforms:
        for place, value in enumerate(guidance.get(platform, {}).get(name, ())):
            places.setdefault(value, []).append(place)
    return min(places, key=lambda value: (-len(places[value]), sum(places[value]), value), default="")


def _drawn(brief_id: str) -> float:
    """A number from 0 to 1 that is the brief's own, whatever the day and the guidance."""
    return int.from_bytes(hashlib.sha256(f"guidance\n{brief_id}".encode()).digest()[:8]) / 2**64
