"""The sandbox's footage: real H.264 and AAC files, deterministic for an order, spoilt where a fault asks for it.

Imported only where something is rendered (numpy, pillow). The pictures come from `scenes`, or from a given image for
image-to-video; here they get a camera, film grain, sound, and a file.
"""

import contextlib
import io
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, UnidentifiedImageError

from video_pipeline.errors import MediaError
from video_pipeline.sandbox.scenes import Array, Paint, generator, scene_for

SAMPLE_RATE = 48000
MAX_IMAGE_PIXELS = 40_000_000
CANVAS_SHORT_SIDE = 270
"""Larger pictures are painted at this short side and scaled up by ffmpeg: 1080p must not take long."""
_FRAMES_AT_ONCE = 6
_WIDE_VIEW = 1.4
"""Scenes are laid out for upright pictures; others are seen from this much farther back, to hold the foreground."""
_GRAIN = 0.016
_CRF, _SCALED_CRF, _TINY_CRF = 9, 20, 51
"""Quality of small pictures (files of 100 kB and more), of those scaled up, and of the tiny file."""
_ASPECTS = ((16, 9), (9, 16), (1, 1), (4, 3), (3, 4))


class NotAnImage(MediaError):
    """The image given for image-to-video cannot be read."""


@dataclass(frozen=True)
class Take:
    """What decides every pixel. `size` is (width, height) pixels."""

    endpoint: str
    prompt: str
    seed: int
    size: tuple[int, int]

    def generator(self, purpose: str) -> np.random.Generator:
        return generator(self.endpoint, self.prompt, self.seed, purpose)


def nearest_aspect(image: bytes) -> tuple[int, int]:
    """The usual aspect (width, height) closest to the image's. Raises NotAnImage."""
    wide, high = _opened(image).size
    return min(_ASPECTS, key=lambda aspect: abs(np.log(aspect[0] / aspect[1] * high / wide)))


def render_image(path: Path, take: Take) -> None:
    """Writes the first frame of a take as PNG."""
    frames = next(_frames(take, take.size, np.zeros((1, 1, 1), np.float32), image=None))
    temporary = path.with_suffix(".part")
    Image.fromarray(frames[0]).save(temporary, "PNG")
    temporary.replace(path)


