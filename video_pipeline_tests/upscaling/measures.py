"""What a clip shows, sounds like and says of itself, read back for comparison."""

import math
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from video_pipeline.media import VideoStream, ffmpeg_exe, probe
from video_pipeline.upscaling import UpscaleSettings

# Twice the size of `clips.render`'s pictures: with the network, and without it.
SMALL = UpscaleSettings(short_side=72)
PLAIN = UpscaleSettings(short_side=72, blend=0)


def video_of(path: Path) -> VideoStream:
    video = probe(path).video
    assert video is not None
    return video


def exact_time(frame: av.VideoFrame) -> Fraction:
    assert frame.pts is not None and frame.time_base is not None
    return frame.pts * frame.time_base


def timestamps(path: Path) -> list[Fraction]:
    """Every frame's time, in order of display, exact."""
    with av.open(f"file:{path.absolute()}") as clip:
        return [exact_time(frame) for frame in clip.decode(video=0)]


Packets = list[tuple[Fraction | None, Fraction, bytes]]


def packets(path: Path, kind: str) -> list[Packets]:
    """Time, length and content of every packet, by stream."""
    with av.open(f"file:{path.absolute()}") as clip:
        streams = [stream for stream in clip.streams if stream.type == kind]
        found: dict[int, Packets] = {stream.index: [] for stream in streams}
        # Without a stream to choose, PyAV would give the packets of all.
        for packet in clip.demux(streams) if streams else ():
            if packet.size:
                time = None if packet.pts is None else packet.pts * packet.time_base
                found[packet.stream.index].append((time, (packet.duration or 0) * packet.time_base, bytes(packet)))
        return list(found.values())


def pictures(path: Path, size: tuple[int, int], matrix: str | None = None) -> np.ndarray:
    """All frames as the ffmpeg program shows them: turned upright, at `size`, by the tags or the named matrix."""
    scale = f"scale={size[0]}:{size[1]}:flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
    if matrix:
        scale += f":in_color_matrix={matrix}"
    command = [ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(path)]
    command += ["-vf", scale, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)


def sound(path: Path, number: int = 0) -> np.ndarray:
    """What is heard of a sound track from 0 s on, as the ffmpeg program decodes it: mono, 48 kHz, silence in gaps."""
    in_time = "aresample=48000:async=1:min_hard_comp=0.001:first_pts=0"
    command = [ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-copyts", "-i", str(path), "-map", f"0:a:{number}"]
    raw = subprocess.run([*command, "-af", in_time, "-ac", "1", "-f", "f32le", "-"], capture_output=True, check=True)
    return np.frombuffer(raw.stdout, np.float32)


def lag_s(before: np.ndarray, after: np.ndarray) -> float:
    """By how many seconds the second of two sounds is later than the first."""
    length = min(len(before), len(after))
    size = 1 << (2 * length).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(after[:length], size) * np.conj(np.fft.rfft(before[:length], size)), size)
    best = int(np.argmax(likeness))
    return (best if best < size // 2 else best - size) / 48_000


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """In dB, of 8-bit values; infinite for equal ones."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def luma(frames: np.ndarray) -> np.ndarray:
    return frames @ np.array([0.299, 0.587, 0.114])


def bars(path: Path, size: tuple[int, int], matrix: str | None = None) -> np.ndarray:
    """The middles of the seven colour bars: their edges would show how chroma is sampled, not how it is converted."""
    shown = pictures(path, size, matrix)[:, size[1] // 8 : size[1] // 2]
    middles = [round((bar + 0.5) * size[0] / 7) for bar in range(7)]
    return np.stack([shown[:, :, middle - 1 : middle + 2] for middle in middles])


def folder(path: Path) -> Sequence[str]:
    return sorted(entry.name for entry in path.iterdir())
