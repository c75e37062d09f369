"""One pipeline of diffusers in this process: checked, loaded once, asked for a clip at a time, and let go of.

Everything here blocks and belongs into a thread. A folder is data, and stays it: its weights have to be safetensors,
its parts classes of diffusers and transformers, and nothing is downloaded.
"""

import gc
import importlib
import inspect
import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel

from video_pipeline.errors import ConfigurationError, MediaError
from video_pipeline.generation.providers.protocol import JobFailed
from video_pipeline.ledger import FailureKind
from video_pipeline.media import encode
from video_pipeline.orders import Ending
from video_pipeline.settings import keep_hub_quiet
from video_pipeline.wire import clean

_LOG = logging.getLogger(__name__)

Device = Literal["auto", "cuda", "cpu"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]

INDEX = "model_index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
# Weights may take this much of the memory that is free; pictures have to fit beside them.
_SHARE_FOR_WEIGHTS = 0.6
_NEEDED = frozenset({"generator", "output_type", "callback_on_step_end"})
# What a pipeline is told only where it takes it; the clip is the same length without.
_WHERE_TAKEN = frozenset({"negative_prompt", "frame_rate"})
_LONGEST_REASON = 300


class UnfitPipeline(ConfigurationError):
    """A pipeline's folder that cannot render what is ordered, in a sentence that says what to do."""


class Asked(BaseModel):
    """A clip as a job's request holds it.

    `arguments` are what the pipeline is called with, and the seed. `pipeline` is its folder under the team's own;
    `starts_from_picture` names the class that takes a start image.
    """

    arguments: dict[str, Any]
    fps: int
    pipeline: str
    starts_from_picture: str | None = None


@dataclass(frozen=True)
class _Loaded:
    """A pipeline in memory; `offloaded`: its parts go to the GPU one by one while they are used."""

    path: Path
    pipe: Any
    offloaded: bool


