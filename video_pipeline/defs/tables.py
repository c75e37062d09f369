"""Tables between assets: rows of one pydantic type, one Parquet file an asset and partition, in the object store.

Scalar fields become typed columns for analysis (any DuckDB reads them in place); what is nested becomes JSON text.
The column `document` holds the whole row, from which it is read back without loss.
"""

import io
import types
import typing
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import dagster as dg
from pydantic import BaseModel

from video_pipeline.storage import ObjectStore, table_key

ROW_TYPE = "row_type"


class ParquetTables(dg.IOManager):
    """Writes an asset's rows, and reads those of all partitions that an input is mapped to, in order."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def handle_output(self, context: dg.OutputContext, obj: Sequence[BaseModel]) -> None:
        row_type = _row_type(context.definition_metadata)
        key = table_key(context.asset_key.to_user_string(), context.asset_partition_key)
        stored = self._store.put_bytes(
            key, _to_parquet(row_type, obj), content_type="application/vnd.apache.parquet", overwrite=True
        )
        context.add_output_metadata(
            {"dagster/row_count": len(obj), "dagster/uri": stored.url, "size_bytes": stored.size_bytes}
        )

    def load_input(self, context: dg.InputContext) -> list[BaseModel]:
        upstream = context.upstream_output
        if upstream is None:
            raise dg.DagsterInvariantViolationError("A table is read through the asset that wrote it.")
        row_type = _row_type(upstream.definition_metadata)
        rows: list[BaseModel] = []
        for partition in sorted(context.asset_partition_keys):
            key = table_key(context.asset_key.to_user_string(), partition)
            # A day on which nothing ran has no table, and no rows.
            if self._store.exists(key):
                rows += _from_parquet(row_type, self._store.read_bytes(key))
        return rows


def table_asset(
    row: type[BaseModel], *, group: str, partitions_def: dg.PartitionsDefinition, **options: Any
) -> Callable:
    """`dg.asset` for an asset that returns rows of `row`."""
    return dg.asset(
        group_name=group,
        partitions_def=partitions_def,
        io_manager_key="tables",
        kinds={"python", "parquet", *options.pop("kinds", ())},
        metadata={ROW_TYPE: dg.MetadataValue.python_artifact(row), "dagster/column_schema": _column_schema(row)},
        **options,
    )


def _row_type(metadata: Any) -> type[BaseModel]:
    """The row type that the asset was declared with, imported by its name."""
    artifact = metadata[ROW_TYPE]
    if isinstance(artifact, type):
        return artifact
    module = __import__(artifact.module, fromlist=[artifact.name])
    return getattr(module, artifact.name)


def _column_schema(row: type[BaseModel]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, _plain(field.annotation).__name__ if _is_scalar(field.annotation) else "json")
            for name, field in row.model_fields.items()
        ]
    )


def _to_parquet(row_type: type[BaseModel], rows: Sequence[BaseModel]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow_types = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        Decimal: pa.decimal128(18, 6),
        date: pa.date32(),
        datetime: pa.timestamp("us", tz="UTC"),
    }
    columns, fields = [], []
    for name, field in row_type.model_fields.items():
        plain = _plain(field.annotation)
        if _is_scalar(field.annotation):
            arrow_type = pa.string() if issubclass(plain, StrEnum) else arrow_types[plain]
            values = [_cell(getattr(row, name)) for row in rows]
        else:
            arrow_type = pa.string()
            values = [row.model_dump_json(include={name}) for row in rows]
        columns.append(pa.array(values, arrow_type))
        fields.append(pa.field(name, arrow_type))
    columns.append(pa.array([row.model_dump_json() for row in rows], pa.string()))
    fields.append(pa.field("document", pa.string()))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=pa.schema(fields)), buffer, compression="zstd")
    return buffer.getvalue()


def _from_parquet(row_type: type[BaseModel], data: bytes) -> list[BaseModel]:
    import pyarrow.parquet as pq

    documents = pq.read_table(io.BytesIO(data), columns=["document"]).column("document").to_pylist()
    return [row_type.model_validate_json(document) for document in documents]


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.quantize(Decimal("0.000001"))
    return value.value if isinstance(value, StrEnum) else value


def _plain(annotation: Any) -> Any:
    """The type without its `None`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        others = [part for part in typing.get_args(annotation) if part is not type(None)]
        return others[0] if len(others) == 1 else object
    return annotation


def _is_scalar(annotation: Any) -> bool:
    plain = _plain(annotation)
    scalars = (bool, int, float, str, Decimal, date, datetime)
    return isinstance(plain, type) and (plain in scalars or issubclass(plain, StrEnum))
