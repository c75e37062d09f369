"""The publisher: each clip on each platform exactly once, with an unknown state that is never retried (P2).

    planned -> publishing -> processing -> published | unknown | failed | refused
    planned -> not_connected (dry run)

The intent and the upload session are in the ledger before a byte is sent. Whatever happens after, the session is
asked what became of the clip before anything is sent again.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.briefs import Brief
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.errors import StorageError
from video_pipeline.ledger import Ledger, Publication, PublicationState, ReviewState
from video_pipeline.publishing import messages
from video_pipeline.publishing.platforms import (
    Failed,
    Missing,
    Platform,
    Processing,
    Session,
    Status,
    Uploaded,
    UploadInterrupted,
    UploadLost,
    UploadRefused,
)
from video_pipeline.publishing.rules import PublishRequest, check_rules, publish_request
from video_pipeline.quality import review_stage
from video_pipeline.storage import ObjectStore

_LOG = logging.getLogger(__name__)
_SEND_RETRIES_S = (1.0, 2.0, 4.0)
_LEASE_S = 60.0


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


@dataclass(frozen=True)
class _Asked:
    """What is to go public now: the request as JSON, and the file."""

    document: dict[str, Any]
    media_key: str
    media_sha256: str


class Publisher:
    """Brings clips to platforms; `platforms` holds every one by its name, connected or not."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: ObjectStore,
        platforms: Mapping[str, Platform],
        notifier: Notifier,
        on_record: Callable[[PublishRecord], None] = lambda record: None,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._platforms = platforms
        self._notifier = notifier
        self._on_record = on_record

    def publish(self, request: PublishRequest, *, day: date, media_key: str, media_sha256: str) -> PublishRecord:
        """Bring one clip to one platform, or to a reason why it is not there."""
        asked = _Asked(request.model_dump(mode="json"), media_key, media_sha256)
        publication = self._ledger.publications.plan(
            Publication(
                key=hashlib.sha256(f"{request.clip_id}\n{request.platform}".encode()).hexdigest(),
                day=day,
                clip_id=request.clip_id,
                platform=request.platform,
                state=PublicationState.PLANNED,
                document=asked.document,
                media_key=asked.media_key,
                media_sha256=asked.media_sha256,
            )
        )
        with self._ledger.leases.held(f"publish {publication.key}", ttl_s=_LEASE_S) as owned:
            if owned:
                publication = self._advance(self._ledger.publications.get(publication.key), asked)
        record = _record(publication)
        self._on_record(record)
        return record

    def _advance(self, publication: Publication, asked: _Asked) -> Publication:
        """Go on from the state that it is in; `asked` replaces what an attempt that came to nothing had asked."""
        platform = self._platforms.get(publication.platform)
        if platform is None:
            return self._without_platform(publication)
        if publication.state is PublicationState.NOT_CONNECTED and not platform.connected:
            return publication
        if publication.state is PublicationState.REFUSED and asked == _asked_before(publication):
            return publication
        if publication.state in (PublicationState.NOT_CONNECTED, PublicationState.FAILED, PublicationState.REFUSED):
            publication = self._replan(publication, platform, asked)
        if publication.state is PublicationState.PLANNED:
            publication = self._start(publication, platform)
        if publication.state in (PublicationState.PUBLISHING, PublicationState.PROCESSING):
            publication = self._finish(publication, platform)
        return publication

    def _without_platform(self, publication: Publication) -> Publication:
        """A platform that briefs could name once; what has left for it cannot be asked about."""
        if publication.state is not PublicationState.PLANNED:
            return publication
        return self._fail(publication, f"there is no platform {publication.platform} any more")

    def _start(self, publication: Publication, platform: Platform) -> Publication:
        broken = check_rules(PublishRequest.model_validate(publication.document), platform.limits)
        if broken:
            return self._fail(publication, "; ".join(broken))
        if not platform.connected:
            reason = f"dry run: {platform.name} is not connected, the clip would have been published now"
            return self._ledger.publications.not_connected(publication, reason)
        return self._ledger.publications.publishing(publication)

    def _replan(self, publication: Publication, platform: Platform, asked: _Asked) -> Publication:
        """Begin anew, unless the session of the attempt before has not come to nothing after all."""
        status: Status = Missing()
        if publication.session is not None:
            try:
                status = platform.status(publication.session)
            except UploadLost:
                # The upload was refused in so many words: a session that is gone has published nothing.
                pass
            except (UploadInterrupted, UploadRefused):
                return publication
        if isinstance(status, Missing | Failed):
            return self._ledger.publications.replanned(
                publication,
                document=asked.document,
                media_key=asked.media_key,
                media_sha256=asked.media_sha256,
            )
        return self._ledger.publications.publishing(publication)

    def _finish(self, publication: Publication, platform: Platform) -> Publication:
        """Open a session if there is none, ask what became of it, send what is missing, wait a little for the end."""
        checkpoints.reached("publishing.intent")
        try:
            session = publication.session
            status: Status = Missing() if session is None else self._asked(platform, session)
            if isinstance(status, Missing):
                damaged = self._damage(publication)
                if damaged:
                    return self._fail(publication, damaged)
            if session is None:
                session = platform.open_session(PublishRequest.model_validate(publication.document))
                publication = self._ledger.publications.with_session(publication, session)
                checkpoints.reached("publishing.session")
            for wait_s in (*platform.processing_waits_s, None):
                if isinstance(status, Missing):
                    if publication.state is PublicationState.PROCESSING:
                        publication = self._ledger.publications.publishing(publication)
                    status = self._send(publication, platform, session)
                if not isinstance(status, Processing):
                    break
                if publication.state is PublicationState.PUBLISHING:
                    checkpoints.reached("publishing.sent")
                    publication = self._ledger.publications.processing(publication)
                if wait_s is not None:
                    time.sleep(wait_s)
                    status = self._asked(platform, session)
        except UploadRefused as error:
            return self._fail(publication, str(error), lasting=error.lasting)
        except UploadInterrupted as error:
            if publication.state is PublicationState.PROCESSING:
                # Nothing of ours is missing there: the next run asks again.
                _LOG.warning("%s on %s: %s", publication.clip_id, publication.platform, error)
            else:
                self._notifier.notify(messages.upload_interrupted(publication, str(error)))
            return publication
        except UploadLost as error:
            self._notifier.notify(messages.in_doubt(publication, str(error)))
            return self._ledger.publications.unknown(publication, str(error))
        return self._ended(publication, status)

    def _ended(self, publication: Publication, status: Status) -> Publication:
        """Write down what the platform has said last; what it still works on is asked about by the next run."""
        if isinstance(status, Uploaded):
            if publication.state is PublicationState.PUBLISHING:
                checkpoints.reached("publishing.sent")
            return self._ledger.publications.published(publication, remote_id=status.remote_id, url=status.url)
        if isinstance(status, Failed):
            return self._fail(publication, status.reason, lasting=status.lasting)
        return publication

    def _damage(self, publication: Publication) -> str:
        """What is wrong with the file that is to go public: its bytes must be those that were approved."""
        try:
            with self._store.local_copy(publication.media_key) as path, path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except StorageError as error:
            return str(error)
        if found != publication.media_sha256:
            return "the file is not the one that was approved: its checksum differs"
        return ""

    @staticmethod
    def _asked(platform: Platform, session: Session) -> Status:
        """What a session has come to; a refusal to answer is no answer, and never a reason to upload again."""
        try:
            return platform.status(session)
        except UploadRefused as error:
            raise UploadInterrupted(str(error)) from error

    def _send(self, publication: Publication, platform: Platform, session: Session) -> Status:
        """Send what is missing, a few times if need be; never Missing. Raises what `Platform.send` raises."""
        with self._store.local_copy(publication.media_key) as path:
            for wait_s in (*_SEND_RETRIES_S, None):
                try:
                    status = platform.send(session, path)
                    said = "the platform says that bytes are still missing"
                except UploadInterrupted as error:
                    if wait_s is None:
                        raise
                    status, said = Missing(), str(error)
                if not isinstance(status, Missing):
                    return status
                if wait_s is None:
                    break
                _LOG.warning("%s on %s: %s", publication.clip_id, publication.platform, said)
                time.sleep(wait_s)
                status = self._asked(platform, session)
                if not isinstance(status, Missing):
                    return status
        raise UploadInterrupted("the platform says after every upload that bytes are missing")

    def _fail(self, publication: Publication, reason: str, *, lasting: bool = False) -> Publication:
        self._notifier.notify(messages.not_published(publication, reason))
        move = self._ledger.publications.refused if lasting else self._ledger.publications.failed
        return move(publication, reason)


