"""A real HTTP server on 127.0.0.1 that stands in for the video providers and the publishing platforms.

One render farm (`farm.py`) and one channel (`channel.py`) serve every vendor. Each vendor's HTTP API is one file in
`wires/`. The server renders real footage, bills, moderates, publishes, keeps its own books, and takes faults on
request. It imports no other room, so that nothing but sockets joins it to the pipeline. Callers need only the names
below.
"""

from video_pipeline.sandbox.process import (
    SandboxAddress,
    SandboxError,
    SandboxPortTaken,
    ensure_running,
    is_running,
    stop,
)

__all__ = ["SandboxAddress", "SandboxError", "SandboxPortTaken", "ensure_running", "is_running", "stop"]
