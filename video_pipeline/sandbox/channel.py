"""The channel: upload sessions and their files, published videos, and the audience that watches them.

No vendor's words and no HTTP belong here. A session publishes once. What the channel says of a video depends on its
age and on the model that its description names.
"""

import hashlib
import json
import re
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from video_pipeline.sandbox.audience import AudienceNumbers, audience_numbers
from video_pipeline.sandbox.books import Books, now, parse_stamp, stamp
from video_pipeline.sandbox.faults import Faults
from video_pipeline.sandbox.pricelist import PriceList

PROCESSING_S = 1.0
"""Age in seconds from which a video has been processed."""
BEFORE_PUBLISHING_S = 0.1
"""The same of a film that is processed before it is published."""


class Processing(StrEnum):
    """What the channel has made of a file."""

    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    """The file is no film."""


@dataclass(frozen=True)
class Post:
    """What a video is published as, read from a vendor's metadata."""

    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    privacy: str = "public"
    """public, unlisted or private."""
    synthetic: bool = False
    """The publisher declares that it was made by a model."""

    @property
    def subjects(self) -> tuple[str, str]:
        """The texts in which a fault's `match` is looked for."""
        return self.title, self.description


@dataclass(frozen=True)
class Session:
    """An upload that was begun."""

    session_id: str
    wire: str
    metadata: dict[str, Any]
    """As the wire got it."""
    announced_bytes: int | None
    expired: bool


@dataclass(frozen=True)
class Video:
    """A published video."""

    video_id: str
    session_id: str
    wire: str
    metadata: dict[str, Any]
    post: Post
    sha256: str
    playable: bool
    published_at: str
    """ISO 8601."""
    processing_s: float
    model: str
    """The model that the description names, empty without one."""

    @property
    def age_s(self) -> float:
        return (now() - parse_stamp(self.published_at)).total_seconds()

    @property
    def processing(self) -> Processing:
        if self.age_s < self.processing_s:
            return Processing.RUNNING
        return Processing.READY if self.playable else Processing.FAILED


@dataclass(frozen=True)
class Published:
    """A video that has just been published."""

    video: Video
    answer_lost: bool
    """A fault orders that the connection be cut instead of an answer."""


class UploadCut(Exception):
    """A fault orders that the connection be cut in the middle of a body; what was received is kept."""


