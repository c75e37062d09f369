"""Assembly: the clip that the brief asked for, made of its accepted segments."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path

from video_pipeline.ledger import Job
from video_pipeline.media import MediaInfo, cut, probe, stitch
from video_pipeline.scratch import scratch_folder
from video_pipeline.storage import ObjectStore, StoredObject, clip_key


@dataclass(frozen=True)
class Segment:
    """An accepted job, and how many seconds of its render its shot asked for; None for all that was rendered."""

    job: Job
    length_s: float | None = None


def assemble(
    store: ObjectStore, *, day: date, brief_id: str, segments: Sequence[Segment], audio: bool
) -> tuple[StoredObject, MediaInfo]:
    """The clip made of its segments, in order, in our store, and what it is (G2.6, Q1).

    A model renders whole seconds: what it renders beyond the shot is cut off. Unless `audio` is asked for the clip is
    silent, whatever a model lays under it. One segment that is as it should be is the clip. Anything else is made
    once: the key is the hash of the parts, and what is stored under it is not made again.
    """
    if len(segments) > 1:
        return _made(store, _joined_key(day, brief_id, segments, audio=audio), segments, audio=audio)
    [segment] = segments
    key = _cut_key(day, brief_id, segment, audio=audio)
    if store.exists(key):
        return _described(store, key)
    stored, info = _described(store, segment.job.media_key or "")
    if segment.length_s is None and (audio or not info.audio):
        return stored, info
    return _made(store, key, segments, audio=audio)


def _joined_key(day: date, brief_id: str, segments: Sequence[Segment], *, audio: bool) -> str:
    parts = [segment.job.media_sha256 or "" for segment in segments]
    cuts = [] if all(segment.length_s is None for segment in segments) else [_cuts(segments)]
    return clip_key(day, brief_id, "raw", f"stitched-{_short_hash(*parts, str(audio), *cuts)}.mp4")


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


def _made(
    store: ObjectStore, key: str, segments: Sequence[Segment], *, audio: bool
) -> tuple[StoredObject, MediaInfo]:
    if store.exists(key):
        return _described(store, key)
    with scratch_folder("assembly") as folder:
        files: list[Path] = []
        for segment in segments:
            files.append(folder / f"{segment.job.shot:03d}.mp4")
            store.fetch(segment.job.media_key or "", files[-1])
        target = folder / "clip.mp4"
        if len(segments) == 1:
            cut(files[0], target, length_s=segments[0].length_s, with_audio=audio)
        else:
            first = probe(files[0]).video
            size, rate = (first.size, first.rate) if first else ((0, 0), Fraction(24))
            lengths_s = [segment.length_s for segment in segments]
            stitch(files, target, size=size, rate=rate, with_audio=audio, lengths_s=lengths_s)
        return store.put_file(key, target, content_type="video/mp4"), probe(target)
