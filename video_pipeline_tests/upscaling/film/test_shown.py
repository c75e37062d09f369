"""The picture as a player shows it: turned, mirrored, cropped, of the right track; as ffmpeg itself decodes it."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from video_pipeline.errors import MediaError
from video_pipeline.media import cut, frames_at, run_ffmpeg, stitch
from video_pipeline.upscaling import Engine, upscale_file
from video_pipeline_tests.media.clips import cropped, render, turned
from video_pipeline_tests.upscaling.measures import PLAIN, luma, pictures, psnr, video_of


@pytest.fixture(scope="module")
def level(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is the same in no two of the eight positions."""
    tags = "setparams=colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m:range=tv"
    return render(tmp_path_factory.mktemp("level") / "level.mp4", filters=f"format=yuv420p,{tags}", frames=3)


def shows_what_ffmpeg_shows(source: Path, target: Path, engine: Engine) -> bool:
    upscale_file(source, target, settings=PLAIN, engine=engine)
    video = video_of(target)
    assert (video.rotation, video.mirrored, video.cropping) == (0, False, (0, 0, 0, 0))
    size = video_of(source).size
    # In luma: ffmpeg turns the planes and forgets that a turned chroma sample stands elsewhere.
    return psnr(luma(pictures(source, size)), luma(pictures(target, size))) > 25


@pytest.mark.parametrize(
    ("degrees", "flip", "ending"),
    [
        (90, "", "mkv"),
        (180, "", "mov"),
        (270, "", "mp4"),
        (0, "hflip", "mkv"),
        (0, "vflip", "mp4"),
        (90, "hflip", "mov"),
        (90, "vflip", "mp4"),
        (270, "hflip", "mkv"),
    ],
)
def test_every_position_comes_out_as_ffmpeg_shows_it(
    tmp_path: Path, engine: Engine, level: Path, degrees: int, flip: str, ending: str
) -> None:
    source = turned(level, tmp_path / f"source.{ending}", degrees, hflip=flip == "hflip", vflip=flip == "vflip")
    assert shows_what_ffmpeg_shows(source, tmp_path / f"target.{ending}", engine)
    still = np.asarray(frames_at(source, [0.0])[0])
    assert psnr(still, pictures(source, video_of(source).size)[0]) > 25


def test_the_codecs_own_word_on_the_position_counts_too(tmp_path: Path, engine: Engine, level: Path) -> None:
    source = tmp_path / "source.mkv"
    word = ["-bsf:v", "h264_metadata=display_orientation=insert:rotate=90:flip=horizontal", str(source)]
    run_ffmpeg(["-y", "-i", str(level), "-c", "copy", *word], timeout_s=20, what="turning")
    assert (video_of(source).rotation, video_of(source).mirrored) == (270, True)
    assert shows_what_ffmpeg_shows(source, tmp_path / "target.mp4", engine)


@pytest.mark.parametrize(("orientation", "position"), [(5, (270, True)), (8, (90, False))])
def test_pictures_of_cameras_are_turned_by_their_exif_data(
    tmp_path: Path, engine: Engine, level: Path, orientation: int, position: tuple[int, bool]
) -> None:
    """PyAV has no name for it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    frames_at(level, [0.0])[0].save(tmp_path / "picture.jpg", exif=exif)
    source = tmp_path / "source.mov"
    film = ["-framerate", "5", "-loop", "1", "-t", "1", "-i", str(tmp_path / "picture.jpg"), "-c", "copy"]
    run_ffmpeg(["-y", *film, str(source)], timeout_s=20, what="muxing")
    assert (video_of(source).rotation, video_of(source).mirrored) == position
    assert shows_what_ffmpeg_shows(source, tmp_path / "target.mp4", engine)


@pytest.mark.parametrize("degrees", [1, 89, 269])
def test_a_turn_that_is_almost_a_quarter_turn_is_one(
    tmp_path: Path, engine: Engine, level: Path, degrees: int
) -> None:
    source = turned(level, tmp_path / "source.mp4", degrees)
    upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    size = (36, 64) if degrees > 45 else (64, 36)
    assert video_of(source).size == size
    straight = turned(level, tmp_path / "straight.mp4", 90 * round(degrees / 90))
    assert psnr(luma(pictures(straight, size)), luma(pictures(tmp_path / "target.mp4", size))) > 25


@pytest.mark.parametrize("degrees", [30, 45, 200])
def test_another_turn_is_refused(tmp_path: Path, engine: Engine, level: Path, degrees: int) -> None:
    source = turned(level, tmp_path / "source.mp4", degrees, hflip=degrees == 200)
    with pytest.raises(MediaError, match=r"turned by \d+ degrees or sheared"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)


@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize(
    ("cropping", "size"), [((0, 0, 6, 8), (64, 22)), ((10, 2, 0, 0), (52, 36)), ((4, 8, 2, 6), (52, 28))]
)
def test_what_the_container_crops_is_not_shown(
    tmp_path: Path,
    engine: Engine,
    level: Path,
    ending: str,
    cropping: tuple[int, int, int, int],
    size: tuple[int, int],
) -> None:
    source = cropped(level, tmp_path / f"source.{ending}", cropping)
    assert video_of(source).size == size
    assert shows_what_ffmpeg_shows(source, tmp_path / f"target.{ending}", engine)


@pytest.mark.parametrize("crop", ["crop_left=6:crop_right=10:crop_top=4:crop_bottom=2", "crop_left=16", "crop_top=2"])
def test_what_the_codec_crops_is_not_shown(tmp_path: Path, engine: Engine, level: Path, crop: str) -> None:
    """To the pixel, wherever the rows then start in memory."""
    source = tmp_path / "source.mp4"
    crops = ["-bsf:v", f"h264_metadata={crop}", str(source)]
    run_ffmpeg(["-y", "-i", str(level), "-c", "copy", *crops], timeout_s=20, what="cropping")
    assert video_of(source).size != video_of(level).size
    assert shows_what_ffmpeg_shows(source, tmp_path / "target.mp4", engine)


def test_a_crop_of_odd_lengths_is_exact_and_comes_before_the_turn(
    tmp_path: Path, engine: Engine, level: Path
) -> None:
    """ffmpeg itself would cut where chroma samples begin."""
    source = turned(cropped(level, tmp_path / "cropped.mp4", (3, 0, 0, 5)), tmp_path / "source.mp4", 90, hflip=True)
    assert video_of(source).size == (31, 61)
    upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    whole = pictures(level, (64, 36))[:, :31, 3:]
    expected = np.rot90(whole, 1, (1, 2))[:, :, ::-1]
    shown = pictures(tmp_path / "target.mp4", (31, 61))
    assert psnr(luma(shown), luma(expected)) > 25
    assert psnr(luma(np.asarray(frames_at(source, [0.0])[0])), luma(expected[0])) > 30


def test_a_container_that_crops_everything_away_is_refused(tmp_path: Path, engine: Engine, level: Path) -> None:
    """It says that its pictures are wider than they are."""
    source = cropped(level, tmp_path / "source.mkv", (40, 8, 0, 0))
    data = (
        source.read_bytes()
        .replace(b"\xb0\x81\x40", b"\xb0\x81\x78")
        .replace(b"\x54\xcc\x81\x28", b"\x54\xcc\x81\x3c")
    )
    source.write_bytes(data)
    with pytest.raises(MediaError, match="crops the whole picture away"):
        upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Films of three sizes, and a single picture that is larger than they are."""
    place = tmp_path_factory.mktemp("tracks")
    sizes = {"small": (32, 18), "middle": (48, 36), "large": (64, 36)}
    films = {name: render(place / f"{name}.mp4", size=size, frames=3) for name, size in sizes.items()}
    render(place / "cover.png", size=(128, 72), frames=1, options=("-c:v", "png", "-pix_fmt", "rgb24"))
    return films | {"still": render(place / "still.mp4", size=(128, 72), frames=1)}


