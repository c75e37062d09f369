"""The reference: RealESRGANer of the package `realesrgan` on one clip, in an environment of its own. Prints JSON.

The chain is that of its own inference_realesrgan_video.py (https://github.com/xinntao/Real-ESRGAN): pictures from
ffmpeg through a pipe as bgr24, `enhance` one by one with `outscale`, half precision on a GPU, and a pipe to ffmpeg's
libx264, the sound copied. The encoder is given the pipeline's settings.
"""

# pyright: reportMissingImports=false
# Nothing of this is in the pipeline's own environment.

import argparse
import json
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.functional as vision

# basicsr 1.4.2 imports this module, which torchvision 0.17 dropped; all it wants of it is this function.
_dropped = types.ModuleType("torchvision.transforms.functional_tensor")
_dropped.__dict__["rgb_to_grayscale"] = vision.rgb_to_grayscale
sys.modules[_dropped.__name__] = _dropped

from basicsr.archs.rrdbnet_arch import RRDBNet  # noqa: E402  # only importable from here on
from realesrgan import RealESRGANer  # noqa: E402
from realesrgan.archs.srvgg_arch import SRVGGNetCompact  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=2, required=True, help="of the clip")
    parser.add_argument("--fps", type=int, required=True)
    parser.add_argument("--outscale", type=float, required=True)
    parser.add_argument("--ffmpeg", required=True)
    parser.add_argument("--encoding", nargs="+", required=True, help="libx264's settings, without the dashes")
    parser.add_argument("--pictures", type=Path, nargs=2, help="a .npy of RGB pictures, and where they go enlarged")
    parser.add_argument("--started", type=float, required=True, help="when this process was started")
    options = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    scale, network = _network(options.model)
    upsampler = RealESRGANer(
        scale=scale, model_path=str(options.weights), model=network, tile=0, tile_pad=10, pre_pad=0, half=on_gpu
    )
    frames = _upscale(upsampler, options)
    cold_s = time.time() - options.started
    started = time.perf_counter()
    _upscale(upsampler, options)
    found = {
        "frames": frames,
        "cold_s": cold_s,
        "warm_s": time.perf_counter() - started,
        "precision_used": "float16" if on_gpu else "float32",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peak_rss_mib": int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024,
        "peak_gpu_mib": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
    }
    if options.pictures:
        source, target = options.pictures
        enlarged = [upsampler.enhance(p[..., ::-1], outscale=options.outscale)[0] for p in np.load(source)]
        np.save(target, np.stack(enlarged)[..., ::-1])
    print(json.dumps(found))


def _network(model: str) -> tuple[int, torch.nn.Module]:
    """By the model's name, as the script does."""
    compact = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "upscale": 4, "act_type": "prelu"}
    rrdb = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_grow_ch": 32}
    if model == "realesr-animevideov3":
        return 4, SRVGGNetCompact(**compact, num_conv=16)
    if model == "realesr-general-x4v3":
        return 4, SRVGGNetCompact(**compact, num_conv=32)
    blocks, scale = {
        "RealESRGAN_x4plus": (23, 4),
        "RealESRGAN_x2plus": (23, 2),
        "RealESRGAN_x4plus_anime_6B": (6, 4),
    }[model]
    return scale, RRDBNet(**rrdb, num_block=blocks, scale=scale)


def _upscale(upsampler: RealESRGANer, options: argparse.Namespace) -> int:
    """The script's loop; the number of frames."""
    width, height = options.size
    enlarged = f"{int(width * options.outscale)}x{int(height * options.outscale)}"
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24"]
    quiet = [options.ffmpeg, "-loglevel", "error", "-y"]
    read = [*quiet, "-i", str(options.clip), *raw, "pipe:"]
    sources = [*raw, "-s", enlarged, "-framerate", str(options.fps), "-i", "pipe:", "-i", str(options.clip)]
    settings = [f"-{word}" if place % 2 == 0 else word for place, word in enumerate(options.encoding)]
    coded = ["-pix_fmt", "yuv420p", "-vcodec", "libx264", *settings, "-acodec", "copy"]
    target = options.clip.with_name("reference.mp4")
    write = [*quiet, *sources, "-map", "0:v", "-map", "1:a", *coded, str(target)]
    frames = 0
    with (
        subprocess.Popen(read, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as reader,
        subprocess.Popen(write, stdin=subprocess.PIPE) as writer,
    ):
        assert reader.stdout is not None and writer.stdin is not None
        while content := reader.stdout.read(width * height * 3):
            picture = np.frombuffer(content, np.uint8).reshape(height, width, 3)
            output, _ = upsampler.enhance(picture, outscale=options.outscale)
            writer.stdin.write(output.astype(np.uint8).tobytes())
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            frames += 1
        writer.stdin.close()
    if reader.returncode or writer.returncode:
        raise SystemExit(f"ffmpeg failed: {reader.returncode} reading, {writer.returncode} writing.")
    return frames


if __name__ == "__main__":
    main()
