"""Every frame in its time, whatever the container, the rate, and how often a picture repeats."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import probe, run_ffmpeg
from video_pipeline.upscaling import Engine, UpscaleProgress, upscale_file
from video_pipeline.upscaling.film.video import check_file
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import (
    PLAIN,
    SMALL,
    lag_s,
    packets,
    pictures,
    sound,
    timestamps,
    video_of,
)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "60000/1001", "24", "30"])
def test_a_constant_rate_stays_exactly_that_rate(tmp_path: Path, engine: Engine, rate: str, suffix: str) -> None:
    source = render(tmp_path / f"source{suffix}", rate=rate, frames=12)
    target = tmp_path / f"target{suffix}"
    upscale_file(source, target, settings=PLAIN, engine=engine)
    expected = [n / Fraction(rate) for n in range(12)]
    assert timestamps(target) == timestamps(source) == expected
    assert video_of(target).rate == video_of(source).rate == Fraction(rate)
    assert video_of(target).duration_s == pytest.approx(float(12 / Fraction(rate)), abs=1e-6)


def test_a_variable_rate_keeps_every_timestamp(tmp_path: Path, engine: Engine) -> None:
    uneven = "settb=1/1000,setpts='10*N*N+20*N'"
    source = render(
        tmp_path / "source.mp4", filters=uneven, frames=9, options=("-fps_mode", "vfr", "-enc_time_base", "1/1000")
    )
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    kept = timestamps(tmp_path / "target.mp4")
    assert kept == timestamps(source)
    assert len({after - before for before, after in pairwise(kept)}) == 8


SUFFIXES = [".mp4", ".mov", ".mkv"]
# How long each picture is shown, in ms: the last one for long, for a moment, alone, and as long as the others.
SHOWN = [(200, 200, 1600), (40, 120, 40, 1000, 10), (1500,), (500, 500), (40, 40, 40, 840)]


def slides(target: Path, shown: Sequence[int], *options: str) -> Path:
    """Pictures that are shown for so many ms each, as the container says of each packet."""
    starts = [sum(shown[:n]) for n in range(len(shown))]
    times = f"settb=1/1000,setpts='{_by_number(starts)}'"
    raw = target.with_name("raw.mkv")
    options = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-bf", "0")
    render(raw, rate="1", filters=times, frames=len(shown), options=options)
    length = ["-c", "copy", "-bsf:v", f"setts=duration='{_by_number(shown)}'", str(target)]
    run_ffmpeg(["-i", str(raw), *length], timeout_s=20, what="holding pictures")
    return target


def _by_number(values: Sequence[int]) -> str:
    return "+".join(f"eq(N,{number})*{value}" for number, value in enumerate(values))


def lengths(path: Path) -> list[int]:
    """For how many ms the container says that each picture is shown, in their order."""
    with av.open(str(path)) as clip:
        shown = sorted(
            (packet.pts * packet.time_base, packet.duration * packet.time_base)
            for packet in clip.demux(video=0)
            if packet.pts is not None and packet.duration is not None
        )
    return [round(1000 * length) for _, length in shown]


@pytest.mark.parametrize("shown", SHOWN, ids=str)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_picture_and_the_last_one_too_is_shown_as_long_as_it_was(
    tmp_path: Path, engine: Engine, shown: tuple[int, ...], suffix: str
) -> None:
    source = slides(tmp_path / f"source{suffix}", shown)
    assert lengths(source) == list(shown)
    for kind in SUFFIXES:
        target = tmp_path / f"target{kind}"
        upscale_file(source, target, settings=PLAIN, engine=engine)
        assert timestamps(target) == timestamps(source)
        assert lengths(target) == list(shown)
        assert probe(target).duration_s == pytest.approx(sum(shown) / 1000, abs=0.002)


def test_the_last_picture_lasts_until_matroska_says_that_the_film_ends(tmp_path: Path, engine: Engine) -> None:
    """Blocks of most writers do not say how long they are shown; the file, or the track's tag, does."""
    raw, source = tmp_path / "raw.mkv", tmp_path / "source.mkv"
    render(raw, rate="5", frames=3)
    content = bytearray(raw.read_bytes())
    # Duration in ms as a float of eight bytes, and the tag.
    at = content.index(b"\x44\x89\x88") + 3
    assert struct.unpack_from(">d", content, at)[0] == 600
    struct.pack_into(">d", content, at, 2000.0)
    tagged, stale = (bytes(content).replace(b"00:00:00.600", time) for time in (b"00:00:01.500", b"09:00:00.000"))
    untagged = bytes(content).replace(b"00:00:00.600", b"unknown\0\0\0\0\0")
    for written, length in ((untagged, 1600), (tagged, 1100), (stale, 1600)):
        source.write_bytes(written)
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
        assert lengths(tmp_path / "target.mp4") == [200, 200, length]


