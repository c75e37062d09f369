"""Every real model of the catalogue: the arguments built for it are taken by an endpoint of its name and render.

The sandbox serves any endpoint id by one rule, with the sizes and lengths that such models have.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from video_pipeline.briefs import Quality
from video_pipeline.generation import PROVIDERS
from video_pipeline.generation.ladder import Attempt, Strategy
from video_pipeline.generation.own_pictures import PictureSender
from video_pipeline.generation.providers.endpoints import EndpointWire
from video_pipeline.generation.providers.fal import VENDOR, FalProvider
from video_pipeline.generation.requests import build_job
from video_pipeline.generation.serving import can_anchor
from video_pipeline.ledger import Job, JobKind
from video_pipeline.media import probe
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, Model, RoutingState, Tier, Unit, load_catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.briefs.test_bibles import write_picture
from video_pipeline_tests.contract.conftest import Run
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of, plan_of
from video_pipeline_tests.contract.test_every_provider import booked, ended, submitted

REAL = load_catalogue(sandbox=False)
PICTURE = "data:image/png;base64,AAAA"
_DIAL = {Tier.PREVIEW: Quality.DRAFT, Tier.PRODUCTION: Quality.STANDARD, Tier.CINEMATIC: Quality.PREMIUM}

XAI = {"duration": 3, "generate_audio": True, "aspect_ratio": "9:16"}
_ALIBABA = {"prompt_extend": False, "watermark": False}
_AVATAR = {
    "type": "avatar",
    "avatar_id": "an-avatar",
    "voice_id": "a-voice",
    "aspect_ratio": "9:16",
    "output_format": "mp4",
}
ARGUMENTS = {
    "fal-ai/minimax/h3": {"duration": 4, "resolution": "480P"},
    "fal-ai/ltx-2.3-fast": {"duration": 6, "resolution": "1080p", "generate_audio": True},
    "fal-ai/fast-wan-2.2-5b": {"num_frames": 73, "frames_per_second": 24, "resolution": "480p"},
    "fal-ai/wan-2.2-5b": {"num_frames": 73, "frames_per_second": 24, "resolution": "720p"},
    "fal-ai/krea-wan-14b": {"num_frames": 54},
    "fal-ai/ltx-2.3-distilled": {
        "num_frames": 65,
        "fps": 24,
        "video_size": {"width": 480, "height": 832},
        "generate_audio": True,
    },
    "fal-ai/wan-2.2-a14b-turbo": {"resolution": "480p"},
    "fal-ai/wan-2.2-a14b": {
        "num_frames": 45,
        "frames_per_second": 16,
        "resolution": "480p",
        "num_interpolated_frames": 0,
    },
    "fal-ai/minimax/h3-max-turbo": {"duration": 5, "resolution": "480P"},
    "fal-ai/minimax/h3-max": {"duration": 5, "resolution": "480P"},
    "fal-ai/vidu-q3-turbo": {"duration": 3, "resolution": "540p", "audio": True},
    "fal-ai/veo-3.1-lite": {"duration": "4s", "resolution": "720p", "generate_audio": True},
    "fal-ai/vidu-q3": {"duration": 3, "resolution": "540p", "audio": True},
    "fal-ai/wan-2.7": {"duration": "3", "resolution": "720p"},
    "bytedance/seedance-2.0": {"duration": "4", "resolution": "480p", "generate_audio": True},
    "fal-ai/kling-3-standard": {"duration": "3", "generate_audio": True},
    "runway/gen4.5": {"model": "gen4.5", "ratio": "720:1280", "duration": 3},
    "dashscope/wan-2.7": _ALIBABA | {"model": "wan2.7-t2v", "resolution": "720P", "ratio": "9:16", "duration": 3},
    "dashscope/wan-3.0": _ALIBABA
    | {"model": "wan3.0-video", "resolution": "480P", "ratio": "9:16", "duration": 3, "audio": True},
    "dashscope/happyhorse-1.1": _ALIBABA
    | {"model": "happyhorse-1.1-t2v", "resolution": "480P", "ratio": "9:16", "duration": 3},
    "runway/gemini-omni-flash": {"model": "gemini_omni_flash", "ratio": "720:1280", "duration": 3},
    "xai/grok-imagine-1.5-lite": XAI | {"model": "grok-imagine-video-1.5-lite", "resolution": "480p"},
    "higgsfield/cinema-studio-4.0": {"duration": 4, "resolution": "480p", "generate_audio": True},
    "higgsfield/ltx-2.5-fast": {"duration": 6, "resolution": "720p", "generate_audio": True},
    "heygen/avatar-iii": _AVATAR | {"resolution": "1080p", "engine": {"type": "avatar_iii"}},
    "heygen/avatar-iv": _AVATAR
    | {"resolution": "1080p", "engine": {"type": "avatar_iv"}, "motion_prompt": "a harbour"},
    "heygen/avatar-iv-4k": _AVATAR
    | {"resolution": "4k", "engine": {"type": "avatar_iv"}, "motion_prompt": "a harbour"},
    "xai/grok-imagine-1.5": XAI | {"model": "grok-imagine-video-1.5", "resolution": "720p"},
}
KEYS = tuple(f"references/{number}.png" for number in range(4))
REFERENCES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "fal": ("reference_image_urls", str),
    "xai": ("reference_images", lambda one: one["url"]),
    "dashscope": ("media", lambda one: one["url"] if one["type"] == "reference_image" else ""),
}
# Where a vendor's wire differs: the field of the prompt, and of the start image.
PROMPT_FIELD = {"runway": "promptText", "heygen": "script"}
START_IMAGE = {
    "runway": ("promptImage", PICTURE),
    "xai": ("image", {"url": PICTURE}),
    "dashscope": ("media", [{"type": "first_frame", "url": PICTURE}]),
}
NO_SEED = {
    *("runway/gemini-omni-flash", "xai/grok-imagine-1.5-lite", "xai/grok-imagine-1.5"),
    *(model.model for model in REAL.models if model.talking),
}


def job_for(model: Model, policy: Policy, **brief: object) -> Job:
    """The job of a three-second shot that goes to `model`, as there is no other."""
    alone = Catalogue(name="one model", models=(model,), anchor=REAL.anchor)
    given = {
        "quality": _DIAL[model.tier],
        "duration_s": 3,
        "native_audio": model.offers_audio,
        "orientation": model.orientations[0],
    }
    if model.talking is not None:
        given |= {"script": "a harbour", "presenter": {"avatar": "an-avatar", "voice": "a-voice"}, "duration_s": None}
    plan = plan_of(brief_of(f"a harbour at dawn, {model.model}", **(given | brief)), alone, policy)
    return build_job(plan, plan.decisions[0], Attempt(0, Strategy.ORIGINAL, "a harbour"), alone, run_id="a-run")


def endpoint_wire(model: Model) -> EndpointWire | None:
    """How a model's endpoints want their arguments; None where a vendor has one way for all."""
    wire = PROVIDERS[model.provider].wire.model_validate(model.wire)
    return wire if isinstance(wire, EndpointWire) else None


