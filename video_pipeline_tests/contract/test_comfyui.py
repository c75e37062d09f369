"""The ComfyUI adapter against the sandbox's server: every answer means what `comfyui.py` says it means."""

import asyncio
import base64
import io
import json
import logging
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import PROVIDERS, check_wires
from video_pipeline.generation.providers import JobFailed, NotAccepted, SubmitUnknown, Undecided
from video_pipeline.generation.providers.comfyui import VENDOR, ComfyUIProvider, ComfyUISection, ComfyUIWire, Queue
from video_pipeline.ledger import FailureKind, Job
from video_pipeline.media import probe
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, Model, load_own_gpu_catalogue
from video_pipeline.services import Services
from video_pipeline.settings import Mode, Settings
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.contract.conftest import Run, with_receipt
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, job_of
from video_pipeline_tests.contract.test_every_provider import booked, ended, submitted
from video_pipeline_tests.contract.vendors import rendered_by_comfyui

OWN = load_own_gpu_catalogue()
WORKFLOWS = Path(VENDOR.translate.__self__.request.__code__.co_filename).with_name("comfyui_workflows")
ORDER = RenderOrder(
    prompt="a harbour", orientation=Orientation.PORTRAIT, duration_s=1, frames=24, fps=24, size=(96, 160), seed=7
)


def picture() -> str:
    """A data URI."""
    buffer = io.BytesIO()
    Image.new("RGB", (96, 160), "navy").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@pytest.fixture
def comfyui(edge: Edge, client: httpx.AsyncClient) -> ComfyUIProvider:
    return server(edge, client)


def server(edge: Edge, client: httpx.AsyncClient, path: str = "/comfyui") -> ComfyUIProvider:
    """The adapter before the sandbox's server, or before its older one."""
    return ComfyUIProvider(client, url=f"{edge.base_url}{path}", trusted_origins=(edge.base_url,))


@pytest.fixture
def own_catalogue(sandbox_catalogue: Catalogue) -> Catalogue:
    return rendered_by_comfyui(sandbox_catalogue)


@pytest.fixture
def job(request: pytest.FixtureRequest, own_catalogue: Catalogue, policy: Policy) -> Job:
    """A planned one-second video that no other test has ordered."""
    return job_of(brief_of(f"waves on a beach, {request.node.name}"), own_catalogue, policy)


def changed(job: Job, node: str, **inputs: Any) -> Job:
    """The job with other inputs of a node than its order asks for."""
    workflow = json.loads(json.dumps(job.request["arguments"]))
    workflow[node]["inputs"] |= inputs
    return replace(job, request=job.request | {"arguments": workflow})


def test_a_workflow_is_rendered_once_for_nothing_and_its_seconds_are_told(
    run: Run, comfyui: ComfyUIProvider, client: httpx.AsyncClient, edge: Edge, job: Job, tmp_path: Path
) -> None:
    bought = submitted(run, comfyui, job)
    rendered = run(ended(comfyui, bought))
    [there] = booked(edge, job)
    assert (there["request_id"], Decimal(there["usd"])) == (bought.provider_job_id, 0)
    assert bought.provider_job_id is not None and bought.provider_job_id.replace("-", "") == job.key[:32]
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(run(client.get(rendered.media_url)).content)
    info = probe(clip)
    assert info.video is not None
    assert (info.video.size, info.duration_s) == ((108, 192), pytest.approx(1, abs=0.1))
    assert rendered.gpu_s is not None and 0 < rendered.gpu_s < 20


def test_nothing_is_moderated(run: Run, comfyui: ComfyUIProvider, own_catalogue: Catalogue, policy: Policy) -> None:
    job = job_of(brief_of("Close-up of a famous actor crying, in blood"), own_catalogue, policy)
    assert run(ended(comfyui, submitted(run, comfyui, job))).media_url


@pytest.mark.parametrize("fault", ["submit_503", "drop_before_accept"])
@pytest.mark.parametrize("path", ["/comfyui", "/comfyui-2024"])
def test_a_submit_that_never_arrived_is_in_doubt_and_then_sent_again(
    run: Run, client: httpx.AsyncClient, edge: Edge, job: Job, fault: str, path: str
) -> None:
    comfyui = server(edge, client, path)
    edge.fault(fault)
    with pytest.raises(SubmitUnknown):
        run(comfyui.submit(job))
    assert booked(edge, job) == []
    bought = submitted(run, comfyui, job)
    assert [request["request_id"] for request in booked(edge, job)] == [bought.provider_job_id]