def test_two_pictures_at_one_time_stay_in_matroska_and_are_refused_before_any_work_for_mp4(
    tmp_path: Path, engine: Engine
) -> None:
    times = "settb=1/1000,setpts='if(eq(N,3),2,N)*40'"
    options = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-bf", "0")
    source = render(tmp_path / "source.mkv", filters=times, options=options)
    with pytest.raises(MediaError, match=r"Two packets of .* \(video\) have one time, .*; write a \.mkv"):
        check_file(source, tmp_path / "target.mp4", settings=PLAIN)
    upscale_file(source, tmp_path / "target.mkv", settings=PLAIN, engine=engine)
    assert timestamps(tmp_path / "target.mkv") == timestamps(source)


# How ffmpeg hides sound before the cut, with pictures and without, and how it makes it late.
CUTS = [("-ss", "0.52"), ("-ss", "0.311"), ("-itsoffset", "-0.35"), ("-itsoffset", "0.2")]


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_what_is_hidden_before_the_cut_stays_hidden_and_moves_nothing(
    tmp_path: Path, engine: Engine, cut: tuple[str, str]
) -> None:
    """Sound is noise here, so that it fits in one place only."""
    noise = ["-f", "lavfi", "-i", "anoisesrc=seed=7:amplitude=0.3:sample_rate=48000:duration=2"]
    whole, source = tmp_path / "whole.mp4", tmp_path / "source.mp4"
    picture = ["-i", str(render(tmp_path / "picture.mp4", frames=50))]
    run_ffmpeg([*picture, *noise, "-c:v", "copy", "-c:a", "aac", str(whole)], timeout_s=20, what="adding noise")
    inputs = [*cut, "-i", str(whole)] if cut[0] == "-ss" else ["-i", str(whole), *cut, "-i", str(whole)]
    maps = ["-map", "0:v", "-map", "0:a" if cut[0] == "-ss" else "1:a", "-c", "copy", str(source)]
    run_ffmpeg([*inputs, *maps], timeout_s=20, what="cutting")
    heard = sound(source)
    for kind in SUFFIXES:
        target = tmp_path / f"target{kind}"
        upscale_file(source, target, settings=PLAIN, engine=engine)
        assert timestamps(target) == pytest.approx(timestamps(source), abs=0.0006)
        assert abs(lag_s(heard, sound(target))) < 0.001
        # Matroska loses a packet that begins before the film, and hears one to its end.
        assert len(sound(target)) / 48000 == pytest.approx(len(heard) / 48000, abs=0.025)


def test_frames_beyond_all_queues_and_the_encoders_delay_are_all_kept(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=150, sound=True)
    report = upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert report.frames == 150
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)
    assert packets(tmp_path / "target.mp4", "audio") == packets(source, "audio")


def test_matroska_in_gives_mp4_out_with_every_timestamp(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mkv", rate="24000/1001", frames=8, sound=True)
    upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)
    assert [content for _, _, content in packets(tmp_path / "target.mp4", "audio")[0]] == [
        content for _, _, content in packets(source, "audio")[0]
    ]


# (name, codecs, how it is muxed): containers that do not say how many frames they hold.
UNCOUNTED = [
    ("vp9.webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"), ()),
    ("vp8.webm", ("-c:v", "libvpx", "-c:a", "libvorbis"), ()),
    ("h264.mkv", ("-c:v", "copy", "-c:a", "copy"), ()),
    ("fragments.mp4", ("-c", "copy"), ("-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000")),
]


