"""Sources of many kinds against the ffmpeg program's own decode, in every container that we write.

There are as many pictures, at the same times and of the same colours, and the same sound.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from video_pipeline.media import ffmpeg_exe, run_ffmpeg
from video_pipeline.upscaling import Engine, upscale_file
from video_pipeline_tests.upscaling.measures import PLAIN, lag_s, sound

_SIZE = (128, 72)
_TIME = re.compile(r"pts_time:(-?[\d.]+)")
# Slow at first and then fast, by 7 ms a picture.
_VARIABLE = "settb=1/1000,setpts='(120-7*N)*N'"


@dataclass(frozen=True)
class Kind:
    """A source: its name, its codecs' options, its sound tracks, its rate or filter, and what it is written as."""

    name: str
    video: tuple[str, ...]
    sounds: tuple[str, ...] = ()
    rate: str = "25"
    filters: str = "null"
    options: tuple[str, ...] = ()
    targets: tuple[str, ...] = (".mp4", ".mov", ".mkv")


_H264 = ("-c:v", "libx264", "-crf", "8")
_VP8, _VP9 = (("-c:v", codec, "-deadline", "realtime") for codec in ("libvpx", "libvpx-vp9"))
_PASS = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000")
KINDS = [
    Kind("h264-aac.mp4", _H264, ("aac",), "30000/1001"),
    Kind("h264-cut.mp4", _H264, ("aac", "ac3"), options=("-ss", "0.13")),
    Kind("variable.mp4", _H264, ("aac",), filters=_VARIABLE, options=_PASS),
    Kind("fragments.mp4", _H264, ("aac",), "24", options=("-movflags", "frag_keyframe+empty_moov")),
    Kind("hevc-late.mp4", ("-c:v", "libx265", "-x265-params", "log-level=none:crf=8"), ("mp3",), targets=(".mkv",)),
    Kind("prores.mov", ("-c:v", "prores"), ("pcm_s16le",), "24000/1001", targets=(".mov", ".mkv")),
    Kind("mjpeg-silent.mov", ("-c:v", "mjpeg", "-q:v", "2"), targets=(".mp4",)),
    Kind("variable.mkv", _H264, ("flac", "aac"), filters=_VARIABLE, options=_PASS, targets=(".mp4", ".mkv")),
    Kind("mpeg2.mkv", ("-c:v", "mpeg2video", "-q:v", "2"), ("mp2",), "30000/1001", targets=(".mp4", ".mkv")),
    Kind("vp9-opus.webm", (*_VP9, "-crf", "8"), ("libopus",), "24000/1001", targets=(".mp4", ".mkv")),
    Kind("vp8-vorbis.webm", (*_VP8, "-b:v", "2M"), ("libvorbis",), "50", targets=(".mp4", ".mkv")),
    Kind("av1-opus.mp4", ("-c:v", "libsvtav1", "-preset", "12", "-crf", "8"), ("libopus",), targets=(".mp4",)),
]


def make(kind: Kind, folder: Path) -> Path:
    """Pale pictures that change, whose colours no filter cuts off, and noise, so that no time is like another."""
    path = folder / kind.name
    inputs = ["-f", "lavfi", "-i", f"testsrc2=size=64x36:rate={kind.rate},hue=s=0.3,{kind.filters}"]
    maps = ["-map", "0:v", "-frames:v", "9"]
    for number, codec in enumerate(kind.sounds):
        inputs += ["-f", "lavfi", "-i", f"anoisesrc=seed={number}:amplitude=0.3:sample_rate=48000:duration=0.5"]
        maps += ["-map", f"{number + 1}:a", f"-c:a:{number}", codec]
    tags = ["-colorspace", "smpte170m", "-color_range", "tv"]
    pixels = [] if kind.name.startswith("prores") else ["-pix_fmt", "yuvj420p" if "mjpeg" in kind.name else "yuv420p"]
    # What is cut is cut by an edit list, when it is copied.
    cut = kind.options[:1] == ("-ss",)
    first = folder / f"whole-{kind.name}" if cut else path
    options = () if cut else kind.options
    run_ffmpeg([*inputs, *maps, *kind.video, *pixels, *tags, *options, str(first)], timeout_s=60, what="rendering")
    if cut:
        copied = ["-map", "0", "-c", "copy", str(path)]
        run_ffmpeg([*kind.options, "-i", str(first), *copied], timeout_s=20, what="cutting")
    return path


def decoded(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds, and mean colours in 8-bit RGB, of all pictures as the ffmpeg program shows them."""
    scale = f"showinfo,scale={_SIZE[0]}:{_SIZE[1]}:flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
    command = [ffmpeg_exe(), "-nostdin", "-copyts", "-i", str(path), "-map", "0:v", "-vf", scale]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    times = [float(time) for time in _TIME.findall(done.stderr.decode(errors="replace"))]
    shown = np.frombuffer(done.stdout, np.uint8).reshape(-1, _SIZE[1], _SIZE[0], 3)
    return np.array(times), shown.mean(axis=(1, 2))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_source_comes_out_as_ffmpeg_decodes_it(tmp_path: Path, engine: Engine, kind: Kind) -> None:
    source = make(kind, tmp_path)
    times, colours = decoded(source)
    heard = [sound(source, number) for number in range(len(kind.sounds))]
    for suffix in kind.targets:
        target = tmp_path / f"target{suffix}"
        report = upscale_file(source, target, settings=PLAIN, engine=engine)
        kept, after = decoded(target)
        assert report.frames == len(kept) == len(times)
        assert kept == pytest.approx(times, abs=0.0006 if suffix == ".mkv" else 1e-6)
        assert np.abs(after - colours).max() < 1.5
        for number, before in enumerate(heard):
            track = sound(target, number)
            assert abs(lag_s(before, track)) < 0.001
            assert len(track) / 48_000 == pytest.approx(len(before) / 48_000, abs=0.03)
