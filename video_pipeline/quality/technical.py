"""The technical checks (Q1): what each says of a decoded clip. Which there are, and what follows, is in `checks`."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from video_pipeline.media import MediaInfo, VideoStream
from video_pipeline.policy import TechnicalThresholds
from video_pipeline.quality.verdict import Expectation

if TYPE_CHECKING:
    from video_pipeline.quality.measurement import Measurement


@dataclass(frozen=True)
class Evidence:
    """A decoded clip, and what it is held against."""

    size_bytes: int
    info: MediaInfo
    video: VideoStream
    measured: "Measurement"
    expected: Expectation
    thresholds: TechnicalThresholds


@dataclass(frozen=True)
class Undecoded:
    """A file of which nothing could be decoded, and the sentence that says why."""

    size_bytes: int
    sentence: str
    thresholds: TechnicalThresholds


@dataclass(frozen=True)
class Answer:
    """A check's answer; the fields are those of `Check`. One that is `in_doubt` is a person's to give."""

    passed: bool
    measured: str
    expected: str
    message: str
    in_doubt: bool = False


def playable(clip: Evidence | Undecoded) -> Answer:
    if isinstance(clip, Undecoded):
        return Answer(
            passed=False, measured="not a playable clip", expected="every stream decodes", message=clip.sentence
        )
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
        return Answer(
            passed=True,
            measured=f"{measured.frames} frames, no errors",
            expected="every stream decodes",
            message=f"All {measured.frames} frames decode.",
        )
    return Answer(
        passed=False,
        measured=f"{measured.frames} frames, {measured.duration_s:.2f} s, {measured.errors} errors",
        expected=f"every stream decodes, {stated_s:.2f} s",
        message=message,
    )


def resolution(clip: Evidence) -> Answer:
    (width, height), (asked_width, asked_height) = clip.video.size, clip.expected.size
    least = 1 - clip.thresholds.size_tolerance
    least_width, least_height = math.ceil(least * asked_width), math.ceil(least * asked_height)
    large_enough = width >= least_width and height >= least_height
    passed, expected = large_enough, f"at least {least_width}x{least_height}"
    message = f"The picture has {width}x{height} pixels; {asked_width}x{asked_height} were ordered."
    if clip.expected.shaped and asked_width and asked_height:
        # Twice as wide is as far off as twice as high.
        ratio = (width * asked_height) / (height * asked_width)
        off = max(ratio, 1 / ratio) - 1
        passed = large_enough and off <= clip.thresholds.shape_tolerance
        if large_enough and not passed:
            message = f"The picture is {width}x{height}, {off:.0%} off the shape of {asked_width}x{asked_height}."
    return Answer(passed=passed, measured=f"{width}x{height}", expected=expected, message=message)


def duration(clip: Evidence) -> Answer:
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
    return Answer(
        passed=max(abs(deviation), missing) <= expected.tolerance,
        measured=f"{measured.duration_s:.2f} s",
        expected=f"{least_s:.2f} to {most_s:.2f} s",
        message=message,
    )


def file_size(clip: Evidence | Undecoded) -> Answer:
    least = clip.thresholds.min_bytes
    return Answer(
        passed=clip.size_bytes >= least,
        measured=f"{clip.size_bytes} bytes",
        expected=f"at least {least} bytes",
        message=f"The file has {clip.size_bytes} bytes; a real clip has at least {least}.",
    )


def audio(clip: Evidence) -> Answer:
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
    return Answer(
        passed=passed,
        measured=heard,
        expected="audible sound" if expected.audio else "anything",
        message=message,
    )


def black(clip: Evidence) -> Answer:
    measured, thresholds = clip.measured, clip.thresholds
    return Answer(
        passed=measured.black_share <= thresholds.max_black_share,
        measured=f"{measured.black_share:.0%} of the time",
        expected=f"at most {thresholds.max_black_share:.0%}",
        message=f"The picture is black for {measured.black_share:.0%} of the clip.",
    )


def frozen(clip: Evidence) -> Answer:
    measured, thresholds = clip.measured, clip.thresholds
    return Answer(
        passed=measured.frozen_share <= thresholds.max_frozen_share,
        measured=f"{measured.frozen_share:.0%} of the time",
        expected=f"at most {thresholds.max_frozen_share:.0%}",
        message=(
            f"The picture stands still, for {thresholds.frozen_run_s:g} s or more at a time, during "
            f"{measured.frozen_share:.0%} of the clip."
        ),
    )


def garbled(clip: Evidence) -> Answer:
    measured, thresholds = clip.measured, clip.thresholds
    worst = max(measured.noisy_share, measured.jump_share)
    return Answer(
        passed=worst <= thresholds.max_garbled_share,
        measured=f"{measured.noisy_share:.0%} noise-like, {measured.jump_share:.0%} unlike the picture before",
        expected=f"at most {thresholds.max_garbled_share:.0%} of either",
        message=(
            f"{measured.noisy_share:.0%} of the pictures look like noise and {measured.jump_share:.0%} do not "
            f"resemble the picture before."
        ),
    )


def seams(clip: Evidence) -> Answer:
    """What was measured as the segments were joined; in the joined file they cannot be told apart any more."""
    faults = clip.expected.seam_faults
    return Answer(
        passed=not faults,
        measured="; ".join(faults) or "none with a fault",
        expected="segments that go on in picture, colour and sound",
        message=f"Where segments of a shot meet: {'; '.join(faults)}." if faults else "No seam has a fault.",
    )
