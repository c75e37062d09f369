"""One attempt to bring a publication on, by whoever holds its lease.

    planned -> publishing -> processing -> published | unknown | failed | refused
    planned -> not_connected (dry run)

The intent and the upload session are in the ledger before a byte is sent. Whatever happens after, the session is
asked what became of the clip before anything is sent again. What the platform's documents do not call a yes or a no
decides nothing: the next run asks again, and after `UNDECIDED_S` a person is asked. It is never sent again blindly.
"""

import hashlib
import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from video_pipeline import checkpoints
from video_pipeline.alerts import Notifier
from video_pipeline.errors import LedgerError, StorageError, VideoPipelineError
from video_pipeline.ledger import Lease, Ledger, Mark, Publication, PublicationState
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
from video_pipeline.publishing.rules import PublishRequest, check_rules
from video_pipeline.storage import ObjectStore
from video_pipeline.wire import Secrets

_LOG = logging.getLogger(__name__)
_SEND_RETRIES_S = (1.0, 2.0, 4.0)
UNDECIDED_S = 24 * 3600.0
"""How long a session is asked that gives no answer of the platform's documents, until a person is."""


class BrokenRules(VideoPipelineError):
    """The clip or its words are not what the platform takes, whoever sends them and when."""


@dataclass(frozen=True)
class Asked:
    """What is to go public now: the request as JSON, and the file."""

    document: dict[str, Any]
    media_key: str
    media_sha256: str


