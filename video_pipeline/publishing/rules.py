"""What goes to a platform, and what a platform allows: checked before anything is sent (P1)."""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import Brief, clip_id_of, seen_letters, shown_text
from video_pipeline.days import FIRST_DAY
from video_pipeline.orders import Orientation

# Width and height: which of them is longer is all that a brief tells.
_SHAPES = {Orientation.PORTRAIT: (1080, 1920), Orientation.LANDSCAPE: (1920, 1080), Orientation.SQUARE: (1080, 1080)}
_ID_LINE = re.compile("(model|brief|clip):")
# What looks like a letter of these labels or a colon.
_LOOK_ALIKES = str.maketrans(
    # Greek, Cyrillic, and colons of other scripts, after case folding.
    "\u03b2\u03b5\u03b9\u03bc\u03bf\u03c1\u03f2\u0432\u0435\u043c\u043e\u0440\u0441\u0456\u04cf\u0501"
    "\ua789\u2236\u02d0\u02f8\u0589\u05c3\u205a",
    "beimopcbemopcild:::::::",
)


class PublishRequest(BaseModel):
    """One clip for one platform; size in pixels (width, height), duration in seconds."""

    model_config = ConfigDict(frozen=True)

    clip_id: str
    platform: str
    title: str
    description: str
    tags: tuple[str, ...]
    size_bytes: int
    size: tuple[int, int]
    duration_s: float


class Limits(BaseModel):
    """What a platform takes.

    `title` is in characters. `description` is in characters, or in bytes of UTF-8 where `description_in_bytes` says
    so, and holds so many `hashtags` and `mentions` at most. `forbidden` are characters that neither may hold.
    `vertical` asks for pictures that are not wider than high.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: int
    description: int
    description_in_bytes: bool = False
    hashtags: int | None = None
    mentions: int | None = None
    forbidden: str = ""
    min_s: float
    max_s: float
    vertical: bool


def publish_request(
    brief: Brief,
    clip_id: str,
    platform: str,
    *,
    model: str,
    size_bytes: int,
    size: tuple[int, int],
    duration_s: float,
) -> PublishRequest:
    """The clip with its caption, its disclosure, and its brief's id, by which metrics are matched to the brief.

    The ids are the last lines, and no other line begins like one of them.
    """
    title = " ".join(shown_text(brief.title).splitlines())
    lines = [caption_text(brief.caption) or caption_text(brief.title), "", "Made with AI."]
    lines += [f"Model: {model}", f"Brief: {brief.brief_id}", f"Clip: {clip_id}"]
    return PublishRequest(
        clip_id=clip_id,
        platform=platform,
        title=title,
        description="\n".join(lines),
        tags=(f"brief-{brief.brief_id}",),
        size_bytes=size_bytes,
        size=size,
        duration_s=duration_s,
    )


def caption_text(caption: str) -> str:
    """A caption for a description: a line that reads like one of the ids gets a dot before it."""
    lines = shown_text(caption).split("\n")
    return "\n".join(f"· {line}" if _ID_LINE.match(_as_read(line)) else line for line in lines)


def _as_read(line: str) -> str:
    """What a reader would take a line for: without what cannot be seen, in lower case, in plain letters."""
    plain = unicodedata.normalize("NFKD", line).casefold().translate(_LOOK_ALIKES)
    return seen_letters(plain)


def refusals(brief: Brief, limits: Mapping[str, Limits], *, model: str) -> dict[str, list[str]]:
    """Platform -> what of `brief` it could never take, a sentence each; for those of its platforms that would refuse.

    `model` is the longest name that the clip's model may have. What only the clip can tell is taken to be as asked.
    """
    refused: dict[str, list[str]] = {}
    for platform in brief.platforms:
        if platform in limits:
            request = publish_request(
                brief,
                # Every day's is as long.
                clip_id_of(FIRST_DAY, brief.brief_id),
                platform,
                model=model,
                size_bytes=0,
                size=_SHAPES[brief.orientation],
                duration_s=brief.total_s,
            )
            if broken := check_rules(request, limits[platform]):
                refused[platform] = broken
    return refused


def check_rules(request: PublishRequest, limits: Limits) -> list[str]:
    """Every limit that the request breaks, a sentence each; empty when it may go."""
    width, height = request.size
    broken: list[str] = []
    if len(request.title) > limits.title:
        broken.append(f"the title has {len(request.title)} characters, {request.platform} allows {limits.title}")
    length = len(request.description.encode()) if limits.description_in_bytes else len(request.description)
    if length > limits.description:
        unit = "bytes" if limits.description_in_bytes else "characters"
        broken.append(f"the description is longer than the {limits.description} {unit} allowed")
    for most, sign, what in ((limits.hashtags, "#", "hashtags"), (limits.mentions, "@", "mentions")):
        count = len(re.findall(rf"(?<![\w{sign}]){sign}\w", request.description))
        if most is not None and count > most:
            broken.append(f"the description has {count} {what}, {request.platform} allows {most}")
    if set(limits.forbidden) & set(request.title + request.description):
        broken.append(f"{request.platform} takes no {' or '.join(limits.forbidden)} in title and description")
    if not limits.min_s <= request.duration_s <= limits.max_s:
        broken.append(
            f"the clip is {Decimal(str(round(request.duration_s, 2)))} s long, {request.platform} takes "
            f"{limits.min_s:g} to {limits.max_s:g} s"
        )
    if limits.vertical and width > height:
        broken.append(f"the clip is {width}x{height}, {request.platform} wants vertical or square pictures")
    return broken
