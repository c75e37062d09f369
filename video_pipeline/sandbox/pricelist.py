"""What the sandbox sells: its own price list, and how a request body is read into an order with a price.

Reading refuses what a model would refuse (missing prompt, too long, unknown resolution) in the shape that fal gives
such errors: a list of pydantic details, which come out at the result of the request, not at the submit.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

DEFAULT_SECONDS = Decimal(5)
DEFAULT_IMAGE_SIZE = (1024, 768)
IMAGE_SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
MIN_IMAGE_SIDE, MAX_IMAGE_SIDE = 64, 2048
MAX_IMAGES = 4


class Invalid(Exception):
    """A request body the model does not take; `detail` is one entry of fal's error list."""

    def __init__(self, name: str, message: str, kind: str, given: Any) -> None:
        super().__init__(message)
        self.detail = {"loc": ["body", name], "msg": message, "type": kind, "input": given}


@dataclass(frozen=True)
class Model:
    """One line of the price list, with the qualities that the pipeline cannot see."""

    name: str
    appeal: float
    refusal_rate: float = 0.0
    resolutions: tuple[str, ...] = ()
    default_resolution: str = ""
    usd_per_s: Decimal = Decimal(0)
    usd_per_s_audio: Decimal | None = None
    usd_per_image: Decimal = Decimal(0)
    affinity: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """A request as the model understands it. Sizes are (width, height) pixels; `aspect` is width to height."""

    kind: str
    """"video" or "image"."""
    prompt: str
    seed: int | None
    seconds: Decimal
    """Length of a video, 0 for images."""
    usd: Decimal
    short_side: int
    aspect: tuple[int, int] | None
    """None where the given image decides."""
    size: tuple[int, int] | None
    """Size of an image; None for video, where short side and aspect say it."""
    audio: bool
    images: int
    image_url: str | None


class PriceList:
    """The models on sale, from the packaged `models.yaml` or the one in the state folder."""

    def __init__(self, path: Path) -> None:
        listed = yaml.safe_load(path.read_text())
        self.render_delay_s = float(listed["render_delay_s"])
        self.fps = int(listed["fps"])
        self._max_seconds = Decimal(listed["max_duration_s"])
        self._models = {name: _model(name, entry) for name, entry in listed["models"].items()}
        self._generic = _model("generic", listed["generic"])

    def model(self, endpoint: str) -> Model | None:
        """The model behind an endpoint id; None for an id under `sandbox/` that is not on sale."""
        name = "/".join(endpoint.split("/")[:2])
        if name.startswith("sandbox/"):
            return self._models.get(name)
        return self._generic

    def named_in(self, label: str) -> Model:
        """The model that a published video names: by endpoint id, by model id, or by its bare name."""
        for name, model in self._models.items():
            if name in label or name.removeprefix("sandbox/") in re.split(r"\W+", label.lower()):
                return model
        return self._generic

    def read(self, endpoint: str, body: dict[str, Any]) -> Order:
        """The order in a request body; raises Invalid for what the model does not take."""
        model = self.model(endpoint)
        if model is None:
            raise LookupError(f"no model behind {endpoint}")
        prompt = body.get("prompt")
        if prompt is None:
            raise Invalid("prompt", "Field required", "missing", body)
        if not isinstance(prompt, str) or not prompt.strip():
            raise Invalid("prompt", "Input should be a non-empty string", "string_too_short", prompt)
        seed = body.get("seed")
        if seed is not None and not isinstance(seed, int):
            raise Invalid("seed", "Input should be a valid integer", "int_type", seed)
        if is_image_endpoint(endpoint, model):
            return self._read_image(model, body, prompt, seed)
        return self._read_video(endpoint, model, body, prompt, seed)

    def _read_image(self, model: Model, body: dict[str, Any], prompt: str, seed: int | None) -> Order:
        images = body.get("num_images", 1)
        if not isinstance(images, int) or not 1 <= images <= MAX_IMAGES:
            raise Invalid("num_images", f"Input should be from 1 to {MAX_IMAGES}", "less_than_equal", images)
        return Order(
            kind="image",
            prompt=prompt,
            seed=seed,
            seconds=Decimal(0),
            usd=model.usd_per_image * images,
            short_side=0,
            aspect=None,
            size=_image_size(body),
            audio=False,
            images=images,
            image_url=None,
        )

    def _read_video(self, endpoint: str, model: Model, body: dict[str, Any], prompt: str, seed: int | None) -> Order:
        resolution = str(body.get("resolution") or model.default_resolution).lower()
        if resolution not in model.resolutions:
            expected = " or ".join(f"'{name}'" for name in model.resolutions)
            raise Invalid("resolution", f"Input should be {expected}", "literal_error", body.get("resolution"))
        from_image = is_image_to_video(endpoint)
        image_url = body.get("image_url") or body.get("start_image_url")
        if from_image and not isinstance(image_url, str):
            raise Invalid("image_url", "Field required", "missing", body)
        seconds = self._seconds(body)
        wants_audio = bool(body.get("generate_audio", body.get("audio", False)))
        audio = wants_audio and model.usd_per_s_audio is not None
        usd_per_s = model.usd_per_s_audio if audio and model.usd_per_s_audio is not None else model.usd_per_s
        return Order(
            kind="video",
            prompt=prompt,
            seed=seed,
            seconds=seconds,
            usd=usd_per_s * seconds,
            short_side=int(resolution.removesuffix("p")),
            aspect=_aspect(body, default=None if from_image else (16, 9)),
            size=None,
            audio=audio,
            images=0,
            image_url=image_url if from_image else None,
        )

    def _seconds(self, body: dict[str, Any]) -> Decimal:
        given = body.get("duration", DEFAULT_SECONDS)
        try:
            seconds = Decimal(str(given).removesuffix("s"))
        except InvalidOperation:
            seconds = Decimal("NaN")
        if not seconds.is_finite():
            raise Invalid("duration", "Input should be a number of seconds", "float_parsing", str(given))
        if not 0 < seconds <= self._max_seconds:
            message = f"Input should be greater than 0 and at most {self._max_seconds}"
            raise Invalid("duration", message, "less_than_equal", str(given))
        return seconds


