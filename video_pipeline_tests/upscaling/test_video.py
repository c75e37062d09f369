"""Whole clips: frame for frame, sound packet for packet, colour as it was, and never half a file."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import VideoStream, ffmpeg_exe, probe, run_ffmpeg
from video_pipeline.upscaling import Engine, Progress, UpscaleReport, UpscaleSettings, UpscalingError, upscale_file
from video_pipeline_tests.media.clips import big_buck_bunny, render, trim

SMALL = UpscaleSettings(short_side=72)
PLAIN = UpscaleSettings(short_side=72, blend=0)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(device="cpu")


def video_of(path: Path) -> VideoStream:
    video = probe(path).video
    assert video is not None
    return video


def exact_time(frame: av.VideoFrame) -> Fraction:
    assert frame.pts is not None and frame.time_base is not None
    return frame.pts * frame.time_base


def timestamps(path: Path) -> list[Fraction]:
    """Every frame's time, in order of display, exact."""
    with av.open(str(path)) as clip:
        return [exact_time(frame) for frame in clip.decode(video=0)]


Packets = list[tuple[Fraction | None, Fraction, bytes]]


def packets(path: Path, kind: str) -> list[Packets]:
    """Time, length and content of every packet, by stream."""
    with av.open(str(path)) as clip:
        streams = [stream for stream in clip.streams if stream.type == kind]
        found: dict[int, Packets] = {stream.index: [] for stream in streams}
        for packet in clip.demux(streams):
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


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


def luma(frames: np.ndarray) -> np.ndarray:
    return frames @ np.array([0.299, 0.587, 0.114])


def folder(path: Path) -> Sequence[str]:
    return sorted(entry.name for entry in path.iterdir())


Real = tuple[Path, Path, UpscaleReport, list[Progress]]


@pytest.fixture(scope="module")
def real(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine
) -> tuple[Path, Path, UpscaleReport, list[Progress]]:
    """Four frames of the real 720p clip, with their sound, at 1080p."""
    place = tmp_path_factory.mktemp("a folder with spaces")
    source = trim(big_buck_bunny(), place / "source clip.mp4", 4)
    seen: list[Progress] = []
    report = upscale_file(source, place / "target clip.mp4", engine=engine, progress=seen.append)
    return source, place / "target clip.mp4", report, seen


def test_the_real_clip_becomes_1080p_with_every_frame_in_its_time(real: Real) -> None:
    source, target, report, seen = real
    video = video_of(target)
    assert (video.codec, video.size, video.pixel_format) == ("h264", (1920, 1080), "yuv420p")
    assert (video.rate, video.frames) == (Fraction(25), 4)
    assert timestamps(target) == timestamps(source) == [Fraction(n, 25) for n in range(4)]
    assert video.duration_s == video_of(source).duration_s
    assert folder(target.parent) == ["source clip.mp4", "target clip.mp4"]
    assert [step.frames_done for step in seen] == [1, 2, 3, 4]
    assert {step.frames_total for step in seen} == {4}
    assert (report.frames, report.source_size, report.target_size) == (4, (1280, 720), (1920, 1080))
    assert report.network_used and report.device == "cpu"


def test_the_real_clips_sound_is_copied_packet_by_packet(real: Real) -> None:
    source, target, _, _ = real
    assert len(packets(source, "audio")[0]) > 4
    assert packets(target, "audio") == packets(source, "audio")


def test_the_real_clip_still_shows_the_same_picture(real: Real) -> None:
    """Brought back to its size, the result is the source: mean colour within half a step, 30 dB over all."""
    source, target, _, _ = real
    before = pictures(source, (1280, 720), "bt709")
    after = pictures(target, (1280, 720), "bt709")
    assert np.abs(before.mean(axis=(0, 1, 2)) - after.mean(axis=(0, 1, 2))).max() < 0.5
    assert psnr(before, after) > 30


