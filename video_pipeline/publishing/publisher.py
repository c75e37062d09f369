"""The publisher: each clip on each platform exactly once, with an unknown state that is never retried (P2).

    planned -> publishing -> published | unknown | failed | refused         planned -> not_connected (dry run)

The intent and the upload session's address are in the ledger before a byte is sent; whatever happens after, the
session is asked what became of the clip before anything is sent again.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from video_pipeline import checkpoints
from video_pipeline.alerts import Alert, Notifier
from video_pipeline.briefs import Brief
from video_pipeline.clips import ClipStatus, ReviewedClip
from video_pipeline.errors import StorageError
from video_pipeline.ledger import Ledger, Publication, PublicationState, ReviewState
from video_pipeline.publishing.platforms import (
    Platform,
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


class Publisher:
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
        publication = self._ledger.publications.plan(
            Publication(
                key=hashlib.sha256(f"{request.clip_id}\n{request.platform}".encode()).hexdigest(),
                day=day,
                clip_id=request.clip_id,
                platform=request.platform,
                state=PublicationState.PLANNED,
                document=request.model_dump(mode="json"),
                media_key=media_key,
                media_sha256=media_sha256,
            )
        )
        with self._ledger.leases.held(f"publish {publication.key}", ttl_s=_LEASE_S) as owned:
            if owned:
                asked = {
                    "document": request.model_dump(mode="json"),
                    "media_key": media_key,
                    "media_sha256": media_sha256,
                }
                publication = self._advance(self._ledger.publications.get(publication.key), asked)
        record = _record(publication)
        self._on_record(record)
        return record

    def _advance(self, publication: Publication, asked: dict[str, Any]) -> Publication:
        """Go on from the state that it is in; `asked` replaces what an attempt that came to nothing had asked."""
        platform = self._platforms[publication.platform]
        if publication.state is PublicationState.NOT_CONNECTED and not platform.connected:
            return publication
        if publication.state is PublicationState.REFUSED and asked == _asked_before(publication):
            return publication
        if publication.state in (PublicationState.NOT_CONNECTED, PublicationState.FAILED, PublicationState.REFUSED):
            publication = self._replan(publication, platform, asked)
        # An upload under way goes on with the clip that it was begun with, whatever the brief says by now.
        request = PublishRequest.model_validate(publication.document)
        if publication.state is PublicationState.PLANNED:
            publication = self._start(publication, request, platform)
        if publication.state is PublicationState.PUBLISHING:
            publication = self._finish(publication, request, platform)
        return publication

    def _start(self, publication: Publication, request: PublishRequest, platform: Platform) -> Publication:
        broken = check_rules(request)
        if broken:
            return self._fail(publication, "; ".join(broken))
        if not platform.connected:
            reason = f"dry run: {platform.name} is not connected, the clip would have been published now"
            return self._ledger.publications.advance(publication, PublicationState.NOT_CONNECTED, reason=reason)
        return self._ledger.publications.advance(publication, PublicationState.PUBLISHING)

    def _replan(self, publication: Publication, platform: Platform, asked: dict[str, Any]) -> Publication:
        """Begin anew, unless the session of the attempt before turns out to have come to an end after all."""
        plan = self._ledger.publications.advance
        if publication.session_url is None:
            return plan(publication, PublicationState.PLANNED, reason=None, **asked)
        try:
            ended = platform.finished(publication.session_url, PublishRequest.model_validate(publication.document))
        except UploadLost:
            # The upload was refused in so many words: a session that is gone has published nothing.
            ended = None
        except (UploadInterrupted, UploadRefused):
            return publication
        if ended is not None:
            return plan(plan(publication, PublicationState.PLANNED), PublicationState.PUBLISHING)
        return plan(publication, PublicationState.PLANNED, session_url=None, reason=None, **asked)

    def _finish(self, publication: Publication, request: PublishRequest, platform: Platform) -> Publication:
        """Open a session if there is none, ask what became of it, send what is missing."""
        checkpoints.reached("publishing.intent")
        damaged = self._damage(publication)
        if damaged and publication.session_url is None:
            return self._fail(publication, damaged)
        try:
            uploaded = None
            if publication.session_url is not None:
                uploaded = self._asked(publication.session_url, request, platform)
            else:
                session_url = platform.open_session(request)
                publication = self._ledger.publications.note_session(publication, session_url)
                checkpoints.reached("publishing.session")
            uploaded = uploaded or self._send(publication, request, platform)
        except UploadRefused as error:
            to = PublicationState.REFUSED if error.lasting else PublicationState.FAILED
            return self._fail(publication, str(error), to)
        except UploadInterrupted as error:
            self._alert(publication, "An upload is interrupted", f"{error}; it is resumed by the next run")
            return publication
        except UploadLost as error:
            self._alert(publication, "Nobody knows whether a clip went public", f"{error}; look on the platform")
            return self._ledger.publications.advance(publication, PublicationState.UNKNOWN, reason=str(error))
        checkpoints.reached("publishing.sent")
        return self._ledger.publications.advance(
            publication,
            PublicationState.PUBLISHED,
            remote_id=uploaded.remote_id,
            url=uploaded.url,
            reason=None,
            published_at=datetime.now(UTC),
        )

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
    def _asked(session_url: str, request: PublishRequest, platform: Platform) -> Uploaded | None:
        """What a session has come to; a refusal to answer is no answer, and never a reason to upload again."""
        try:
            return platform.finished(session_url, request)
        except UploadRefused as error:
            raise UploadInterrupted(str(error)) from error

    def _send(self, publication: Publication, request: PublishRequest, platform: Platform) -> Uploaded:
        session_url = publication.session_url or ""
        with self._store.local_copy(publication.media_key) as path:
            for wait_s in (*_SEND_RETRIES_S, None):
                try:
                    return platform.send(session_url, path, request)
                except UploadInterrupted as error:
                    if wait_s is None:
                        raise
                    _LOG.warning("%s on %s: %s", publication.clip_id, publication.platform, error)
                    time.sleep(wait_s)
                    uploaded = self._asked(session_url, request, platform)
                    if uploaded is not None:
                        return uploaded
        raise AssertionError("the last try returns")

    def _fail(
        self, publication: Publication, reason: str, to: PublicationState = PublicationState.FAILED
    ) -> Publication:
        self._alert(publication, "A clip was not published", reason)
        return self._ledger.publications.advance(publication, to, reason=reason)

    def _alert(self, publication: Publication, title: str, reason: str) -> None:
        self._notifier.notify(
            Alert(
                cause=f"publish {publication.key} {title}",
                title=title,
                text=f"{publication.clip_id} on {publication.platform}: {reason}",
                fields={},
                severity="critical",
            )
        )


def _asked_before(publication: Publication) -> dict[str, Any]:
    """What the publication was begun with."""
    return {name: getattr(publication, name) for name in ("document", "media_key", "media_sha256")}


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
    records = []
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
