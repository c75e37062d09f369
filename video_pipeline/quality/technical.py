"""The technical verdict on a clip's file (Q1): the checks, their words, and how much of a fault a clip may have.

A check is a name, a function, and the line in `_CHECKS` that joins them; asset checks follow from the names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from video_pipeline.errors import MediaError
from video_pipeline.media import MediaInfo, Stills, VideoStream, probe
from video_pipeline.quality.thresholds import MeasurementThresholds

if TYPE_CHECKING:
    from video_pipeline.quality.measurement import Measurement


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expectation(_Data):
    """What was ordered: `size` is the least (width, height) as displayed; `tolerance` is of the duration.

    `wanted_s` is what the brief asks for, of which no more may be missing where less than that was ordered.
    """

    size: tuple[int, int]
    duration_s: float = Field(gt=0)
    wanted_s: float = Field(default=0.0, ge=0)
    audio: bool
    tolerance: float = Field(default=0.10, gt=0, lt=1)
    min_bytes: int = Field(default=50_000, ge=0)


class TechnicalThresholds(MeasurementThresholds):
    """Where a measure turns into a failure. Shares are 0..1 of the clip's length, or of its pictures."""

    # A fade from and to black takes less of a short clip than this.
    max_black_share: float = 0.25
    # A hook may hold a title for a moment.
    max_frozen_share: float = 0.35
    # Eight cuts a second at 24 frames is beyond any edit.
    max_garbled_share: float = 0.34

    # -60 dBFS: under the noise floor of any recording, above the dither of coded silence.
    silent_peak: float = 0.001
    # Sound that stops before half of the clip was not delivered.
    min_audio_share: float = 0.5

    # The frames decoded against the length that the container states: players round by a frame or two.
    max_length_disagreement: float = 0.05
    length_slack_frames: int = 3


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


@dataclass(frozen=True)
class _Clip:
    """A decoded clip, and what it is held against."""

    size_bytes: int
    info: MediaInfo
    video: VideoStream
    measured: "Measurement"
    expected: Expectation
    thresholds: TechnicalThresholds


@dataclass(frozen=True)
class _Answer:
    """A check's answer without its name; the fields are those of `Check`."""

    passed: bool
    measured: str
    expected: str
    message: str


def check_clip(
    path: Path,
    expected: Expectation,
    thresholds: TechnicalThresholds | None = None,
    *,
    stills: Stills | None = None,
) -> TechnicalVerdict:
    """Decode the clip at `path` once, completely, and compare it with what was ordered.

    `stills` take pictures from the same decode, which need none of their own then. A bad file never raises: its
    verdict has `playable` failed. Memory does not grow with the length.
    """
    from video_pipeline.quality.measurement import measure

    thresholds = thresholds or TechnicalThresholds()
    size_bytes = path.stat().st_size if path.is_file() else 0
    try:
        info = probe(path)
        if stills is not None and info.video is not None:
            stills.begin(info.video)
        measured = measure(path, thresholds, stills)
    except MediaError as error:
        return _not_decoded(str(error), size_bytes, expected)
    if info.video is None or measured.frames == 0:
        return _not_decoded(f"{path} has no picture that can be decoded.", size_bytes, expected)
    clip = _Clip(size_bytes, info, info.video, measured, expected, thresholds)
    return TechnicalVerdict(checks=tuple(_named(name, _CHECKS[name](clip)) for name in CheckName))


def _not_decoded(sentence: str, size_bytes: int, expected: Expectation) -> TechnicalVerdict:
    answers = {
        CheckName.PLAYABLE: _Answer(
            passed=False, measured="not a playable clip", expected="every stream decodes", message=sentence
        ),
        CheckName.FILE_SIZE: _file_size(size_bytes, expected),
    }
    return TechnicalVerdict(checks=tuple(_named(name, answer) for name, answer in answers.items()))


def _named(name: CheckName, answer: _Answer) -> Check:
    return Check(
        name=name,
        passed=answer.passed,
        measured=answer.measured,
        expected=answer.expected,
        message=answer.message,
    )


def _playable(clip: _Clip) -> _Answer:
    measured, thresholds = clip.measured, clip.thresholds
    stated_s, rate = clip.video.duration_s, float(clip.video.rate) or 24.0
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
        return _Answer(
            passed=True,
            measured=f"{measured.frames} frames, no errors",
            expected="every stream decodes",
            message=f"All {measured.frames} frames decode.",
        )
    return _Answer(
        passed=False,
        measured=f"{measured.frames} frames, {measured.duration_s:.2f} s, {measured.errors} errors",
        expected=f"every stream decodes, {stated_s:.2f} s",
        message=message,
    )


