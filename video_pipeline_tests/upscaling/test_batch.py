"""Folders, globs and several files: what is to be done, what is done already, and one bad clip among good ones."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from video_pipeline.errors import ConfigurationError
from video_pipeline.media import run_ffmpeg
from video_pipeline.upscaling import Batch, Engine, Outcome, Task, UpscaleProgress, UpscaleSettings, find_tasks
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import PLAIN, SMALL, timestamps, video_of


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, one of them in a folder of its own, and a text among them."""
    films = tmp_path_factory.mktemp("rendered")
    (films / "day 2").mkdir()
    render(films / "a.mp4", frames=3)
    render(films / "b.mkv", frames=4)
    render(films / "day 2" / "a.mp4", frames=5)
    (films / "notes.txt").write_text("three clips")
    return films


@pytest.fixture
def films(rendered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rendered, tmp_path / "films"))


def run(
    engine: Engine, target: Path, *sources: Path | str, settings: UpscaleSettings = PLAIN, again: bool = False
) -> list[Outcome]:
    tasks, folder, _ = find_tasks([str(source) for source in sources], target)
    batch = Batch(tasks, settings, folder=folder, again=again)
    return list(batch.run(lambda: engine, lambda task, progress: None))


def done(outcomes: list[Outcome]) -> list[str]:
    """The names of the targets that were made now; none may have failed."""
    assert not [outcome.error for outcome in outcomes if outcome.error]
    return sorted(outcome.task.target.name for outcome in outcomes if outcome.report)


def no_engine() -> Engine:
    raise AssertionError("nothing is to be done, and an engine was asked for")


def entries(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_done_at_any_depth_and_keeps_its_shape(tmp_path: Path, engine: Engine, films: Path) -> None:
    outcomes = run(engine, tmp_path / "large", films)
    assert done(outcomes) == ["a.mp4", "a.mp4", "b.mp4"]
    assert entries(tmp_path / "large") == [".upscaled.json", "a.mp4", "b.mp4", "day 2/a.mp4"]
    for name, frames in (("a.mp4", 3), ("b.mp4", 4), ("day 2/a.mp4", 5)):
        assert len(timestamps(tmp_path / "large" / name)) == frames
        assert video_of(tmp_path / "large" / name).size == (128, 72)


def test_globs_and_several_files_are_taken_and_a_file_that_is_named_twice_once(
    tmp_path: Path, engine: Engine, films: Path
) -> None:
    assert done(run(engine, tmp_path / "one", films / "*.m*")) == ["a.mp4", "b.mp4"]
    assert done(run(engine, tmp_path / "two", f"{films}/**/b.*")) == ["b.mp4"]
    assert done(run(engine, tmp_path / "three", films / "b.mkv", films / "a.mp4", films / "a.mp4")) == [
        "a.mp4",
        "b.mp4",
    ]
    assert done(run(engine, tmp_path / "four", films / "day ?" / "*")) == ["a.mp4"]


def test_a_file_becomes_the_file_that_is_named_or_one_in_the_folder(
    tmp_path: Path, engine: Engine, films: Path
) -> None:
    assert done(run(engine, tmp_path / "large.mkv", films / "a.mp4")) == ["large.mkv"]
    assert done(run(engine, tmp_path / "folder", films / "b.mkv")) == ["b.mp4"]
    (tmp_path / "v1.0").mkdir()
    assert done(run(engine, tmp_path / "v1.0", films / "b.mkv")) == ["b.mp4"]
    # A file is no record's: it is made anew each time.
    assert done(run(engine, tmp_path / "large.mkv", films / "a.mp4")) == ["large.mkv"]


def test_a_name_with_the_signs_of_a_glob_is_a_name_where_there_is_such_a_file(
    tmp_path: Path, engine: Engine, films: Path
) -> None:
    (films / "a.mp4").rename(films / "a [1].mp4")
    assert done(run(engine, tmp_path / "large", films / "a [1].mp4")) == ["a [1].mp4"]


def test_a_second_run_keeps_everything_and_loads_no_network(tmp_path: Path, engine: Engine, films: Path) -> None:
    run(engine, tmp_path / "large", films)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "large").rglob("*.mp4")}
    tasks, folder, _ = find_tasks([str(films)], tmp_path / "large")
    batch = Batch(tasks, PLAIN, folder=folder)
    assert [plan.action for plan in batch.plan()] == ["keep"] * 3
    outcomes = list(batch.run(no_engine, lambda task, progress: None))
    assert len(outcomes) == 3 and done(outcomes) == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "large").rglob("*.mp4")} == before


