"""What a person should know of how a clip is read, and what of its file does not come along: sentences."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from video_pipeline.media import codec_of, is_cover
from video_pipeline.upscaling.film.source import Source

if TYPE_CHECKING:
    from av.stream import Stream

# Marks that the result has not, by words in ffmpeg's names of them.
_MARKS = {"stereo": "the mark of a stereoscopic picture", "spherical": "the mark of a spherical picture"}


def notes_on(source: Source, container_format: str) -> tuple[str, ...]:
    """The sentences on a clip that is written in `container_format` (the muxer's name)."""
    return tuple(_notes(source, container_format))


def _notes(source: Source, container_format: str) -> Iterator[str]:
    if source.fields is not None:
        yield "Its pictures are interlaced; one whole picture is made of each two fields."
    streams = source.container.streams
    covers = [stream for stream in streams.video if is_cover(stream)]
    tracks = [stream.index for stream in streams.video if not is_cover(stream)]
    if len(tracks) > 1:
        film = tracks.index(source.video.index) + 1
        yield f"Of {len(tracks)} picture tracks, number {film} is the film; the others do not come along."
    attachments = [stream for stream in streams.attachments if stream not in source.attached_to(container_format)]
    data = [stream for stream in streams if not _known(stream) and not _is_kept_otherwise(source, stream)]
    lost = ["cover art"] if covers else []
    lost += [_counted(len(data), "data track")] if data else []
    for kind, found in (("sound track", streams.audio), ("subtitle track", streams.subtitles)):
        undecodable = sum(codec_of(stream) is None for stream in found)
        lost += [f"{_counted(undecodable, kind)} of an unknown codec"] if undecodable else []
    if attachments:
        names = ", ".join(stream.name or "without a name" for stream in attachments)
        lost.append(f"{_counted(len(attachments), 'attachment')} ({names})")
    lost += [said for word, said in _MARKS.items() if any(word in record for record in source.video.records)]
    if lost:
        yield f"Not in the result: {', '.join(lost)}."


def _known(stream: "Stream") -> bool:
    return stream.type in ("video", "audio", "subtitle", "attachment")


def _is_kept_otherwise(source: Source, stream: "Stream") -> bool:
    """Timecodes are tags of the picture track as well, and the titles of chapters are chapters."""
    return "timecode" in stream.metadata or (stream.name == "bin_data" and bool(source.container.chapters()))


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number > 1 else ''}"
