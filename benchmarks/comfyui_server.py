"""The ComfyUI adapter against a real server: `python -m benchmarks.comfyui_server http://127.0.0.1:8188`.

Install and start ComfyUI as its README says. `python main.py --cpu` is enough, and no model files are needed: the
steps use `workflows/weightless.json` (an empty picture, made a video, saved) and the packaged workflows, which a
server without model files refuses by naming them. Each step prints what it saw, and the script fails at the first one
that is not as the adapter expects.

With model files in place, `--render` renders a short clip of each packaged workflow and prints what the GPU's seconds
cost.
"""

import argparse
import asyncio
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import httpx
from rich.console import Console

from video_pipeline.generation import PROVIDERS, Provider
from video_pipeline.generation.download import download
from video_pipeline.generation.providers import JobFailed, NotAccepted, Rendered
from video_pipeline.ledger import Job, JobKind, JobState
from video_pipeline.media import probe
from video_pipeline.orders import Orientation, RenderOrder, sha256_of
from video_pipeline.policy import load_policy
from video_pipeline.routing import load_own_gpu_catalogue

_WEIGHTLESS = str(Path(__file__).with_name("workflows") / "weightless.json")
_VENDOR = PROVIDERS["comfyui"]
_LONGEST_S = 3600.0
console = Console()


def job_of(workflow: str, *, frames: int = 24, size: tuple[int, int] = (256, 448)) -> Job:
    """A job that no server has seen yet, in portrait."""
    name = uuid.uuid4().hex
    order = RenderOrder(
        prompt=f"waves on a beach at dawn, {name[:6]}",
        orientation=Orientation.PORTRAIT,
        duration_s=frames / 24,
        frames=frames,
        fps=24,
        size=size,
        seed=int(name[:7], 16),
    )
    return Job(
        key=sha256_of({"check": name}),
        kind=JobKind.VIDEO,
        day=date.today(),
        clip_id=f"check/{Path(workflow).stem}",
        shot=0,
        shot_sha256="",
        attempt=0,
        strategy="original",
        reason="",
        tier="preview",
        provider=_VENDOR.name,
        model=workflow,
        model_version="",
        order=order,
        request=_VENDOR.translate(order, {"text_to_video": workflow}),
        request_sha256="",
        expected_usd=Decimal(0),
        state=JobState.PLANNED,
        run_id="check",
    )


async def submitted(server: Provider, job: Job) -> Job:
    receipt = await server.submit(job)
    return replace(job, provider_job_id=receipt.provider_job_id, receipt=receipt.document)


async def ended(server: Provider, job: Job) -> Rendered:
    async with asyncio.timeout(_LONGEST_S):
        while not await server.poll(job):
            await asyncio.sleep(0.2)
        return await server.result(job)


async def rendered(server: Provider, client: httpx.AsyncClient, workflow: str, *, frames: int) -> None:
    """Render a clip and look at its file."""
    size = (256, 448)
    job = await submitted(server, job_of(workflow, frames=frames, size=size))
    told = await ended(server, job)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        await download(client, told.media_url, file, trusted_origins=server.trusted_origins, max_bytes=10**9)
        info = probe(file)
    assert info.video is not None and info.video.size == size, info
    assert abs(info.duration_s - frames / 24) < 0.1, info
    usd = load_policy().upscaling.gpu_usd(told.gpu_s or 0.0)
    console.print(f"{Path(workflow).stem}: {size[0]}x{size[1]}, {frames} frames, {told.gpu_s} s of the GPU, ${usd}")


async def looked_up(server: Provider, again: Provider) -> None:
    """A second submit of the same job, by a process that knows nothing of the first, finds it."""
    job = job_of(_WEIGHTLESS)
    first = await submitted(server, job)
    assert (await submitted(again, job)).provider_job_id == first.provider_job_id
    await ended(server, first)
    assert (await submitted(again, job)).provider_job_id == first.provider_job_id
    console.print(f"a lost submit is found by our key: {first.provider_job_id}")


async def called_off(server: Provider) -> None:
    """Of two long jobs the one that waits is called off, then the one at work."""
    long = [await submitted(server, job_of(_WEIGHTLESS, frames=600, size=(512, 896))) for _ in range(2)]
    for job in reversed(long):
        await server.cancel(job)
        try:
            await ended(server, job)
        except JobFailed as error:
            console.print(f"called off: {error.kind}, {error}")
        else:
            console.print("called off too late: it was rendered")


async def forgotten(server: Provider) -> None:
    """A job that the server does not know is said to be gone, and nothing of it billed."""
    job = replace(job_of(_WEIGHTLESS), provider_job_id=str(uuid.uuid4()))
    try:
        await server.poll(job)
    except JobFailed as error:
        assert error.ending not in server.terms.billed
        console.print(f"a job of before a restart: {error.kind}, {error}")
    else:
        raise AssertionError("the server claims to know a job that it never saw")


async def refused(server: Provider, workflow: str) -> None:
    """What a workflow's model files are, in the words of a server that has not got them."""
    try:
        job = await submitted(server, job_of(workflow))
    except NotAccepted as error:
        console.print(f"{workflow}: {error.kind}, {error}")
    else:
        await server.cancel(job)
        console.print(f"{workflow}: its model files are there; --render renders with them")


async def check(url: str, *, render: bool) -> None:
    section = _VENDOR.section(url=url, _env_file=None)
    async with httpx.AsyncClient(trust_env=False) as client:
        servers = [_VENDOR.connect(section, client) for _ in range(2)]
        server, again = (one for one in servers if one is not None)
        await rendered(server, client, _WEIGHTLESS, frames=49)
        await looked_up(server, again)
        await called_off(server)
        await forgotten(server)
        workflows = [model.wire["text_to_video"] for model in load_own_gpu_catalogue().models]
        for workflow in workflows:
            await (rendered(server, client, workflow, frames=49) if render else refused(server, workflow))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comfyui_server", description=__doc__)
    parser.add_argument("url", help="the server's address, such as http://127.0.0.1:8188")
    parser.add_argument("--render", action="store_true", help="render with the packaged workflows")
    options = parser.parse_args(arguments)
    asyncio.run(check(options.url, render=options.render))


if __name__ == "__main__":
    main()