def _resolution(clip: _Clip) -> _Answer:
    (width, height), (least_width, least_height) = clip.video.size, clip.expected.size
    passed = width >= least_width and height >= least_height
    return _Answer(
        passed=passed,
        measured=f"{width}x{height}",
        expected=f"at least {least_width}x{least_height}",
        message=f"The picture has {width}x{height} pixels; {least_width}x{least_height} were ordered.",
    )


def _duration(clip: _Clip) -> _Answer:
    measured, expected = clip.measured, clip.expected
    deviation = measured.duration_s / expected.duration_s - 1
    missing = 1 - measured.duration_s / expected.wanted_s if expected.wanted_s else 0.0
    if abs(deviation) <= expected.tolerance < missing:
        message = (
            f"The clip runs {measured.duration_s:.2f} s, {missing:.0%} less than {expected.wanted_s:.2f} s wanted."
        )
    else:
        message = (
            f"The clip runs {measured.duration_s:.2f} s, {deviation:+.0%} of the {expected.duration_s:.2f} s ordered."
        )
    least_s = (1 - expected.tolerance) * max(expected.duration_s, expected.wanted_s)
    most_s = (1 + expected.tolerance) * expected.duration_s
    return _Answer(
        passed=max(abs(deviation), missing) <= expected.tolerance,
        measured=f"{measured.duration_s:.2f} s",
        expected=f"{least_s:.2f} to {most_s:.2f} s",
        message=message,
    )


def _file_size(size_bytes: int, expected: Expectation) -> _Answer:
    return _Answer(
        passed=size_bytes >= expected.min_bytes,
        measured=f"{size_bytes} bytes",
        expected=f"at least {expected.min_bytes} bytes",
        message=f"The file has {size_bytes} bytes; a real clip has at least {expected.min_bytes}.",
    )


def _audio(clip: _Clip) -> _Answer:
    measured, expected, thresholds = clip.measured, clip.expected, clip.thresholds
    heard = f"{len(clip.info.audio)} tracks, {measured.audio_s:.2f} s, peak {measured.audio_peak:.4f}"
    if not expected.audio:
        passed, message = True, "No sound was ordered."
    elif not clip.info.audio:
        passed, message = False, "Sound was ordered and the file has no audio track."
    elif measured.audio_peak < thresholds.silent_peak:
        passed, message = False, "Sound was ordered and the audio track is silent throughout."
    elif measured.audio_s < thresholds.min_audio_share * measured.duration_s:
        passed = False
        message = f"The sound stops after {measured.audio_s:.2f} s of {measured.duration_s:.2f} s."
    else:
        passed, message = True, "The sound that was ordered is there."
    return _Answer(
        passed=passed,
        measured=heard,
        expected="audible sound" if expected.audio else "anything",
        message=message,
    )


def _black(clip: _Clip) -> _Answer:
    measured, thresholds = clip.measured, clip.thresholds
    return _Answer(
        passed=measured.black_share <= thresholds.max_black_share,
        measured=f"{measured.black_share:.0%} of the time",
        expected=f"at most {thresholds.max_black_share:.0%}",
        message=f"The picture is black for {measured.black_share:.0%} of the clip.",
    )


def _frozen(clip: _Clip) -> _Answer:
    measured, thresholds = clip.measured, clip.thresholds
    return _Answer(
        passed=measured.frozen_share <= thresholds.max_frozen_share,
        measured=f"{measured.frozen_share:.0%} of the time",
        expected=f"at most {thresholds.max_frozen_share:.0%}",
        message=(
            f"The picture stands still, for {thresholds.frozen_run_s:g} s or more at a time, during "
            f"{measured.frozen_share:.0%} of the clip."
        ),
    )


def _garbled(clip: _Clip) -> _Answer:
    measured, thresholds = clip.measured, clip.thresholds
    worst = max(measured.noisy_share, measured.jump_share)
    return _Answer(
        passed=worst <= thresholds.max_garbled_share,
        measured=f"{measured.noisy_share:.0%} noise-like, {measured.jump_share:.0%} unlike the picture before",
        expected=f"at most {thresholds.max_garbled_share:.0%} of either",
        message=(
            f"{measured.noisy_share:.0%} of the pictures look like noise and {measured.jump_share:.0%} do not "
            f"resemble the picture before."
        ),
    )


_CHECKS: dict[CheckName, Callable[[_Clip], _Answer]] = {
    CheckName.PLAYABLE: _playable,
    CheckName.RESOLUTION: _resolution,
    CheckName.DURATION: _duration,
    CheckName.FILE_SIZE: lambda clip: _file_size(clip.size_bytes, clip.expected),
    CheckName.AUDIO: _audio,
    CheckName.BLACK: _black,
    CheckName.FROZEN: _frozen,
    CheckName.GARBLED: _garbled,
}
