"""What is read of two films at their seam: small frames, their mean colours, and the level of the sound."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from video_pipeline.errors import MediaError
from video_pipeline.media import AudioStream, MediaInfo, VideoStream, main_video, open_guarded, probe

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_SIDE = 64
# The deviation that a frame's luma is brought to; of one that has less than the second, noise is all that it shows.
_CONTRAST, _FLAT = 40.0, 4.0
_RATE = 48_000
# Levels are taken of blocks of this length; blocks so far under the loudest are pauses, and under the floor silence.
_BLOCK = _RATE // 10
_PAUSE_DB, _SILENT_DB = 20.0, -50.0
# Half a second, in blocks.
_STEP = 5
# Linear sRGB to CIE XYZ, and its white, D65 (IEC 61966-2-1).
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float64)
_WHITE = np.array([0.9505, 1.0, 1.0890], np.float64)

_Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """A frame as it is compared.

    `luma` is that of the frame in 64 by 64, brought to a mean of 0 and a usual contrast. `lab` is the mean colour in
    CIE Lab, `codes` the mean of Y, Cb and Cr in the file's 8-bit codes.
    """

    luma: _Plane
    lab: tuple[float, float, float]
    codes: tuple[float, float, float]


@dataclass(frozen=True)
class Level:
    """A level in dB of full scale, pauses left out, and the most it changes by from one half second to the next."""

    db: float
    change_db: float


def distance(one: Look, other: Look) -> float:
    """Mean absolute difference of two frames' luma (0..255), whatever their brightness and contrast."""
    return float(np.abs(one.luma - other.luma).mean())


@dataclass(frozen=True)
class Film:
    """A file with a picture; moments are in seconds after its first frame."""

    info: MediaInfo
    video: VideoStream

    @classmethod
    def of(cls, path: Path) -> "Film":
        """The film in a file. Raises MediaError."""
        info = probe(path)
        if info.video is None:
            raise MediaError(f"{path} has no picture, so its seam cannot be measured; render it again.")
        return cls(info, info.video)

    @property
    def rate(self) -> Fraction:
        return self.video.rate

    def last(self, count: int, end_s: float) -> list[Look]:
        """The last `count` frames that are shown before a moment, one at least. Raises MediaError."""
        half_s = 0.5 / float(self.rate)
        frames = self._frames(end_s - (count + 1) / float(self.rate))
        return self._some(deque((_look(frame) for at_s, frame in frames if at_s < end_s - half_s), maxlen=count))

    def first(self, count: int) -> list[Look]:
        """The first `count` frames, or as many as there are, one at least. Raises MediaError."""
        return self._some(_look(frame) for _, frame in islice(self._frames(0.0), count))

    def _some(self, looks: Iterable[Look]) -> list[Look]:
        found = list(looks)
        if not found:
            raise MediaError(f"{self.info.path} has no frame that can be decoded; the file is damaged.")
        return found

    def _frames(self, from_s: float) -> "Iterator[tuple[float, VideoFrame]]":
        """The frames from a moment on, each with when it is shown."""
        import av.error

        with open_guarded(self.info.path) as container:
            stream = main_video(container)
            assert stream is not None and stream.time_base is not None
            stream.thread_type = "AUTO"
            try:
                if from_s > 0:
                    container.seek(int((self.video.start_s + from_s) / stream.time_base), stream=stream)
                for frame in container.decode(stream):
                    at_s = (frame.time or 0.0) - self.video.start_s
                    if at_s >= from_s:
                        yield at_s, frame
            except av.error.FFmpegError as error:
                raise MediaError(f"{self.info.path} cannot be decoded; the file is damaged.") from error

    def level(self, from_s: float, to_s: float) -> Level | None:
        """The level between two moments; None of silence. Raises MediaError."""
        if self.info.sound is None:
            return None
        samples = self._samples(self.info.sound)[max(0, round(from_s * _RATE)) : round(to_s * _RATE)]
        blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).astype(np.float64)
        powers = (blocks**2).mean(axis=1)
        loudest = float(powers.max(initial=0.0))
        if loudest <= 10 ** (_SILENT_DB / 10):
            return None
        heard = powers[powers > loudest * 10 ** (-_PAUSE_DB / 10)]
        floor = 10 ** (_SILENT_DB / 10)
        parts = powers[: len(powers) // _STEP * _STEP].reshape(-1, _STEP).mean(axis=1)
        changes = np.abs(np.diff(10 * np.log10(np.maximum(parts, floor))))
        return Level(float(10 * np.log10(heard.mean())), float(changes.max(initial=0.0)))

    def _samples(self, sound: AudioStream) -> _Plane:
        """The sound mixed to one channel, as it is joined: its first sample is at the film's zero."""
        import av.error
        from av.audio.frame import AudioFrame
        from av.audio.resampler import AudioResampler

        resampler = AudioResampler(format="fltp", layout="mono", rate=_RATE)
        parts: list[_Plane] = [np.zeros(max(0, round(sound.start_s * _RATE)), np.float32)]
        with open_guarded(self.info.path) as container:
            try:
                for frame in (*container.decode(container.streams[sound.index]), None):
                    assert frame is None or isinstance(frame, AudioFrame)
                    parts += [one.to_ndarray()[0] for one in resampler.resample(frame)]
            except av.error.FFmpegError as error:
                raise MediaError(f"The sound of {self.info.path} cannot be decoded; it is damaged.") from error
        return np.concatenate(parts)


def _look(frame: "VideoFrame") -> Look:
    # One grid for every shape: models that stand in for each other render sizes that differ by a few pixels.
    planes, rgb = (
        frame.reformat(width=_SIDE, height=_SIDE, format=form, interpolation="AREA").to_ndarray().astype(np.float32)
        for form in ("yuv444p", "rgb24")
    )
    mean, blue, red = (float(plane.mean()) for plane in planes)
    luma = (planes[0] - mean) * (_CONTRAST / max(float(planes[0].std()), _FLAT))
    return Look(luma, _mean_lab(rgb), (mean, blue, red))


def _mean_lab(rgb: _Plane) -> tuple[float, float, float]:
    """The mean of a picture's colours (sRGB 0..255) in CIE Lab."""
    unit = rgb.reshape(-1, 3).astype(np.float64) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lightness, green_red, blue_yellow = 116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])
    return float(lightness.mean()), float(green_red.mean()), float(blue_yellow.mean())
