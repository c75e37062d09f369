"""Tables outlive the classes that wrote them: fields come and go, types widen, and what cannot be read says why."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

from video_pipeline.errors import StorageError
from video_pipeline.storage import read_rows, write_rows


class Colour(StrEnum):
    RED = "red"


class Part(BaseModel):
    """A nested model that takes no unknown fields from people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str


class PartWithWeight(Part):
    weight_kg: float = 1.5


class PartWithMaker(Part):
    maker: str


def thing(part: type[Part], **fields: Any) -> type[BaseModel]:
    """A row type with parts in every kind of container."""
    config = ConfigDict(extra="forbid", frozen=True)
    containers = {"parts": (tuple[part, ...], ...), "named": (dict[str, part], ...), "best": (part | None, None)}
    return create_model("Thing", __config__=config, title=(str, ...), **containers, **fields)


def rows_of(row_type: type[BaseModel], part: type[Part]) -> st.SearchStrategy[list[BaseModel]]:
    parts = st.builds(part)
    row = st.builds(
        row_type, parts=st.lists(parts, max_size=2), named=st.dictionaries(st.text(), parts), best=st.none() | parts
    )
    return st.lists(row, max_size=3)


@given(data=st.data())
def test_a_field_that_was_added_takes_its_default(data: st.DataObject) -> None:
    before = thing(Part)
    after = thing(PartWithWeight, made_on=(date | None, None), tags=(tuple[str, ...], Field(default_factory=tuple)))
    rows = data.draw(rows_of(before, Part))
    read = read_rows(after, write_rows(before, rows))
    assert [row.model_dump(exclude_unset=True) for row in read] == [
        row.model_dump(exclude_unset=True) for row in rows
    ]
    for row in read:
        shown = row.model_dump()
        assert (shown["made_on"], shown["tags"]) == (None, ())
        assert all(part["weight_kg"] == 1.5 for part in (*shown["parts"], *shown["named"].values()))


@given(data=st.data())
def test_a_field_that_is_gone_is_dropped(data: st.DataObject) -> None:
    before, after = thing(PartWithWeight, made_on=(date | None, None)), thing(Part)
    rows = data.draw(rows_of(before, PartWithWeight))
    read = read_rows(after, write_rows(before, rows))
    assert [row.model_dump() for row in read] == [
        row.model_dump(
            exclude={
                "made_on": True,
                "parts": {"__all__": {"weight_kg"}},
                "named": {"__all__": {"weight_kg"}},
                "best": {"weight_kg"},
            }
        )
        for row in rows
    ]


@pytest.mark.parametrize(
    ("part", "fields", "missing"),
    [
        (Part, {"made_on": (date, ...)}, "made_on"),
        (PartWithMaker, {}, "parts.0.maker"),
        (PartWithMaker, {"made_on": (date, ...)}, "parts.0.maker, made_on"),
    ],
)
def test_a_new_field_without_a_default_is_a_sentence(part: type[Part], fields: dict[str, Any], missing: str) -> None:
    before = thing(Part)
    written = write_rows(
        before, [before(title="a", parts=(), named={}), before(title="b", parts=(Part(name="c"),), named={})]
    )
    with pytest.raises(StorageError) as caught:
        read_rows(thing(part, **fields), written, table="tables/things/2026-03-12.parquet")
    number = 1 if "made_on" in fields else 2
    assert str(caught.value).startswith(
        f"Row {number} of tables/things/2026-03-12.parquet cannot be read as Thing: it has no "
    )
    if number == 2:
        assert f"it has no {missing}. " in str(caught.value)
    assert str(caught.value).endswith("Give each missing field a default, or materialise the partition again.")


@pytest.mark.parametrize(
    ("before", "value", "after", "read"),
    [
        (int, 3, float, 3.0),
        (int, 3, Decimal, Decimal(3)),
        (float, 0.5, Decimal, Decimal("0.5")),
        (float, 3.0, int, 3),
        (Decimal, Decimal("0.022"), float, 0.022),
        (str, "red", Colour, Colour.RED),
        (Colour, Colour.RED, str, "red"),
        (str, "a", str | None, "a"),
        (date, date(2026, 3, 12), str, "2026-03-12"),
        (tuple[str, ...], ("a", "b"), list[str], ["a", "b"]),
    ],
)
def test_a_type_that_says_the_same_in_other_words_is_read(before: Any, value: Any, after: Any, read: Any) -> None:
    old, new = create_model("Row", value=(before, ...)), create_model("Row", value=(after, ...))
    (row,) = read_rows(new, write_rows(old, [old(value=value)]))
    assert row.model_dump() == {"value": read}
    assert type(row.model_dump()["value"]) is type(read)


@pytest.mark.parametrize(
    ("before", "value", "after", "said"),
    [
        (str, "green", Colour, "value (input should be 'red')"),
        (str, "a lot", int, "value (input should be a valid integer, unable to parse string as an integer)"),
        (float, 0.5, int, "value (input should be a valid integer, got a number with a fractional part)"),
        (str | None, None, str, "value (input should be a valid string)"),
    ],
)
def test_a_type_that_what_was_stored_does_not_fit_is_a_sentence(
    before: Any, value: Any, after: Any, said: str
) -> None:
    old, new = create_model("Row", value=(before, ...)), create_model("Row", value=(after, ...))
    with pytest.raises(StorageError) as caught:
        read_rows(new, write_rows(old, [old(value=value)]), table="tables/rows/2026-03-12.parquet")
    assert str(caught.value) == (
        f"Row 1 of tables/rows/2026-03-12.parquet cannot be read as Row: it does not fit in {said}. "
        "Let the class accept what was stored, or materialise the partition again."
    )
