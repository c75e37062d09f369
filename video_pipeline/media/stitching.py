"""Joining the segments of one clip, and cutting one: one rate, codec and size, sound in step (G2.6)."""

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
from video_pipeline.media.probing import AudioStream, MediaInfo, VideoStream, main_video, open_guarded, probe

_SAMPLE_RATE = 48_000
# x264 gives the same bytes only for the same number of threads.
_THREADS = 4
# Near-transparent: the clip is scaled up and coded again after this.
_CRF = 16
# Codecs whose packets an MP4 holds as they are.
_COPIED = frozenset({"h264", "hevc", "av1", "vp9"})


def stitch(
    segments: Sequence[Path],
    target: Path,
    *,
    size: tuple[int, int],
    rate: Fraction,
    with_audio: bool,
    lengths_s: Sequence[float | None] | None = None,
    timeout_s: float = 900.0,
) -> None:
    """Join `segments`, in this order, into the MP4 `target` (H.264 4:2:0, AAC 48 kHz stereo when `with_audio`).

    Pictures are fitted into `size` (even width and height) with black bars where the shape differs. Each segment
    lasts a whole number of frames at `rate` and its sound is cut or filled with silence to exactly that, so no
    drift adds up. `lengths_s` holds, for each segment, how much of it is used at most (all of it where None). A
    single segment of which all is used is copied byte for byte. The same input gives the same bytes with the same
    ffmpeg. `target` appears whole or not at all. Raises MediaError.
    """
    if not segments:
        raise MediaError(f"There is no segment to make {target} of.")
    lengths_s = lengths_s or [None] * len(segments)
    with _whole_or_not_at_all(target) as temporary:
        if len(segments) == 1 and lengths_s[0] is None:
            shutil.copyfile(segments[0], temporary)
            return
        infos = [probe(path) for path in segments]
        frames = [_frame_count(info, rate, length_s) for info, length_s in zip(infos, lengths_s, strict=True)]
        graph = _graph(infos, frames, size=size, rate=rate, with_audio=with_audio)
        run_ffmpeg(
            [*_inputs(segments), *_outputs(graph, temporary, with_audio=with_audio)],
            timeout_s=timeout_s,
            what=f"joining {len(segments)} segments into {target.name}",
        )


def cut(
    source: Path, target: Path, *, length_s: float | None = None, with_audio: bool, timeout_s: float = 900.0
) -> None:
    """Write the first `length_s` seconds of `source` (all of it where None) into the MP4 `target`.

    The clip ends with the last frame of which at least half lies within `length_s`; sound ends with it, or is left
    out unless `with_audio`. The coded picture is copied where it can be cut there; otherwise, where frames are coded
    after later ones that they refer to, it is coded again as `stitch` does. `target` appears whole or not at all.
    Raises MediaError.
    """
    info = probe(source)
    video = info.video
    if video is None:
        raise MediaError(f"{source} has no picture, so it cannot be cut; render it again.")
    packets = _packets_to_copy(source, length_s) if video.codec in _COPIED else None
    if packets is None:
        lengths_s = [video.duration_s if length_s is None else length_s]
        stitch(
            [source],
            target,
            size=_even(video.size),
            rate=video.rate,
            with_audio=with_audio,
            lengths_s=lengths_s,
            timeout_s=timeout_s,
        )
        return
    with _whole_or_not_at_all(target) as temporary:
        run_ffmpeg(
            [
                *_inputs([source]),
                *_copied(packets, video, info.sound if with_audio else None, temporary),
            ],
            timeout_s=timeout_s,
            what=f"cutting {source.name}",
        )


def _packets_to_copy(path: Path, length_s: float | None) -> int | None:
    """How many of the first coded pictures are just those shown before `length_s`; None where no number is."""
    with open_guarded(path) as container:
        stream = main_video(container)
        assert stream is not None and stream.time_base is not None and stream.average_rate is not None
        shown = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
        if length_s is None:
            return len(shown)
        half_a_frame = 1 / (2 * stream.average_rate)
        start = min(shown, default=0)
        wanted = [(pts - start) * stream.time_base + half_a_frame <= length_s for pts in shown]
    count = sum(wanted)
    return count if count and all(wanted[:count]) else None


def _copied(packets: int, video: VideoStream, audio: AudioStream | None, target: Path) -> list[str]:
    """Output options that copy `packets` coded pictures of `video`.

    Sound is cut to the very sample, so it is coded again.
    """
    sound = ("-an",)
    if audio is not None:
        samples = round(packets / video.rate * _SAMPLE_RATE)
        exact = f"aresample={_SAMPLE_RATE}:async=1:first_pts=0,apad,atrim=end_sample={samples}"
        sound = ("-map", f"0:{audio.index}", "-af", exact, "-c:a", "aac", "-b:a", "192k", "-ac", "2")
    return [
        *("-map", f"0:{video.index}", "-c:v", "copy", "-frames:v", str(packets), *sound),
        *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact"),
        *("-movflags", "+faststart", "-f", "mp4", "-y", str(target)),
    ]


def _even(size: tuple[int, int]) -> tuple[int, int]:
    """The size that 4:2:0 can hold."""
    return size[0] // 2 * 2, size[1] // 2 * 2


def _frame_count(info: MediaInfo, rate: Fraction, length_s: float | None) -> int:
    if info.video is None:
        raise MediaError(f"The segment {info.path} has no picture, so it cannot be joined; render it again.")
    used_s = info.video.duration_s if length_s is None else min(length_s, info.video.duration_s)
    return max(1, round(used_s * rate))


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
    chains = [
        _video_chain(index, info, count, size, rate, colour)
        for index, (info, count) in enumerate(zip(infos, frames, strict=True))
    ]
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


def _video_chain(index: int, info: MediaInfo, frames: int, size: tuple[int, int], rate: Fraction, colour: str) -> str:
    assert info.video is not None  # its frames were counted
    width, height = size
    return (
        # "start_time=0" keeps sound and picture in step where the picture starts late.
        f"[{index}:{info.video.index}]fps={rate.numerator}/{rate.denominator}:start_time=0,"
        # Square pixels first, then fit and centre.
        f"scale=w=iw*sar:h=ih,setsar=1,"
        f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=lanczos{colour},"
        f"pad={width}:{height}:-1:-1,setsar=1,format=yuv420p,"
        f"tpad=stop=-1:stop_mode=clone,trim=end_frame={frames},setpts=PTS-STARTPTS[v{index}]"
    )


def _audio_chain(index: int, info: MediaInfo, samples: int) -> str:
    layout = f"sample_fmts=fltp:sample_rates={_SAMPLE_RATE}:channel_layouts=stereo"
    if info.sound is not None:
        source = f"[{index}:{info.sound.index}]aresample={_SAMPLE_RATE}:async=1:first_pts=0,aformat={layout},apad"
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
