"""PyAV frames as planes of numpy arrays, and back; and which pixel formats are accepted."""

from typing import TYPE_CHECKING

from video_pipeline.upscaling.compute.planes import PIXEL_FORMATS, PlaneFormat

if TYPE_CHECKING:
    import av
    import numpy as np
    from av.video.plane import VideoPlane

    from video_pipeline.upscaling.compute.planes import Planes

# What else is taken: the same samples in another order.
_TAKEN_AS = {
    **{name: name for name in PIXEL_FORMATS},
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "p010le": "yuv420p10le",
    "yuvj411p": "yuv411p",
}


def taken_as(pixel_format: str) -> str | None:
    """The planar format in which a decoder's format is worked on; None for one that is not taken."""
    return _TAKEN_AS.get(pixel_format)


def planes_of(frame: "av.VideoFrame", shape: PlaneFormat) -> "Planes":
    """The frame's planes as arrays (H, W) and (H/sy, W/sx), uint8 or int16: views, which keep the frame alive."""
    luma, blue, red = (_view(plane, shape.bit_depth) for plane in frame.planes)
    return luma, blue, red


def frame_of(planes: "Planes", pixel_format: str) -> "av.VideoFrame":
    """A new frame with these planes in it."""
    import av

    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, values in zip(frame.planes, planes, strict=True):
        _view(plane, 8 * values.itemsize)[:] = values
    return frame


def _view(plane: "VideoPlane", bits: int) -> "np.ndarray":
    """A plane's memory as (rows, columns), without the padding at the rows' ends."""
    import numpy as np

    sample = np.dtype(np.uint8 if bits == 8 else np.int16)
    # A plane offers Python's buffer protocol, which PyAV's type stubs do not say.
    memory = np.frombuffer(plane, sample)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return memory.reshape(plane.height, plane.line_size // sample.itemsize)[:, : plane.width]
