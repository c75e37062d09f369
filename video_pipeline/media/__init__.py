"""Media files as files: running ffmpeg, reading what a file is. Nothing here knows of briefs or money."""

from video_pipeline.media.ffmpeg import INPUT_GUARD, MAX_PIXELS, ffmpeg_exe, run_ffmpeg
from video_pipeline.media.probe import AudioStream, MediaInfo, VideoStream, first_video, open_guarded, probe

__all__ = [
    "INPUT_GUARD",
    "MAX_PIXELS",
    "AudioStream",
    "MediaInfo",
    "VideoStream",
    "ffmpeg_exe",
    "first_video",
    "open_guarded",
    "probe",
    "run_ffmpeg",
]
