"""The technical verdict on a clip's file: the checks (Q1) and their sentences."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from video_pipeline.errors import MediaError
from video_pipeline.media import MediaInfo, probe
from video_pipeline.quality.thresholds import TechnicalThresholds

if TYPE_CHECKING:
    from video_pipeline.quality.measurement import Measurement


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(_Data):
    """What was ordered: `size` is the least (width, height) as displayed; `tolerance` is of the duration."""

    size: tuple[int, int]
    duration_s: float = Field(gt=0)
    audio: bool
    tolerance: float = Field(default=0.10, gt=0, lt=1)
    min_bytes: int = Field(default=50_000, ge=0)


class CheckName(StrEnum):
    """The technical checks, in the order of a verdict."""

    PLAYABLE = "playable"
    RESOLUTION = "resolution"
    DURATION = "duration"
    FILE_SIZE = "file_size"
    AUDIO = "audio"
    BLACK = "black"
    FROZEN = "frozen"
    GARBLED = "garbled"


class Check(_Data):
    """One check's answer. `message` is a sentence for a person; `measured` and `expected` stand alone."""

    name: CheckName
    passed: bool
    measured: str
    expected: str
    message: str


class TechnicalVerdict(_Data):
    """All checks of one file, in a fixed order. A file that cannot be decoded has no picture checks."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed, in order."""
        return tuple(check for check in self.checks if not check.passed)


def check_clip(path: Path, expected: Expectation, thresholds: TechnicalThresholds | None = None) -> TechnicalVerdict:
    """Decode the clip at `path` once, completely, and compare it with what was ordered.

    A bad file never raises: its verdict has `playable` failed. Memory does not grow with the length.
    """
    from video_pipeline.quality.measurement import measure

    thresholds = thresholds or TechnicalThresholds()
    size_bytes = path.stat().st_size if path.is_file() else 0
    file_size = _file_size(size_bytes, expected)
    try:
        info = probe(path)
        measured = measure(path, thresholds)
    except MediaError as error:
        return TechnicalVerdict(checks=(_unplayable(str(error)), file_size))
    if info.video is None or measured.frames == 0:
        return TechnicalVerdict(checks=(_unplayable(f"{path} has no picture that can be decoded."), file_size))
    return TechnicalVerdict(
        checks=(
            _playable(info, measured, thresholds),
            _resolution(info.video.size, expected),
            _duration(measured, expected),
            file_size,
            _audio(info, measured, expected, thresholds),
            _black(measured, thresholds),
            _frozen(measured, thresholds),
            _garbled(measured, thresholds),
        )
    )


def _unplayable(sentence: str) -> Check:
    return Check(
        name=CheckName.PLAYABLE,
        passed=False,
        measured="not a playable clip",
        expected="every stream decodes",
        message=sentence,
    )


def _playable(info: MediaInfo, measured: "Measurement", thresholds: TechnicalThresholds) -> Check:
    assert info.video is not None
    stated_s, rate = info.video.duration_s, float(info.video.rate) or 24.0
    slack_s = max(thresholds.max_length_disagreement * stated_s, thresholds.length_slack_frames / rate)
    if measured.timed_out:
        message = f"Decoding took more than {thresholds.max_decode_s:g} s and was stopped."
    elif measured.errors:
        message = f"Decoding went wrong {measured.errors} times, first with: {measured.first_error}."
    elif abs(measured.duration_s - stated_s) > slack_s:
        message = (
            f"The container says {stated_s:.2f} s of picture but {measured.duration_s:.2f} s came out; "
            f"the file is truncated or damaged."
        )
    else:
        return Check(
            name=CheckName.PLAYABLE,
            passed=True,
            measured=f"{measured.frames} frames, no errors",
            expected="every stream decodes",
            message=f"All {measured.frames} frames decode.",
        )
    return Check(
        name=CheckName.PLAYABLE,
        passed=False,
        measured=f"{measured.frames} frames, {measured.duration_s:.2f} s, {measured.errors} errors",
        expected=f"every stream decodes, {stated_s:.2f} s",
        message=message,
    )


