"""What lies in the inbox: what is complete, what is waited for, and what nothing is read from and why."""

import os
import re
import socket
import time
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from video_pipeline.briefs import files_by_day, said_of, unread, wait_until_settled
from video_pipeline.briefs.bounds import MAX_FILE_BYTES, NotRead
from video_pipeline.briefs.folder import MANIFEST, _first_seen, contents_of, readable_sha256
from video_pipeline.briefs.opening import bytes_of

DAY = date(2026, 11, 26)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    (folder / str(DAY)).mkdir(parents=True)
    return folder


def _why(inbox: Path) -> dict[str, str]:
    return {item.name: item.why for item in unread(inbox, DAY).left_out}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("26.11.2026", "it is no day's folder; name it 2026-11-26"),
        ("26-11-2026", "it is no day's folder; name it 2026-11-26"),
        ("20261126", "it is no day's folder; name it 2026-11-26"),
        ("2026-W48-4", "it is no day's folder; name it like 2026-11-21"),
        ("2026-11-26 ", "it is no day's folder; name it like 2026-11-21"),
        ("2026-02-30", "it is no day's folder; name it like 2026-11-21"),
        ("team-a", "it is no day's folder; name it like 2026-11-21"),
        ("2025-12-31", "it is no production day; the first is 2026-01-01"),
        ("0001-01-01", "it is no production day; the first is 2026-01-01"),
        ("brief.yaml", "it is no day's folder; name it like 2026-11-21"),
    ],
)
def test_a_folder_that_is_no_days_is_told(inbox: Path, name: str, why: str):
    (inbox / name).mkdir()
    (inbox / name / "a.yaml").write_text("a: 1")
    assert _why(inbox) == {name: why}
    assert files_by_day(inbox, DAY, {}) == {}


