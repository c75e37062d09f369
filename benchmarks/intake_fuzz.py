"""Ten thousand files that nobody meant: intake reads every one, soon, in little memory, and never stops.

Files come from a grammar of each kind and from mutations of sound ones, by a seed. One process reads them all. Prints
a table and writes JSON; fails when a file raised, took too long, or was neither taken nor told of.
"""

import argparse
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

import openpyxl
import yaml
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from rich.console import Console
from rich.table import Table

from video_pipeline.briefs import example_files, read_files
from video_pipeline.briefs.bounds import MAX_FILE_BYTES
from video_pipeline.briefs.messages import briefs_quarantined
from video_pipeline.publishing import PLATFORMS, refusals

PROMISED_MIB, PROMISED_S = 300, 30
_DAY = date(2026, 11, 21)
_LIMITS = {name: vendor.limits for name, vendor in PLATFORMS.items()}
_FIELDS = (
    *("brief_id", "title", "caption", "platforms", "prompt", "shots", "duration_s", "quality", "visual_complexity"),
    *("native_audio", "orientation", "broll", "bible", "hook", "style", "seed", "mood", "<<", "", "a b", "\u200b"),
)
_WORDS = (
    *(
        "A cup #1 on a table",
        "null",
        "~",
        "No",
        "007",
        "1:30",
        "2026-02-30",
        "9" * 60,
        "1e999",
        "-.inf",
        "nan",
        "0x1F",
    ),
    *(
        "!!int five",
        "!!binary YQ==",
        "!!python/name:os.system",
        "!ours x",
        "&a x",
        "*a",
        "*b",
        "{a: b",
        "[a",
        "'",
        '"',
    ),
    *("tiktok", "youtube_shorts", "tiktok|instagram_reels", "draft", "portrait", "true", "FALSE", "5", "2,5", "a: b"),
    *(
        "\u202eabc",
        "\u200b",
        "a\x00b",
        "\ud83d",
        "\U0001f600",
        "I <3 coffee",
        "=A1",
        "| x",
        "> x",
        "- x",
        "? x",
        "%x",
    ),
)
_TOKENS = (
    *(b"#", b": ", b"- ", b"\n", b"\r", b"\r\n", b"\t", b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"{", b"}"),
    *(
        b"[",
        b"]",
        b'"',
        b"'",
        b",",
        b";",
        b"|",
        b">",
        b"&a ",
        b"*a ",
        b"<<: *a\n",
        b"!!",
        b"---\n",
        b"...\n",
        b"%YAML 9\n",
    ),
    *(b"\\ud800", b"\\u0000", b"9" * 5000, b"e999", b"sep=;\n", b"<!ENTITY a 'b'>", b"&a;", b"\xe2\x80\xa8", b"PK"),
)


@dataclass
class Kind:
    """What came of the files of one kind."""

    files: int = 0
    briefs: int = 0
    quarantined: int = 0
    slowest_s: float = 0.0


@dataclass
class Outcome:
    """What came of all files; `faults` say which file did what it must not."""

    seed: int
    kinds: dict[str, Kind] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_mib: float = 0.0


def fuzz(folder: Path, *, files: int, seed: int, seconds: float = 3600) -> Outcome:
    """Read `files` made-up files one after the other in this process, and no more of them after `seconds`."""
    rng = random.Random(seed)
    sound = [(path.suffix, path.read_bytes()) for path in example_files()]
    sound += [(".xlsx", _workbook(rng)), (".jsonl", _jsonl(rng)), (".tsv", _table(rng, "\t"))]
    makers = {".yaml": _yaml, ".json": _json, ".jsonl": _jsonl, ".csv": _table, ".tsv": _table, ".xlsx": _workbook}
    outcome = Outcome(seed)
    begun = time.monotonic()
    for number in range(files):
        if time.monotonic() - begun > seconds:
            break
        if rng.random() < 0.4:
            suffix = rng.choice(list(makers))
            data = makers[suffix](rng)
            if rng.random() < 0.3:
                data = _mutated(data, rng)
        else:
            suffix, data = rng.choice(sound)
            data = _mutated(data, rng)
            if rng.random() < 0.05:
                suffix = rng.choice(list(makers))
        path = folder / f"{number}{suffix}"
        path.write_bytes(data[: MAX_FILE_BYTES + 1])
        kind = outcome.kinds.setdefault(suffix, Kind())
        if fault := _read(path, kind):
            outcome.faults.append(f"file {number} of seed {seed}: {fault}")
        else:
            path.unlink()
    outcome.seconds = time.monotonic() - begun
    outcome.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return outcome


