"""Looking for canaries: secrets of tests that must be nowhere, however they are written."""

import html
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote_plus

from sqlalchemy import text

from video_pipeline.ledger import Ledger

_NUMBERED = re.compile(r"\\+u([0-9a-fA-F]{4})")
_BREAKS = re.compile(r"\\+[nrt]|=(?=\r?\n)")
_BETWEEN = re.compile("[\\s\\\\\x00-\x1f\ufffd]")
_HEX = re.compile(r"[0-9a-fA-F]{24,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}")


def held_in(content: str | bytes, canaries: Iterable[str]) -> list[str]:
    """Which of `canaries` a content holds: as they are, escaped, broken over lines, in hex or in base64.

    In what is no text, as they are.
    """
    wanted = list(canaries)
    try:
        readings = list(_readings(content if isinstance(content, str) else content.decode()))
    except UnicodeDecodeError:
        assert isinstance(content, bytes)
        readings = [content.decode("latin-1").lower()]
    return [canary for canary in wanted if any(_plain(canary) in reading for reading in readings)]


def _readings(raw: str) -> Iterator[str]:
    """What a text may say, each reading without what stands between letters, in small letters."""
    yield _plain(raw)
    unbroken = _BREAKS.sub("", raw)
    packed = {re.sub(r"\s", "", unbroken)}
    for change in (_unnumbered, html.unescape, unquote_plus):
        raw, unbroken = change(raw), change(unbroken)
        yield from {_plain(raw), _plain(unbroken)}
        packed.add(re.sub(r"\s", "", unbroken))
    for run in {run for line in packed for run in _HEX.findall(line)}:
        for start in range(2):
            even = run[start : start + (len(run) - start) // 2 * 2]
            yield _plain(bytes.fromhex(even).decode("utf-8", "replace"))
    for run in {run for line in packed for run in _BASE64.findall(line.replace("-", "+").replace("_", "/"))}:
        for start in range(4):
            whole = run[start : len(run) - ((len(run) - start) % 4 == 1)]
            yield _plain(b64decode(f"{whole}===").decode("utf-8", "replace"))


def _unnumbered(raw: str) -> str:
    return _NUMBERED.sub(lambda found: chr(int(found[1], 16)), raw)


def _plain(raw: str) -> str:
    return _BETWEEN.sub("", raw).lower()


def canaries_in(ledger: Ledger, *canaries: str) -> list[str]:
    """Where in the ledger a canary is: the table and column of each find. Every column of every table is read."""
    found: list[str] = []
    with ledger.engine.connect() as connection:
        columns = connection.execute(
            text(
                "SELECT table_name, string_agg(format('%I::text', column_name), ', ') "
                "FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name"
            )
        ).all()
        assert len(columns) > 15, "the ledger was not looked at"
        for table, names in columns:
            rows = connection.execute(text(f'SELECT {names} FROM "{table}"')).mappings().all()
            for column in rows[0] if rows else ():
                held = held_in("\n\x01\n".join({str(row[column]) for row in rows}), canaries)
                found += [f"{table}.{column} holds {canary}" for canary in held]
    return found


def canaries_under(folder: Path, *canaries: str, but: Callable[[Path], bool] = lambda _: False) -> list[str]:
    """Which files under `folder` hold a canary; not those that `but` says."""
    return [
        f"{path.relative_to(folder)} holds {canary}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not but(path)
        for canary in held_in(path.read_bytes(), canaries)
    ]