@pytest.mark.parametrize(("name", "codecs", "muxing"), UNCOUNTED, ids=[name for name, _, _ in UNCOUNTED])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_containers_that_do_not_count_their_frames_lose_none(
    tmp_path: Path, engine: Engine, name: str, codecs: tuple[str, ...], muxing: tuple[str, ...], suffix: str
) -> None:
    clip = render(tmp_path / "clip.mp4", frames=40, sound=True)
    source, target = tmp_path / name, tmp_path / f"target{suffix}"
    run_ffmpeg(["-i", str(clip), *codecs, *muxing, str(source)], timeout_s=30, what=f"making {name}")
    seen: list[UpscaleProgress] = []
    report = upscale_file(source, target, settings=PLAIN, engine=engine, progress=seen.append)
    assert report.frames == 40
    assert timestamps(target) == timestamps(source)
    assert len(timestamps(source)) == 40
    assert [content for _, _, content in packets(target, "audio")[0]] == [
        content for _, _, content in packets(source, "audio")[0]
    ]
    assert [step.frames_done for step in seen] == list(range(1, 41))
    if video_of(source).frames is None:
        assert {(step.frames_total, step.eta_s) for step in seen} == {(None, None)}


def test_progress_counts_every_frame_and_knows_how_long_it_takes(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=30)
    seen: list[UpscaleProgress] = []
    upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine, progress=seen.append)
    assert [(step.frames_done, step.frames_total) for step in seen] == [(done, 30) for done in range(1, 31)]
    assert [step.elapsed_s for step in seen] == sorted(step.elapsed_s for step in seen)
    assert all(step.fps > 0 and step.eta_s is not None and step.eta_s >= 0 for step in seen)
    assert seen[-1].eta_s == 0


def _lossless(target: Path, picture: str, *options: str) -> Path:
    """A clip in which equal pictures are equal to the last bit, with a tone beside them."""
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
    codecs = ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
    run_ffmpeg([*inputs, *codecs, *options, str(target)], timeout_s=30, what=f"rendering {target.name}")
    return target


def test_a_picture_that_repeats_is_computed_once_and_shown_at_every_time(tmp_path: Path, engine: Engine) -> None:
    """Five pictures a second, each shown five times, as cartoons and screen recordings have it."""
    source = _lossless(tmp_path / "source.mp4", "testsrc2=size=64x36:rate=5", "-r", "25", "-frames:v", "20")
    report = upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert (report.frames, report.repeated_frames) == (20, 16)
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)
    assert packets(tmp_path / "target.mp4", "audio") == packets(source, "audio")
    shown = pictures(tmp_path / "target.mp4", (128, 72))
    steps = [float(np.abs(after.astype(int) - before).max()) for before, after in pairwise(shown)]
    # Between repeats there is the encoder's own noise only.
    assert min(steps[4::5]) > 2 * max(step for number, step in enumerate(steps) if number % 5 != 4)


def test_a_long_still_keeps_every_time_and_its_sound(tmp_path: Path, engine: Engine) -> None:
    """Longer than a result is used again, and than all queues."""
    source = _lossless(tmp_path / "source.mp4", "color=c=red:size=64x36:rate=25", "-frames:v", "120")
    report = upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert report.frames == 120
    assert 110 <= report.repeated_frames < 120
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)
    assert packets(tmp_path / "target.mp4", "audio") == packets(source, "audio")


def test_a_clip_that_returns_to_an_earlier_picture_shows_it_again(tmp_path: Path, engine: Engine) -> None:
    """Black, white, black, white: no picture is mistaken for the one before the last."""
    blink = "color=c=black:size=64x36:rate=25,geq=lum='if(mod(N\\,2)\\,235\\,16)':cb=128:cr=128"
    source = _lossless(tmp_path / "source.mp4", blink, "-frames:v", "12")
    report = upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert (report.frames, report.repeated_frames) == (12, 0)
    assert [int(shown.mean() > 127) for shown in pictures(tmp_path / "target.mp4", (128, 72))] == [0, 1] * 6