class Renderer:
    """Renders with the pipelines in `folder`, of which one is in memory at a time; with none, in the sandbox."""

    def __init__(self, folder: Path | None, *, device: Device, dtype: Dtype) -> None:
        self._folder, self._device, self._dtype = folder, device, dtype
        self._loaded: _Loaded | None = None

    def check(self, asked: Asked) -> None:
        """Raise UnfitPipeline where the folder cannot render it; its weights are not read for that."""
        self._class_for(asked, self._path(asked))
        self._device_in_use()

    def render(
        self,
        asked: Asked,
        picture: bytes | None,
        target: Callable[[float], Path],
        *,
        on_step: Callable[[int], None],
        stop: threading.Event,
    ) -> Path:
        """Render a clip, from `picture` where there is one, into the file that `target` names.

        `target` is told the seconds that the device was at work; `on_step` is called with the number of steps done.
        Raises JobFailed, canceled soon after `stop` is set.
        """
        try:
            return self._rendered(asked, picture, target, on_step, stop)
        except Exception as error:
            _LOG.debug("no clip was rendered", exc_info=True)
            failure = _as_failure(error)
        # Not while it is handled, and without its way: that would keep all that was in memory then.
        raise failure

    def release(self) -> None:
        """Give the memory of the loaded pipeline back."""
        if self._loaded is None:
            return
        self._loaded = None
        # Hooks and modules refer to each other.
        gc.collect()
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _rendered(
        self,
        asked: Asked,
        picture: bytes | None,
        target: Callable[[float], Path],
        on_step: Callable[[int], None],
        stop: threading.Event,
    ) -> Path:
        _check_wanted(stop)
        pipe = self._pipeline(asked)
        taken = _parameters(type(pipe))
        arguments = {name: value for name, value in asked.arguments.items() if name in taken or name == "seed"}
        size = (arguments["width"], arguments["height"])
        torch = importlib.import_module("torch")
        # A CPU's generator gives the same noise whatever the device is.
        arguments["generator"] = torch.Generator("cpu").manual_seed(arguments.pop("seed"))
        if picture is not None:
            arguments["image"] = _start_image(picture, size)

        def step(_: Any, number: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
            _check_wanted(stop)
            on_step(number + 1)
            return values

        began = time.monotonic()
        try:
            output = pipe(**arguments, output_type="np", callback_on_step_end=step)
        except Exception as error:
            if isinstance(error, JobFailed | torch.OutOfMemoryError):
                raise
            raise _failed(pipe, error) from error
        finally:
            # What a call that has ended otherwise would leave on the device.
            pipe.maybe_free_model_hooks()
        gpu_s = time.monotonic() - began
        if any(_flags(getattr(output, "nsfw_content_detected", None))):
            reason = f"{type(pipe).__name__}'s own safety checker flags the clip"
            raise JobFailed(FailureKind.MODERATION, reason, ending=Ending.OUTPUT_REFUSED, retry_allowed=False)
        path = target(gpu_s)
        encode(_pictures(output.frames[0]), path, size=size, rate=Fraction(asked.fps))
        return path

    def _pipeline(self, asked: Asked) -> Any:
        """The pipeline that renders it, on its device; loaded where another one is, or none. Raises UnfitPipeline."""
        path = self._path(asked)
        of_class = self._class_for(asked, path)
        loaded = self._loaded
        if loaded is None or loaded.path != path:
            loaded = None
            self.release()
            loaded = self._placed(path, self._read(path))
        if type(loaded.pipe) is not of_class:
            loaded = _of_the_same_parts(of_class, loaded)
        self._loaded = loaded
        return loaded.pipe

    def _read(self, path: Path) -> Any:
        began = time.monotonic()
        diffusers = _diffusers()
        torch = importlib.import_module("torch")
        dtype = self._dtype
        if dtype == "auto":
            dtype = "bfloat16" if self._device_in_use() == "cuda" else "float32"
        try:
            pipe = diffusers.DiffusionPipeline.from_pretrained(
                str(path), dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True
            )
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise UnfitPipeline(f"the pipeline in {path} cannot be loaded: {_said(error)}") from error
        pipe.set_progress_bar_config(disable=True)
        _LOG.info("%s is loaded from %s after %.1f s", type(pipe).__name__, path, time.monotonic() - began)
        return pipe

    def _placed(self, path: Path, pipe: Any) -> _Loaded:
        """The pipeline on its device; in parts where a GPU does not hold all of it."""
        device = self._device_in_use()
        if device == "cuda":
            free_bytes, _ = importlib.import_module("torch").cuda.mem_get_info()
            if _weights_bytes(pipe) > _SHARE_FOR_WEIGHTS * free_bytes:
                pipe.enable_model_cpu_offload()
                return _Loaded(path, pipe, offloaded=True)
        return _Loaded(path, pipe.to(device), offloaded=False)

    def _device_in_use(self) -> Literal["cuda", "cpu"]:
        there = importlib.import_module("torch").cuda.is_available()
        if self._device == "cuda" and not there:
            raise UnfitPipeline("VIDEO_PIPELINE_DIFFUSERS_DEVICE is cuda, and torch finds no such GPU here")
        return "cuda" if there and self._device != "cpu" else "cpu"

    def _path(self, asked: Asked) -> Path:
        if self._folder is None:
            raise UnfitPipeline("the sandbox renders nothing on this machine; VIDEO_PIPELINE_MODE=live does")
        return self._folder / asked.pipeline

    def _class_for(self, asked: Asked, path: Path) -> type:
        """The class that renders it. Raises UnfitPipeline for one that does not, or that is none of diffusers."""
        index = _index_of(path)
        name = asked.starts_from_picture or index["_class_name"]
        diffusers = _diffusers()
        found = getattr(diffusers, str(name), None)
        if not (inspect.isclass(found) and issubclass(found, diffusers.DiffusionPipeline)):
            version = diffusers.__version__
            raise UnfitPipeline(f"{path} wants {name}, which is no pipeline of diffusers {version}; take one that is")
        parameters = _parameters(found)
        given = {*_NEEDED, *asked.arguments} - _WHERE_TAKEN - {"seed"}
        if asked.starts_from_picture:
            given.add("image")
        missing = sorted(given - set(parameters))
        if missing:
            raise UnfitPipeline(
                f"{name} in {path} does not take {', '.join(missing)}, so it cannot render such a clip; take a "
                "pipeline of video, or leave out of its wire what it does not take"
            )
        lacking = [one.name for one in parameters.values() if one.default is one.empty and one.name not in given]
        if lacking:
            raise UnfitPipeline(
                f"{name} in {path} cannot render without {', '.join(lacking)}, which the order does not have"
            )
        return found


def folders_with_pipelines(folder: Path) -> list[Path]:
    """The folder itself, if it holds a pipeline, or those in it that do. Raises OSError."""
    if (folder / INDEX).is_file():
        return [folder]
    return sorted(inner for inner in folder.iterdir() if (inner / INDEX).is_file())


def _diffusers() -> Any:
    """The library, quiet and offline."""
    keep_hub_quiet()
    diffusers = importlib.import_module("diffusers")
    diffusers.utils.logging.disable_progress_bar()
    of_transformers = importlib.import_module("transformers.utils.logging")
    of_transformers.disable_progress_bar()
    # It warns that torchvision is not there, which nothing here needs.
    of_transformers.set_verbosity_error()
    return diffusers


def _index_of(path: Path) -> dict[str, Any]:
    """What a pipeline's folder says that it is made of. Raises UnfitPipeline for what is none, or not only data."""
    try:
        read: Any = json.loads((path / INDEX).read_bytes())
    except OSError as error:
        raise UnfitPipeline(
            f"{path} is no folder of a pipeline: its {INDEX} cannot be read ({error.strerror})"
        ) from error
    except ValueError as error:
        raise UnfitPipeline(f"{path} is no folder of a pipeline: its {INDEX} is not JSON") from error
    index = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    if not isinstance(index.get("_class_name"), str):
        raise UnfitPipeline(
            f"{path} names no class of diffusers in its {INDEX}; pipelines with code of their own do not run"
        )
    for part, made_of in index.items():
        if isinstance(made_of, list) and not part.startswith("_"):
            _check_part(path, part, cast("list[Any]", made_of))
    return index


def _check_part(path: Path, part: str, made_of: list[Any]) -> None:
    library = made_of[0] if made_of else None
    own = getattr(_diffusers().pipelines, str(library), None)
    of_a_pipeline = getattr(own, "__name__", "").startswith("diffusers.pipelines.")
    if library not in (None, "diffusers", "transformers") and not of_a_pipeline:
        raise UnfitPipeline(
            f"{path} takes its {part} from {clean(str(library), 60)}; only parts of diffusers and transformers are "
            "loaded, and no code of a folder's own"
        )
    names = [file.name for file in (path / part).glob("*")]
    pickled = [name for name in names if name.endswith(_PICKLED)]
    if pickled and not any(name.endswith(".safetensors") for name in names):
        raise UnfitPipeline(
            f"{path} has its {part} only as {pickled[0]}, and loading such a file can run code; take weights in "
            "safetensors"
        )


def _of_the_same_parts(of_class: type, loaded: _Loaded) -> _Loaded:
    """A pipeline of another class that shares the parts of one, and so its memory. Raises UnfitPipeline."""
    pipe = loaded.pipe
    taken = inspect.signature(of_class.__init__).parameters
    parts = {name: value for name, value in {**pipe.config, **pipe.components}.items() if name in taken}
    try:
        made: Any = of_class(**parts)
    except (TypeError, ValueError) as error:
        reason = f"{of_class.__name__} cannot be made of the parts of {type(pipe).__name__}: {_said(error)}"
        raise UnfitPipeline(reason) from error
    made.set_progress_bar_config(disable=True)
    if loaded.offloaded:
        made.enable_model_cpu_offload()
    return _Loaded(loaded.path, made, loaded.offloaded)


def _weights_bytes(pipe: Any) -> int:
    modules = [part for part in pipe.components.values() if hasattr(part, "parameters")]
    return sum(weight.nbytes for module in modules for weight in module.parameters())


def _parameters(of_class: Any) -> dict[str, inspect.Parameter]:
    """What a pipeline's call takes, by name."""
    parameters = inspect.signature(of_class.__call__).parameters
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: one for name, one in list(parameters.items())[1:] if one.kind in named}


