"""Clips of the pipeline: from the store into the store, once for an input and settings, and booked once."""

import errno
import hashlib
import os
import signal
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from video_pipeline import checkpoints
from video_pipeline.clips import ClipStatus, GeneratedClip, UpscaledClip
from video_pipeline.ledger import LeaseLost, Ledger, open_ledger
from video_pipeline.policy import Policy, UpscalingPolicy, load_policy
from video_pipeline.storage import LocalStore
from video_pipeline.upscaling import (
    ClipUpscaler,
    UpscaleProgress,
    UpscaleReport,
    UpscalingError,
    WeightsError,
    upscale_file,
)
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.processes import preloaded
from video_pipeline_tests.upscaling.measures import timestamps, video_of

DAY = date(2026, 11, 21)
POINTS = ["upscaling.upscaled", "upscaling.booked", "upscaling.stored"]


def quick(policy: Policy) -> UpscalingPolicy:
    """Without the network, and at a price that is seen in the books for the shortest clip."""
    return policy.upscaling.model_copy(update={"blend": 0.0, "usd_per_kwh": Decimal(1000)})


def clip_of(name: str, source: Path | bytes, store: LocalStore) -> GeneratedClip:
    """A clip as generation leaves it, its file in the store."""
    content = source if isinstance(source, bytes) else source.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    stored = store.put_bytes(f"generated/{name}.mp4", content, content_type="video/mp4")
    return GeneratedClip(
        clip_id=f"{DAY}/{name}",
        brief_id=name,
        day=DAY,
        status=ClipStatus.GENERATED,
        tier="standard",
        media_key=stored.key,
        media_sha256=sha256,
    )


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def clip(tmp_path: Path, store: LocalStore) -> GeneratedClip:
    return clip_of("lantern", render(tmp_path / "lantern.mp4", frames=6, sound=True), store)


def upscaler(ledger: Ledger, store: LocalStore, policy: Policy, short_side: int = 72) -> ClipUpscaler:
    return ClipUpscaler(ledger=ledger, store=store, policy=quick(policy), short_side=short_side)


def booked(ledger: Ledger) -> dict[str, Decimal]:
    """Dollars of electricity by clip."""
    return {clip_id: sum(costs.values(), Decimal(0)) for clip_id, costs in ledger.spend.by_clip(DAY).items()}


def final_path(store: LocalStore, row: UpscaledClip) -> Path:
    assert row.final_key is not None
    with store.local_copy(row.final_key) as path:
        return path


def test_a_clip_is_upscaled_into_the_store_and_its_electricity_booked(
    ledger: Ledger, store: LocalStore, policy: Policy, clip: GeneratedClip
) -> None:
    row = upscaler(ledger, store, policy).upscale(clip)
    assert (row.status, row.reason, row.final_size) == (ClipStatus.UPSCALED, "", (128, 72))
    assert (row.upscaled_frames, row.upscale_device) == (6, "cpu") and row.upscale_s > 0
    path = final_path(store, row)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == row.final_sha256
    assert path.stat().st_size == row.final_bytes
    assert video_of(path).size == (128, 72) and len(timestamps(path)) == 6
    watts = policy.upscaling.cpu_watts * policy.upscaling.utilisation
    expected = row.upscale_s * watts / 3_600_000 * 1000
    assert float(booked(ledger)[clip.clip_id]) == pytest.approx(expected, abs=2e-6)


def test_the_same_clip_and_settings_are_done_once_and_booked_once(
    ledger: Ledger, store: LocalStore, policy: Policy, clip: GeneratedClip
) -> None:
    first = upscaler(ledger, store, policy).upscale(clip)
    paid = booked(ledger)
    frames: list[int] = []
    again = ClipUpscaler(
        ledger=ledger,
        store=store,
        policy=quick(policy),
        short_side=72,
        on_progress=lambda clip_id, progress: frames.append(progress.frames_done),
    ).upscale(clip)
    assert frames == []
    assert (again.final_key, again.final_sha256, again.final_size) == (
        first.final_key,
        first.final_sha256,
        first.final_size,
    )
    assert (again.upscale_s, again.upscaled_frames) == (0.0, 0)
    assert booked(ledger) == paid


