"""The folder store: damage, full disks, killed writers, links."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from video_pipeline.errors import StorageError
from video_pipeline.storage import LocalStore

KEY = "clips/2026-11-21/b1/generated/s1.mp4"


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_damaged_bytes_are_noticed_when_read(local_store: LocalStore, tmp_path: Path):
    local_store.put_bytes(KEY, b"approved", content_type="video/mp4")
    (local_store.root / KEY).write_bytes(b"approvet")
    with pytest.raises(StorageError, match="does not have the checksum"):
        local_store.read_bytes(KEY)
    with pytest.raises(StorageError, match="does not have the checksum"):
        local_store.fetch(KEY, tmp_path / "back.mp4")
    assert not (tmp_path / "back.mp4").exists()


def test_a_file_that_someone_copied_in_can_be_read(local_store: LocalStore):
    path = local_store.root / "clips/2026-11-21/b1/restored.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"restored")
    assert local_store.read_bytes("clips/2026-11-21/b1/restored.mp4") == b"restored"


def test_a_full_disk_is_a_sentence_and_leaves_no_half_file(tmp_path: Path):
    """The operating system refuses the write (a file size limit), as it does on a full disk."""
    root = tmp_path / "store"
    script = (
        "import resource, signal; from pathlib import Path\n"
        "from video_pipeline.storage import LocalStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"store = LocalStore(Path({str(root)!r}))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"store.put_bytes({KEY!r}, b'x' * 3_000_000, content_type='video/mp4')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "the disk or quota is full" in done.stderr.splitlines()[-1]
    assert _files(root) == []


def test_a_writer_killed_half_way_leaves_nothing_under_the_key(tmp_path: Path):
    root = tmp_path / "store"
    source = tmp_path / "pipe.mp4"
    os.mkfifo(source)
    script = (
        "from pathlib import Path; from video_pipeline.storage import LocalStore\n"
        f"LocalStore(Path({str(root)!r})).put_file({KEY!r}, Path({str(source)!r}), content_type='video/mp4')\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script])
    with source.open("wb") as pipe:
        pipe.write(b"x" * 3_000_000)
        pipe.flush()
        writer.kill()
        writer.wait()
    store = LocalStore(root)
    assert not store.exists(KEY)
    assert list(store.list()) == []
    store.put_bytes(KEY, b"whole", content_type="video/mp4")
    assert store.read_bytes(KEY) == b"whole"


def test_leftovers_of_killed_writers_are_swept_after_a_day(local_store: LocalStore):
    old, young = (local_store.root / ".incoming" / name for name in (".old.part", ".young.part"))
    for path in (old, young):
        path.write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    LocalStore(local_store.root)
    assert [path.name for path in (local_store.root / ".incoming").iterdir()] == [young.name]


def test_a_link_out_of_the_store_is_refused(local_store: LocalStore, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.mp4").write_bytes(b"secret")
    (local_store.root / "clips").symlink_to(outside)
    (local_store.root / "one.mp4").symlink_to(outside / "secret.mp4")
    for key in ("clips/secret.mp4", "one.mp4"):
        with pytest.raises(StorageError, match="symbolic link"):
            local_store.read_bytes(key)
        with pytest.raises(StorageError, match="symbolic link"):
            local_store.put_bytes(key, b"x", content_type="video/mp4", overwrite=True)
    assert (outside / "secret.mp4").read_bytes() == b"secret"


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="Could not open the store folder"):
        LocalStore(tmp_path / "file" / "store")


def test_an_object_cannot_lie_under_another_object(local_store: LocalStore):
    local_store.put_bytes("clips/a", b"x", content_type="video/mp4")
    with pytest.raises(StorageError, match="Could not store clips/a/b"):
        local_store.put_bytes("clips/a/b", b"x", content_type="video/mp4")
