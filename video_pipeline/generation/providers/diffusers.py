"""Pipelines of diffusers in folders of this machine, rendered by this very process on the team's own GPU.

There is no server and no wire. A run loads the pipeline that its first job wants, renders one clip after another, and
gives the memory back at its end. A finished clip is a file in the state folder, under its job's key: whoever asks for
that job, in this process or a later one, is given it. A job that no file is there of is rendered, whoever began it.

Nothing is bought, and nothing is moderated but by a pipeline that has a safety checker of its own.
"""

import asyncio
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation.providers.diffusers_renderer import (
    INDEX,
    Asked,
    Device,
    Dtype,
    Renderer,
    UnfitPipeline,
    folders_with_pipelines,
)
from video_pipeline.generation.providers.pictures import picture_at
from video_pipeline.generation.providers.protocol import (
    JobFailed,
    NotAccepted,
    ProviderVendor,
    Recovery,
    Rendered,
    Terms,
)
from video_pipeline.ledger import FailureKind, Job, Receipt
from video_pipeline.orders import Ending, RenderOrder
from video_pipeline.settings import VendorSection, default_state_dir

_LOG = logging.getLogger(__name__)
_WEEK_S = 7 * 24 * 3600.0
_FOLDER = "VIDEO_PIPELINE_DIFFUSERS_FOLDER"
_EXTRA = ("diffusers", "transformers", "accelerate")
# In so many parts of a job its progress is told.
_TOLD = 10


class DiffusersSection(VendorSection):
    """Where the pipelines are, which is what connects them, and what they run on."""

    folder: str | None = Field(None, validation_alias=_FOLDER)
    device: Device = Field("auto", validation_alias="VIDEO_PIPELINE_DIFFUSERS_DEVICE")
    dtype: Dtype = Field("auto", validation_alias="VIDEO_PIPELINE_DIFFUSERS_DTYPE")
    state_dir: Path = Field(default_factory=default_state_dir, validation_alias="VIDEO_PIPELINE_STATE_DIR")


class DiffusersWire(BaseModel):
    """A model's pipeline: its folder under the team's own, and how it is called.

    `image_to_video` names the class that renders from a start image with the same weights. What is left out is the
    pipeline's own default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline: str = "."
    image_to_video: str | None = None
    steps: int | None = Field(None, ge=1)
    guidance: float | None = None

    @field_validator("pipeline")
    @classmethod
    def _inside(cls, given: str) -> str:
        path = PurePosixPath(given)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"it must name a folder in {_FOLDER}")
        return given


class DiffusersProvider:
    """The adapter: jobs in the order in which they come, one at a time.

    `rendered` is a folder of its own for finished clips. Entered as a context manager, it ends what is under way,
    unless the run is broken off, and lets go of the pipeline.
    """

    name = "diffusers"
    terms = Terms(
        recovery=Recovery.REPEAT, billed=frozenset(), concurrency=1, poll_interval_s=1.0, url_lifetime_s=_WEEK_S
    )
    media_origins: frozenset[str] = frozenset()

    def __init__(self, client: httpx.AsyncClient, *, renderer: Renderer, rendered: Path) -> None:
        self._client, self._renderer = client, renderer
        self._rendered = rendered.absolute()
        self.trusted_origins = frozenset({self._rendered.as_uri()})
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="diffusers")
        self._tasks: dict[str, asyncio.Task[Path]] = {}
        self._stops: dict[str, threading.Event] = {}
        self._steps: dict[str, int] = {}
        self._told: dict[str, int] = {}

    async def __aenter__(self) -> "DiffusersProvider":
        await asyncio.to_thread(self._sweep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for key, task in self._tasks.items():
                self._stop_of(key).set()
                task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)
        await asyncio.to_thread(self._renderer.release)

    async def submit(
        self, job: Job, *, before: Callable[[], None] | None = None, webhook: str | None = None
    ) -> Receipt:
        if await asyncio.to_thread(self._finished, job.key) is None:
            try:
                await asyncio.to_thread(self._renderer.check, Asked.model_validate(job.request))
            except UnfitPipeline as error:
                raise NotAccepted(FailureKind.INVALID, str(error)) from error
            if job.order.start_image is not None:
                await self._keep_picture(job.key, job.order.start_image)
        if before is not None:
            before()
        self._begun(job)
        return self.receipt(job, job.key)

    async def reach(self) -> None:
        """It is this process."""

    async def find(self, job: Job, *, known_ids: frozenset[str]) -> Receipt | None:
        raise AssertionError("a lost submit is sent again, and its terms say so")

    def receipt(self, job: Job, provider_job_id: str) -> Receipt:
        if provider_job_id != job.key:
            raise ConfigurationError(f"A job of {self.name} has its own key as its id, which is {job.key}.")
        return Receipt(provider_job_id, {})

    async def poll(self, job: Job) -> bool:
        if self._begun(job).done():
            return True
        steps, all_steps = self._steps.get(job.key, 0), _steps_of(job)
        part = steps * _TOLD // all_steps if all_steps else steps
        if steps and self._told.get(job.key) != part:
            self._told[job.key] = part
            _LOG.info("%s shot %d at diffusers: step %d of %s", job.clip_id, job.shot, steps, all_steps or "its own")
        return False

    async def result(self, job: Job) -> Rendered:
        task = self._begun(job)
        path = await asyncio.shield(task)
        if not path.exists():
            # Somebody has cleared the folder: it costs nothing but time to render it again.
            self._tasks.pop(job.key, None)
            path = await asyncio.shield(self._begun(job))
        return Rendered(path.as_uri(), path.stat().st_size, gpu_s=_gpu_s(path))

    async def cancel(self, job: Job) -> None:
        self._stop_of(job.key).set()

    async def _keep_picture(self, key: str, address: str) -> None:
        """Keep what a job starts from, for whoever goes on with it: its address may hold it no more by then.

        Raises NotAccepted.
        """
        picture = await picture_at(self._client, address, trusted_origins=frozenset())

        def keep() -> None:
            self._rendered.mkdir(parents=True, exist_ok=True)
            part = self._picture(key).with_suffix(f".{os.getpid()}.part")
            part.write_bytes(picture)
            part.replace(self._picture(key))

        await asyncio.to_thread(keep)

    def _picture(self, key: str) -> Path:
        return self._rendered / f"{key}.start"

    def _begun(self, job: Job) -> asyncio.Task[Path]:
        """What renders a job in this process, begun now where nothing does."""
        if job.key not in self._tasks:
            self._tasks[job.key] = asyncio.create_task(self._clip(job), name=f"render {job.key[:16]}")
        return self._tasks[job.key]

    async def _clip(self, job: Job) -> Path:
        """The job's finished clip. Raises JobFailed."""
        found = await asyncio.to_thread(self._finished, job.key)
        if found is not None:
            return found
        picture = None
        if job.order.start_image is not None:
            try:
                if not self._picture(job.key).exists():
                    await self._keep_picture(job.key, job.order.start_image)
            except NotAccepted as error:
                raise JobFailed(error.kind, error.reason, ending=Ending.FAILED) from error
            picture = await asyncio.to_thread(self._picture(job.key).read_bytes)
        render = partial(
            self._renderer.render,
            Asked.model_validate(job.request),
            picture,
            partial(self._file, job.key),
            on_step=partial(self._steps.__setitem__, job.key),
            stop=self._stop_of(job.key),
        )
        path = await asyncio.get_running_loop().run_in_executor(self._thread, render)
        self._picture(job.key).unlink(missing_ok=True)
        return path

    def _stop_of(self, key: str) -> threading.Event:
        return self._stops.setdefault(key, threading.Event())

    def _file(self, key: str, gpu_s: float) -> Path:
        """Where a clip goes; its name has the seconds, so that they are found with it."""
        return self._rendered / f"{key}-{round(gpu_s * 1000)}ms.mp4"

    def _finished(self, key: str) -> Path | None:
        return next(iter(sorted(self._rendered.glob(f"{key}-*ms.mp4"))), None)

    def _sweep(self) -> None:
        """Remove what is too old to be asked for, also the parts that killed processes have left."""
        oldest = time.time() - _WEEK_S
        for path in self._rendered.glob("*"):
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
            except OSError as error:
                _LOG.warning("%s could not be removed: %s", path, os.strerror(error.errno or 0))


