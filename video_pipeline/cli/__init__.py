"""The command line: `video-pipeline …`. Every error a user can cause ends as one sentence and a non-zero exit."""

from video_pipeline.cli.app import main

__all__ = ["main"]
