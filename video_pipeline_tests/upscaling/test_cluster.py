"""Upscaling on a Ray cluster, a real one: two nodes with a processor each, on this machine."""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from video_pipeline import checkpoints
from video_pipeline.clips import ClipStatus, GeneratedClip, UpscaledClip
from video_pipeline.errors import UpscalingError
from video_pipeline.ledger import Ledger
from video_pipeline.services import Services
from video_pipeline.settings import Settings
from video_pipeline.storage import LocalStore
from video_pipeline.upscaling import ClipUpscaler, ClusterUpscaler, OnProgress, UpscaleProgress, WeightsError, cluster
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.test_clips import DAY, booked, clip_of

# Nobody listens there.
NOWHERE = "127.0.0.1:9"


@pytest.fixture(scope="module")
def client_port() -> int:
    """Where Ray's head takes drivers that are not of the cluster."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def address(client_port: int) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": client_port}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        nodes.add_node(num_cpus=1)
        assert nodes.address
        yield nodes.address
        nodes.shutdown()


@pytest.fixture
def settings(tmp_path: Path, ledger_url: str, address: str) -> Settings:
    policy = tmp_path / "policy.yaml"
    policy.write_text('routing: {delivered_short_side: 72}\nupscaling: {blend: 0.0, usd_per_kwh: "1000"}\n')
    places = {"state_dir": tmp_path, "policy_file": policy, "ledger_url": ledger_url, "ray_address": address}
    return Settings.model_validate(places)


@pytest.fixture
def store(settings: Settings) -> LocalStore:
    return LocalStore(Path(settings.store))


@pytest.fixture
def clips(tmp_path: Path, store: LocalStore) -> list[GeneratedClip]:
    """Three good ones, of 12, 10 and 8 frames."""
    lengths = {"one": 12, "two": 10, "three": 8}
    return [clip_of(name, render(tmp_path / f"{name}.mp4", frames=count), store) for name, count in lengths.items()]


def upscaler(settings: Settings, on_progress: OnProgress = lambda clip_id, progress: None) -> ClusterUpscaler:
    """As the asset gets it."""
    found = Services(settings).upscaler(on_progress)
    assert isinstance(found, ClusterUpscaler)
    return found


class Changed(ClipUpscaler):
    """A worker's upscaler that does something before its first clip."""

    def __init__(self, before: Callable[[], None], **parts: Any) -> None:
        super().__init__(**parts)
        self._before = before

    def upscale(self, clip: GeneratedClip) -> UpscaledClip:
        self._before()
        return super().upscale(clip)


def changed(settings: Settings, before: Callable[[], None], **others: Any) -> ClusterUpscaler:
    """`upscaler`, of whose workers each does `before` first; `others` replace what else they are made of."""
    own = Services(settings.model_copy(update={"ray_address": None})).upscaler(lambda clip_id, progress: None)
    assert isinstance(own, ClipUpscaler) and settings.ray_address
    make = partial(_on_the_worker, settings, before, others)
    return ClusterUpscaler(settings.ray_address, make, own, shared=False, on_progress=lambda clip_id, progress: None)


def _on_the_worker(
    settings: Settings, before: Callable[[], None], others: dict[str, Any], on_progress: OnProgress
) -> ClipUpscaler:
    services = Services(settings)
    parts: dict[str, Any] = {
        "ledger": services.ledger,
        "store": services.store,
        "policy": services.policy.upscaling,
        "short_side": services.policy.routing.delivered_short_side,
        "on_progress": on_progress,
    }
    return Changed(before, **parts | others)


def _meet(folder: Path) -> None:
    """Wait until two processes are here at the same time."""
    (folder / str(os.getpid())).touch()
    patience = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2:
        assert time.monotonic() < patience, "the other worker never came"
        time.sleep(0.05)


