"""From the configured URL to a store: the only place that builds an S3 client outside the Dagster edge."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from video_pipeline.errors import ConfigurationError
from video_pipeline.storage.local import LocalStore
from video_pipeline.storage.s3 import S3Store
from video_pipeline.storage.store import ObjectStore


def open_store(url: str, *, s3_endpoint_url: str | None = None, s3_region: str | None = None) -> ObjectStore:
    """Open the store at `url`: a folder path, `file:///folder` or `s3://bucket/prefix`.

    S3 credentials come from boto3's default chain (environment, shared files, instance role);
    `s3_endpoint_url` points at R2 or any other S3-compatible server. Raises ConfigurationError for a URL that
    is none of these.
    """
    if "://" not in url:
        return LocalStore(Path(url))
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path not in ("", "/"):
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and not (parts.query or parts.fragment or "@" in parts.netloc):
        client = _s3_client(s3_endpoint_url, s3_region)
        return S3Store(parts.netloc, parts.path.strip("/"), client=client)
    raise ConfigurationError(
        f"The store URL with scheme {parts.scheme!r} cannot be used; give a folder, file:///folder or s3://bucket/prefix."
    )


def _s3_client(endpoint_url: str | None, region: str | None) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 4},
        connect_timeout=10,
        read_timeout=60,
        # Self-hosted servers seldom have a DNS name per bucket.
        s3={"addressing_style": "path"} if endpoint_url else None,
    )
    return boto3.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
