"""The brief: what a person asks for, in words of no provider and no model (G1.7)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, TypeAlias, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from video_pipeline.briefs.speech import PACE_TOLERANCE, spoken_s
from video_pipeline.briefs.texts import checked_as_seen, without_width
from video_pipeline.orders import Orientation


@dataclass(frozen=True)
class KnownNames:
    """pydantic's validation context for a brief that comes in: names outside it are refused.

    A brief that was taken in before is read without a context, so that it stays readable whatever is known by then.
    `broken_characters` and `broken_scenes` map the id of an entry whose file is no valid bible to why it is not.
    """

    platforms: tuple[str, ...]
    characters: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    broken_characters: Mapping[str, str] = field(default_factory=dict[str, str])
    broken_scenes: Mapping[str, str] = field(default_factory=dict[str, str])


def _known_platform(name: str, info: ValidationInfo) -> str:
    known = info.context
    if isinstance(known, KnownNames) and name not in known.platforms:
        raise PydanticCustomError(
            "unknown_platform", "there is no such platform; there are {known}", {"known": ", ".join(known.platforms)}
        )
    return name


BROKEN_BIBLE = "broken_bible"
"""The type of pydantic's error on an id whose file is no valid bible."""


def _known_entry(id: str, what: str, known: tuple[str, ...], broken: Mapping[str, str]) -> str:
    if id in broken:
        raise PydanticCustomError(BROKEN_BIBLE, "{sentence}", {"sentence": broken[id]})
    if id not in known:
        there_are = f"there are {', '.join(known)}" if known else f"the folder of bibles has none in {what}s/"
        raise PydanticCustomError(
            "unknown_entry", "there is no such {what}; {there_are}", {"what": what, "there_are": there_are}
        )
    return id


def _known_character(id: str, info: ValidationInfo) -> str:
    known = info.context
    if not isinstance(known, KnownNames):
        return id
    return _known_entry(id, "character", known.characters, known.broken_characters)


def _known_scene(id: str, info: ValidationInfo) -> str:
    known = info.context
    if not isinstance(known, KnownNames) or not id:
        return id
    return _known_entry(id, "scene", known.scenes, known.broken_scenes)


def _no_one_twice(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _people_see_it(text: str, info: ValidationInfo) -> str:
    """Refuse what comes in and holds a character that would be taken out of it, or nothing that people see."""
    return checked_as_seen(text, "which no platform shows") if isinstance(info.context, KnownNames) else text


ENTRY_ID = r"[a-z0-9][a-z0-9_-]{0,62}"
"""The ids of characters and scenes, which are the names of their files."""

BriefId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
PlatformName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$"), AfterValidator(_known_platform)]
CharacterId = Annotated[str, StringConstraints(pattern=f"^{ENTRY_ID}$"), AfterValidator(_known_character)]
# Empty for none.
SceneId = Annotated[str, StringConstraints(pattern=f"^({ENTRY_ID})?$"), AfterValidator(_known_scene)]
Characters = Annotated[tuple[CharacterId, ...], Field(max_length=8), AfterValidator(_no_one_twice)]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), AfterValidator(_people_see_it)
]
Script = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000), AfterValidator(_people_see_it)
]
PresenterName = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[\w .:/-]{0,100}$")]

MAX_CLIP_S = 180


class Quality(StrEnum):
    """How good a clip is to be; routing chooses the tier from it."""

    DRAFT = "draft"
    STANDARD = "standard"
    PREMIUM = "premium"

    @property
    def below(self) -> "tuple[Quality, ...]":
        """The lower qualities, lowest first."""
        return tuple(Quality)[: list(Quality).index(self)]


class ShotKind(StrEnum):
    """What decides which model suits a shot (G1.3)."""

    DEFAULT = "default"
    EMOTIONAL_CLOSE_UP = "emotional_close_up"
    ACTION = "action"
    ESTABLISHING = "establishing"
    PRODUCT = "product"
    TALKING = "talking"
    """Somebody says a script. Only models that can are asked, and these are asked for nothing else."""

    @property
    def words(self) -> str:
        """A shot of this kind, as people say it."""
        return _KINDS[self]


_KINDS = {
    ShotKind.DEFAULT: "an ordinary shot",
    ShotKind.EMOTIONAL_CLOSE_UP: "an emotional close-up",
    ShotKind.ACTION: "an action shot",
    ShotKind.ESTABLISHING: "an establishing shot",
    ShotKind.PRODUCT: "a product shot",
    ShotKind.TALKING: "a talking shot",
}