class Attempt:
    """Moves one publication on one platform under `lease`, which is checked right before anything goes out."""

    def __init__(
        self,
        publication: Publication,
        platform: Platform,
        *,
        lease: Lease,
        ledger: Ledger,
        store: ObjectStore,
        notifier: Notifier,
    ) -> None:
        self._publication = publication
        self._platform = platform
        self._lease = lease
        self._moves = ledger.publications.under(lease)
        self._trails = ledger.trails
        self._store = store
        self._notifier = notifier
        self.stopped_by: Exception | None = None
        """What the platform has said last that kept the clip from going public; `BrokenRules` says it is ours."""

    def advance(self, asked: Asked) -> Publication:
        """Go on from the state that it is in; `asked` replaces what an attempt that came to nothing had asked."""
        before = self._publication
        if before.state is PublicationState.NOT_CONNECTED and not self._platform.connected:
            return before
        if before.state is PublicationState.REFUSED and asked == _asked_before(before):
            return before
        if before.state is PublicationState.PUBLISHING:
            self._trails.mark(before.clip_id, Mark.TAKEN_UP)
        if before.state in (PublicationState.NOT_CONNECTED, PublicationState.FAILED, PublicationState.REFUSED):
            self._replan(asked)
        if self._publication.state is PublicationState.PLANNED:
            self._start()
        if self._publication.state in (PublicationState.PUBLISHING, PublicationState.PROCESSING):
            self._finish()
        return self._publication

    def _start(self) -> None:
        broken = check_rules(PublishRequest.model_validate(self._publication.document), self._platform.limits)
        if broken:
            self.stopped_by = BrokenRules("; ".join(broken))
            self._fail(str(self.stopped_by))
        elif not self._platform.connected:
            reason = f"dry run: {self._platform.name} is not connected, the clip would have been published now"
            self._publication = self._moves.not_connected(self._publication, reason)
        else:
            self._publication = self._moves.publishing(self._publication)

    def _replan(self, asked: Asked) -> None:
        """Begin anew, unless the session of the attempt before has not come to nothing after all."""
        session = self._publication.session
        try:
            status = Missing() if session is None else self._status(session)
        except UploadLost as error:
            # What was refused was the last sending; of one before it, nobody may ever have heard.
            self._doubt(error)
        except UploadInterrupted as error:
            self._undecided(error)
        else:
            if isinstance(status, Missing | Failed):
                self._publication = self._moves.replanned(
                    self._publication,
                    document=asked.document,
                    media_key=asked.media_key,
                    media_sha256=asked.media_sha256,
                )
            else:
                self._publication = self._moves.publishing(self._publication)

    def _finish(self) -> None:
        """Open a session if there is none, ask what became of it, send what is missing, wait a little for the end."""
        checkpoints.reached("publishing.intent")
        try:
            session = self._publication.session
            status: Status = Missing() if session is None else self._status(session)
            if isinstance(status, Missing) and (damaged := self._damage()):
                self._fail(damaged)
                return
            if session is None:
                session = self._open()
                self._publication = self._moves.with_session(self._publication, session)
                self._answered()
                checkpoints.reached("publishing.session")
            for wait_s in (*self._platform.processing_waits_s, None):
                if isinstance(status, Missing):
                    if self._publication.state is PublicationState.PROCESSING:
                        self._publication = self._moves.publishing(self._publication)
                    status = self._send(session)
                if not isinstance(status, Processing):
                    break
                if self._publication.state is PublicationState.PUBLISHING:
                    checkpoints.reached("publishing.sent")
                    self._publication = self._moves.processing(self._publication)
                if wait_s is not None:
                    time.sleep(wait_s)
                    status = self._status(session)
        except UploadRefused as error:
            self.stopped_by = error
            self._fail(str(error), lasting=error.lasting, answer=error.answer, cause=error.cause)
        except UploadInterrupted as error:
            self._undecided(error)
        except UploadLost as error:
            self._doubt(error)
        else:
            self._end(status)

    def _end(self, status: Status) -> None:
        """Write down what the platform has said last; what it still works on is asked about by the next run."""
        if isinstance(status, Uploaded):
            if self._publication.state is PublicationState.PUBLISHING:
                checkpoints.reached("publishing.sent")
            self._publication = self._moves.published(
                self._publication, remote_id=status.remote_id, url=status.url, answer=status.answer
            )
        elif isinstance(status, Failed):
            self._fail(status.reason, lasting=status.lasting, answer=status.answer)

    def _undecided(self, error: UploadInterrupted) -> None:
        """Nobody can tell now: the next run asks again, and a person is asked when that goes on for too long."""
        self.stopped_by = error
        if self._publication.state in (PublicationState.PUBLISHING, PublicationState.PROCESSING):
            _LOG.warning("%s on %s: %s", self._publication.clip_id, self._publication.platform, error)
        refusal = _refusal_behind(error)
        if refusal is None:
            self._publication = self._moves.undecided(self._publication, str(error), answer=error.answer)
            # Without a session there is nothing that could have gone public.
            if self._publication.session is not None:
                undecided_s = self._moves.undecided_s(self._publication)
                if undecided_s >= UNDECIDED_S:
                    self._doubt(error, f", and nothing has been decided for {undecided_s / 3600:.0f} hours")
                    return
        if self._publication.state is PublicationState.PUBLISHING:
            cause = refusal.cause if refusal is not None else ""
            self._notifier.notify(messages.upload_interrupted(self._publication, str(error), cause=cause))

    def _doubt(self, error: UploadLost | UploadInterrupted, more: str = "") -> None:
        reason = f"{error}{more}"
        self._publication = self._moves.unknown(self._publication, reason, answer=error.answer)
        self._notifier.notify(messages.in_doubt(self._publication, reason))

    def _fail(
        self, reason: str, *, lasting: bool = False, answer: dict[str, Any] | None = None, cause: str = ""
    ) -> None:
        self._notifier.notify(messages.not_published(self._publication, reason, cause=cause))
        move = self._moves.refused if lasting else self._moves.failed
        self._publication = move(self._publication, reason, answer=answer)

    def _damage(self) -> str:
        """What is wrong with the file that is to go public: its bytes must be those that were approved."""
        try:
            with self._store.local_copy(self._publication.media_key) as path, path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except StorageError as error:
            return str(error)
        if found != self._publication.media_sha256:
            return "the file is not the one that was approved: its checksum differs"
        return ""

    # --- what the platform is asked; whatever it says or its adapter does, one of the three upload errors -----------

    def _open(self) -> Session:
        request = PublishRequest.model_validate(self._publication.document)
        with _from_adapter():
            session = self._platform.open_session(request, before=self._lease.check)
        if not _can_be_kept(session):
            raise UploadInterrupted("the platform gave an upload session that cannot be kept")
        return session

    def _status(self, session: Session) -> Status:
        """What a session has come to; a refusal to answer is no answer, and never a reason to upload again."""
        try:
            with _from_adapter():
                status = _known(self._platform.status(session))
        except UploadRefused as error:
            raise UploadInterrupted(str(error), answer=error.answer) from error
        self._answered()
        return status

    def _send(self, session: Session) -> Status:
        """Send what is missing, a few times if need be; never Missing. Raises what `Platform.send` raises."""
        with self._store.local_copy(self._publication.media_key) as path:
            for wait_s in (*_SEND_RETRIES_S, None):
                try:
                    status, said = self._sent(session, path), "the platform says that bytes are still missing"
                except UploadInterrupted as error:
                    if wait_s is None or _refusal_behind(error) is not None:
                        raise
                    self._publication = self._moves.undecided(self._publication, str(error), answer=error.answer)
                    status, said = Missing(), str(error)
                if not isinstance(status, Missing):
                    return status
                if wait_s is None:
                    break
                _LOG.warning("%s on %s: %s", self._publication.clip_id, self._publication.platform, said)
                time.sleep(wait_s)
                status = self._status(session)
                if not isinstance(status, Missing):
                    return status
        raise UploadInterrupted("the platform says after every upload that bytes are missing")

    def _sent(self, session: Session, path: Path) -> Status:
        with _from_adapter():
            return _known(self._platform.send(session, path, before=self._lease.check))

    def _answered(self) -> None:
        """The platform's word decides again, after some that did not."""
        under_way = self._publication.state in (PublicationState.PUBLISHING, PublicationState.PROCESSING)
        if under_way and self._publication.reason is not None:
            self._publication = self._moves.answered(self._publication)


