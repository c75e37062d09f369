"""Joining the segments of one clip, and cutting one: one rate, codec and size, sound in step (G2.6)."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

from video_pipeline.errors import MediaError
from video_pipeline.media.ffmpeg import INPUT_GUARD, run_ffmpeg
from video_pipeline.media.probing import AudioStream, MediaInfo, VideoStream, main_video, open_guarded, probe

_SAMPLE_RATE = 48_000
# x264 gives the same bytes only for the same number of threads.
THREADS = 4
# Near-transparent: the clip is scaled up and coded again after this.
CRF = 16
# Codecs whose packets an MP4 holds as they are.
_COPIED = frozenset({"h264", "hevc", "av1", "vp9"})
# A fade of 20 ms is heard neither as a click nor as a fade.
_FADE = _SAMPLE_RATE // 50


@dataclass(frozen=True)
class Fitting:
    """How a segment is made to follow the one before it.

    Its first `dropped` frames are left out, with their sound. `luma_gain` is a factor of the luma above black,
    `chroma_shift` is added to (Cb, Cr), in 8-bit codes; `gain_db` is of the sound.
    """

    dropped: int = 0
    luma_gain: float = 1.0
    chroma_shift: tuple[float, float] = (0.0, 0.0)
    gain_db: float = 0.0


def stitch(
    segments: Sequence[Path],
    target: Path,
    *,
    size: tuple[int, int],
    rate: Fraction,
    with_audio: bool,
    lengths_s: Sequence[float | None] | None = None,
    fittings: Sequence[Fitting] | None = None,
    timeout_s: float = 900.0,
) -> None:
    """Join `segments`, in this order, into the MP4 `target` (H.264 4:2:0, AAC 48 kHz stereo when `with_audio`).

    Pictures are fitted into `size` (even width and height) with black bars where the shape differs. Each segment
    lasts a whole number of frames at `rate` and its sound is cut or filled with silence to exactly that, so no
    drift adds up. Where two sounds meet, one is faded into the other, or both are at zero. `lengths_s` holds, for
    each segment, how much of it is used at most (all of it where None), with what its fitting drops of that. A
    single segment of which all is used is copied byte for byte. The same input gives the same bytes with the same
    ffmpeg. `target` appears whole or not at all. Raises MediaError.
    """
    if not segments:
        raise MediaError(f"There is no segment to make {target} of.")
    lengths_s = lengths_s or [None] * len(segments)
    fittings = fittings or [Fitting()] * len(segments)
    with whole_or_not_at_all(target) as temporary:
        if len(segments) == 1 and lengths_s[0] is None:
            shutil.copyfile(segments[0], temporary)
            return
        infos = [probe(path) for path in segments]
        ends = [frame_count(info, rate, length_s) for info, length_s in zip(infos, lengths_s, strict=True)]
        parts = [
            _Part(index, info, fitting, min(fitting.dropped, end - 1), end)
            for index, (info, fitting, end) in enumerate(zip(infos, fittings, ends, strict=True))
        ]
        graph = _graph(parts, size=size, rate=rate, with_audio=with_audio)
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
    with whole_or_not_at_all(target) as temporary:
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


def frame_count(info: MediaInfo, rate: Fraction, length_s: float | None) -> int:
    """How many frames at `rate` the first `length_s` seconds of a file are (all of it where None), at least one.

    Raises MediaError.
    """
    if info.video is None:
        raise MediaError(f"The segment {info.path} has no picture, so it cannot be joined; render it again.")
    used_s = info.video.duration_s if length_s is None else min(length_s, info.video.duration_s)
    return max(1, round(used_s * rate))


@dataclass(frozen=True)
class _Part:
    """An input as it is joined: its frames from `start` to before `end`, at the joined clip's rate."""

    index: int
    info: MediaInfo
    fitting: Fitting
    start: int
    end: int

    def start_sample(self, rate: Fraction) -> int:
        return round(self.start / rate * _SAMPLE_RATE)


def _inputs(segments: Sequence[Path]) -> list[str]:
    return [word for path in segments for word in (*INPUT_GUARD, "-i", f"file:{path.absolute()}")]


def _graph(parts: Sequence[_Part], *, size: tuple[int, int], rate: Fraction, with_audio: bool) -> str:
    colour = _colour_conversion([part.info for part in parts])
    chains = [_video_chain(part, size, rate, colour) for part in parts]
    joined = "".join(f"[v{part.index}]" for part in parts)
    chains.append(f"{joined}concat=n={len(parts)}:v=1:a=0[video]")
    return ";".join([*chains, *(_sound(parts, rate) if with_audio else ())])