def _check_wanted(stop: threading.Event) -> None:
    if stop.is_set():
        raise JobFailed(FailureKind.CANCELED, "it was called off", ending=Ending.CANCELED)


def _as_failure(error: Exception) -> Exception:
    """How a job ends that came to an error; one of ours loses its way, with all that it refers to."""
    if isinstance(error, UnfitPipeline):
        return JobFailed(FailureKind.INVALID, str(error), ending=Ending.FAILED)
    if isinstance(error, importlib.import_module("torch").OutOfMemoryError):
        reason = f"there is not enough memory on the GPU: {_said(error)}"
        return JobFailed(FailureKind.TRANSIENT, reason, ending=Ending.FAILED)
    if isinstance(error, MediaError):
        return JobFailed(FailureKind.GENERATION, str(error), ending=Ending.FAILED)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _failed(pipe: Any, error: Exception) -> JobFailed:
    """What an error of a pipeline's call means."""
    name, said = type(pipe).__name__, _said(error)
    checked = getattr(pipe, "safety_checker", None) is not None
    # The pipelines that look at the prompt themselves have no class of their own for what they say of it.
    if checked and isinstance(error, ValueError) and "unsafe" in said:
        reason = f"{name}'s own safety checker refuses the prompt: {said}"
        return JobFailed(FailureKind.MODERATION, reason, ending=Ending.PROMPT_REFUSED, retry_allowed=False)
    if isinstance(error, ValueError):
        return JobFailed(FailureKind.INVALID, f"{name} refuses the order: {said}", ending=Ending.FAILED)
    return JobFailed(FailureKind.GENERATION, f"{name} failed: {said}", ending=Ending.FAILED)


def _said(error: Exception) -> str:
    return clean(f"{error}" or type(error).__name__, _LONGEST_REASON)


def _flags(told: Any) -> Iterator[bool]:
    """Whether a safety checker has flagged anything, of a flag, one a clip, or one a frame."""
    if isinstance(told, list | tuple):
        for inner in cast("list[Any]", told):
            yield from _flags(inner)
    elif told is not None:
        yield bool(told)


def _start_image(picture: bytes, size: tuple[int, int]) -> Any:
    """The picture in the clip's size; what does not fit its shape is cut off evenly. Raises JobFailed."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(picture)) as image:
            return ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = f"the start image cannot be read: {_said(error)}"
        raise JobFailed(FailureKind.INVALID, reason, ending=Ending.FAILED) from error


def _pictures(frames: Any) -> Iterator[Any]:
    """Frames of 0..1 as 8-bit pictures. Raises JobFailed where a frame holds what is no number."""
    import numpy as np

    for frame in frames:
        if not np.isfinite(frame).all():
            reason = "the picture holds values that are no numbers; try VIDEO_PIPELINE_DIFFUSERS_DTYPE=bfloat16"
            raise JobFailed(FailureKind.GENERATION, reason, ending=Ending.FAILED)
        yield (np.clip(frame, 0.0, 1.0) * 255.0).round().astype(np.uint8)
