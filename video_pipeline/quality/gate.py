"""A clip goes through the table of checks: decoded once, asked everything (Q1)."""

from functools import lru_cache
from pathlib import Path

from video_pipeline.errors import MediaError
from video_pipeline.media import Stills, probe
from video_pipeline.policy import TechnicalThresholds, load_policy
from video_pipeline.quality.checks import CHECKS
from video_pipeline.quality.technical import Evidence, Undecoded
from video_pipeline.quality.verdict import ClipVerdict, Expectation, Gate


def check_clip(
    path: Path,
    expected: Expectation,
    thresholds: TechnicalThresholds | None = None,
    *,
    gate: Gate = Gate.FINAL,
    stills: Stills | None = None,
) -> ClipVerdict:
    """Decode the clip at `path` once, completely, and compare it with what was ordered.

    `thresholds` are the packaged policy's where none are given. `stills` take pictures from the same decode, which
    need none of their own then. A bad file never raises: its verdict has `playable` failed. Memory does not grow with
    the length.
    """
    evidence = _decoded(path, expected, thresholds or _packaged(), stills)
    rows = [row for row in CHECKS if row.undecoded or isinstance(evidence, Evidence)]
    return ClipVerdict(checks=tuple(row.ask(evidence, gate) for row in rows))


def _decoded(
    path: Path, expected: Expectation, thresholds: TechnicalThresholds, stills: Stills | None
) -> Evidence | Undecoded:
    from video_pipeline.quality.measurement import measure

    size_bytes = path.stat().st_size if path.is_file() else 0
    try:
        info = probe(path)
        if stills is not None and info.video is not None:
            stills.begin(info.video)
        measured = measure(path, thresholds, stills)
    except MediaError as error:
        return Undecoded(size_bytes, str(error), thresholds)
    if info.video is None or measured.frames == 0:
        return Undecoded(size_bytes, f"{path} has no picture that can be decoded.", thresholds)
    return Evidence(size_bytes, info, info.video, measured, expected, thresholds)


@lru_cache(maxsize=1)
def _packaged() -> TechnicalThresholds:
    return load_policy().quality.technical
