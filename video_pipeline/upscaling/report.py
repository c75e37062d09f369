"""What a caller gives to the upscaler and gets back: settings, progress, report, and the cost of electricity.

Plain data without torch or PyAV, so that any module may import it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Literal

from video_pipeline.policy import Encoder, Preset, energy_usd
from video_pipeline.upscaling.compute.engine import Precision
from video_pipeline.upscaling.compute.power import Share
from video_pipeline.upscaling.compute.weights import check_denoise, find_model

# Part of every fingerprint. Raise it when a change of the code changes the pictures: clips are then done again. What
# lies within the accuracy of a number format, as between executions and devices, is no such change.
_REVISION = 4


EngineName = Literal["own", "realesrgan"]
"""Our engine, or the yardstick: RealESRGANer of the package `realesrgan`."""


@dataclass(frozen=True, slots=True)
class UpscaleSettings:
    """The choices that decide the result.

    `engine` names who runs the network. `short_side` is the target's shorter side: even pixels, 16 or more. `crf`
    (0..51, lower is better) is the constant quality of either encoder. `preset` is x264's (see `film.encoders`).
    `blend` (0..1) is the network's share of the picture; the rest is the source enlarged by Lanczos. `denoise` is
    explained in `compute.weights.load_weights`, and `precision` in `Engine`. Raises ValueError for a number out of
    range, and WeightsError for an unknown model.
    """

    model: str = "realesr-animevideov3"
    engine: EngineName = "own"
    short_side: int = 1080
    blend: float = 1.0
    denoise: float = 1.0
    precision: Precision = "auto"
    crf: int = 18
    encoder: Encoder = "auto"
    preset: Preset = "veryfast"

    def __post_init__(self) -> None:
        find_model(self.model)
        check_denoise(self.model, self.denoise)
        if not 0 <= self.blend <= 1:
            raise ValueError(f"blend is the network's share, 0 to 1, and not {self.blend}.")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf is 0 to 51, and not {self.crf}.")
        if self.short_side < 16 or self.short_side % 2:
            raise ValueError(f"short_side is an even number of pixels, 16 or more, and not {self.short_side}.")

    def fingerprint(self, weights_sha256: str | None = None) -> str:
        """A sha256 that changes with everything that changes the pictures. With the input's own, the key of G3.4.

        `weights_sha256` is `Engine.weights_sha256` when the engine runs the caller's own weights file. Without it,
        the model's official weights count.
        """
        facts = asdict(self) | {
            "weights_sha256": weights_sha256 or find_model(self.model).default_sha256,
            "revision": _REVISION,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Electricity:
    """The price of a second of work: peak watts of each device, the share of them in use, and the tariff (G3.1)."""

    gpu_watts: float = 450.0
    cpu_watts: float = 65.0
    utilisation: float = 0.8
    usd_per_kwh: Decimal = Decimal("0.12")

    def usd(self, share: Share, device: str) -> Decimal:
        """Cost of a clip's share of `device` ("cpu" or "cuda") in dollars, rounded to a millionth.

        Measured energy is used where there is any. Otherwise the watts are an estimate.
        """
        if share.joules is not None:
            joules = Decimal(str(share.joules))
        else:
            watts = self.gpu_watts if device == "cuda" else self.cpu_watts
            joules = Decimal(str(share.seconds)) * Decimal(str(watts)) * Decimal(str(self.utilisation))
        return energy_usd(joules, self.usd_per_kwh)


@dataclass(frozen=True, slots=True)
class UpscaleProgress:
    """How far a clip is. `frames_total` and `eta_s` are None when the container does not tell the frame count."""

    frames_done: int
    frames_total: int | None
    elapsed_s: float

    @property
    def fps(self) -> float:
        """Frames finished per second, so far."""
        return self.frames_done / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds left at this speed; None when that is unknown."""
        if self.frames_total is None or self.fps == 0:
            return None
        return max(0, self.frames_total - self.frames_done) / self.fps


@dataclass(frozen=True, slots=True)
class UpscaleReport:
    """What was done to one clip, as measured. Sizes are (width, height) in pixels.

    The stages overlap, so their seconds may add up to more than `wall_s`.
    """

    source_size: tuple[int, int]
    target_size: tuple[int, int]
    frames: int
    repeated_frames: int
    """Frames that equal the one before; its result was used again."""
    deinterlaced_frames: int
    """Frames that were made whole of two fields."""
    duration_s: float
    model: str
    weights_sha256: str
    fingerprint: str
    device: str
    precision: str
    execution: str
    """How the network was run (see `compute.execution`); "none" when it was not used."""
    encoder: str
    video_kbps: float
    decode_s: float
    network_s: float
    encode_s: float
    wall_s: float
    device_s: float
    """The clip's share of the device's time: `wall_s`, divided among clips at work together (see `compute.power`)."""
    electricity_usd: Decimal
    electricity_measured: bool
    """Whether the energy was read from the GPU. Otherwise it is estimated (see Electricity)."""
    notes: tuple[str, ...]
    """How the clip was read where that is not plain, and what of its file did not come along: sentences."""

    @property
    def network_used(self) -> bool:
        """Whether the picture went through the network."""
        return self.execution != "none"

    @property
    def fps(self) -> float:
        """Frames per second from file to file."""
        return self.frames / self.wall_s

    @property
    def realtime_factor(self) -> float:
        """Seconds of video per second of work."""
        return self.duration_s / self.wall_s
