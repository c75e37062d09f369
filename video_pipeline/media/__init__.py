"""Media files as files: running ffmpeg, what a file is, joining and cutting, single frames.

Nothing here knows of briefs or money. Importing this package loads no decoder; its functions do when they are called.
"""

from video_pipeline.media.boxes import box_in, boxes_in, film_head, outer_boxes, tables_of
from video_pipeline.media.encoding import encode
from video_pipeline.media.ffmpeg import INPUT_GUARD, MAX_PIXELS, ffmpeg_exe, run_ffmpeg
from video_pipeline.media.frames import (
    Stills,
    Watcher,
    data_uri,
    fitted,
    frames_at,
    jpeg_bytes,
    last_frame,
    look_through,
    picture_in,
    save_picture,
    upright,
)
from video_pipeline.media.probing import (
    AudioStream,
    MediaInfo,
    VideoStream,
    carries_alpha,
    codec_name,
    codec_of,
    is_cover,
    main_video,
    open_guarded,
    probe,
)
from video_pipeline.media.stitching import Fitting, cut, frame_count, stitch

__all__ = [
    "INPUT_GUARD",
    "MAX_PIXELS",
    "AudioStream",
    "Fitting",
    "MediaInfo",
    "Stills",
    "VideoStream",
    "Watcher",
    "box_in",
    "boxes_in",
    "carries_alpha",
    "codec_name",
    "codec_of",
    "cut",
    "data_uri",
    "encode",
    "ffmpeg_exe",
    "film_head",
    "fitted",
    "frame_count",
    "frames_at",
    "is_cover",
    "jpeg_bytes",
    "last_frame",
    "look_through",
    "main_video",
    "open_guarded",
    "outer_boxes",
    "picture_in",
    "probe",
    "run_ffmpeg",
    "save_picture",
    "stitch",
    "tables_of",
    "upright",
]
