"""A process that dies or runs short in the middle of a clip, and what the next one finds."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from video_pipeline.upscaling import Engine, UpscaleProgress, upscale_file
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import PLAIN, folder, timestamps

_KILLED = """
import os, signal, sys
from pathlib import Path
from video_pipeline.upscaling import UpscaleSettings, upscale_file

def die(progress):
    if progress.frames_done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

upscale_file(Path(sys.argv[1]), Path(sys.argv[2]), settings=UpscaleSettings(short_side=72, blend=0), progress=die)
"""


def kill_at(frame: int, source: Path, target: Path) -> None:
    """Upscale in a process that is killed, as by `kill -9`, when it has written that many frames."""
    command = [sys.executable, "-c", _KILLED, str(source), str(target), str(frame)]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL


def test_a_kill_in_the_middle_of_a_clip_leaves_nothing_that_looks_like_one_and_the_next_run_clears_up(
    tmp_path: Path, engine: Engine
) -> None:
    source, target = render(tmp_path / "source.mp4", frames=30, sound=True), tmp_path / "target.mp4"
    kill_at(12, source, target)
    left = [name for name in folder(tmp_path) if name != "source.mp4"]
    assert left and all(name.startswith(".") and not name.endswith(target.suffix) for name in left)
    upscale_file(source, target, settings=PLAIN, engine=engine)
    assert timestamps(target) == timestamps(source)
    assert folder(tmp_path) == ["source.mp4", "target.mp4"]


def test_a_kill_leaves_the_earlier_result_as_it_was(tmp_path: Path, engine: Engine) -> None:
    source, target = render(tmp_path / "source.mp4", frames=30), tmp_path / "target.mp4"
    upscale_file(render(tmp_path / "earlier.mp4", frames=4), target, settings=PLAIN, engine=engine)
    before = target.read_bytes()
    kill_at(29, source, target)
    assert target.read_bytes() == before
    upscale_file(source, target, settings=PLAIN, engine=engine)
    assert len(timestamps(target)) == 30
    assert folder(tmp_path) == ["earlier.mp4", "source.mp4", "target.mp4"]


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path, engine: Engine) -> None:
    """Two runs with one target: the second neither deletes nor disturbs the first one's part."""
    source, target = render(tmp_path / "source.mp4", frames=30), tmp_path / "target.mp4"
    short = render(tmp_path / "short.mp4", frames=3)
    command = [sys.executable, "-c", _KILLED.replace("signal.SIGKILL", "signal.SIGSTOP")]
    first = subprocess.Popen([*command, str(source), str(target), "12"])
    try:
        _, status = os.waitpid(first.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        upscale_file(short, target, settings=PLAIN, engine=engine)
        assert len(timestamps(target)) == 3
        first.send_signal(signal.SIGCONT)
        assert first.wait(timeout=60) == 0
    finally:
        first.kill()
        first.wait()
    assert len(timestamps(target)) == 30
    assert folder(tmp_path) == ["short.mp4", "source.mp4", "target.mp4"]


def test_an_interrupt_in_the_middle_leaves_nothing(tmp_path: Path, engine: Engine) -> None:
    """Control-C, which Python raises wherever it is."""
    source = render(tmp_path / "source.mp4", frames=30)

    def interrupt(progress: UpscaleProgress) -> None:
        if progress.frames_done == 12:
            signal.raise_signal(signal.SIGINT)

    # What ran in this process before may have left another handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine, progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert folder(tmp_path) == ["source.mp4"]


_STARVED = """
import itertools, resource, sys, threading
from pathlib import Path
from video_pipeline.upscaling import Engine, UpscaleSettings, UpscalingError, upscale_file
source, target, megabytes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
engine = Engine(device="cpu", precision="float32", threads=1, strip_rows=256)

batches, start, written = itertools.count(), engine._start, threading.Semaphore(0)

def starved(batch, compute):
    if next(batches) == 6:
        # With all pictures before it written nobody else works, so that what is in use now is in use for good.
        for _ in range(5):
            written.acquire()
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, hard))
    return start(batch, compute)

engine._start = starved
try:
    report = upscale_file(source, target, settings=UpscaleSettings(short_side=384), engine=engine,
                          progress=lambda progress: written.release())
    print(report.frames, engine.strip_rows)
except UpscalingError as error:
    print(error)
"""


def starve(source: Path, target: Path, megabytes: int) -> str:
    """Upscale in a process that in its midst may take so much more memory; what it said."""
    # Memory that is given back goes to the system at once, so that what a strip needs does not hang on chance.
    allocator = ["env", "MALLOC_MMAP_THRESHOLD_=65536", "MALLOC_TRIM_THRESHOLD_=0", "MALLOC_ARENA_MAX=1"]
    command = [*allocator, sys.executable, "-c", _STARVED, str(source), str(target), str(megabytes)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_memory_that_runs_out_in_the_middle_of_a_clip_costs_no_frame(tmp_path: Path) -> None:
    """A whole picture needs over 45 MB more; thinner strips do not."""
    source = render(tmp_path / "source.mp4", size=(320, 256), frames=8)
    frames, rows = map(int, starve(source, tmp_path / "target.mp4", 35).split())
    assert frames == 8 and 8 <= rows < 256
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)


def test_no_memory_at_all_in_the_middle_of_a_clip_fails_the_job_and_leaves_nothing(tmp_path: Path) -> None:
    source = render(tmp_path / "source.mp4", size=(320, 256), frames=8)
    # Whoever asks for memory next hears that there is none: mostly the network, now and then the encoder.
    said = starve(source, tmp_path / "target.mp4", 3)
    assert re.match(r"There is not enough memory to (upscale 320x256|encode the upscaled clip)", said), said
    assert folder(tmp_path) == ["source.mp4"]