def _read(path: Path, kind: Kind) -> str:
    """Read one file, count it, and say what is wrong with how it went; empty when nothing is."""
    begun = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, PROMISED_S)
    try:
        reading = read_files(
            [path], platforms=PLATFORMS, refusals=lambda brief: refusals(brief, _LIMITS, model="a/model")
        )
        rows = [item.as_row() for item in reading.quarantined]
        # What the ledger and a channel are given: lone surrogates stop here.
        kept = [text.encode() for row in rows for text in (row["source"], row["raw"], *row["reasons"])]
        told = briefs_quarantined(path.name, reading.quarantined, _DAY).text if reading.quarantined else ""
    except Exception:
        return traceback.format_exc(limit=-3).strip()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    kind.files += 1
    kind.briefs += len(reading.briefs)
    kind.quarantined += len(rows)
    kind.slowest_s = max(kind.slowest_s, time.monotonic() - begun)
    if not reading.briefs and not reading.quarantined:
        return "nothing was taken and nothing told"
    if any(b"\0" in text for text in kept) or any(not item.reasons for item in reading.quarantined):
        return "what is told cannot be kept, or is no reason"
    longest = max((len(reason) for item in reading.quarantined for reason in item.reasons), default=0)
    return f"a reason of {longest:,} characters" if longest > 500 or len(told) > 30_000 else ""


def _late(signal_number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"not read within {PROMISED_S} s")


