"""The choice of the encoder: NVENC where a trial encode works, else x264."""

import functools
from dataclasses import dataclass

from video_pipeline.errors import UpscalingError
from video_pipeline.upscaling.report import UpscaleSettings

# Fixed, because x264's result depends on it. More clips at a time use more cores, more threads for one clip do not:
# four threads on each of four clips encode faster than sixteen on one.
_X264_THREADS = 4
_PROBE_SIDE, _PROBE_FRAMES = 256, 4


@dataclass(frozen=True, slots=True)
class Encoding:
    """PyAV's name of an encoder, its options, and its number of threads (0: the encoder chooses)."""

    codec: str
    options: dict[str, str]
    threads: int


def choose_encoding(settings: UpscaleSettings, bit_depth: int, *, variable_rate: bool = False) -> Encoding:
    """The encoder that the settings name; for "auto", the best one that works here. `bit_depth` is 8 or 10.

    Both give constant quality: x264 by its CRF, NVENC by the target quality of its variable rate. NVENC has no
    bitrate limit here, because with one it ignores the quality. At a variable rate no picture is coded after a later
    one, because MP4 keeps times between pictures in the order of coding. Raises UpscalingError when NVENC is asked
    for and does not work.
    """
    order = {"bf": "0"} if variable_rate else {}
    # NVENC's H.264 has 8 bits only before Blackwell.
    fits = bit_depth == 8
    if settings.encoder == "nvenc" or (settings.encoder == "auto" and fits):
        complaint = nvenc_complaint() if fits else "it writes 8-bit H.264 only, and the clip has more"
        if complaint is None:
            options = {"preset": "p5", "rc": "vbr", "cq": str(settings.crf), "b": "0", "spatial-aq": "1"}
            return Encoding("h264_nvenc", options | order, threads=0)
        if settings.encoder == "nvenc":
            raise UpscalingError(f"NVENC cannot encode here: {complaint}; take x264, or auto.")
    return Encoding("libx264", {"crf": str(settings.crf), "preset": settings.preset} | order, _X264_THREADS)


@functools.lru_cache(maxsize=1)
def nvenc_complaint() -> str | None:
    """None when NVENC encodes a few frames here; else why not. Data-centre GPUs (A100, H100, H200) have no NVENC."""
    from fractions import Fraction

    import av
    import av.error

    try:
        encoder = av.CodecContext.create("h264_nvenc", "w")
        encoder.width = encoder.height = _PROBE_SIDE
        encoder.pix_fmt = "yuv420p"
        encoder.time_base = Fraction(1, 24)
        written = 0
        for number in range(_PROBE_FRAMES):
            frame = av.VideoFrame(_PROBE_SIDE, _PROBE_SIDE, "yuv420p")
            frame.pts = number
            written += sum(packet.size for packet in encoder.encode(frame))
        written += sum(packet.size for packet in encoder.encode(None))
    except (av.error.FFmpegError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None if written else "it gave no bytes"