def flat(job: Job) -> dict[str, Any]:
    """A job's arguments without the folders that some vendors put them in."""
    arguments = dict(job.request["arguments"])
    return {**arguments.pop("input", {}), **arguments.pop("parameters", {}), **arguments}


def _booked_s(job: Job, model: Model) -> float:
    """The length at the sandbox, which knows one default and no model's own, and how long two words take."""
    wire = endpoint_wire(model)
    return 5.0 if wire is not None and wire.duration_as == "nothing" else job.requested_s


def test_the_table_covers_every_model() -> None:
    assert set(ARGUMENTS) == {model.model for model in REAL.models}


@pytest.mark.parametrize("model", REAL.models, ids=lambda model: model.model)
def test_the_arguments_of_a_model_are_as_its_endpoint_names_them(model: Model, policy: Policy) -> None:
    job, wire = job_for(model, policy), endpoint_wire(model)
    ratio = {"aspect_ratio": "9:16"} if wire is not None and wire.aspect_ratio_field else {}
    expected = {PROMPT_FIELD.get(model.provider, "prompt"): "a harbour"} | ratio | ARGUMENTS[model.model]
    assert {name: value for name, value in flat(job).items() if name != "seed"} == expected
    seeded = wire.seed if wire is not None else model.model not in NO_SEED
    assert ("seed" in flat(job)) is seeded
    if wire is not None:
        assert job.request["endpoint"] == wire.text_to_video


@pytest.mark.parametrize("model", REAL.models, ids=lambda model: model.model)
def test_a_request_to_a_model_is_taken_and_booked_at_its_length(
    run: Run, client: httpx.AsyncClient, edge: Edge, policy: Policy, model: Model
) -> None:
    edge.fault("stuck")  # What is booked is known on acceptance; nothing need be rendered.
    job = job_for(model, policy)
    run(PROVIDERS[model.provider].connect_sandbox(edge.base_url, client).submit(job))
    [there] = booked(edge, job)
    assert job.request["endpoint"] in there["endpoint"]
    assert float(there["seconds"]) == pytest.approx(_booked_s(job, model), abs=1e-4)
    assert Decimal(there["usd"]) > 0


