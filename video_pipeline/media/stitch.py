"""Joining the segments of one clip: one rate, one codec, one size, sound in step at every join (MISSION G2.6)."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

from video_pipeline.errors import MediaError
from video_pipeline.media.ffmpeg import INPUT_GUARD, run_ffmpeg
from video_pipeline.media.probe import MediaInfo, probe

_SAMPLE_RATE = 48_000
# x264 gives the same bytes only for the same number of threads.
_THREADS = 4
# Near-transparent: the clip is scaled up and coded again after this.
_CRF = 16


def stitch(
    segments: Sequence[Path],
    target: Path,
    *,
    size: tuple[int, int],
    rate: Fraction,
    with_audio: bool,
    timeout_s: float = 900.0,
) -> None:
    """Join `segments`, in this order, into the MP4 `target` (H.264 4:2:0, AAC 48 kHz stereo when `with_audio`).

    Pictures are fitted into `size` (even width and height) with black bars where the shape differs. Each segment
    lasts a whole number of frames at `rate` and its sound is cut or filled with silence to exactly that, so no
    drift adds up. A single segment is copied byte for byte. The same input gives the same bytes with the same
    ffmpeg. `target` appears whole or not at all. Raises MediaError.
    """
    if not segments:
        raise MediaError(f"There is no segment to make {target} of.")
    with _whole_or_not_at_all(target) as temporary:
        if len(segments) == 1:
            shutil.copyfile(segments[0], temporary)
            return
        infos = [probe(path) for path in segments]
        frames = [_frame_count(info, rate) for info in infos]
        graph = _graph(infos, frames, size=size, rate=rate, with_audio=with_audio)
        run_ffmpeg(
            [*_inputs(segments), *_outputs(graph, temporary, with_audio=with_audio)],
            timeout_s=timeout_s,
            what=f"joining {len(segments)} segments into {target.name}",
        )


def _frame_count(info: MediaInfo, rate: Fraction) -> int:
    if info.video is None:
        raise MediaError(f"The segment {info.path} has no picture, so it cannot be joined; render it again.")
    return max(1, round(info.video.duration_s * rate))


def _inputs(segments: Sequence[Path]) -> list[str]:
    return [word for path in segments for word in (*INPUT_GUARD, "-i", f"file:{path.absolute()}")]


def _graph(
    infos: Sequence[MediaInfo],
    frames: Sequence[int],
    *,
    size: tuple[int, int],
    rate: Fraction,
    with_audio: bool,
) -> str:
    colour = _colour_conversion(infos)
    chains = [_video_chain(index, count, size, rate, colour) for index, count in enumerate(frames)]
    joined = "".join(f"[v{index}]" for index in range(len(infos)))
    chains.append(f"{joined}concat=n={len(infos)}:v=1:a=0[video]")
    if with_audio:
        # Cut at whole samples of the joined clip, not of each segment: roundings must not add up.
        cuts = [round(count / rate * _SAMPLE_RATE) for count in accumulate(frames, initial=0)]
        lengths = [end - start for start, end in pairwise(cuts)]
        chains += [
            _audio_chain(index, info, length) for index, (info, length) in enumerate(zip(infos, lengths, strict=True))
        ]
        joined = "".join(f"[a{index}]" for index in range(len(infos)))
        chains.append(f"{joined}concat=n={len(infos)}:v=0:a=1[audio]")
    return ";".join(chains)


def _colour_conversion(infos: Sequence[MediaInfo]) -> str:
    """Scale options that bring every segment to BT.709; none where all are tagged alike, which loses nothing.

    A joined stream has one tag, so a BT.601 segment would change its hue without this. ffmpeg takes an untagged one
    for BT.601.
    """
    matrices = {info.video.color_matrix for info in infos if info.video is not None}
    return ":out_color_matrix=bt709" if len(matrices) > 1 else ""


def _video_chain(index: int, frames: int, size: tuple[int, int], rate: Fraction, colour: str) -> str:
    width, height = size
    return (
        # "start_time=0" keeps sound and picture in step where the picture starts late.
        f"[{index}:v:0]fps={rate.numerator}/{rate.denominator}:start_time=0,"
        # Square pixels first, then fit and centre.
        f"scale=w=iw*sar:h=ih,setsar=1,"
        f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=lanczos{colour},"
        f"pad={width}:{height}:-1:-1,setsar=1,format=yuv420p,"
        f"tpad=stop=-1:stop_mode=clone,trim=end_frame={frames},setpts=PTS-STARTPTS[v{index}]"
    )


def _audio_chain(index: int, info: MediaInfo, samples: int) -> str:
    layout = f"sample_fmts=fltp:sample_rates={_SAMPLE_RATE}:channel_layouts=stereo"
    if info.audio:
        source = f"[{index}:a:0]aresample={_SAMPLE_RATE}:async=1:first_pts=0,aformat={layout},apad"
    else:
        source = f"anullsrc=channel_layout=stereo:sample_rate={_SAMPLE_RATE},aformat={layout}"
    return f"{source},atrim=end_sample={samples},asetpts=PTS-STARTPTS[a{index}]"


def _outputs(graph: str, target: Path, *, with_audio: bool) -> list[str]:
    audio = ("-map", "[audio]", "-c:a", "aac", "-b:a", "192k") if with_audio else ("-an",)
    return [
        *("-filter_complex", graph, "-map", "[video]", *audio),
        *("-c:v", "libx264", "-preset", "medium", "-crf", str(_CRF), "-threads", str(_THREADS)),
        *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact"),
        *("-movflags", "+faststart", "-f", "mp4", "-y", str(target)),
    ]


@contextmanager
def _whole_or_not_at_all(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` that takes its name when the block succeeds, and is removed otherwise."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
        temporary = Path(name)
        try:
            yield temporary
            os.fsync(descriptor)
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise MediaError(f"{target} could not be written: {error.strerror or error}.") from error
