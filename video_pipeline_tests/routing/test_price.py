"""Prices in every form: what one clip costs, and the laws that every form keeps."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from video_pipeline.routing import Durations, Frames, Length, Offer, OffPeak, Price, Unit

_PIXELS = (480, 832)
_USD = st.integers(0, 500).map(lambda mills: Decimal(mills) / 1000)
_SHARE = st.sampled_from([Decimal("0.5"), Decimal("0.75"), Decimal("0.9")])
_MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))
_OFFERS = st.builds(Offer, share=_SHARE, until=st.dates(date(2026, 1, 1), date(2026, 12, 31)))
_NIGHTS = st.builds(OffPeak, share=_SHARE, from_hour=st.integers(0, 23), until_hour=st.integers(0, 23))


@st.composite
def _prices(draw: st.DrawFn) -> Price:
    per = draw(st.sampled_from(Unit))
    by_second = per is Unit.SECOND
    silent = draw(_USD)
    return Price(
        per=per,
        silent={"480p": silent},
        sound=draw(st.sampled_from([{}, {"480p": silent + draw(_USD)}])),
        billed_fps=draw(st.sampled_from([None, 16])) if by_second else None,
        minimum_s=draw(st.sampled_from([Decimal(0), Decimal(5)])) if by_second else Decimal(0),
        offer=draw(st.none() | _OFFERS),
        off_peak=draw(st.none() | _NIGHTS),
    )


def _length(frames: int) -> Length:
    return Length(round(frames / 24, 6), frames, 24)


def _usd(price: Price, frames: int, *, audio: bool = False, at: datetime | None = None) -> Decimal:
    return price.usd("480p", _PIXELS, _length(frames), audio=audio, at=at)


@given(price=_prices(), frames=st.tuples(st.integers(1, 480), st.integers(1, 480)), audio=st.booleans())
def test_a_longer_clip_never_costs_less(price: Price, frames: tuple[int, int], audio: bool):
    short, long = sorted(frames)
    assert _usd(price, short, audio=audio) <= _usd(price, long, audio=audio)


@given(price=_prices(), frames=st.integers(1, 480), audio=st.booleans(), at=st.none() | _MOMENTS)
def test_a_price_is_never_below_the_minimum_nor_over_the_list(price: Price, frames: int, audio: bool, at):
    usd, listed = _usd(price, frames, audio=audio, at=at), _usd(price, frames, audio=audio)
    rate = price.sound.get("480p", price.silent["480p"]) if audio else price.silent["480p"]
    least = rate * price.minimum_s if price.per is Unit.SECOND else Decimal(0)
    for reduced in (price.offer, price.off_peak):
        least *= reduced.share if reduced is not None and at is not None and reduced.holds(at) else 1
    assert least - Decimal("0.000001") <= usd <= listed
    assert usd == usd.quantize(Decimal("0.000001"))


@given(price=_prices(), frames=st.integers(1, 480))
def test_sound_never_makes_a_clip_cheaper(price: Price, frames: int):
    assert _usd(price, frames) <= _usd(price, frames, audio=True)


@pytest.mark.parametrize(
    ("price", "length", "pixels", "usd"),
    [
        pytest.param({"silent": {"480p": "0.05"}}, Length(5), _PIXELS, "0.25", id="a second"),
        pytest.param({"silent": {"480p": "0.05"}, "minimum_s": 6}, Length(4), _PIXELS, "0.30", id="a minimum"),
        pytest.param(
            {"silent": {"480p": "0.04"}, "billed_fps": 16},
            Length(5, 120, 24),
            _PIXELS,
            "0.30",
            id="frames as seconds",
        ),
        pytest.param({"silent": {"480p": "0.0125"}, "per": "video"}, Length(6.7), _PIXELS, "0.0125", id="a video"),
        # 480 x 832 x 121 frames = 48.32 megapixels, as the vendor's own page counts them.
        pytest.param(
            {"silent": {"480p": "0.001205"}, "per": "megapixel_frame"},
            Length(5.041667, 121, 24),
            _PIXELS,
            "0.058229",
            id="a megapixel of frames",
        ),
        pytest.param(
            {"silent": {"480p": "0.001205"}, "per": "megapixel_frame"},
            Length(5.041667, 121, 24),
            (480, 480),
            "0.033593",
            id="fewer pixels of a square",
        ),
    ],
)
def test_what_a_clip_costs(price: dict[str, Any], length: Length, pixels: tuple[int, int], usd: str):
    assert Price.model_validate(price).usd("480p", pixels, length) == Decimal(usd)


def test_an_offer_ends_with_its_day_and_off_peak_hours_go_over_midnight():
    price = Price(
        silent={"480p": Decimal("0.10")},
        offer=Offer(share=Decimal("0.5"), until=date(2026, 9, 30)),
        off_peak=OffPeak(share=Decimal("0.8"), from_hour=22, until_hour=6),
    )

    def usd(moment: str | None) -> Decimal:
        at = datetime.fromisoformat(moment) if moment else None
        return price.usd("480p", _PIXELS, Length(1), at=at)

    assert usd(None) == Decimal("0.10")
    assert usd("2026-09-30T21:59:00+00:00") == Decimal("0.05")
    assert usd("2026-09-30T23:59:00+00:00") == Decimal("0.04")
    # Half past one in the morning of October in Berlin is still the last day of September in UTC.
    assert usd("2026-10-01T01:30:00+02:00") == Decimal("0.04")
    assert usd("2026-10-01T05:59:00+00:00") == Decimal("0.08")
    assert usd("2026-10-01T06:00:00+00:00") == Decimal("0.10")


def test_what_has_no_price_or_no_frames_is_told():
    price = Price(silent={"480p": Decimal("0.04")}, billed_fps=16)
    with pytest.raises(ValueError, match="no price is known for the size 720p"):
        price.usd("720p", _PIXELS, Length(5))
    with pytest.raises(ValueError, match="counts frames"):
        price.usd("480p", _PIXELS, Length(5))


# Lengths

_DURATIONS = st.one_of(
    st.builds(
        lambda least, more, step: Durations(min_s=least, max_s=least + more, step_s=step),
        st.integers(1, 5),
        st.integers(0, 15),
        st.integers(1, 2),
    ),
    st.lists(st.integers(1, 20), min_size=1, unique=True).map(lambda some: Durations(allowed_s=tuple(some))),
    st.builds(
        lambda least, steps, step, fps: Durations(
            frames=Frames(min=least, max=least + steps * step, step=step, fps=fps)
        ),
        st.integers(1, 40),
        st.integers(0, 20),
        st.integers(1, 12),
        st.sampled_from([15, 16, 24]),
    ),
)


def _rendered_s(durations: Durations, wanted_s: float, *, within: float = 0.0) -> float | None:
    length = durations.rendered(wanted_s, within=within)
    return length and length.seconds


@given(durations=_DURATIONS, wanted_s=st.floats(0.5, 25))
def test_the_shortest_length_that_holds_the_shot_is_bought(durations: Durations, wanted_s: float):
    fitting = [one.seconds for one in durations.lengths if one.seconds >= wanted_s - 1e-6]
    assert _rendered_s(durations, wanted_s) == (min(fitting) if fitting else None)


@given(durations=_DURATIONS, wanted_s=st.floats(0.5, 25), within=st.sampled_from([0.05, 0.1, 0.2]))
def test_within_the_tolerance_a_length_is_short_by_no_more_and_costs_no_more(
    durations: Durations, wanted_s: float, within: float
):
    exact, rounded = _rendered_s(durations, wanted_s), _rendered_s(durations, wanted_s, within=within)
    if rounded is None:
        assert exact is None and durations.longest_s < wanted_s * (1 - within)
        return
    assert rounded >= wanted_s * (1 - within) - 1e-6
    assert exact is None or rounded <= exact
    # What can be bought as it is, is.
    assume(exact is not None and exact - wanted_s < 1e-6)
    assert rounded == exact


@given(durations=_DURATIONS, wanted_s=st.floats(0.5, 25))
def test_of_lengths_at_one_price_the_one_that_holds_the_shot_is_bought(durations: Durations, wanted_s: float):
    bought = durations.rendered(wanted_s, within=0.1, cost=lambda length: Decimal("0.0125"))
    held = durations.rendered(wanted_s)
    assert held is None or bought == held


@pytest.mark.parametrize(
    ("durations", "wanted_s", "rendered_s"),
    [
        pytest.param({"max_s": 15}, 5.2, 5, id="whole seconds"),
        pytest.param({"max_s": 15}, 5.6, 6, id="too short by more than the tolerance"),
        pytest.param({"max_s": 15}, 10.0, 10, id="as it is"),
        pytest.param({"min_s": 4, "max_s": 15}, 2.0, 4, id="the shortest there is"),
        pytest.param({"min_s": 6, "max_s": 20, "step_s": 2}, 8.5, 8, id="even seconds"),
        pytest.param({"allowed_s": [4, 6, 8]}, 5.2, 6, id="some lengths only"),
        pytest.param({"allowed_s": [4, 6, 8]}, 8.8, 8, id="longer than the longest"),
        pytest.param({"allowed_s": [4, 6, 8]}, 9.0, None, id="far longer than the longest"),
        pytest.param({"frames": {"min": 81, "max": 81, "fps": 16}}, 5.2, 5.0625, id="one fixed length"),
        pytest.param({"frames": {"min": 9, "max": 481, "step": 8, "fps": 24}}, 5.0, 4.708333, id="8k+1 frames"),
        pytest.param({"frames": {"min": 17, "max": 161, "fps": 24}}, 5.0, 5.0, id="any number of frames"),
    ],
)
def test_the_length_that_is_bought(durations: dict[str, Any], wanted_s: float, rendered_s: float | None):
    assert _rendered_s(Durations.model_validate(durations), wanted_s, within=0.1) == rendered_s
