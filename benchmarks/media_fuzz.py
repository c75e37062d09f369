"""Mutated clips through what the product does with a clip before the network: probe, plan, check, and read it all.

Tiny clips in each container and codec, with their sound, are mutated by a seed: heads and bodies, cuts, splices, huge
numbers. Each is taken by a process that is watched: how it ends, how long it takes, how much memory. Every clip must
end in pictures or in one sentence. Prints a table, writes JSON, and fails on a traceback, a crash, a hang, or much
memory.
"""

import argparse
import contextlib
import json
import random
import select
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.own_process import forget_peak, peak_mib
from video_pipeline.errors import VideoPipelineError
from video_pipeline.media import run_ffmpeg
from video_pipeline.policy import TechnicalThresholds, load_policy

LIMIT_S, LIMIT_MIB = 30.0, 300.0
_X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
_MARK = "fuzz: "

# A clip's name, and how it is made of a test picture and noise.
CLIPS: dict[str, tuple[str, ...]] = {
    "h264-aac.mp4": (*_X264, "-c:a", "aac"),
    "h264-faststart.mp4": (*_X264, "-c:a", "aac", "-movflags", "+faststart"),
    "h264-fragments.mp4": (
        *_X264,
        "-c:a",
        "aac",
        "-movflags",
        "frag_keyframe+empty_moov",
        "-frag_duration",
        "100000",
    ),
    "hevc-ac3.mp4": ("-c:v", "libx265", "-x265-params", "log-level=none", "-c:a", "ac3"),
    "av1-opus.mp4": ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus"),
    "mpeg4-mp3.mp4": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "vp9-flac.mp4": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "flac"),
    "h264-pcm.mov": (*_X264, "-c:a", "pcm_s16le", "-timecode", "01:00:00:00"),
    "prores-pcm.mov": ("-c:v", "prores", "-c:a", "pcm_s24le"),
    "mjpeg-alac.mov": ("-c:v", "mjpeg", "-c:a", "alac"),
    "h264-aac.mkv": (*_X264, "-c:a", "aac"),
    "hevc-eac3.mkv": ("-c:v", "libx265", "-x265-params", "log-level=none", "-c:a", "eac3"),
    "mpeg2-mp2.mkv": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "ffv1-flac.mkv": ("-c:v", "ffv1", "-c:a", "flac"),
    "vp8-vorbis.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"),
    "vp9-opus.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"),
    "av1-opus.webm": ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus"),
}
# Numbers that lengths, counts and sizes become.
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x00FFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# Bytes in which containers keep their heads, whether at the beginning or at the end.
_HEAD = 3000


@dataclass
class Kind:
    """What became of the mutations of one clip."""

    name: str
    endings: Counter[str] = field(default_factory=Counter[str])
    slowest_s: float = 0.0
    peak_mib: float = 0.0


def make_clips(folder: Path) -> dict[str, bytes]:
    """The clips that are mutated, by name: five pictures of 64x36, noise, a title, a chapter."""
    chapters = folder / "chapters.txt"
    chapters.write_text(";FFMETADATA1\ntitle=Dawn\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=100\ntitle=One\n")
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x36:rate=25", "-f", "lavfi", "-i", "anoisesrc=duration=0.2"]
    for name, options in CLIPS.items():
        coded = ["-f", "ffmetadata", "-i", str(chapters), "-map_metadata", "2", "-frames:v", "5", *options]
        maps = ["-map", "0:v", "-map", "1:a"]
        run_ffmpeg([*picture, *coded, *maps, str(folder / name)], timeout_s=120, what=f"making {name}")
    return {name: (folder / name).read_bytes() for name in CLIPS}


def mutated(clips: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """The name and content of mutation `number`; the same for the same seed."""
    rng = random.Random(f"{seed} {number}")
    name = list(clips)[number % len(clips)]
    content = bytearray(clips[name])
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice((_flip, _flip, _number, _number, _noise, _cut, _zero, _splice, _repeat))(content, clips, rng)
    return name, bytes(content)


def _place(content: bytearray, rng: random.Random) -> int:
    """In the head, wherever it is, as often as anywhere."""
    if not content:
        return 0
    ends = (rng.randrange(min(_HEAD, len(content))), len(content) - 1 - rng.randrange(min(_HEAD, len(content))))
    return rng.choice((*ends, rng.randrange(len(content))))


def _flip(content: bytearray, clips: dict[str, bytes], rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 3, 20)) if content else 0):
        content[_place(content, rng)] ^= 1 << rng.randrange(8)


def _number(content: bytearray, clips: dict[str, bytes], rng: random.Random) -> None:
    at = min(_place(content, rng), len(content) - 4)
    if at >= 0:
        near = (struct.unpack_from(">I", content, at)[0] + rng.choice((-2, -1, 1, 2))) & 0xFFFFFFFF
        struct.pack_into(">I", content, at, rng.choice((*_NUMBERS, near)))


def _noise(content: bytearray, clips: dict[str, bytes], rng: random.Random) -> None:
    at = _place(content, rng)
    content[at : at + 200] = rng.randbytes(min(rng.randrange(1, 200), len(content) - at))


def _cut(content: bytearray, clips: dict[str, bytes], rng: random.Random) -> None:
    del content[_place(content, rng) :]


def _zero(content: bytearray, clips: dict[str, bytes], rng: random.Random) -> None:
    at = _place(content, rng)
    length = min(rng.randrange(1, 2000), len(content) - at)
    content[at : at + length] = bytes(length)


