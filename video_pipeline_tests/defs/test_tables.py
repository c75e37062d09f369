"""Tables between assets: every row type comes back as it was, over any number of days; DuckDB reads the columns."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from video_pipeline.briefs import AppliedGuidance, Brief, Shot, StoryboardShot, TakenBrief
from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.definitions import build_defs
from video_pipeline.defs.partitions import OWN_WEEK, WEEKLY
from video_pipeline.defs.tables import ParquetTables, place_of, rows_among, table_asset
from video_pipeline.errors import StorageError
from video_pipeline.publishing import Engagement
from video_pipeline.storage import LocalStore, read_rows, table_key, write_rows
from video_pipeline_tests.upgrade.row_types import row_types

DEFS = build_defs()
DAILY = dg.DailyPartitionsDefinition(start_date="2026-01-01")

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_WORDS = st.text(alphabet="abc é", min_size=1, max_size=8).map(lambda words: f"x{words}x")
st.register_type_strategy(Decimal, st.decimals(-(10**6), 10**6, places=6))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**53), 2**53))
st.register_type_strategy(str, _TEXT)
st.register_type_strategy(date, st.dates(date(2026, 1, 1), date(2030, 1, 1)))
st.register_type_strategy(datetime, st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
st.register_type_strategy(Shot, st.builds(Shot, prompt=_WORDS, duration_s=st.floats(1, 60), broll=st.just(("b",))))
st.register_type_strategy(
    Brief,
    st.builds(
        Brief,
        brief_id=st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}", fullmatch=True),
        title=_WORDS,
        prompt=st.none(),
        shots=st.lists(st.from_type(Shot), min_size=1, max_size=2).map(tuple),
        duration_s=st.none(),
        platforms=st.just(("tiktok", "youtube_shorts")),
        visual_complexity=st.floats(0, 1),
        broll=st.just(()),
        bible=st.lists(_WORDS, max_size=2).map(tuple),
        seed=st.none() | st.integers(0, 2**31 - 1),
    ),
)
st.register_type_strategy(
    TakenBrief, st.builds(TakenBrief.of, st.from_type(Brief), st.none() | st.from_type(AppliedGuidance))
)
st.register_type_strategy(StoryboardShot, st.builds(StoryboardShot, broll=st.lists(_TEXT, max_size=2).map(tuple)))


ROW_TYPES = row_types()
every_row_type = pytest.mark.parametrize(
    "row_type", [pytest.param(row, id=row.__name__) for row in dict.fromkeys(ROW_TYPES.values())]
)


def test_every_asset_that_runs_has_a_row_type() -> None:
    executable = {key.to_user_string() for key in DEFS.resolve_asset_graph().executable_asset_keys}
    assert set(ROW_TYPES) == executable


@every_row_type
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_rows_come_back_as_they_were(row_type: type[BaseModel], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.from_type(row_type), max_size=3))
    assert read_rows(row_type, write_rows(row_type, rows)) == rows


@every_row_type
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_rows_are_read_by_a_class_that_a_field_was_added_to(row_type: type[BaseModel], data: st.DataObject) -> None:
    added = create_model("Added", __base__=row_type, added=(int, 7))
    rows = data.draw(st.lists(st.from_type(row_type), max_size=3))
    read = read_rows(added, write_rows(row_type, rows))
    assert [row.model_dump() for row in read] == [row.model_dump() | {"added": 7} for row in rows]


@every_row_type
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_rows_are_read_by_a_class_that_a_field_was_taken_from(row_type: type[BaseModel], data: st.DataObject) -> None:
    before = create_model("Before", __base__=row_type, gone=(int, 7))
    rows = data.draw(st.lists(st.from_type(row_type), max_size=3))
    written = write_rows(before, [before.model_validate(dict(row) | {"gone": 8}) for row in rows])
    assert read_rows(row_type, written) == rows


def test_a_partition_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    key = table_key("daily", "2026-01-05")
    before = create_model("Before", clip_id=(str, ...))
    store.put_bytes(key, write_rows(before, [before(clip_id="a")]), content_type="application/octet-stream")
    with pytest.raises(
        StorageError, match=f"Row 1 of {key} cannot be read as GeneratedClip: it has no brief_id, day"
    ):
        dg.materialize([daily, weekly], selection=[weekly], partition_key="2026-01-05", resources=_tables(store))


def test_a_brief_still_knows_what_it_did_not_say() -> None:
    said = {"brief_id": "a", "title": "A", "platforms": ["tiktok"], "prompt": "A cup", "duration_s": 1}
    brief = Brief.model_validate(said)
    (back,) = read_rows(Brief, write_rows(Brief, [brief]))
    assert back.assumed == brief.assumed == ("quality", "visual_complexity")


@every_row_type
def test_an_empty_table_keeps_its_columns(row_type: type[BaseModel], tmp_path: Path) -> None:
    file = tmp_path / "empty.parquet"
    file.write_bytes(write_rows(row_type, []))
    assert read_rows(row_type, file.read_bytes()) == []
    columns = {row[0] for row in _query(f"DESCRIBE SELECT * FROM '{file}'")}
    assert columns == {*row_type.model_fields, "document"}


def test_duckdb_reads_money_days_and_states_as_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "clips.parquet"
    rows = [_clip("a", "0.10"), _clip("b", "0.20"), _clip("c", "0.000001", ClipStatus.REVIEW)]
    file.write_bytes(write_rows(GeneratedClip, rows))
    answer = _query(f"SELECT day, status, count(*), sum(billed_usd) FROM '{file}' GROUP BY ALL ORDER BY status")
    assert answer == [
        (date(2026, 3, 12), "generated", 2, Decimal("0.300000")),
        (date(2026, 3, 12), "review", 1, Decimal("0.000001")),
    ]
    nested = _query(f"SELECT size->>'$.size[0]' FROM '{file}' LIMIT 1")
    assert nested == [("108",)]


def test_an_input_is_the_rows_of_all_its_days_in_order(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for day in ("2026-01-08", "2026-01-05"):
        result = dg.materialize([daily], partition_key=day, resources={"tables": ParquetTables(store)})
        assert result.success
    week = dg.materialize([daily, weekly], selection=[weekly], partition_key="2026-01-05", resources=_tables(store))
    assert week.success
    assert read_rows(GeneratedClip, store.read_bytes(table_key("weekly", "2026-01-05"))) == [
        _clip("2026-01-05", "1"),
        _clip("2026-01-08", "1"),
    ]


def test_an_input_reads_only_the_rows_that_it_asks_for(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for day in ("2026-01-05", "2026-01-08"):
        assert dg.materialize([seen], partition_key=day, resources=_tables(store)).success
    week = dg.materialize([seen, aged], selection=[aged], partition_key="2026-01-05", resources=_tables(store))
    rows = read_rows(Engagement, store.read_bytes(table_key("aged", "2026-01-05")))
    assert week.success and [(row.day.day, row.age_days) for row in rows] == [(5, 2), (5, 3), (8, 2), (8, 3)]


def test_days_on_which_nothing_ran_have_no_rows(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    week = dg.materialize([daily, weekly], selection=[weekly], partition_key="2026-01-05", resources=_tables(store))
    assert week.success
    assert read_rows(GeneratedClip, store.read_bytes(table_key("weekly", "2026-01-05"))) == []


def test_a_day_that_runs_again_replaces_its_rows(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for _ in range(2):
        result = dg.materialize([daily], partition_key="2026-01-05", resources=_tables(store))
        materialization = result.asset_materializations_for_node("daily")[0]
        assert materialization.metadata["dagster/row_count"].value == 1
        assert str(materialization.metadata["dagster/uri"].value).endswith("daily/2026-01-05.parquet")
    assert read_rows(GeneratedClip, store.read_bytes(table_key("daily", "2026-01-05"))) == [_clip("2026-01-05", "1")]


@table_asset(GeneratedClip, group="test", partitions_def=DAILY)
def daily(context: dg.AssetExecutionContext) -> list:
    """A clip named after its day."""
    return [_clip(context.partition_key, "1")]


@table_asset(
    GeneratedClip, group="test", partitions_def=WEEKLY, ins={"daily": dg.AssetIn(partition_mapping=OWN_WEEK)}
)
def weekly(daily: list[GeneratedClip]) -> list:
    """The week's clips."""
    return daily


