"""The same small clips as the media tests have."""

from video_pipeline_tests.media.conftest import footage, make

__all__ = ["footage", "make"]