@pytest.mark.parametrize("within", [".", str(DAY), str(DAY - timedelta(days=30)), str(DAY + timedelta(days=2))])
def test_what_is_no_file_of_briefs_is_told_wherever_it_lies(inbox: Path, tmp_path: Path, within: str):
    folder = inbox / within
    folder.mkdir(exist_ok=True)
    (tmp_path / "secret.yaml").write_text("token: hunter2")
    (folder / "out.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "up.yaml").symlink_to("../../secret.yaml" if within != "." else "../secret.yaml")
    (folder / "nowhere.yaml").symlink_to(tmp_path / "missing")
    (folder / "itself.yaml").symlink_to(folder / "itself.yaml")
    os.mkfifo(folder / "pipe.yaml")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s.csv"))
    (folder / "brief.yaml.txt").write_text("a: 1")
    (folder / "Makefile").write_text("a: 1")
    for name in (".DS_Store", ".brief.yaml.swp", "~$plan.xlsx", "Thumbs.db", "desktop.ini"):
        (folder / name).write_text("not ours")
    at = "" if within == "." else f"{within}/"
    kinds = ".yaml, .yml, .json, .jsonl, .ndjson, .csv, .tsv, .xlsx"
    assert _why(inbox) == {
        f"{at}out.yaml": "it is a link that leads out of the inbox; put the file itself there",
        f"{at}up.yaml": "it is a link that leads out of the inbox; put the file itself there",
        f"{at}nowhere.yaml": "it is a link to nothing",
        f"{at}itself.yaml": "it is a link that leads nowhere",
        f"{at}pipe.yaml": "it is no file",
        f"{at}s.csv": "it is no file",
        f"{at}brief.yaml.txt": "it ends in .txt; name it brief.yaml",
        f"{at}Makefile": f"files of briefs end in {kinds}",
    }
    assert files_by_day(inbox, DAY + timedelta(days=9), {}) == {}


def test_a_days_folder_that_leads_out_of_the_inbox_is_not_entered(inbox: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.yaml").write_text("a: 1")
    (inbox / "2026-11-25").symlink_to(tmp_path / "elsewhere")
    assert set(_why(inbox)) == {"2026-11-25"}
    assert files_by_day(inbox, DAY, {}) == {}


def test_a_days_folder_that_leads_to_itself_is_told(inbox: Path):
    (inbox / "2026-11-25").symlink_to(inbox / "2026-11-25")
    assert _why(inbox) == {"2026-11-25": "it is a link that leads nowhere"}
    assert files_by_day(inbox, DAY, {}) == {}


def test_an_inbox_that_cannot_be_read_is_told_and_one_that_is_not_there_is_empty(tmp_path: Path):
    (tmp_path / "inbox").write_text("a file")
    assert _why(tmp_path / "inbox") == {"all of it": f"the inbox {tmp_path}/inbox cannot be read: Not a directory"}
    assert files_by_day(tmp_path / "inbox", DAY, {}) == {}
    assert _why(tmp_path / "nowhere") == {}


def test_a_name_is_shown_on_one_line(inbox: Path):
    (inbox / "a\nNothing is read from b.docx").write_text("")
    assert list(_why(inbox)) == ["a\ufffdNothing is read from b.docx"]


def test_a_link_within_the_inbox_is_followed(inbox: Path):
    (inbox / ".store").mkdir()
    (inbox / ".store" / "a").write_text("a: 1")
    (inbox / str(DAY) / "a.yaml").symlink_to("../.store/a")
    assert _why(inbox) == {}
    assert set(files_by_day(inbox, DAY, {})) == {DAY}


def test_what_may_not_be_read_is_told(inbox: Path, monkeypatch: pytest.MonkeyPatch):
    # No permissions keep root from reading a file.
    (inbox / "a.yaml").write_text("a: 1")
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("a.yaml"))
    assert _why(inbox) == {"a.yaml": "it may not be read; change its permissions"}


def test_a_file_is_complete_when_nobody_has_touched_it_for_a_while(inbox: Path, monkeypatch: pytest.MonkeyPatch):
    path = inbox / "a.yaml"
    path.write_text("prompt: Fishing boats leave")
    os.utime(path, (0, 0))
    touched = path.stat().st_ctime
    monkeypatch.setattr("video_pipeline.briefs.folder.time.time", lambda: touched + 3.9)
    contents = contents_of(inbox, inbox, 4)
    assert (contents.files, list(contents.growing)) == ((), [path])
    monkeypatch.setattr("video_pipeline.briefs.folder.time.time", lambda: touched + 4.1)
    assert contents_of(inbox, inbox, 4).files == (path,)


def test_a_young_file_that_is_watched_has_to_be_seen_unchanged(inbox: Path):
    path = inbox / "a.yaml"
    path.write_text("a: 1")
    while not contents_of(inbox, inbox, 0.4).files:
        time.sleep(0.01)
    # Whoever only comes by may have come between two lines.
    seen = time.monotonic()
    assert contents_of(inbox, inbox, 0.4, watched=True).files == ()
    while not contents_of(inbox, inbox, 0.4, watched=True).files:
        time.sleep(0.01)
    assert time.monotonic() - seen >= 0.39


def test_a_time_of_content_to_come_counts_for_nothing(inbox: Path, monkeypatch: pytest.MonkeyPatch):
    path = inbox / "a.yaml"
    path.write_text("a: 1")
    now = time.time()
    os.utime(path, (now + 10**6, now + 10**6))
    assert dict(contents_of(inbox, inbox, 4).growing) == {path: False}
    # Whoever sees it for the first time takes it, as the worker of a run does.
    _first_seen.clear()
    monkeypatch.setattr("video_pipeline.briefs.folder.time.time", lambda: now + 5)
    assert contents_of(inbox, inbox, 4).files == (path,)


def test_a_clock_that_runs_ahead_is_no_reason_to_wait_for_ever(inbox: Path, monkeypatch: pytest.MonkeyPatch):
    path = inbox / str(DAY) / "a.yaml"
    path.write_text("a: 1")
    now = time.time()
    monkeypatch.setattr("video_pipeline.briefs.folder.time.time", lambda: now - 1000)
    assert contents_of(path.parent, inbox, 0.1).files == ()
    wait_until_settled(inbox, DAY, 0.1)
    assert contents_of(path.parent, inbox, 0.1).files == (path,)


def test_a_file_that_goes_on_growing_is_not_waited_for_for_long(inbox: Path, monkeypatch: pytest.MonkeyPatch):
    path, waited_s = inbox / str(DAY) / "a.yaml", [0.0]

    def grow(seconds: float) -> None:
        waited_s.append(seconds)
        with path.open("a") as file:
            file.write("# more\n")

    path.write_text("a: 1\n")
    # It lies at the top, and so is no file of this day.
    (inbox / "b.yaml").write_text("b: 1\n")
    clock = SimpleNamespace(monotonic=lambda: sum(waited_s), sleep=grow)
    monkeypatch.setattr("video_pipeline.briefs.inbox.time", clock)
    heard: list[str] = []
    wait_until_settled(inbox, DAY, 4, on_wait=heard.append)
    assert 4 < sum(waited_s) < 60
    assert contents_of(path.parent, inbox, 4).files == ()
    assert heard == [f"{DAY}/a.yaml"]


def _manifest(folder: Path, **files: str) -> None:
    lines = [f"{sha256(text.encode()).hexdigest()}  {name}.yaml\n" for name, text in files.items()]
    (folder / MANIFEST).write_text("".join(lines))


def test_a_manifest_says_for_certain_when_a_file_is_complete(inbox: Path):
    folder = inbox / str(DAY)
    _manifest(folder, a="a: 1", b="b: 1 and more")
    (folder / "a.yaml").write_text("a: 1")
    (folder / "b.yaml").write_text("b: 1")
    (folder / "c.yaml").write_text("c: 1")
    contents = contents_of(folder, inbox, 60)
    assert contents.files == (folder / "a.yaml",)
    assert dict(contents.growing) == {folder / "b.yaml": True, folder / "c.yaml": False}
    # However long nobody has touched it.
    assert contents_of(folder, inbox, 0).files == (folder / "a.yaml", folder / "c.yaml")
    assert _why(inbox) == {}
    (folder / "b.yaml").write_text("b: 1 and more")
    assert folder / "b.yaml" in contents_of(folder, inbox, 60).files


def test_what_a_manifest_waits_for_in_vain_is_told(inbox: Path, monkeypatch: pytest.MonkeyPatch):
    folder = inbox / str(DAY)
    _manifest(folder, a="a: 1", b="b: 1")
    (folder / "a.yaml").write_text("a: 2")
    now = time.time()
    monkeypatch.setattr("video_pipeline.briefs.folder.time.time", lambda: now + 4000)
    assert _why(inbox) == {
        f"{DAY}/a.yaml": "its checksum is not what manifest.sha256 says; drop it again",
        "b.yaml": "manifest.sha256 names it, and it is not there",
    }
    (folder / MANIFEST).write_text("a.yaml is done\n")
    assert _why(inbox) == {f"{DAY}/{MANIFEST}": "line 1 is no checksum and name, as sha256sum writes them"}


@pytest.mark.parametrize("name", ["é" * 130 + ".yaml", "a\0b.yaml", "closed/a.yaml", "../secret.yaml"])
def test_a_manifest_may_name_what_no_folder_can_hold(inbox: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    folder = inbox / str(DAY)
    (folder / MANIFEST).write_text(f"{'0' * 64}  {name}\n{sha256(b'a: 1').hexdigest()}  a.yaml\n")
    (folder / "a.yaml").write_text("a: 1")
    now = time.time()
    monkeypatch.setattr("video_pipeline.briefs.folder.time.time", lambda: now + 4000)
    (why,) = _why(inbox).values()
    other = "line 1 names what lies in another folder; name the files beside it"
    assert why == (other if "/" in name else "manifest.sha256 names it, and it is not there")
    assert contents_of(folder, inbox, 10**6).files == (folder / "a.yaml",)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda path: path.symlink_to(path.parents[2] / "secret"),
            "it is a link that leads out of the inbox; put the file itself there",
        ),
        (lambda path: os.mkfifo(path), "it is no file"),
        (lambda path: path.mkdir(), "it is a folder within the folder of a day; put its files into that"),
        (lambda path: path.write_bytes(b"\xff"), "it cannot be read as UTF-8"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 10**13), "larger than 1,000,000 bytes"),
    ],
)
def test_a_manifest_is_looked_at_as_any_entry_is(inbox: Path, make: Callable[[Path], object], why: str):
    (inbox.parent / "secret").write_text(f"{'0' * 64}  hunter2.yaml\n")
    make(inbox / str(DAY) / MANIFEST)
    ((name, said),) = _why(inbox).items()
    assert name == f"{DAY}/{MANIFEST}" and why in said


