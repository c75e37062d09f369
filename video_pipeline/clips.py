"""The clip as it passes the gates: one row type a stage, each the stage before it and what the stage adds."""

from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ClipStatus(StrEnum):
    """Where a clip stands; a clip's failure is data, not an exception."""

    GENERATED = "generated"
    UPSCALED = "upscaled"
    PASSED = "passed"
    REVIEW = "review"
    WAITING = "waiting"
    REJECTED = "rejected"


class GeneratedClip(BaseModel):
    """A row of `generated_clips`; money in US dollars, sizes in pixels (width, height), durations in seconds.

    `model` and `strategy` name every one that is in the clip, joined by `+`. `expected_s` is what the brief asks for,
    whatever the models rendered. `fall_over` says which model stood in for which, why, and what more it cost.
    `bibles` names the entries that its shots use, with their versions.
    `stills` are the keys of the pictures that its shots start from. `seams` says what was found and done where
    segments of one shot meet, `seam_faults` what could not be mended.
    """

    model_config = ConfigDict(frozen=True)

    clip_id: str
    brief_id: str
    day: date
    status: ClipStatus
    reason: str = ""
    tier: str
    model: str | None = None
    model_version: str | None = None
    strategy: str = ""
    fall_over: str = ""
    bibles: str = ""
    attempts: int = 0
    segments: int = 0
    cached: bool = False
    billed_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    stills: tuple[str, ...] = ()
    media_key: str | None = None
    media_sha256: str | None = None
    size: tuple[int, int] | None = None
    duration_s: float = 0.0
    expected_s: float = 0.0
    audio: bool = False
    audio_expected: bool = False
    seams: tuple[str, ...] = ()
    seam_faults: tuple[str, ...] = ()


class UpscaledClip(GeneratedClip):
    """A row of `upscaled_clips`. `upscale_s` is the measured time; it is 0 when the clip had been done before."""

    final_key: str | None = None
    final_sha256: str | None = None
    final_bytes: int = 0
    final_size: tuple[int, int] | None = None
    upscale_s: float = 0.0
    upscaled_frames: int = 0
    upscale_device: str = ""


class ReviewedClip(UpscaledClip):
    """A row of `reviewed_clips`; `failed_checks` names the checks that the clip did not pass.

    `safety` is what the safety classifiers' scores came to, and `safety_score` the highest of them (0..1). The
    verdict with every score lies in the store under `verdict_key`.
    """

    failed_checks: tuple[str, ...] = ()
    safety: str = ""
    safety_score: float | None = None
    verdict_key: str | None = None
