"""Tables as releases have written them, read by today's classes: one golden file a table asset and release."""

import io
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from video_pipeline.storage import read_rows
from video_pipeline_tests.upgrade.make_release import GOLDEN
from video_pipeline_tests.upgrade.row_types import models_in, row_types

ROW_TYPES = row_types()
every_golden_file = pytest.mark.parametrize(
    "file", [pytest.param(file, id=f"{file.parent.name}-{file.stem}") for file in sorted(GOLDEN.glob("*/*.parquet"))]
)
HOW = "python -m video_pipeline_tests.upgrade.make_release"


@pytest.mark.parametrize("asset", ROW_TYPES)
def test_every_table_asset_has_a_golden_file(asset: str) -> None:
    assert list(GOLDEN.glob(f"*/{asset}.parquet")), f"{asset} has no golden file; `{HOW} VERSION --table {asset}`"


@every_golden_file
def test_the_asset_of_a_golden_file_is_still_there(file: Path) -> None:
    assert file.stem in ROW_TYPES, (
        f"partitions of {file.stem} would be lost; delete its golden files if that is meant"
    )


@every_golden_file
def test_todays_class_reads_what_was_written(file: Path) -> None:
    """Each field as its column shows it: a default that has changed since would read as something else."""
    row_type, data = ROW_TYPES[file.stem], file.read_bytes()
    rows = read_rows(row_type, data, table=file.name)
    assert rows
    columns = pq.read_table(io.BytesIO(data)).drop_columns(["document"]).to_pylist()
    for row, cells in zip(rows, columns, strict=True):
        shown = {name: _cell(name, cell) for name, cell in cells.items()}
        assert row == row_type.model_validate(shown, extra="ignore")


@every_golden_file
def test_a_field_added_since_has_a_default(file: Path) -> None:
    row_type = ROW_TYPES[file.stem]
    known = set(pq.read_schema(file).names)
    added = {name: field for name, field in row_type.model_fields.items() if name not in known}
    bare = [name for name, field in added.items() if field.is_required()]
    assert not bare, f"{row_type.__name__} needs a default for {', '.join(bare)}: older partitions have none"


@pytest.mark.parametrize(
    "row_type", [pytest.param(row, id=row.__name__) for row in dict.fromkeys(ROW_TYPES.values())]
)
def test_the_golden_rows_hold_every_nested_model(row_type: type[BaseModel]) -> None:
    """A field added to a nested model without a default is only noticed where a row holds one."""
    assets = [asset for asset, its_type in ROW_TYPES.items() if its_type is row_type]
    files = [file for asset in assets for file in GOLDEN.glob(f"*/{asset}.parquet")]
    rows = [row for file in files for row in read_rows(row_type, file.read_bytes(), table=file.name)]
    # What came since is in none of them, and has a default.
    columns = {name for file in files for name in pq.read_schema(file).names}
    fields = [field.annotation for name, field in row_type.model_fields.items() if name in columns]
    held = {row_type, *(model for annotation in fields for model in _models(annotation))}
    assert held <= {type(model) for row in rows for model in models_in(row)}


def _cell(name: str, cell: Any) -> Any:
    """A column's value; what is nested is the JSON of the row with nothing but this field."""
    nested = isinstance(cell, str) and cell.startswith(f'{{"{name}":')
    return json.loads(cell)[name] if nested else cell


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that values of a type are made of, itself among them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    for argument in typing.get_args(annotation):
        yield from _models(argument)
