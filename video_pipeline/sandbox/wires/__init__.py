"""The vendors' wires: one file a vendor behind `protocol.py`, and the only table that names them."""

from video_pipeline.sandbox.wires.fal import Fal
from video_pipeline.sandbox.wires.protocol import Backend, Wire
from video_pipeline.sandbox.wires.youtube import YouTube

WIRES: dict[str, type[Wire]] = {"fal": Fal, "youtube": YouTube}

__all__ = ["WIRES", "Backend", "Wire"]
