"""The target size of a clip: arithmetic on (width, height) in pixels."""

from fractions import Fraction

from video_pipeline.errors import MediaError, UpscalingError
from video_pipeline.media import MAX_PIXELS, VideoStream

# Models give 848x480 or 854x480 for "16:9"; platforms want exactly 1080x1920. An aspect within this tolerance of a
# standard one is treated as standard.
_STANDARD_ASPECTS = (Fraction(16, 9), Fraction(9, 16), Fraction(1))
_TOLERANCE = Fraction(1, 100)
# The longest side that x264 takes.
_LONGEST = 16384


def target_size(video: VideoStream, short_side: int) -> tuple[int, int]:
    """The (width, height) in square pixels whose shorter side is `short_side`, for the picture that a player shows.

    The aspect is kept, to the nearest even size. An aspect within 1 % of 16:9, 9:16 or 1:1 becomes exactly that, so
    854x480 gives 1920x1080. Raises MediaError for a strip of a picture, whose longer side no H.264 file would hold.
    """
    aspect = _shown_aspect(video)
    for standard in _STANDARD_ASPECTS:
        if abs(aspect / standard - 1) <= _TOLERANCE:
            aspect = standard
    longer = _even(short_side * max(aspect, 1 / aspect))
    size = (longer, short_side) if aspect >= 1 else (short_side, longer)
    if not _fits(size):
        raise MediaError(f"A picture of {video.size[0]}x{video.size[1]} would become too large: {_too_large(size)}")
    return size


def check_size(video: VideoStream, size: tuple[int, int]) -> None:
    """Raise UpscalingError for a size that H.264 cannot hold, MediaError for one that would distort this picture.

    The aspect may differ by 1 %.
    """
    if any(side < 16 or side % 2 for side in size):
        raise UpscalingError(f"{size[0]}x{size[1]} is no target size: both sides are even numbers, 16 or more.")
    if not _fits(size):
        raise UpscalingError(_too_large(size))
    aspect = _shown_aspect(video)
    if abs(Fraction(*size) / aspect - 1) > _TOLERANCE:
        raise MediaError(
            f"{size[0]}x{size[1]} would distort a picture of {video.size[0]}x{video.size[1]}; choose a size of "
            "the same aspect, and crop or pad in another step."
        )


def grows(video: VideoStream, size: tuple[int, int]) -> bool:
    """Whether `size` is larger than the clip on any side. If not, the clip is only resized, without the network."""
    return size[0] > video.size[0] or size[1] > video.size[1]


def _fits(size: tuple[int, int]) -> bool:
    return max(size) <= _LONGEST and size[0] * size[1] <= MAX_PIXELS


def _too_large(size: tuple[int, int]) -> str:
    return (
        f"{size[0]}x{size[1]} is more than H.264 holds ({_LONGEST} pixels a side, 8K UHD in all); choose a "
        "smaller size or short side."
    )


def _shown_aspect(video: VideoStream) -> Fraction:
    pixel = video.sample_aspect_ratio
    return Fraction(*video.size) * (1 / pixel if video.rotation in (90, 270) else pixel)


def _even(length: Fraction) -> int:
    return 2 * round(length / 2)