class Channel:
    """The account on which everything is published."""

    def __init__(self, upload_dir: Path, books: Books, faults: Faults, prices: PriceList) -> None:
        self._upload_dir = upload_dir
        self._books, self._faults, self._prices = books, faults, prices
        upload_dir.mkdir(exist_ok=True)

    # --- uploads ---------------------------------------------------------------------------------------------

    def open(self, wire: str, metadata: dict[str, Any], announced_bytes: int | None = None) -> str:
        """Begins an upload; gives its session's id."""
        session_id = uuid.uuid4().hex
        self._books.insert(
            "uploads",
            session=session_id,
            wire=wire,
            metadata=json.dumps(metadata),
            announced_bytes=announced_bytes,
            started_at=stamp(now()),
        )
        return session_id

    def session(self, session_id: str) -> Session | None:
        row = self._books.one("SELECT * FROM uploads WHERE session = ?", session_id)
        return _session(row) if row else None

    def sessions(self, wire: str) -> list[Session]:
        """Every session that was opened through a wire."""
        return [_session(row) for row in self._books.all("SELECT * FROM uploads WHERE wire = ?", wire)]

    def expire(self, session: Session) -> None:
        self._books.database.execute("UPDATE uploads SET expired = 1 WHERE session = ?", (session.session_id,))

    def held(self, session: Session) -> int:
        """How many bytes of the session's file have arrived."""
        path = self._file(session.session_id)
        return path.stat().st_size if path.exists() else 0

    async def receive(
        self, session: Session, post: Post, body: AsyncIterator[bytes], *, first: int = 0, length: int
    ) -> int:
        """Writes a body of `length` bytes from byte `first` on, as it arrives; gives the bytes then held.

        Raises UploadCut where a fault orders it.
        """
        cut = self._faults.take("drop_during_upload", *post.subjects)
        limit = int(length * cut.value_or(0.5)) if cut else None
        path, written = self._file(session.session_id), 0
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(first)
            file.seek(first)
            async for chunk in body:
                if limit is not None:
                    chunk = chunk[: limit - written]
                file.write(chunk)
                file.flush()
                written += len(chunk)
                if limit is not None and written >= limit:
                    raise UploadCut
        return first + written

    def take_in(self, session: Session, post: Post) -> None:
        """The session's file is whole: it is processed from now on, and published when a wire says so."""
        with self._books.transaction():
            slow = self._faults.take("slow_processing", *post.subjects)
            failed = self._faults.take("processing_error", *post.subjects) is not None
            self._books.insert(
                "taken_in",
                session=session.session_id,
                at=stamp(now()),
                processing_s=slow.value_or(5.0) if slow else BEFORE_PUBLISHING_S,
                failed=failed or not self.is_film(session),
            )

    def processing(self, session: Session) -> Processing | None:
        """How far a file is that was taken in; None for one that was not."""
        row = self._books.one("SELECT * FROM taken_in WHERE session = ?", session.session_id)
        if row is None:
            return None
        if (now() - parse_stamp(row["at"])).total_seconds() < row["processing_s"]:
            return Processing.RUNNING
        return Processing.FAILED if row["failed"] else Processing.READY

    def is_film(self, session: Session) -> bool:
        """Whether the session's file begins as an MP4 does."""
        with self._file(session.session_id).open("rb") as file:
            return file.read(8)[4:] == b"ftyp"

    def publish(self, session: Session, post: Post) -> Published:
        """Publishes the session's file; a session that has published already gives the same video again."""
        video_id = self.video_id(session.session_id)
        published = self.video(video_id)
        if published:
            return Published(published, answer_lost=False)
        content = self._file(session.session_id).read_bytes()
        with self._books.transaction():
            slow = self._faults.take("slow_processing", *post.subjects)
            self._books.insert(
                "videos",
                video_id=video_id,
                session=session.session_id,
                wire=session.wire,
                metadata=json.dumps(session.metadata),
                title=post.title,
                description=post.description,
                tags=json.dumps(post.tags),
                privacy_status=post.privacy,
                contains_synthetic_media=post.synthetic,
                sha256=hashlib.sha256(content).hexdigest(),
                bytes=len(content),
                playable=self.is_film(session),
                published_at=stamp(now()),
                processing_s=slow.value_or(5.0) if slow else PROCESSING_S,
                brief_id=_line(post.description, "Brief"),
                clip_id=_line(post.description, "Clip"),
                model=_line(post.description, "Model"),
            )
            answer_lost = self._faults.take("drop_after_publish", *post.subjects) is not None
        published = self.video(video_id)
        assert published is not None, "just published"
        return Published(published, answer_lost)

    @staticmethod
    def video_id(session_id: str) -> str:
        """The id of the video that a session publishes."""
        return hashlib.sha256(session_id.encode()).hexdigest()[:11]

    # --- what is published -----------------------------------------------------------------------------------

    def video(self, video_id: str) -> Video | None:
        row = self._books.one("SELECT * FROM videos WHERE video_id = ?", video_id)
        return _video(row) if row else None

    def found(self, video_ids: Iterable[str]) -> list[Video]:
        """Those of the videos that exist, in the order asked for."""
        videos = (self.video(video_id) for video_id in video_ids)
        return [video for video in videos if video is not None]

    def videos(self, wires: Iterable[str]) -> list[Video]:
        """Every video that was published through these wires, oldest first."""
        rows = self._books.all("SELECT * FROM videos ORDER BY published_at, video_id")
        wanted = set(wires)
        return [_video(row) for row in rows if row["wire"] in wanted]

    def file(self, video: Video) -> Path:
        return self._file(video.session_id)

    def numbers(self, video: Video) -> AudienceNumbers:
        """How the audience has taken the video so far."""
        model = self._prices.named_in(video.model)
        words = f"{video.post.title} {video.post.description} {json.dumps(video.post.tags)}".lower()
        appeal = model.appeal + sum(bonus for word, bonus in model.affinity.items() if word in words)
        return audience_numbers(video.video_id, appeal, video.age_s)

    def _file(self, session_id: str) -> Path:
        return self._upload_dir / f"{session_id}.mp4"


def _session(row: sqlite3.Row) -> Session:
    return Session(
        session_id=row["session"],
        wire=row["wire"],
        metadata=json.loads(row["metadata"]),
        announced_bytes=row["announced_bytes"],
        expired=bool(row["expired"]),
    )


def _video(row: sqlite3.Row) -> Video:
    return Video(
        video_id=row["video_id"],
        session_id=row["session"],
        wire=row["wire"],
        metadata=json.loads(row["metadata"]),
        post=Post(
            title=row["title"],
            description=row["description"],
            tags=tuple(json.loads(row["tags"])),
            privacy=row["privacy_status"],
            synthetic=bool(row["contains_synthetic_media"]),
        ),
        sha256=row["sha256"],
        playable=bool(row["playable"]),
        published_at=row["published_at"],
        processing_s=row["processing_s"],
        model=row["model"] or "",
    )


def _line(description: str, label: str) -> str | None:
    """The rest of the description's last line that starts with the label and a colon: a caption stands before it."""
    found = re.findall(rf"^{label}:[ \t]*(\S.*?)[^\S\n]*$", description, re.MULTILINE)
    return found[-1] if found else None
