"""The vendors' wires: one file a vendor behind `protocol.py`, and the only table that names them."""

from video_pipeline.sandbox.wires.comfyui import ComfyUI
from video_pipeline.sandbox.wires.dashscope import DashScope
from video_pipeline.sandbox.wires.fal import Fal
from video_pipeline.sandbox.wires.heygen import HeyGen
from video_pipeline.sandbox.wires.higgsfield import Higgsfield
from video_pipeline.sandbox.wires.instagram import Instagram
from video_pipeline.sandbox.wires.protocol import Backend, Wire
from video_pipeline.sandbox.wires.runway import Runway
from video_pipeline.sandbox.wires.xai import Xai
from video_pipeline.sandbox.wires.youtube import YouTube

WIRES: dict[str, type[Wire]] = {
    wire.name: wire for wire in (Fal, Higgsfield, Runway, Xai, DashScope, HeyGen, ComfyUI, YouTube, Instagram)
}

__all__ = ["WIRES", "Backend", "Wire"]