def _gpu_s(path: Path) -> float:
    return int(path.stem.rpartition("-")[2].removesuffix("ms")) / 1000


def _steps_of(job: Job) -> int:
    """How many steps a job takes; 0 where that is left to the pipeline."""
    return job.request["arguments"].get("num_inference_steps", 0)


def _request(order: RenderOrder, wire: DiffusersWire) -> dict[str, Any]:
    """What the pipeline is called with. Raises ValueError when the order holds nothing that it needs."""
    if not order.duration_s:
        raise ValueError("a pipeline renders clips, not pictures")
    if order.frames is None or order.fps is None or order.size is None:
        raise ValueError("a pipeline is told frames and pixels: durations in frames, a price per megapixel_frame")
    if order.start_image and wire.image_to_video is None:
        raise ValueError("the model's wire names no class that renders from a start image (image_to_video)")
    optional = {
        "negative_prompt": order.negative_prompt,
        "num_inference_steps": wire.steps,
        "guidance_scale": wire.guidance,
    }
    asked = Asked(
        arguments={
            "prompt": order.prompt,
            "width": order.size[0],
            "height": order.size[1],
            "num_frames": order.frames,
            "frame_rate": order.fps,
            "seed": order.seed or 0,
        }
        | {name: value for name, value in optional.items() if value is not None},
        fps=order.fps,
        pipeline=wire.pipeline,
        starts_from_picture=wire.image_to_video if order.start_image else None,
    )
    return asked.model_dump(exclude_none=True)


def _connect(section: DiffusersSection, client: httpx.AsyncClient) -> DiffusersProvider | None:
    if section.folder is None:
        lonely = section.model_fields_set & {"device", "dtype"}
        if lonely:
            names = " and ".join(str(type(section).model_fields[name].validation_alias) for name in sorted(lonely))
            raise ConfigurationError(f"{names} is set, and {_FOLDER}, where the pipelines are, is not. Set it, too.")
        return None
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"{_FOLDER} is set, and {', '.join(missing)} is not installed. Install video-pipeline[local], or unset "
            "it."
        )
    folder = Path(section.folder).expanduser()
    try:
        there = folders_with_pipelines(folder)
    except OSError as error:
        raise ConfigurationError(f"{_FOLDER} is {folder}, which cannot be read ({error.strerror}).") from error
    if not there:
        raise ConfigurationError(
            f"{_FOLDER} is {folder}, and neither it nor a folder in it holds a pipeline of diffusers, which has a "
            f"{INDEX}."
        )
    renderer = Renderer(folder, device=section.device, dtype=section.dtype)
    return DiffusersProvider(client, renderer=renderer, rendered=section.state_dir / "diffusers")


VENDOR = ProviderVendor(
    name=DiffusersProvider.name,
    section=DiffusersSection,
    wire=DiffusersWire,
    request=_request,
    connect=_connect,
    # There is no wire that the sandbox could speak: what it is ordered there, other models serve.
    connect_sandbox=lambda base_url, client: DiffusersProvider(
        client,
        renderer=Renderer(None, device="auto", dtype="auto"),
        rendered=default_state_dir() / "diffusers-sandbox",
    ),
    own_gpu=True,
)
