"""What goes to a platform, and what a platform allows: checked before anything is sent (P1)."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import Brief


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
    so. `forbidden` are characters that neither may hold. `vertical` asks for pictures that are not wider than high.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: int
    description: int
    description_in_bytes: bool = False
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
    """The clip with its caption, its disclosure, and its brief's id, by which metrics are matched to the brief."""
    lines = [brief.caption or brief.title, "", "Made with AI."]
    lines += [f"Model: {model}", f"Brief: {brief.brief_id}", f"Clip: {clip_id}"]
    return PublishRequest(
        clip_id=clip_id,
        platform=platform,
        title=brief.title,
        description="\n".join(lines),
        tags=(f"brief-{brief.brief_id}",),
        size_bytes=size_bytes,
        size=size,
        duration_s=duration_s,
    )


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
