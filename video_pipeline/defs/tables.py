"""Tables between assets: rows of one pydantic type, one Parquet file an asset and partition, in the object store."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import dagster as dg
from pydantic import BaseModel

from video_pipeline.storage import ObjectStore, read_partition, table_key, write_rows

ROW_TYPE = "row_type"
# Of an input: which rows it reads, as `read_partition` takes it.
_ROWS_WHERE = "rows_where"


class ParquetTables(dg.IOManager):
    """Writes an asset's rows, and reads those of all partitions that an input is mapped to, in order."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def handle_output(self, context: dg.OutputContext, obj: Sequence[BaseModel]) -> None:
        row_type = row_type_of(context.definition_metadata)
        key = table_key(context.asset_key.to_user_string(), context.asset_partition_key)
        stored = self._store.put_bytes(
            key, write_rows(row_type, obj), content_type="application/vnd.apache.parquet", overwrite=True
        )
        context.add_output_metadata(
            {"dagster/row_count": len(obj), "dagster/uri": stored.url, "size_bytes": stored.size_bytes}
        )

    def load_input(self, context: dg.InputContext) -> list[BaseModel]:
        upstream = context.upstream_output
        if upstream is None:
            raise dg.DagsterInvariantViolationError("A table is read through the asset that wrote it.")
        row_type = row_type_of(upstream.definition_metadata)
        where = (context.definition_metadata or {}).get(_ROWS_WHERE, ())
        rows: list[BaseModel] = []
        for partition in sorted(context.asset_partition_keys):
            rows += read_partition(self._store, row_type, context.asset_key.to_user_string(), partition, where=where)
        return rows


def table_asset(
    row: type[BaseModel], *, group: str, partitions_def: dg.PartitionsDefinition, **options: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` for an asset that returns rows of `row`."""
    return dg.asset(
        group_name=group,
        partitions_def=partitions_def,
        io_manager_key="tables",
        kinds={"python", "parquet", *options.pop("kinds", ())},
        metadata={ROW_TYPE: dg.MetadataValue.python_artifact(row)},
        **options,
    )


def rows_among(column: str, numbers: range) -> dict[str, Any]:
    """An input's metadata with which it reads only the rows whose whole number in `column` is one of these."""
    return {_ROWS_WHERE: [(column, ">=", numbers.start), (column, "<", numbers.stop)]}


def place_of(url: str) -> dg.MetadataValue:
    """Where a stored object lies, as the UI can use it: a link where browsers go there, else a path to copy."""
    if url.startswith(("http://", "https://")):
        return dg.MetadataValue.url(url)
    return dg.MetadataValue.path(url2pathname(urlsplit(url).path) if url.startswith("file://") else url)


def row_type_of(metadata: Any) -> type[BaseModel]:
    """The row type that the asset was declared with, imported by its name."""
    artifact = metadata[ROW_TYPE]
    if isinstance(artifact, type):
        return artifact
    module = __import__(artifact.module, fromlist=[artifact.name])
    return getattr(module, artifact.name)
