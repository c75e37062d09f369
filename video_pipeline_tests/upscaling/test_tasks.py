"""Names of sources and of results: folders with dots, names that would be one, long ones, what is left out."""

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from video_pipeline.errors import ConfigurationError
from video_pipeline.upscaling import Batch, Engine, Outcome, Task, find_tasks
from video_pipeline.upscaling.tasks import CLIP_SUFFIXES
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import PLAIN, folder, timestamps

PAPER = Path(__file__).parents[2] / "docs" / "upscaling.md"
_CODE = re.compile("`([^`]+)`")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=2)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the user is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*sources: str, target: str = "out") -> dict[str, str]:
    """The results' paths by their sources'."""
    return {str(task.source): str(task.target) for task in find_tasks(sources, target)[0]}


def run(engine: Engine, *sources: str, target: str = "out") -> list[Outcome]:
    tasks, place, _ = find_tasks(sources, target)
    batch = Batch(tasks, PLAIN, folder=place)
    planned = [(plan.source, plan.target, plan.action) for plan in batch.plan()]
    outcomes = list(batch.run(lambda: engine, lambda task, progress: None))
    did = {
        outcome.task: "refuse" if outcome.error else "resize" if outcome.report else "keep" for outcome in outcomes
    }
    assert planned == [(task.source, task.target, did[task]) for task in tasks]
    return outcomes


def made(outcomes: list[Outcome]) -> list[str]:
    assert not [outcome.error for outcome in outcomes if outcome.error]
    return sorted(str(outcome.task.target) for outcome in outcomes if outcome.report)