@pytest.mark.parametrize("path", ["/comfyui", "/comfyui-2024"])
@pytest.mark.parametrize("when", ["waiting", "ended"])
def test_a_lost_submit_is_found_by_our_key_whoever_chose_its_id(
    run: Run, client: httpx.AsyncClient, edge: Edge, job: Job, path: str, when: str
) -> None:
    edge.fault("drop_after_accept")
    if when == "waiting":
        edge.fault("stuck")
    with pytest.raises(SubmitUnknown):
        run(server(edge, client, path).submit(job))
    [there] = booked(edge, job)
    comfyui = server(edge, client, path)
    if when == "ended":
        run(ended(comfyui, replace(job, provider_job_id=there["request_id"])))
    assert submitted(run, comfyui, job).provider_job_id == there["request_id"]
    assert len(booked(edge, job)) == 1
    assert (there["request_id"].replace("-", "") == job.key[:32]) is (path == "/comfyui")


def test_a_job_tells_once_where_it_is(
    run: Run, comfyui: ComfyUIProvider, edge: Edge, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    edge.fault("stuck")
    stuck = submitted(run, comfyui, job)

    async def at_work() -> None:
        while not any("is being rendered" in record.message for record in caplog.records):
            assert await comfyui.poll(stuck) is False
            await asyncio.sleep(0.01)

    with caplog.at_level(logging.INFO):
        run(asyncio.wait_for(at_work(), 10))
        assert run(comfyui.poll(stuck)) is False
    told = [record.message for record in caplog.records]
    assert told[-1] == f"{job.clip_id} shot 0 is being rendered at ComfyUI"
    assert len(told) == len(set(told))


def test_the_smallest_number_of_the_queue_comes_first() -> None:
    queue = Queue.model_validate(
        {"queue_running": [[3, "first", {}, {}, []]], "queue_pending": [[9, "third", {}, {}], [5, "second", {}, {}]]}
    )
    assert [queue.ahead_of(name) for name in ("first", "second", "third", "nobody")] == [0, 1, 2, None]


@pytest.mark.parametrize(
    ("node", "inputs", "said"),
    [
        ("latent", {"width": 99_999}, "node latent (Wan22ImageToVideoLatent): Value 99999 bigger than max of 16384"),
        ("unet", {"unet_name": "absent.safetensors"}, "unet_name: 'absent.safetensors' not in []"),
    ],
)
def test_a_workflow_at_fault_is_refused_with_its_node_and_would_be_again(
    run: Run, comfyui: ComfyUIProvider, edge: Edge, job: Job, node: str, inputs: dict[str, Any], said: str
) -> None:
    wrong = changed(job, node, **inputs)
    with pytest.raises(NotAccepted) as refused:
        run(comfyui.submit(wrong))
    assert (refused.value.kind, refused.value.documented) == (FailureKind.INVALID, True)
    assert said in refused.value.reason
    assert booked(edge, wrong) == []


def test_a_node_that_the_server_has_not_got_is_named(run: Run, comfyui: ComfyUIProvider, job: Job) -> None:
    workflow = job.request["arguments"] | {"more": {"class_type": "FancySampler", "inputs": {}}}
    with pytest.raises(NotAccepted, match=r"node FancySampler does not exist\. \(Node ID '#more'\)") as refused:
        run(comfyui.submit(replace(job, request=job.request | {"arguments": workflow})))
    assert refused.value.kind is FailureKind.INVALID


def test_a_workflow_that_is_taken_without_the_end_that_we_need_is_called_off(
    run: Run, comfyui: ComfyUIProvider, edge: Edge, job: Job
) -> None:
    edge.fault("stuck")
    look = {
        "empty": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "look": {"class_type": "PreviewImage", "inputs": {"images": ["empty", 0]}},
    }
    half = changed(job, "latent", width=99_999)
    half = replace(half, request=half.request | {"arguments": half.request["arguments"] | look})
    with pytest.raises(NotAccepted, match=r"node latent \(Wan22ImageToVideoLatent\)") as refused:
        run(comfyui.submit(half))
    assert refused.value.kind is FailureKind.INVALID
    [there] = booked(edge, half)
    assert there["outcome"] == "canceled"


def test_a_node_that_fails_is_named_and_costs_nothing(
    run: Run, comfyui: ComfyUIProvider, edge: Edge, job: Job
) -> None:
    edge.fault("job_failed")
    with pytest.raises(JobFailed, match=r"node sampler \(KSampler\) failed: The model failed to generate") as failed:
        run(ended(comfyui, submitted(run, comfyui, job)))
    assert failed.value.kind is FailureKind.GENERATION
    assert failed.value.ending not in comfyui.terms.billed


def test_a_server_that_was_restarted_has_lost_its_jobs_and_renders_them_again(
    run: Run, comfyui: ComfyUIProvider, edge: Edge, job: Job
) -> None:
    lost = submitted(run, comfyui, job)
    edge.fault("restarted")
    with pytest.raises(JobFailed, match="does not know it any more") as failed:
        run(ended(comfyui, lost))
    assert failed.value.kind is FailureKind.TRANSIENT
    assert failed.value.ending not in comfyui.terms.billed
    again = replace(job, key=job.key[::-1])
    assert run(ended(comfyui, submitted(run, comfyui, again))).media_url


@pytest.mark.parametrize("fault", ["status_500", "unknown_status", "result_503"])
def test_trouble_while_reading_is_not_the_end_of_a_job(
    run: Run, comfyui: ComfyUIProvider, edge: Edge, job: Job, fault: str
) -> None:
    bought = submitted(run, comfyui, job)
    run(ended(comfyui, bought))
    edge.fault(fault)
    with pytest.raises(Undecided):
        run(comfyui.result(bought))
    assert run(ended(comfyui, bought)).media_url


@pytest.mark.parametrize("path", ["/comfyui", "/comfyui-2024"])
def test_a_job_that_is_rendered_can_be_called_off(
    run: Run, client: httpx.AsyncClient, edge: Edge, job: Job, path: str
) -> None:
    comfyui = server(edge, client, path)
    edge.fault("stuck")
    stuck = submitted(run, comfyui, job)

    async def at_work() -> None:
        running = []
        while stuck.provider_job_id not in running:
            queue = (await client.get(f"{edge.base_url}{path}/queue")).json()
            running = [request[1] for request in queue["queue_running"]]

    run(asyncio.wait_for(at_work(), 10))
    run(comfyui.cancel(stuck))
    with pytest.raises(JobFailed) as failed:
        run(ended(comfyui, stuck))
    assert failed.value.kind is FailureKind.CANCELED


def test_a_job_of_somebody_else_is_not_interrupted(
    run: Run, client: httpx.AsyncClient, edge: Edge, job: Job, own_catalogue: Catalogue, policy: Policy
) -> None:
    """An older server would interrupt whatever is at work."""
    comfyui = server(edge, client, "/comfyui-2024")
    edge.fault("stuck")
    theirs = submitted(run, comfyui, job)
    ours = submitted(run, comfyui, job_of(brief_of("rain on a roof, ours"), own_catalogue, policy))
    run(ended(comfyui, ours))
    run(comfyui.cancel(ours))
    assert run(comfyui.poll(theirs)) is False


def test_a_start_image_is_handed_over_and_loaded(run: Run, comfyui: ComfyUIProvider, edge: Edge, job: Job) -> None:
    order = job.order.model_copy(update={"start_image": picture()})
    wire = {"text_to_video": "fastwan_5b_text", "image_to_video": "fastwan_5b_image"}
    moving = replace(job, order=order, request=VENDOR.translate(order, wire))
    loaded = moving.request["arguments"]["start_image"]["inputs"]["image"]
    assert loaded.startswith("video-pipeline-") and loaded.endswith(".png")
    assert run(ended(comfyui, submitted(run, comfyui, moving))).media_url
    assert len(booked(edge, moving)) == 1


@pytest.mark.parametrize("address", ["data:image/png;base64,%%%", "https://127.0.0.1/x.png", "BASE/media/none_0.png"])
def test_a_start_image_that_cannot_be_had_is_told_before_anything_is_sent(
    run: Run, comfyui: ComfyUIProvider, edge: Edge, job: Job, address: str
) -> None:
    order = job.order.model_copy(update={"start_image": address.replace("BASE", edge.base_url)})
    wire = {"text_to_video": "fastwan_5b_text", "image_to_video": "fastwan_5b_image"}
    with pytest.raises(NotAccepted, match="the start image could not be had") as refused:
        run(comfyui.submit(replace(job, order=order, request=VENDOR.translate(order, wire))))
    assert refused.value.kind is FailureKind.INVALID


@pytest.mark.parametrize("status", [500, 503, 403])
def test_a_start_image_that_cannot_be_had_now_is_asked_for_again(
    run: Run, edge: Edge, client: httpx.AsyncClient, job: Job, status: int
) -> None:
    """Its host's trouble is not the workflow's fault, and does not keep the model from the shot for good."""
    with answering(status, b"") as host:
        comfyui = ComfyUIProvider(client, url=f"{edge.base_url}/comfyui", trusted_origins=(host.base_url,))
        order = job.order.model_copy(update={"start_image": f"{host.base_url}/x.png"})
        wire = {"text_to_video": "fastwan_5b_text", "image_to_video": "fastwan_5b_image"}
        with pytest.raises(NotAccepted, match="the start image could not be had") as refused:
            run(comfyui.submit(replace(job, order=order, request=VENDOR.translate(order, wire))))
    assert refused.value.kind is FailureKind.TRANSIENT


# --- workflows and the catalogue -----------------------------------------------------------------------------------


def test_the_packaged_rows_name_workflows_that_fit() -> None:
    assert check_wires(OWN) is OWN
    named = {name for model in OWN.models for name in model.wire.values()}
    assert named == {file.stem for file in WORKFLOWS.glob("*.json")}


@pytest.mark.parametrize("model", OWN.models, ids=lambda model: model.model)
def test_a_workflow_is_told_everything_that_an_order_says(model: Model) -> None:
    request = PROVIDERS[model.provider].translate(ORDER, model.wire)
    nodes = request["arguments"]
    assert nodes["positive"]["inputs"]["text"] == "a harbour"
    sized = nodes["latent"]["inputs"]
    assert (sized["width"], sized["height"], sized["length"]) == (96, 160, 24)
    assert nodes["video"]["inputs"]["fps"] == 24.0
    assert 7 in nodes["sampler"]["inputs"].values()
    assert nodes["save"]["inputs"]["filename_prefix"].startswith("video-pipeline/")
    assert request["output"] == "save"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": {"prompt": "positive.text"}}, "inputs must say where width, height, frames, file_name go"),
        ({"output": "nobody"}, "output names the node nobody"),
        ({"prompt": "positive.words"}, "inputs.prompt names positive.words, which the workflow has not got"),
        ({"workflow": []}, "workflow: Input should be an object"),
    ],
    ids=["inputs", "output", "place", "no workflow"],
)
def test_a_workflow_that_does_not_fit_is_told_when_the_catalogue_is_loaded(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    document = json.loads((WORKFLOWS / "wan22_5b_text.json").read_text())
    place = change.pop("prompt", None)
    document |= change
    if place:
        document["inputs"]["prompt"] = place
    path = tmp_path / "own.json"
    path.write_text(json.dumps(document))
    wrong = OWN.models[0].model_copy(update={"wire": {"text_to_video": str(path)}, "image_to_video": False})
    with pytest.raises(ConfigurationError, match=r"comfyui/fast-wan-2\.2-5b of the catalogue own GPU") as caught:
        check_wires(OWN.model_copy(update={"models": (wrong,)}))
    assert said in str(caught.value)


def test_a_workflow_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"the workflow nobody cannot be read .* packaged are fastwan_5b_image, "):
        VENDOR.translate(ORDER, {"text_to_video": "nobody"})


