"""Writing pictures that were made here as a clip."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import MediaError
from video_pipeline.media.stitching import CRF, THREADS, whole_or_not_at_all

if TYPE_CHECKING:
    import numpy as np


def encode(pictures: "Iterable[np.ndarray]", target: Path, *, size: tuple[int, int], rate: Fraction) -> None:
    """Write `pictures`, each an array (height, width, 3) of 8-bit RGB, as the silent MP4 `target`.

    H.264 4:2:0, BT.709, `rate` frames a second; `size` is (width, height), both even. `target` appears whole or not
    at all. Raises MediaError.
    """
    import av
    import av.error
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    with whole_or_not_at_all(target) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
                stream = container.add_stream("libx264", rate=rate, options={"crf": str(CRF), "preset": "medium"})
                coder = stream.codec_context
                coder.width, coder.height = size
                coder.pix_fmt = "yuv420p"
                coder.thread_count = THREADS
                coder.color_range = ColorRange.MPEG
                coder.colorspace = Colorspace.ITU709
                coder.color_primaries, coder.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
                for picture in pictures:
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
                    )
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        except av.error.FFmpegError as error:
            raise MediaError(f"{target.name} could not be encoded: {error.strerror}.") from error
