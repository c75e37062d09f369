"""Interlaced pictures: whether a clip's are, and whole pictures made of them, one of each two fields."""

import contextlib
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from video_pipeline.media import VideoStream, main_video, open_guarded

if TYPE_CHECKING:
    import av
    import av.container
    import numpy as np

# Codecs whose decoders say of each picture whether it is interlaced. Of the others, only the container can know.
_TELLING = frozenset(
    {"h264", "hevc", "mpeg1video", "mpeg2video", "vc1", "wmv3", "prores", "dvvideo", "dnxhd", "ffv1"}
)
# Where a clip is looked at for combs, as shares of its length, how many pictures at each place, and how many are
# decoded for them at most.
_PLACES, _DECODED = ((0.0, 13), (1 / 3, 7), (2 / 3, 7)), 40
_COLUMNS = 160
# Luma steps of 255 by which what moves changes, and the fewest places that must.
_MOVED, _FEWEST_MOVED = 8, 32
# Weaving a field with its neighbour in time on the wrong side has so many times the combs of the right side.
_FAR = 1.25
# An interlaced clip has so many combed pictures, of those in which something moves, with the same field first.
_FEWEST, _SHARE, _AGREEING = 4, 0.4, 0.9


@dataclass(frozen=True, slots=True)
class Fields:
    """How pictures are made of fields."""

    first: str
    """The first field: "top", "bottom", or "auto", what the decoder says of each picture."""

    @property
    def every(self) -> bool:
        """Whether all pictures are; otherwise those that the decoder calls interlaced."""
        return self.first != "auto"


def fields_of(path: Path, video: VideoStream) -> Fields | None:
    """A clip's fields by its decoder's word, its container's, or the combs in some of its pictures; else None."""
    if video.interlaced:
        return Fields("auto")
    if video.first_field is not None and video.codec not in _TELLING:
        return Fields(video.first_field)
    with open_guarded(path) as container:
        return _found_in_pictures(container, video)


def _found_in_pictures(container: "av.container.InputContainer", video: VideoStream) -> Fields | None:
    """What the decoder says of some pictures, or their combs do."""
    votes: list[int] = []
    before: np.ndarray | None = None
    for frame, follows in _some(container, video):
        if frame.interlaced_frame:
            return Fields("auto")
        now = _luma(frame)
        if before is not None and follows and (vote := _vote(before, now)) is not None:
            votes.append(vote)
        before = now
    for vote, first in ((1, "top"), (-1, "bottom")):
        combed = votes.count(vote)
        agreeing = combed >= _AGREEING * (combed + votes.count(-vote))
        if combed >= _FEWEST and combed >= _SHARE * len(votes) and agreeing:
            return Fields(first)
    return None


def _some(container: "av.container.InputContainer", video: VideoStream) -> "Iterator[tuple[av.VideoFrame, bool]]":
    """Some pictures at a few places, and whether each follows the one given before it.

    None comes after damage, which is told when the clip is read.
    """
    import av.error

    stream = main_video(container)
    assert stream is not None and stream.time_base is not None  # it was probed
    furthest = -math.inf
    with contextlib.suppress(av.error.FFmpegError):
        for share, wanted in _PLACES:
            container.seek(int((video.start_s + share * video.duration_s) / stream.time_base), stream=stream)
            given = 0
            for frame in islice(container.decode(stream), _DECODED):
                # A seek lands at a key picture, which may be far before.
                if frame.pts is None or frame.pts <= furthest:
                    continue
                yield frame, given > 0
                given, furthest = given + 1, frame.pts
                if given == wanted:
                    break


def _luma(frame: "av.VideoFrame") -> "np.ndarray":
    import numpy as np

    step = max(1, frame.width // _COLUMNS)
    return frame.reformat(format="gray").to_ndarray()[:, ::step].astype(np.float32)


def _vote(before: "np.ndarray", now: "np.ndarray") -> int | None:
    """1 for a picture whose top field comes first, -1 for bottom, 0 for a whole one; None where nothing moves.

    Each field of an interlaced picture is half a picture's time from the neighbour's other field on one side, and one
    and a half from that on the other side. So one of the two weaves has about the combs of the picture itself.
    """
    import numpy as np

    rows = len(now) // 2 * 2
    before, now = before[:rows], now[:rows]
    if before.shape != now.shape or rows < 4:
        return None
    moved = np.abs(now - before) > _MOVED
    moved = moved[1:-1] | moved[:-2] | moved[2:]
    if np.count_nonzero(moved) < _FEWEST_MOVED:
        return None

    def combs(top: "np.ndarray", bottom: "np.ndarray") -> float:
        woven = np.empty_like(now)
        woven[0::2], woven[1::2] = top[0::2], bottom[1::2]
        teeth = (woven[:-2] - woven[1:-1]) * (woven[2:] - woven[1:-1])
        return float(np.sqrt(np.maximum(teeth, 0))[moved].sum())

    itself, top_first, bottom_first = combs(now, now), combs(now, before), combs(before, now)
    near, far = sorted((top_first, bottom_first))
    if far <= _FAR * near or near * near >= itself * far:
        return 0
    return 1 if top_first < bottom_first else -1


class Deinterlacer:
    """Makes whole pictures of fields by the filter bwdif: one of each picture, at its time, with its length."""

    def __init__(self, fields: Fields, frame: "av.VideoFrame") -> None:
        """For pictures like `frame`."""
        from av.filter import Graph

        assert frame.time_base is not None  # its time was looked at
        self.pictures = 0
        """How many were interlaced."""
        self._every = fields.every
        self._times: deque[tuple[int | None, int]] = deque()
        self._graph = Graph()
        ticks = f"{frame.time_base.numerator}/{frame.time_base.denominator}"
        source = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={ticks}"
        source += f":colorspace={frame.colorspace}:range={frame.color_range}"
        first = {"top": "tff", "bottom": "bff"}.get(fields.first, fields.first)
        which = "all" if fields.every else "interlaced"
        self._graph.link_nodes(
            self._graph.add("buffer", source),
            self._graph.add("bwdif", f"mode=send_frame:parity={first}:deint={which}"),
            self._graph.add("buffersink"),
        ).configure()

    def through(self, frame: "av.VideoFrame | None") -> "Iterator[av.VideoFrame]":
        """Take a frame, or None at the end, and give those that are ready. They come one frame late."""
        import av.error

        if frame is not None:
            self.pictures += self._every or frame.interlaced_frame
            self._times.append((frame.pts, frame.duration))
        self._graph.vpush(frame)
        while True:
            try:
                whole = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            # The filter counts in half ticks.
            whole.pts, whole.duration = self._times.popleft()
            yield whole
