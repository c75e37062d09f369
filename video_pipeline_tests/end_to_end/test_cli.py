"""Every command as a user types it: what it prints, its exit code, and one clear sentence where it cannot work."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import httpx
import imageio_ffmpeg
import pytest
import yaml

from video_pipeline import cli
from video_pipeline.ledger import Actor, JobState, TierState
from video_pipeline.sandbox import stop
from video_pipeline_tests.clock import today
from video_pipeline_tests.disks import NO_FILE_AT_ALL, small_disk
from video_pipeline_tests.end_to_end.conftest import Machine, NewMachine, assert_one_sentence, told
from video_pipeline_tests.generation.stage import let_settle
from video_pipeline_tests.integration.small_day import a_brief, drop, write_policy
from video_pipeline_tests.ledger.rows import a_job, reserved
from video_pipeline_tests.processes import kill_group

Complain = Callable[..., str]


@pytest.fixture(scope="module")
def machine(new_machine: NewMachine) -> Machine:
    """A machine with two briefs for today and a malformed one."""
    made = new_machine()
    drop(made.inbox, today(), a_brief("lantern"), a_brief("kettle"), a_brief("broken", quality="cheap"))
    return made


@pytest.fixture(scope="module")
def clip(machine: Machine) -> Path:
    """A quarter of a second of a test picture with sound, 64x48."""
    path = machine.folder / "clip.mp4"
    ffmpeg = (imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error")
    picture = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=12:duration=0.25")
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:duration=0.25")
    subprocess.run([*ffmpeg, *picture, *sound, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


@pytest.fixture
def complain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Complain:
    """Runs a command that must fail, in this process for the sake of speed; the one sentence that it says."""

    def run(*arguments: str | Path) -> str:
        monkeypatch.setattr("sys.argv", ["video-pipeline", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        output = capsys.readouterr()
        done = subprocess.CompletedProcess(arguments, int(end.value.code or 0), output.out, output.err)
        assert_one_sentence(done)
        return output.err

    return run


class TestPlan:
    def test_it_prints_a_table_with_prices_and_reasons(self, machine: Machine) -> None:
        result = machine.run("plan")
        assert result.returncode == 0, result.stderr
        for text in ("lantern", "kettle", "sandbox/sprint", "Expected $", "Others: ", "1 brief is malformed"):
            assert text in result.stdout

    def test_json_is_json_and_buys_and_claims_nothing(self, machine: Machine) -> None:
        result = machine.run("plan", "today", "--json")
        document = json.loads(result.stdout)
        assert [clip["clip_id"] for clip in document["clips"]] == [
            f"{today()}/kettle",
            f"{today()}/lantern",
        ]
        assert float(document["total"]["expected_usd"]) > 0.04
        ledger = machine.ledger()
        assert ledger.jobs.in_state(*JobState) == []
        assert ledger.intake.claimed_files() == {}
        ledger.close()

    def test_list_prices_are_the_real_providers(self, machine: Machine) -> None:
        result = machine.run("plan", "--json", "--prices", "list")
        assert result.returncode in (0, 1), result.stderr
        models = {decision["model"] for clip in json.loads(result.stdout)["clips"] for decision in clip["decisions"]}
        assert models and not any(str(model).startswith("sandbox/") for model in models)

    def test_a_plan_over_the_cap_is_shown_and_refused(self, machine: Machine) -> None:
        policy = write_policy(machine.folder / "tight.yaml", {"budget": {"plan_cap_usd": "0.01"}})
        result = machine.run("plan", environment={"VIDEO_PIPELINE_POLICY_FILE": str(policy)})
        assert "lantern" in result.stdout
        assert_one_sentence(result, "over the cap of $0.01", "Nothing of that is bought")
        assert result.returncode == 1

    @pytest.mark.parametrize("day", ["2026-13-45", "tomorrow", "21.11.2026"])
    def test_a_day_that_is_none_is_refused(self, machine: Machine, day: str) -> None:
        assert_one_sentence(machine.run("plan", day), day, "YYYY-MM-DD")

    def test_keys_that_the_sandbox_leaves_unused_are_named(self, machine: Machine) -> None:
        said = machine.run("plan", environment={"FAL_KEY": "hunter2"}).stdout
        assert "FAL_KEY is set and not used, as VIDEO_PIPELINE_MODE is sandbox" in said
        assert "hunter2" not in said
        assert "not used" not in machine.run("plan").stdout

    def test_a_mode_that_is_none_is_refused(self, machine: Machine) -> None:
        refused = machine.run("plan", environment={"VIDEO_PIPELINE_MODE": "production"})
        assert_one_sentence(refused, "VIDEO_PIPELINE_MODE", "'sandbox' or 'live'")

    def test_live_without_a_key_is_refused_before_anything_is_bought(self, new_machine: NewMachine) -> None:
        live = new_machine()
        drop(live.inbox, today(), a_brief("lantern"))
        policy = write_policy(live.folder / "dear.yaml", {"budget": {"plan_cap_usd": "9"}})
        places = {"VIDEO_PIPELINE_MODE": "live", "VIDEO_PIPELINE_POLICY_FILE": str(policy)}
        assert_one_sentence(live.run("run-day", environment=places), "no provider is connected", "FAL_KEY for fal")

    def test_unknown_prices_are_refused(self, machine: Machine) -> None:
        assert_one_sentence(machine.run("plan", "--prices", "cheap"), "cheap", "`list` or `sandbox`")


class TestUpscale:
    def test_a_tiny_file_becomes_four_times_as_large_with_its_frames_and_sound(
        self, machine: Machine, clip: Path
    ) -> None:
        target = machine.folder / "large.mp4"
        result = machine.run("upscale", clip, target, "--size", "256x192")
        assert result.returncode == 0, result.stderr
        assert "3 frames, 64x48 to 256x192" in result.stdout
        with av.open(target) as video:
            stream = video.streams.video[0]
            assert (stream.width, stream.height) == (256, 192)
            assert sum(1 for _ in video.decode(stream)) == 3
            assert len(video.streams.audio) == 1

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--size", "large"), "WIDTHxHEIGHT"),
            (("--size", "1920x"), "WIDTHxHEIGHT"),
            (("--size", "0x0"), "0x0"),
            (("--model", "realesr-of-tomorrow"), "realesr-of-tomorrow"),
            (("--weights", "nowhere.pth"), "nowhere.pth"),
            (("--blend", "7"), "blend"),
            (("--device", "abacus"), "abacus"),
        ],
        ids=["words for a size", "half a size", "no size", "model", "weights", "blend", "device"],
    )
    def test_an_option_that_makes_no_sense_is_refused(
        self, clip: Path, tmp_path: Path, complain: Complain, arguments: tuple[str, str], said: str
    ) -> None:
        assert said in complain("upscale", clip, tmp_path / "never.mp4", *arguments)
        assert not (tmp_path / "never.mp4").exists()

    def test_a_missing_file_is_refused(self, tmp_path: Path, complain: Complain) -> None:
        assert "nowhere.mp4" in complain("upscale", tmp_path / "nowhere.mp4", tmp_path / "large.mp4")

    @pytest.mark.parametrize("content", [b"", b"just some words\n" * 100], ids=["empty", "text"])
    def test_a_file_that_is_no_video_is_refused(self, tmp_path: Path, complain: Complain, content: bytes) -> None:
        source, target = tmp_path / "words.mp4", tmp_path / "never.mp4"
        source.write_bytes(content)
        assert "words.mp4" in complain("upscale", source, target)
        assert not target.exists()

    def test_a_weights_file_that_is_none_is_refused(self, clip: Path, tmp_path: Path, complain: Complain) -> None:
        weights = tmp_path / "weights.pth"
        weights.write_bytes(b"no weights at all")
        assert "weights.pth" in complain("upscale", clip, tmp_path / "never.mp4", "--weights", weights)

    def test_a_target_folder_that_is_not_there_is_named(self, clip: Path, tmp_path: Path, complain: Complain) -> None:
        assert "no/such/folder" in complain("upscale", clip, tmp_path / "no/such/folder/large.mp4")

    def test_a_full_disk_is_told_and_leaves_nothing_behind(self, machine: Machine, clip: Path) -> None:
        """The file size limit of the shell stands in for the end of a disk."""
        target = machine.folder / "cut" / "large.mp4"
        target.parent.mkdir()
        command = machine.limited_to_bytes(4096, "upscale", clip, target, "--size", "256x192")
        assert_one_sentence(command)
        assert list(target.parent.iterdir()) == []

    QUICK = ("--short-side", "72", "--blend", "0")

    @pytest.fixture
    def films(self, clip: Path, tmp_path: Path) -> Path:
        """Two clips, one of them in a folder of its own, and one that was cut off."""
        (tmp_path / "films" / "day 2").mkdir(parents=True)
        for name in ("lantern.mp4", "day 2/kettle [1].mp4"):
            shutil.copy(clip, tmp_path / "films" / name)
        content = clip.read_bytes()
        (tmp_path / "films" / "broken.mp4").write_bytes(content[: len(content) // 3])
        return tmp_path / "films"

    def test_a_folder_with_a_broken_clip_does_the_others_and_says_which_is_broken(
        self, machine: Machine, films: Path, tmp_path: Path
    ) -> None:
        large = tmp_path / "large"
        (films / "notes.txt").touch()
        first = machine.run("upscale", films, large, *self.QUICK)
        assert first.returncode == 1
        assert_one_sentence(first, "broken.mp4")
        assert f"Written to {large}/lantern.mp4." in first.stdout
        assert f"Written to {large}/day 2/kettle [1].mp4." in first.stdout
        assert f".mp4, .webm): {films}/notes.txt" in first.stdout
        assert not (large / "broken.mp4").exists()
        (films / "broken.mp4").unlink()
        second = machine.run("upscale", films, large, *self.QUICK)
        assert (second.returncode, second.stderr) == (0, "")
        assert second.stdout.count("is there already, from the same clip with the same settings.") == 2
        assert "Written to" not in second.stdout

    def test_json_is_all_that_stdout_holds(self, machine: Machine, films: Path, tmp_path: Path) -> None:
        large = tmp_path / "large"
        made = machine.run("upscale", f"{films}/**/*.mp4", large, *self.QUICK, "--json")
        assert made.returncode == 1 and "broken.mp4" in made.stderr and "Traceback" not in made.stderr
        outcomes = {Path(outcome["source"]).name: outcome for outcome in json.loads(made.stdout)}
        assert {name: outcome["status"] for name, outcome in outcomes.items()} == {
            "lantern.mp4": "done",
            "kettle [1].mp4": "done",
            "broken.mp4": "failed",
        }
        report = outcomes["kettle [1].mp4"]["report"]
        assert (report["frames"], report["source_size"], report["target_size"]) == (3, [64, 48], [96, 72])
        assert report["execution"] == "none" and report["fps"] > 0 and report["video_kbps"] > 0
        assert outcomes["broken.mp4"]["report"] is None and "broken.mp4" in outcomes["broken.mp4"]["error"]
        planned = machine.run("upscale", films, large, *self.QUICK, "--plan", "--json")
        assert planned.returncode == 1 and planned.stderr == ""
        plans = {Path(plan["source"]).name: plan for plan in json.loads(planned.stdout)}
        assert {name: plan["action"] for name, plan in plans.items()} == {
            "lantern.mp4": "keep",
            "kettle [1].mp4": "resize",
            "broken.mp4": "refuse",
        }
        again = machine.run("upscale", films / "lantern.mp4", large, *self.QUICK, "--again", "--json")
        assert [outcome["status"] for outcome in json.loads(again.stdout)] == ["done"]

    def test_a_plan_does_nothing_and_needs_no_network(self, machine: Machine, films: Path, tmp_path: Path) -> None:
        program = (
            "import sys; from video_pipeline import cli\n"
            "try: cli.main()\n"
            "finally: print(sorted({'torch', 'duckdb', 'pandas'} & set(sys.modules)), file=sys.stderr)"
        )
        planned = subprocess.run(
            [sys.executable, "-c", program, "upscale", films.name, "large", *self.QUICK, "--plan"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path,
            env=machine.environment,
        )
        # One of them is refused.
        assert (planned.returncode, planned.stderr.strip()) == (1, "[]")
        for said in ("films/day 2/kettle [1].mp4", "large/lantern.mp4", "64x48 to 96x72", "without the network"):
            assert said in planned.stdout, planned.stdout
        assert "films/broken.mp4 is not a readable" in planned.stdout
        assert [entry.name for entry in tmp_path.iterdir()] == ["films"]

    def test_what_cannot_be_begun_is_one_sentence(self, films: Path, tmp_path: Path, complain: Complain) -> None:
        large = tmp_path / "large"
        (tmp_path / "empty").mkdir()
        shutil.copy(films / "lantern.mp4", films / "lantern.mov")
        assert "empty holds no clip" in complain("upscale", tmp_path / "empty", large)
        assert "*.mkv matches no file" in complain("upscale", tmp_path / "*.mkv", large)
        assert "2 files cannot all become" in complain("upscale", films / "l*", tmp_path / "large.mp4")
        own = films / "lantern.mp4"
        assert "would be replaced by its own result" in complain("upscale", own, own)
        assert "Name one or more clips, and last" in complain("upscale", own)
        large.mkdir()
        (large / ".upscaled.json").write_text("[]")
        assert "delete it, and all is done again" in complain("upscale", own, large)
        assert [entry.name for entry in large.iterdir()] == [".upscaled.json"]

    def test_an_unknown_option_ends_with_2(self, machine: Machine, clip: Path) -> None:
        refused = machine.run("upscale", clip, "large.mp4", "--sharpness", "11")
        assert refused.returncode == 2
        assert "--sharpness" in refused.stderr and refused.stdout == ""

    def test_a_name_that_begins_with_a_dash_comes_after_two(self, machine: Machine, clip: Path) -> None:
        shutil.copy(clip, machine.folder / "-12:30 it's.mp4")
        result = machine.run("upscale", *self.QUICK, "--", "-12:30 it's.mp4", "-large.mp4")
        assert result.returncode == 0, result.stderr
        assert "Written to -large.mp4." in result.stdout
        assert (machine.folder / "-large.mp4").stat().st_size > 0

    def test_a_kill_in_the_middle_of_a_folder_costs_only_what_was_not_done(
        self, machine: Machine, films: Path, tmp_path: Path
    ) -> None:
        """The second clip is long; it is killed as soon as the first is recorded."""
        (films / "broken.mp4").unlink()
        large, ffmpeg = tmp_path / "large", imageio_ffmpeg.get_ffmpeg_exe()
        picture = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-frames:v", "800", "-pix_fmt", "yuv420p")
        subprocess.run([ffmpeg, "-nostdin", "-loglevel", "error", *picture, films / "long.mp4"], check=True)
        working = machine.start("upscale", films, large, *self.QUICK)
        deadline = time.monotonic() + 60
        while not (large / ".upscaled.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        kill_group(working)
        recorded = list(json.loads((large / ".upscaled.json").read_text()))
        assert recorded and "long.mp4" not in recorded
        again = machine.run("upscale", films, large, *self.QUICK, "--json")
        outcomes = {Path(outcome["target"]).relative_to(large): outcome for outcome in json.loads(again.stdout)}
        assert {str(name) for name, outcome in outcomes.items() if outcome["status"] == "kept"} == set(recorded)
        assert outcomes[Path("long.mp4")]["report"]["frames"] == 800
        assert sorted(path.name for path in large.rglob("*") if path.is_file()) == [
            ".upscaled.json",
            "kettle [1].mp4",
            "lantern.mp4",
            "long.mp4",
        ]


@pytest.fixture(scope="class")
def held(new_machine: NewMachine) -> Machine:
    """A machine whose day has held a clip back."""
    made = new_machine()
    drop(made.inbox, today(), a_brief("rally", prompt="A casino night on a stage"))
    result = made.run("run-day")
    assert result.returncode == 0, result.stderr
    return made


class TestPeople:
    """What waits for a person, on a machine whose day has held a clip back."""

    def test_review_lists_the_clip_and_decide_takes_it_off(self, held: Machine) -> None:
        assert f"{today()}/rally" in held.run("review").stdout
        (waits,) = json.loads(held.run("waiting", "--json").stdout)["waiting"]
        assert (waits["subject"], waits["day"], waits["cause"]) == (
            f"{today()}/rally",
            str(today()),
            "person",
        )
        assert "--reject" in waits["command"] and not waits["can_go_on"]
        assert "Nothing can go on now." in held.run("run-day", "--all").stdout
        approved = held.run("decide", f"{today()}/rally", "--approve", "--by", "kim")
        assert_one_sentence(approved, "no picture to approve", "--reject it")
        decided = held.run("decide", f"{today()}/rally", "--reject", "--by", "kim")
        assert decided.returncode == 0, decided.stderr
        assert "is rejected" in decided.stdout and f"`video-pipeline run-day {today()}`" in decided.stdout
        assert "run-day --all` makes 1 run that can go on now" in held.run("waiting").stdout
        went_on = held.run("run-day", "--all")
        assert f"These days can go on now: {today()}." in went_on.stdout, went_on.stderr
        assert held.run("waiting").stdout == "Nothing waits.\n"
        assert "Nothing waits" in held.run("review").stdout
        again = held.run("decide", f"{today()}/rally", "--reject", "--by", "kim")
        assert_one_sentence(again, f"{today()}/rally", "`video-pipeline review` lists what does")

    def test_a_night_that_was_missed_waits_and_is_scored_with_all_days(self, held: Machine) -> None:
        def nights() -> list[dict]:
            waiting = json.loads(held.run("waiting", "--json").stdout)["waiting"]
            return [row for row in waiting if row["name"].startswith("nightly scoring")]

        day = today() - timedelta(days=2)
        drop(held.inbox, day, a_brief("parade", prompt="A casino night on a stage"))
        assert held.run("run-day", str(day)).returncode == 0
        (night,) = nights()
        assert (night["name"], night["cause"], night["can_go_on"]) == (f"nightly scoring of {day}", "run", True)
        scored = held.run("run-day", "--all")
        assert f"These days were never scored: {day}." in scored.stdout, scored.stderr
        assert nights() == []

    def test_a_decision_on_nothing_is_refused(self, held: Machine) -> None:
        assert_one_sentence(held.run("decide", "2026-01-01/none", "--approve", "--by", "kim"), "2026-01-01/none")

    def test_a_lost_answer_is_listed_and_resolved_by_a_person(self, held: Machine) -> None:
        ledger = held.ledger()
        job = reserved(ledger, a_job("lost", day=today(), clip_id=f"{today()}/lost"))
        let_settle(ledger, ledger.jobs.unknown(ledger.jobs.submitting(job), "no answer"))
        assert f"job {job.key[:16]}" in held.run("review").stdout
        assert_one_sentence(held.run("resolve", job.key[:16]), "--found REQUEST_ID, --not-found and --lost")
        resolved = held.run("resolve", job.key[:16], "--not-found")
        assert resolved.returncode == 0, resolved.stderr
        assert ledger.jobs.get(job.key).state is JobState.FAILED
        ledger.close()

    def test_resolving_what_is_not_in_doubt_is_refused(self, held: Machine) -> None:
        assert_one_sentence(held.run("resolve", "0123456789", "--not-found"), "0123456789")

    def test_thaw_opens_a_frozen_tier_once(self, held: Machine) -> None:
        ledger = held.ledger()
        ledger.governance.set_tier("preview", TierState.FROZEN, by=Actor.DRIFT, day=today(), evidence={})
        why = ("--reason", "prices fell", "--by", "kim")
        assert "The preview tier is open." in held.run("thaw", "preview", *why).stdout
        assert "was open already" in held.run("thaw").stdout
        change = ledger.governance.tier_states()["preview"]
        assert (change.by, change.evidence) == ("person", {"reason": "prices fell", "who": "kim"})
        ledger.close()

    def test_a_tier_that_is_none_is_refused(self, held: Machine) -> None:
        assert_one_sentence(held.run("thaw", "platinum"), "platinum", "preview, production, cinematic")


class TestBrokenSurroundings:
    """Each as `run-day` meets it; nothing is lost, because nothing was begun."""

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("mysql://kim:hunter2@host/db", "VIDEO_PIPELINE_LEDGER_URL"),
            ("postgresql://kim:hunter2@127.0.0.1:1/db?connect_timeout=1", "127.0.0.1"),
            ("postgresql://kim:hunter2@127.0.0.1:port/db", "VIDEO_PIPELINE_LEDGER_URL"),
            ("hunter2", "VIDEO_PIPELINE_LEDGER_URL"),
        ],
        ids=["another database", "nobody there", "no port", "no URL"],
    )
    def test_a_wrong_ledger_url_is_told_without_its_password(self, machine: Machine, url: str, said: str) -> None:
        result = machine.run("plan", environment={"VIDEO_PIPELINE_LEDGER_URL": url})
        assert_one_sentence(result, said)
        assert "hunter2" not in result.stdout + result.stderr

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("budget: [", "not valid YAML"),
            ("- a list", "mapping"),
            ("budget: {daily_ceiling_usd: -1}", "budget.daily_ceiling_usd"),
            ("budgets: {}", "budgets"),
        ],
        ids=["no YAML", "a list", "a negative ceiling", "an unknown key"],
    )
    def test_a_malformed_policy_is_named_with_its_file_and_key(
        self, machine: Machine, content: str, said: str
    ) -> None:
        policy = machine.folder / "wrong-policy.yaml"
        policy.write_text(content)
        result = machine.run("plan", environment={"VIDEO_PIPELINE_POLICY_FILE": str(policy)})
        assert_one_sentence(result, said, "wrong-policy.yaml")

    def test_a_run_says_the_same_sentence_as_a_plan(self, machine: Machine) -> None:
        for surroundings in (
            {"VIDEO_PIPELINE_LEDGER_URL": "postgresql://kim:hunter2@127.0.0.1:1/db?connect_timeout=1"},
            {"VIDEO_PIPELINE_POLICY_FILE": "nowhere.yaml"},
            {"VIDEO_PIPELINE_CATALOGUE_FILE": "nowhere.yaml"},
        ):
            planned, ran = (machine.run(command, environment=surroundings) for command in ("plan", "run-day"))
            assert_one_sentence(ran, told(planned))
            assert "hunter2" not in ran.stdout + ran.stderr

    def test_a_policy_that_is_not_there_is_named(self, machine: Machine) -> None:
        result = machine.run("plan", environment={"VIDEO_PIPELINE_POLICY_FILE": "nowhere.yaml"})
        assert_one_sentence(result, "nowhere.yaml")

    @pytest.mark.parametrize("content", ["models: {", "name: x\n", "name: x\nmodels: [{model: y}]\n"])
    def test_a_malformed_catalogue_is_named_with_its_file(self, machine: Machine, content: str) -> None:
        catalogue = machine.folder / "wrong-catalogue.yaml"
        catalogue.write_text(content)
        result = machine.run("plan", environment={"VIDEO_PIPELINE_CATALOGUE_FILE": str(catalogue)})
        assert_one_sentence(result, "wrong-catalogue.yaml")

    def test_a_store_that_is_none_is_told(self, machine: Machine) -> None:
        result = machine.run("run-day", environment={"VIDEO_PIPELINE_STORE_URL": "gopher://host/x"})
        assert_one_sentence(result, "gopher", "s3://bucket/prefix")

    def test_a_webhook_that_is_no_url_is_told_without_the_secret(self, machine: Machine) -> None:
        result = machine.run("run-day", environment={"VIDEO_PIPELINE_SLACK_WEBHOOK_URL": "hunter2"})
        assert_one_sentence(result, "Slack webhook")
        assert "hunter2" not in result.stdout + result.stderr

    def test_a_foreign_program_on_the_sandboxs_port_is_told_and_the_day_goes_on_when_it_is_gone(
        self, new_machine: NewMachine
    ) -> None:
        machine = new_machine()
        drop(machine.inbox, today(), a_brief("lantern"))
        port = int(machine.sandbox_url().rsplit(":", 1)[1])
        stop(machine.state / "sandbox")
        with ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler) as stranger:
            Thread(target=stranger.serve_forever, daemon=True).start()
            result = machine.run("run-day")
            stranger.shutdown()
        assert_one_sentence(result, str(port), "another program listens")
        assert machine.run("run-day").returncode == 0

    def test_a_full_disk_under_the_store_is_told_and_nothing_is_lost(
        self, new_machine: NewMachine, disk: Path
    ) -> None:
        machine = new_machine()
        drop(machine.inbox, today(), a_brief("lantern"))
        result = machine.run("run-day", environment={"VIDEO_PIPELINE_STORE_URL": str(disk)})
        assert_one_sentence(result)
        assert re.search(r"No space left|disk|Not a directory", result.stderr), result.stderr
        assert machine.run("run-day").returncode == 0
        ledger = machine.ledger()
        billed = [job for job in ledger.jobs.of_day(today()) if job.billed_usd]
        assert len(billed) == 1, "the clip was bought once, whatever the disk did"
        ledger.close()

    def test_a_full_disk_under_dagster_is_told(self, machine: Machine, disk: Path) -> None:
        result = machine.run("run-day", environment={"DAGSTER_HOME": str(disk)})
        assert_one_sentence(result, "Dagster cannot keep its records in", str(disk))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 16 KiB of room; where mounting is not allowed, a place that takes no file at all."""
    with small_disk(tmp_path, "size=16k") as mounted:
        yield tmp_path if mounted else NO_FILE_AT_ALL / "store"