def test_what_is_too_large_is_told_from_its_beginning_and_its_times(inbox: Path):
    path = inbox / "a.csv"
    with path.open("wb") as file:
        file.truncate(10**13)
    begun = time.process_time()
    before = files_by_day(inbox, DAY, {})
    with path.open("r+b") as file:
        file.truncate(10**13 - 1)
    after = files_by_day(inbox, DAY, {})
    assert time.process_time() - begun < 2
    assert len(before[DAY]) == len(after[DAY]) == 1 and before != after


def test_a_name_in_a_manifest_does_not_hold_up_what_is_too_large(inbox: Path):
    _manifest(inbox, a="whatever")
    (inbox / "a.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert contents_of(inbox, inbox, 0).files == (inbox / "a.yaml",)


@pytest.mark.parametrize("swapped", ["the file", "its folder"])
def test_what_has_become_a_link_since_it_was_listed_is_not_opened(inbox: Path, swapped: str):
    folder, outside = inbox / str(DAY), inbox.parent / "outside"
    outside.mkdir()
    for place in (folder, outside):
        (place / "a.yaml").write_text("token: hunter2")
    (listed,) = contents_of(folder, inbox, 0).files
    at = listed if swapped == "the file" else folder
    at.rename(inbox.parent / "before")
    at.symlink_to(outside / "a.yaml" if swapped == "the file" else outside)
    assert readable_sha256(listed, inbox) is None
    with pytest.raises(NotRead, match="leads out of the inbox"):
        bytes_of(listed, inbox)


def test_a_pipe_in_the_place_of_a_listed_file_does_not_block(inbox: Path):
    path = inbox / "a.yaml"
    os.mkfifo(path)
    assert readable_sha256(path, inbox) is None
    with pytest.raises(NotRead, match="it is no file"):
        bytes_of(path, inbox)


def test_what_is_not_read_is_said_in_sentences(inbox: Path):
    for name in ("notes.docx", "team.docx"):
        (inbox / name).write_text("")
    later = inbox / str(DAY + timedelta(days=1))
    later.mkdir()
    (later / "a.yaml").write_text("a: 1")
    assert said_of(unread(inbox, DAY), past=[DAY - timedelta(days=1)]) == [
        "Nothing is read from notes.docx, team.docx: files of briefs end in .yaml, .yml, .json, .jsonl, .ndjson, "
        ".csv, .tsv, .xlsx.",
        "Days to come have briefs: 2026-11-27 (1 file). A day begins at 00:00 UTC.",
        "2026-11-25: files that no run has taken in; the night watch runs such days, and so does `video-pipeline "
        "run-day DAY`.",
    ]


def _a_kind(inbox: Path, row: str) -> None:
    """Lay into the inbox what a row of the papers is about."""
    makers: dict[str, Callable[[], object]] = {
        "a file of another kind (`.docx`, `brief.yaml.txt`)": lambda: (inbox / "x.docx").write_text(""),
        "a folder that is no day's (`26.11.2026`, `team-a`), or one within a day's folder": (inbox / "team-a").mkdir,
        "a day before 2026-01-01": (inbox / "2025-12-31").mkdir,
        "a day to come": lambda: _drop(inbox / "2026-12-24"),
        "a day that is over, with files that no run has taken in": lambda: _drop(inbox / "2026-11-01"),
        "a link within the inbox": lambda: (inbox / "x.yaml").symlink_to(_drop(inbox / ".x")),
        "a link that leads out of the inbox, or to nothing": lambda: (inbox / "x.yaml").symlink_to("/etc/hostname"),
        "a pipe, a socket, a device": lambda: os.mkfifo(inbox / "x.yaml"),
        "a name that is not UTF-8": lambda: Path(os.fsdecode(os.fsencode(inbox) + b"/\xe9.yaml")).write_text(""),
        "a file that may not be read": lambda: (inbox / "unreadable.yaml").write_text(""),
        "names that begin with `.` or `~$`, `Thumbs.db`, `desktop.ini`": lambda: (inbox / "~$x.xlsx").write_text(""),
    }
    makers[row]()


def _drop(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "a.yaml"
    path.write_text("a: 1")
    return path


_PAPER = (Path(__file__).parents[2] / "docs" / "briefs.md").read_text()
(_TABLE,) = re.findall(r"\| in the inbox \| what becomes of it \|\n\|---\|---\|\n((?:\|.+\n)+)", _PAPER)


@pytest.mark.parametrize("line", _TABLE.splitlines())
def test_the_inbox_is_as_the_papers_say(inbox: Path, line: str, monkeypatch: pytest.MonkeyPatch):
    _, row, outcome, _ = (cell.strip() for cell in line.split("|"))
    _a_kind(inbox, row)
    monkeypatch.setattr(os, "access", lambda path, mode: "unreadable" not in str(path))
    found = unread(inbox, DAY)
    arrived = [day for day, files in files_by_day(inbox, DAY, {}).items() if files]
    assert bool(found.left_out) == (outcome == "told" or outcome.startswith("told, not"))
    assert bool(found.to_come) == ("when the day begins" in outcome)
    assert arrived == ([DAY] if outcome == "followed" else [date(2026, 11, 1)] if "night watch" in outcome else [])
