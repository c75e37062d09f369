"""The prompt of a shot: its own words, then what its bibles say, in the order in which it may be cut (G2.9)."""

import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs.bibles import Bible, Character, Scene

SHOT, BRIEF = "the shot", "the brief"
# Where a prompt is cut, if that leaves most of what there is room for: between sentences, else between their parts.
_ENDS = (
    re.compile(r"[.!?。！？](?=\s|$|[^\x00-\x7f])"),
    re.compile(r"[;,，；、](?=\s|[^\x00-\x7f])"),
    re.compile(r"(?<=\S)(?=[\s;,:.!?])"),
)
_MOST = 0.8
# Scripts that put no spaces between words.
_SPACELESS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff]")


class PromptPart(BaseModel):
    """A piece of a prompt: whose it is (an entry's id, the shot or the brief), what it tells, and its words."""

    model_config = ConfigDict(frozen=True)

    of: str
    what: str
    text: str

    @property
    def name(self) -> str:
        """As people are told of it: `mara's appearance`."""
        return f"{self.of}'s {self.what}"


def prompt_parts(
    own: Sequence[str],
    cast: Sequence[Bible[Character]],
    free: Sequence[str],
    scene: Bible[Scene] | None,
    *,
    audio: bool,
) -> tuple[PromptPart, ...]:
    """What a prompt says, what matters most first.

    `own` are the shot's own sentences and `free` the brief's texts; a voice is told only where there is `audio`.
    """
    parts = [PromptPart(of=SHOT, what="words", text=words) for words in own]
    parts += [PromptPart(of=one.id, what="appearance", text=_seen(one.entry, scene)) for one in cast]
    parts += [PromptPart(of=BRIEF, what="bible", text=words) for words in free]
    if scene is not None:
        parts += [PromptPart(of=scene.id, what=what, text=words) for what, words in _filmed(scene.entry) if words]
    for one in cast:
        if one.entry.emotional_range:
            text = f"{one.entry.name}'s emotional range: {one.entry.emotional_range}"
            parts.append(PromptPart(of=one.id, what="emotional range", text=text))
        if one.entry.voice and audio:
            parts.append(PromptPart(of=one.id, what="voice", text=f"{one.entry.name}'s voice: {one.entry.voice}"))
    return tuple(part.model_copy(update={"text": part.text.rstrip(". ")}) for part in parts)


def _seen(character: Character, scene: Bible[Scene] | None) -> str:
    """Who is to be seen: the looks, and what is worn in this scene."""
    worn = character.worn_in(scene.id if scene else "")
    return f"{character.name}: {character.appearance.rstrip('. ')}" + (f"; wears {worn}" if worn else "")


def _filmed(scene: Scene) -> Iterator[tuple[str, str]]:
    yield "setting", scene.setting
    yield "lighting", scene.lighting
    yield "palette", scene.palette.said if scene.palette else ""
    yield "camera", scene.camera
    yield "pace", scene.pace


def joined(parts: Sequence[PromptPart]) -> str:
    """The prompt that parts make."""
    return ". ".join(part.text for part in parts)


def prompt_length(prompt: str) -> int:
    """A prompt's length as vendors count it, who differ: in UTF-16 code units, of which no count is higher."""
    return len(prompt.encode("utf-16-le")) // 2


def fitted(prompt: str, most: int | None) -> tuple[str, str]:
    """As much of a prompt as a model takes, `most` by `prompt_length`, and the rest, which together are the prompt.

    It is cut behind a sentence, or else behind a word; never within one, unless a single word is too long.
    """
    if most is None or prompt_length(prompt) <= most:
        return prompt, ""
    room = _room(prompt, most)
    ends = ([found.end() for found in end.finditer(prompt[: room + 1]) if found.end() <= room] for end in _ENDS)
    cut = next((found[-1] for found in ends if found and found[-1] >= _MOST * room), 0)
    if not cut:
        last = max((found.start() for found in re.finditer(r"\s", prompt[: room + 1])), default=0)
        cut = last if last and not _SPACELESS.search(prompt[last:room]) else room
    kept = prompt[:cut].rstrip(" \t\r\n;,:") or prompt[:cut]
    return kept, prompt[len(kept) :]


def _room(prompt: str, most: int) -> int:
    """How many characters fit."""
    room = min(len(prompt), most)
    while prompt_length(prompt[:room]) > most:
        room -= max(1, (prompt_length(prompt[:room]) - most) // 2)
    return room


def left_out(parts: Sequence[PromptPart], most: int | None) -> list[str]:
    """The names of the parts that a model's limit leaves no room for, or not all of it."""
    kept = len(fitted(joined(parts), most)[0])
    names: list[str] = []
    end = 0
    for part in parts:
        start, end = end, end + len(part.text)
        if end > kept:
            names.append(part.name if start >= kept else f"the end of {part.name}")
        end += len(". ")
    return names
