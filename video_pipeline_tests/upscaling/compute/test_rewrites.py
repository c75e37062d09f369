"""The rewritten networks: the same function of the same weights, in fewer steps."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from video_pipeline.upscaling import Engine
from video_pipeline.upscaling.compute.networks import RRDBNet, SRVGGNetCompact, build_network
from video_pipeline.upscaling.compute.rewrites import FoldedCompact, foldable, push_form
from video_pipeline.upscaling.compute.strips import rows_for_cpu
from video_pipeline.upscaling.compute.weights import load_weights
from video_pipeline_tests.media.clips import big_buck_bunny
from video_pipeline_tests.upscaling.measures import psnr

ENLARGEMENTS = [Fraction(3, 2), Fraction(2), Fraction(3), Fraction(4, 3), Fraction(1)]


@pytest.fixture(scope="module")
def crop() -> Tensor:
    """60x96 pixels of a real film, (1, 3, 60, 96)."""
    with av.open(str(big_buck_bunny())) as clip:
        frame = next(clip.decode(video=0)).to_ndarray(format="rgb24")[300:360, 500:596]
    return torch.from_numpy(frame.copy()).permute(2, 0, 1)[None] / 255


@pytest.fixture(scope="module")
def animevideo() -> SRVGGNetCompact:
    network = build_network(load_weights("realesr-animevideov3").state)
    assert isinstance(network, SRVGGNetCompact)
    return network


def randomly_weighted(network: torch.nn.Module, seed: int) -> None:
    """Weights that keep the values of a picture about as large as they are."""
    torch.manual_seed(seed)
    for weight in network.parameters():
        fan_in = weight[0].numel() if weight.dim() == 4 else 25
        torch.nn.init.normal_(weight, std=fan_in**-0.5)


def averaged(large: Tensor, enlargement: Fraction, scale: int) -> Tensor:
    """The area average of a picture at `scale` down to `enlargement`, the long way round: repeat, then pool."""
    repeated = F.interpolate(large, scale_factor=float(enlargement.numerator), mode="nearest")
    return F.avg_pool2d(repeated, scale * enlargement.denominator)


@pytest.mark.parametrize("enlargement", ENLARGEMENTS, ids=str)
@pytest.mark.parametrize("scale", [4, 3])
def test_a_folded_network_equals_the_network_and_the_area_average_after_it(enlargement: Fraction, scale: int) -> None:
    network = SRVGGNetCompact(features=6, convolutions=2, scale=scale)
    randomly_weighted(network, seed=scale)
    if not foldable(network, enlargement):
        assert enlargement == scale == 3
        return
    picture = torch.rand(2, 3, 24, 36, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = FoldedCompact(network, enlargement)(picture)
        expected = averaged(network.double()(picture.double()), enlargement, scale)
    assert found.shape == (2, 3, int(24 * enlargement), int(36 * enlargement))
    assert (found - expected).abs().max() < 1e-6


@pytest.mark.parametrize("enlargement", ENLARGEMENTS, ids=str)
def test_the_real_network_folded_equals_itself_but_for_the_clamp(
    animevideo: SRVGGNetCompact, crop: Tensor, enlargement: Fraction
) -> None:
    with torch.inference_mode():
        large = animevideo(crop)
        found = FoldedCompact(animevideo, enlargement)(crop)
    exact = averaged(large, enlargement, animevideo.scale)
    clamped_first = averaged(large.clamp(0, 1), enlargement, animevideo.scale)
    assert (found - exact).abs().max() < 2e-6
    assert psnr(255 * found.clamp(0, 1).numpy(), 255 * clamped_first.numpy()) >= 60


def test_only_compact_networks_and_short_periods_below_their_scale_are_folded() -> None:
    compact = SRVGGNetCompact(features=4, convolutions=1, scale=4)
    assert all(foldable(compact, enlargement) for enlargement in ENLARGEMENTS)
    assert not foldable(compact, Fraction(5, 4))
    assert not foldable(compact, Fraction(1920, 854))
    assert not foldable(compact, Fraction(4))
    assert not foldable(compact, Fraction(9, 2))
    assert not foldable(RRDBNet(features=4, growth=2, blocks=1, scale=4), Fraction(3, 2))


@pytest.mark.parametrize("scale", [2, 4])
def test_the_push_form_equals_the_dense_network(scale: int) -> None:
    network = RRDBNet(features=8, growth=4, blocks=2, scale=scale).eval()
    randomly_weighted(network, seed=scale)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    picture = torch.rand(2, 3, 22, 30, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = network(picture), push_form(network)(picture)
    assert found.shape == (2, 3, 22 * scale, 30 * scale)
    assert expected.std() > 0.05
    assert (found - expected).abs().max() < 1e-5
    # It is a copy: the network that was given is as it was.
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def test_the_push_form_of_real_weights_equals_them() -> None:
    network = build_network(load_weights("RealESRGAN_x4plus_anime_6B").state)
    assert isinstance(network, RRDBNet)
    picture = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert (push_form(network)(picture) - network(picture)).abs().max() < 1e-5


@pytest.fixture(scope="module")
def picture(crop: Tensor) -> np.ndarray:
    return (crop[0].permute(1, 2, 0) * 255).byte().numpy()[None]


# Of 96x60: three halves, twice, four thirds and once.
@pytest.mark.parametrize("size", [(144, 90), (192, 120), (128, 80), (96, 60)])
def test_strips_of_a_folded_network_equal_the_uncut_picture(picture: np.ndarray, size: tuple[int, int]) -> None:
    whole, strips = (
        Engine(device="cpu", precision="float32", execution="rewritten", strip_rows=cut).upscale_rgb(
            picture, size=size
        )
        for cut in (None, 17)
    )
    assert whole.shape == (1, size[1], size[0], 3)
    assert np.abs(strips.astype(int) - whole).max() <= 1
    assert np.mean(strips != whole) < 1e-4  # only where float sums in another order round to the other side


# Of 30x24: the same four, and two that no short period gives.
@pytest.mark.parametrize(
    ("size", "folded"),
    [((45, 36), True), ((60, 48), True), ((40, 32), True), ((30, 24), True), ((31, 25), False), ((46, 37), False)],
)
def test_only_sizes_of_a_short_period_are_computed_folded(size: tuple[int, int], folded: bool) -> None:
    """Hard noise overshoots, which shows whether the clamp comes before the average or after it."""
    noise = 255 * np.random.default_rng(4).integers(0, 2, (1, 24, 30, 3), np.uint8)
    plain, rewritten = (
        Engine(device="cpu", precision="float32", execution=execution).upscale_rgb(noise, size=size)
        for execution in ("plain", "rewritten")
    )
    assert np.array_equal(plain, rewritten) != folded


@pytest.mark.parametrize("scale", [2, 4])
def test_the_end_of_a_dense_network_is_the_same_in_strips(scale: int) -> None:
    torch.manual_seed(11)
    network = RRDBNet(features=8, growth=4, blocks=1, scale=scale).eval()
    picture = torch.rand(1, 3, 70, 36)
    with torch.inference_mode():
        whole = network(picture)
        network.tail_bytes = 1
        strips = network(picture)
    assert (strips - whole).abs().max() < 1e-6


def test_a_720p_picture_is_not_cut_for_a_dense_network_on_a_cpu() -> None:
    """Its strips would be computed with 96 rows more on both sides: cutting thin costs many times the work."""
    network = RRDBNet(features=64, growth=32, blocks=1, scale=4)
    network.halo = 96
    assert rows_for_cpu(network, 1280, value_bytes=4) >= 720