def _resolution(size: tuple[int, int], expected: Expectation) -> Check:
    (width, height), (least_width, least_height) = size, expected.size
    passed = width >= least_width and height >= least_height
    return Check(
        name=CheckName.RESOLUTION,
        passed=passed,
        measured=f"{width}x{height}",
        expected=f"at least {least_width}x{least_height}",
        message=f"The picture has {width}x{height} pixels; {least_width}x{least_height} were ordered.",
    )


def _duration(measured: "Measurement", expected: Expectation) -> Check:
    deviation = measured.duration_s / expected.duration_s - 1
    return Check(
        name=CheckName.DURATION,
        passed=abs(deviation) <= expected.tolerance,
        measured=f"{measured.duration_s:.2f} s",
        expected=f"{expected.duration_s:.2f} s ±{expected.tolerance:.0%}",
        message=(
            f"The clip runs {measured.duration_s:.2f} s, {deviation:+.0%} of the {expected.duration_s:.2f} s ordered."
        ),
    )


def _file_size(size_bytes: int, expected: Expectation) -> Check:
    return Check(
        name=CheckName.FILE_SIZE,
        passed=size_bytes >= expected.min_bytes,
        measured=f"{size_bytes} bytes",
        expected=f"at least {expected.min_bytes} bytes",
        message=f"The file has {size_bytes} bytes; a real clip has at least {expected.min_bytes}.",
    )


def _audio(info: MediaInfo, measured: "Measurement", expected: Expectation, thresholds: TechnicalThresholds) -> Check:
    heard = f"{len(info.audio)} tracks, {measured.audio_s:.2f} s, peak {measured.audio_peak:.4f}"
    if not expected.audio:
        passed, message = True, "No sound was ordered."
    elif not info.audio:
        passed, message = False, "Sound was ordered and the file has no audio track."
    elif measured.audio_peak < thresholds.silent_peak:
        passed, message = False, "Sound was ordered and the audio track is silent throughout."
    elif measured.audio_s < thresholds.min_audio_share * measured.duration_s:
        passed = False
        message = f"The sound stops after {measured.audio_s:.2f} s of {measured.duration_s:.2f} s."
    else:
        passed, message = True, "The sound that was ordered is there."
    return Check(
        name=CheckName.AUDIO,
        passed=passed,
        measured=heard,
        expected="audible sound" if expected.audio else "anything",
        message=message,
    )


def _black(measured: "Measurement", thresholds: TechnicalThresholds) -> Check:
    return Check(
        name=CheckName.BLACK,
        passed=measured.black_share <= thresholds.max_black_share,
        measured=f"{measured.black_share:.0%} of the time",
        expected=f"at most {thresholds.max_black_share:.0%}",
        message=f"The picture is black for {measured.black_share:.0%} of the clip.",
    )


def _frozen(measured: "Measurement", thresholds: TechnicalThresholds) -> Check:
    return Check(
        name=CheckName.FROZEN,
        passed=measured.frozen_share <= thresholds.max_frozen_share,
        measured=f"{measured.frozen_share:.0%} of the time",
        expected=f"at most {thresholds.max_frozen_share:.0%}",
        message=(
            f"The picture stands still, for {thresholds.frozen_run_s:g} s or more at a time, during "
            f"{measured.frozen_share:.0%} of the clip."
        ),
    )


def _garbled(measured: "Measurement", thresholds: TechnicalThresholds) -> Check:
    worst = max(measured.noisy_share, measured.jump_share)
    return Check(
        name=CheckName.GARBLED,
        passed=worst <= thresholds.max_garbled_share,
        measured=f"{measured.noisy_share:.0%} noise-like, {measured.jump_share:.0%} unlike the picture before",
        expected=f"at most {thresholds.max_garbled_share:.0%} of either",
        message=(
            f"{measured.noisy_share:.0%} of the pictures look like noise and {measured.jump_share:.0%} do not "
            f"resemble the picture before."
        ),
    )
