"""`python -m video_pipeline.cli`."""

from video_pipeline.cli import main

main()