def _die_once_booked(mark: Path | None) -> None:
    """Killed between the booking and the storing of a clip; with a mark, only the first to come here."""

    def kill(name: str) -> None:
        if name == "upscaling.booked":
            os.kill(os.getpid(), signal.SIGKILL)

    if mark is None or not mark.exists():
        if mark is not None:
            mark.touch()
        checkpoints.on_reach = kill


def test_a_partition_is_upscaled_in_its_order_and_booked_once(
    settings: Settings, store: LocalStore, clips: list[GeneratedClip], ledger: Ledger, tmp_path: Path
) -> None:
    """As on one machine: twins of one file, a broken clip and one that waits are among them."""
    one, two, three = clips
    twin = one.model_copy(update={"clip_id": f"{DAY}/twin", "brief_id": "twin"})
    broken = clip_of("broken", b"no film", store)
    waits = one.model_copy(update={"clip_id": f"{DAY}/waits", "status": ClipStatus.WAITING, "media_key": None})
    seen: dict[str, int] = {}

    def note(clip_id: str, progress: UpscaleProgress) -> None:
        seen[clip_id] = progress.frames_done

    worker = upscaler(settings, note)
    rows = list(worker.upscale_all([one, waits, broken, two, twin, three]))
    good, bad = ClipStatus.UPSCALED, ClipStatus.REJECTED
    assert [(row.clip_id.split("/")[1], row.status, row.upscaled_frames) for row in rows] == [
        ("one", good, 12),
        ("waits", ClipStatus.WAITING, 0),
        ("broken", bad, 0),
        ("two", good, 10),
        ("twin", good, 0),
        ("three", good, 8),
    ]
    assert "is not a readable" in rows[2].reason and rows[4].final_key == rows[0].final_key
    assert all(row.final_key is not None and store.stat(row.final_key) for row in rows if row.status is good)
    assert set(booked(ledger)) == {one.clip_id, two.clip_id, three.clip_id}
    assert set(seen) == {one.clip_id, two.clip_id, three.clip_id}
    said = rf"Workers of the Ray cluster {settings.ray_address}: [12] on {os.uname().nodename} \(No GPU was found"
    assert re.match(said, worker.describe())

    paid = booked(ledger)
    # Nothing is left to do, so a cluster that is gone is not missed.
    again = upscaler(settings.model_copy(update={"ray_address": NOWHERE}))
    second = list(again.upscale_all([one, waits, two, twin, three]))
    assert [row.final_sha256 for row in second] == [rows[at].final_sha256 for at in (0, 1, 3, 4, 5)]
    assert again.describe() == f"No worker of the Ray cluster {NOWHERE} was needed."
    assert booked(ledger) == paid


def test_a_driver_that_is_not_of_the_cluster_reaches_it_too(
    settings: Settings, clips: list[GeneratedClip], ledger: Ledger, client_port: int
) -> None:
    outside = settings.model_copy(update={"ray_address": f"ray://127.0.0.1:{client_port}"})
    rows = list(upscaler(outside).upscale_all(clips))
    assert [row.upscaled_frames for row in rows] == [12, 10, 8]
    assert set(booked(ledger)) == {clip.clip_id for clip in clips}


