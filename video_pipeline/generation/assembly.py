"""Assembly: the clip made of its accepted segments."""

import hashlib
import tempfile
from datetime import date
from fractions import Fraction
from pathlib import Path

from video_pipeline.ledger import Job
from video_pipeline.media.probe import probe
from video_pipeline.media.stitch import stitch
from video_pipeline.storage import ObjectStore, StoredObject, clip_key


def assemble(store: ObjectStore, *, day: date, brief_id: str, jobs: list[Job], audio: bool) -> StoredObject:
    """The clip made of its accepted segments, in order, in our store (MISSION G2.6).

    One segment is the clip. Several are stitched once: the key is the hash of the parts, and what is stored under
    it is not made again.
    """
    if len(jobs) == 1:
        stored = store.stat(jobs[0].media_key or "")
        if stored is None:
            raise FileNotFoundError(jobs[0].media_key)
        return stored
    parts = "\n".join([*(job.media_sha256 or "" for job in jobs), str(audio)])
    key = clip_key(day, brief_id, "raw", f"stitched-{hashlib.sha256(parts.encode()).hexdigest()[:16]}.mp4")
    stored = store.stat(key)
    if stored is not None:
        return stored
    with tempfile.TemporaryDirectory(prefix="stitch-") as folder:
        segments = []
        for job in jobs:
            segment = Path(folder) / f"{job.shot:03d}.mp4"
            store.fetch(job.media_key or "", segment)
            segments.append(segment)
        target = Path(folder) / "clip.mp4"
        first = probe(segments[0]).video
        size, rate = (first.size, first.rate) if first else ((0, 0), Fraction(24))
        stitch(segments, target, size=size, rate=rate, with_audio=audio)
        return store.put_file(key, target, content_type="video/mp4")
