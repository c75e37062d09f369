"""The catalogue's prices night by night: which differ from what the vendor lists, which are stale, and since when."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import Enquiries, PriceFinding, Told
from video_pipeline.routing import Catalogue
from video_pipeline.storage import ObjectStore, read_rows, table_key, tables_of

ASSET = "vendor_prices"
"""The asset that the rows are of."""


class PriceState(StrEnum):
    """What is to be thought of a price in the catalogue."""

    CONFIRMED = "confirmed"
    """The vendor lists it."""
    DIFFERS = "differs"
    """The vendor lists another, or did when it told last."""
    STALE = "stale"
    """It was read long ago, and the vendor does not confirm it."""
    UNTOLD = "not told"
    """The vendor says nothing of it, and it is not old."""


TROUBLE = frozenset({PriceState.DIFFERS, PriceState.STALE})
"""The states that somebody should look at."""


class ListedModel(BaseModel):
    """A row of `vendor_prices`: one model of the catalogue on a night.

    It has been in this `state`, for this reason, `since` that night. `why` is a clause, `listed_usd` what the vendor
    lists in US dollars for its unit, and `checked_on` when the price was last read by a person or confirmed.
    """

    model_config = ConfigDict(frozen=True)

    day: date
    model: str
    provider: str
    state: PriceState
    why: str
    since: date
    checked_on: date
    listed_usd: Decimal | None = None


def earlier_prices(store: ObjectStore, day: date) -> list[ListedModel]:
    """The rows of the newest night before that of `day`; none before the first. Raises StorageError."""
    own = table_key(ASSET, day.isoformat())
    newest = max((key for key in store.list(tables_of(ASSET)) if key < own), default=None)
    return read_rows(ListedModel, store.read_bytes(newest), table=newest) if newest else []


def listed_prices(
    day: date, catalogue: Catalogue, enquiries: Enquiries, before: Sequence[ListedModel], *, stale_days: int
) -> list[ListedModel]:
    """A row for each model of the catalogue; `before` are those of an earlier night."""
    try:
        findings = enquiries.prices(catalogue)
    except ConfigurationError:
        findings = [PriceFinding(row, Told.UNTOLD, f"{row.provider} is not connected") for row in catalogue.models]
    known = {row.model: row for row in before}
    return [judged(day, finding, known.get(finding.model.model), stale_days=stale_days) for finding in findings]


def judged(day: date, finding: PriceFinding, before: ListedModel | None, *, stale_days: int) -> ListedModel:
    """What a night thinks of a price, given what an earlier one did; pure.

    A vendor that says nothing tonight has not taken back what it said before, unless the catalogue was changed since.
    """
    model, state, why = finding.model, PriceState(finding.told.value), finding.why
    listed_usd = finding.listed.usd if finding.listed else None
    known_on = max(model.price_checked_on, before.checked_on) if before else model.price_checked_on
    checked_on = day if finding.told is Told.CONFIRMED else known_on
    if finding.told is Told.UNTOLD:
        if before and before.state is PriceState.DIFFERS and model.price_checked_on <= before.since:
            state, why, listed_usd = before.state, before.why, before.listed_usd
        elif (day - checked_on).days > stale_days:
            # The same words every night, as it is the same trouble.
            state, why = PriceState.STALE, f"it was read on {checked_on}, over {stale_days} days ago"
    same = before is not None and (before.state, before.why) == (state, why)
    return ListedModel(
        day=day,
        model=model.model,
        provider=model.provider,
        state=state,
        why=why,
        since=before.since if before is not None and same else day,
        checked_on=checked_on,
        listed_usd=listed_usd,
    )
