"""Reads a clip: pictures as planes, as the decoder gives them, and the packets of everything else.

A picture keeps its timestamp and duration. Everything else (sound, subtitles, chapters, titles) is not changed.
A clip that cannot be kept faithfully is refused here.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.errors import MediaError
from video_pipeline.media import MAX_PIXELS, VideoStream, carries_alpha, codec_of, main_video, open_guarded, probe
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.film.fields import Deinterlacer, Fields, fields_of
from video_pipeline.upscaling.film.frames import planes_of, taken_as
from video_pipeline.upscaling.film.inspection import inspect
from video_pipeline.upscaling.film.timing import Cuts, Picture, timed

if TYPE_CHECKING:
    import av
    import av.packet
    from av.stream import AttachmentStream, Stream

_HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
# What only HDR films have beside their pictures, by words in ffmpeg's names of it.
_HDR_RECORDS = {
    "dovi": "Dolby Vision",
    "dynamic hdr plus": "HDR10+",
    "hdr10+": "HDR10+",
    "dynamic hdr vivid": "HDR Vivid",
    "mastering display": "HDR10, by its mastering display",
    "content light level": "HDR10, by its light level",
}
_MATRICES = frozenset({"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"})


class Source:
    """An open clip. `items` gives its pictures in order of display, and all other packets in the file's order.

    Its packets are all read once beforehand (see `inspection`), and interlaced pictures come whole. Raises MediaError
    for a clip that cannot be upscaled faithfully. That is no video, HDR, transparency, more than 10 bits, other than
    YUV, fields as pictures of their own, a display matrix beyond quarter turns and mirroring, or a file of which
    something is missing.
    """

    def __init__(self, path: Path) -> None:
        from av.video.reformatter import VideoReformatter

        self.path = path
        self.info = probe(path)
        if self.info.video is None:
            raise MediaError(f"{path} has no video stream; there is nothing to upscale.")
        self.video: VideoStream = self.info.video
        self.shape = plane_format(path, self.video)
        """How to read the pictures' planes."""
        self.container = open_guarded(path)
        stream = main_video(self.container)
        assert stream is not None  # the probe saw it
        self.stream = stream
        streams = (*self.container.streams.audio, *self.container.streams.subtitles)
        self.copied: list[Stream] = [stream for stream in streams if codec_of(stream) is not None]
        """Sound and subtitles, but those that cannot be decoded: muxers learn of a codec by its decoder."""
        self.fields = fields_of(path, self.video)
        """How whole pictures are made of interlaced ones; None for a clip that seems to have none."""
        self.decode_s = 0.0
        self.video_bytes = 0
        """Bytes of the video packets that were read so far."""
        self._reformatter = VideoReformatter()
        self._deinterlacer: Deinterlacer | None = None
        self.inspection = inspect(path, self.info)

    @property
    def deinterlaced(self) -> int:
        """Pictures that were made of fields so far."""
        return self._deinterlacer.pictures if self._deinterlacer is not None else 0

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def attached_to(self, container_format: str) -> "list[AttachmentStream]":
        """The attachments that come along: of a Matroska file, those that have a name and a kind."""
        if container_format != "matroska":
            return []
        return [file for file in self.container.streams.attachments if file.name and file.mimetype and file.data]

    def items(self) -> "Iterator[Picture | av.packet.Packet]":
        """Pictures and copied packets. Raises MediaError at a damaged packet or frame, or an early end."""
        import av.error

        items = timed(self._items(), self.video.time_base, self.inspection.pictures_end_s)
        while True:
            started = time.perf_counter()
            try:
                item = next(items, None)
            except av.error.FFmpegError as error:
                raise MediaError(f"{self.path} is damaged and cannot be decoded ({error.strerror}).") from error
            self.decode_s += time.perf_counter() - started
            if item is None:
                return
            yield item

    def _items(self) -> "Iterator[Picture | av.packet.Packet]":
        # Without it, the decoder would conceal damage and report nothing.
        self.stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
        self.stream.thread_type = "AUTO"
        cuts = Cuts()
        for packet in self.container.demux([self.stream, *self.copied]):
            if packet.stream is self.stream:
                self.video_bytes += packet.size
                if carries_alpha(packet):
                    raise MediaError(_transparent(self.path, self.video))
                for frame in self.stream.decode(packet):
                    yield from self._whole(self._checked(frame))
            elif packet.size and not cuts.hides(packet):
                yield packet
        yield from self._whole(None)

    def _checked(self, frame: "av.VideoFrame") -> "av.VideoFrame":
        if frame.pts is None or frame.is_corrupt:
            raise MediaError(f"{self.path} is damaged: a frame is broken or has no timestamp.")
        if (frame.width, frame.height) != self.shape.size:
            raise MediaError(f"{self.path} changes its picture's size on the way; cut it there first.")
        if frame.format.name != self.shape.pixel_format:
            # The same colours in another order of bytes; nothing is converted.
            frame = self._reformatter.reformat(frame, format=self.shape.pixel_format)
        return frame

    def _whole(self, frame: "av.VideoFrame | None") -> Iterator[Picture]:
        """Pictures without fields, of a frame or of what is left at the end."""
        fields = self.fields
        if fields is None and frame is not None and frame.interlaced_frame:
            # The first of its kind, later than was looked for.
            fields = self.fields = Fields("auto")
            if self.video.codec == "hevc":
                raise MediaError(_fields_apart(self.path))
        if fields is not None and frame is not None and self._deinterlacer is None:
            self._deinterlacer = Deinterlacer(fields, frame)
        frames: Iterable[av.VideoFrame] = () if frame is None else (frame,)
        if self._deinterlacer is not None:
            frames = self._deinterlacer.through(frame)
        for whole in frames:
            assert whole.pts is not None  # it was checked
            yield Picture(whole.pts, whole.duration or 0, planes_of(whole, self.shape))