@contextmanager
def _from_adapter() -> Generator[None, None, None]:
    """Whatever an adapter stumbles over is an answer that nobody understands."""
    try:
        yield
    except (UploadRefused, UploadInterrupted, UploadLost, LedgerError, StorageError):
        raise
    except Exception as error:
        # Without its words, which may hold what the other side has said, or our own key.
        _LOG.warning("a platform's adapter broke off with a %s", type(error).__name__)
        raise UploadInterrupted(f"the platform's adapter broke off with a {type(error).__name__}") from None


def _known(status: object) -> Status:
    """A status as the protocol has it; anything else decides nothing."""
    if isinstance(status, Uploaded):
        if all(isinstance(word, str) and word for word in cast("tuple[object, ...]", (status.remote_id, status.url))):
            return status
    elif isinstance(status, Failed):
        if isinstance(cast("object", status.reason), str):
            return status
    elif isinstance(status, Missing | Processing):
        return status
    raise UploadInterrupted("the platform's adapter said something that no state is of")


def _can_be_kept(session: object) -> bool:
    """Whether it is JSON that the ledger takes as it is."""
    try:
        return isinstance(session, dict) and Secrets().clean(session) == session
    except RecursionError:
        return False


def _refusal_behind(error: UploadInterrupted) -> UploadRefused | None:
    """Quota or credentials that keep us from asking: that says nothing of the clip, however long it lasts."""
    return error.__cause__ if isinstance(error.__cause__, UploadRefused) else None


def _asked_before(publication: Publication) -> Asked:
    """What the publication was begun with."""
    return Asked(publication.document, publication.media_key, publication.media_sha256)
