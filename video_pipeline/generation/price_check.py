"""The catalogue's prices against those of a vendor's price API: what is confirmed, what differs, what is not told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from video_pipeline.errors import VendorError
from video_pipeline.generation.providers import PROVIDERS, ListedPrice, Provider
from video_pipeline.routing import Catalogue, Model, Price


class Told(StrEnum):
    """What a vendor's answer says of a row's price."""

    CONFIRMED = "confirmed"
    DIFFERS = "differs"
    UNTOLD = "not told"


@dataclass(frozen=True)
class PriceFinding:
    """What a vendor says of one model; `why` is a clause for people."""

    model: Model
    told: Told
    why: str
    listed: ListedPrice | None = None


async def check_prices(catalogue: Catalogue, providers: Mapping[str, Provider]) -> list[PriceFinding]:
    """Ask each provider that has a price API for the prices of its rows; what nobody tells is no difference."""
    found: list[PriceFinding] = []
    for name in dict.fromkeys(model.provider for model in catalogue.models):
        rows = [model for model in catalogue.models if model.provider == name]
        vendor, provider = PROVIDERS[name], providers.get(name)
        if vendor.price_api is None or provider is None:
            found += [PriceFinding(row, Told.UNTOLD, f"{name} has no price API that could be asked") for row in rows]
            continue
        endpoint_of = {row.model: vendor.price_api.endpoint(vendor.wire.model_validate(row.wire)) for row in rows}
        try:
            listed = await vendor.price_api.ask(provider, tuple(dict.fromkeys(endpoint_of.values())))
        except VendorError as error:
            found += [PriceFinding(row, Told.UNTOLD, str(error)) for row in rows]
            continue
        found += [compare(row, listed.get(endpoint_of[row.model])) for row in rows]
    return found


def compare(model: Model, listed: ListedPrice | None) -> PriceFinding:
    """What one listed price says of a row.

    A vendor lists one price an endpoint, and a row may have several: the listed one has to be one of them.
    """
    if listed is None:
        return PriceFinding(model, Told.UNTOLD, "the vendor's answer does not name it")
    if listed.currency != "USD":
        return PriceFinding(model, Told.UNTOLD, f"it is told in {listed.currency}, and only US dollars are compared")
    if listed.per is None:
        why = f"it is told in the unit {listed.unit}, which cannot be compared with one a {model.price.per.words}"
        return PriceFinding(model, Told.UNTOLD, why)
    said = f"${listed.usd} a {listed.per.words}"
    rates = sorted({*model.price.silent.values(), *model.price.sound.values()})
    if listed.per is model.price.per and listed.usd in rates:
        alone = "" if len(rates) == 1 else f", one of its {len(rates)} prices"
        return PriceFinding(model, Told.CONFIRMED, f"{said}{alone}", listed)
    here = " / ".join(f"${rate}" for rate in rates)
    return PriceFinding(model, Told.DIFFERS, f"{said}, and {here} a {model.price.per.words} in the catalogue", listed)


def confirmed(catalogue: Catalogue, findings: list[PriceFinding], today: date) -> Catalogue:
    """The catalogue with what was told: confirmed rows are dated, and one that differs has the vendor's price.

    A row with several prices keeps them, and stays unconfirmed where it was: one listed price confirms one of them,
    and where it is none of them, it does not say which it should be.
    """
    by_model = {finding.model.model: finding for finding in findings}
    return catalogue.model_copy(
        update={"models": tuple(_as_told(model, by_model.get(model.model), today) for model in catalogue.models)}
    )


def _as_told(model: Model, finding: PriceFinding | None, today: date) -> Model:
    if finding is None or finding.listed is None:
        return model
    told = {"price_source": f"the vendor's price API: {finding.why}", "price_checked_on": today}
    rates = {*model.price.silent.values(), *model.price.sound.values()}
    if finding.told is Told.CONFIRMED:
        # The other prices are as unconfirmed as they were.
        return model.model_copy(update=told) if len(rates) == 1 or model.confirmed else model
    if len(rates) != 1 or finding.listed.per is not model.price.per:
        return model
    return model.model_copy(update=told | {"price": _at(model.price, finding.listed.usd)})


def _at(price: Price, usd: Decimal) -> Price:
    return price.model_copy(
        update={"silent": dict.fromkeys(price.silent, usd), "sound": dict.fromkeys(price.sound, usd)}
    )
