"""What every store promises, run against a folder and against a real S3 server."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from video_pipeline.errors import StorageError
from video_pipeline.storage import ObjectStore, clip_key, table_key

KEY = clip_key("2026-11-21", "spring-launch", "generated", "s1-0a1b.mp4")
MP4 = "video/mp4"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(bytes(range(256)) * 20_000)
    return path


def test_a_file_comes_back_as_it_was_put(store: ObjectStore, clip: Path, tmp_path: Path):
    stored = store.put_file(KEY, clip, content_type=MP4)
    fetched = store.fetch(KEY, tmp_path / "new" / "folder" / "back.mp4")
    data = clip.read_bytes()
    assert (tmp_path / "new" / "folder" / "back.mp4").read_bytes() == data
    assert stored == fetched == store.stat(KEY)
    assert (stored.size_bytes, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert stored.url == store.url(KEY)
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["back.mp4"]


def test_bytes_come_back_as_they_were_put(store: ObjectStore):
    store.put_bytes(KEY, b"frame", content_type=MP4)
    assert store.read_bytes(KEY) == b"frame"
    assert store.exists(KEY)


def test_an_empty_object_is_kept(store: ObjectStore):
    assert store.put_bytes(KEY, b"", content_type=MP4).size_bytes == 0
    assert store.read_bytes(KEY) == b""


def test_the_same_bytes_twice_change_nothing(store: ObjectStore, clip: Path):
    first = store.put_file(KEY, clip, content_type=MP4)
    assert store.put_file(KEY, clip, content_type=MP4) == first
    assert store.put_bytes(KEY, clip.read_bytes(), content_type=MP4) == first


def test_other_bytes_never_replace_a_stored_clip(store: ObjectStore, clip: Path):
    store.put_bytes(KEY, b"approved", content_type=MP4)
    with pytest.raises(StorageError, match="already holds other bytes"):
        store.put_file(KEY, clip, content_type=MP4)
    with pytest.raises(StorageError, match="already holds other bytes"):
        store.put_bytes(KEY, b"other", content_type=MP4)
    assert store.read_bytes(KEY) == b"approved"


def test_a_table_is_rewritten_when_asked(store: ObjectStore):
    key = table_key("clip_facts", "2026-11-21")
    store.put_bytes(key, b"old", content_type="application/vnd.apache.parquet")
    store.put_bytes(key, b"newer", content_type="application/vnd.apache.parquet", overwrite=True)
    assert store.read_bytes(key) == b"newer"
    stored = store.stat(key)
    assert stored is not None
    assert stored.sha256 == hashlib.sha256(b"newer").hexdigest()


def test_many_writers_of_one_new_key_agree_on_one_winner(store: ObjectStore):
    bodies = [f"take {number}".encode() for number in range(8)]

    def put(body: bytes) -> bytes | None:
        try:
            store.put_bytes(KEY, body, content_type=MP4)
        except StorageError:
            return None
        return body

    with ThreadPoolExecutor(8) as pool:
        winners = [body for body in pool.map(put, bodies) if body is not None]
    assert [store.read_bytes(KEY)] == winners


def test_a_missing_key_is_none_or_a_sentence(store: ObjectStore, tmp_path: Path):
    assert store.stat(KEY) is None
    assert not store.exists(KEY)
    store.delete(KEY)
    for read in (
        lambda: store.read_bytes(KEY),
        lambda: store.fetch(KEY, tmp_path / "back.mp4"),
        lambda: store.local_copy(KEY).__enter__(),
    ):
        with pytest.raises(StorageError, match="Nothing is stored under clips/2026-11-21"):
            read()
    assert not (tmp_path / "back.mp4").exists()


def test_a_deleted_object_is_gone_and_its_key_is_free(store: ObjectStore):
    store.put_bytes(KEY, b"first", content_type=MP4)
    store.delete(KEY)
    assert not store.exists(KEY)
    store.put_bytes(KEY, b"second", content_type=MP4)
    assert store.read_bytes(KEY) == b"second"


def test_keys_are_listed_by_prefix_in_order(store: ObjectStore):
    keys = [clip_key("2026-11-21", brief, "generated", "s1.mp4") for brief in ("b", "a", "ab")]
    for key in [*keys, table_key("briefs", "2026-11-21")]:
        store.put_bytes(key, b"x", content_type=MP4)
    assert list(store.list("clips/2026-11-21/a")) == [keys[1], keys[2]]
    assert list(store.list("clips/2026-11-21/a/")) == [keys[1]]
    assert list(store.list("clips/2026-11-22/")) == []
    assert len(list(store.list())) == 4


def test_a_local_copy_can_be_read_as_a_file(store: ObjectStore):
    store.put_bytes(KEY, b"frame", content_type=MP4)
    with store.local_copy(KEY) as path:
        assert path.suffix == ".mp4"
        assert path.read_bytes() == b"frame"
    assert store.exists(KEY)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "clips/../../etc/passwd",
        "clips/..",
        "clips//a",
        "clips/a/",
        "clips\\a",
        "clips/a\0b",
        "clips/a\n",
        ".checksums/a",
        "clips/.hidden",
        "clips/%2e%2e/a b",
        "clips/é.mp4",
        "a/" * 500 + "b",
        "clips/" + "x" * 300,
    ],
)
def test_a_key_that_could_leave_the_store_is_refused(store: ObjectStore, key: str, tmp_path: Path):
    for use in (
        lambda: store.put_bytes(key, b"x", content_type=MP4),
        lambda: store.read_bytes(key),
        lambda: store.fetch(key, tmp_path / "x"),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.url(key),
    ):
        with pytest.raises(StorageError, match="is not allowed"):
            use()
    assert list(store.list()) == []


@pytest.mark.parametrize("prefix", ["..", "../", "/", "clips/../"])
def test_a_prefix_that_could_leave_the_store_is_refused(store: ObjectStore, prefix: str):
    with pytest.raises(StorageError, match="prefix"):
        list(store.list(prefix))


def test_a_source_file_that_is_missing_is_a_sentence(store: ObjectStore, tmp_path: Path):
    with pytest.raises(StorageError, match="No such file"):
        store.put_file(KEY, tmp_path / "gone.mp4", content_type=MP4)
