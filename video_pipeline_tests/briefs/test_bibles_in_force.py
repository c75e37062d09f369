"""Which version counts: an edited bible changes what is made today, and nothing that is over or public."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from video_pipeline.briefs import (
    NO_BIBLES,
    BiblesInForce,
    TakenBrief,
    bibles_in_force,
    keep_pictures,
    read_bibles,
)
from video_pipeline.ledger import Ledger
from video_pipeline.storage import LocalStore, table_key, write_rows
from video_pipeline_tests.briefs.documents import a_brief
from video_pipeline_tests.briefs.test_bibles import write_bible, write_picture
from video_pipeline_tests.briefs.test_intake import make_public

DAY = date(2026, 11, 21)
BRIEFS = [a_brief("tom", characters=["tom"]), a_brief("tom-public", characters=["tom"]), a_brief("plain")]
_TABLE = table_key("briefs", DAY.isoformat())


class House:
    """A ledger, a store and a folder of bibles, whose day is taken in again and again."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger, self.folder = ledger, folder / "bibles"
        self.store = LocalStore(folder / "store")

    def write(self, **fields: Any) -> None:
        write_bible(self.folder, "characters/tom.yaml", {"name": "Tom", "references": "tom.png", **fields})

    def taken(self, today: date = DAY) -> BiblesInForce:
        found = bibles_in_force(self.ledger, self.store, BRIEFS, read_bibles(self.folder), day=DAY, today=today)
        rows = [TakenBrief.of(brief, None, found.of.get(brief.brief_id, NO_BIBLES)) for brief in BRIEFS]
        data = write_rows(TakenBrief, rows)
        self.store.put_bytes(_TABLE, data, content_type="application/parquet", overwrite=True)
        return found


@pytest.fixture
def house(ledger: Ledger, tmp_path: Path) -> House:
    made = House(ledger, tmp_path)
    made.write(appearance="a boy")
    write_picture(made.folder / "characters/tom.png")
    return made


def _looks(found: BiblesInForce) -> dict[str, str]:
    return {id: used.characters["tom"].entry.appearance for id, used in found.of.items()}


def test_today_an_edited_bible_is_taken_up_but_for_what_is_public(house: House):
    assert _looks(house.taken()) == {"tom": "a boy", "tom-public": "a boy"}
    house.ledger.intake.record_brief(
        clip_id=f"{DAY}/tom-public", day=DAY, brief_id="tom-public", sha256="1", document={}
    )
    make_public(house.ledger, f"{DAY}/tom-public")
    house.write(appearance="a man")
    found = house.taken()
    assert _looks(found) == {"tom": "a man", "tom-public": "a boy"}
    assert found.kept == ["tom-public"]


def test_a_day_that_is_over_keeps_its_bibles(house: House):
    first = house.taken()
    house.write(appearance="a man")
    assert house.taken(today=DAY + timedelta(days=1)).of == first.of


def test_a_brief_whose_bible_broke_keeps_what_it_had_and_else_is_held(house: House):
    first = house.taken()
    house.write(look="a man")
    assert house.taken().of == first.of
    house.store.delete(_TABLE)
    found = house.taken()
    assert found.of == {}
    assert list(found.held) == ["tom", "tom-public"]


def test_pictures_are_put_into_the_store_once(house: House):
    used = house.taken().of.values()
    files = read_bibles(house.folder).files
    assert [keep_pictures(house.store, used, files) for _ in range(2)] == [1, 0]
    [picture] = next(iter(used)).pictures
    assert house.store.read_bytes(picture.key) == (house.folder / "characters/tom.png").read_bytes()