class Presenter(BaseModel):
    """Who says a script: names of the catalogue's, or a vendor's own ids; its usual one where nothing is said.

    A name alone is that of both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    avatar: PresenterName = ""
    voice: PresenterName = ""

    @model_validator(mode="before")
    @classmethod
    def _of_one_name(cls, document: Any) -> Any:
        return {"avatar": document, "voice": document} if isinstance(document, str) else document


class Shot(BaseModel):
    """One shot of a brief that gives its own storyboard; durations in seconds.

    `characters` and `scene` are the brief's where they are None; an empty one is nobody, or no scene. With a `script`
    somebody says it, and `duration_s` may be left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    prompt: Text
    duration_s: float = Field(ge=1, le=MAX_CLIP_S)
    kind: ShotKind | None = None
    broll: tuple[Text, ...] = ()
    characters: Characters | None = None
    scene: SceneId | None = None
    script: Script | None = None
    presenter: Presenter | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_long_as_it_is_said(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        given = cast("dict[str, Any]", document)
        script = given.get("script")
        if isinstance(script, str) and given.get("duration_s") is None:
            return given | {"duration_s": spoken_s(script)}
        return given

    @model_validator(mode="after")
    def _said_by_somebody(self, info: ValidationInfo) -> "Shot":
        if self.kind is ShotKind.TALKING and not self.script:
            raise ValueError("a talking shot needs a script, which is what is said in it")
        if self.script and self.kind not in (None, ShotKind.TALKING):
            raise ValueError(f"a shot with a script is a talking one, not {self.kind}; leave its kind out")
        if self.presenter and not self.script:
            raise ValueError("a presenter needs a script to say")
        _check_pace(self.script, self.duration_s, info)
        return self


def _check_pace(script: str | None, duration_s: float | None, info: ValidationInfo) -> None:
    """Refuse a script that comes in and is far too long or too short for the time that is asked."""
    if not script or duration_s is None or not isinstance(info.context, KnownNames):
        return
    said_s = spoken_s(script)
    if abs(said_s - duration_s) > PACE_TOLERANCE * duration_s:
        amiss = "longer" if said_s > duration_s else "shorter"
        raise PydanticCustomError(
            "script_pace",
            "the script takes about {said} s to say, far {amiss} than the {asked} s that are asked; change one of "
            "them, or leave duration_s out",
            {"said": f"{said_s:g}", "amiss": amiss, "asked": f"{duration_s:g}"},
        )


_SCRIPTED = {"script": None, "presenter": None}
_ADDED_TO_SHOTS = {"characters": None, "scene": None} | _SCRIPTED
_ADDED_LATER = {"preview_of": "", "plan_broll": True, "characters": (), "scene": ""} | _SCRIPTED

_Dumped: TypeAlias = "str | float | dict[str, _Dumped] | tuple[_Dumped, ...] | None"


def _holds_nul(value: _Dumped) -> bool:
    """Whether a text anywhere in a model's dump holds the character that Postgres cannot keep."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(inner) for inner in value.values())
    return isinstance(value, tuple) and any(_holds_nul(inner) for inner in value)


class Brief(BaseModel):
    """One clip to make. Unknown fields are refused, so that people hear of schema drift (G1.6)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    brief_id: BriefId
    title: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_people_see_it)
    ]
    caption: Annotated[str, AfterValidator(_people_see_it)] = Field("", max_length=2200)
    platforms: tuple[PlatformName, ...] = Field(min_length=1)
    prompt: Text | None = None
    script: Script | None = Field(None, description="What somebody says to the camera; then no prompt is needed.")
    presenter: Presenter | None = Field(None, description="Who says the scripts of the brief.")
    shots: tuple[Shot, ...] = ()
    duration_s: float | None = Field(None, ge=1, le=MAX_CLIP_S)
    quality: Quality = Quality.DRAFT
    visual_complexity: float = Field(0.5, ge=0, le=1)
    native_audio: bool = False
    orientation: Orientation = Orientation.PORTRAIT
    broll: tuple[Text, ...] = Field((), description="Pre-planned substitutes for a shot that is refused.")
    plan_broll: bool = Field(True, description="Whether substitutes are planned where the brief has none.")
    bible: tuple[Text, ...] = Field((), description="Texts of this brief's own, added to every prompt.")
    characters: Characters = Field((), description="Who is to be seen, by ids of the character bible.")
    scene: SceneId = Field("", description="Where, by an id of the scene bible.")
    hook: Annotated[str, AfterValidator(_people_see_it)] = Field(
        "", max_length=60, description="Hook framework, for the weekly editorial patterns."
    )
    style: Annotated[str, AfterValidator(_people_see_it)] = Field(
        "", max_length=60, description="Visual style, for affinities and patterns."
    )
    seed: int | None = Field(None, ge=0, lt=2**31)
    preview_of: str = Field(
        "",
        pattern=r"^((\d{4}-\d{2}-\d{2}/)?[a-z0-9][a-z0-9-]{0,62})?$",
        description="The approved preview of this very clip: its brief's id, or the clip's.",
    )

    @field_validator("platforms")
    @classmethod
    def _no_platform_twice(cls, platforms: tuple[PlatformName, ...]) -> tuple[PlatformName, ...]:
        return tuple(dict.fromkeys(platforms))

    @model_validator(mode="after")
    def _storable(self) -> "Brief":
        if _holds_nul(self.model_dump()):
            raise ValueError("a text holds a NUL character, which cannot be kept")
        return self

    @model_validator(mode="after")
    def _one_story(self) -> "Brief":
        if self.prompt and self.shots:
            raise ValueError("give either a prompt or shots, not both")
        if self.script and self.shots:
            raise ValueError("give the script to those of the shots that say it")
        if not self.prompt and not self.shots and not self.script:
            raise ValueError("a prompt, a script or a list of shots is needed")
        if self.prompt and self.duration_s is None and not self.script:
            raise ValueError("duration_s is needed beside a prompt")
        if self.presenter and not self.scripts:
            raise ValueError("a presenter needs a script to say")
        if self.total_s > MAX_CLIP_S:
            raise ValueError(f"the clip would be {self.total_s:g} s long, over {MAX_CLIP_S} s")
        if self.shots and self.duration_s is not None and abs(self.total_s - self.duration_s) > 0.05:
            raise ValueError(f"duration_s is {self.duration_s} but the shots add up to {self.total_s}")
        return self

    @model_validator(mode="after")
    def _said_in_time(self, info: ValidationInfo) -> "Brief":
        _check_pace(self.script, self.duration_s, info)
        return self

    @model_validator(mode="after")
    def _preview_of_something_better(self) -> "Brief":
        if self.preview_of and self.quality is Quality.DRAFT:
            raise ValueError("a draft has no preview: raise its quality, or leave preview_of out")
        return self

    @property
    def total_s(self) -> float:
        """Length of the finished clip in seconds."""
        if self.shots:
            return sum(shot.duration_s for shot in self.shots)
        if self.duration_s is None and self.script:
            return spoken_s(self.script)
        return float(self.duration_s or 0)

    @property
    def scripts(self) -> tuple[str, ...]:
        """What is said in the clip, in order."""
        return tuple(one.script for one in (self, *self.shots) if one.script)

    @property
    def names_bibles(self) -> bool:
        """Whether it names a character or a scene anywhere."""
        return any(one.characters or one.scene for one in (self, *self.shots))

    @property
    def assumed(self) -> tuple[str, ...]:
        """Names of the routing fields that the brief left out; their defaults are the cheapest ones."""
        return tuple(name for name in ("quality", "visual_complexity") if name not in self.model_fields_set)

    @property
    def texts(self) -> dict[str, str]:
        """Every text that a person has written, by its place in the brief."""
        texts = {"title": self.title, "caption": self.caption, "prompt": self.prompt or ""}
        texts |= {"script": self.script or ""}
        texts |= {f"shots.{at}.prompt": shot.prompt for at, shot in enumerate(self.shots)}
        texts |= {f"shots.{at}.script": shot.script or "" for at, shot in enumerate(self.shots)}
        texts |= {
            f"shots.{at}.broll.{n}": text for at, shot in enumerate(self.shots) for n, text in enumerate(shot.broll)
        }
        texts |= {f"broll.{at}": text for at, text in enumerate(self.broll)}
        texts |= {f"bible.{at}": text for at, text in enumerate(self.bible)}
        return texts | {"hook": self.hook, "style": self.style}

    @property
    def hidden(self) -> tuple[str, ...]:
        """A clause on each text that holds a character which shows as nothing where it stands."""
        found = ((name, without_width(text)) for name, text in self.texts.items())
        return tuple(f"{name} holds {letter}" for name, letter in found if letter)

    @property
    def sha256(self) -> str:
        # A field added later changes no hash of before.
        without: dict[str, Any] = {
            name: True for name, unsaid in _ADDED_LATER.items() if getattr(self, name) == unsaid
        }
        in_shots = {
            at: names
            for at, shot in enumerate(self.shots)
            if (names := {name for name, unsaid in _ADDED_TO_SHOTS.items() if getattr(shot, name) == unsaid})
        }
        without |= {"shots": in_shots} if in_shots else {}
        return hashlib.sha256(self.model_dump_json(exclude=without).encode()).hexdigest()


def clip_id_of(day: date, brief_id: str) -> str:
    """A clip is a brief on a production day: `2026-11-21/harbour-at-dawn`."""
    return f"{day.isoformat()}/{brief_id}"
