"""B-roll, planned before anything is bought: what can stand in for a shot that may be refused (G2.2).

It is made of the shot's own place and things, in its language, and nobody is in it. It looks like the shots
around it, as it is given the light, palette, camera and pace that the brief names.
An author's own B-roll stands in its place.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from video_pipeline.briefs.brief import Brief, Shot, ShotKind
from video_pipeline.policy import RemappingPolicy
from video_pipeline.remapping import BrollKind, remapper_for

# What is put in the place of a kind of shot first: of a face what its hands do, of a movement where it is.
_FIRST = {
    ShotKind.EMOTIONAL_CLOSE_UP: (BrollKind.HANDS, BrollKind.OBJECT, BrollKind.WIDE),
    ShotKind.ACTION: (BrollKind.WIDE, BrollKind.OBJECT, BrollKind.HANDS),
    ShotKind.ESTABLISHING: (BrollKind.WIDE, BrollKind.OBJECT, BrollKind.HANDS),
}
_UNSURE = "shown close, and maybe a person"
_ELSE = (BrollKind.OBJECT, BrollKind.WIDE, BrollKind.HANDS)


class BrollPlanner:
    """Plans B-roll by a policy's lexicons; `refused` says of kinds of shots that such ones were refused lately."""

    def __init__(self, policy: RemappingPolicy, refused: Mapping[ShotKind, str] | None = None) -> None:
        self._remapper = remapper_for(policy)
        self._refused = refused or {}
        # The shots of a brief have it in common.
        self._look = lru_cache(maxsize=64)(self._look_of)

    def risk(self, prompt: str, kind: ShotKind) -> str:
        """Why a shot may be refused, in words; empty where nothing says that it may."""
        risks = dict.fromkeys(f"{risk.category} {risk.words!r}" for risk in self._remapper.risks(prompt))
        said = ", ".join(risks) or (_UNSURE if self._remapper.unsure(prompt) else "")
        return "; ".join(filter(None, (said, self._refused.get(kind))))

    def substitutes(self, brief: Brief, shot: Shot, kind: ShotKind, *, looks: Sequence[str] = ()) -> tuple[str, ...]:
        """Prompts that can stand in for a shot, in the order in which they are sent.

        `looks` are the light, palette, camera and pace of its scene.
        """
        look = self._look(brief.style, brief.bible, tuple(looks))
        found = self._remapper.broll(shot.prompt, beside=_beside(brief, shot), look=look)
        return tuple(found[one] for one in _FIRST.get(kind, _ELSE) if one in found)

    def _look_of(self, style: str, bible: tuple[str, ...], looks: tuple[str, ...]) -> list[str]:
        """The light, palette, camera and pace of a brief's shots."""
        said = [words for words in (style, *looks) if words and not self._remapper.risks(words)]
        clauses = [*said, *(words for entry in bible for words in self._remapper.look(entry))]
        return list({words.casefold(): words for words in clauses}.values())


def _beside(brief: Brief, shot: Shot) -> Sequence[str]:
    """The prompts of a brief's other shots, those nearest to this one first."""
    if shot not in brief.shots:
        return ()
    at = brief.shots.index(shot)
    others = sorted(range(len(brief.shots)), key=lambda other: abs(other - at))
    return [brief.shots[other].prompt for other in others if other != at]
