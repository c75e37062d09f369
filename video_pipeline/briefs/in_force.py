"""Which version of the bibles a brief is made with: as they are now, or as they were when that counted (G2.9)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from video_pipeline.briefs.bibles import MAX_PICTURE_BYTES, Bibles
from video_pipeline.briefs.bounds import NotRead
from video_pipeline.briefs.brief import Brief
from video_pipeline.briefs.guidance import TakenBrief
from video_pipeline.briefs.opening import bytes_of
from video_pipeline.errors import ConfigurationError
from video_pipeline.ledger import Ledger
from video_pipeline.storage import ObjectStore, read_partition


@dataclass
class BiblesInForce:
    """What each brief of a day is made with, by its id.

    `kept` names briefs that stay with what the bibles said before, `held` says why a brief cannot be made.
    """

    of: dict[str, Bibles] = field(default_factory=dict[str, Bibles])
    kept: list[str] = field(default_factory=list[str])
    held: dict[str, str] = field(default_factory=dict[str, str])


def bibles_in_force(
    ledger: Ledger, store: ObjectStore, briefs: Sequence[Brief], bibles: Bibles, *, day: date, today: date
) -> BiblesInForce:
    """What each brief of `day` is made with, by what was noted of it in the asset `briefs` and the `bibles` of now.

    An edited bible changes what is made today, and nothing else: a brief of an earlier day, or one whose clip is
    public or on its way, keeps what it had. So does one that names what the bibles do not have any more.
    """
    found = BiblesInForce()
    named = [brief for brief in briefs if brief.names_bibles]
    if not named:
        return found
    before = {row.brief_id: row for row in read_partition(store, TakenBrief, "briefs", day.isoformat())}
    over = set(before) if day < today else set(ledger.intake.public_briefs(day))
    for brief in named:
        now, old = bibles.of(brief), _noted(before, brief)
        if old is not None and old != now and (now is None or brief.brief_id in over):
            found.kept.append(brief.brief_id)
            now = old
        if now is not None:
            found.of[brief.brief_id] = now
        else:
            found.held[brief.brief_id] = (
                f"{brief.brief_id} names what the bibles do not have any more, and nobody knows what they said; put "
                "that back, or take the name out of the brief"
            )
    return found


def _noted(before: Mapping[str, TakenBrief], brief: Brief) -> Bibles | None:
    """What was noted of a brief; None of one that was not taken in, or named something else then."""
    row = before.get(brief.brief_id)
    return row.bibles.of(brief) if row is not None else None


def keep_pictures(store: ObjectStore, used: Iterable[Bibles], files: Mapping[str, Path]) -> int:
    """Put the pictures of bibles into our store, each content once; how many were new there.

    `files` is where they lie, by their keys. Raises ConfigurationError for one that has changed since it was read.
    """
    new = 0
    for picture in dict.fromkeys(picture for bibles in used for picture in bibles.pictures):
        # What has no file any more was put there while it had one.
        if store.exists(picture.key) or picture.key not in files:
            continue
        try:
            data = bytes_of(files[picture.key], None, most=MAX_PICTURE_BYTES)
        except (NotRead, OSError):
            data = b""
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise ConfigurationError(
                f"The picture {files[picture.key]} was changed while it was read. Run this once more."
            )
        store.put_bytes(picture.key, data, content_type=picture.content_type)
        new += 1
    return new