def _sound(parts: Sequence[_Part], rate: Fraction) -> list[str]:
    """The chains of the joined sound.

    Where there is sound beyond a join, of the segment before or ahead of what is used of the one after it, the two
    are faded into each other there. Elsewhere each fades at its own end.
    """
    # Cut at whole samples of the joined clip, not of each segment: roundings must not add up.
    cuts = [round(count / rate * _SAMPLE_RATE) for count in accumulate((p.end - p.start for p in parts), initial=0)]
    starts = [part.start_sample(rate) for part in parts]
    ends = [start + stop - at for start, (at, stop) in zip(starts, pairwise(cuts), strict=True)]
    faded_in, faded_out, crossed = [0] * len(parts), [0] * len(parts), [0] * len(parts)
    for after in range(1, len(parts)):
        before = after - 1
        fade = min(_FADE, (ends[before] - starts[before]) // 2, (ends[after] - starts[after]) // 2)
        heard = [parts[one].info.sound for one in (before, after)]
        if all(heard) and starts[after] >= fade:
            starts[after], crossed[after] = starts[after] - fade, fade
        elif all(heard) and _samples(parts[before].info) >= ends[before] + fade:
            ends[before], crossed[after] = ends[before] + fade, fade
        else:
            faded_out[before] = faded_in[after] = fade // 2
    chains = [
        _audio_chain(part, start, end, fades)
        for part, start, end, fades in zip(parts, starts, ends, zip(faded_in, faded_out, strict=True), strict=True)
    ]
    joined = "a0"
    for part in parts[1:]:
        fade = crossed[part.index]
        how = f"acrossfade=ns={fade}:c1=tri:c2=tri" if fade else "concat=n=2:v=0:a=1"
        chains.append(f"[{joined}][a{part.index}]{how}[j{part.index}]")
        joined = f"j{part.index}"
    return [*chains, f"[{joined}]anull[audio]"]


def _samples(info: MediaInfo) -> int:
    """Where a file's sound ends, in samples."""
    return int((info.sound.start_s + info.sound.duration_s) * _SAMPLE_RATE) if info.sound else 0


def _colour_conversion(infos: Sequence[MediaInfo]) -> str:
    """Scale options that bring every segment to BT.709; none where all are tagged alike, which loses nothing.

    A joined stream has one tag, so a BT.601 segment would change its hue without this. ffmpeg takes an untagged one
    for BT.601.
    """
    matrices = {info.video.color_matrix for info in infos if info.video is not None}
    return ":out_color_matrix=bt709" if len(matrices) > 1 else ""


def _video_chain(part: _Part, size: tuple[int, int], rate: Fraction, colour: str) -> str:
    assert part.info.video is not None  # its frames were counted
    width, height = size
    return (
        # "start_time=0" keeps sound and picture in step where the picture starts late.
        f"[{part.index}:{part.info.video.index}]fps={rate.numerator}/{rate.denominator}:start_time=0,"
        # Square pixels first, then fit and centre.
        f"scale=w=iw*sar:h=ih,setsar=1,"
        f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2:flags=lanczos{colour},"
        f"pad={width}:{height}:-1:-1,setsar=1,format=yuv420p,{_recoloured(part.fitting)}"
        f"tpad=stop=-1:stop_mode=clone,trim=start_frame={part.start}:end_frame={part.end},"
        f"setpts=PTS-STARTPTS[v{part.index}]"
    )


def _recoloured(fitting: Fitting) -> str:
    """A filter that gives the picture the colour of the segment before; none where nothing is to be changed."""
    blue, red = fitting.chroma_shift
    if (fitting.luma_gain, blue, red) == (1.0, 0.0, 0.0):
        return ""
    luma = f"clip((val-16)*{fitting.luma_gain:.5f}+16.5,16,235)"
    chroma = (f"clip(val+{shift + 0.5:.4f},16,240)" for shift in (blue, red))
    return "lutyuv=" + ":".join(f"{plane}='{how}'" for plane, how in zip("yuv", (luma, *chroma), strict=True)) + ","


def _audio_chain(part: _Part, start: int, end: int, fades: tuple[int, int]) -> str:
    """Samples `start` to before `end` of a part's sound, or silence; faded in and out over `fades` samples."""
    layout = f"sample_fmts=fltp:sample_rates={_SAMPLE_RATE}:channel_layouts=stereo"
    sound = part.info.sound
    if sound is None:
        source, fitted = f"anullsrc=channel_layout=stereo:sample_rate={_SAMPLE_RATE},aformat={layout}", ""
    else:
        # "first_pts=0" keeps sound and picture in step where the sound starts late.
        source = f"[{part.index}:{sound.index}]aresample={_SAMPLE_RATE}:async=1:first_pts=0,aformat={layout},apad"
        fade_in, fade_out = fades
        fitted = (
            (f",volume={part.fitting.gain_db:.2f}dB" if part.fitting.gain_db else "")
            + (f",afade=t=in:ss=0:ns={fade_in}" if fade_in else "")
            + (f",afade=t=out:ss={end - start - fade_out}:ns={fade_out}" if fade_out else "")
        )
    return f"{source},atrim=start_sample={start}:end_sample={end},asetpts=PTS-STARTPTS{fitted}[a{part.index}]"


def _outputs(graph: str, target: Path, *, with_audio: bool) -> list[str]:
    audio = ("-map", "[audio]", "-c:a", "aac", "-b:a", "192k") if with_audio else ("-an",)
    return [
        *("-filter_complex", graph, "-map", "[video]", *audio),
        *("-c:v", "libx264", "-preset", "medium", "-crf", str(CRF), "-threads", str(THREADS)),
        *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact"),
        *("-movflags", "+faststart", "-f", "mp4", "-y", str(target)),
    ]


@contextmanager
def whole_or_not_at_all(target: Path) -> Iterator[Path]:
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