def test_a_row_without_pixels_or_frames_is_told_what_it_needs() -> None:
    for missing in ({"size": None}, {"frames": None}):
        with pytest.raises(ValueError, match="a price per megapixel_frame"):
            VENDOR.request(ORDER.model_copy(update=missing), ComfyUIWire(text_to_video="ltx_2b_text"))


# --- settings ------------------------------------------------------------------------------------------------------


def test_the_own_servers_files_may_be_fetched_and_nobody_elses(client: httpx.AsyncClient) -> None:
    section = ComfyUISection(url="http://gpu-machine:8188/", _env_file=None)  # pyright: ignore[reportCallIssue]
    provider = VENDOR.connect(section, client)
    assert provider is not None
    assert provider.trusted_origins == {"http://gpu-machine:8188"}
    assert VENDOR.connect(ComfyUISection(_env_file=None), client) is None  # pyright: ignore[reportCallIssue]


def test_its_models_are_there_where_it_is_connected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for vendor in PROVIDERS.values():
        for key in vendor.section.keys():  # noqa: SIM118  # a section is no mapping
            monkeypatch.delenv(key, raising=False)

    def live() -> Services:
        given: dict[str, Any] = {"_env_file": None, "mode": Mode.LIVE, "state_dir": tmp_path}
        return Services(Settings(**given))

    assert not any(model.provider == "comfyui" for model in live().catalogue.models)
    assert live().own_gpu is False
    monkeypatch.setenv("VIDEO_PIPELINE_COMFYUI_URL", "http://gpu-machine:8188")
    assert [model.model for model in live().catalogue.models] == [model.model for model in OWN.models]
    assert live().own_gpu is True
    monkeypatch.setenv("FAL_KEY", "k")
    assert {model.provider for model in live().catalogue.models} == {"fal", "comfyui"}


