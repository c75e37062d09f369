"""A clip goes through the table of checks: decoded once, asked everything (Q1)."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import MediaError
from video_pipeline.media import MediaInfo, Stills, Watcher, probe
from video_pipeline.policy import QualityPolicy, TechnicalThresholds
from video_pipeline.quality.checks import ask
from video_pipeline.quality.safety import Look
from video_pipeline.quality.technical import Evidence, Undecoded
from video_pipeline.quality.verdict import ClipVerdict, Expectation, Gate, SafetyFinding

if TYPE_CHECKING:
    from video_pipeline.quality.measurement import Measurement


def check_clip(
    path: Path,
    expected: Expectation,
    thresholds: TechnicalThresholds,
    *,
    gate: Gate = Gate.FINAL,
    watchers: Sequence[Watcher] = (),
) -> ClipVerdict:
    """Decode the clip at `path` once, completely, and compare it with what was ordered.

    `watchers` see the frames of the same decode. A bad file never raises: its verdict has `playable` failed. Memory
    does not grow with the length.
    """
    return ClipVerdict(checks=ask(gate, _decoded(path, expected, thresholds, watchers)))


def pass_gate(
    path: Path, expected: Expectation, policy: QualityPolicy, *, gate: Gate, stills: Stills | None = None
) -> ClipVerdict:
    """`check_clip`, and what the safety classifiers see in the same decode (Q2)."""
    look = Look(policy.safety)
    watchers = [look] if stills is None else [look, stills]
    verdict = check_clip(path, expected, policy.technical, gate=gate, watchers=watchers)
    return ClipVerdict(checks=(*verdict.checks, *ask(gate, look.finding)), safety=look.finding)


def look_at(path: Path, policy: QualityPolicy) -> SafetyFinding:
    """What the safety classifiers see of a file, which is decoded for nothing else."""
    look = Look(policy.safety)
    with suppress(MediaError):
        # Of what cannot be opened nothing has been seen, and the finding says so.
        _measured(path, policy.technical, [look])
    return look.finding


def _decoded(
    path: Path, expected: Expectation, thresholds: TechnicalThresholds, watchers: Sequence[Watcher]
) -> Evidence | Undecoded:
    size_bytes = path.stat().st_size if path.is_file() else 0
    try:
        info, measured = _measured(path, thresholds, watchers)
    except MediaError as error:
        return Undecoded(size_bytes, str(error), thresholds)
    if info.video is None or measured.frames == 0:
        return Undecoded(size_bytes, f"{path} has no picture that can be decoded.", thresholds)
    return Evidence(size_bytes, info, info.video, measured, expected, thresholds)


def _measured(
    path: Path, thresholds: TechnicalThresholds, watchers: Sequence[Watcher]
) -> "tuple[MediaInfo, Measurement]":
    from video_pipeline.quality.measurement import measure

    info = probe(path)
    if info.video is not None:
        for watcher in watchers:
            watcher.begin(info.video)
    return info, measure(path, thresholds, watchers)