@pytest.mark.parametrize("failures", [1, 2])
def test_a_cluster_that_does_not_take_a_driver_is_asked_twice_and_spoils_no_later_connection(
    settings: Settings,
    clips: list[GeneratedClip],
    client_port: int,
    failures: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ray.util.client.worker import Worker

    connect, asked = Worker._server_init, list[int]()

    def too_busy(self: Worker, *args: Any, **kwargs: Any) -> None:
        asked.append(1)
        if len(asked) <= failures:
            raise ConnectionAbortedError("Starting Ray client server failed.")
        connect(self, *args, **kwargs)

    monkeypatch.setattr(Worker, "_server_init", too_busy)
    outside = settings.model_copy(update={"ray_address": f"ray://127.0.0.1:{client_port}"})
    if failures == 1:
        assert len(list(upscaler(outside).upscale_all(clips[:1]))) == 1
    else:
        with pytest.raises(UpscalingError, match=r"cannot be reached \(Starting Ray client server failed"):
            list(upscaler(outside).upscale_all(clips[:1]))
        assert len(list(upscaler(settings).upscale_all(clips[:1]))) == 1
    assert len(asked) == 2


def test_every_node_has_a_worker_and_they_work_at_the_same_time(
    settings: Settings, clips: list[GeneratedClip], tmp_path: Path
) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    worker = changed(settings, partial(_meet, meeting))
    rows = list(worker.upscale_all(clips))
    assert [row.status for row in rows] == [ClipStatus.UPSCALED] * 3
    assert len(list(meeting.iterdir())) == 2 and ": 2 on " in worker.describe()


def test_a_clip_whose_worker_was_killed_is_done_by_another_and_booked_once(
    settings: Settings, clips: list[GeneratedClip], ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = changed(settings, partial(_die_once_booked, tmp_path / "died"))
    rows = list(worker.upscale_all(clips))
    assert [row.status for row in rows] == [ClipStatus.UPSCALED] * 3
    assert caplog.text.count("A worker died at ") == 1
    assert set(booked(ledger)) == {clip.clip_id for clip in clips}
    with ledger.engine.connect() as connection:
        entries = connection.exec_driver_sql("SELECT count(*) FROM spend").scalar_one()
    assert entries == 3


def test_all_clips_that_a_killed_worker_had_at_a_time_are_done_by_others_and_booked_once(
    settings: Settings,
    clips: list[GeneratedClip],
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on GPUs, where each worker has several; the free places of the dead one are not given to anybody."""
    monkeypatch.setattr(cluster, "clips_at_a_time", lambda cores, *, gpu: 2)
    again = [clip.model_copy(update={"clip_id": f"{clip.clip_id}-again"}) for clip in clips]
    worker = changed(settings, partial(_die_once_booked, tmp_path / "died"))
    rows = list(worker.upscale_all([*clips, *again]))
    assert [row.clip_id for row in rows] == [clip.clip_id for clip in (*clips, *again)]
    assert {row.status for row in rows} == {ClipStatus.UPSCALED}
    assert set(booked(ledger)) == {clip.clip_id for clip in clips}


def test_a_worker_that_dies_while_it_has_nothing_to_do_is_replaced(settings: Settings) -> None:
    """Its place would else be given to the next clip, and be counted as what that clip died of."""
    import ray

    ray.init(settings.ray_address, log_to_driver=False)
    try:
        capacity = cluster.capacity_of(ray)
        make = partial(_on_the_worker, settings, _nothing, {})
        pool = cluster.WorkerPool(ray, capacity, make, 1)
        [facts] = pool.starting
        ray.get(facts)
        pool.started(facts)
        dead = pool.take()
        assert dead is not None
        pool.finished(dead)
        ray.kill(dead)
        patience = time.monotonic() + 30
        while not pool.starting:
            assert list(pool.progress()) == [] and time.monotonic() < patience
        assert pool.take() is None
        pool.finished(dead)
        assert pool.take() is None
        [facts] = pool.starting
        alive: Any = ray.get(facts)
        assert alive.fingerprint
        pool.dismiss()
    finally:
        ray.shutdown()


def test_a_clip_that_its_workers_die_of_ends_the_stage_with_its_name(
    settings: Settings, clips: list[GeneratedClip], ledger: Ledger
) -> None:
    worker = changed(settings, partial(_die_once_booked, None))
    with pytest.raises(UpscalingError, match=rf"2 workers of the Ray cluster died at {DAY}/one"):
        list(worker.upscale_all(clips[:1]))
    assert set(booked(ledger)) == {clips[0].clip_id}


def test_a_workers_own_error_is_raised_as_it_would_be_here(settings: Settings, clips: list[GeneratedClip]) -> None:
    policy = Services(settings).policy.upscaling.model_copy(update={"model": "realesr-general-x4v3"})
    worker = changed(settings, _nothing, policy=policy)
    with pytest.raises(UpscalingError, match="would make other pictures than this machine: other weights"):
        list(worker.upscale_all(clips))
    Path(settings.policy_file or "").write_text("upscaling: {model: realesr-general-x4v3}\n")
    with pytest.raises(WeightsError, match="realesr-general-x4v3"):
        list(upscaler(settings).upscale_all(clips))


def _nothing() -> None:
    """Go on."""


def test_an_embedded_ledger_and_a_folder_are_not_for_a_cluster_of_several_machines(
    settings: Settings, clips: list[GeneratedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray.util

    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "203.0.113.9")
    with pytest.raises(UpscalingError, match=r"other machines.*Set VIDEO_PIPELINE_LEDGER_URL and an s3:// store"):
        list(upscaler(settings).upscale_all(clips))
    assert not settings.shared
    assert settings.model_copy(update={"store_url": "s3://bucket/here"}).shared


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (NOWHERE, "cannot be reached .*refused"),
        (f"ray://{NOWHERE}", "cannot be reached .*refused"),
        ("my-head", 'cannot be reached .an address is "auto", "local", "host:6379"'),
    ],
)
def test_a_cluster_that_is_not_there_is_a_sentence_at_once(
    settings: Settings, clips: list[GeneratedClip], given: str, words: str
) -> None:
    started = time.monotonic()
    with pytest.raises(UpscalingError, match=words):
        list(upscaler(settings.model_copy(update={"ray_address": given})).upscale_all(clips))
    assert time.monotonic() - started < 25


def test_without_ray_installed_it_is_said_what_to_install(
    settings: Settings, clips: list[GeneratedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UpscalingError, match=r"Ray is not installed: pip install 'video-pipeline\[ray\]'"):
        list(upscaler(settings).upscale_all(clips))


def test_workers_are_made_for_the_gpus_there_are() -> None:
    """Without any, a worker has a machine's cores; a head node that gives none has no worker."""

    def node(address: str, *, alive: bool = True, **gives: float) -> dict[str, Any]:
        return {"NodeManagerAddress": address, "Alive": alive, "Resources": gives}

    def capacity(*nodes: dict[str, Any]) -> tuple[int, dict[str, Any], int]:
        found = cluster.capacity_of(SimpleNamespace(nodes=lambda: nodes))
        return found.workers, found.takes, found.clips_each

    head, dead = node("a", memory=1.0), node("z", alive=False, CPU=64.0, GPU=8.0)
    gpus = {"num_gpus": 1, "num_cpus": 0}
    assert capacity(head, dead, node("b", CPU=16.0, GPU=2.0), node("c", CPU=16.0, GPU=1.0)) == (3, gpus, 4)
    assert capacity(head, node("b", CPU=4.0), node("c", CPU=8.0)) == (
        2,
        {"num_cpus": 4, "scheduling_strategy": "SPREAD"},
        1,
    )
    with pytest.raises(UpscalingError, match="neither a GPU nor a CPU"):
        capacity(head, dead)


def test_a_gpu_that_torch_does_not_find_is_not_replaced_by_a_cpu(
    settings: Settings, clips: list[GeneratedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster counts GPUs that somebody told it of; the clips would take hours instead of seconds."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 2, "include_dashboard": False})
    try:
        with pytest.raises(UpscalingError, match=r"Ray gives the worker on .* a GPU, and torch finds none there"):
            list(upscaler(settings.model_copy(update={"ray_address": nodes.address})).upscale_all(clips))
    finally:
        nodes.shutdown()


def test_a_worker_knows_its_folders_by_their_whole_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It has a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    given = Settings.model_validate(
        {"state_dir": "state", "store_url": "media", "weights_dir": "weights"}
    ).for_workers
    assert (given.state_dir, given.store, given.weights) == (
        tmp_path / "state",
        str(tmp_path / "media"),
        tmp_path / "weights",
    )
    elsewhere = Settings.model_validate({"store_url": "s3://bucket/here"}).for_workers
    assert elsewhere.store == "s3://bucket/here"
