"""Rows of one pydantic type as a Parquet file, and back without loss.

Scalar fields become typed columns for analysis (any DuckDB reads them in place); what is nested becomes JSON text.
The column `document` holds the whole row, from which it is read back.

Older partitions are read with today's classes. A field that a stored row lacks takes its default, and one that the
class no longer has is dropped. So whoever adds a field gives it a default. A default is not changed later: `document`
leaves out what was not set, and would be read with the new one.
"""

import io
import types
import typing
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from video_pipeline.errors import StorageError
from video_pipeline.storage.keys import table_key
from video_pipeline.storage.store import ObjectStore

Row = TypeVar("Row", bound=BaseModel)


def write_rows(row_type: type[BaseModel], rows: Sequence[BaseModel]) -> bytes:
    """One Parquet file of `rows`, which all are `row_type`; zstd."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow_types: dict[type[Any], Any] = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        Decimal: pa.decimal128(18, 6),
        date: pa.date32(),
        datetime: pa.timestamp("us", tz="UTC"),
    }
    columns: list[Any] = []
    fields: list[Any] = []
    for name, field in row_type.model_fields.items():
        plain = _plain_type(field.annotation)
        if _is_scalar(field.annotation):
            arrow_type = pa.string() if issubclass(plain, StrEnum) else arrow_types[plain]
            values = [_cell(getattr(row, name)) for row in rows]
        else:
            arrow_type = pa.string()
            values = [row.model_dump_json(include={name}) for row in rows]
        columns.append(pa.array(values, arrow_type))
        fields.append(pa.field(name, arrow_type))
    # Without what was left out, so that a brief read back still knows what it did not say.
    columns.append(pa.array([row.model_dump_json(exclude_unset=True) for row in rows], pa.string()))
    fields.append(pa.field("document", pa.string()))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), buffer, compression="zstd")
    return buffer.getvalue()


def read_rows(
    row_type: type[Row], data: bytes, *, table: str = "a table", where: Sequence[tuple[str, str, Any]] = ()
) -> list[Row]:
    """The rows of a file that `write_rows` made, today or with an older `row_type`; `table` names it in errors.

    `where` are conditions on its columns, (column, one of == != < <= > >=, value); only rows that meet all are read.

    Raises StorageError when a stored row does not fit `row_type`.
    """
    import pyarrow.parquet as pq

    read = pq.read_table(io.BytesIO(data), columns=["document"], filters=list(where) or None)
    documents = read.column("document").to_pylist()
    rows: list[Row] = []
    for number, document in enumerate(documents):
        try:
            # A type may refuse unknown fields from people; in a stored row they are of an older version of it.
            rows.append(row_type.model_validate_json(document, extra="ignore"))
        except ValidationError as error:
            raise StorageError(
                f"Row {number + 1} of {table} cannot be read as {row_type.__name__}: {_misfits(error)}"
            ) from error
    return rows


def read_partition(
    store: ObjectStore,
    row_type: type[Row],
    asset: str,
    partition: str,
    *,
    where: Sequence[tuple[str, str, Any]] = (),
) -> list[Row]:
    """The rows of an asset's partition (`read_rows`); none where nothing ran, which has left no table."""
    key = table_key(asset, partition)
    return read_rows(row_type, store.read_bytes(key), table=key, where=where) if store.exists(key) else []


def _misfits(error: ValidationError) -> str:
    """Which fields of a stored row do not fit and what to do, as the rest of a sentence and one more."""
    missing: list[str] = []
    wrong: list[str] = []
    for found in error.errors(include_url=False, include_context=False):
        field = ".".join(str(part) for part in found["loc"]) or "the row"
        if found["type"] == "missing":
            missing.append(field)
        else:
            wrong.append(f"{field} ({found['msg'][:1].lower()}{found['msg'][1:]})")
    said = [f"it has no {', '.join(missing)}"] if missing else []
    said += [f"it does not fit in {', '.join(wrong)}"] if wrong else []
    remedy = "Give each missing field a default" if missing else "Let the class accept what was stored"
    return f"{' and '.join(said)}. {remedy}, or materialise the partition again."


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.quantize(Decimal("0.000001"))
    return value.value if isinstance(value, StrEnum) else value


def _plain_type(annotation: Any) -> Any:
    """The type without its `None`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        others = [part for part in typing.get_args(annotation) if part is not type(None)]
        return others[0] if len(others) == 1 else object
    return annotation


def _is_scalar(annotation: Any) -> bool:
    plain = _plain_type(annotation)
    scalars = (bool, int, float, str, Decimal, date, datetime)
    return isinstance(plain, type) and (plain in scalars or issubclass(plain, StrEnum))
