"""Single frames of a clip as pictures: out of a decode or at a moment, fitted into a box, written to a file (O3)."""

import base64
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from video_pipeline.errors import MediaError
from video_pipeline.media.ffmpeg import MAX_PIXELS
from video_pipeline.media.probing import MediaInfo, VideoStream, main_video, open_guarded, probe
from video_pipeline.media.stitching import frame_count

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from PIL.Image import Image


class Watcher(Protocol):
    """Sees the frames of a clip while somebody else decodes it, and raises nothing.

    Who decodes calls `begin`, then `see` with each frame in the order of display, then `end`.
    """

    def begin(self, video: VideoStream) -> None: ...

    def see(self, frame: "VideoFrame") -> None: ...

    def end(self) -> None: ...


class Stills:
    """Small pictures at shares (0..1) of a clip's length, taken while somebody else decodes it.

    One frame is held at a time. What goes wrong here is kept in `error` and raises nothing: the decode is not for the
    pictures (a Watcher).
    """

    def __init__(self, shares: Callable[[tuple[int, int]], Sequence[float]], *, side: int) -> None:
        """`shares` gets the size (width, height) that a player shows; no side of a picture exceeds `side` pixels."""
        self.pictures: list[Image] = []
        """What was taken, in the order of display, upright. Fewer than asked for where the clip ends early."""
        self.error: Exception | None = None
        self.begun = False
        """Whether a decode was looked at."""
        self._shares, self._side = shares, side
        self._video: VideoStream | None = None
        self._wanted_s: list[float] = []
        self._shown: VideoFrame | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing more is wanted."""
        return not self._wanted_s

    def begin(self, video: VideoStream) -> None:
        """Say what comes; what was taken of another decode is forgotten."""
        self.begun, self._video = True, video
        self.pictures, self.error, self._wanted_s, self._shown = [], None, [], None
        try:
            shares = sorted(self._shares(video.size))
        except Exception as error:
            self.error = error
            return
        self._wanted_s = [video.start_s + share * video.duration_s for share in shares]

    def see(self, frame: "VideoFrame") -> None:
        """Take the frame before `frame` if a wanted moment lies between them."""
        if not self._wanted_s:
            return
        while self._wanted_s and frame.time is not None and frame.time > self._wanted_s[0]:
            self._take(self._shown or frame)
        self._shown = frame if self._wanted_s else None

    def end(self) -> None:
        """The last frame stands for a moment after it, once."""
        if self._wanted_s and self._shown is not None:
            self._take(self._shown)
        self._wanted_s, self._shown = [], None

    def _take(self, frame: "VideoFrame") -> None:
        self._wanted_s.pop(0)
        assert self._video is not None  # `begin` said when to take one
        try:
            scale = min(1.0, self._side / max(frame.width, frame.height))
            size = {name: max(1, round(getattr(frame, name) * scale)) for name in ("width", "height")}
            self.pictures.append(upright(frame, self._video, **size, interpolation="AREA"))
        except Exception as error:
            self.error, self._wanted_s = error, []


# A clip is looked through for so long.
_LOOK_S = 60.0


def look_through(path: Path, stills: Stills) -> None:
    """Decode the clip at `path` as far as `stills` needs it; damage on the way, or a minute, ends it.

    Raises MediaError when the clip has no picture or cannot be opened.
    """
    import av.error

    stills.begin(_video_of(probe(path)))
    deadline = time.monotonic() + _LOOK_S
    with open_guarded(path) as container:
        stream = main_video(container)
        assert stream is not None
        stream.thread_type = "AUTO"
        with suppress(av.error.FFmpegError):
            for frame in container.decode(stream):
                stills.see(frame)
                if stills.complete or time.monotonic() > deadline:
                    break
    stills.end()


def picture_in(path: Path, *, side: int) -> "Image":
    """The picture in a JPEG, PNG or WebP file, no side over `side` pixels. Raises MediaError where it is none."""
    from PIL import Image

    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise MediaError(f"{path} is {picture.width} x {picture.height} pixels, which is too large to show.")
            picture.thumbnail((side, side))
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path} is no picture that can be read ({type(error).__name__}).") from error


def frames_at(path: Path, shares: Sequence[float]) -> "list[Image]":
    """The frames of the clip at the given shares (0..1) of its length, turned as a player shows them.

    Raises MediaError when the clip has no picture or cannot be decoded there.
    """
    video = _video_of(probe(path))
    return _frames_shown(path, video, [share * video.duration_s for share in shares])


def last_frame(path: Path, length_s: float | None = None) -> "Image":
    """The last frame of the clip's first `length_s` seconds (of all where None) as `stitch` uses them, upright.

    Raises MediaError as `frames_at`.
    """
    info = probe(path)
    video = _video_of(info)
    # The middle of that frame, which no rounding of time stamps misses.
    return _frames_shown(path, video, [float((frame_count(info, video.rate, length_s) - 0.5) / video.rate)])[0]


def _video_of(info: MediaInfo) -> VideoStream:
    if info.video is None:
        raise MediaError(f"{info.path} has no picture.")
    return info.video


def _frames_shown(path: Path, video: VideoStream, moments_s: Sequence[float]) -> "list[Image]":
    """The frames that are shown so many seconds after the first."""
    import av.error

    pictures: list[Image] = []
    with open_guarded(path) as container:
        stream = main_video(container)
        assert stream is not None and stream.time_base is not None
        stream.thread_type = "AUTO"
        for moment_s in moments_s:
            wanted_s = video.start_s + moment_s
            try:
                container.seek(int(wanted_s / stream.time_base), stream=stream)
                picture = upright(_first_at(container.decode(stream), wanted_s), video)
            except (av.error.FFmpegError, StopIteration) as error:
                raise MediaError(f"{path} cannot be decoded at {wanted_s:.2f} s; the file is damaged.") from error
            pictures.append(picture)
    return pictures


def fitted(picture: "Image", box: tuple[int, int], *, enlarge: bool = True) -> "Image":
    """The picture scaled to the largest size inside `box` (width, height in pixels); its shape is kept."""
    from PIL.Image import Resampling

    scale = min(box[0] / picture.width, box[1] / picture.height)
    if not enlarge:
        scale = min(1.0, scale)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Resampling.LANCZOS)


def jpeg_bytes(picture: "Image", quality: int) -> bytes:
    """The picture as a JPEG file; `quality` is Pillow's, 1..95."""
    data = io.BytesIO()
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    rgb.save(data, "JPEG", quality=quality, optimize=True)
    return data.getvalue()


