"""The object store: media, tables and reports under one key scheme, in a local folder or an S3 bucket (S1).

The ledger says *what* is stored and why; this room only keeps bytes under keys, with their checksums.
"""

from video_pipeline.storage.keys import (
    check_key,
    clip_key,
    frame_key,
    reference_key,
    report_key,
    table_key,
    tables_of,
)
from video_pipeline.storage.local import LocalStore
from video_pipeline.storage.opening import open_store
from video_pipeline.storage.s3 import S3Store
from video_pipeline.storage.store import ObjectStore, StoredObject
from video_pipeline.storage.tables import read_partition, read_rows, write_rows

__all__ = [
    "LocalStore",
    "ObjectStore",
    "S3Store",
    "StoredObject",
    "check_key",
    "clip_key",
    "frame_key",
    "open_store",
    "read_partition",
    "read_rows",
    "reference_key",
    "report_key",
    "table_key",
    "tables_of",
    "write_rows",
]