def render_video(
    path: Path,
    take: Take,
    *,
    duration_s: float,
    fps: int,
    audio: bool,
    image: bytes | None,
    faults: dict[str, float | None],
) -> None:
    """Writes a take as MP4: H.264 4:2:0 BT.709, stereo AAC when asked, index in front.

    Raises NotAnImage for an image that cannot be read, MediaError when the encoder fails.
    """
    if "wrong_length" in faults:
        duration_s *= faults["wrong_length"] or 0.5
    size = take.size
    if "wrong_size" in faults:
        size = (max(2, size[0] // 4 * 2), max(2, size[1] // 4 * 2))
    count = max(1, round(duration_s * fps))
    canvas = _canvas(size)
    times = (np.arange(count, dtype=np.float32) / np.float32(fps))[:, None, None]
    frames = _spoilt(_frames(take, canvas, times, image), take, faults)
    heard = (audio or "unasked_audio" in faults) and "no_audio" not in faults
    sound = _sound(take, count / fps) if heard else None
    temporary = path.with_suffix(".part")
    _encode(temporary, frames, canvas, size, fps, sound, _encoder_settings(faults, scaled=canvas != size))
    if "truncated_mp4" in faults:
        temporary.write_bytes(temporary.read_bytes()[: temporary.stat().st_size // 2])
    if "corrupt_file" in faults:
        rest = take.generator("corruption").bytes(temporary.stat().st_size - 32)
        temporary.write_bytes(temporary.read_bytes()[:32] + rest)
    temporary.replace(path)


# --- picture -------------------------------------------------------------------------------------------------------


def _canvas(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, CANVAS_SHORT_SIDE / min(size))
    return round(size[0] * scale / 2) * 2, round(size[1] * scale / 2) * 2


def _frames(take: Take, size: tuple[int, int], times: Array, image: bytes | None) -> Iterator[np.ndarray]:
    """The frames, some at a time, as bytes of shape (frames, height, width, 3)."""
    width, height = size
    short = min(size)
    if image is None and height <= width:
        short /= _WIDE_VIEW
    u = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / short)[None, None, :]
    v = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) / short)[None, :, None]
    rng = take.generator("picture")
    paint = scene_for(take.prompt, rng) if image is None else _animated(image, size, rng)
    grain = take.generator("grain")
    push, pan = float(rng.uniform(-0.018, 0.03)), float(rng.uniform(-0.012, 0.012))
    # A picture to start from is shown as it is.
    vignette = (1 - (0.3 if image is None else 0.0) * (u**2 + (v * min(size) / height) ** 2))[..., None]
    for start in range(0, len(times), _FRAMES_AT_ONCE):
        t = times[start : start + _FRAMES_AT_ONCE]
        zoom = np.float32(1) / (1 + np.float32(push) * t)
        picture = paint(t, u * zoom + np.float32(pan) * t, v * zoom) * vignette
        noise = grain.standard_normal(picture.shape[:3], dtype=np.float32) * np.float32(_GRAIN)
        yield (np.clip(picture + noise[..., None], 0, 1) * 255 + 0.5).astype(np.uint8)


def _opened(image: bytes) -> Image.Image:
    try:
        opened = Image.open(io.BytesIO(image), formats=("PNG", "JPEG", "WEBP"))
        if opened.width * opened.height > MAX_IMAGE_PIXELS:
            raise NotAnImage(f"The image has {opened.size} pixels, more than {MAX_IMAGE_PIXELS} in all.")
        return opened.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise NotAnImage(f"The image cannot be read: {error}.") from error


def _animated(image: bytes, size: tuple[int, int], rng: np.random.Generator) -> Paint:
    """A camera that moves from a still image into it, with a slight sway in it and a sweep of light across it."""
    width, height = size
    opened = _opened(image)
    scale = max(width / opened.width, height / opened.height)
    resized = opened.resize((max(1, round(opened.width * scale)), max(1, round(opened.height * scale))))
    source = np.asarray(resized, np.float32) / 255
    rows, columns = source.shape[:2]
    way, phase = float(rng.choice([-1, 1])), float(rng.uniform(0, 6))

    def paint(t: Array, u: Array, v: Array) -> Array:
        short = min(width, height)
        zoom = 1 - 0.14 * (1 - np.exp(-t * 0.6))
        sway = 0.006 * (np.sin(v * 5 + t * 1.8 + phase) - np.sin(v * 5 + phase))
        # The middle of a pixel is the middle of a pixel, so that the first frame is the image itself.
        x = (u * zoom + way * 0.014 * t + sway) * short + (columns - 1) / 2
        y = v * zoom * short + (rows - 1) / 2 + 0 * x
        x = np.clip(x + 0 * y, 0, columns - 1.001)
        y = np.clip(y, 0, rows - 1.001)
        left, upper = x.astype(np.int32), y.astype(np.int32)
        across, down = (x - left)[..., None], (y - upper)[..., None]
        above = source[upper, left] * (1 - across) + source[upper, left + 1] * across
        below = source[upper + 1, left] * (1 - across) + source[upper + 1, left + 1] * across
        sweep = np.exp(-(((u + v * 0.3 - ((t * 0.45) % 2.4 - 0.9)) / 0.16) ** 2)) * _sat_time(t)
        return (above * (1 - down) + below * down) * (1 + 0.22 * sweep)[..., None]

    return paint


def _sat_time(t: Array) -> Array:
    """0 at the first frame, so that a clip begins with the image it was given."""
    return np.clip(t * 4, 0, 1)


def _spoilt(frames: Iterator[np.ndarray], take: Take, faults: dict[str, float | None]) -> Iterator[np.ndarray]:
    rng = take.generator("spoiling")
    still: np.ndarray | None = None
    for chunk in frames:
        if "black" in faults:
            yield rng.integers(0, 5, chunk.shape, np.uint8)  # Not quite 0, or the file would be too small as well.
        elif "garbled" in faults:
            yield rng.integers(0, 256, chunk.shape, np.uint8)
        elif "frozen" in faults:
            still = chunk[:1] if still is None else still
            yield np.repeat(still, len(chunk), axis=0)
        elif "unsafe" in faults:
            # Nothing unsafe is ever drawn: it is magenta that a test's classifier is asked about.
            tint = 0.7 * (1.0 if faults["unsafe"] is None else faults["unsafe"])
            yield (chunk * (1 - tint) + tint * np.array([255, 0, 255])).astype(np.uint8)
        else:
            yield chunk


# --- sound ---------------------------------------------------------------------------------------------------------


def _sound(take: Take, duration_s: float) -> np.ndarray:
    """A chord of varying loudness and a soft beat: 16 bit, shape (samples, 2)."""
    rng = take.generator("sound")
    t = np.arange(round(duration_s * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
    root = 110 * 2 ** (int(rng.integers(0, 12)) / 12)
    steps = ((0, 7, 12, 16), (0, 7, 12, 15), (0, 5, 12, 17), (0, 7, 14, 19))[int(rng.integers(4))]
    left, right = np.zeros_like(t), np.zeros_like(t)
    for number, step in enumerate(steps):
        pitch = root * 2 ** (step / 12)
        breath = 0.6 + 0.4 * np.sin(2 * np.pi * (0.2 + 0.07 * number) * t + number)
        for channel, detune in ((left, 0.9985), (right, 1.0015)):
            phase = np.float32(2 * np.pi * pitch * detune) * t
            channel += breath * (np.sin(phase) + 0.25 * np.sin(2 * phase)) * np.float32(0.09)
    beat_s = float(rng.uniform(0.42, 0.6))
    since = t % beat_s
    kick = 0.35 * np.sin(2 * np.pi * 52 * since) * np.exp(-since * 16)
    offbeat = (t + beat_s / 2) % beat_s
    brush = 0.05 * rng.standard_normal(len(t), dtype=np.float32) * np.exp(-offbeat * 38)
    fade = np.minimum(1, np.minimum(t, t[::-1]) * 25)
    mixed = np.stack([left + kick + brush, right + kick - brush], axis=1) * fade[:, None]
    return (np.clip(mixed, -0.95, 0.95) * 32767).astype("<i2")


# --- file ----------------------------------------------------------------------------------------------------------


def _encoder_settings(faults: dict[str, float | None], *, scaled: bool) -> list[str]:
    if "tiny_file" in faults:
        return ["-crf", str(_TINY_CRF)]
    if "black" in faults or "frozen" in faults:
        return ["-crf", "1", "-g", "1"]  # Predicted frames would shrink it to a file that is too small as well.
    if "unsafe" in faults:
        return ["-crf", "8"]  # What is left of the scene under the tint is soon too small as well.
    if "garbled" in faults:
        return ["-crf", "30"]
    return ["-crf", str(_SCALED_CRF if scaled else _CRF)]


def _encode(
    path: Path,
    frames: Iterator[np.ndarray],
    canvas: tuple[int, int],
    size: tuple[int, int],
    fps: int,
    sound: np.ndarray | None,
    settings: list[str],
) -> None:
    """Pipes the frames through ffmpeg into an MP4; raises MediaError with ffmpeg's message when it fails."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder, tempfile.TemporaryFile() as errors:
        sound_path = None
        if sound is not None:
            sound_path = Path(folder) / "sound.wav"
            _write_wave(sound_path, sound)
        command = _command(path, canvas, size, fps, sound_path, settings)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
        assert process.stdin is not None
        # A broken pipe means that ffmpeg has ended; its exit code and its words say why.
        with contextlib.suppress(BrokenPipeError), process:
            try:
                for chunk in frames:
                    process.stdin.write(chunk.tobytes())
            except BaseException:
                process.kill()
                raise
        if process.wait() != 0:
            errors.seek(0)
            message = errors.read().decode(errors="replace")[-500:]
            raise MediaError(f"ffmpeg could not write {path.name} (exit code {process.returncode}): {message}")


def _command(
    path: Path, canvas: tuple[int, int], size: tuple[int, int], fps: int, sound: Path | None, settings: list[str]
) -> list[str]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{canvas[0]}x{canvas[1]}", "-r", str(fps)]
    command += ["-i", "pipe:0"]
    if sound is not None:
        command += ["-i", str(sound), "-c:a", "aac", "-b:a", "128k"]
    tags = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    scale = f"scale={size[0]}:{size[1]}:flags=bicubic:out_color_matrix=bt709:out_range=tv"
    command += ["-vf", f"{scale},format=yuv420p,{tags}", "-c:v", "libx264", "-preset", "veryfast", *settings]
    # One thread: the same bytes on every machine, and the other cores stay free for the pipeline.
    command += ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]
    return [*command, "-movflags", "+faststart", "-f", "mp4", str(path)]


def _write_wave(path: Path, sound: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(sound.tobytes())