def test_only_what_has_changed_is_done_again(tmp_path: Path, engine: Engine, films: Path) -> None:
    large = tmp_path / "large"
    run(engine, large, films)
    render(films / "b.mkv", frames=6)
    assert done(run(engine, large, films)) == ["b.mp4"]
    assert len(timestamps(large / "b.mp4")) == 6
    (large / "a.mp4").unlink()
    assert done(run(engine, large, films)) == ["a.mp4"]
    (large / "day 2" / "a.mp4").write_bytes((large / "day 2" / "a.mp4").read_bytes()[:-100])
    assert [str(o.task.target.relative_to(large)) for o in run(engine, large, films) if o.report] == ["day 2/a.mp4"]
    assert len(timestamps(large / "day 2" / "a.mp4")) == 5
    render(films / "new.mp4", frames=2)
    assert done(run(engine, large, films)) == ["new.mp4"]
    # A source that only moved in time is the same source.
    os.utime(films / "a.mp4")
    assert done(run(engine, large, films)) == []


def test_other_settings_weights_or_again_do_everything_again(tmp_path: Path, engine: Engine, films: Path) -> None:
    run(engine, tmp_path / "large", films)
    other = UpscaleSettings(short_side=72, blend=0, crf=30)
    assert len(done(run(engine, tmp_path / "large", films, settings=other))) == 3
    assert done(run(engine, tmp_path / "large", films, settings=other)) == []
    assert len(done(run(engine, tmp_path / "large", films, settings=other, again=True))) == 3
    tasks, folder, _ = find_tasks([str(films)], tmp_path / "large")
    weights = tmp_path / "own.pth"
    weights.write_bytes(b"other weights")
    assert {plan.action for plan in Batch(tasks, other, folder=folder).plan()} == {"keep"}
    assert {plan.action for plan in Batch(tasks, other, folder=folder, weights=weights).plan()} == {"resize"}
    assert {plan.action for plan in Batch(tasks, other, folder=folder, size=(256, 144)).plan()} == {"resize"}


def test_a_broken_file_among_good_ones_is_told_and_the_others_are_done(
    tmp_path: Path, engine: Engine, films: Path
) -> None:
    broken = films / "aa broken.mp4"
    broken.write_bytes((films / "a.mp4").read_bytes()[:-700])
    outcomes = run(engine, tmp_path / "large", films, tmp_path / "nowhere.mp4")
    failed = {outcome.task.source.name: outcome.error for outcome in outcomes if outcome.error}
    assert set(failed) == {"aa broken.mp4", "nowhere.mp4"}
    assert str(broken) in failed["aa broken.mp4"] and "does not exist" in failed["nowhere.mp4"]
    assert entries(tmp_path / "large") == [".upscaled.json", "a.mp4", "b.mp4", "day 2/a.mp4"]
    # Mended, it is what is missing.
    render(broken, frames=2)
    assert done(run(engine, tmp_path / "large", films)) == ["aa broken.mp4"]


def test_a_plan_tells_sizes_and_reasons_and_touches_nothing(tmp_path: Path, films: Path) -> None:
    (films / "broken.mp4").write_bytes(b"no film")
    render(films / "big.mp4", size=(256, 144), frames=1)
    before = entries(tmp_path)
    tasks, folder, _ = find_tasks([str(films)], tmp_path / "large")
    plans = {plan.source.name: plan for plan in Batch(tasks, SMALL, folder=folder).plan()}
    assert {name: plan.action for name, plan in plans.items()} == {
        "a.mp4": "upscale",
        "b.mkv": "upscale",
        "big.mp4": "resize",
        "broken.mp4": "refuse",
    }
    assert (plans["b.mkv"].source_size, plans["b.mkv"].target_size) == ((64, 36), (128, 72))
    assert "broken.mp4 is not a readable" in plans["broken.mp4"].reason
    odd = {plan.source.name: plan for plan in Batch(tasks, SMALL, folder=folder, size=(100, 100)).plan()}
    assert odd["a.mp4"].action == "refuse" and "would distort" in odd["a.mp4"].reason
    assert entries(tmp_path) == before


def test_results_in_a_folder_among_the_sources_are_no_sources(tmp_path: Path, engine: Engine, films: Path) -> None:
    large = films / "large"
    assert len(done(run(engine, large, films))) == 3
    assert done(run(engine, large, films)) == []
    assert entries(large) == [".upscaled.json", "a.mp4", "b.mp4", "day 2/a.mp4"]


