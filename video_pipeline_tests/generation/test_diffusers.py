"""Clips that a pipeline of diffusers renders in this process, on a real one with a handful of random weights."""

import asyncio
import base64
import importlib.util
import io
import json
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import unquote

import httpx
import psutil
import pytest
import torch
import yaml
from PIL import Image

from video_pipeline.alerts import Notifier
from video_pipeline.clips import ClipStatus, GeneratedClip
from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import PROVIDERS, check_wires, generate_day
from video_pipeline.generation.providers import JobFailed, NotAccepted, Rendered
from video_pipeline.generation.providers.diffusers import DiffusersProvider, DiffusersSection
from video_pipeline.generation.providers.diffusers_renderer import Device, Renderer
from video_pipeline.ledger import FailureKind, Job, JobState, Ledger, open_ledger
from video_pipeline.media import probe
from video_pipeline.orders import Ending, sha256_of
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, ClipPlan
from video_pipeline.settings import get_settings
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.orders import brief_of, job_of, plan_of
from video_pipeline_tests.generation.stage import quick
from video_pipeline_tests.generation.tiny_pipelines import make_tiny_wan, tiny_catalogue

_T = TypeVar("_T")
SIZE = (160, 272)
SMALL = (32, 48)
DEVICE = "VIDEO_PIPELINE_DIFFUSERS_DEVICE"
FOLDER = "VIDEO_PIPELINE_DIFFUSERS_FOLDER"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On so small a network several threads only wait for each other; and a process with one can be forked."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_wan(tmp_path_factory.mktemp("pipelines") / "tiny-wan")


@pytest.fixture
def catalogue(sandbox_catalogue: Catalogue) -> Catalogue:
    return check_wires(tiny_catalogue(sandbox_catalogue))


class Watched(Renderer):
    """Counts what it loads and renders, and keeps weak hold of the parts that it has loaded."""

    def __init__(self, folder: Path, device: Device = "auto") -> None:
        super().__init__(folder, device=device, dtype="auto")
        self.loaded = self.rendered = self.returned_bytes = 0
        self.parts: list[weakref.ref[Any]] = []
        self.on_step: Callable[[int], object] = lambda step: None
        self.pictures: list[Any] = []

    def render(self, asked: Any, picture: Any, target: Any, *, on_step: Any, stop: Any) -> Path:
        self.rendered += 1
        self.pictures.append(picture)

        def stepped(step: int) -> None:
            on_step(step)
            self.on_step(step)

        return super().render(asked, picture, target, on_step=stepped, stop=stop)

    def _read(self, path: Path) -> Any:
        pipe = super()._read(path)
        self.loaded += 1
        self.parts += [weakref.ref(pipe.transformer), weakref.ref(pipe.vae), weakref.ref(pipe.text_encoder)]
        return pipe

    def release(self) -> None:
        process = psutil.Process()
        held = process.memory_info().rss
        super().release()
        self.returned_bytes = held - process.memory_info().rss

    @property
    def holds(self) -> int:
        """How many of the parts are in memory still."""
        return sum(part() is not None for part in self.parts)


class Bench:
    """A provider at work: `provider` on a client and a loop of its own."""

    def __init__(self, renderer: Watched, rendered: Path) -> None:
        self.renderer, self.rendered = renderer, rendered
        self._runner = asyncio.Runner()
        self.client = httpx.AsyncClient(trust_env=False)
        self.provider = DiffusersProvider(self.client, renderer=renderer, rendered=rendered)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(work)

    def ended(self, job: Job) -> Any:
        """The job's result, once it has one; as the engine asks."""

        async def ask() -> Any:
            while not await self.provider.poll(job):
                await asyncio.sleep(0.01)
            return await self.provider.result(job)

        return self.run(ask())

    def files(self, job: Job) -> list[Path]:
        """What there is of a job's clip."""
        return list(self.rendered.glob(f"*{job.key}*"))

    def close(self) -> None:
        self.run(self.provider.__aexit__(None, None, None))
        self.run(self.client.aclose())
        self._runner.close()