@pytest.mark.parametrize(
    "model", [model for model in REAL.models if model.image_to_video], ids=lambda model: model.model
)
def test_a_request_that_starts_from_a_picture_is_taken(
    run: Run, client: httpx.AsyncClient, edge: Edge, policy: Policy, model: Model
) -> None:
    edge.fault("stuck")
    alone = Catalogue(name="one model", models=(model,), anchor=REAL.anchor)
    plan = plan_of(brief_of("a harbour", quality=_DIAL[model.tier], duration_s=4), alone, policy)
    [decision] = plan.decisions
    assert can_anchor(plan, decision, [], alone, policy.routing, RoutingState())
    still = Attempt(1, Strategy.IMAGE_ANCHORING, "a harbour", kind=JobKind.IMAGE)
    picture = build_job(plan, decision, still, alone, run_id="a-run")
    picture = replace(picture, media_url=PICTURE)
    moving = Attempt(1, Strategy.IMAGE_ANCHORING, "a harbour", image=picture)
    job = build_job(plan, decision, moving, alone, run_id="a-run")
    wire = endpoint_wire(model)
    field, given = (wire.image_field, PICTURE) if wire is not None else START_IMAGE[model.provider]
    assert flat(job)[field] == given
    if wire is not None:
        assert job.request["endpoint"] == wire.image_to_video
    run(PROVIDERS[model.provider].connect_sandbox(edge.base_url, client).submit(job))
    [there] = booked(edge, job)
    assert float(there["seconds"]) == pytest.approx(_booked_s(job, model), abs=1e-4)


@pytest.mark.parametrize("model", [model for model in REAL.models if model.references], ids=lambda model: model.model)
def test_reference_pictures_go_with_a_request_and_only_their_keys_into_the_ledger(
    run: Run, client: httpx.AsyncClient, edge: Edge, policy: Policy, model: Model, store: LocalStore
) -> None:
    edge.fault("stuck")
    alone = Catalogue(name="one model", models=(model,), anchor=None)
    plan = plan_of(brief_of("a harbour", quality=_DIAL[model.tier], duration_s=4), alone, policy, references=KEYS)
    assert model.references is not None
    most = model.references.most
    job = build_job(plan, plan.decisions[0], Attempt(0, Strategy.ORIGINAL, "a harbour"), alone, run_id="a-run")
    assert job.order.references == KEYS[:most]
    assert all(key in json.dumps(job.request) for key in KEYS[:most])
    sent = run(PictureSender(store).handed_over(job))
    assert "references/" not in json.dumps(sent.request)
    field, shown = REFERENCES[model.provider]
    pictures = [shown(one) for one in flat(sent)[field]]
    assert len(pictures) == min(most, len(KEYS))
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
    run(PROVIDERS[model.provider].connect_sandbox(edge.base_url, client).submit(sent))
    assert len(booked(edge, sent)) == 1


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """One with the pictures of `KEYS`."""
    store = LocalStore(tmp_path / "store")
    for number, key in enumerate(KEYS):
        write_picture(tmp_path / f"{number}.png", (640, 960), colour=("red", "green", "blue", "white")[number])
        store.put_bytes(key, (tmp_path / f"{number}.png").read_bytes(), content_type="image/png")
    return store


def test_the_picture_of_the_third_rung_is_taken(run: Run, fal: FalProvider, edge: Edge, policy: Policy) -> None:
    edge.fault("stuck")
    plan = plan_of(brief_of("a harbour", duration_s=4), REAL, policy)
    still = Attempt(1, Strategy.IMAGE_ANCHORING, "a harbour", kind=JobKind.IMAGE)
    job = build_job(plan, plan.decisions[0], still, REAL, run_id="a-run")
    endpoint = VENDOR.wire.model_validate(REAL.anchor_model.wire).text_to_image
    assert (job.request["endpoint"], job.expected_usd) == (endpoint, REAL.anchor_model.usd_per_image)
    run(fal.submit(job))
    [there] = booked(edge, job)
    assert (Decimal(there["seconds"]), Decimal(there["usd"]) > 0) == (0, True)


def test_a_request_to_a_real_model_renders_what_was_decided(
    run: Run, fal: FalProvider, client: httpx.AsyncClient, policy: Policy, tmp_path
) -> None:
    vidu = REAL.named("fal-ai/vidu-q3")
    job = job_for(vidu, policy, duration_s=1, native_audio=True)
    rendered = run(ended(fal, submitted(run, fal, job)))
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(run(client.get(rendered.media_url)).content)
    info = probe(clip)
    assert info.video is not None
    assert info.video.size == (540, 960)
    assert info.audio


def test_the_price_api_leaves_out_what_is_not_sold(run: Run, fal: FalProvider) -> None:
    sold, gone = "sandbox/sprint/text-to-video", "sandbox/marathon/text-to-video"
    told = run(fal.prices([sold, gone]))
    assert set(told) == {sold}
    assert (told[sold].usd, told[sold].per, told[sold].currency) == (Decimal("0.022"), Unit.SECOND, "USD")
