"""Planes to RGB and back, against swscale and against the formulas, for every layout, depth, range and matrix."""

import subprocess

import numpy as np
import pytest
import torch

from video_pipeline.media import ffmpeg_exe
from video_pipeline.upscaling.compute.colour import from_rgb, to_rgb
from video_pipeline.upscaling.compute.planes import PlaneFormat

LAYOUTS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"]
# ffmpeg's names as tags, and as the scale filter takes them.
MATRICES = {"bt709": "bt709", "smpte170m": "smpte170m", "bt2020nc": "bt2020"}
# H.273, table 4: Kr and Kb.
SHARES = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}

every_layout = pytest.mark.parametrize("layout", LAYOUTS)
every_matrix = pytest.mark.parametrize("matrix", MATRICES)
every_range = pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth picture, known at any place: RGB 0..1 of shape (3, H, W)."""
    return np.stack([0.5 + 0.2 * np.sin(x / 9 + phase) + 0.16 * np.cos(y / 7 + 2 * phase) for phase in range(3)])


def picture(size: tuple[int, int]) -> np.ndarray:
    """The waves at the middles of pixels, as 8-bit codes (3, H, W)."""
    y, x = np.mgrid[: size[1], : size[0]].astype(float)
    return (255 * waves(x, y)).round().astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """In dB, of values in 0..1."""
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


def swscale(raw: bytes, size: tuple[int, int], formats: tuple[str, str], options: str) -> bytes:
    scale = f"scale={options}:flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
    command = [ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", formats[0]]
    command += ["-s", f"{size[0]}x{size[1]}", "-i", "-", "-vf", scale, "-f", "rawvideo", "-pix_fmt", formats[1], "-"]
    return subprocess.run(command, input=raw, capture_output=True, check=True).stdout


def swscale_planes(shape: PlaneFormat) -> tuple[bytes, list[torch.Tensor]]:
    """The picture as swscale writes it in this shape: its bytes, and the planes (1, h, w) in them."""
    (width, height), (across, down) = shape.size, shape.subsampling
    red, green, blue = picture(shape.size)
    options = f"out_color_matrix={MATRICES[shape.matrix]}:out_range={'full' if shape.full_range else 'limited'}"
    raw = swscale(
        np.stack([green, blue, red]).tobytes(),
        shape.size,
        ("gbrp", shape.pixel_format),
        f"{options}:out_chroma_loc=left",
    )
    codes = np.frombuffer(raw, np.uint8 if shape.bit_depth == 8 else "<i2")
    chroma = (height // down, width // across)
    luma_end, blue_end = width * height, width * height + chroma[0] * chroma[1]
    parts = [codes[:luma_end], codes[luma_end:blue_end], codes[blue_end:]]
    sizes = [(height, width), chroma, chroma]
    return raw, [torch.from_numpy(part.reshape(1, *s).copy()) for part, s in zip(parts, sizes, strict=True)]


@every_range
@every_matrix
@every_layout
def test_planes_become_the_rgb_that_swscale_makes_of_them(layout: str, matrix: str, full_range: bool) -> None:
    """To within its own rounding; a wrong matrix gives 33 dB, a wrong range 32, a wrong siting 44."""
    shape = PlaneFormat((64, 48), layout, matrix, full_range)
    raw, planes = swscale_planes(shape)
    options = f"in_color_matrix={MATRICES[matrix]}:in_range={'full' if full_range else 'limited'}:in_chroma_loc=left"
    shown = np.frombuffer(swscale(raw, shape.size, (layout, "gbrp"), options), np.uint8).reshape(3, 48, 64) / 255
    assert psnr(to_rgb(planes, shape)[0].numpy(), shown[[2, 0, 1]]) > 52


@every_range
@every_matrix
@pytest.mark.parametrize("layout", ["yuv420p", "yuv420p10le"])
def test_rgb_becomes_the_planes_that_swscale_makes_of_it(layout: str, matrix: str, full_range: bool) -> None:
    shape = PlaneFormat((64, 48), layout, matrix, full_range)
    _, expected = swscale_planes(shape)
    found = from_rgb(torch.from_numpy(picture(shape.size))[None] / 255, shape)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        # swscale works with 15 bits.
        assert (ours.int() - theirs.int()).abs().max() <= (1 if shape.bit_depth == 8 else 3)


def computed_planes(shape: PlaneFormat) -> list[torch.Tensor]:
    """The waves' planes by H.273's formulas, chroma computed at the very places where its samples lie."""
    (width, height), (across, down) = shape.size, shape.subsampling
    red_share, blue_share = SHARES[shape.matrix]

    def signals(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        red, green, blue = waves(x, y)
        luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
        return luma, (blue - luma) / (2 - 2 * blue_share), (red - luma) / (2 - 2 * red_share)

    y, x = np.mgrid[:height, :width].astype(float)
    rows, columns = np.mgrid[: -(-height // down), : -(-width // across)].astype(float)
    luma = signals(x, y)[0]
    ends = {"left": (0, 0.5), "center": (0.5, 0.5), "topleft": (0, 0), "top": (0.5, 0), "bottomleft": (0, 1)}
    at = ends[shape.siting]
    _, blue, red = signals(across * columns + (across - 1) * at[0], down * rows + (down - 1) * at[1])
    step, highest = 1 << (shape.bit_depth - 8), (1 << shape.bit_depth) - 1
    if shape.full_range:
        coded = [luma * highest, blue * highest + 128 * step, red * highest + 128 * step]
    else:
        coded = [(219 * luma + 16) * step, (224 * blue + 128) * step, (224 * red + 128) * step]
    kind = np.uint8 if shape.bit_depth == 8 else np.int16
    return [torch.from_numpy(values.round().astype(kind)[None]) for values in coded]


@pytest.mark.parametrize("size", [(64, 48), (65, 48), (64, 37), (65, 37)], ids=str)
@every_range
@every_matrix
@every_layout
def test_planes_of_even_and_odd_sizes_become_the_picture_they_were_computed_from(
    layout: str, matrix: str, full_range: bool, size: tuple[int, int]
) -> None:
    shape = PlaneFormat(size, layout, matrix, full_range)
    y, x = np.mgrid[: size[1], : size[0]].astype(float)
    assert psnr(to_rgb(computed_planes(shape), shape)[0].numpy(), waves(x, y)) > (46 if shape.bit_depth == 8 else 50)


@pytest.mark.parametrize("siting", ["left", "center", "topleft", "top", "bottomleft"])
@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p10le", "yuv411p", "yuv410p"])
def test_chroma_is_read_where_it_stands(layout: str, siting: str) -> None:
    """Inside, where no edge is repeated; a siting that is wrong by half a pixel gives 44 dB."""
    shape = PlaneFormat((64, 48), layout, "bt709", False, siting)
    y, x = np.mgrid[:48, :64].astype(float)
    inside = (slice(None), slice(8, -8), slice(8, -8))
    assert psnr(to_rgb(computed_planes(shape), shape)[0].numpy()[inside], waves(x, y)[inside]) > 48


@every_range
@every_matrix
@pytest.mark.parametrize("layout", ["yuv420p", "yuv420p10le"])
def test_every_grey_comes_back_as_the_code_that_it_was(layout: str, matrix: str, full_range: bool) -> None:
    step = 1 if layout == "yuv420p" else 4
    codes = np.arange(0, 256 * step) if full_range else np.arange(16 * step, 235 * step + 1)
    codes = codes[: len(codes) // 2 * 2]
    kind = np.uint8 if step == 1 else np.int16
    luma = torch.from_numpy(codes.astype(kind)).expand(1, 2, -1)
    grey = torch.full((1, 1, len(codes) // 2), 128 * step, dtype=luma.dtype)
    shape = PlaneFormat((len(codes), 2), layout, matrix, full_range)
    again = from_rgb(to_rgb((luma, grey, grey), shape), shape)
    assert all(torch.equal(a, b) for a, b in zip(again, (luma, grey, grey), strict=True))


def test_blacker_than_black_and_whiter_than_white_are_black_and_white() -> None:
    shape = PlaneFormat((4, 2), "yuv420p", "bt709", full_range=False)
    luma = torch.tensor([[[0, 16, 235, 255]] * 2], dtype=torch.uint8)
    grey = torch.full((1, 1, 2), 128, dtype=torch.uint8)
    assert to_rgb((luma, grey, grey), shape)[0, 1, 0].tolist() == pytest.approx([0, 0, 1, 1], abs=1e-6)