@pytest.fixture
def renderer(pipeline: Path) -> Watched:
    """One that has not loaded anything yet."""
    return Watched(pipeline)


@pytest.fixture(scope="module")
def bench(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """For single jobs, which share a pipeline that is loaded once; each test has a job with a key of its own."""
    bench = Bench(Watched(pipeline), tmp_path_factory.mktemp("rendered"))
    yield bench
    bench.close()


@pytest.fixture
def job(request: pytest.FixtureRequest, catalogue: Catalogue, policy: Policy) -> Job:
    """A job of a few pixels, as no quality check will see its clip."""
    job = job_of(brief_of("the harbour at dawn", seed=7), catalogue, policy)
    few = dict(zip(("width", "height", "num_frames"), (*SMALL, 5), strict=True))
    key = sha256_of({"test": request.node.name})
    return replace(job, key=key, request=job.request | {"arguments": job.request["arguments"] | few})


def generated(
    plans: list[ClipPlan],
    ledger: Ledger,
    folder: Path,
    renderer: Renderer,
    catalogue: Catalogue,
    policy: Policy,
    run_id: str = "a-run",
) -> list[GeneratedClip]:
    """A run of the day, with its files in `folder`."""
    return generate_day(
        plans,
        ledger=ledger,
        store=LocalStore(folder / "store"),
        providers=lambda client: {
            "diffusers": DiffusersProvider(client, renderer=renderer, rendered=folder / "rendered")
        },
        catalogue=catalogue,
        policy=policy,
        notifier=Notifier([], ledger.alerts),
        run_id=run_id,
    )


def a_plan(prompt: str, catalogue: Catalogue, policy: Policy) -> ClipPlan:
    return plan_of(brief_of(prompt, brief_id=prompt.replace(" ", "-")), catalogue, policy)


def patient(policy: Policy) -> Policy:
    """With waits that a busy machine keeps to, and dear electricity."""
    short = quick(policy, poll_timeout_s=600.0, lease_s=60.0)
    electricity = short.upscaling.model_copy(update={"usd_per_kwh": Decimal(100)})
    return short.model_copy(update={"upscaling": electricity})


# --- a day ---------------------------------------------------------------------------------------------------------


def test_a_days_clips_are_rendered_by_one_pipeline_whose_memory_is_returned(
    ledger: Ledger, tmp_path: Path, catalogue: Catalogue, policy: Policy
) -> None:
    table_bytes = 96 << 20
    renderer = Watched(make_tiny_wan(tmp_path / "heavy", table_bytes=table_bytes))
    plans = [a_plan(prompt, catalogue, policy) for prompt in ("the harbour at dawn", "a hill at night")]
    clips = generated(plans, ledger, tmp_path, renderer, catalogue, patient(policy))
    assert [clip.status for clip in clips] == [ClipStatus.GENERATED] * 2, [clip.reason for clip in clips]
    assert (renderer.loaded, renderer.rendered, renderer.holds) == (1, 2, 0)
    assert renderer.returned_bytes > table_bytes * 0.8
    for job in ledger.jobs.in_state(*JobState):
        assert (job.state, job.provider_job_id) == (JobState.ACCEPTED, job.key)
        assert Decimal(0) < job.billed_usd < patient(policy).upscaling.gpu_usd(60)
        with LocalStore(tmp_path / "store").local_copy(job.media_key or "") as file:
            video = probe(file).video
        assert video is not None and (video.size, video.frames, video.rate) == (SIZE, 9, 9)


def _until_killed(
    at: str, ledger_url: str, folder: Path, pipeline: Path, plan: ClipPlan, catalogue: Catalogue, policy: Policy
) -> None:
    """In a process of its own: a run that is killed at its first step, or when its clip is there."""
    from video_pipeline import checkpoints

    def die(name: str = at) -> None:
        if name == at:
            os.kill(os.getpid(), signal.SIGKILL)

    renderer = Watched(pipeline)
    if at == "while it renders":
        renderer.on_step = lambda step: die()
    else:
        checkpoints.on_reach = die
    ledger = open_ledger(ledger_url, embedded_dir=Path("unused"))
    generated([plan], ledger, folder, renderer, catalogue, policy)


@pytest.mark.crash
@pytest.mark.parametrize(
    ("at", "again"), [("generation.submitting", 1), ("while it renders", 1), ("generation.rendered", 0)]
)
def test_a_day_that_is_killed_goes_on_with_the_same_job_and_a_finished_clip_is_found(
    ledger: Ledger,
    ledger_url: str,
    tmp_path: Path,
    renderer: Watched,
    catalogue: Catalogue,
    policy: Policy,
    at: str,
    again: int,
) -> None:
    plan, quickly = a_plan("the sea at night", catalogue, policy), quick(policy, poll_timeout_s=600.0, lease_s=0.5)
    arguments = (at, ledger_url, tmp_path, renderer._folder, plan, catalogue, quickly)
    killed = multiprocessing.get_context("fork").Process(target=_until_killed, args=arguments)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert len(list((tmp_path / "rendered").glob("*.mp4"))) == 1 - again
    [left] = ledger.jobs.in_state(*JobState)
    assert not left.state.final
    clip = None
    # The lease of who was killed has to run out first.
    while clip is None or clip.status is ClipStatus.WAITING:
        [clip] = generated([plan], ledger, tmp_path, renderer, catalogue, quickly, "the next run")
    assert clip.status is ClipStatus.GENERATED, clip.reason
    [made] = ledger.jobs.in_state(*JobState)
    assert (made.key, made.state, renderer.rendered) == (left.key, JobState.ACCEPTED, again)
    assert len(list((tmp_path / "rendered").iterdir())) == 1


# --- a job ---------------------------------------------------------------------------------------------------------


def test_a_clip_is_loaded_and_rendered_without_any_network_and_is_told_of_as_it_goes(
    renderer: Watched, tmp_path: Path, job: Job, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(renderer, tmp_path / "rendered")

    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("somebody asks the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    told = threading.Event()
    monkeypatch.setattr(caplog.handler, "emit", lambda record: "step 1 of 2" in record.getMessage() and told.set())
    renderer.on_step = lambda step: told.wait(60)
    called: list[str] = []
    receipt = bench.run(bench.provider.submit(job, before=lambda: called.append("sent")))
    assert (receipt.provider_job_id, called) == (job.key, ["sent"])
    with caplog.at_level(logging.INFO):
        rendered = bench.ended(job)
    assert rendered.media_url.startswith(next(iter(bench.provider.trusted_origins)) + "/")
    assert rendered.size_bytes > 1000 and rendered.gpu_s > 0
    assert told.is_set()
    bench.close()


def test_the_same_seed_gives_the_same_clip_and_another_one_another(bench: Bench, job: Job) -> None:
    def bytes_of(number: int, seed: int) -> bytes:
        arguments = job.request["arguments"] | {"seed": seed}
        one = replace(job, key=f"{job.key}-{number}", request=job.request | {"arguments": arguments})
        return file_of(bench.ended(one)).read_bytes()

    first, second, third = (bytes_of(number, seed) for number, seed in enumerate((7, 7, 8)))
    assert first == second != third


def test_a_clip_starts_from_a_picture_by_the_same_weights(bench: Bench, job: Job) -> None:
    bench.ended(job)
    loaded, address = bench.renderer.loaded, a_picture()
    rendered = bench.ended(from_picture(job, address))
    assert bench.renderer.pictures[-2:] == [None, base64.b64decode(address.partition(",")[2])]
    video = probe(file_of(rendered)).video
    assert video is not None and (video.size, video.frames) == (SMALL, 5)
    # Back to text, and nothing was loaded twice.
    bench.ended(replace(job, key=f"{job.key}-2"))
    assert bench.renderer.loaded == loaded == 1


def test_a_picture_that_is_none_makes_the_order_invalid(bench: Bench, job: Job) -> None:
    failed = failure_of(bench, from_picture(job, "data:image/png;base64,AAAA"))
    assert (failed.kind, failed.ending) == (FailureKind.INVALID, Ending.FAILED)
    assert "the start image cannot be read" in failed.reason


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/still.png", "file:///etc/hostname"])
def test_a_picture_that_must_not_be_fetched_is_not(bench: Bench, job: Job, address: str) -> None:
    moving = from_picture(job, address)
    with pytest.raises(NotAccepted, match="only plain https addresses are fetched") as refused:
        bench.run(bench.provider.submit(moving, before=lambda: pytest.fail("nothing is to be sent")))
    # Whoever goes on with a job that another process has submitted meets the same.
    failed = failure_of(bench, moving)
    assert (failed.kind, failed.reason) == (refused.value.kind, refused.value.reason)


def test_a_picture_is_there_for_whoever_goes_on_although_its_address_is_not(
    job: Job, renderer: Watched, tmp_path: Path
) -> None:
    first, moving = Bench(renderer, tmp_path / "rendered"), from_picture(job, a_picture())
    renderer.on_step = lambda step: first.provider._stop_of(moving.key).set()
    first.run(first.provider.submit(moving))
    assert failure_of(first, moving).kind is FailureKind.CANCELED
    first.close()
    kept = replace(moving, order=moving.order.model_copy(update={"start_image": "store:frames/gone.png"}))
    second = Bench(Watched(renderer._folder or Path()), tmp_path / "rendered")
    rendered = second.ended(kept)
    assert second.files(moving) == [file_of(rendered)], "and is gone with the clip"
    second.close()


def a_picture() -> str:
    """The address of one."""
    data = io.BytesIO()
    Image.new("RGBA", (300, 200), (90, 200, 30, 255)).save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


def from_picture(job: Job, address: str) -> Job:
    order = job.order.model_copy(update={"start_image": address})
    request = job.request | {"starts_from_picture": "WanImageToVideoPipeline"}
    return replace(job, key=f"{job.key}-moving", order=order, request=request)


def file_of(rendered: Rendered) -> Path:
    return Path(unquote(rendered.media_url.removeprefix("file://")))


def failure_of(bench: Bench, job: Job) -> JobFailed:
    with pytest.raises(JobFailed) as failed:
        bench.ended(job)
    return failed.value


def test_a_job_that_is_called_off_ends_at_the_next_step_and_leaves_no_file(
    bench: Bench, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    def step(number: int) -> None:
        at_work.set()
        assert go_on.wait(60) and number == 1

    monkeypatch.setattr(bench.renderer, "on_step", step)

    async def called_off() -> None:
        await bench.provider.submit(job)
        assert await asyncio.to_thread(at_work.wait, 60)
        await bench.provider.cancel(job)
        go_on.set()

    bench.run(called_off())
    failed = failure_of(bench, job)
    assert (failed.kind, failed.ending) == (FailureKind.CANCELED, Ending.CANCELED)
    assert bench.files(job) == []
    # One that this process has never heard of, and has nothing of.
    unheard = replace(job, key=f"{job.key}-unheard")
    bench.run(bench.provider.cancel(unheard))
    assert failure_of(bench, unheard).kind is FailureKind.CANCELED


def test_a_run_that_is_broken_off_stops_rendering(renderer: Watched, job: Job, tmp_path: Path) -> None:
    bench = Bench(renderer, tmp_path / "rendered")
    at_work, go_on = threading.Event(), threading.Event()
    renderer.on_step = lambda step: (at_work.set(), go_on.wait(60))

    async def broken_off() -> None:
        async with bench.provider:
            await bench.provider.submit(job)
            assert await asyncio.to_thread(at_work.wait, 60)
            asyncio.get_running_loop().call_later(0.05, go_on.set)
            raise RuntimeError("the run is broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        bench.run(broken_off())
    assert renderer.holds == 0 and bench.files(job) == []
    bench.close()


def test_a_run_that_ends_in_peace_leaves_the_clip_for_the_next(renderer: Watched, job: Job, tmp_path: Path) -> None:
    first = Bench(renderer, tmp_path / "rendered")

    async def left() -> None:
        async with first.provider:
            await first.provider.submit(job)

    first.run(left())
    first.close()
    second = Bench(renderer, tmp_path / "rendered")
    rendered = second.ended(job)
    assert rendered.gpu_s > 0 and renderer.rendered == 1
    # Somebody clears the folder.
    file_of(rendered).unlink()
    assert file_of(second.ended(job)).exists() and renderer.rendered == 2
    second.close()


def test_old_files_are_swept_and_new_ones_are_not(renderer: Watched, tmp_path: Path) -> None:
    folder = tmp_path / "rendered"
    folder.mkdir()
    for name, days in (("old-1ms.mp4", 8), (".half.part", 8), ("old.start", 8), ("new-1ms.mp4", 6)):
        (folder / name).write_bytes(b"x")
        at = time.time() - days * 86400
        os.utime(folder / name, (at, at))
    bench = Bench(renderer, folder)
    bench.run(bench.provider.__aenter__())
    bench.close()
    assert {path.name for path in folder.iterdir()} == {"new-1ms.mp4"}


# --- what a pipeline may come to -----------------------------------------------------------------------------------


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Has the pipeline do something else than render."""
    from diffusers.pipelines.wan.pipeline_wan import WanPipeline

    def instead(what: Callable[[], Any]) -> None:
        plain = WanPipeline.__call__

        # Its signature is read.
        @wraps(plain)
        def call(self: Any, *_: Any, **__: Any) -> Any:
            return what()

        monkeypatch.setattr(WanPipeline, "__call__", call)

    return instead


def frames(value: float) -> Any:
    import numpy as np

    return np.full((1, 5, SMALL[1], SMALL[0], 3), value, np.float32)


def raising(error: type[Exception], said: str) -> Callable[[], Any]:
    def what() -> Any:
        raise error(said)

    return what


@pytest.mark.parametrize("flag", [True, [True], [[False, True]]])
def test_a_clip_that_the_pipelines_own_checker_flags_is_a_refusal(
    bench: Bench, job: Job, renders: Any, flag: Any
) -> None:
    renders(lambda: SimpleNamespace(frames=frames(0.5), nsfw_content_detected=flag))
    failed = failure_of(bench, job)
    assert (failed.kind, failed.ending) == (FailureKind.MODERATION, Ending.OUTPUT_REFUSED)
    assert not failed.retry_allowed and bench.files(job) == []


@pytest.mark.parametrize("flag", [None, False, [False], []])
def test_a_clip_that_is_not_flagged_is_none(bench: Bench, job: Job, renders: Any, flag: Any) -> None:
    renders(lambda: SimpleNamespace(frames=frames(0.5), nsfw_content_detected=flag))
    assert bench.ended(job).size_bytes


@pytest.mark.parametrize(
    ("what", "kind", "ending", "said"),
    [
        (raising(ValueError, "height must be divisible"), FailureKind.INVALID, Ending.FAILED, "refuses the order"),
        (raising(RuntimeError, "shapes differ"), FailureKind.GENERATION, Ending.FAILED, "failed: shapes differ"),
        (
            raising(torch.OutOfMemoryError, "tried to allocate 20 GiB"),
            FailureKind.TRANSIENT,
            Ending.FAILED,
            "not enough memory on the GPU: tried to allocate",
        ),
        (
            lambda: SimpleNamespace(frames=frames(float("nan"))),
            FailureKind.GENERATION,
            Ending.FAILED,
            "no numbers; try VIDEO_PIPELINE_DIFFUSERS_DTYPE=bfloat16",
        ),
    ],
    ids=["order", "call", "memory", "no numbers"],
)
def test_a_pipeline_that_fails_says_why_and_its_memory_is_returned_all_the_same(
    renderer: Watched,
    job: Job,
    tmp_path: Path,
    renders: Any,
    what: Callable[[], Any],
    kind: FailureKind,
    ending: Ending,
    said: str,
) -> None:
    renders(what)
    bench = Bench(renderer, tmp_path / "rendered")
    failed = failure_of(bench, job)
    assert (failed.kind, failed.ending) == (kind, ending)
    assert said in failed.reason
    bench.close()
    assert renderer.loaded and renderer.holds == 0 and bench.files(job) == []


def test_a_prompt_that_the_pipelines_own_checker_refuses_is_a_refusal(
    bench: Bench, job: Job, renders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers.pipelines.wan.pipeline_wan import WanPipeline

    monkeypatch.setattr(WanPipeline, "safety_checker", object(), raising=False)
    renders(raising(ValueError, "Cosmos Guardrail detected unsafe text in the prompt: x"))
    failed = failure_of(bench, job)
    assert (failed.kind, failed.ending) == (FailureKind.MODERATION, Ending.PROMPT_REFUSED)


# --- what a folder may be ------------------------------------------------------------------------------------------


def changed(pipeline: Path, folder: Path, **index: Any) -> Path:
    """A copy of the pipeline's folder, with something else in its index."""
    shutil.copytree(pipeline, folder, copy_function=os.link)
    told = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").unlink()
    (folder / "model_index.json").write_text(json.dumps(told | index))
    return folder


def _pickled(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").rename(folder / "vae" / "diffusion_pytorch_model.bin")


@pytest.mark.parametrize(
    ("index", "change", "said"),
    [
        ({}, lambda folder: (folder / "model_index.json").unlink(), "its model_index.json cannot be read"),
        ({}, lambda folder: (folder / "model_index.json").write_text("{"), "its model_index.json is not JSON"),
        ({"_class_name": ["own", "Pipe"]}, None, "pipelines with code of their own do not run"),
        ({"_class_name": "NoSuchPipeline"}, None, "wants NoSuchPipeline, which is no pipeline of diffusers"),
        ({"_class_name": "AutoencoderKLWan"}, None, "wants AutoencoderKLWan, which is no pipeline of diffusers"),
        ({"_class_name": "FluxPipeline"}, None, "FluxPipeline in .* does not take num_frames"),
        ({"_class_name": "WanImageToVideoPipeline"}, None, "cannot render without image"),
        ({"vae": ["os", "system"]}, None, "takes its vae from os; only parts of diffusers and transformers"),
        ({"vae": ["own_code", "Vae"]}, None, "takes its vae from own_code"),
        ({}, _pickled, r"has its vae only as diffusion_pytorch_model\.bin, .* take weights in safetensors"),
    ],
    ids=[
        "no index", "no JSON", "code of its own", "unknown class", "no pipeline", "no video", "only from pictures",
        "any module", "any code", "pickled weights",
    ],
)  # fmt: skip
def test_a_folder_that_cannot_render_is_said_before_anything_is_submitted(
    pipeline: Path, tmp_path: Path, job: Job, index: dict, change: Callable[[Path], Any] | None, said: str
) -> None:
    folder = changed(pipeline, tmp_path / "pipeline", **index)
    if change is not None:
        change(folder)
    bench = Bench(Watched(folder), tmp_path / "rendered")
    with pytest.raises(NotAccepted, match=said) as refused:
        bench.run(bench.provider.submit(job, before=lambda: pytest.fail("nothing is to be sent")))
    assert refused.value.kind is FailureKind.INVALID
    bench.close()


def test_weights_that_are_damaged_are_said(pipeline: Path, tmp_path: Path, job: Job) -> None:
    folder = changed(pipeline, tmp_path / "pipeline")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.write_bytes(b"nothing of the kind")
    bench = Bench(Watched(folder), tmp_path / "rendered")
    failed = failure_of(bench, job)
    assert failed.kind is FailureKind.INVALID and f"the pipeline in {folder}" in failed.reason
    assert "cannot be loaded" in failed.reason
    bench.close()


def test_a_gpu_that_is_not_there_is_said(
    pipeline: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    bench = Bench(Watched(pipeline, device="cuda"), tmp_path / "rendered")
    with pytest.raises(NotAccepted, match=f"{DEVICE} is cuda, and torch finds no such GPU here"):
        bench.run(bench.provider.submit(job))
    bench.close()


# --- how it is connected -------------------------------------------------------------------------------------------


def connected(tmp_path: Path, **given: str) -> Any:
    section = DiffusersSection(_env_file=None, state_dir=tmp_path, **given)  # pyright: ignore[reportCallIssue]
    return PROVIDERS["diffusers"].connect(section, httpx.AsyncClient())


def test_a_folder_connects_it_whether_it_is_a_pipeline_or_holds_some(pipeline: Path, tmp_path: Path) -> None:
    for folder in (pipeline, pipeline.parent):
        provider = connected(tmp_path, folder=str(folder))
        assert provider.trusted_origins == {(tmp_path / "diffusers").as_uri()}
    assert connected(tmp_path) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folder": "/nowhere/at/all"}, f"{FOLDER} is /nowhere/at/all, which cannot be read"),
        ({"folder": "{empty}"}, "neither it nor a folder in it holds a pipeline"),
        ({"device": "cuda"}, f"{DEVICE} is set, and {FOLDER}, where the pipelines are, is not"),
    ],
)
def test_half_or_wrong_settings_are_a_sentence(tmp_path: Path, given: dict[str, str], said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=said):
        connected(tmp_path, **{name: value.format(empty=tmp_path / "empty") for name, value in given.items()})


def test_a_device_that_there_is_not_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE, "gpu")
    with pytest.raises(ConfigurationError, match=f"The settings are not valid: {DEVICE}: Input should be 'auto'"):
        get_settings().section(DiffusersSection)


def test_without_the_extra_the_sentence_says_what_to_install(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "accelerate" else found(name))
    with pytest.raises(ConfigurationError, match=r"accelerate is not installed. Install video-pipeline\[local\]"):
        connected(tmp_path, folder=str(pipeline))


def test_in_the_sandbox_nothing_is_rendered_here(job: Job, tmp_path: Path) -> None:
    client = httpx.AsyncClient()
    provider = PROVIDERS["diffusers"].connect_sandbox("http://127.0.0.1:1", client)
    with pytest.raises(NotAccepted, match="the sandbox renders nothing on this machine"):
        asyncio.run(provider.submit(job))


def test_no_other_provider_may_name_a_file_of_this_machine(tmp_path: Path) -> None:
    client = httpx.AsyncClient()
    connections = {name: vendor.connect_sandbox("http://127.0.0.1:1", client) for name, vendor in PROVIDERS.items()}
    naming = {
        name
        for name, provider in connections.items()
        if any(origin.startswith("file:") for origin in (*provider.trusted_origins, *provider.media_origins))
    }
    assert naming == {"diffusers"}


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ({"pipeline": "/etc"}, f"pipeline: .*it must name a folder in {FOLDER}"),
        ({"pipeline": "../other"}, f"pipeline: .*it must name a folder in {FOLDER}"),
        ({"image_to_video": None}, "names no class that renders from a start image"),
        ({"steps": 0}, "steps: Input should be greater than or equal to 1"),
        ({"device": "cuda"}, "device: Extra inputs are not permitted"),
    ],
)
def test_a_wire_that_is_wrong_is_said_when_the_catalogue_is_loaded(
    sandbox_catalogue: Catalogue, wire: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_wires(tiny_catalogue(sandbox_catalogue, **wire))


def test_the_documented_row_is_one(sandbox_catalogue: Catalogue) -> None:
    page = (Path(__file__).parents[2] / "docs" / "own_gpu.md").read_text()
    [row] = yaml.safe_load(page.rpartition("```yaml\n")[2].partition("```")[0])
    rows = sandbox_catalogue.model_dump(mode="json") | {"models": [row], "anchor": None}
    assert check_wires(Catalogue.model_validate(rows)).models[0].provider == "diffusers"


def test_a_receipt_is_the_jobs_own_key(bench: Bench, job: Job) -> None:
    with pytest.raises(ConfigurationError, match="has its own key as its id"):
        bench.provider.receipt(job, "something else")