def _splice(content: bytearray, clips: dict[str, bytes], rng: random.Random) -> None:
    other = clips[rng.choice(list(clips))]
    begin = rng.randrange(len(other))
    at = _place(content, rng)
    content[at:at] = other[begin : begin + rng.randrange(1, 3000)]


def _repeat(content: bytearray, clips: dict[str, bytes], rng: random.Random) -> None:
    at = _place(content, rng)
    content[at:at] = content[at : at + rng.randrange(1, 1000)]


def take(path: Path, thresholds: TechnicalThresholds) -> str:
    """Do with a clip what is done before the network sees it. Returns "read", "refused", or what went wrong."""
    from video_pipeline.media import probe
    from video_pipeline.quality import Expectation, check_clip
    from video_pipeline.upscaling import UpscaleSettings
    from video_pipeline.upscaling.film.source import Source
    from video_pipeline.upscaling.film.video import check_file

    refused = False
    steps = (
        lambda: probe(path),
        lambda: check_file(path, path.with_name("target.mkv"), settings=UpscaleSettings(short_side=72)),
        lambda: check_clip(path, Expectation(size=(64, 36), duration_s=0.2, audio=True), thresholds),
        lambda: _read(Source(path)),
    )
    for step in steps:
        try:
            step()
        except VideoPipelineError as error:
            refused = True
            if "\n" in str(error) or len(str(error)) > 1500:
                return f"no sentence: {str(error)[:200]!r}"
        except Exception as error:
            places = traceback.extract_tb(error.__traceback__)
            return f"{type(error).__name__}: {error} at {Path(places[-1].filename).name}:{places[-1].lineno}"
    return "refused" if refused else "read"


def _read(source: Any) -> None:
    with closing(source):
        for _ in source.items():
            pass


def work() -> None:
    """The watched process: a path a line on its input, what became of it a line on its output."""
    thresholds = load_policy().quality.technical
    for line in sys.stdin:
        with contextlib.suppress(OSError):
            forget_peak()
        ending = take(Path(line.rstrip("\n")), thresholds)
        print(_MARK + json.dumps({"ending": ending, "peak_mib": peak_mib()}), flush=True)


class Watched:
    """A process that takes clips, begun anew when one kills it or holds it up."""

    def __init__(self) -> None:
        self._process = self._begin()

    def ask(self, path: Path) -> dict[str, Any]:
        """What became of the clip at `path`: "ending" and "peak_mib"."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + LIMIT_S
        while (left_s := deadline - time.monotonic()) > 0:
            if not select.select([self._process.stdout], [], [], left_s)[0]:
                break
            line = self._process.stdout.readline()
            if line.startswith(_MARK):
                return json.loads(line.removeprefix(_MARK))
            if not line:
                code = self._process.wait()
                self._process = self._begin()
                return {"ending": f"crash ({code})", "peak_mib": 0.0}
        self.end()
        self._process = self._begin()
        return {"ending": "hang", "peak_mib": 0.0}

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()

    def _begin(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "benchmarks.media_fuzz", "--work"]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1)


def run(clips: dict[str, bytes], numbers: list[int], seed: int, folder: Path) -> list[dict[str, Any]]:
    """What became of these mutations, one after the other."""
    watched, found = Watched(), []
    try:
        for number in numbers:
            name, content = mutated(clips, seed, number)
            path = folder / f"{number}-{name}"
            path.write_bytes(content)
            started = time.monotonic()
            found.append({"number": number, "name": name, **watched.ask(path), "s": time.monotonic() - started})
            path.unlink()
    finally:
        watched.end()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--quick", action="store_true", help="170 clips, and no JSON")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/media-fuzz.json"))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
        return
    number_of_clips = 170 if options.quick else options.clips
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="media-fuzz-") as place, ThreadPoolExecutor(2) as pool:
        folder = Path(place)
        clips = make_clips(folder)
        halves = [list(range(first, number_of_clips, 2)) for first in range(2)]
        done = [one for part in pool.map(lambda part: run(clips, part, options.seed, folder), halves) for one in part]
    kinds = {name: Kind(name) for name in CLIPS}
    faults = []
    for one in sorted(done, key=lambda one: one["number"]):
        kind = kinds[one["name"]]
        fault = one["ending"] not in ("read", "refused") or one["peak_mib"] > LIMIT_MIB
        kind.endings["fault" if fault else one["ending"]] += 1
        kind.slowest_s = max(kind.slowest_s, one["s"])
        kind.peak_mib = max(kind.peak_mib, one["peak_mib"])
        faults += [one] if fault else []
    wall_s = time.monotonic() - started
    result = {
        "seed": options.seed,
        "clips": number_of_clips,
        "wall_s": round(wall_s, 1),
        "limit_s": LIMIT_S,
        "limit_mib": LIMIT_MIB,
        "kinds": [vars(kind) | {"endings": dict(kind.endings)} for kind in kinds.values()],
        "faults": faults,
    }
    if not options.quick:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    table = Table(
        "clip", "read", "refused", "faults", "slowest s", "peak MiB", title=f"{number_of_clips} mutated clips"
    )
    for kind in kinds.values():
        counts = [str(kind.endings[ending]) for ending in ("read", "refused", "fault")]
        table.add_row(kind.name, *counts, f"{kind.slowest_s:.1f}", f"{kind.peak_mib:.0f}")
    Console().print(table)
    Console().print(f"{len(faults)} faults in {wall_s:.0f} s, seed {options.seed}")
    for fault in faults[:20]:
        Console().print(fault, markup=False, soft_wrap=True)
    if faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