def test_hidden_files_and_folders_named_like_clips_are_no_clips(tmp_path: Path, films: Path) -> None:
    shutil.copy(films / "a.mp4", films / ".a.mp4")
    (films / "scenes.mp4").mkdir()
    tasks, _, _ = find_tasks([str(films)], tmp_path / "large")
    assert sorted(task.source.name for task in tasks) == ["a.mp4", "a.mp4", "b.mkv"]


@pytest.mark.parametrize("hidden", [False, True])
def test_a_folder_without_clips_and_a_glob_without_matches_are_sentences(tmp_path: Path, hidden: bool) -> None:
    (tmp_path / "empty").mkdir()
    if hidden:
        (tmp_path / "empty" / ".part.mp4").touch()
    with pytest.raises(ConfigurationError, match=r"empty holds no clip \(\.m4v, \.mkv, \.mov, \.mp4, \.webm\)"):
        find_tasks([str(tmp_path / "empty")], tmp_path / "large")
    with pytest.raises(ConfigurationError, match=r"\*\.mp4 matches no file"):
        find_tasks([f"{tmp_path}/*.mp4"], tmp_path / "large")


def test_several_sources_for_one_file_and_sources_that_replace_themselves_are_refused(
    tmp_path: Path, films: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"2 files cannot all become .*large\.mp4; name a folder"):
        find_tasks([str(films / "a.mp4"), str(films / "b.mkv")], tmp_path / "large.mp4")
    with pytest.raises(ConfigurationError, match=r"notes\.txt is a file and no folder"):
        find_tasks([str(films / "a.mp4")], films / "notes.txt")
    (tmp_path / "link").symlink_to(films)
    for source, target in (
        (films / "day 2", films / "day 2"),
        (films / "a.mp4", films / "a.mp4"),
        (films / "a.mp4", films),
        (films / "a.mp4", tmp_path / "link"),
        (films / "a.mp4", tmp_path / "link" / "a.mp4"),
    ):
        with pytest.raises(ConfigurationError, match=r"a\.mp4 would be replaced by its own result"):
            find_tasks([str(source)], target)


@pytest.mark.parametrize("content", ["{", "[]", "7", '{"a.mp4": 7}', '{"a.mp4": {"bytes": 1}}', "\x00\x01"], ids=repr)
def test_a_damaged_record_is_a_sentence_that_says_what_to_do(tmp_path: Path, films: Path, content: str) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / ".upscaled.json").write_text(content)
    with pytest.raises(
        ConfigurationError, match=r"\.upscaled\.json is damaged \(.*\); delete it, and all is done again"
    ):
        find_tasks([str(films)], tmp_path / "large")


def test_progress_comes_with_the_clip_that_it_is_of(tmp_path: Path, engine: Engine, films: Path) -> None:
    tasks, folder, _ = find_tasks([str(films)], tmp_path / "large")
    seen: dict[str, list[int]] = {}

    def show(task: Task, progress: UpscaleProgress) -> None:
        seen.setdefault(str(task.source.relative_to(films)), []).append(progress.frames_done)

    list(Batch(tasks, PLAIN, folder=folder).run(lambda: engine, show))
    assert seen == {"a.mp4": [1, 2, 3], "b.mkv": [1, 2, 3, 4], "day 2/a.mp4": [1, 2, 3, 4, 5]}


_KILLED = """
import os, signal, sys
from pathlib import Path
from video_pipeline.upscaling import Batch, Engine, UpscaleSettings, find_tasks

def die(task, progress):
    if task.source.name == "b.mkv" and progress.frames_done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

tasks, folder, _ = find_tasks([sys.argv[1]], Path(sys.argv[2]))
batch = Batch(tasks, UpscaleSettings(short_side=72, blend=0), folder=folder)
list(batch.run(lambda: Engine(device="cpu"), die))
"""


def test_after_a_kill_in_the_middle_of_a_folder_only_what_is_missing_is_done(
    tmp_path: Path, engine: Engine, films: Path
) -> None:
    command = [sys.executable, "-c", _KILLED, str(films), str(tmp_path / "large")]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    assert list(json.loads((tmp_path / "large" / ".upscaled.json").read_text())) == ["a.mp4"]
    assert [name for name in entries(tmp_path / "large") if name.endswith(".mp4")] == ["a.mp4"]
    outcomes = run(engine, tmp_path / "large", films)
    assert sorted(str(o.task.target.relative_to(tmp_path / "large")) for o in outcomes if o.report) == [
        "b.mp4",
        "day 2/a.mp4",
    ]
    assert entries(tmp_path / "large") == [".upscaled.json", "a.mp4", "b.mp4", "day 2/a.mp4"]