# --- answers that nobody documents ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"<html>busy</html>",
        b"[]",
        b"null",
        b'{"message": "no", "code": 7}',
        b'{"queue_running": [], "queue_pending": [["a"]]}',
        b'{"0f8fad5b-d9cb-469f-a165-70867728950e": {"prompt": [], "outputs": {}, "status": null}}',
    ],
)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_history_that_is_none_says_nothing_of_a_job(
    run: Run, client: httpx.AsyncClient, job: Job, body: bytes, status: int
) -> None:
    with answering(status, body) as stranger:
        comfyui = ComfyUIProvider(client, url=stranger.base_url)
        bought = with_receipt(job, comfyui.receipt(job, "0f8fad5b-d9cb-469f-a165-70867728950e"))
        for read in (comfyui.poll, comfyui.result):
            with pytest.raises(Undecided):
                run(read(bought))
        run(comfyui.cancel(bought))


@pytest.mark.parametrize(
    "entry",
    [
        {"outputs": {}, "status": {"status_str": "success", "completed": True}},
        {
            "outputs": {"save": {"images": [{"filename": "", "type": "output"}]}},
            "status": {"status_str": "success", "completed": True},
        },
        {"outputs": {"save": ["x"]}, "status": {"status_str": "success", "completed": True}},
        {"outputs": {}, "status": {"status_str": "success", "completed": False}},
        {"outputs": {}, "status": {"status_str": "error", "completed": False, "messages": []}},
        {"outputs": {}, "status": {"status_str": "folding", "completed": False}},
    ],
    ids=["no file", "no name", "no saved file", "not completed", "no reason", "unknown word"],
)
def test_an_end_that_is_not_documented_is_asked_about_again(
    run: Run, client: httpx.AsyncClient, job: Job, entry: dict[str, Any]
) -> None:
    body = json.dumps({"a-prompt": {"prompt": []} | entry}).encode()
    with answering(200, body) as stranger:
        comfyui = ComfyUIProvider(client, url=stranger.base_url)
        with pytest.raises(Undecided):
            run(comfyui.result(with_receipt(job, comfyui.receipt(job, "a-prompt"))))