def test_the_report_adds_up(real: Real) -> None:
    _, _, report, _ = real
    assert 0 < report.decode_s < report.network_s < report.wall_s
    assert 0 < report.encode_s < report.wall_s
    assert report.fps == pytest.approx(4 / report.wall_s)
    assert report.realtime_factor == pytest.approx(0.16 / report.wall_s)
    expected = report.wall_s * 65 * 0.8 / 3_600_000 * 0.12
    assert float(report.electricity_usd) == pytest.approx(expected, abs=1e-6)
    assert report.fingerprint == UpscaleSettings().fingerprint()


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "24", "30"])
def test_a_constant_rate_stays_exactly_that_rate(tmp_path: Path, engine: Engine, rate: str) -> None:
    source = render(tmp_path / "source.mp4", rate=rate, frames=12)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    expected = [n / Fraction(rate) for n in range(12)]
    assert timestamps(tmp_path / "target.mp4") == timestamps(source) == expected
    assert video_of(tmp_path / "target.mp4").rate == Fraction(rate)


def test_a_variable_rate_keeps_every_timestamp(tmp_path: Path, engine: Engine) -> None:
    uneven = "settb=1/1000,setpts='10*N*N+20*N'"
    source = render(
        tmp_path / "source.mp4", filters=uneven, frames=9, options=("-fps_mode", "vfr", "-enc_time_base", "1/1000")
    )
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    kept = timestamps(tmp_path / "target.mp4")
    assert kept == timestamps(source)
    assert len({after - before for before, after in pairwise(kept)}) == 8


def test_frames_beyond_all_queues_and_the_encoders_delay_are_all_kept(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=150, sound=True)
    report = upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert report.frames == 150
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)
    assert packets(tmp_path / "target.mp4", "audio") == packets(source, "audio")