def is_image_to_video(endpoint: str) -> bool:
    return "image-to-video" in endpoint


def is_image_endpoint(endpoint: str, model: Model) -> bool:
    """Own models say so by their price; of the others, those with "flux" or "image" in the id make images."""
    if model.name != "generic":
        return model.usd_per_image > 0
    return not is_image_to_video(endpoint) and ("flux" in endpoint or "image" in endpoint)


def video_size(short_side: int, aspect: tuple[int, int]) -> tuple[int, int]:
    """Width and height with the short side given, both even, as H.264 in 4:2:0 needs them."""
    wide, high = aspect
    long_side = round(short_side * max(wide, high) / min(wide, high) / 2) * 2
    return (long_side, short_side) if wide >= high else (short_side, long_side)


def _model(name: str, entry: dict[str, Any]) -> Model:
    resolutions = tuple(entry.get("resolutions") or ([entry["resolution"]] if "resolution" in entry else []))
    usd_per_s = Decimal(entry.get("usd_per_s", "0"))
    with_audio = entry.get("usd_per_s_audio", usd_per_s if name == "generic" else None)
    return Model(
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


def _aspect(body: dict[str, Any], default: tuple[int, int] | None) -> tuple[int, int] | None:
    given = body.get("aspect_ratio")
    if given in (None, "auto"):
        return default
    match = re.fullmatch(r"(\d{1,2}):(\d{1,2})", str(given))
    if match is None or not 0.25 <= int(match[1]) / max(1, int(match[2])) <= 4:
        raise Invalid("aspect_ratio", "Input should be '16:9', '9:16' or '1:1'", "literal_error", given)
    return int(match[1]), int(match[2])


def _image_size(body: dict[str, Any]) -> tuple[int, int]:
    given = body.get("image_size")
    if given is None:
        aspect = _aspect(body, default=None)
        return DEFAULT_IMAGE_SIZE if aspect is None else video_size(576, aspect)
    if isinstance(given, str) and given in IMAGE_SIZES:
        return IMAGE_SIZES[given]
    match given:
        case {"width": int(width), "height": int(height)} if (
            min(width, height) >= MIN_IMAGE_SIDE and max(width, height) <= MAX_IMAGE_SIDE
        ):
            return width // 2 * 2, height // 2 * 2
    raise Invalid("image_size", f"Input should be one of {', '.join(IMAGE_SIZES)} or a size", "literal_error", given)
