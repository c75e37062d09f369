"""A real HTTP server on 127.0.0.1 that stands in for the video providers and the publishing platform.

What belongs here: everything on the far side of the wire. The server speaks the fal queue API and the YouTube Data
API, renders real footage, bills, moderates, publishes, keeps its own books, and misbehaves on request. It imports no
other room, so that nothing but sockets joins it to the pipeline. Callers need only the three names below.
"""

from video_pipeline.sandbox.process import SandboxAddress, SandboxError, SandboxPortTaken, ensure_running, stop

__all__ = ["SandboxAddress", "SandboxError", "SandboxPortTaken", "ensure_running", "stop"]