# Tracks in the order of the file, "*" marks what is flagged as default, "c" as cover art; and which one is the film.
@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (("small*", "large*"), "large"),
        (("small", "middle*"), "middle"),
        (("large", "small*"), "small"),
        (("large*", "small*"), "large"),
    ],
)
def test_the_film_is_the_track_that_players_take(
    tmp_path: Path, engine: Engine, tracks: dict[str, Path], ending: str, order: tuple[str, ...], expected: str
) -> None:
    source = tmp_path / f"source.{ending}"
    inputs = [word for name in order for word in ("-i", str(tracks[name.strip("*")]))]
    maps = [word for number in range(len(order)) for word in ("-map", f"{number}:v")]
    flags = [(f"-disposition:v:{n}", "default" if name.endswith("*") else "0") for n, name in enumerate(order)]
    words = [word for flag in flags for word in flag]
    run_ffmpeg(["-y", *inputs, *maps, "-c", "copy", *words, str(source)], timeout_s=20, what="muxing")
    assert video_of(source).size == video_of(tracks[expected]).size
    upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    shown, film = pictures(tmp_path / "target.mp4", (64, 48)), pictures(tracks[expected], (64, 48))
    assert psnr(shown, film) > 20


def test_the_film_is_what_is_cut_and_joined(tmp_path: Path, tracks: dict[str, Path]) -> None:
    """By the stages before the upscaler, too: copied, and coded again."""
    source, target = tmp_path / "source.mp4", tmp_path / "target.mp4"
    inputs = ["-i", str(tracks["small"]), "-i", str(tracks["large"]), "-map", "0", "-map", "1"]
    flags = ["-disposition:v", "default", "-c", "copy", str(source)]
    run_ffmpeg(["-y", *inputs, *flags], timeout_s=20, what="muxing")
    cut(source, target, with_audio=False)
    assert (video_of(target).size, video_of(target).frames) == ((64, 36), 3)
    stitch([source, source], target, size=(64, 36), rate=Fraction(25), with_audio=False)
    assert video_of(target).frames == 6
    assert psnr(pictures(target, (64, 36))[:3], pictures(tracks["large"], (64, 36))) > 25


@pytest.mark.parametrize(("still", "ending"), [("still.mp4", "mp4"), ("cover.png", "mkv")])
def test_a_single_picture_beside_a_film_is_not_the_film(
    tmp_path: Path, engine: Engine, tracks: dict[str, Path], still: str, ending: str
) -> None:
    source = tmp_path / f"source.{ending}"
    inputs = ["-i", str(tracks["still"].with_name(still)), "-i", str(tracks["small"]), "-map", "0", "-map", "1"]
    flags = ["-disposition:v", "default", "-c", "copy"]
    run_ffmpeg(["-y", *inputs, *flags, str(source)], timeout_s=20, what="muxing")
    upscale_file(source, tmp_path / "target.mp4", settings=PLAIN, engine=engine)
    assert video_of(tmp_path / "target.mp4").frames == 3
