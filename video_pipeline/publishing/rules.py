"""What goes to a platform and what each platform allows, checked before anything is sent (MISSION P1)."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from video_pipeline.briefs import Brief
from video_pipeline.briefs import Platform as PlatformName


class PublishRequest(BaseModel):
    """One clip for one platform; size in pixels (width, height), duration in seconds."""

    model_config = ConfigDict(frozen=True)

    clip_id: str
    platform: PlatformName
    title: str
    description: str
    tags: tuple[str, ...]
    size_bytes: int
    size: tuple[int, int]
    duration_s: float


class _Limits(BaseModel):
    title: int
    description: int
    min_s: float
    max_s: float
    vertical: bool
    in_bytes: bool = False
    no_angles: bool = False


# YouTube Data API v3 (title, description) and the Shorts length; Instagram and TikTok publishing documents.
_LIMITS = {
    PlatformName.YOUTUBE_SHORTS: _Limits(
        title=100, description=5000, min_s=0, max_s=180, vertical=True, in_bytes=True, no_angles=True
    ),
    PlatformName.INSTAGRAM_REELS: _Limits(title=2200, description=2200, min_s=3, max_s=900, vertical=True),
    PlatformName.TIKTOK: _Limits(title=2200, description=2200, min_s=0, max_s=600, vertical=False),
}


def publish_request(
    brief: Brief,
    clip_id: str,
    platform: PlatformName,
    *,
    model: str,
    size_bytes: int,
    size: tuple[int, int],
    duration_s: float,
) -> PublishRequest:
    """The clip's public face: caption, disclosure, and the brief's id, by which metrics find their way back."""
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


def check_rules(request: PublishRequest) -> list[str]:
    """Every rule of the platform that the request breaks, as a sentence; empty when it may go."""
    limits = _LIMITS[request.platform]
    width, height = request.size
    broken = []
    if len(request.title) > limits.title:
        broken.append(f"the title has {len(request.title)} characters, {request.platform} allows {limits.title}")
    length = len(request.description.encode()) if limits.in_bytes else len(request.description)
    if length > limits.description:
        unit = "bytes" if limits.in_bytes else "characters"
        broken.append(f"the description is longer than the {limits.description} {unit} allowed")
    if limits.no_angles and set("<>") & set(request.title + request.description):
        broken.append(f"{request.platform} takes no < or > in title and description")
    if not limits.min_s <= request.duration_s <= limits.max_s:
        broken.append(
            f"the clip is {Decimal(str(round(request.duration_s, 2)))} s long, {request.platform} takes "
            f"{limits.min_s:g} to {limits.max_s:g} s"
        )
    if limits.vertical and width > height:
        broken.append(f"the clip is {width}x{height}, {request.platform} wants vertical or square pictures")
    return broken