def test_a_target_that_ends_in_a_slash_or_like_no_film_is_a_folder(here: Path, clip: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(clip, name)
    for target in ("Show.S01.1080p/", "Show.S01.1080p", "clips.mp4/", "v1.5 final", "2026.11.27", "~.d/", "./x.y/."):
        place = str(Path(target))
        assert names("a.mp4", target=target) == {"a.mp4": f"{place}/a.mp4"}
        assert names("a.mp4", "b.mp4", target=target) == {"a.mp4": f"{place}/a.mp4", "b.mp4": f"{place}/b.mp4"}
    # What ends like a film is a file, and one that cannot be written is told as such.
    for target in ("large.mp4", "large.MOV", "large.avi", "v1.5/large.mkv"):
        tasks, place, _ = find_tasks(["a.mp4"], target)
        assert (tasks, place) == ([Task(Path("a.mp4"), Path(target))], None)


def test_dots_in_a_name_are_no_ending(here: Path, clip: Path) -> None:
    for source in ("Episode 1.5", "Episode 1.6", "7e3e26a4.result", "J. Edgar", "v1.0.MOV", "a.tar.mkv", "wrong.avi"):
        shutil.copy(clip, source)
    assert names(
        "Episode 1.5", "Episode 1.6", "7e3e26a4.result", "J. Edgar", "v1.0.MOV", "a.tar.mkv", "wrong.avi"
    ) == {
        "Episode 1.5": "out/Episode 1.5.mp4",
        "Episode 1.6": "out/Episode 1.6.mp4",
        "7e3e26a4.result": "out/7e3e26a4.result.mp4",
        "J. Edgar": "out/J. Edgar.mp4",
        "v1.0.MOV": "out/v1.0.mp4",
        "a.tar.mkv": "out/a.tar.mp4",
        "wrong.avi": "out/wrong.mp4",
    }


def test_two_sources_never_get_one_name_and_keep_theirs(here: Path, engine: Engine, clip: Path) -> None:
    sources = ("films/a.mov", "films/a.mkv", "other/a.mkv", "films/A.mp4", "films/a.mp4.mov")
    for number, source in enumerate(sources):
        Path(source).parent.mkdir(exist_ok=True)
        render(Path(source), frames=2 + number)
    assert made(run(engine, "films/a.mov")) == ["out/a.mp4"]
    first = Path("out/a.mp4").read_bytes()
    # Alone, and together with the others, in any order.
    assert made(run(engine, "films/a.mkv")) == ["out/a.mkv.mp4"]
    assert made(run(engine, "other/a.mkv", "films")) == ["out/A.mp4.mp4", "out/a.mkv 2.mp4", "out/a.mp4.mov.mp4"]
    assert made(run(engine, "films", "other/a.mkv")) == []
    assert names("other/a.mkv", "films/a.mov") == {"other/a.mkv": "out/a.mkv 2.mp4", "films/a.mov": "out/a.mp4"}
    assert Path("out/a.mp4").read_bytes() == first
    # A source that has changed is done again, under its name.
    render(Path("films/a.mov"), frames=7)
    assert made(run(engine, "films")) == ["out/a.mp4"]
    assert len(timestamps(Path("out/a.mp4"))) == 7


def test_a_source_that_was_moved_is_known_by_its_content(here: Path, engine: Engine, clip: Path) -> None:
    Path("films").mkdir()
    shutil.copy(clip, "films/a.mp4")
    assert made(run(engine, "films")) == ["out/a.mp4"]
    Path("films").rename("archive")
    assert made(run(engine, "archive")) == []
    # Both moved together.
    Path("new").mkdir()
    shutil.move("archive", "new/archive")
    shutil.move("out", "new/out")
    assert made(run(engine, "new/archive", target="new/out")) == []


def test_a_result_never_replaces_a_source_or_stands_where_a_folder_is_to_be(
    here: Path, engine: Engine, clip: Path
) -> None:
    Path("films/b.mp4").mkdir(parents=True)
    for source in ("films/a.mov", "films/a.mp4", "films/b.mkv", "films/b.mp4/c.mov"):
        shutil.copy(clip, source)
    assert names("films/a.mov", "films/a.mp4", target="films/large") == {
        "films/a.mov": "films/large/a.mp4",
        "films/a.mp4": "films/large/a.mp4.mp4",
    }
    assert names("films")["films/b.mkv"] == "out/b.mkv.mp4"
    assert len(made(run(engine, "films"))) == 4
    Path("films/a.mp4").unlink()
    shutil.rmtree("films/b.mp4")
    # Where the folder is its own target, results are known as such.
    assert made(run(engine, "films", target="films")) == ["films/a.mp4", "films/b.mp4"]
    assert made(run(engine, "films", target="films")) == []
    assert folder(Path("films")) == [".upscaled.json", "a.mov", "a.mp4", "b.mkv", "b.mp4"]


def test_records_of_earlier_releases_are_read(here: Path, engine: Engine, clip: Path) -> None:
    shutil.copy(clip, "a.mov")
    assert made(run(engine, "a.mov")) == ["out/a.mp4"]
    record = Path("out/.upscaled.json")
    entry = json.loads(record.read_text())["a.mp4"]
    assert entry.pop("source") == "../a.mov"
    record.write_text(json.dumps({"a.mp4": entry}))
    assert made(run(engine, "a.mov")) == []


def _rows(title: str) -> list[tuple[str, str]]:
    """The first two cells of each row of the table with this title in the paper on upscaling."""
    table = PAPER.read_text().partition(f"| {title} |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return [(row[0], row[1]) for row in rows]


def test_the_paper_says_what_names_become(here: Path) -> None:
    rows = [(_CODE.findall(source)[0], *_CODE.findall(result)) for source, result in _rows("into a folder")]
    assert len(rows) == 5
    for source, _ in rows:
        Path(source).touch()
    assert names(*(source for source, _ in rows)) == {source: f"out/{result}" for source, result in rows}
    assert f"what ends in {', '.join(sorted(CLIP_SUFFIXES)[:-1])} or {max(CLIP_SUFFIXES)}" in PAPER.read_text()


def test_the_paper_quotes_what_is_said_of_a_clip_that_is_refused() -> None:
    code = "".join(path.read_text() for path in (PAPER.parents[1] / "video_pipeline" / "upscaling").rglob("*.py"))
    quotes = [quote for _, says in _rows("of a clip") for quote in _CODE.findall(says)]
    assert len(quotes) == 6
    assert [quote for quote in quotes if quote not in code] == []


# As long as a name may be, in one-byte and in three-byte characters, with an ending and without, and no UTF-8.
ODD = [
    "x" * 251 + ".mp4",
    "x" * 250 + ".webm",
    "x" * 255,
    "映" * 85,
    "映" * 83 + "xx.mov",
    os.fsdecode(b"\xce\xe1\xf0.mov"),
    os.fsdecode(b"\x83\x65\xff"),
    "-i.mp4",
    "--plan",
    "a\nb.mkv",
    " .mp4",
    "...",
    "a [1] {x} $y 'z'.mp4",
]


def test_long_and_odd_names_are_names(here: Path, engine: Engine, clip: Path) -> None:
    Path("films").mkdir()
    for number, name in enumerate(ODD):
        render(here / "films" / "next.mp4", frames=1 + number).rename(f"films/{name}")
    sources = [f"./films/{name}" for name in ODD]
    assert len(made(run(engine, *sources, target="out/"))) == len(ODD)
    results = folder(Path("out"))
    assert len(results) == len(ODD) + 1 and all(len(os.fsencode(name)) <= 255 for name in results)
    assert not [name for name in results if name.endswith(".part")]
    assert made(run(engine, *sources, target="out")) == []


def test_what_is_left_out_of_a_folder_is_told_with_the_reason(here: Path, clip: Path) -> None:
    Path("films/inner").mkdir(parents=True)
    for name in ("a.mp4", "inner/b.MKV", ".hidden.mp4", "c.avi", "notes.txt", os.fsdecode(b"\xff.txt")):
        shutil.copy(clip, f"films/{name}")
    os.mkfifo("films/pipe.mp4")
    Path("films/dangling.mp4").symlink_to("nowhere.mp4")
    Path("films/linked").symlink_to(here)
    Path("films/link.mov").symlink_to("a.mp4")
    Path("films/too long.mp4").symlink_to("x" * 300)
    tasks, _, left_out = find_tasks(["films/"], "out")
    assert [str(task.source) for task in tasks] == ["films/a.mp4", "films/inner/b.MKV", "films/link.mov"]
    assert {str(found.path): found.reason for found in left_out} == {
        "films/.hidden.mp4": "hidden",
        "films/c.avi": "the name does not end in .m4v, .mkv, .mov, .mp4, .webm",
        "films/notes.txt": "the name does not end in .m4v, .mkv, .mov, .mp4, .webm",
        os.fsdecode(b"films/\xff.txt"): "the name does not end in .m4v, .mkv, .mov, .mp4, .webm",
        "films/pipe.mp4": "no file, or a link to none",
        "films/dangling.mp4": "no file, or a link to none",
        "films/too long.mp4": "it cannot be read: File name too long",
        "films/linked": "a link to a folder",
    }


def test_one_source_that_names_no_clip_does_not_hinder_the_others(here: Path, clip: Path) -> None:
    for name in ("empty", "films"):
        Path(name).mkdir()
    shutil.copy(clip, "films/a.mp4")
    Path("films/round.mp4").symlink_to("round.mp4")
    Path("films/too long.mp4").symlink_to("x" * 300)
    tasks, _, left_out = find_tasks(["empty", "films/*", "none*.mp4", "films/round.mp4"], "out")
    assert [str(task.source) for task in tasks] == ["films/a.mp4", "films/round.mp4"]
    assert {str(found.path): found.reason for found in left_out} == {
        "empty": "holds no clip (.m4v, .mkv, .mov, .mp4, .webm)",
        "films/round.mp4": "no file, or a link to none",
        "films/too long.mp4": "it cannot be read: File name too long",
        "none*.mp4": "matches no file",
    }


def test_a_closed_folder_does_not_hinder_the_others(here: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that may be listed and not entered: whatever is asked of what is in it fails."""
    for name in ("films/closed/inner", "films/open"):
        Path(name).mkdir(parents=True)
    for name in ("closed", "open"):
        shutil.copy(clip, f"films/{name}/a.mp4")
    ask = os.stat, os.lstat, os.scandir

    def closed(place: object) -> None:
        if "closed/" in str(place):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))

    for call in ask:

        def asked(place: Any = ".", *arguments: Any, call: Any = call, **options: Any) -> Any:
            closed(place)
            return call(place, *arguments, **options)

        monkeypatch.setattr(os, call.__name__, asked)
    tasks, _, left_out = find_tasks(["films"], "out")
    assert [str(task.source) for task in tasks] == ["films/open/a.mp4"]
    assert {str(found.path): found.reason for found in left_out} == {
        "films/closed/a.mp4": "it cannot be read: Permission denied",
        "films/closed/inner": "the folder cannot be read: Permission denied",
    }


@pytest.mark.parametrize("target", ["x" * 300, "x" * 300 + ".mp4"], ids=["folder", "file"])
def test_a_target_that_no_disk_takes_is_a_sentence(here: Path, clip: Path, target: str) -> None:
    shutil.copy(clip, "a.mp4")
    with pytest.raises(ConfigurationError, match=r"x cannot be written to|\.mp4 cannot be written to") as caught:
        find_tasks(["a.mp4"], target)
    assert str(caught.value).endswith(" (File name too long); name another target.")
