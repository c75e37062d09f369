"""The catalogue's prices night by night: told once when they are in trouble, and once when they no longer are."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_pipeline.alerts import Alert
from video_pipeline.errors import ConfigurationError
from video_pipeline.feedback import TROUBLE, ListedModel, PriceState, earlier_prices, listed_prices, price_alerts
from video_pipeline.feedback.price_watch import judged
from video_pipeline.generation import Enquiries, PriceFinding, Told
from video_pipeline.generation.price_check import compare
from video_pipeline.generation.providers import ListedPrice
from video_pipeline.routing import Catalogue, Unit
from video_pipeline.storage import open_store, table_key, write_rows
from video_pipeline_tests.contract.edge import Edge

STALE_DAYS = 60
READ_ON = date(2026, 11, 1)
NIGHTS = [date(2026, 11, 20) + timedelta(days=number) for number in range(8)]
_USD = {"listed": "0.022", "dearer": "0.03", "cheaper": "0.01"}


@pytest.fixture(scope="module")
def catalogue(sandbox_catalogue: Catalogue) -> Catalogue:
    """One model, whose price was read three weeks before the first night."""
    model = sandbox_catalogue.named("sandbox/sprint").model_copy(update={"price_checked_on": READ_ON})
    return sandbox_catalogue.model_copy(update={"models": (model,)})


def found(catalogue: Catalogue, word: str) -> PriceFinding:
    """What the vendor says: a price by its name, or `nothing`."""
    usd = _USD.get(word)
    return compare(catalogue.models[0], ListedPrice(Decimal(usd), "seconds", "USD", Unit.SECOND) if usd else None)


Night = tuple[ListedModel, list[Alert]]


def lived(catalogue: Catalogue, words: Sequence[str], nights: Sequence[date] = NIGHTS) -> list[Night]:
    """The row and the alerts of each night."""
    told: list[Night] = []
    before: ListedModel | None = None
    for night, word in zip(nights, words, strict=False):
        row = judged(night, found(catalogue, word), before, stale_days=STALE_DAYS)
        told.append((row, price_alerts([row], [before] if before else [])))
        before = row
    return told


@pytest.mark.parametrize(
    ("words", "states", "alerts"),
    [
        ("listed listed nothing", "confirmed confirmed not_told", "- - -"),
        ("dearer dearer dearer", "differs differs differs", "new - -"),
        ("dearer cheaper", "differs differs", "new new"),
        ("dearer nothing dearer listed", "differs differs differs confirmed", "new - - mended"),
        ("listed dearer listed dearer", "confirmed differs confirmed differs", "- new mended new"),
    ],
)
def test_a_difference_is_told_once_and_again_when_it_is_over(
    catalogue: Catalogue, words: str, states: str, alerts: str
):
    told = lived(catalogue, words.split())
    assert [row.state.replace(" ", "_") for row, _ in told] == states.split()
    kinds = ["-" if not some else "mended" if some[0].severity == "info" else "new" for _, some in told]
    assert kinds == alerts.split()
    assert all(alert.once for _, some in told for alert in some)
    causes = [alert.cause for _, some in told for alert in some]
    assert len(set(causes)) == len(causes)


def test_a_stale_price_is_told_once_until_the_vendor_confirms_it(catalogue: Catalogue):
    nights = [READ_ON + timedelta(days=number) for number in (60, 61, 62, 63, 64)]
    told = lived(catalogue, ["nothing", "nothing", "nothing", "listed", "nothing"], nights)
    assert [row.state for row, _ in told] == [
        PriceState.UNTOLD,
        PriceState.STALE,
        PriceState.STALE,
        PriceState.CONFIRMED,
        PriceState.UNTOLD,
    ]
    assert [len(alerts) for _, alerts in told] == [0, 1, 0, 1, 0]
    row, [alert] = told[1]
    assert (row.since, row.why) == (nights[1], f"it was read on {READ_ON}, over 60 days ago")
    assert alert.title == "Prices of the catalogue: 1 stale"
    assert alert.fields == {"sandbox/sprint": f"stale: {row.why}"}


def test_a_catalogue_that_was_changed_since_is_not_held_to_what_was_said_before(catalogue: Catalogue):
    [(row, _)] = lived(catalogue, ["dearer"])
    changed = catalogue.models[0].model_copy(update={"price_checked_on": NIGHTS[1]})
    silent = PriceFinding(changed, Told.UNTOLD, "nobody answers")
    assert judged(NIGHTS[1], silent, row, stale_days=STALE_DAYS).state is PriceState.UNTOLD


@given(words=st.lists(st.sampled_from(["listed", "dearer", "cheaper", "nothing"]), max_size=8))
def test_a_night_that_is_run_again_says_the_same_and_trouble_and_order_take_turns(catalogue: Catalogue, words):
    told, again = lived(catalogue, words), lived(catalogue, words)
    assert [row for row, _ in told] == [row for row, _ in again]
    assert [alert.cause for _, some in told for alert in some] == [alert.cause for _, some in again for alert in some]
    for before, (row, alerts) in zip([None, *(row for row, _ in told)], told, strict=False):
        was = before if before is not None and before.state in TROUBLE else None
        kept = was is not None and (was.state, was.why) == (row.state, row.why)
        assert len(alerts) == (0 if kept or (was is None and row.state not in TROUBLE) else 1)


def test_the_newest_night_before_is_what_a_night_goes_by(catalogue: Catalogue, tmp_path: Path):
    store = open_store(str(tmp_path))
    assert earlier_prices(store, NIGHTS[0]) == []
    rows = [row for row, _ in lived(catalogue, ["dearer", "listed"])]
    for row in rows:
        data = write_rows(ListedModel, [row])
        store.put_bytes(table_key("vendor_prices", str(row.day)), data, content_type="application/octet-stream")
    assert earlier_prices(store, NIGHTS[0]) == []
    assert earlier_prices(store, NIGHTS[1]) == [rows[0]]
    # Nights may be left out.
    assert earlier_prices(store, NIGHTS[7]) == [rows[1]]


def test_the_catalogue_of_the_sandbox_is_confirmed_and_another_price_differs(
    sandbox_catalogue: Catalogue, edge: Edge
):
    # The others that sell there tell no prices.
    sold = sandbox_catalogue.served_by(["fal"])
    enquiries = Enquiries(lambda client: {"fal": edge.fal(client)})
    rows = listed_prices(NIGHTS[0], sold, enquiries, [], stale_days=STALE_DAYS)
    assert {row.state for row in rows} == {PriceState.CONFIRMED}
    first, *others = sold.models
    price = first.price.model_copy(update={"silent": dict.fromkeys(first.price.silent, Decimal(9)), "sound": {}})
    changed = sold.model_copy(update={"models": (first.model_copy(update={"price": price}), *others)})
    dear, *same = listed_prices(NIGHTS[1], changed, enquiries, rows, stale_days=STALE_DAYS)
    assert (dear.state, dear.since) == (PriceState.DIFFERS, NIGHTS[1]) and dear.listed_usd is not None
    assert {row.state for row in same} == {PriceState.CONFIRMED}


def test_without_a_connected_vendor_prices_only_grow_old(catalogue: Catalogue):
    def nobody(client: object) -> dict:
        raise ConfigurationError("no provider is connected")

    late = READ_ON + timedelta(days=STALE_DAYS + 1)
    for night, state in ((NIGHTS[0], PriceState.UNTOLD), (late, PriceState.STALE)):
        [row] = listed_prices(night, catalogue, Enquiries(nobody), [], stale_days=STALE_DAYS)
        assert row.state is state
