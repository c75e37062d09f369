"""Pictures on their way and how long each is shown, and packets that are not to be heard or read."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av.packet

    from video_pipeline.upscaling.compute.planes import Planes

# Containers count in milliseconds, so that pictures of a constant rate are shown for one more or less.
_ROUNDING_S = Fraction(2, 1000)


def rounding(time_base: Fraction) -> int:
    """By how many units of `time_base` two times may differ and still be one that was rounded."""
    return max(1, int(_ROUNDING_S / time_base))


@dataclass(slots=True)
class Picture:
    """A picture between two stages. `pts` and `duration` are in units of the source's `time_base`."""

    pts: int
    duration: int
    planes: "Planes"


def timed(
    items: "Iterator[Picture | av.packet.Packet]", time_base: Fraction, end_s: Fraction | None
) -> "Iterator[Picture | av.packet.Packet]":
    """`items` with each picture's duration as it is shown.

    A decoder tells the time until the picture that was coded next, which may be another one. `end_s` is when the
    pictures end by the container; None where it does not say.
    """
    last: Picture | None = None
    before = 0
    for item in items:
        if not isinstance(item, Picture):
            yield item
            continue
        if last is not None:
            before = last.duration = max(0, item.pts - last.pts)
            yield last
        last = item
    if last is None:
        return
    last.duration = last_duration(last.pts, last.duration or before, time_base, end_s)
    yield last


def last_duration(pts: int, duration: int, time_base: Fraction, end_s: Fraction | None) -> int:
    """How long the last picture is shown: for its own `duration`, or longer where the container says so."""
    until = duration if end_s is None else int(end_s / time_base) - pts
    return until if until > duration + rounding(time_base) else duration


class Cuts:
    """Tells which copied packets an edit list hides; not of those before 0 that begin a stream, which may be hidden
    by an edit list of ours.
    """

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._begun: set[int] = set()
        self._cut: set[int] = set()

    def hides(self, packet: "av.packet.Packet") -> bool:
        """Whether to leave the packet out; each is to be asked for, in their order."""
        index, time = packet.stream.index, packet.dts
        # Of fragments that overlap, packets are marked as hidden too: those have the time of the one before.
        overlaps = index not in self._cut and time == self._last.get(index)
        if packet.is_discard and not overlaps and (index in self._begun or (packet.pts or 0) >= 0):
            self._cut.add(index)
            return True
        # Of the packet in which a cut ends, the beginning would be heard at the time of another one.
        if index in self._cut and time is not None and time <= self._last.get(index, time - 1):
            return True
        self._cut.discard(index)
        if not packet.is_discard:
            self._begun.add(index)
        if time is not None:
            self._last[index] = time
        return False