def _asked_before(publication: Publication) -> _Asked:
    """What the publication was begun with."""
    return _Asked(publication.document, publication.media_key, publication.media_sha256)


def _record(publication: Publication) -> PublishRecord:
    return PublishRecord(
        clip_id=publication.clip_id,
        brief_id=publication.clip_id.split("/", 1)[1],
        day=publication.day,
        platform=publication.platform,
        state=publication.state,
        url=publication.url,
        remote_id=publication.remote_id,
        reason=publication.reason,
        media_sha256=publication.media_sha256,
        published_at=publication.published_at,
    )


def publish_day(
    publisher: Publisher, ledger: Ledger, clips: Iterable[ReviewedClip], briefs: Mapping[str, Brief]
) -> list[PublishRecord]:
    """Every clip that passed, to every platform that its brief names; `briefs` is keyed by clip id.

    A check may have run in another run than this one, so the ledger is asked whether a person still has a say.
    """
    records: list[PublishRecord] = []
    for clip in clips:
        review = ledger.reviews.get(clip.clip_id, review_stage(clip.final_sha256 or ""))
        held = review is not None and review.state is not ReviewState.APPROVED
        if clip.status is not ClipStatus.PASSED or held or clip.final_key is None or clip.final_size is None:
            continue
        brief = briefs[clip.clip_id]
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
    return records