@table_asset(Engagement, group="test", partitions_def=DAILY)
def seen(context: dg.AssetExecutionContext) -> list:
    """Clips of five ages, seen on one day."""
    day = date.fromisoformat(context.partition_key)
    return [Engagement(clip_id="a", brief_id="a", platform="tiktok", day=day, age_days=age) for age in range(5)]


_AGED = dg.AssetIn(partition_mapping=OWN_WEEK, metadata=rows_among("age_days", range(2, 4)))


@table_asset(Engagement, group="test", partitions_def=WEEKLY, ins={"seen": _AGED})
def aged(seen: list[Engagement]) -> list:
    """What was seen in the week of clips of two ages."""
    return seen


def _query(sql: str) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()


def _tables(store: LocalStore) -> dict[str, ParquetTables]:
    return {"tables": ParquetTables(store)}


def _clip(name: str, usd: str, status: ClipStatus = ClipStatus.GENERATED) -> GeneratedClip:
    return GeneratedClip(
        clip_id=name,
        brief_id=name,
        day=date(2026, 3, 12),
        status=status,
        tier="preview",
        billed_usd=Decimal(usd),
        size=(108, 192),
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("file:///srv/a%20store/reports/sheet.jpg", dg.MetadataValue.path("/srv/a store/reports/sheet.jpg")),
        ("s3://bucket/reports/sheet.jpg", dg.MetadataValue.path("s3://bucket/reports/sheet.jpg")),
        ("https://media.example/sheet.jpg", dg.MetadataValue.url("https://media.example/sheet.jpg")),
    ],
)
def test_only_what_a_browser_can_open_is_shown_as_a_link(url: str, shown: dg.MetadataValue) -> None:
    assert place_of(url) == shown
