"""The only table that names providers."""

from typing import Any

from video_pipeline.generation.providers import comfyui, dashscope, diffusers, fal, heygen, higgsfield, runway, xai
from video_pipeline.generation.providers.protocol import ProviderVendor

PROVIDERS: dict[str, ProviderVendor[Any, Any]] = {
    vendor.name: vendor
    for vendor in (
        fal.VENDOR,
        fal.SERVER,
        higgsfield.VENDOR,
        runway.VENDOR,
        xai.VENDOR,
        dashscope.VENDOR,
        heygen.VENDOR,
        comfyui.VENDOR,
        diffusers.VENDOR,
    )
}
"""Every provider by its name in the catalogue. A new one is its own file and its name here."""


def is_own_gpu(provider: str) -> bool:
    """Whether it renders on the team's own GPU, so that nobody bills it."""
    vendor = PROVIDERS.get(provider)
    return vendor is not None and vendor.own_gpu
