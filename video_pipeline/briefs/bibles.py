"""Bibles: who is to be seen and where, written down once for all briefs of a brand (G2.9).

`bibles/characters/mara.yaml` is the character `mara`, `bibles/scenes/harbour.yaml` the scene `harbour`. What is wrong
with one file concerns that entry alone, and only the briefs that name it.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from video_pipeline.briefs.bounds import NotRead
from video_pipeline.briefs.brief import ENTRY_ID, Brief
from video_pipeline.briefs.opening import bytes_of
from video_pipeline.briefs.reading import read_document, reasons_of
from video_pipeline.briefs.texts import checked_as_seen
from video_pipeline.orders import sha256_of
from video_pipeline.storage import reference_key
from video_pipeline.wire import clean

CHARACTERS, SCENES = "characters", "scenes"
DEFAULT_WARDROBE = "default"
MAX_PICTURES = 9
# A vendor that is sent the picture itself takes 5 MB of text, which is 3.75 MB of picture.
MAX_PICTURE_BYTES = 3_500_000
_SIDES = (300, 4096)
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_CONTENT_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_MAX_ENTRIES = 1_000
_ID = re.compile(ENTRY_ID)
_YAML = (".yaml", ".yml")
_PICTURES = ("references", "approved_frames")


def _as_one_line(text: str) -> str:
    """What stands on several lines of a file is one sentence of a prompt."""
    return checked_as_seen(" ".join(text.split()), "which nobody sees")


def _listed(value: Any) -> Any:
    """A single value where there may be several."""
    return [value] if isinstance(value, str) else value


def _in_every_scene(wardrobe: Any) -> Any:
    """One text is worn everywhere."""
    return {DEFAULT_WARDROBE: wardrobe} if isinstance(wardrobe, str) else wardrobe


def _in_words(palette: Any) -> Any:
    return {"words": palette} if isinstance(palette, str) else palette


def _colour(text: str) -> str:
    return f"#{text.lstrip('#').lower()}"


Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=600), AfterValidator(_as_one_line)]
NeededWords = Annotated[Words, StringConstraints(min_length=1)]
Colour = Annotated[str, StringConstraints(pattern=r"^#?[0-9a-fA-F]{6}$"), AfterValidator(_colour)]
FileName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
FileNames = Annotated[tuple[FileName, ...], BeforeValidator(_listed), Field(max_length=MAX_PICTURES)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Picture(_Entry):
    """A reference picture of a bible, which its content names; `key` is where it is in our store."""

    sha256: str
    suffix: str

    @property
    def key(self) -> str:
        return reference_key(self.sha256, self.suffix)

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self.suffix]


class Character(_Entry):
    """Somebody who is to look and sound the same in every clip.

    `wardrobe` maps a scene to what is worn in it, and `default` to what is worn in all others. `references` are
    pictures, by their paths from the file.
    """

    name: NeededWords
    appearance: NeededWords
    wardrobe: Annotated[dict[str, NeededWords], BeforeValidator(_in_every_scene)] = {}
    voice: Words = ""
    emotional_range: Words = ""
    references: FileNames = ()

    def worn_in(self, scene: str) -> str:
        """What the character wears in a scene, by its id."""
        return self.wardrobe.get(scene) or self.wardrobe.get(DEFAULT_WARDROBE, "")

    @property
    def pictures(self) -> tuple[str, ...]:
        return self.references


class Palette(_Entry):
    """The colours of a scene: in words, which a prompt takes, and as red, green and blue."""

    words: Words = ""
    colours: Annotated[tuple[Colour, ...], BeforeValidator(_listed), Field(max_length=12)] = ()

    @model_validator(mode="after")
    def _something(self) -> "Palette":
        if not self.words and not self.colours:
            raise ValueError("give words, or colours such as '1b3a5c'")
        return self

    @property
    def said(self) -> str:
        """As a prompt says it."""
        return self.words or f"Palette of {', '.join(self.colours)}"


class Scene(_Entry):
    """A place and how it is filmed. `approved_frames` are pictures of it, by their paths from the file."""

    setting: Words = ""
    lighting: Words = ""
    palette: Annotated[Palette | None, BeforeValidator(_in_words)] = None
    camera: Words = ""
    pace: Words = ""
    approved_frames: FileNames = ()

    @model_validator(mode="after")
    def _something(self) -> "Scene":
        if not (self.setting or self.continuity):
            raise ValueError("it says nothing; give a setting, lighting, palette, camera or pace")
        return self

    @property
    def pictures(self) -> tuple[str, ...]:
        return self.approved_frames

    @property
    def looks(self) -> tuple[str, ...]:
        """Its light, colours, camera and pace, as far as it says them."""
        palette = self.palette.said if self.palette else ""
        said = (self.lighting, palette, self.camera, self.pace)
        return tuple(words.rstrip(". ") for words in said if words)

    @property
    def continuity(self) -> str:
        """What another shot needs so that it cuts together with this scene."""
        return ". ".join(self.looks)


EntryT = TypeVar("EntryT", Character, Scene)


class Bible(_Entry, Generic[EntryT]):
    """One entry as it was read: its id, its file, what that says, and its pictures."""

    id: str
    file: str
    entry: EntryT
    pictures: tuple[Picture, ...] = ()

    @property
    def version(self) -> str:
        """Twelve hex digits that change exactly when the words or a picture do."""
        words = self.entry.model_dump(mode="json", exclude_defaults=True, exclude=set(_PICTURES))
        return sha256_of({"words": words, "pictures": [picture.sha256 for picture in self.pictures]})[:12]


class BrokenBible(_Entry):
    """A file of the folder that gives no entry: its name there, the kind and id that it would have had, and why not.

    One that is in neither of the two folders has no kind.
    """

    file: str
    kind: str
    id: str
    reasons: tuple[str, ...]

    @property
    def sentence(self) -> str:
        return f"{self.file} is no valid bible: {'; '.join(self.reasons)}"


class Bibles(_Entry):
    """Entries by their ids: all that there are, or those that a brief names."""

    characters: dict[str, Bible[Character]] = {}
    scenes: dict[str, Bible[Scene]] = {}

    @property
    def pictures(self) -> tuple[Picture, ...]:
        found = [*self.characters.values(), *self.scenes.values()]
        return tuple(picture for bible in found for picture in bible.pictures)

    def of(self, brief: Brief) -> "Bibles | None":
        """The entries that a brief names; None when not all of them are here."""
        named = (brief, *brief.shots)
        characters = dict.fromkeys(id for one in named for id in one.characters or ())
        scenes = dict.fromkeys(one.scene for one in named if one.scene)
        if not (characters.keys() <= self.characters.keys() and scenes.keys() <= self.scenes.keys()):
            return None
        return Bibles(
            characters={id: self.characters[id] for id in characters}, scenes={id: self.scenes[id] for id in scenes}
        )


NO_BIBLES = Bibles()


class BiblesFolder(Bibles):
    """What a folder holds: its entries, its files that give none, and where its pictures are, by their keys."""

    broken: tuple[BrokenBible, ...] = ()
    files: dict[str, Path] = {}

    def over(self, others: "BiblesFolder") -> "BiblesFolder":
        """This folder laid over another: an id of both, broken or not, is the one here."""
        characters = {id: one for id, one in others.characters.items() if id not in self.broken_in(CHARACTERS)}
        scenes = {id: one for id, one in others.scenes.items() if id not in self.broken_in(SCENES)}
        return BiblesFolder(
            characters=characters | self.characters,
            scenes=scenes | self.scenes,
            broken=self.broken,
            files=others.files | self.files,
        )

    def broken_in(self, kind: str) -> dict[str, str]:
        """Id -> why there is no such entry, of the files in one folder."""
        return {one.id: one.sentence for one in self.broken if one.kind == kind and one.id}


NO_FOLDER = BiblesFolder()


def read_bibles(folder: Path, under: BiblesFolder = NO_FOLDER) -> BiblesFolder:
    """Everything in a folder of bibles, laid over `under`; no more where there is no such folder.

    Nothing in it stops the others.
    """
    broken: list[BrokenBible] = []
    files: dict[str, Path] = {}
    characters = dict(_read(folder, CHARACTERS, Character, broken, files))
    scenes = dict(_read(folder, SCENES, Scene, broken, files))
    there = under.scenes | scenes
    # One that is only broken for now keeps nobody from being dressed elsewhere.
    worn_in = {DEFAULT_WARDROBE, *there, *(one.id for one in broken if one.kind == SCENES)}
    for id, bible in list(characters.items()):
        unknown = ", ".join(name for name in bible.entry.wardrobe if name not in worn_in)
        if unknown:
            known = f"there are {', '.join(there)}" if there else "there are none yet"
            reason = f"wardrobe: there is no scene {unknown}; {known}, and `default` is for all others"
            broken.append(BrokenBible(file=bible.file, kind=CHARACTERS, id=id, reasons=(reason,)))
            del characters[id]
    for path in _files(folder):
        reason = f"put it into {CHARACTERS}/ or {SCENES}/"
        broken.append(BrokenBible(file=clean(path.name, 120), kind="", id="", reasons=(reason,)))
    broken.sort(key=lambda one: one.file)
    return BiblesFolder(characters=characters, scenes=scenes, broken=tuple(broken), files=files).over(under)


def _read(
    folder: Path, kind: str, model: type[EntryT], broken: list[BrokenBible], files: dict[str, Path]
) -> Iterator[tuple[str, Bible[EntryT]]]:
    """The entries in one of the two folders; what cannot be read is added to `broken`, pictures to `files`."""
    seen: dict[str, str] = {}
    for path in _files(folder / kind):
        file = clean(f"{kind}/{path.name}", 120)
        id = path.stem if _ID.fullmatch(path.stem) else ""
        try:
            if not id:
                raise NotRead("its name is its id, of small letters, digits, - and _; rename it")
            if id in seen:
                raise NotRead(f"{seen[id]} has the same id; remove one of them")
            seen[id] = file
            yield id, _bible(folder, path, file, model, files)
        except FileNotFoundError:
            # It was moved away since its folder was read.
            continue
        except ValidationError as error:
            names = frozenset((*model.model_fields, *Palette.model_fields))
            broken.append(
                BrokenBible(file=file, kind=kind, id=id, reasons=reasons_of(error, names=names, whole="file"))
            )
        except NotRead as error:
            broken.append(BrokenBible(file=file, kind=kind, id=id, reasons=(str(error),)))


def _bible(folder: Path, path: Path, file: str, model: type[EntryT], files: dict[str, Path]) -> Bible[EntryT]:
    """Raises NotRead, ValidationError and FileNotFoundError."""
    words = frozenset((*model.model_fields, *Palette.model_fields))
    entry = model.model_validate(read_document(bytes_of(_inside(folder, path), folder), words=words))
    pictures = {path.parent / name: _picture(folder, path, name) for name in entry.pictures}
    files |= {picture.key: where for where, picture in pictures.items()}
    return Bible[model](id=path.stem, file=file, entry=entry, pictures=tuple(pictures.values()))


def _picture(folder: Path, beside: Path, name: str) -> Picture:
    """A picture that a bible names. Raises NotRead that says which one, and what to do."""
    from PIL import Image, UnidentifiedImageError

    shown = clean(name, 100)
    path = beside.parent / name
    try:
        data = bytes_of(_inside(folder, path), folder, most=MAX_PICTURE_BYTES)
    except FileNotFoundError:
        raise NotRead(f"the picture {shown} is not there; paths begin at the folder of the file") from None
    except NotRead as error:
        raise NotRead(f"the picture {shown} cannot be used: {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=tuple(_SUFFIXES)) as image:
                kind, sides = image.format or "", image.size
                if _SIDES[0] <= min(sides) and max(sides) <= _SIDES[1]:
                    image.load()
    except UnidentifiedImageError:
        raise NotRead(f"the picture {shown} is no JPEG, PNG or WebP") from None
    except Exception as error:
        # A broken file makes the reader of pictures fail in any way.
        raise NotRead(f"the picture {shown} cannot be read: {clean(str(error), 100)}") from None
    if not (_SIDES[0] <= min(sides) and max(sides) <= _SIDES[1]):
        raise NotRead(
            f"the picture {shown} has {sides[0]}x{sides[1]} pixels; its sides must have {_SIDES[0]} to {_SIDES[1]:,}"
        )
    return Picture(sha256=hashlib.sha256(data).hexdigest(), suffix=_SUFFIXES[kind])


def _inside(folder: Path, path: Path) -> Path:
    """`path`, when what it leads to lies in `folder`. Raises NotRead and FileNotFoundError."""
    try:
        inside = path.resolve(strict=True).is_relative_to(folder.resolve(strict=True))
    except RuntimeError:
        inside = False
    if not inside:
        raise NotRead("it leads out of the folder of bibles; put the file itself there")
    return path


def _files(folder: Path) -> list[Path]:
    """The YAML files right in a folder, by name, but for those of programs."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    named = (path for path in found if path.suffix.lower() in _YAML and not path.name.startswith("."))
    return list(islice(named, _MAX_ENTRIES))
