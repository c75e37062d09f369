"""From a URL to a store, and the key scheme."""

from datetime import date, datetime
from pathlib import Path

import pytest

from video_pipeline.errors import ConfigurationError, StorageError
from video_pipeline.storage import LocalStore, clip_key, open_store, report_key, table_key


def test_a_folder_and_a_file_url_open_the_same_store(tmp_path: Path):
    folder = tmp_path / "with space"
    by_path, by_url = open_store(str(folder)), open_store(folder.as_uri())
    by_path.put_bytes("clips/a.mp4", b"x", content_type="video/mp4")
    assert isinstance(by_url, LocalStore)
    assert by_url.read_bytes("clips/a.mp4") == b"x"
    assert by_url.url("clips/a.mp4") == by_path.url("clips/a.mp4") == (folder / "clips/a.mp4").as_uri()


@pytest.mark.parametrize(
    "url",
    ["ftp://host/x", "s3://", "s3://key:secret@bucket", "file://", "file://host/x", "https://b.s3.amazonaws.com"],
)
def test_a_url_that_is_no_store_is_a_sentence_without_its_secrets(url: str):
    with pytest.raises(ConfigurationError, match="s3://bucket/prefix") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_keys_follow_the_scheme():
    assert clip_key(date(2026, 11, 21), "b1", "generated", "s1.mp4") == "clips/2026-11-21/b1/generated/s1.mp4"
    assert clip_key("2026-11-21", "b1", "generated", "s1.mp4") == "clips/2026-11-21/b1/generated/s1.mp4"
    assert table_key("clip_facts", "2026-11-21") == "tables/clip_facts/2026-11-21.parquet"
    assert report_key("2026-11-21", "sheet.jpg") == "reports/2026-11-21/sheet.jpg"


def test_a_time_of_day_is_no_day():
    with pytest.raises(StorageError, match="not allowed"):
        clip_key(datetime(2026, 11, 21, 12), "b1", "generated", "s1.mp4")
