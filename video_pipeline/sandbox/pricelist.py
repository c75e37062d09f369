"""What the sandbox's models cost and what they are worth: the price list, read from `models.yaml`.

How a vendor's request becomes an order is the wires' business.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from video_pipeline.sandbox.orders import Order

GENERIC = "generic"
"""The line that serves every model name outside `sandbox/`."""


@dataclass(frozen=True)
class PricedModel:
    """One line of the price list, with the qualities that the pipeline cannot see. Prices are US dollars."""

    name: str
    appeal: float
    refusal_rate: float = 0.0
    resolutions: tuple[str, ...] = ()
    default_resolution: str = ""
    usd_per_s: Decimal = Decimal(0)
    usd_per_s_audio: Decimal | None = None
    """None for a model that makes no sound."""
    usd_per_image: Decimal = Decimal(0)
    affinity: dict[str, float] = field(default_factory=dict)

    def usd(self, order: Order) -> Decimal:
        """What an order costs."""
        if order.kind == "image":
            return self.usd_per_image * order.images
        if order.audio and self.usd_per_s_audio is not None:
            return self.usd_per_s_audio * order.seconds
        return self.usd_per_s * order.seconds


class PriceList:
    """The models on sale, from the packaged `models.yaml` or the one in the state folder."""

    def __init__(self, path: Path) -> None:
        listed = yaml.safe_load(path.read_text())
        self.render_delay_s = float(listed["render_delay_s"])
        self.fps = int(listed["fps"])
        self.max_seconds = Decimal(listed["max_duration_s"])
        self._models = {name: _model(name, entry) for name, entry in listed["models"].items()}
        self._generic = _model(GENERIC, listed["generic"])

    def model(self, name: str) -> PricedModel | None:
        """The model of a name, of which the first two parts between slashes count.

        None for a name under `sandbox/` that is not on sale.
        """
        own = "/".join(name.split("/")[:2])
        if own.startswith("sandbox/"):
            return self._models.get(own)
        return self._generic

    def named_in(self, label: str) -> PricedModel:
        """The model that a published video names: in full, or by its bare name."""
        for name, model in self._models.items():
            if name in label or name.removeprefix("sandbox/") in re.split(r"\W+", label.lower()):
                return model
        return self._generic


def video_size(short_side: int, aspect: tuple[int, int]) -> tuple[int, int]:
    """Width and height with the short side given, both even, as H.264 in 4:2:0 needs them."""
    wide, high = aspect
    long_side = round(short_side * max(wide, high) / min(wide, high) / 2) * 2
    return (long_side, short_side) if wide >= high else (short_side, long_side)


def _model(name: str, entry: dict[str, Any]) -> PricedModel:
    resolutions = tuple(entry.get("resolutions") or ([entry["resolution"]] if "resolution" in entry else []))
    usd_per_s = Decimal(entry.get("usd_per_s", "0"))
    with_audio = entry.get("usd_per_s_audio", usd_per_s if name == GENERIC else None)
    return PricedModel(
        name=name,
        appeal=float(entry["appeal"]),
        refusal_rate=float(entry.get("refusal_rate", 0)),
        resolutions=resolutions,
        default_resolution=entry.get("default_resolution") or next(iter(resolutions), ""),
        usd_per_s=usd_per_s,
        usd_per_s_audio=None if with_audio is None else Decimal(with_audio),
        usd_per_image=Decimal(entry.get("usd_per_image", "0")),
        affinity=dict(entry.get("affinity") or {}),
    )
