"""Assembly: the clip that the brief asked for, made of its accepted segments."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from video_pipeline.ledger import Job
from video_pipeline.media import Fitting, MediaInfo, cut, probe, stitch
from video_pipeline.policy import SeamThresholds
from video_pipeline.quality import Seam, measure_seam
from video_pipeline.scratch import scratch_folder
from video_pipeline.storage import ObjectStore, StoredObject, clip_key


@dataclass(frozen=True)
class Segment:
    """An accepted job, and how many seconds of its render its shot asked for; None for all that was rendered.

    `goes_on`: it is a further part of the shot that the segment before it is of. `continued`: it was rendered from
    that one's last frame.
    """

    job: Job
    length_s: float | None = None
    goes_on: bool = False
    continued: bool = False


@dataclass(frozen=True)
class Assembled:
    """A clip in our store, what it is, and what was found at its seams: by the number of the segment after it."""

    stored: StoredObject
    info: MediaInfo
    seams: Mapping[int, Seam]


def assemble(
    store: ObjectStore,
    *,
    day: date,
    brief_id: str,
    segments: Sequence[Segment],
    audio: bool,
    thresholds: SeamThresholds,
) -> Assembled:
    """The clip made of its segments, in order (G2.6, Q1).

    A model renders whole seconds: what it renders beyond the shot is cut off. Unless `audio` is asked for the clip is
    silent, whatever a model lays under it. Segments of one shot are fitted to each other by what is measured at their
    seam. One segment that is as it should be is the clip. Anything else is made once: the key is the hash of the
    parts, and what is stored under it is neither measured nor made again.
    """
    if len(segments) > 1:
        return _joined(store, day, brief_id, segments, audio=audio, thresholds=thresholds)
    [segment] = segments
    key = _cut_key(day, brief_id, segment, audio=audio)
    if store.exists(key):
        return Assembled(*_described(store, key), {})
    stored, info = _described(store, segment.job.media_key or "")
    if segment.length_s is None and (audio or not info.audio):
        return Assembled(stored, info, {})
    with scratch_folder("assembly") as folder:
        [file] = _fetched(store, segments, folder)
        cut(file, folder / "clip.mp4", length_s=segment.length_s, with_audio=audio)
        return Assembled(*_put(store, key, folder / "clip.mp4"), {})


def _joined(
    store: ObjectStore,
    day: date,
    brief_id: str,
    segments: Sequence[Segment],
    *,
    audio: bool,
    thresholds: SeamThresholds,
) -> Assembled:
    name = _joined_name(segments, audio=audio)
    key = clip_key(day, brief_id, "raw", f"stitched-{name}.mp4")
    notes = clip_key(day, brief_id, "raw", f"seams-{name}.json")
    if store.exists(key):
        return Assembled(*_described(store, key), _noted(store, notes))
    with scratch_folder("assembly") as folder:
        files = _fetched(store, segments, folder)
        lengths_s = [segment.length_s for segment in segments]
        seams = {
            at: measure_seam(
                files[at - 1],
                files[at],
                thresholds,
                length_s=lengths_s[at - 1],
                continued=segment.continued,
                with_audio=audio,
            )
            for at, segment in enumerate(segments)
            if segment.goes_on
        }
        target = folder / "clip.mp4"
        first = probe(files[0]).video
        size, rate = (first.size, first.rate) if first else ((0, 0), Fraction(24))
        fittings = _fittings(segments, seams)
        stitch(files, target, size=size, rate=rate, with_audio=audio, lengths_s=lengths_s, fittings=fittings)
        if seams:
            found = {str(at): seam.model_dump(mode="json") for at, seam in seams.items()}
            store.put_bytes(notes, json.dumps(found).encode(), content_type="application/json", overwrite=True)
        return Assembled(*_put(store, key, target), seams)


def _fittings(segments: Sequence[Segment], seams: Mapping[int, Seam]) -> list[Fitting]:
    """How each segment is fitted to the one before it, as that is fitted itself.

    No sound is made louder, so that none is clipped: the louder segments of a shot are brought down.
    """
    fittings: list[Fitting] = []
    for at, _ in enumerate(segments):
        before, seam = fittings[-1] if fittings else Fitting(), seams.get(at)
        fittings.append(_after(before, seam.fitting) if seam is not None else Fitting())
    starts = [at for at, segment in enumerate(segments) if not segment.goes_on]
    for start, end in pairwise((*starts, len(segments))):
        most_db = max(fitting.gain_db for fitting in fittings[start:end])
        fittings[start:end] = [replace(one, gain_db=one.gain_db - most_db) for one in fittings[start:end]]
    return fittings


def _after(before: Fitting, own: Fitting) -> Fitting:
    (blue, red), (own_blue, own_red) = before.chroma_shift, own.chroma_shift
    return Fitting(
        dropped=own.dropped,
        luma_gain=before.luma_gain * own.luma_gain,
        chroma_shift=(blue + own_blue, red + own_red),
        gain_db=before.gain_db + own.gain_db,
    )


def _noted(store: ObjectStore, key: str) -> dict[int, Seam]:
    """What was found when the clip was made; nothing of one that has no seams, or is of an older release."""
    if not store.exists(key):
        return {}
    return {int(at): Seam.model_validate(seam) for at, seam in json.loads(store.read_bytes(key)).items()}


def _joined_name(segments: Sequence[Segment], *, audio: bool) -> str:
    parts = [segment.job.media_sha256 or "" for segment in segments]
    cuts = [] if all(segment.length_s is None for segment in segments) else [_cuts(segments)]
    marks = "".join(f"{segment.goes_on:d}{segment.continued:d} " for segment in segments)
    seams = [f"seams {marks}"] if any(segment.goes_on for segment in segments) else []
    return _short_hash(*parts, str(audio), *cuts, *seams)


def _cut_key(day: date, brief_id: str, segment: Segment, *, audio: bool) -> str:
    parts = (segment.job.media_sha256 or "", str(audio), _cuts([segment]))
    return clip_key(day, brief_id, "raw", f"cut-{_short_hash(*parts)}.mp4")


def _cuts(segments: Sequence[Segment]) -> str:
    return " ".join("all" if segment.length_s is None else f"{segment.length_s:.3f}" for segment in segments)


def _short_hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _described(store: ObjectStore, key: str) -> tuple[StoredObject, MediaInfo]:
    """What is stored under `key`, and what it is; FileNotFoundError when nothing is."""
    stored = store.stat(key)
    if stored is None:
        raise FileNotFoundError(key)
    with store.local_copy(key) as path:
        return stored, probe(path)


def _fetched(store: ObjectStore, segments: Sequence[Segment], folder: Path) -> list[Path]:
    files = [folder / f"{segment.job.shot:03d}.mp4" for segment in segments]
    for segment, file in zip(segments, files, strict=True):
        store.fetch(segment.job.media_key or "", file)
    return files


def _put(store: ObjectStore, key: str, file: Path) -> tuple[StoredObject, MediaInfo]:
    return store.put_file(key, file, content_type="video/mp4"), probe(file)