@pytest.mark.parametrize(
    "error", [MemoryError(), ValueError("odd"), OSError(28, "No space left on device")], ids=repr
)
def test_whatever_one_file_raises_the_others_are_done_and_recorded(
    tmp_path: Path, engine: Engine, films: Path, error: Exception
) -> None:
    tasks, folder, _ = find_tasks([str(films), str(films / ("x" * 300))], tmp_path / "large")

    def fail(task: Task, progress: UpscaleProgress) -> None:
        if task.source.name == "b.mkv":
            raise error

    outcomes = list(Batch(tasks, PLAIN, folder=folder).run(lambda: engine, fail))
    failed = {outcome.task.source.name: outcome.error for outcome in outcomes if outcome.error}
    assert set(failed) == {"b.mkv", "x" * 300}
    assert "b.m" in failed["b.mkv"] and "\n" not in failed["b.mkv"]
    assert "File name too long" in failed["x" * 300]
    assert entries(tmp_path / "large") == [".upscaled.json", "a.mp4", "day 2/a.mp4"]
    assert done(run(engine, tmp_path / "large", films)) == ["b.mp4"]


def test_a_result_that_cannot_be_recorded_is_told_and_the_next_is_made(
    tmp_path: Path, engine: Engine, films: Path
) -> None:
    (tmp_path / "large" / ".upscaled.json.part").mkdir(parents=True)
    outcomes = run(engine, tmp_path / "large", films)
    assert len(outcomes) == 3
    assert all("is made, but not recorded: " in outcome.error for outcome in outcomes)
    assert entries(tmp_path / "large") == ["a.mp4", "b.mp4", "day 2/a.mp4"]


def test_a_place_that_takes_no_file_is_planned_and_told_as_such(tmp_path: Path, engine: Engine, films: Path) -> None:
    (tmp_path / "large" / "b.mp4").mkdir(parents=True)
    (tmp_path / "large" / "day 2").touch()
    tasks, folder, _ = find_tasks([str(films)], tmp_path / "large")
    batch = Batch(tasks, PLAIN, folder=folder)
    reasons = {str(plan.source.relative_to(films)): plan.reason for plan in batch.plan()}
    outcomes = list(batch.run(lambda: engine, lambda task, progress: None))
    assert {str(outcome.task.source.relative_to(films)): outcome.error for outcome in outcomes} == reasons
    assert reasons["a.mp4"] == ""
    assert "b.mp4 cannot be written: there is a folder" in reasons["b.mkv"]
    assert "day 2 is no folder" in reasons["day 2/a.mp4"]


def test_a_plan_refuses_what_a_run_would_refuse(tmp_path: Path, engine: Engine, films: Path) -> None:
    """A stream that the container cannot hold, known to the muxer only; a cut file; NVENC where there is none."""
    words = films / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:00,100\nGood morning.\n")
    inputs = ["-i", str(films / "b.mkv"), "-i", str(words), "-f", "lavfi", "-i", "sine=duration=0.2"]
    texts = ["-map", "0:v", "-map", "1", "-c", "copy", str(films / "texts.mkv")]
    opus = ["-map", "0:v", "-map", "2", "-c:v", "copy", "-c:a", "libopus", str(films / "opus.mkv")]
    run_ffmpeg([*inputs, *texts, *opus], timeout_s=20, what="muxing")
    (films / "cut.mp4").write_bytes((films / "a.mp4").read_bytes()[:-700])
    for source, target in (("texts.mkv", "o.mp4"), ("opus.mkv", "o.mov"), ("cut.mp4", "o.mkv"), ("a.mp4", "o.avi")):
        tasks, folder, _ = find_tasks([str(films / source)], tmp_path / target)
        batch = Batch(tasks, PLAIN, folder=folder)
        plan, outcome = batch.plan()[0], next(batch.run(lambda: engine, lambda task, progress: None))
        assert (plan.action, plan.reason) == ("refuse", outcome.error)
    nvenc = UpscaleSettings(short_side=72, blend=0, encoder="nvenc")
    tasks, folder, _ = find_tasks([str(films / "a.mp4")], tmp_path / "o.mp4")
    assert "NVENC cannot encode here" in Batch(tasks, nvenc, folder=folder).plan()[0].reason
