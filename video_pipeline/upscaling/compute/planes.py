"""Pictures as the codecs hold them: planes of luma and chroma, and the facts that are needed to read them.

Plain data without torch and PyAV.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    Planes = tuple[np.ndarray, np.ndarray, np.ndarray]

# (columns, rows) of luma that share a chroma sample, by pixel format as the upscaler takes it over the bus.
_LAYOUTS = {
    "yuv420p": ((2, 2), 8),
    "yuv422p": ((2, 1), 8),
    "yuv444p": ((1, 1), 8),
    "yuv420p10le": ((2, 2), 10),
    "yuv422p10le": ((2, 1), 10),
    "yuv444p10le": ((1, 1), 10),
}
PIXEL_FORMATS = tuple(_LAYOUTS)
"""The planar formats that the engine reads, by ffmpeg's names."""


@dataclass(frozen=True, slots=True)
class PlaneFormat:
    """How to read a picture's planes. `size` is (width, height) of luma; `matrix` is ffmpeg's name."""

    size: tuple[int, int]
    pixel_format: str
    matrix: str
    full_range: bool

    @property
    def subsampling(self) -> tuple[int, int]:
        """Luma (columns, rows) that share a chroma sample."""
        return _LAYOUTS[self.pixel_format][0]

    @property
    def bit_depth(self) -> int:
        """Bits a sample: 8, or 10 in 16-bit integers."""
        return _LAYOUTS[self.pixel_format][1]
