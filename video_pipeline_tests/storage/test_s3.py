"""What only a bucket can do: wrong credentials, missing buckets, unreachable servers, objects of others."""

import io
import socket
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from video_pipeline.errors import StorageError
from video_pipeline.storage import S3Store, open_store
from video_pipeline_tests.storage.conftest import BUCKET, WRITER, S3Server

KEY = "clips/2026-11-21/b1/generated/s1.mp4"


def test_wrong_credentials_are_a_sentence_without_the_secret(s3_server: S3Server):
    store = S3Store(BUCKET, client=s3_server.client(secret_key="wrong-secret"))
    for use in (lambda: store.put_bytes(KEY, b"x", content_type="video/mp4"), lambda: store.read_bytes(KEY)):
        with pytest.raises(StorageError, match="refused the credentials") as caught:
            use()
        assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        # Servers hide whether a bucket exists from a writer who may not make one.
        (lambda store: store.put_bytes(KEY, b"x", content_type="video/mp4"), "that the bucket exists"),
        (lambda store: store.read_bytes(KEY), "has no such bucket"),
        (lambda store: list(store.list()), "has no such bucket"),
    ],
    ids=["put", "read", "list"],
)
def test_a_missing_bucket_is_a_sentence(s3_server: S3Server, use: Callable[[S3Store], object], sentence: str):
    store = S3Store("no-such-bucket", client=s3_server.client())
    with pytest.raises(StorageError, match=sentence):
        use(store)


def test_an_unreachable_server_is_a_sentence():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{closed.getsockname()[1]}",
            region_name="us-east-1",
            aws_access_key_id=WRITER[0],
            aws_secret_access_key=WRITER[1],
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(StorageError, match="cannot be reached"):
            S3Store(BUCKET, client=client).put_bytes(KEY, b"x", content_type="video/mp4")


def test_the_object_carries_type_and_checksum(s3_store: S3Store, s3_server: S3Server):
    stored = s3_store.put_bytes(KEY, b"frame", content_type="video/mp4")
    head = s3_server.client().head_object(Bucket=BUCKET, Key=f"{s3_store.prefix}/{KEY}")
    assert head["ContentType"] == "video/mp4"
    assert head["Metadata"] == {"sha256": stored.sha256}


def test_an_object_that_does_not_match_its_checksum_is_noticed(
    s3_store: S3Store, s3_server: S3Server, tmp_path: Path
):
    s3_server.client().put_object(
        Bucket=BUCKET, Key=f"{s3_store.prefix}/{KEY}", Body=b"other", Metadata={"sha256": "0" * 64}
    )
    with pytest.raises(StorageError, match="does not have the checksum"):
        s3_store.fetch(KEY, tmp_path / "back.mp4")
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_someone_else_uploaded_can_be_read(s3_store: S3Store, s3_server: S3Server):
    s3_server.client().put_object(Bucket=BUCKET, Key=f"{s3_store.prefix}/{KEY}", Body=b"restored")
    stored = s3_store.stat(KEY)
    assert stored is not None
    assert s3_store.read_bytes(KEY) == b"restored"
    assert s3_store.put_bytes(KEY, b"restored", content_type="video/mp4") == stored


def test_a_server_without_conditional_writes_still_stores(s3_server: S3Server, tmp_path: Path):
    """The answer that such servers give (501) is put before the real server's, by boto3's own event."""
    client = s3_server.client()

    def refuse_conditions(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        if "If-None-Match" not in request.headers:
            return None
        reply = AWSResponse(request.url, 501, {}, io.BytesIO())
        reply._content = b"<Error><Code>NotImplemented</Code><Message>no conditions</Message></Error>"
        return reply

    client.meta.events.register("before-send.s3.PutObject", refuse_conditions)
    store = S3Store(BUCKET, f"team/{uuid4().hex}", client=client)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"frame" * 1000)
    store.put_file(KEY, clip, content_type="video/mp4")
    assert store.read_bytes(KEY) == clip.read_bytes()
    with pytest.raises(StorageError, match="already holds other bytes"):
        store.put_bytes(KEY, b"other", content_type="video/mp4")


def test_a_store_opens_from_its_url_with_the_default_credentials(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", WRITER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRITER[1])
    store = open_store(f"s3://{BUCKET}/by/url", s3_endpoint_url=s3_server.endpoint_url, s3_region="us-east-1")
    store.put_bytes(KEY, b"frame", content_type="video/mp4")
    assert store.url(KEY) == f"s3://{BUCKET}/by/url/{KEY}"
    assert store.read_bytes(KEY) == b"frame"