@pytest.mark.parametrize(
    ("began", "ended_at", "gpu_s"), [(1000, 22_500, 21.5), (None, 5, None), (5000, 1000, None), (0, 1e12, None)]
)
def test_the_seconds_of_the_gpu_are_those_between_start_and_success(
    run: Run, client: httpx.AsyncClient, job: Job, began: int | None, ended_at: float, gpu_s: float | None
) -> None:
    messages = [["execution_start", {"timestamp": began}], ["execution_success", {"timestamp": ended_at}]]
    entry = {
        "prompt": [],
        "outputs": {
            "save": {"images": [{"filename": "a b.mp4", "subfolder": "x", "type": "output"}], "animated": [True]}
        },
        "status": {"status_str": "success", "completed": True, "messages": messages},
    }
    with answering(200, json.dumps({"a-prompt": entry}).encode()) as stranger:
        comfyui = ComfyUIProvider(client, url=stranger.base_url)
        rendered = run(comfyui.result(with_receipt(job, comfyui.receipt(job, "a-prompt"))))
    assert rendered.gpu_s == gpu_s
    assert rendered.media_url == f"{stranger.base_url}/view?filename=a+b.mp4&subfolder=x&type=output"


def test_a_lookup_that_cannot_be_read_sends_nothing(run: Run, client: httpx.AsyncClient, job: Job) -> None:
    with answering(503, b"busy") as stranger:
        with pytest.raises(NotAccepted) as refused:
            run(ComfyUIProvider(client, url=stranger.base_url).submit(job))
        assert refused.value.kind is FailureKind.TRANSIENT
        assert {method for method, _, _ in stranger.asked} == {"GET"}
