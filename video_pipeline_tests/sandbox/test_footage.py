"""The rendered files, decoded: size, rate, length, sound, motion, and the same bytes for the same request."""

import base64
import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import FFmpegError

from video_pipeline.sandbox.footage import NotAnImage, Take, nearest_aspect, render_image, render_video

SCENES = (
    "Mountain landscape at sunset",
    "Ocean waves at the beach",
    "City street at night",
    "Perfume bottle on a turntable",
    "Abstract data flow",
    "Medium shot of the founder in an office",
    "Coffee cup with steam",
)


@dataclass(frozen=True)
class Decoded:
    """What a decoder finds in a file; frames are (count, height, width, 3) RGB bytes."""

    frames: np.ndarray
    rate: Fraction | None
    codec: str
    pixel_format: str | None
    colour: tuple[int, int, int, int]
    audio_rate: int | None
    audio_s: float
    loudness: float


def decode(source: Path | bytes) -> Decoded:
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source), mode="r") as container:
        video = container.streams.video[0]
        context = video.codec_context
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video)])
        colour = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
        rate, codec, pixel_format = video.average_rate, context.name, context.pix_fmt
        sound = np.zeros((2, 0), np.float32)
        audio_rate = None
        if container.streams.audio:
            container.seek(0)
            audio = container.streams.audio[0]
            audio_rate = audio.rate
            sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio)], axis=1)
    loudness = float(np.sqrt((sound.astype(np.float64) ** 2).mean())) if sound.size else 0.0
    audio_s = sound.shape[1] / audio_rate if audio_rate else 0.0
    return Decoded(frames, rate, codec, pixel_format, colour, audio_rate, audio_s, loudness)


def changes(frames: np.ndarray) -> np.ndarray:
    """Mean difference of each frame to the one before, in steps of 8 bit; grain is averaged away first."""
    count, height, width, _ = frames.shape
    tiles = frames[:, : height // 6 * 6, : width // 6 * 6].astype(np.float32)
    smooth = tiles.reshape(count, height // 6, 6, width // 6, 6, 3).mean(axis=(2, 4))
    return np.abs(np.diff(smooth, axis=0)).mean(axis=(1, 2, 3))


@pytest.fixture
def render(tmp_path: Path) -> Callable[..., Path]:
    def render_one(prompt: str = SCENES[0], *faults: str, seed: int = 1, **more) -> Path:
        options = {"size": (108, 192), "duration_s": 2.0, "audio": False, "image": None} | more
        size = options.pop("size")
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.mp4"
        take = Take("sandbox/sprint/text-to-video", prompt, seed, size)
        render_video(path, take, fps=12, faults=dict.fromkeys(faults), **options)
        return path

    return render_one


@pytest.mark.parametrize("prompt", SCENES)
def test_every_scene_is_a_large_file_that_moves_in_every_frame(render: Callable[..., Path], prompt: str) -> None:
    path = render(prompt)
    decoded = decode(path)
    assert path.stat().st_size > 80_000
    assert decoded.frames.shape == (24, 192, 108, 3)
    assert changes(decoded.frames).min() > 0.3
    assert decoded.frames.mean() > 15
    assert decoded.frames.std() > 12


def test_a_file_has_the_codec_colour_rate_length_and_sound_asked_for(render: Callable[..., Path]) -> None:
    path = render(size=(320, 180), duration_s=2.5, audio=True)
    decoded = decode(path)
    assert decoded.frames.shape == (30, 180, 320, 3)
    assert (decoded.codec, decoded.pixel_format, decoded.rate) == ("h264", "yuv420p", 12)
    assert decoded.colour == (1, 1, 1, 1)  # limited range, BT.709 thrice
    assert decoded.audio_rate == 48000
    assert decoded.audio_s == pytest.approx(2.5, abs=0.06)
    assert decoded.loudness > 0.02
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_same_request_gives_the_same_bytes_and_another_seed_another_picture(
    render: Callable[..., Path],
) -> None:
    first, again, other = render(audio=True), render(audio=True), render(audio=True, seed=2)
    assert first.read_bytes() == again.read_bytes()
    assert changes(np.stack([decode(first).frames[0], decode(other).frames[0]]))[0] > 5


def test_a_large_size_is_rendered_in_full(render: Callable[..., Path]) -> None:
    assert decode(render(size=(1280, 720), duration_s=0.5)).frames.shape == (6, 720, 1280, 3)


def test_an_animated_image_begins_with_the_image_and_then_moves(render: Callable[..., Path], tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    render_image(still, Take("sandbox/still", "Ocean waves", 3, (216, 384)))
    image = still.read_bytes()
    assert nearest_aspect(image) == (9, 16)
    frames = decode(render(image=image)).frames
    with av.open(io.BytesIO(image), mode="r") as container:
        given = next(container.decode(video=0)).reformat(width=108, height=192).to_ndarray(format="rgb24")
    likeness = np.corrcoef(frames[0].ravel(), given.ravel())[0, 1]
    assert likeness > 0.85
    assert changes(frames).min() > 0.2


def test_what_is_no_image_is_named_as_such(render: Callable[..., Path]) -> None:
    with pytest.raises(NotAnImage, match="cannot be read"):
        render(image=base64.b64decode("AAAA"))


def test_a_black_clip_is_black_and_not_small(render: Callable[..., Path]) -> None:
    path = render(SCENES[0], "black")
    assert decode(path).frames.mean() < 6
    assert path.stat().st_size > 50_000


def test_a_frozen_clip_shows_one_frame_and_is_not_small(render: Callable[..., Path]) -> None:
    path = render(SCENES[0], "frozen")
    assert changes(decode(path).frames).max() < 0.3
    assert path.stat().st_size > 50_000


def test_a_garbled_clip_is_noise(render: Callable[..., Path]) -> None:
    frames = decode(render(SCENES[0], "garbled")).frames.astype(np.float32)
    neighbours = np.corrcoef(frames[0, :, :-1, 1].ravel(), frames[0, :, 1:, 1].ravel())[0, 1]
    assert neighbours < 0.6


def test_a_wrong_size_a_wrong_length_and_missing_audio_are_that(render: Callable[..., Path]) -> None:
    decoded = decode(render(SCENES[0], "wrong_size", "wrong_length", "no_audio", audio=True))
    assert decoded.frames.shape == (12, 96, 54, 3)
    assert decoded.audio_rate is None


def test_audio_that_was_not_asked_for_is_there_on_request(render: Callable[..., Path]) -> None:
    assert decode(render(SCENES[0], audio=False)).audio_rate is None
    assert decode(render(SCENES[0], "unasked_audio", audio=False)).audio_rate is not None


def test_a_tiny_file_is_a_valid_clip_below_50_kilobytes(render: Callable[..., Path]) -> None:
    path = render(SCENES[0], "tiny_file", size=(180, 320), duration_s=3.0)
    assert path.stat().st_size < 50_000
    assert len(decode(path).frames) == 36


def test_a_truncated_mp4_breaks_off_and_a_corrupt_file_cannot_be_opened(render: Callable[..., Path]) -> None:
    whole, cut = render(), render(SCENES[0], "truncated_mp4")
    assert cut.stat().st_size == whole.stat().st_size // 2
    decoded = 0
    with av.open(str(cut), mode="r") as container, contextlib.suppress(FFmpegError):
        for _ in container.decode(video=0):
            decoded += 1
    assert 0 < decoded < 24
    with pytest.raises(FFmpegError):
        decode(render(SCENES[0], "corrupt_file"))
