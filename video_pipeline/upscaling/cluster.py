"""Upscaling on a Ray cluster: one long-lived worker on each GPU takes clips as it becomes free (G3.6).

Ray places the workers, passes the clips and detects failures. Each worker runs the same `ClipUpscaler` as a single
machine, from the store into the store. A clip that two workers were given is still stored and booked once.
"""

import logging
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from video_pipeline.clips import GeneratedClip, UpscaledClip
from video_pipeline.errors import UpscalingError
from video_pipeline.settings import keep_ray_quiet
from video_pipeline.upscaling.clips import ClipUpscaler, OnProgress
from video_pipeline.upscaling.compute.engine import describe_device
from video_pipeline.upscaling.concurrency import clips_at_a_time
from video_pipeline.upscaling.report import UpscaleProgress

_LOG = logging.getLogger(__name__)

# How often the workers are asked for their progress.
_ASK_EVERY_S = 5.0
_ANSWER_S = 1.0
_CONNECT_TIMEOUT_S = 10.0
# A busy cluster has no room for a while; one whose machines are gone stays without.
_PATIENCE_S = 900.0
# When this many workers died on the same clip, the clip is the cause.
_DEATHS_A_CLIP = 2

Group = list[GeneratedClip]


class ClusterUpscaler:
    """Upscales a partition's clips on the Ray cluster at `address`.

    The address is "auto", "host:6379", "ray://host:10001", or "local", which starts a cluster of this machine's GPUs.
    `make` builds a worker's `ClipUpscaler` where the worker runs. `own` is this machine's; it answers for clips that
    need no work, without the cluster. `shared` tells whether other machines can reach the ledger and the store.
    """

    def __init__(
        self,
        address: str,
        make: Callable[[OnProgress], ClipUpscaler],
        own: ClipUpscaler,
        *,
        shared: bool,
        on_progress: OnProgress,
    ) -> None:
        self._address = address
        self._make = make
        self._own = own
        self._shared = shared
        self._on_progress = on_progress
        self._devices: Counter[str] = Counter()

    def upscale_all(self, clips: Sequence[GeneratedClip]) -> Iterator[UpscaledClip]:
        """Upscale each clip as `ClipUpscaler.upscale` does, and yield the rows in the clips' order.

        Raises UpscalingError when Ray is not installed, or the cluster cannot be reached or used for these clips, or
        its workers die. The next run does not repeat finished clips.
        """
        groups: dict[str, Group] = {}
        for clip in clips:
            if self._own.needs_work(clip):
                # One worker gets all clips of the same file: the later ones find the first one's result.
                groups.setdefault(str(clip.media_sha256), []).append(clip)
        handed_out = {clip.clip_id for group in groups.values() for clip in group}
        rows: dict[str, UpscaledClip] = {}
        with closing(self._on_cluster(list(groups.values()))) as results:
            for clip in clips:
                while clip.clip_id in handed_out and clip.clip_id not in rows:
                    rows |= {row.clip_id: row for row in next(results)}
                yield rows.pop(clip.clip_id) if clip.clip_id in handed_out else self._own.upscale(clip)

    def describe(self) -> str:
        """One sentence about the workers that were used."""
        if not self._devices:
            return f"No worker of the Ray cluster {self._address} was needed."
        workers = (f"{count} on {where}" for where, count in sorted(self._devices.items()))
        return f"Workers of the Ray cluster {self._address}: {' '.join(workers)}"

    def _on_cluster(self, groups: list[Group]) -> Generator[list[UpscaledClip]]:
        if not groups:
            return
        with _connected(self._address) as ray:
            capacity = capacity_of(ray)
            if capacity.hosts - {ray.util.get_node_ip_address()} and not self._shared:
                raise UpscalingError(
                    f"The Ray cluster {self._address} has other machines, and they reach neither an embedded ledger "
                    "nor a folder of this one. Set VIDEO_PIPELINE_LEDGER_URL and an s3:// store, or use "
                    "VIDEO_PIPELINE_RAY_ADDRESS=local."
                )
            pool = WorkerPool(ray, capacity, self._make, min(capacity.workers, len(groups)))
            try:
                yield from self._hand_out(ray, pool, groups)
            finally:
                pool.dismiss()

    def _hand_out(self, ray: Any, pool: "WorkerPool", groups: list[Group]) -> Iterator[list[UpscaledClip]]:
        waiting, running = deque(groups), dict[Any, tuple[Any, Group]]()
        deaths: Counter[str] = Counter()
        while waiting or running:
            while waiting and (worker := pool.take()) is not None:
                group = waiting.popleft()
                running[worker.upscale.remote(group)] = worker, group
            pool.check_patience()
            done, _ = ray.wait([*pool.starting, *running], timeout=_ASK_EVERY_S)
            finished: list[list[UpscaledClip]] = []
            for ref in done:
                worker, group = running.pop(ref, (None, []))
                try:
                    answer = ray.get(ref)
                except ray.exceptions.RayTaskError as error:
                    # The worker's own error is raised as if the work had been done here.
                    raise error.cause from None
                except ray.exceptions.RayError as error:
                    # Ray has a separate error each for killed, out of memory, and on a machine that is gone.
                    if worker is None:
                        pool.never_started(ref, error)
                        continue
                    first = group[0].clip_id
                    deaths[first] += 1
                    if deaths[first] >= _DEATHS_A_CLIP:
                        raise UpscalingError(
                            f"{deaths[first]} workers of the Ray cluster died at {first} ({_reason(error)}); the "
                            "day's next run tries it again."
                        ) from error
                    _LOG.warning("A worker died at %s (%s); another one goes on with it.", first, _reason(error))
                    pool.replace(worker)
                    waiting.appendleft(group)
                else:
                    if worker is None:
                        self._admit(pool, ref, answer)
                        continue
                    pool.finished(worker)
                    finished.append(answer)
            for clip_id, progress in pool.progress():
                self._on_progress(clip_id, progress)
            yield from finished

    def _admit(self, pool: "WorkerPool", ref: Any, facts: "_WorkerFacts") -> None:
        if facts.fingerprint != self._own.fingerprint():
            raise UpscalingError(
                f"The worker on {facts.host} would make other pictures than this machine: other weights, or another "
                "version of video_pipeline. Give every machine the same of both (VIDEO_PIPELINE_WEIGHTS_DIR)."
            )
        if pool.on_gpus and not facts.gpu:
            raise UpscalingError(
                f"Ray gives the worker on {facts.host} a GPU, and torch finds none there; see to that machine's "
                "driver and its build of torch, or start Ray there with --num-gpus=0."
            )
        self._devices[f"{facts.host} ({facts.device})"] += 1
        pool.started(ref)


