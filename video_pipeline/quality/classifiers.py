"""The networks that say how unsafe a picture is: read, checked against their sha256, loaded once a process (Q2)."""

import hashlib
import io
import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_pipeline.errors import ConfigurationError
from video_pipeline.policy import PACKAGED, ClassifierPolicy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


class Classifier:
    """A loaded network; it may be asked from several threads."""

    def __init__(self, policy: ClassifierPolicy) -> None:
        """Raises ConfigurationError when the file is not there, or not the one that was meant, or no network."""
        import onnxruntime

        path = _place(policy.path)
        try:
            network = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
        found = hashlib.sha256(network).hexdigest()
        if found != policy.sha256:
            raise ConfigurationError(f"{path} is not the file that the policy names: its sha256 is {found}")
        self._policy = policy
        options = onnxruntime.SessionOptions()
        # Clips are looked at beside each other; within one, a second thread costs more than it saves.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            # What was hashed is what is loaded, whatever becomes of the file meanwhile.
            session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ConfigurationError(f"{path} is no network that can be run: {error}") from error
        self._session: Any = session
        self._input: str = session.get_inputs()[0].name

    def score(self, picture: "Image") -> float:
        """How unsafe an upright picture is, 0..1 by the network's own word; not a number where it has none."""
        import numpy as np

        output = np.asarray(self._session.run(None, {self._input: self._prepared(picture)})[0], np.float64).ravel()
        if self._policy.softmax:
            output = np.exp(output - output.max())
            output /= output.sum()
        return math.fsum(float(output[index]) for index in self._policy.unsafe)

    def _prepared(self, picture: "Image") -> "NDArray[np.float32]":
        import numpy as np
        from PIL import Image
        from PIL.Image import Resampling

        policy = self._policy
        size = (policy.resize, policy.resize)
        if policy.fit == "crop":
            shorter = min(picture.size)
            size = (round(picture.width * policy.resize / shorter), round(picture.height * policy.resize / shorter))
        scaled = picture.convert("RGB").resize(size, Resampling.BILINEAR)
        if policy.jpeg:
            coded = io.BytesIO()
            scaled.save(coded, "JPEG")
            scaled = Image.open(coded).convert("RGB")
        left, top = ((length - policy.side) // 2 for length in size)
        pixels = np.asarray(scaled.crop((left, top, left + policy.side, top + policy.side)), np.float32)
        if policy.channels == "bgr":
            pixels = pixels[:, :, ::-1]
        values = (pixels - np.array(policy.mean, np.float32)) / np.array(policy.scale, np.float32)
        if policy.layout == "nchw":
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[None], np.float32)


def load_classifier(policy: ClassifierPolicy) -> Classifier:
    """The classifier, loaded once a process; one that could not be loaded is tried again. ConfigurationError."""
    return _loaded(policy.model_dump_json())


@lru_cache(maxsize=8)
def _loaded(policy: str) -> Classifier:
    return Classifier(ClassifierPolicy.model_validate_json(policy))


def _place(path: str) -> Path:
    if not path.startswith(PACKAGED):
        return Path(path)
    package, _, name = path.removeprefix(PACKAGED).partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigurationError(f"the package {package}, which has it, is not installed")
    return Path(spec.origin).parent / name