def data_uri(media_type: str, data: bytes) -> str:
    """`data` as a base64 `data:` URI."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def save_picture(picture: "Image", target: Path) -> None:
    """Write `target`, JPEG or PNG by its suffix, whole or not at all. Raises MediaError when it cannot be written."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix.lower() in (".jpg", ".jpeg"):
            temporary.write_bytes(jpeg_bytes(picture, 88))
        else:
            picture.save(temporary, "PNG", optimize=True)
        temporary.replace(target)
    except OSError as error:
        raise MediaError(f"The picture {target} could not be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _first_at(frames: "Iterator[VideoFrame]", wanted_s: float) -> "VideoFrame":
    """The frame shown at `wanted_s`: the last of those that begin no later, or else the first."""
    shown = next(frames)
    for frame in frames:
        if frame.time is not None and frame.time > wanted_s:
            break
        shown = frame
    return shown


def upright(frame: "VideoFrame", video: VideoStream, **scaled: Any) -> "Image":
    """The frame as a player shows it: cropped, turned and mirrored; `scaled` is for the whole frame."""
    from PIL import ImageOps

    picture = frame.to_image(**scaled)
    left, right, top, bottom = video.cropping
    across, down = picture.width / frame.width, picture.height / frame.height
    if any(video.cropping):
        box = (left * across, top * down, (frame.width - right) * across, (frame.height - bottom) * down)
        picture = picture.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))
    if video.rotation:
        picture = picture.rotate(video.rotation, expand=True)
    return ImageOps.mirror(picture) if video.mirrored else picture
