"""What a vendor's price API says of the catalogue's prices."""

from datetime import date
from decimal import Decimal

import pytest

from video_pipeline.generation import Told, confirmed
from video_pipeline.generation.price_check import compare
from video_pipeline.generation.providers import ListedPrice
from video_pipeline.routing import Unit, load_catalogue

REAL = load_catalogue(sandbox=False)


def _listed(usd: str, unit: str = "seconds", currency: str = "USD", per: Unit | None = Unit.SECOND) -> ListedPrice:
    return ListedPrice(Decimal(usd), unit, currency, per)


@pytest.mark.parametrize(
    ("model", "listed", "told", "why"),
    [
        ("fal-ai/vidu-q3-turbo", _listed("0.035"), Told.CONFIRMED, "$0.035 a second"),
        ("fal-ai/vidu-q3-turbo", _listed("0.04"), Told.DIFFERS, "$0.04 a second, and $0.035 a second in"),
        ("fal-ai/vidu-q3", _listed("0.154"), Told.CONFIRMED, "one of its 2 prices"),
        ("fal-ai/fast-wan-2.2-5b", _listed("0.0125", "videos", per=Unit.VIDEO), Told.CONFIRMED, "one of its 3"),
        ("fal-ai/fast-wan-2.2-5b", _listed("0.0125"), Told.DIFFERS, "a video in the catalogue"),
        ("fal-ai/ltx-2.3-distilled", _listed("0.06"), Told.DIFFERS, "a megapixel of frames in the catalogue"),
        ("fal-ai/vidu-q3-turbo", _listed("0.00017", "compute seconds", per=None), Told.UNTOLD, "compute seconds"),
        ("fal-ai/vidu-q3-turbo", _listed("0.035", currency="EUR"), Told.UNTOLD, "told in EUR"),
        ("fal-ai/vidu-q3-turbo", None, Told.UNTOLD, "does not name it"),
    ],
)
def test_what_a_listed_price_says_of_a_row(model: str, listed: ListedPrice | None, told: Told, why: str):
    finding = compare(REAL.named(model), listed)
    assert (finding.told, why in finding.why) == (told, True), finding.why


def test_what_was_told_is_dated_and_a_single_price_that_differs_is_taken_over():
    turbo, vidu = REAL.named("fal-ai/vidu-q3-turbo"), REAL.named("fal-ai/vidu-q3")
    today = date(2026, 12, 1)
    after = confirmed(REAL, [compare(turbo, _listed("0.04")), compare(vidu, _listed("0.20"))], today)
    told = after.named(turbo.model)
    assert (told.price.silent, told.price.sound) == ({"540p": Decimal("0.04")}, {"540p": Decimal("0.04")})
    assert told.price_checked_on == today and told.confirmed
    # One price says nothing of which of two it is.
    assert after.named(vidu.model) == vidu
