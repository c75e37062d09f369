"""What containers say of their samples, and what the decoder of the pictures does not see: damage, hidden parts."""

import struct
from pathlib import Path

import av
import pytest

from video_pipeline.errors import MediaError
from video_pipeline.media import probe, run_ffmpeg
from video_pipeline.upscaling import Engine, upscale_file
from video_pipeline.upscaling.film.inspection import inspect
from video_pipeline_tests.media.clips import render
from video_pipeline_tests.upscaling.measures import PLAIN, lag_s, sound, timestamps


def check(path: Path) -> None:
    inspect(path, probe(path))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds in every container, with the sound that is usual in it."""
    place = tmp_path_factory.mktemp("clips")
    render(place / "aac.mp4", frames=50, sound=True, options=("-movflags", "+faststart"))
    render(place / "pcm.mov", frames=50, sound=True, options=("-c:a", "pcm_s16le"))
    clip = ["-i", str(place / "aac.mp4"), "-c:v", "copy"]
    for codec, name in (("libopus", "opus.mkv"), ("libopus", "opus.mp4"), ("ac3", "ac3.mov"), ("flac", "flac.mkv")):
        run_ffmpeg([*clip, "-c:a", codec, str(place / name)], timeout_s=20, what=f"making {name}")
    webm = ["-i", str(place / "aac.mp4"), "-c:v", "libvpx", "-deadline", "realtime"]
    for codec, name in (("libopus", "opus.webm"), ("libvorbis", "vorbis.webm")):
        run_ffmpeg([*webm, "-c:a", codec, str(place / name)], timeout_s=20, what=f"making {name}")
    return place


WHOLE = ["aac.mp4", "pcm.mov", "opus.mkv", "opus.mp4", "ac3.mov", "flac.mkv", "opus.webm", "vorbis.webm"]


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_clip_passes(clips: Path, name: str) -> None:
    check(clips / name)


def _tables(content: bytearray, name: bytes) -> list[int]:
    """Where the boxes of this name begin: the picture track's, then the sound's."""
    found, at = [], content.find(name)
    while at >= 0:
        found.append(at)
        at = content.find(name, at + 4)
    return found


# A table, where in it a number stands, and what becomes of it: six samples, or a chunk, fewer; or one more.
DAMAGE = [
    (b"stts", 8, -1),
    (b"stts", 12, -6),
    (b"stts", 12, 6),
    (b"stsz", 12, -6),
    (b"stsz", 12, -1),
    (b"stco", 8, -1),
    (b"stsc", 16, -1),
]


# Some damage is such that the film cannot be opened at all.
TOLD = r"(is damaged|is cut off|is not a readable|not one frame of it can be decoded)"


@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov"])
@pytest.mark.parametrize("track", [0, 1], ids=["pictures", "sound"])
@pytest.mark.parametrize(("table", "offset", "change"), DAMAGE, ids=str)
def test_tables_that_do_not_agree_are_told(
    tmp_path: Path, clips: Path, name: str, track: int, table: bytes, offset: int, change: int
) -> None:
    """Up to a quarter of a second vanished, and nothing was said."""
    content = bytearray((clips / name).read_bytes())
    at = _tables(content, table)[track] + offset
    number = struct.unpack_from(">I", content, at)[0]
    struct.pack_into(">I", content, at, max(0, number + change))
    damaged = tmp_path / name
    damaged.write_bytes(content)
    with pytest.raises(MediaError, match=TOLD):
        check(damaged)


@pytest.mark.parametrize("table", [b"stts", b"stsz", b"stsc", b"stco", b"ctts"], ids=bytes.decode)
def test_a_table_that_claims_more_than_it_holds_is_told(tmp_path: Path, clips: Path, table: bytes) -> None:
    content = bytearray((clips / "aac.mp4").read_bytes())
    at = _tables(content, table)[0] + (12 if table == b"stsz" else 8)
    struct.pack_into(">I", content, at, 0x00FFFFFF)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    with pytest.raises(MediaError, match=TOLD):
        check(damaged)


@pytest.mark.parametrize(
    "name", ["opus.webm", "opus.mkv", "opus.mp4", "aac.mp4", "ac3.mov", "flac.mkv", "vorbis.webm"]
)
def test_a_damaged_packet_of_sound_is_told(tmp_path: Path, clips: Path, name: str) -> None:
    """Sound is copied as it is, so that nobody else would say it before it is heard."""
    content = bytearray((clips / name).read_bytes())
    with av.open(str(clips / name)) as clip:
        packet = [bytes(packet) for packet in clip.demux(audio=0) if packet.size][20]
    at = content.index(packet)
    content[at : at + len(packet)] = b"\xff" * len(packet)
    damaged = tmp_path / name
    damaged.write_bytes(content)
    with pytest.raises(
        MediaError, match=r"is damaged: (its \w+ sound cannot be decoded at 0\.\d\d s|pictures or sound)"
    ):
        check(damaged)


def test_sound_that_builds_on_what_was_cut_away_is_no_damage(tmp_path: Path, clips: Path) -> None:
    """TrueHD begins anew a few times a second only; a film may begin between."""
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    sound = ["-i", str(clips / "aac.mp4"), "-c:v", "copy", "-c:a", "truehd", "-strict", "-2", str(whole)]
    run_ffmpeg(sound, timeout_s=20, what="making TrueHD")
    late = ["-i", str(whole), "-ss", "0.05", "-i", str(whole), "-map", "0:v", "-map", "1:a", "-c", "copy", str(cut)]
    run_ffmpeg(late, timeout_s=20, what="cutting")
    check(cut)


@pytest.mark.parametrize("name", ["chapters", "subtitles", "time code"])
def test_what_lasts_longer_than_the_film_is_no_damage(tmp_path: Path, clips: Path, name: str) -> None:
    clip, extra = str(clips / "aac.mp4"), tmp_path / "extra"
    late = ";FFMETADATA1\n" + "".join(f"[CHAPTER]\nTIMEBASE=1/1\nSTART={n}\nEND={n + 90}\n" for n in (0, 90))
    texts = {"chapters": late, "subtitles": "1\n00:00:00,200 --> 00:01:00,000\nGood morning.\n", "time code": ""}
    options = {
        "chapters": ["-f", "ffmetadata", "-i", str(extra), "-map_chapters", "1", "-c", "copy"],
        "subtitles": ["-f", "srt", "-i", str(extra), "-c", "copy", "-c:s", "mov_text"],
        "time code": ["-c", "copy", "-timecode", "01:00:00:00"],
    }
    extra.write_text(texts[name])
    source = tmp_path / "source.mov"
    run_ffmpeg(["-i", clip, *options[name], str(source)], timeout_s=20, what=f"adding {name}")
    check(source)
    # Another writer gives the whole film the length of the longest.
    content = bytearray(source.read_bytes())
    at = content.index(b"mvhd") + 4
    struct.pack_into(">I", content, at + 16, struct.unpack_from(">I", content, at + 12)[0] * 99)
    source.write_bytes(content)
    check(source)


def test_a_film_whose_tracks_all_begin_late_is_not_cut_off(tmp_path: Path, clips: Path) -> None:
    source = tmp_path / "source.mkv"
    late = ["-itsoffset", "1.5", "-i", str(clips / "aac.mp4"), "-c", "copy", str(source)]
    run_ffmpeg(late, timeout_s=20, what="shifting")
    check(source)


@pytest.mark.parametrize("box", [b"trun", b"stsz"], ids=bytes.decode)
def test_more_samples_than_bytes_are_refused_before_a_demuxer_lists_them(
    tmp_path: Path, clips: Path, box: bytes
) -> None:
    """A demuxer would take gigabytes for a list of 100 million samples, which six kilobytes can claim."""
    fragments = ["-c", "copy", "-movflags", "frag_keyframe+empty_moov", str(tmp_path / "source.mp4")]
    run_ffmpeg(["-i", str(clips / "aac.mp4"), *fragments], timeout_s=20, what="making fragments")
    source = tmp_path / "source.mp4" if box == b"trun" else clips / "pcm.mov"
    content = bytearray(source.read_bytes())
    at = _tables(content, box)[-1] + (8 if box == b"trun" else 12)
    struct.pack_into(">I", content, at, 100_000_000)
    hostile = tmp_path / f"hostile{source.suffix}"
    hostile.write_bytes(content)
    with pytest.raises(MediaError, match="claims more samples than it has bytes"):
        probe(hostile)


def _with_edits(content: bytes, edits: list[tuple[int, int]], media_s: tuple[int, int]) -> bytes:
    """The film with another edit list for each track: (length in ms, begin in ms, -1 for nothing); `moov` is last."""
    tracks = iter(media_s)

    def rebuilt(part: bytes, scale: int) -> bytes:
        made = b""
        while part:
            size, name = struct.unpack_from(">I4s", part)
            inner = part[8:size]
            if name == b"trak":
                scale = next(tracks)
            if name in (b"moov", b"trak", b"edts"):
                inner = rebuilt(inner, scale)
            elif name == b"elst":
                hidden = struct.unpack_from(">i", inner, 12)[0]
                begins = [-1 if begin < 0 else hidden + begin * scale // 1000 for _, begin in edits]
                rows = [struct.pack(">IiI", edit[0], at, 0x10000) for edit, at in zip(edits, begins, strict=True)]
                inner = struct.pack(">II", 0, len(edits)) + b"".join(rows)
            made += struct.pack(">I4s", 8 + len(inner), name) + inner
            part = part[size:]
        return made

    return rebuilt(content, 0)


# A cut, a cut with nothing before and between, the same twice, and one that begins between two pictures.
EDITS = [[(400, 0), (600, 1000)], [(300, -1), (400, 0), (200, -1), (600, 1000)], [(400, 0)] * 2, [(390, 510)]]


@pytest.mark.parametrize("edits", EDITS, ids=str)
def test_an_edit_list_of_several_parts_is_followed(
    tmp_path: Path, engine: Engine, edits: list[tuple[int, int]]
) -> None:
    whole, source = tmp_path / "whole.mp4", tmp_path / "source.mp4"
    noise = ["-f", "lavfi", "-i", "anoisesrc=seed=7:amplitude=0.3:sample_rate=48000:duration=2", "-c:a", "aac"]
    picture = ["-i", str(render(tmp_path / "picture.mp4", frames=50)), "-c:v", "copy", "-movie_timescale", "1000"]
    run_ffmpeg([*picture[:2], *noise, *picture[2:], str(whole)], timeout_s=20, what="adding noise")
    source.write_bytes(_with_edits(whole.read_bytes(), edits, (12_800, 48_000)))
    heard = sound(source)
    for suffix in (".mp4", ".mkv"):
        target = tmp_path / f"target{suffix}"
        upscale_file(source, target, settings=PLAIN, engine=engine)
        assert timestamps(target) == pytest.approx(timestamps(source), abs=0.0006)
        assert abs(lag_s(heard, sound(target))) < 0.001