def _value(rng: random.Random, depth: int = 0) -> Any:
    choice = rng.random()
    if depth > 3 or choice < 0.6:
        return rng.choice(
            [rng.choice(_WORDS), rng.choice(_WORDS), rng.randint(-5, 10 ** rng.randint(0, 40)), None, True, 1.5]
        )
    if choice < 0.8:
        return [_value(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return {rng.choice(_FIELDS): _value(rng, depth + 1) for _ in range(rng.randint(0, 4))}


def _document(rng: random.Random) -> dict[str, Any]:
    """A sound brief, and in most of them some fields that are not."""
    document: dict[str, Any] = {
        "brief_id": f"b-{rng.randint(0, 99)}",
        "title": "A title",
        "platforms": ["tiktok"],
        "prompt": "A cup",
        "duration_s": rng.randint(1, 20),
    }
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
        document[rng.choice(_FIELDS)] = _value(rng)
    return document


def _documents(rng: random.Random) -> list[dict[str, Any]]:
    return [_document(rng) for _ in range(rng.choice([1, 1, 2, 5, 30]))]


def _json(rng: random.Random) -> bytes:
    documents = _documents(rng)
    return json.dumps(documents if rng.random() < 0.7 else documents[0]).encode()


def _jsonl(rng: random.Random) -> bytes:
    return "\n".join(json.dumps(document) for document in _documents(rng)).encode()


def _yaml(rng: random.Random) -> bytes:
    """As people write it: half of it by a library, half typed, with anchors, tags, comments and wrong indents."""
    if rng.random() < 0.4:
        text = yaml.safe_dump_all(
            _documents(rng), allow_unicode=True, default_flow_style=rng.choice([None, False, True])
        )
        return text.encode("utf-8", "surrogatepass")
    lines: list[str] = []
    for _ in range(rng.randint(1, 30)):
        indent = " " * rng.choice([0, 0, 0, 0, 2, 4]) + rng.choice(["", "", "", "- ", "\t", "- - ", "? "])
        anchor = rng.choice(["", "", "", "&a ", "!!str ", "!!int ", "!x "])
        end = rng.choice(["", "", "", " #tag", "  # a comment", " ,", ":"])
        lines.append(f"{indent}{rng.choice(_FIELDS)}: {anchor}{rng.choice(_WORDS)}{end}")
    if rng.random() < 0.2:
        merged = rng.choice(["[{0}, {0}, {0}]", "{{<<: [{0}, {0}], k: v}}", "{{k: {0}, m: {0}}}"])
        lines = [
            f"l{n}: &l{n} {merged.format(f'*l{n - 1}') if n else '{k: v}'}" for n in range(rng.randint(2, 400))
        ] + lines
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _rows(rng: random.Random) -> list[list[str]]:
    columns = [
        *("brief_id", "title", "platforms", "prompt", "duration_s"),
        *rng.choices(_FIELDS, k=rng.randint(0, 4)),
    ]
    rows = [columns]
    for number in range(rng.choice([0, 1, 3, 50])):
        row = [f"b-{number}", "T", "tiktok", "A cup", "2", *rng.choices([*_WORDS, "", ""], k=len(columns) - 5)]
        if rng.random() < 0.3:
            row[rng.randrange(len(row))] = rng.choice(_WORDS)
        rows.append(row if rng.random() < 0.8 else [""] * rng.randint(0, 9))
    return rows


def _table(rng: random.Random, delimiter: str = "") -> bytes:
    delimiter = delimiter or rng.choice(",;\t|:")
    quoted = rng.random() < 0.5
    lines = [delimiter.join(f'"{cell}"' if quoted else cell for cell in row) for row in _rows(rng)]
    text = rng.choice(["", "", f"sep={delimiter}\n"]) + rng.choice(["\n", "\r\n", "\r"]).join(lines)
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def _workbook(rng: random.Random) -> bytes:
    book = openpyxl.Workbook()
    for number in range(rng.randint(1, 3)):
        sheet = book.create_sheet(f"S{number}") if number else book.worksheets[0]
        for row in _rows(rng):
            sheet.append([ILLEGAL_CHARACTERS_RE.sub("", cell.encode("utf-8", "replace").decode()) for cell in row])
    kept = io.BytesIO()
    book.save(kept)
    if rng.random() < 0.6:
        return kept.getvalue()
    changed = io.BytesIO()
    with zipfile.ZipFile(kept) as before, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as after:
        unlucky = rng.choice(before.namelist())
        for name in before.namelist():
            data = before.read(name)
            after.writestr(name, _mutated(data, rng) if name == unlucky else data)
    return changed.getvalue()


def _mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at, end = sorted((rng.randint(0, len(changed)), rng.randint(0, len(changed))))
        end = min(end, at + rng.choice([1, 3, 20, 200]))
        action = rng.randrange(7)
        if action == 0 and changed:
            changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
        elif action == 1:
            changed[at:end] = b""
        elif action == 2:
            changed[at:at] = rng.choice(_TOKENS)
        elif action == 3:
            changed[at:at] = changed[at:end] * rng.choice([1, 2, 10])
        elif action == 4 and rng.random() < 0.3:
            # To the size that is still read.
            piece = bytes(changed[at:end]) or rng.choice(_TOKENS)
            changed[at:at] = piece * ((MAX_FILE_BYTES - len(changed)) // len(piece))
        elif action == 5 and rng.random() < 0.2:
            del changed[at:]
        elif action == 6:
            changed[at:end] = rng.choice(_WORDS).encode("utf-8", "surrogatepass")
        del changed[MAX_FILE_BYTES + 1 :]
    return bytes(changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20261127)
    parser.add_argument("--seconds", type=float, default=1800, help="No file is begun after this long.")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/intake-fuzz.json"))
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _late)
    with tempfile.TemporaryDirectory(prefix="intake-fuzz-") as folder:
        outcome = fuzz(Path(folder), files=options.files, seed=options.seed, seconds=options.seconds)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(asdict(outcome), indent=2) + "\n")
    _print(outcome)
    done = sum(kind.files for kind in outcome.kinds.values())
    if outcome.faults or outcome.peak_mib > PROMISED_MIB or done < options.files:
        raise SystemExit(1)


def _print(outcome: Outcome) -> None:
    console = Console()
    table = Table("files", "read", "briefs", "told", "slowest s", title="Intake of files that nobody meant")
    for suffix, kind in sorted(outcome.kinds.items()):
        table.add_row(suffix, *map(str, (kind.files, kind.briefs, kind.quarantined)), f"{kind.slowest_s:.2f}")
    console.print(table)
    done = sum(kind.files for kind in outcome.kinds.values())
    console.print(
        f"{done:,} files in {outcome.seconds:.0f} s, at most {outcome.peak_mib:.0f} MiB, seed {outcome.seed}."
    )
    for said, count in Counter(outcome.faults).most_common(20):
        console.print(f"{count}x {said}", style="red", markup=False)


if __name__ == "__main__":
    sys.exit(main())