def matrix_of(video: VideoStream, size: tuple[int, int]) -> str:
    """The matrix that a player uses for a picture of this size: the tag, else BT.709 from 720 lines, else BT.601.

    For an untagged clip, source and target each get the matrix of their own height, as players do.
    """
    return video.color_matrix or ("bt709" if size[1] >= 720 else "smpte170m")


def plane_format(path: Path, video: VideoStream) -> PlaneFormat:
    """How to read the planes of `video`. Raises MediaError for a video that cannot be upscaled faithfully."""
    hdr = _HDR.get(video.color_transfer or "") or _hdr_record(video)
    if hdr:
        raise MediaError(f"{path} is HDR ({hdr}); tone-map it to SDR first, for the upscaler works on SDR.")
    if video.transparent:
        raise MediaError(_transparent(path, video))
    if video.codec == "hevc" and video.interlaced:
        raise MediaError(_fields_apart(path))
    if video.bit_depth > 10:
        raise MediaError(
            f"{path} has {video.bit_depth} bits a sample ({video.pixel_format}); convert it to 10 or 8 bits first."
        )
    pixel_format = taken_as(video.pixel_format)
    if pixel_format is None:
        raise MediaError(f"{path} is {video.pixel_format}; the upscaler takes YUV without transparency.")
    if video.color_matrix is not None and video.color_matrix not in _MATRICES:
        raise MediaError(f"{path} has the colour matrix {video.color_matrix}, which H.264 clips do not use here.")
    if video.distorted:
        raise MediaError(
            f"{path} is to be shown turned by {video.rotation} degrees or sheared; only quarter turns and mirroring "
            "can be applied, so turn it in another step first."
        )
    full_range = video.color_range == "pc" or video.pixel_format.startswith("yuvj")
    matrix = matrix_of(video, video.coded_size)
    # Where nothing is said, "left" is what encoders write and players take.
    return PlaneFormat(video.coded_size, pixel_format, matrix, full_range, video.chroma_siting or "left")


def _hdr_record(video: VideoStream) -> str | None:
    return next(
        (name for word, name in _HDR_RECORDS.items() if any(word in record for record in video.records)), None
    )


def _transparent(path: Path, video: VideoStream) -> str:
    return (
        f"{path} is transparent, by a second {video.codec} picture beside each one; the upscaler takes opaque "
        "pictures, so put it on a background first."
    )


def _fields_apart(path: Path) -> str:
    # The decoder of HEVC calls nothing else interlaced.
    return f"{path} is interlaced HEVC with each field a picture of its own; join its fields in another step first."
