"""Colour: planes to RGB and back as swscale has it, and whole clips that keep their tags and their look."""

from pathlib import Path

import av
import numpy as np
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.upscaling import Engine, UpscaleSettings, upscale_file
from video_pipeline_tests.media.clips import render, with_record
from video_pipeline_tests.upscaling.measures import SMALL, bars, folder, pictures, psnr, video_of


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


X265 = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params")
DISPLAY = "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("source.mp4", (*X265, DISPLAY), r"is HDR \(HDR10, by its mastering display\)"),
        ("source.mkv", (*X265, "log-level=none:max-cll=1000,400"), r"is HDR \(HDR10, by its light level\)"),
        ("source.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"), "is transparent"),
        ("source.webm", ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"), "is transparent"),
        ("source.mkv", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"), "is transparent"),
        ("source.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"), "bits a sample|takes YUV without"),
        ("source.mov", ("-c:v", "qtrle", "-pix_fmt", "argb"), "takes YUV without"),
        ("source.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuva420p"), "takes YUV without"),
    ],
)
def test_what_stands_beside_the_pictures_is_refused_too(
    tmp_path: Path, engine: Engine, name: str, options: tuple[str, ...], complaint: str
) -> None:
    source = render(tmp_path / name, filters="format=yuva420p,colorchannelmixer=aa=0.5", options=options, frames=2)
    with pytest.raises(MediaError, match=complaint):
        upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)
    assert folder(tmp_path) == [name]


# Profile 5, which has no other mark of HDR; 8.1 and 8.4, on HDR10 and HLG; 8.2, on SDR.
@pytest.mark.parametrize("record", ["01000a0d00", "0100100d10", "0100100d20", "0100100d40"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_dolby_vision_is_refused_by_its_record(tmp_path: Path, engine: Engine, record: str, codec: str) -> None:
    quiet = ("-x265-params", "log-level=none") if codec == "libx265" else ()
    plain = render(tmp_path / "plain.mp4", options=("-c:v", codec, *quiet), frames=2)
    source = with_record(plain, tmp_path / "source.mp4", b"dvcC", bytes.fromhex(record) + bytes(19))
    with pytest.raises(MediaError, match=r"is HDR \(Dolby Vision\)"):
        upscale_file(source, tmp_path / "target.mp4", settings=SMALL, engine=engine)


def test_high_definition_bars_go_through_at_45_db_without_the_network(tmp_path: Path, engine: Engine) -> None:
    """At their own size, every pixel counts: read with the wrong matrix and untagged it would be 29 dB."""
    tags = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
    convert = f"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,{tags}"
    source = render(tmp_path / "source.mp4", size=(1280, 720), picture="smptehdbars", filters=convert, frames=2)
    target = tmp_path / "target.mp4"
    settings = UpscaleSettings(short_side=720, blend=0, crf=6)
    upscale_file(source, target, settings=settings, engine=engine)
    assert video_of(target).size == (1280, 720)
    assert video_of(target).color_matrix == video_of(source).color_matrix == "bt709"
    assert psnr(pictures(source, (1280, 720)), pictures(target, (1280, 720))) >= 45


# An order of bytes that hardware decoders give, and two that only old codecs have.
@pytest.mark.parametrize(
    ("pixel_format", "codec"), [("nv12", "rawvideo"), ("yuv410p", "ffv1"), ("yuv411p", "ffv1"), ("yuvj422p", "mjpeg")]
)
def test_other_layouts_of_the_same_colours_are_taken(
    tmp_path: Path, engine: Engine, pixel_format: str, codec: str
) -> None:
    options = ("-c:v", codec, "-pix_fmt", pixel_format)
    source = render(tmp_path / "source.mkv", picture="smptebars", size=(256, 144), options=options, frames=2)
    assert video_of(source).pixel_format == pixel_format
    target = tmp_path / "target.mp4"
    upscale_file(source, target, settings=UpscaleSettings(short_side=144, blend=0, crf=6), engine=engine)
    assert video_of(target).pixel_format.removeprefix("yuvj").removeprefix("yuv") == "420p"
    assert psnr(bars(source, (256, 144)), bars(target, (256, 144))) > 40


def edge_at(plane: np.ndarray) -> tuple[float, float]:
    """Where a picture's one edge lies along its middle row and its middle column, in samples."""
    steps = np.diff(plane.mean(axis=0)), np.diff(plane.mean(axis=1))
    across, down = (float((step * (np.arange(len(step)) + 0.5)).sum() / step.sum()) for step in steps)
    return across, down


@pytest.mark.parametrize(("codec", "ending"), [("ffv1", "mkv"), ("libx264", "mp4"), ("libvpx-vp9", "webm")])
@pytest.mark.parametrize("siting", ["left", "center", "topleft"])
def test_colour_edges_stay_in_their_place(
    tmp_path: Path, engine: Engine, siting: str, codec: str, ending: str
) -> None:
    """Within a tenth of a source pixel: red begins at column 30.5 and row 18.25 of the source's luma."""
    (across, down), (x, y) = (30.5, 18.25), {"left": (0, 0.5), "center": (0.5, 0.5), "topleft": (0, 0)}[siting]
    slope = f"(1/(1+exp(({across}-(2*X+{x}))/2))+1/(1+exp(({down}-(2*Y+{y}))/2)))"
    # geq takes the chroma planes' own columns and rows.
    source = render(
        tmp_path / f"source.{ending}",
        picture="color",
        filters=f"format=yuv420p,geq=lum=128:cb=128:cr='128+40*{slope}',setparams=chroma_location={siting}",
        options=("-c:v", codec, "-crf", "1"),
        frames=2,
    )
    target = tmp_path / "target.mp4"
    upscale_file(source, target, settings=UpscaleSettings(short_side=72, blend=0, crf=1), engine=engine)
    with av.open(str(target)) as clip:
        red = next(clip.decode(video=0)).to_ndarray()[90:108].reshape(36, 64).astype(float)
    found = edge_at(red)
    # The result's chroma stands on the first of two columns and between two rows, of pixels of half the size.
    assert (2 * found[0] + 0.5) / 2 - 0.5 == pytest.approx(across, abs=0.1)
    assert (2 * found[1] + 0.5 + 0.5) / 2 - 0.5 == pytest.approx(down, abs=0.1)
