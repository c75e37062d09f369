"""Sizes, settings, the electricity sum, and the bounded hand-over between stages."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice

import pytest

from video_pipeline.media import VideoStream
from video_pipeline.upscaling import Electricity, UpscaleProgress, UpscaleSettings, WeightsError, target_size
from video_pipeline.upscaling.compute.power import PowerMeter, Share
from video_pipeline.upscaling.concurrency import run_concurrently
from video_pipeline.upscaling.film.prefetch import prefetch


def video(size: tuple[int, int], *, rotation: int = 0, pixel: Fraction = Fraction(1)) -> VideoStream:
    return VideoStream(
        codec="h264",
        size=size,
        coded_size=size if rotation in (0, 180) else (size[1], size[0]),
        rotation=rotation,
        sample_aspect_ratio=pixel,
        rate=Fraction(25),
        time_base=Fraction(1, 12800),
        frames=1,
        pixel_format="yuv420p",
        bit_depth=8,
        color_matrix=None,
        color_primaries=None,
        color_transfer=None,
        color_range=None,
        start_s=0.0,
        duration_s=0.04,
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1280, 720), (1920, 1080)),
        ((720, 1280), (1080, 1920)),
        ((512, 512), (1080, 1080)),
        ((854, 480), (1920, 1080)),
        ((480, 848), (1080, 1920)),
        ((832, 480), (1872, 1080)),
        ((640, 480), (1440, 1080)),
        ((853, 481), (1920, 1080)),
        ((1920, 800), (2592, 1080)),
        ((3840, 2160), (1920, 1080)),
    ],
)
def test_the_short_side_becomes_1080_and_the_aspect_is_kept(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert target_size(video(size), 1080) == expected


def test_pixels_that_are_not_square_become_square() -> None:
    assert target_size(video((720, 576), pixel=Fraction(16, 15)), 1080) == (1440, 1080)
    # Turned by a quarter, the wide pixel stands upright.
    assert target_size(video((576, 720), rotation=90, pixel=Fraction(16, 15)), 1080) == (1080, 1440)


def test_any_choice_and_the_weights_change_the_fingerprint() -> None:
    plain = UpscaleSettings()
    others = [
        replace(plain, model="RealESRGAN_x4plus"),
        replace(plain, short_side=720),
        replace(plain, blend=0.5),
        replace(plain, crf=20),
        replace(plain, preset="medium"),
        replace(plain, precision="float32"),
    ]
    prints = {settings.fingerprint() for settings in (plain, *others)} | {plain.fingerprint("0" * 64)}
    assert len(prints) == 8
    assert UpscaleSettings().fingerprint() == plain.fingerprint()


@pytest.mark.parametrize(
    "change", [{"blend": 1.1}, {"blend": -0.1}, {"crf": 52}, {"short_side": 1081}, {"short_side": 0}]
)
def test_settings_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        UpscaleSettings(**change)  # pyright: ignore[reportArgumentType]  # wrong on purpose


def test_settings_for_an_unknown_model_are_refused() -> None:
    with pytest.raises(WeightsError, match="no upscaling model"):
        UpscaleSettings(model="esrgan-9000")


def test_electricity_follows_the_published_formula() -> None:
    """The published figures: 450 W at 80 % and $0.12/kWh, 50 clips an hour, is $0.000864 a clip."""
    assert Electricity().usd(Share(72.0), "cuda") == Decimal("0.000864")
    assert Electricity().usd(Share(72.0), "cpu") == Decimal("0.000125")
    assert Electricity(usd_per_kwh=Decimal("0.24")).usd(Share(72.0), "cuda") == Decimal("0.001728")


def test_progress_estimates_what_is_left() -> None:
    assert UpscaleProgress(frames_done=30, frames_total=120, elapsed_s=15.0).eta_s == 45.0
    assert UpscaleProgress(frames_done=30, frames_total=None, elapsed_s=15.0).eta_s is None
    assert UpscaleProgress(frames_done=0, frames_total=120, elapsed_s=0.0).eta_s is None


def test_a_slow_consumer_holds_the_producer_back() -> None:
    """The bound that keeps memory flat: never more than the queue and the one in hand beyond what was taken."""
    produced = 0

    def items() -> Iterator[int]:
        nonlocal produced
        for number in range(100):
            produced += 1
            yield number

    most_ahead = 0
    with closing(prefetch(items(), 3)) as taken:
        for count, item in enumerate(taken):
            assert item == count
            if count % 20 == 0:
                time.sleep(0.05)
            most_ahead = max(most_ahead, produced - (count + 1))
    assert produced == 100
    assert 1 <= most_ahead <= 3 + 1


def test_an_error_of_the_producer_reaches_the_consumer() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    taken = prefetch(items(), 3)
    assert next(taken) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(taken)


def test_closing_early_stops_the_thread_and_closes_the_producer() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    before = threading.active_count()
    with closing(prefetch(items(), 2)) as taken:
        assert list(islice(taken, 5)) == [0, 1, 2, 3, 4]
    assert closed.is_set()
    assert threading.active_count() == before


def test_the_shares_of_overlapping_clips_add_up_to_the_time_that_passed() -> None:
    """Alone, together, alone: each second is divided among those who were at work in it."""
    meter = PowerMeter("cpu")
    started = time.perf_counter()
    with meter.share() as early:
        time.sleep(0.08)
        with meter.share() as late:
            time.sleep(0.08)
            meter.tick()
        after_late = late.seconds
        time.sleep(0.04)
    passed = time.perf_counter() - started
    assert 0.2 <= early.seconds + late.seconds <= passed
    assert late.seconds == after_late >= 0.04
    assert early.seconds - late.seconds >= 0.12
    assert early.joules is None and late.joules is None


def test_a_clip_that_fails_gives_its_share_of_the_device_back() -> None:
    meter = PowerMeter("cpu")
    with pytest.raises(OSError, match="the disk is gone"), meter.share():
        raise OSError("the disk is gone")
    with meter.share() as alone:
        started = time.perf_counter()
        time.sleep(0.02)
        passed = time.perf_counter() - started
    assert alone.seconds >= passed


def test_many_threads_share_a_meter() -> None:
    meter, start = PowerMeter("cpu"), threading.Barrier(4)
    shares: list[Share] = []

    def work() -> None:
        start.wait()
        for _ in range(20):
            with meter.share() as mine:
                meter.tick()
            shares.append(mine)

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shares) == 80
    assert 0 < sum(share.seconds for share in shares) <= time.perf_counter() - started


def test_energy_that_was_measured_is_billed_as_it_was() -> None:
    """A kilowatt hour is 3.6 megajoules, whatever the watts of the estimate are."""
    assert Electricity().usd(Share(1.0, joules=3_600_000.0), "cuda") == Decimal("0.120000")
    assert Electricity(gpu_watts=1).usd(Share(1.0, joules=1_800_000.0), "cuda") == Decimal("0.060000")


def test_results_in_flight_come_in_order_and_the_first_error_ends_it() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 4:
            raise OSError("the disk is gone")
        time.sleep(0.05 if number > 4 else 0.01 * (number % 2))
        return number * number

    results = run_concurrently(work, range(100))
    assert [next(results) for _ in range(4)] == [0, 1, 4, 9]
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)
    assert len(begun) < 20