@dataclass(frozen=True, slots=True)
class _WorkerFacts:
    """What a worker reports about itself when it has started."""

    host: str
    device: str
    gpu: bool
    fingerprint: str


class _Worker:
    """The actor on the cluster, one for each GPU. Ray calls it in several threads."""

    def __init__(self, make: Callable[[OnProgress], ClipUpscaler]) -> None:
        self._progress: dict[str, UpscaleProgress] = {}
        self._upscaler = make(self._note)

    def facts(self) -> _WorkerFacts:
        import torch

        gpu = torch.cuda.is_available()
        return _WorkerFacts(socket.gethostname(), describe_device(), gpu, self._upscaler.fingerprint())

    def upscale(self, group: Group) -> list[UpscaledClip]:
        return [self._upscaler.upscale(clip) for clip in group]

    def progress(self) -> dict[str, UpscaleProgress]:
        """The progress since the last call, by clip id."""
        news, self._progress = self._progress, {}
        return news

    def _note(self, clip_id: str, progress: UpscaleProgress) -> None:
        self._progress[clip_id] = progress


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the cluster offers: number of workers, resources of each, and clips that each does at a time."""

    hosts: frozenset[str]
    workers: int
    takes: dict[str, Any]
    clips_each: int


class WorkerPool:
    """The workers that are starting, and the free ones. A worker is in `free` once for each clip it can take."""

    def __init__(self, ray: Any, capacity: Capacity, make: Callable[[OnProgress], ClipUpscaler], count: int) -> None:
        self._ray = ray
        self._capacity = capacity
        self.on_gpus = "num_gpus" in capacity.takes
        # One thread more answers how far the others are.
        options = capacity.takes | {"max_concurrency": capacity.clips_each + 1, "max_restarts": 0}
        self._remote = ray.remote(_Worker).options(**options)
        self._make = make
        self._last_at_work = time.monotonic()
        self.starting: dict[Any, Any] = {}
        self.free: deque[Any] = deque()
        self._at_work: list[Any] = []
        for _ in range(count):
            self._add()

    def _add(self) -> None:
        worker = self._remote.remote(self._make)
        self.starting[worker.facts.remote()] = worker

    def started(self, ref: Any) -> None:
        worker = self.starting.pop(ref)
        self._at_work.append(worker)
        self.free.extend([worker] * self._capacity.clips_each)

    def never_started(self, ref: Any, error: Exception) -> None:
        del self.starting[ref]
        _LOG.warning("A worker of the Ray cluster could not start (%s).", _reason(error))
        if not self.starting and not self._at_work:
            raise UpscalingError(f"No worker of the Ray cluster could start ({_reason(error)}).") from error

    def check_patience(self) -> None:
        """Raise UpscalingError when there has been no worker for too long."""
        if self._at_work:
            self._last_at_work = time.monotonic()
        elif time.monotonic() - self._last_at_work > _PATIENCE_S:
            raise UpscalingError(
                f"The Ray cluster has had no room for a worker for {_PATIENCE_S / 60:.0f} minutes; see what else "
                "runs on it (ray status), or whether its machines are gone."
            )

    def take(self) -> Any | None:
        return self.free.popleft() if self.free else None

    def finished(self, worker: Any) -> None:
        # Its last result may come after the news of its death.
        if worker in self._at_work:
            self.free.append(worker)

    def replace(self, dead: Any) -> None:
        """Start another worker in place of the dead one, as soon as the cluster has room for it."""
        if dead not in self._at_work:
            return
        # A worker that is only out of reach is killed too; it would keep its GPU.
        self._kill(dead)
        self._at_work.remove(dead)
        self.free = deque(worker for worker in self.free if worker is not dead)
        self._add()

    def progress(self) -> Iterator[tuple[str, UpscaleProgress]]:
        """Progress from the workers that answer at once. A worker that died while idle is replaced."""
        asked = {worker.progress.remote(): worker for worker in self._at_work}
        answered, _ = self._ray.wait([*asked], num_returns=len(asked), timeout=_ANSWER_S) if asked else ([], [])
        for ref in answered:
            try:
                yield from self._ray.get(ref).items()
            except self._ray.exceptions.RayError:
                self.replace(asked[ref])

    def dismiss(self) -> None:
        for worker in [*self.starting.values(), *self._at_work]:
            self._kill(worker)

    def _kill(self, worker: Any) -> None:
        # A worker that is gone already must not fail the stage.
        with suppress(Exception):
            self._ray.kill(worker)


def capacity_of(ray: Any) -> Capacity:
    """One worker on each GPU; in a cluster without GPUs, one on each machine, with all of its cores.

    Raises UpscalingError when the cluster has neither.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    hosts = frozenset(node["NodeManagerAddress"] for node in nodes)
    cores = [int(node["Resources"].get("CPU", 0)) for node in nodes]
    gpus = [int(node["Resources"].get("GPU", 0)) for node in nodes]
    if any(gpus):
        cores_each = min(core // gpu for core, gpu in zip(cores, gpus, strict=True) if gpu)
        return Capacity(hosts, sum(gpus), {"num_gpus": 1, "num_cpus": 0}, clips_at_a_time(cores_each, gpu=True))
    usable = [core for core in cores if core]
    if not usable:
        raise UpscalingError("The Ray cluster has neither a GPU nor a CPU to give.")
    takes = {"num_cpus": min(usable), "scheduling_strategy": "SPREAD"}
    return Capacity(hosts, len(usable), takes, clips_at_a_time(min(usable), gpu=False))


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """The `ray` module with a connection. An earlier connection is used and left open.

    Raises UpscalingError when Ray is not installed, or the cluster cannot be reached or is lost.
    """
    keep_ray_quiet()
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise UpscalingError(
            "VIDEO_PIPELINE_RAY_ADDRESS is set and Ray is not installed: pip install 'video-pipeline[ray]'."
        ) from error
    if ray.is_initialized():
        yield ray
        return
    try:
        _check_reachable(address)
        _connect(ray, address)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise UpscalingError(f"The Ray cluster {address} cannot be reached ({_reason(error)}).") from error
    try:
        yield ray
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise UpscalingError(f"The Ray cluster {address} was lost ({_reason(error)}).") from error
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    """Connect, and once more where the cluster gave up starting its side of the connection, as a busy one does."""
    # A dashboard is for a cluster that somebody else keeps.
    dashboard = False if address == "local" else None
    for last in (False, True):
        try:
            with _same_sigterm():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
            return
        except Exception as error:
            # What is left of a connection that failed would fail every later one of this process.
            ray.shutdown()
            if last or not isinstance(error, ConnectionError):
                raise


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """Restore the SIGTERM handler: Ray replaces it for good, and Dagster needs its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _check_reachable(address: str) -> None:
    """Raise OSError or ValueError soon for an address that does not answer; Ray would wait for minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError('an address is "auto", "local", "host:6379" or "ray://host:10001"')
    socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S).close()


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
