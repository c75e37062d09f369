"""Folders of work under way: gone with the work, and those of killed processes gone with the next process."""

import subprocess
import sys
from pathlib import Path

import pytest

from video_pipeline.scratch import scratch_folder

_HOLDER = (
    "import sys, time\n"
    "from video_pipeline.scratch import scratch_folder\n"
    "with scratch_folder('held') as folder:\n"
    "    (folder / 'film.mp4').write_bytes(b'x')\n"
    "    print(folder, flush=True)\n"
    "    sys.stdin.read()\n"
)


def _holder(root: Path) -> tuple["subprocess.Popen[str]", Path]:
    """A process that has a folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        env={"TMPDIR": str(root), "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_there_for_the_length_of_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(RuntimeError), scratch_folder("work") as folder:
        (folder / "film.mp4").write_bytes(b"x")
        assert folder.parent == tmp_path
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_only_what_a_dead_process_has_left_is_swept(tmp_path: Path) -> None:
    (killed, left), (living, kept) = _holder(tmp_path), _holder(tmp_path)
    try:
        killed.kill()
        killed.wait()
        assert (left / "film.mp4").exists()
        swept, own = _holder(tmp_path)
        assert (left.exists(), (kept / "film.mp4").exists(), own.exists()) == (False, True, True)
        swept.communicate("")
        living.communicate("")
        assert list(tmp_path.iterdir()) == []
    finally:
        for process in (killed, living):
            process.kill()
            process.wait()
