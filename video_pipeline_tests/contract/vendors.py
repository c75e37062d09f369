"""Vendors for tests: those that do not exist, put into the tables, and the sandbox's models sold by any provider."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx

from video_pipeline.briefs import Brief
from video_pipeline.generation import PROVIDERS, check_wires
from video_pipeline.generation.providers import Recovery, comfyui
from video_pipeline.generation.providers.fal import FalServer
from video_pipeline.orders import Orientation
from video_pipeline.publishing import PLATFORMS
from video_pipeline.routing import Catalogue, Durations, Frames, Model, Price, Talking, Unit
from video_pipeline_tests.contract import kiln, plaza
from video_pipeline_tests.contract.orders import brief_of


def register() -> None:
    """Add them in this process; a test that shares its process with others asks for `vendors_from_outside`."""
    PROVIDERS[kiln.VENDOR.name] = kiln.VENDOR
    PLATFORMS[plaza.VENDOR.name] = plaza.VENDOR


def rendered_by_comfyui(catalogue: Catalogue) -> Catalogue:
    """The catalogue with every model a workflow of the team's own ComfyUI server, and no model of pictures."""
    models = tuple(
        model.model_copy(
            update={
                "provider": comfyui.VENDOR.name,
                "wire": {"text_to_video": "fastwan_5b_text", "image_to_video": "fastwan_5b_image"},
                "references": None,
                "durations": Durations(frames=Frames(min=8, max=120, step=8, fps=8)),
                "price": Price(per=Unit.MEGAPIXEL_FRAME, silent=dict.fromkeys(model.price.silent, Decimal("0.0001"))),
            }
        )
        for model in catalogue.models
        if model.talking is None
    )
    return catalogue.model_copy(update={"models": models, "anchor": None})


def rendered_by_fal_server(catalogue: Catalogue) -> Catalogue:
    """The catalogue at the team's own server: an entry of fal's is one of the server's with another provider."""
    shown = (model for model in catalogue.models if model.talking is None)
    models = tuple(model.model_copy(update={"provider": FalServer.name}) for model in shown)
    return check_wires(catalogue.model_copy(update={"models": models, "anchor": None}))


def sold_by_kiln(catalogue: Catalogue) -> Catalogue:
    """The catalogue with every model bought through Kiln: its rows are what a stranger would write."""
    anchor = catalogue.anchor_model.model_copy(
        update={"provider": kiln.VENDOR.name, "wire": {"model": catalogue.anchor_model.model}}
    )
    return sold_by(catalogue, kiln.VENDOR.name).model_copy(update={"anchor": anchor})


def sold_by(catalogue: Catalogue, provider: str) -> Catalogue:
    """The sandbox's catalogue with every model bought through a provider of `SOLD`; none of them is for pictures."""
    wire, talking = SOLD[provider], _SPEAKERS if provider in TALKING else None
    models = tuple(
        model.model_copy(
            update={
                "provider": provider,
                "wire": wire(model),
                "talking": talking,
                "references": None,
                "price": model.price.model_copy(update={"sound": model.price.silent}) if talking else model.price,
            }
        )
        for model in catalogue.models
        if talking or model.talking is None
    )
    return catalogue.model_copy(update={"models": models, "anchor": None})


def brief_for(provider: str, prompt: str, **fields: Any) -> Brief:
    """As `brief_of`; the prompt is what is said where nothing else is sold."""
    return brief_of(prompt, **({"script": prompt} if provider in TALKING else {}), **fields)


def recovery_at(provider: str) -> Recovery:
    """How a provider of the package, or Kiln, lets a submit be recovered whose answer was lost."""
    vendor = {**PROVIDERS, kiln.VENDOR.name: kiln.VENDOR}[provider]
    client = httpx.AsyncClient(trust_env=False, verify=False)
    return vendor.connect_sandbox("http://127.0.0.1:1", client).terms.recovery


def offered_by(catalogue: Catalogue, provider: str) -> Catalogue:
    """The sandbox's catalogue with every model at a provider, whether that sells it or is a server of one's own."""
    if provider == comfyui.VENDOR.name:
        return rendered_by_comfyui(catalogue)
    if provider == FalServer.name:
        return rendered_by_fal_server(catalogue)
    return sold_by(catalogue, provider) if provider in SOLD else catalogue


def _pixels(model: Model) -> dict[str, dict[str, str]]:
    return {
        size.name: {shape.value: "{}:{}".format(*size.size(shape)) for shape in Orientation}
        for size in model.resolutions
    }


TALKING = frozenset({"heygen"})
"""Those whose models say scripts, and make nothing else."""
_SPEAKERS = Talking(avatars={"default": "a-presenter"}, voices={"default": "a-voice"})

SOLD: dict[str, Callable[[Model], dict[str, Any]]] = {
    kiln.VENDOR.name: lambda model: {"model": model.model},
    "dashscope": lambda model: {"text_to_video": model.model, "image_to_video": model.model, "audio": True},
    "runway": lambda model: {
        "model": model.model,
        "ratios": _pixels(model),
        "image_to_video": model.image_to_video,
        "audio": True,
    },
    "higgsfield": lambda model: {
        "text_to_video": f"{model.model}/text-to-video",
        "image_to_video": f"{model.model}/image-to-video",
        "audio_field": "generate_audio",
    },
    "xai": lambda model: {"model": model.model, "image_to_video": model.image_to_video},
    "heygen": lambda model: {"engine": model.model, "motion": True},
}
"""How a catalogue entry of each provider names a model of the sandbox."""
