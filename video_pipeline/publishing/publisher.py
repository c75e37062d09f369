"""The publisher: each clip on each platform exactly once, with an unknown state that is never retried (P2).

`attempt.py` brings one publication on. Here, one clip never stops another: whatever it stumbles over is its record's
reason. Only a ledger that cannot be asked ends a run.
"""

import hashlib
import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Brief
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.errors import VideoPipelineError
from video_pipeline.ledger import (
    Lease,
    LeaseLost,
    Ledger,
    Publication,
    PublicationState,
    Review,
    ReviewState,
    Wait,
    WaitCause,
    What,
    Why,
)
from video_pipeline.policy import Policy
from video_pipeline.publishing import messages
from video_pipeline.publishing.attempt import Asked, Attempt
from video_pipeline.publishing.platforms import Platform
from video_pipeline.publishing.resolution import publication_lease
from video_pipeline.publishing.rules import PublishRequest, publish_request
from video_pipeline.publishing.waits import why_unpublished
from video_pipeline.quality import ask_about_words, review_stage
from video_pipeline.storage import ObjectStore
from video_pipeline.wire import clean

_LOG = logging.getLogger(__name__)
_AT_IT = "another worker is at it"


class PublishRecord(BaseModel):
    """A row of the asset `publish_records`: one clip on one platform."""

    model_config = ConfigDict(frozen=True)

    clip_id: str
    brief_id: str
    day: date
    platform: str
    state: PublicationState
    url: str | None = None
    remote_id: str | None = None
    reason: str | None = None
    media_sha256: str = ""
    published_at: datetime | None = None


class Publisher:
    """Brings clips to platforms; `platforms` holds every one by its name, connected or not.

    `lease_s` is how long the lease on a publication outlives a worker's last sign of life, in seconds.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: ObjectStore,
        platforms: Mapping[str, Platform],
        notifier: Notifier,
        on_record: Callable[[PublishRecord], None] = lambda record: None,
        lease_s: float = 60.0,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._platforms = platforms
        self._notifier = notifier
        self._on_record = on_record
        self._lease_s = lease_s

    def publish(self, request: PublishRequest, *, day: date, media_key: str, media_sha256: str) -> PublishRecord:
        """Bring one clip to one platform, or to a reason why it is not there.

        Raises only what the ledger raises when it cannot be asked.
        """
        try:
            record, why = self._published(request, day, media_key, media_sha256)
        except Exception as error:
            record, why = self._stumbled(request, day, media_sha256, error)
        key = publication_key(request.clip_id, request.platform)
        if why is None:
            self._ledger.waits.end(What.PUBLICATION, [key])
        else:
            self._ledger.waits.note([Wait(What.PUBLICATION, key, day, why)])
        self._on_record(record)
        return record

    def _published(
        self, request: PublishRequest, day: date, media_key: str, media_sha256: str
    ) -> tuple[PublishRecord, Why | None]:
        """The record, and why the publication waits, where it does."""
        asked = Asked(request.model_dump(mode="json"), media_key, media_sha256)
        publications = self._ledger.publications
        publication = publications.plan(
            Publication(
                key=publication_key(request.clip_id, request.platform),
                day=day,
                clip_id=request.clip_id,
                platform=request.platform,
                state=PublicationState.PLANNED,
                document=asked.document,
                media_key=asked.media_key,
                media_sha256=asked.media_sha256,
            )
        )
        with self._ledger.leases.held(publication_lease(publication), ttl_s=self._lease_s) as lease:
            publication = publications.get(publication.key)
            if lease is None:
                if publication.state is PublicationState.PUBLISHED:
                    return _record(publication), None
                return _record(publication, _AT_IT), Why(WaitCause.LEASE, _AT_IT)
            platform = self._platforms.get(publication.platform)
            if platform is None:
                return _record(self._without_platform(publication, lease)), None
            attempt = Attempt(
                publication,
                platform,
                lease=lease,
                ledger=self._ledger,
                store=self._store,
                notifier=self._notifier,
            )
            publication = attempt.advance(asked)
            return _record(publication), why_unpublished(publication, attempt.stopped_by)

    def _without_platform(self, publication: Publication, lease: Lease) -> Publication:
        """A platform that briefs could name once; what has left for it cannot be asked about."""
        if publication.state is not PublicationState.PLANNED:
            return publication
        reason = f"there is no platform {publication.platform} any more"
        self._notifier.notify(messages.not_published(publication, reason))
        return self._ledger.publications.under(lease).failed(publication, reason)

    def _stumbled(
        self, request: PublishRequest, day: date, media_sha256: str, error: Exception
    ) -> tuple[PublishRecord, Why]:
        """The record of a clip that an error has stopped, as the ledger has it; the others go on."""
        if isinstance(error, LeaseLost):
            reason = "another worker has taken it over"
        else:
            reason = clean(str(error), 500) if isinstance(error, VideoPipelineError) else _place_of(error)
        _LOG.warning("%s on %s: %s", request.clip_id, request.platform, reason)
        # A ledger that cannot be asked raises here: without it nothing may go public.
        publication = self._ledger.publications.find(request.clip_id, request.platform)
        if not isinstance(error, LeaseLost):
            self._notifier.notify(messages.stumbled(request.clip_id, request.platform, reason))
        cause = WaitCause.LEASE if isinstance(error, LeaseLost) else WaitCause.RETRY
        if publication is not None:
            return _record(publication, reason), Why(cause, reason)
        record = PublishRecord(
            clip_id=request.clip_id,
            brief_id=request.clip_id.split("/", 1)[-1],
            day=day,
            platform=request.platform,
            state=PublicationState.FAILED,
            reason=reason,
            media_sha256=media_sha256,
        )
        return record, Why(cause, reason)


def publication_key(clip_id: str, platform: str) -> str:
    """The key of a clip's publication on a platform; there is one."""
    return hashlib.sha256(f"{clip_id}\n{platform}".encode()).hexdigest()


