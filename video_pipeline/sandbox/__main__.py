"""`python -m video_pipeline.sandbox --state-dir DIR`: runs the server in the foreground."""

from video_pipeline.sandbox.server import main

if __name__ == "__main__":
    main()
