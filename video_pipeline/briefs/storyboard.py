"""The storyboard: a brief cut into shots that a model can render, each with its B-roll (G2.2, G2.6)."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import zip_longest
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs.bibles import CHARACTERS, NO_BIBLES, SCENES, Bible, Bibles, Character, EntryT, Scene
from video_pipeline.briefs.brief import Brief, Presenter, Quality, Shot, ShotKind, clip_id_of
from video_pipeline.briefs.broll import BrollPlanner
from video_pipeline.briefs.prompts import PromptPart, joined, prompt_parts
from video_pipeline.briefs.shot_kinds import earlier_kind_of, kind_of
from video_pipeline.briefs.speech import spoken_s
from video_pipeline.errors import ConfigurationError
from video_pipeline.orders import Orientation
from video_pipeline.remapping import language_of

_LEAST_SHOT_S = 1.0
# What is seen of a script that comes with no prompt.
_SPEAKER = "A presenter speaks to the camera"
# What a segment of a longer shot says of itself, by the language of its prompt; in English for any other one.
_PART_OF = {
    "en": "Part {} of {} of one continuous shot",
    "de": "Teil {} von {} einer durchgehenden Einstellung",
    "es": "Parte {} de {} de una toma continua",
    "fr": "Partie {} sur {} d'un plan continu",
    "pt": "Parte {} de {} de um plano contínuo",
    "zh": "一个连续镜头的第{}部分，共{}部分",
}


class UsedBible(BaseModel):
    """An entry of the bibles that a shot was made with: `characters` or `scenes`, its id and its version."""

    model_config = ConfigDict(frozen=True)

    kind: str
    id: str
    version: str

    @property
    def name(self) -> str:
        return f"{self.id} ({self.version})"


class Reference(BaseModel):
    """A picture that shows what a shot is to look like: the entry that names it, and where it lies in our store.

    `kind` is that of the entry, as a `UsedBible` has it. Where an earlier release kept none it may be anybody's.
    """

    model_config = ConfigDict(frozen=True)

    of: str
    key: str
    kind: str = CHARACTERS


class StoryboardShot(BaseModel):
    """One thing to render: `prompt` with the bible entries in it, `duration_s` at most the cap.

    `broll` is the author's. Without any, `planned` has what was made for a shot that may be refused, and `risk` says
    why it may be. A shot over the cap is rendered in segments: this is number `segment`, from 0 on, of `segments`.
    Of a shot that uses bibles, `parts` is what the prompt is made of, and `references` are the pictures, the first
    ones first to be sent. A talking one has the `script`, whole, and is as long as that is estimated to take.
    `bought_as` is the kind that earlier releases took it for, where that is another one.
    """

    model_config = ConfigDict(frozen=True)

    index: int
    prompt: str
    duration_s: float
    kind: ShotKind
    broll: tuple[str, ...]
    planned: tuple[str, ...] = ()
    risk: str = ""
    parts: tuple[PromptPart, ...] = ()
    bibles: tuple[UsedBible, ...] = ()
    references: tuple[Reference, ...] = ()
    segment: int = 0
    segments: int = 1
    script: str | None = None
    presenter: Presenter | None = None
    bought_as: ShotKind | None = None

    @property
    def substitutes(self) -> tuple[str, ...]:
        """The prompts that can stand in for the shot, in the order in which they are sent."""
        return self.broll or self.planned


class Storyboard(BaseModel):
    """A clip's shots in playing order, with what routing needs to know of the brief.

    Of a draft that is cut short, `brief` asks for what is left, and `uncut` are the shots that it would have had.
    `defaults` are what it is made with for fields that a person left open.
    """

    model_config = ConfigDict(frozen=True)

    clip_id: str
    day: date
    brief: Brief
    shots: tuple[StoryboardShot, ...]
    uncut: tuple[StoryboardShot, ...] = ()
    defaults: dict[str, str] = {}

    @property
    def directed(self) -> Brief:
        """The brief as it is made: with the defaults for what it leaves open."""
        return self.brief.model_copy(update=self.defaults) if self.defaults else self.brief

    def shot_sha256(self, shot: StoryboardShot) -> str:
        """Identity of what is to be rendered: any change to it starts a new history of attempts."""
        said = () if shot.script is None else (shot.script, *_presented_by(shot.presenter))
        prompt, segment = shot.prompt, (shot.segment + 1, shot.segments)
        for words in _PART_OF.values() if shot.segments > 1 else ():
            # Earlier releases said it in English, whatever the language.
            prompt = prompt.replace(words.format(*segment), _PART_OF["en"].format(*segment))
        parts = (
            prompt,
            f"{shot.duration_s:.3f}",
            # What an earlier release has bought is found, whatever that took it for.
            shot.bought_as or shot.kind,
            self.brief.orientation,
            str(self.brief.native_audio),
            self.brief.quality,
            str(self.brief.seed),
            *(reference.key for reference in shot.references),
            *said,
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def orientation(self) -> Orientation:
        return self.brief.orientation


def storyboard_of(
    brief: Brief,
    day: date,
    *,
    cap_s: float,
    draft_s: float | None = None,
    defaults: Mapping[str, str] = MappingProxyType({}),
    broll: BrollPlanner | None = None,
    bibles: Bibles = NO_BIBLES,
) -> Storyboard:
    """Cut `brief` at its shot boundaries; a shot longer than `cap_s` seconds is cut into equal parts.

    What is said is never cut. A draft longer than `draft_s` seconds is cut short. `defaults` are what it is made with
    for fields that it leaves open. With `broll` substitutes are planned for what may be refused; nothing else depends
    on them. Raises ConfigurationError when the brief names an entry that `bibles` does not have.
    """
    kept = brief
    if draft_s is not None and brief.quality is Quality.DRAFT and brief.total_s > draft_s:
        kept = _shortened(brief, draft_s)
    return Storyboard(
        clip_id=clip_id_of(day, brief.brief_id),
        day=day,
        brief=kept,
        shots=_pieces(kept, cap_s, bibles, broll),
        uncut=() if kept is brief else _pieces(brief, cap_s, bibles),
        defaults=dict(defaults),
    )


def _shortened(brief: Brief, length_s: float) -> Brief:
    """The first `length_s` seconds of a brief; a second of a shot is the least that is shown, a script all of it.

    The brief itself where nothing of it is left out.
    """
    if brief.script:
        return brief
    if not brief.shots:
        return brief.model_copy(update={"duration_s": length_s})
    kept: list[Shot] = []
    left_s = length_s
    for shot in brief.shots:
        if left_s < _LEAST_SHOT_S:
            break
        shown_s = shot.duration_s if shot.script else min(shot.duration_s, left_s)
        kept.append(shot.model_copy(update={"duration_s": shown_s}))
        left_s -= shot.duration_s
    if tuple(kept) == brief.shots:
        return brief
    return brief.model_copy(update={"shots": tuple(kept), "duration_s": None})


def _pieces(
    brief: Brief, cap_s: float, bibles: Bibles, broll: BrollPlanner | None = None
) -> tuple[StoryboardShot, ...]:
    pieces: list[StoryboardShot] = []
    for shot in brief.shots or (_only_shot(brief),):
        length_s = spoken_s(shot.script) if shot.script else shot.duration_s
        parts = 1 if shot.script else math.ceil(round(length_s / cap_s, 6))
        cast, scene = _named(brief, shot, bibles)
        used = (*cast, *([scene] if scene else []))
        kind = ShotKind.TALKING if shot.script else shot.kind or kind_of(shot.prompt)
        earlier = kind if shot.script or shot.kind else earlier_kind_of(shot.prompt)
        own, looks = shot.broll or brief.broll, scene.entry.looks if scene else ()
        told = [
            prompt_parts(_own(shot.prompt, part, parts), cast, brief.bible, scene, audio=brief.native_audio)
            for part in range(parts)
        ]
        # Nothing stands in for what is said.
        risk = broll.risk(joined(told[0]), kind) if broll and not shot.script else ""
        wanted = risk and brief.plan_broll and not own
        planned = broll.substitutes(brief, shot, kind, looks=looks) if broll and wanted else ()
        for part in range(parts):
            pieces.append(
                StoryboardShot(
                    index=len(pieces),
                    prompt=joined(told[part]),
                    duration_s=round(length_s / parts, 3),
                    kind=kind,
                    broll=own,
                    planned=_turned(planned, part),
                    risk=risk,
                    parts=told[part] if used else (),
                    bibles=tuple(_used(one) for one in used),
                    references=_references(cast, scene),
                    segment=part,
                    segments=parts,
                    script=shot.script,
                    presenter=(shot.presenter or brief.presenter) if shot.script else None,
                    bought_as=None if earlier is kind else earlier,
                )
            )
    return tuple(pieces)


def _turned(planned: tuple[str, ...], part: int) -> tuple[str, ...]:
    """What was planned for a shot, as one of its parts tries it: each begins with another one."""
    turn = part % len(planned) if planned else 0
    return planned[turn:] + planned[:turn]


def _named(brief: Brief, shot: Shot, bibles: Bibles) -> tuple[list[Bible[Character]], Bible[Scene] | None]:
    """Who is to be seen in a shot, and where. Raises ConfigurationError."""
    names = brief.characters if shot.characters is None else shot.characters
    scene = brief.scene if shot.scene is None else shot.scene
    cast = [_entry(brief, CHARACTERS, name, bibles.characters) for name in names]
    return cast, _entry(brief, SCENES, scene, bibles.scenes) if scene else None


def _entry(brief: Brief, kind: str, id: str, known: Mapping[str, Bible[EntryT]]) -> Bible[EntryT]:
    if id not in known:
        raise ConfigurationError(
            f"The brief {brief.brief_id} names {id}, and the bibles have no valid {kind}/{id}.yaml any more. Put it "
            "back, or take the name out of the brief."
        )
    return known[id]


def _used(bible: Bible[Character] | Bible[Scene]) -> UsedBible:
    kind = CHARACTERS if isinstance(bible.entry, Character) else SCENES
    return UsedBible(kind=kind, id=bible.id, version=bible.version)


def _references(cast: Sequence[Bible[Character]], scene: Bible[Scene] | None) -> tuple[Reference, ...]:
    """The pictures of who is to be seen, one of each before the second of any, and then those of the scene."""
    of_each = [[Reference(of=one.id, key=picture.key, kind=CHARACTERS) for picture in one.pictures] for one in cast]
    by_turns = [reference for turn in zip_longest(*of_each) for reference in turn if reference is not None]
    if scene is not None:
        by_turns += [Reference(of=scene.id, key=picture.key, kind=SCENES) for picture in scene.pictures]
    return tuple(dict.fromkeys(by_turns))


def _own(prompt: str, part: int, parts: int) -> list[str]:
    """A shot's own sentences, in its language."""
    if parts == 1:
        return [prompt]
    words = _PART_OF.get(language_of(prompt), _PART_OF["en"])
    return [prompt, words.format(part + 1, parts)]


def _only_shot(brief: Brief) -> Shot:
    """The shot of a brief that has no list of them."""
    prompt = brief.prompt or _SPEAKER
    return Shot(prompt=prompt, duration_s=brief.total_s, broll=brief.broll, script=brief.script)


def _presented_by(presenter: Presenter | None) -> tuple[str, str]:
    return (presenter.avatar, presenter.voice) if presenter else ("", "")
