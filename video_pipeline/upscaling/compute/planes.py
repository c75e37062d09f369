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
    "yuv411p": ((4, 1), 8),
    "yuv410p": ((4, 4), 8),
    "yuv444p": ((1, 1), 8),
    "yuv420p10le": ((2, 2), 10),
    "yuv422p10le": ((2, 1), 10),
    "yuv444p10le": ((1, 1), 10),
}
PIXEL_FORMATS = tuple(_LAYOUTS)
"""The planar formats that the engine reads, by ffmpeg's names."""


@dataclass(frozen=True, slots=True)
class PlaneFormat:
    """How to read a picture's planes. `size` is (width, height) of luma; `matrix` and `siting` are ffmpeg's names.

    The siting says where among its pixels a chroma sample stands: across on the first ("left", "topleft",
    "bottomleft") or in the middle; down on the first ("topleft", "top"), on the last ("bottomleft", "bottom") or in
    the middle. H.264's own is "left".
    """

    size: tuple[int, int]
    pixel_format: str
    matrix: str
    full_range: bool
    siting: str = "left"

    @property
    def subsampling(self) -> tuple[int, int]:
        """Luma (columns, rows) that share a chroma sample."""
        return _LAYOUTS[self.pixel_format][0]

    @property
    def chroma_at(self) -> tuple[float, float]:
        """Luma columns and rows from the first pixel of a chroma sample to the sample."""
        across, down = self.subsampling
        column = 0.0 if self.siting.endswith("left") else (across - 1) / 2
        row = 0.0 if self.siting.startswith("top") else down - 1.0 if self.siting.startswith("bottom") else None
        return column, (down - 1) / 2 if row is None else row

    @property
    def bit_depth(self) -> int:
        """Bits a sample: 8, or 10 in 16-bit integers."""
        return _LAYOUTS[self.pixel_format][1]
