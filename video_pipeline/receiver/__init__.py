"""The receiver of webhooks: a small server that vendors' servers call when a job has ended.

A call is verified, noted in the ledger, and answered. It moves no job: generation, which would poll anyway, wakes up
(docs/decisions/0004-lost-submits.md).
"""

from video_pipeline.receiver.keys import KeySet
from video_pipeline.receiver.receiver import Caller, Receiver, serve, uvicorn_config

__all__ = ["Caller", "KeySet", "Receiver", "serve", "uvicorn_config"]
