"""Pictures as data URIs, for metadata that a database keeps and for pages that need no other file."""

from pathlib import Path

from video_pipeline.errors import MediaError
from video_pipeline.media import data_uri, fitted, jpeg_bytes


def inline_jpeg(path: Path, *, max_bytes: int = 24_000, max_width: int = 480, top: int | None = None) -> str:
    """The picture file at `path` as a `data:image/jpeg` URI of at most `max_bytes` characters.

    For metadata that is stored in a database: the picture, at most `max_width` pixels wide however high it is, is
    made coarser and then smaller until it fits. `top` keeps only so many pixels of its height.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            # A large sheet is not copied.
            opened.load()
            picture = opened if opened.mode == "RGB" else opened.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path} is not a picture that can be opened ({type(error).__name__}).") from error
    if top is not None and picture.height > top:
        picture = picture.crop((0, 0, picture.width, top))
    width = max_width
    while width >= 16:
        small = fitted(picture, (width, picture.height), enlarge=False)
        for quality in (82, 65, 50):
            uri = data_uri("image/jpeg", jpeg_bytes(small, quality))
            if len(uri) <= max_bytes:
                return uri
        width = width * 3 // 4
    raise MediaError(f"{path} cannot be made smaller than {max_bytes} bytes; allow more.")