def _record(publication: Publication, reason: str | None = None) -> PublishRecord:
    return PublishRecord(
        clip_id=publication.clip_id,
        brief_id=publication.clip_id.split("/", 1)[1],
        day=publication.day,
        platform=publication.platform,
        state=publication.state,
        url=publication.url,
        remote_id=publication.remote_id,
        reason=reason or publication.reason,
        media_sha256=publication.media_sha256,
        published_at=publication.published_at,
    )


def _place_of(error: Exception) -> str:
    """An error that is none of ours by its kind and place; its words may hold what nobody is to read."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"it broke off with a {type(error).__name__}{where}"


def publish_day(
    publisher: Publisher,
    ledger: Ledger,
    notifier: Notifier,
    clips: Iterable[ReviewedClip],
    briefs: Mapping[str, Brief],
    policy: Policy,
) -> list[PublishRecord]:
    """Every clip that passed, to every platform that its brief names; `briefs` is keyed by clip id.

    A check may have run in another run than this one, so the ledger is asked whether a person still has a say. The
    words that are published are looked at here: they may be others than when the clip was.
    """
    records: list[PublishRecord] = []
    ended: list[str] = []
    days: set[date] = set()
    for clip in clips:
        days.add(clip.day)
        brief = briefs.get(clip.clip_id)
        held = _not_approved(ledger, notifier, clip, brief, policy)
        if clip.status is not ClipStatus.PASSED or held or clip.final_key is None or clip.final_size is None:
            refused = any(review.state is ReviewState.REJECTED for review in held)
            if clip.status is ClipStatus.REJECTED or refused:
                ended.append(clip.clip_id)
            elif held:
                why = Why(WaitCause.PERSON, "; ".join(review.reason for review in held))
                ledger.waits.note([Wait(What.CLIP, clip.clip_id, clip.day, why)])
            continue
        # From here on its publications wait, not the clip.
        ended.append(clip.clip_id)
        if brief is None:
            # It was taken out after the clip was made; its words are gone, and nobody wants the clip any more.
            _LOG.warning("%s is not published: its brief is gone", clip.clip_id)
            continue
        for platform in brief.platforms:
            request = publish_request(
                brief,
                clip.clip_id,
                platform,
                model=clip.model or "",
                size_bytes=clip.final_bytes,
                size=clip.final_size,
                duration_s=clip.duration_s,
            )
            records.append(
                publisher.publish(
                    request, day=clip.day, media_key=clip.final_key, media_sha256=clip.final_sha256 or ""
                )
            )
    ledger.waits.end(What.CLIP, ended)
    asked = [publication_key(record.clip_id, record.platform) for record in records]
    for day in days:
        # A platform that no brief names any more, or a brief that is gone.
        ledger.waits.end_others(What.PUBLICATION, day, asked)
    return records


def _not_approved(
    ledger: Ledger, notifier: Notifier, clip: ReviewedClip, brief: Brief | None, policy: Policy
) -> list[Review]:
    """What a person has not said yes to, of a clip's file and of its brief's words as they are now."""
    held = [ledger.reviews.get(clip.clip_id, review_stage(clip.final_sha256 or ""))]
    if brief is not None and clip.status in (ClipStatus.PASSED, ClipStatus.REVIEW):
        held.append(ask_about_words(ledger, notifier, clip.clip_id, brief, policy))
    return [review for review in held if review is not None and review.state is not ReviewState.APPROVED]