def test_a_machine_that_comes_second_takes_the_clip_that_is_there(
    ledger: Ledger,
    store: LocalStore,
    policy: Policy,
    clip: GeneratedClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two GPUs do not give the same bytes, and a stored clip is never replaced."""
    key = upscaler(ledger, LocalStore(tmp_path / "elsewhere"), policy).key(clip)
    other = render(tmp_path / "other.mp4", size=(128, 72), frames=6)

    def come_first(name: str) -> None:
        if name == "upscaling.booked":
            store.put_file(key, other, content_type="video/mp4")

    monkeypatch.setattr(checkpoints, "on_reach", come_first)
    row = upscaler(ledger, store, policy).upscale(clip)
    assert (row.status, row.final_key) == (ClipStatus.UPSCALED, key)
    assert row.final_sha256 == hashlib.sha256(other.read_bytes()).hexdigest()


def test_other_settings_and_another_input_are_other_clips(
    ledger: Ledger, store: LocalStore, policy: Policy, clip: GeneratedClip, tmp_path: Path
) -> None:
    other = clip_of("kettle", render(tmp_path / "kettle.mp4", frames=2), store)
    rows = [
        upscaler(ledger, store, policy).upscale(clip),
        upscaler(ledger, store, policy, short_side=108).upscale(clip),
        upscaler(ledger, store, policy).upscale(other),
    ]
    assert len({row.final_key for row in rows}) == 3
    assert [row.final_size for row in rows] == [(128, 72), (192, 108), (128, 72)]
    assert set(booked(ledger)) == {clip.clip_id, other.clip_id}


def test_all_clips_come_in_their_order_and_a_broken_one_is_rejected_with_its_reason(
    ledger: Ledger, store: LocalStore, policy: Policy, tmp_path: Path
) -> None:
    names = ["one", "two", "broken", "three", "empty", "four"]
    clips: list[GeneratedClip] = []
    for number, name in enumerate(names):
        source = render(tmp_path / f"{name}.mp4", frames=12 - 2 * number).read_bytes()
        damaged = {"broken": source[: len(source) // 2], "empty": b"no film"}
        clips.append(clip_of(name, damaged.get(name, source), store))
    waiting = clips[0].model_copy(update={"clip_id": "waiting", "status": ClipStatus.WAITING, "media_key": None})
    seen: list[tuple[str, int]] = []

    def note(clip_id: str, progress: UpscaleProgress) -> None:
        seen.append((clip_id, progress.frames_done))

    upscaled = ClipUpscaler(ledger=ledger, store=store, policy=quick(policy), short_side=72, on_progress=note)
    rows = list(upscaled.upscale_all([*clips[:3], waiting, *clips[3:]]))
    assert [row.brief_id for row in rows] == ["one", "two", "broken", "one", "three", "empty", "four"]
    good, bad = ClipStatus.UPSCALED, ClipStatus.REJECTED
    assert [row.status for row in rows] == [good, good, bad, ClipStatus.WAITING, good, bad, good]
    assert "is cut off" in rows[2].reason or "is damaged" in rows[2].reason or "is not a readable" in rows[2].reason
    assert "is not a readable" in rows[5].reason
    assert rows[2].final_key is None and rows[3].final_key is None
    assert [row.upscaled_frames for row in rows] == [12, 10, 0, 0, 6, 0, 2]
    whole = [clip.clip_id for clip, name in zip(clips, names, strict=True) if name not in ("broken", "empty")]
    assert sorted(booked(ledger)) == sorted(whole)
    assert {clip_id for clip_id, _ in seen} == set(whole)


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, at: Path) -> None:
    """Let the upscaling of the file `at` fail."""

    def upscale(source: Path, *arguments: Any, **options: Any) -> UpscaleReport:
        if source.read_bytes() == at.read_bytes():
            raise error
        return upscale_file(source, *arguments, **options)

    monkeypatch.setattr("video_pipeline.upscaling.clips.upscale_file", upscale)


def test_whatever_is_wrong_with_one_clip_the_others_are_done(
    ledger: Ledger,
    store: LocalStore,
    policy: Policy,
    clip: GeneratedClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A strip that no film can hold, one at which something fails as nobody foresaw, and a stored one that broke."""
    file = render(tmp_path / "odd.mp4", frames=5)
    strip = clip_of("strip", render(tmp_path / "strip.mp4", size=(16, 640), frames=1), store)
    odd = clip_of("odd", file, store)
    broken = clip_of("broken", render(tmp_path / "broken.mp4", frames=4), store)
    failing(monkeypatch, AttributeError("no name"), file)
    at_work = upscaler(ledger, store, policy, short_side=720)
    store.put_bytes(at_work.key(broken), b"no film", content_type="video/mp4")
    rows = list(at_work.upscale_all([strip, odd, broken, clip]))
    assert [row.status for row in rows] == [*[ClipStatus.REJECTED] * 3, ClipStatus.UPSCALED]
    assert "A picture of 16x640 would become too large: 720x28800 is more than H.264 holds" in rows[0].reason
    said = (
        f"{odd.media_key} could not be upscaled (AttributeError: no name); generate the clip again, or report this."
    )
    assert rows[1].reason == said
    assert "is not a readable" in rows[2].reason
    assert set(booked(ledger)) == {clip.clip_id}


@pytest.mark.parametrize(
    "error",
    [
        UpscalingError("no room"),
        WeightsError("no weights"),
        LeaseLost("lost"),
        OSError(errno.EIO, "the disk"),
        MemoryError(),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
    ids=repr,
)
def test_what_the_next_clip_would_meet_too_ends_the_step(
    ledger: Ledger,
    store: LocalStore,
    policy: Policy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    (tmp_path / "any.mp4").write_bytes(b"any")
    failing(monkeypatch, error, tmp_path / "any.mp4")
    with pytest.raises(type(error)) as caught:
        upscaler(ledger, store, policy).upscale(clip_of("any", b"any", store))
    assert caught.value is error


def test_a_listener_that_fails_is_not_the_clips_fault(
    ledger: Ledger, store: LocalStore, policy: Policy, clip: GeneratedClip
) -> None:
    def fail(clip_id: str, progress: UpscaleProgress) -> None:
        raise ValueError("nobody listens")

    at_work = ClipUpscaler(ledger=ledger, store=store, policy=quick(policy), short_side=72, on_progress=fail)
    with pytest.raises(UpscalingError, match=r"progress of .*lantern could not be told \(nobody listens\)"):
        at_work.upscale(clip)


def test_a_clip_that_two_briefs_share_is_done_once(
    ledger: Ledger, store: LocalStore, policy: Policy, clip: GeneratedClip
) -> None:
    twin = clip.model_copy(update={"clip_id": f"{DAY}/twin", "brief_id": "twin"})
    rows = list(upscaler(ledger, store, policy).upscale_all([clip, twin]))
    assert rows[0].final_key == rows[1].final_key
    assert [row.upscaled_frames for row in rows] == [6, 0]
    assert set(booked(ledger)) == {clip.clip_id}


def _work(ledger_url: str, store: str, clip: str, name: str) -> None:
    """Upscale in a process of its own, which dies where it is told to; no name, no death."""

    def reach(point: str) -> None:
        if point == name:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.on_reach = reach
    ledger = open_ledger(ledger_url, embedded_dir=Path("unused"))
    row = upscaler(ledger, LocalStore(Path(store)), load_policy()).upscale(GeneratedClip.model_validate_json(clip))
    assert row.status is ClipStatus.UPSCALED
    ledger.close()


@pytest.mark.crash
def test_a_clip_that_is_killed_at_any_point_is_stored_and_booked_once_by_the_runs_after_it(
    ledger: Ledger, ledger_url: str, store: LocalStore, tmp_path: Path
) -> None:
    """A clip a point, killed there twice and then let through."""
    for number, point in enumerate(POINTS):
        clip = clip_of(point, render(tmp_path / f"{point}.mp4", frames=3 + number), store)
        ends: list[int | None] = []
        for name in (point, point, ""):
            arguments = (ledger_url, str(store.root), clip.model_dump_json(), name)
            process = preloaded().Process(target=_work, args=arguments)
            process.start()
            process.join(60)
            ends.append(process.exitcode)
        # Once stored, it is not done again, and no point is reached.
        assert ends == [-signal.SIGKILL, 0 if point == "upscaling.stored" else -signal.SIGKILL, 0]
        assert booked(ledger)[clip.clip_id] > 0
    assert len(booked(ledger)) == len(POINTS)
    objects = [path for path in (store.root / "upscaled").rglob("*") if path.is_file()]
    assert sorted(len(timestamps(path)) for path in objects) == [3, 4, 5]