@pytest.mark.parametrize(
    ("size", "expected"), [((36, 64), (72, 128)), ((48, 48), (72, 72)), ((64, 48), (96, 72)), ((66, 50), (96, 72))]
)
def test_every_orientation_gets_its_size(
    tmp_path: Path, engine: Engine, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    source = render(tmp_path / "source.mp4", size=size, frames=2)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert video_of(tmp_path / "target.mp4").size == expected


def test_an_odd_size_is_read_and_an_even_one_written(tmp_path: Path, engine: Engine) -> None:
    source = render(
        tmp_path / "source.mp4", size=(65, 37), picture="testsrc", frames=2, options=("-pix_fmt", "yuv444p")
    )
    assert video_of(source).size == (65, 37)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert video_of(tmp_path / "target.mp4").size == (126, 72)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_clip_comes_out_upright(tmp_path: Path, engine: Engine, degrees: int) -> None:
    level, source, target = (tmp_path / name for name in ("level.mp4", "source.mp4", "target.mp4"))
    render(level, frames=3)
    turn = ["-display_rotation", str(degrees), "-i", str(level), "-c", "copy", str(source)]
    run_ffmpeg(turn, timeout_s=20, what="turning")
    upscale_file(source, target, settings=PLAIN, engine=engine)
    video = video_of(target)
    size = video_of(source).size
    assert video.rotation == 0
    assert video.size == (2 * size[0], 2 * size[1])
    # ffmpeg itself turns the source as players do.
    shown, result = pictures(source, size), pictures(target, size)
    # In luma: ffmpeg turns the planes and forgets that a turned chroma sample stands elsewhere.
    assert psnr(luma(shown), luma(result)) > 25
    assert psnr(luma(shown), luma(result[:, ::-1, ::-1])) < 15


def test_wide_pixels_come_out_square(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", size=(60, 48), filters="setsar=16/15", frames=2)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    video = video_of(tmp_path / "target.mp4")
    assert (video.size, video.sample_aspect_ratio) == ((96, 72), Fraction(1))


def test_a_clip_without_sound_stays_without(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=2)
    upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert probe(tmp_path / "target.mp4").audio == ()


def test_two_languages_late_sound_subtitles_chapters_and_titles_pass(tmp_path: Path, engine: Engine) -> None:
    clip = render(tmp_path / "clip.mp4", frames=50, sound=True)
    (tmp_path / "words.srt").write_text("1\n00:00:00,200 --> 00:00:01,000\nGood morning.\n")
    (tmp_path / "extra.txt").write_text(
        ";FFMETADATA1\ntitle=Dawn\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=One\n"
    )
    source = tmp_path / "source.mp4"
    inputs = ["-i", str(clip), "-itsoffset", "0.4", "-i", str(clip), "-i", str(tmp_path / "words.srt")]
    inputs += ["-i", str(tmp_path / "extra.txt"), "-map_metadata", "3", "-map_chapters", "3"]
    maps = ["-map", "0:v", "-map", "0:a", "-map", "1:a", "-map", "2", "-c", "copy", "-c:s", "mov_text"]
    tags = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"]
    run_ffmpeg([*inputs, *maps, *tags, str(source)], timeout_s=20, what="muxing")
    target = tmp_path / "target.mp4"
    upscale_file(source, target, settings=PLAIN, engine=engine)
    assert packets(target, "audio") == packets(source, "audio")
    assert packets(target, "subtitle") == packets(source, "subtitle")
    assert [sound.start_s for sound in probe(target).audio] == [sound.start_s for sound in probe(source).audio]
    assert probe(target).audio[1].start_s == pytest.approx(0.4, abs=0.03)
    with av.open(str(target)) as after:
        assert [stream.language for stream in after.streams.audio] == ["eng", "deu"]
        assert after.metadata["title"] == "Dawn"
        assert [chapter["metadata"]["title"] for chapter in after.chapters()] == ["One"]


def test_matroska_in_gives_mp4_out_with_every_timestamp(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mkv", rate="24000/1001", frames=8, sound=True)
    upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert timestamps(tmp_path / "target.mp4") == timestamps(source)
    assert [content for _, _, content in packets(tmp_path / "target.mp4", "audio")[0]] == [
        content for _, _, content in packets(source, "audio")[0]
    ]


def test_sound_that_the_container_cannot_hold_is_refused_and_matroska_takes_it(
    tmp_path: Path, engine: Engine
) -> None:
    clip = render(tmp_path / "clip.mkv", frames=4, sound=True)
    source = tmp_path / "source.mkv"
    convert = ["-i", str(clip), "-c:v", "copy", "-c:a", "wavpack", str(source)]
    run_ffmpeg(convert, timeout_s=20, what="converting")
    with pytest.raises(MediaError, match=r"audio stream of .*wavpack.* cannot be copied into a mp4 file"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    upscale_file(source, tmp_path / "target.mkv", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == ["clip.mkv", "source.mkv", "target.mkv"]


def bars(path: Path, size: tuple[int, int], matrix: str | None = None) -> np.ndarray:
    """The middles of the seven colour bars: their edges would show how chroma is sampled, not how it is converted."""
    shown = pictures(path, size, matrix)[:, size[1] // 8 : size[1] // 2]
    middles = [round((bar + 0.5) * size[0] / 7) for bar in range(7)]
    return np.stack([shown[:, :, middle - 1 : middle + 2] for middle in middles])


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("range_", ["tv", "pc"])
def test_tagged_colours_keep_their_tags_and_their_look(
    tmp_path: Path, engine: Engine, matrix: str, range_: str
) -> None:
    """Colour bars: a wrong matrix gives about 29 dB, a wrong range less."""
    params = f"setparams=color_primaries={matrix}:color_trc={matrix}:colorspace={matrix}:range={range_}"
    convert = f"scale=out_color_matrix={matrix}:out_range={range_},format=yuv420p,{params}"
    source = render(tmp_path / "source.mp4", size=(256, 144), picture="smptebars", filters=convert, frames=3)
    target = tmp_path / "target.mp4"
    upscale_file(source, target, settings=UpscaleSettings(short_side=288, blend=0, crf=6), engine=engine)
    before, after = video_of(source), video_of(target)
    assert before.color_matrix == matrix and before.color_range == range_
    for name in ("color_matrix", "color_primaries", "color_transfer", "color_range"):
        assert getattr(after, name) == getattr(before, name)
    assert psnr(bars(source, (256, 144)), bars(target, (256, 144))) > 45


def test_an_untagged_clip_stays_untagged_and_looks_the_same_by_its_new_height(tmp_path: Path, engine: Engine) -> None:
    """Players take BT.601 for the small source and BT.709 for the large result; so must the conversion."""
    convert = "scale=out_color_matrix=bt601,format=yuv420p,setparams=colorspace=unknown"
    source = render(tmp_path / "source.mp4", size=(256, 144), picture="smptebars", filters=convert, frames=2)
    target = tmp_path / "target.mp4"
    upscale_file(source, target, settings=UpscaleSettings(short_side=720, blend=0, crf=6), engine=engine)
    video = video_of(target)
    assert (video.color_matrix, video.color_primaries, video.color_transfer) == (None,) * 3
    before = bars(source, (256, 144), "bt601")
    assert psnr(before, bars(target, (256, 144), "bt709")) > 40
    assert psnr(before, bars(target, (256, 144), "bt601")) < 35


def test_without_the_network_the_result_is_the_plain_enlargement(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=2)
    results = {}
    for blend in (0.0, 0.5, 1.0):
        target = tmp_path / f"blend {blend}.mp4"
        report = upscale_file(source, target, settings=UpscaleSettings(short_side=72, blend=blend), engine=engine)
        assert report.network_used == (blend > 0)
        results[blend] = pictures(target, (128, 72))
    lanczos = pictures(source, (128, 72))
    assert psnr(results[0.0], lanczos) > 25
    assert psnr(results[0.0], lanczos) > psnr(results[0.5], lanczos) > psnr(results[1.0], lanczos)


def test_a_clip_that_is_large_enough_is_only_resized(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", size=(256, 144), frames=2)
    report = upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert not report.network_used
    assert video_of(tmp_path / "target.mp4").size == (128, 72)


def test_a_size_that_would_distort_or_is_odd_is_refused(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=2)
    for size, complaint in [((100, 100), "would distort"), ((129, 72), "even numbers")]:
        with pytest.raises(UpscalingError, match=complaint):
            upscale_file(source, tmp_path / "target.mp4", size=size, engine=engine)
    upscale_file(source, tmp_path / "target.mp4", size=(192, 108), engine=engine)
    assert video_of(tmp_path / "target.mp4").size == (192, 108)


def test_settings_for_another_model_than_the_engines_are_refused(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=1)
    settings = UpscaleSettings(model="RealESRGAN_x4plus")
    with pytest.raises(UpscalingError, match=r"holds realesr-animevideov3, .* ask for RealESRGAN_x4plus"):
        upscale_file(source, tmp_path / "target.mp4", settings=settings, engine=engine)


def test_ten_bits_stay_ten_bits(tmp_path: Path, engine: Engine) -> None:
    """A slope of 65 steps across 8 columns of 8-bit codes: only ten bits hold it without bands."""
    slope = "geq=lum='256+4*X+mod(X*Y\\,4)':cb=512:cr=512"
    options = ("-pix_fmt", "yuv420p10le", "-crf", "1")
    source = render(tmp_path / "source.mp4", filters=f"format=yuv420p10le,{slope}", options=options, frames=2)
    upscale_file(source, tmp_path / "target.mp4", settings=UpscaleSettings(short_side=72, crf=1), engine=engine)
    video = video_of(tmp_path / "target.mp4")
    assert (video.bit_depth, video.pixel_format) == (10, "yuv420p10le")
    with av.open(str(tmp_path / "target.mp4")) as clip:
        codes = next(clip.decode(video=0)).to_ndarray()[:72]
    assert len(np.unique(codes % 4)) == 4 and codes.max() > 400


@pytest.mark.parametrize(
    ("filters", "options", "complaint"),
    [
        (
            "null",
            ("-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p12le"),
            "12 bits a sample",
        ),
        ("setparams=color_trc=smpte2084", ("-pix_fmt", "yuv420p10le"), r"is HDR \(PQ\)"),
        ("setparams=color_trc=arib-std-b67", ("-pix_fmt", "yuv420p10le"), r"is HDR \(HLG\)"),
        ("null", ("-c:v", "libx264rgb", "-pix_fmt", "rgb24"), "takes YUV without"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_sentence(
    tmp_path: Path, engine: Engine, filters: str, options: tuple[str, ...], complaint: str
) -> None:
    source = render(tmp_path / "source.mp4", filters=filters, options=options, frames=2)
    with pytest.raises(MediaError, match=complaint):
        upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert folder(tmp_path) == ["source.mp4"]


def _cut(clip: bytes) -> bytes:
    return clip[: len(clip) * 6 // 10]


def _scratch(clip: bytes) -> bytes:
    """Overwrite a stretch in the middle of the pictures."""
    middle = len(clip) // 2
    return clip[:middle] + np.random.default_rng(3).bytes(400) + clip[middle + 400 :]


@pytest.mark.parametrize(("suffix", "options"), [(".mp4", ("-movflags", "+faststart")), (".mkv", ())])
@pytest.mark.parametrize("damage", [_cut, _scratch])
def test_a_damaged_source_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, engine: Engine, suffix: str, options: tuple[str, ...], damage: Callable[[bytes], bytes]
) -> None:
    whole = trim(big_buck_bunny(), tmp_path / f"whole{suffix}", 40, *options)
    source = tmp_path / f"source{suffix}"
    source.write_bytes(damage(whole.read_bytes()))
    with pytest.raises(MediaError, match=r"(is damaged|is cut off)"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert folder(tmp_path) == sorted([source.name, whole.name])


def test_a_text_and_a_sound_file_are_refused(tmp_path: Path, engine: Engine) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("Not a film.")
    with pytest.raises(MediaError, match="is not a readable"):
        upscale_file(text, tmp_path / "target.mp4", engine=engine)
    sound = tmp_path / "sound.mp4"
    tone = ["-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac", str(sound)]
    run_ffmpeg(tone, timeout_s=20, what="making a tone")
    with pytest.raises(MediaError, match="has no video"):
        upscale_file(sound, tmp_path / "target.mp4", engine=engine)


def test_a_failure_leaves_the_earlier_result_as_it_was(tmp_path: Path, engine: Engine) -> None:
    target = tmp_path / "target.mp4"
    upscale_file(render(tmp_path / "good.mp4", frames=2), target, settings=PLAIN, engine=engine)
    before = target.read_bytes()
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(_cut((tmp_path / "good.mp4").read_bytes()))
    with pytest.raises(MediaError):
        upscale_file(bad, target, settings=PLAIN, engine=engine)
    assert target.read_bytes() == before
    assert folder(tmp_path) == ["bad.mp4", "good.mp4", "target.mp4"]


def test_an_error_in_the_callers_progress_ends_the_work_cleanly(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=30)

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine, progress=stop)
    assert folder(tmp_path) == ["source.mp4"]


@pytest.mark.parametrize("name", ["target.avi", "target"])
def test_a_target_that_is_no_clips_name_is_refused(tmp_path: Path, engine: Engine, name: str) -> None:
    with pytest.raises(MediaError, match=r"it ends in \.mp4, \.mov or \.mkv"):
        upscale_file(big_buck_bunny(), tmp_path / name, engine=engine)


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path: Path, engine: Engine) -> None:
    source = render(tmp_path / "source.mp4", frames=2)
    with pytest.raises(UpscalingError, match="No such file or directory"):
        upscale_file(source, tmp_path / "nowhere" / "target.mp4", settings=PLAIN, engine=engine)


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from video_pipeline.upscaling import UpscaleSettings, UpscalingError, upscale_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    upscale_file(Path(sys.argv[1]), Path(sys.argv[2]), settings=UpscaleSettings(short_side=144, blend=0))
except UpscalingError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of a file stands in for the full disk: the same call fails in the same way."""
    source = render(tmp_path / "source.mp4", size=(128, 72), frames=60)
    target = tmp_path / "target.mp4"
    command = [sys.executable, "-c", _FULL_DISK, str(source), str(target), "20000"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "did not take the upscaled clip" in said
    assert folder(tmp_path) == ["source.mp4"]