class TestWebhooks:
    def test_it_answers_until_ctrl_c(self, machine: Machine) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = machine.start("webhooks", "--port", str(port))
        try:
            said = command.stdout.readline()
            answer = _forged_call(f"http://127.0.0.1:{port}/webhooks/fal/{'0' * 64}", limit_s=20)
            os.kill(command.pid, signal.SIGINT)
            assert command.wait(20) == 0
        finally:
            kill_group(command)
        assert "VIDEO_PIPELINE_WEBHOOK_URL is not set" in said
        # The keys were fetched from the sandbox: without them nothing could be said of a signature.
        assert (answer.status_code, "signature" in answer.json()["detail"]) == (401, True)
        assert "Traceback" not in command.stdout.read()

    def test_a_taken_port_is_one_sentence(self, machine: Machine) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            result = machine.run("webhooks", "--port", str(taken.getsockname()[1]))
        assert result.returncode == 1
        assert "another program has the port. Give another --port or --host." in result.stderr


def _forged_call(url: str, *, limit_s: float) -> httpx.Response:
    """What is answered to a call that nobody has signed, once the server is there."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return httpx.post(url, content=b"{}", trust_env=False)
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_help_names_every_command(machine: Machine) -> None:
    result = machine.run_afresh("--help")
    assert result.returncode == 0
    for command in (
        "plan",
        "reconcile",
        "demo",
        "run-day",
        "dev",
        "upscale",
        "webhooks",
        "waiting",
        "review",
        "decide",
        "resolve",
        "thaw",
    ):
        assert command in result.stdout


def test_the_packaged_examples_are_planned_when_the_inbox_is_empty(new_machine: NewMachine) -> None:
    machine = new_machine()
    # As a newcomer, who names no catalogue.
    del machine.environment["VIDEO_PIPELINE_CATALOGUE_FILE"]
    result = machine.run("plan", date(2026, 3, 1).isoformat(), "--json")
    assert result.returncode == 0, result.stderr
    clips = json.loads(result.stdout)["clips"]
    assert len(clips) >= 9
    models = {decision["model"] for clip in clips for decision in clip["decisions"]}
    assert "sandbox/hearth" in models, "no draft is planned for the team's own GPU"
    assert {decision["tier"] for clip in clips for decision in clip["decisions"]} == {
        "preview",
        "production",
        "cinematic",
    }


def test_the_examples_are_as_varied_as_promised() -> None:
    """Each tier, each platform, a duplicate, segments, native audio, one malformed."""
    from video_pipeline.briefs import example_bibles, example_files, read_files
    from video_pipeline.publishing import PLATFORMS

    reading = read_files(example_files(), platforms=PLATFORMS, bibles=example_bibles())
    assert len(reading.briefs) + len(reading.quarantined) >= 8
    assert len(reading.quarantined) == 1
    assert {platform for brief in reading.briefs for platform in brief.platforms} == {
        "youtube_shorts",
        "instagram_reels",
        "tiktok",
    }
    assert {brief.quality for brief in reading.briefs} == {"draft", "standard", "premium"}
    assert any(brief.native_audio for brief in reading.briefs)
    assert any(brief.total_s > 15 for brief in reading.briefs)
    prompts = [brief.prompt for brief in reading.briefs if brief.prompt]
    assert len(set(prompts)) < len(prompts)
    assert yaml.safe_load(example_files()[0].read_text())
