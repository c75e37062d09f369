"""Weekly learning: which hooks and styles did better than usual, and which model a style likes (G4.7, G4.8)."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from video_pipeline.feedback.facts import ClipFact

# Under this many clips a difference is not told apart from luck.
MINIMUM_CLIPS = 5


class Parameter(StrEnum):
    """The parameters of a brief that are learned from; each is a field of a clip's facts."""

    HOOK = "hook"
    STYLE = "style"


class EditorialPattern(BaseModel):
    """A row of `editorial_patterns`: how clips with a hook or a style completed against the platform's average."""

    model_config = ConfigDict(frozen=True)

    week: date
    platform: str
    parameter: Parameter
    value: str
    clips: int
    completion: float
    against_average: float
    preferred: bool


class StyleAffinity(BaseModel):
    """A row of `style_affinity`: how a model does for a style against all models, as a share, and its n."""

    model_config = ConfigDict(frozen=True)

    week: date
    style: str
    model: str
    clips: int
    affinity: float


def editorial_patterns_of(week: date, facts: Sequence[ClipFact]) -> list[EditorialPattern]:
    """Mean completion per platform, hook and style; preferred only with enough clips above the average."""
    patterns: list[EditorialPattern] = []
    for platform in sorted({name for fact in facts for name in fact.platforms}):
        seen = [fact for fact in facts if platform in fact.platforms and fact.completion is not None]
        if not seen:
            continue
        usual = _mean([fact.completion or 0.0 for fact in seen])
        for parameter in Parameter:
            groups: dict[str, list[float]] = defaultdict(list)
            for fact in seen:
                groups[getattr(fact, parameter)].append(fact.completion or 0.0)
            for value, completions in sorted(groups.items()):
                if not value:
                    continue
                against = _mean(completions) - usual
                patterns.append(
                    EditorialPattern(
                        week=week,
                        platform=platform,
                        parameter=parameter,
                        value=value,
                        clips=len(completions),
                        completion=_mean(completions),
                        against_average=against,
                        preferred=against > 0 and len(completions) >= MINIMUM_CLIPS,
                    )
                )
    return patterns


def style_affinity_of(week: date, facts: Sequence[ClipFact], *, limit: float) -> list[StyleAffinity]:
    """Usable share of a model's clips in a style against the style's own, within ±`limit`; 0 with too few clips."""
    by_style: dict[str, list[ClipFact]] = defaultdict(list)
    for fact in facts:
        if fact.style and fact.model and fact.attempts:
            by_style[fact.style].append(fact)
    rows: list[StyleAffinity] = []
    for style, clips in sorted(by_style.items()):
        usual = _mean([float(fact.usable) for fact in clips])
        by_model: dict[str, list[float]] = defaultdict(list)
        for fact in clips:
            by_model[fact.model or ""].append(float(fact.usable))
        for model, usable in sorted(by_model.items()):
            difference = _mean(usable) - usual if len(usable) >= MINIMUM_CLIPS else 0.0
            affinity = max(-limit, min(limit, difference))
            rows.append(StyleAffinity(week=week, style=style, model=model, clips=len(usable), affinity=affinity))
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
