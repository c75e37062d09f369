"""Single frames of a clip as pictures: at a moment, fitted into a box, written to a file; thumbnails (O3)."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import MediaError
from video_pipeline.media.probing import first_video, open_guarded, probe

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from PIL.Image import Image


def thumbnail(video: Path, target: Path, *, height: int = 360) -> None:
    """Write the frame at a third of `video` to `target` (JPEG or PNG by its suffix), `height` pixels high.

    Raises MediaError when the clip cannot be decoded.
    """
    [picture] = frames_at(video, [1 / 3])
    save_picture(fitted(picture, (10 * height, height)), target)


def frames_at(path: Path, shares: Sequence[float]) -> "list[Image]":
    """The frames of the clip at the given shares (0..1) of its length, turned as a player shows them.

    Raises MediaError when the clip has no picture or cannot be decoded there.
    """
    import av.error

    info = probe(path)
    if info.video is None:
        raise MediaError(f"{path} has no picture.")
    pictures: list[Image] = []
    with open_guarded(path) as container:
        stream = first_video(container)
        assert stream is not None and stream.time_base is not None
        stream.thread_type = "AUTO"
        for share in shares:
            wanted_s = info.video.start_s + share * info.video.duration_s
            try:
                container.seek(int(wanted_s / stream.time_base), stream=stream)
                picture = _upright(_first_at(container.decode(stream), wanted_s))
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
    picture.convert("RGB").save(data, "JPEG", quality=quality, optimize=True)
    return data.getvalue()


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


def _upright(frame: "VideoFrame") -> "Image":
    picture = frame.to_image()
    return picture.rotate(frame.rotation, expand=True) if frame.rotation % 360 else picture
