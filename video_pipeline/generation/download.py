"""Fetching a provider's file: streamed to a temporary file, capped, and never from where we must not go.

SSRF guard (https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html):
only https to public addresses, every resolved address is checked, the connection goes to the checked address,
no redirects, no credentials. The sandbox's own origin is the one exception. A `file:` address is read only in a
folder that is among the trusted origins: an adapter that renders on this machine names it, no answer of a vendor can.

Whatever goes wrong here says something of the way and nothing of the render: the file is fetched again.
"""

import asyncio
import base64
import binascii
import contextlib
import errno
import hashlib
import ipaddress
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from video_pipeline.errors import ProviderError
from video_pipeline.wire import Line, Unpacker, clean, told_while_it_lasts

# What some Python's `ipaddress` calls global although it is nobody's server: NAT64, 6to4, IPv4-compatible,
# site-local, segment routing, documentation, protocol assignments, multicast.
_DENIED = tuple(
    ipaddress.ip_network(block)
    for block in (
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "::/96",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
        "ff00::/8",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "224.0.0.0/4",
    )
)


_CHUNK_BYTES = 1 << 20
_FILE = "file://"


class NotFetched(ProviderError):
    """The file was not had this time, or the address no longer holds it; a fresh address may help."""


class NeverFetched(NotFetched):
    """The file will not be had at this address, however often it is asked for."""


@dataclass(frozen=True)
class Downloaded:
    """A file that came with all the bytes that its answer announced."""

    path: Path
    size_bytes: int
    sha256: str


async def download(
    client: httpx.AsyncClient,
    url: str,
    target: Path,
    *,
    trusted_origins: frozenset[str],
    media_origins: frozenset[str] = frozenset(),
    max_bytes: int,
    deadline_s: float = 600.0,
) -> Downloaded:
    """Stream `url` into `target`, unpacked where it comes packed; `media_origins` are the hosts it may be on.

    `trusted_origins` need not be public; one that is a folder (`file:///folder`) lets the files in it be read.
    Raises NotFetched, also for a body that is shorter than announced, or not the one that its checksum is of, and
    NeverFetched for an address that must not be fetched or holds nothing any more, and for a body that is too large.
    """
    try:
        with told_while_it_lasts(f"The download of {_shown(url)}", deadline_s):
            async with asyncio.timeout(deadline_s):
                if url.startswith(_FILE):
                    return await _received(_pieces(_own_file(url, trusted_origins)), {}, target, max_bytes)
                address, headers, extensions = await _pinned(url, trusted_origins, media_origins)
                request = client.build_request("GET", address, headers=headers, extensions=extensions)
                response = await client.send(request, stream=True, follow_redirects=False)
                try:
                    if response.status_code != 200:
                        never = response.status_code in (404, 410)
                        said = f"{_shown(url)} answered HTTP {response.status_code}"
                        raise (NeverFetched if never else NotFetched)(said)
                    return await _received(response.aiter_raw(), response.headers, target, max_bytes)
                finally:
                    await response.aclose()
    except TimeoutError:
        raise NotFetched(f"{_shown(url)} did not hand the file over within {deadline_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Without the cause, whose words may be the other side's.
        raise NotFetched(f"{_shown(url)} could not be fetched ({type(error).__name__})") from None


def _own_file(url: str, trusted_origins: frozenset[str]) -> Path:
    """The file at a `file:` address in a folder that is trusted, wherever links lead. Raises NotFetched."""
    folders = [_resolved(origin) for origin in trusted_origins if origin.startswith(_FILE)]
    with contextlib.suppress(ValueError, OSError, RuntimeError):
        path = _resolved(url)
        if any(folder in path.parents for folder in folders):
            return path
    raise NeverFetched(f"A provider gave {_shown(url)} as a media address; only plain https addresses are fetched.")


def _resolved(address: str) -> Path:
    return Path(unquote(address.removeprefix(_FILE))).resolve()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    """A regular file in pieces. Raises OSError, and NotFetched for what is no file, such as a pipe."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NeverFetched(f"{path} is no file")
        while piece := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield piece


async def _received(
    body: AsyncIterator[bytes], headers: Mapping[str, str], target: Path, max_bytes: int
) -> Downloaded:
    """The body of an answer with such headers, as a file."""
    told_bytes = headers.get("Content-Length", "")
    if told_bytes.isascii() and told_bytes.isdigit() and int(told_bytes[:20]) > max_bytes:
        raise NeverFetched(f"the file is larger than the {max_bytes:,} bytes allowed")
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    try:
        unpacker = Unpacker(headers.get("Content-Encoding", ""))
        with target.open("wb") as file:
            async for chunk in body:
                for piece in unpacker.unpacked(chunk):
                    size += len(piece)
                    if size > max_bytes:
                        raise NeverFetched(f"the file is larger than the {max_bytes:,} bytes allowed")
                    sha256.update(piece)
                    md5.update(piece)
                    file.write(piece)
        unpacker.check_end()
    except ValueError as error:
        raise NotFetched(f"the file cannot be read: {error}") from None
    told = _told_md5(headers)
    if told is not None and told != md5.digest():
        raise NotFetched("the file is not the one that its checksum is of")
    return Downloaded(target, size, sha256.hexdigest())


def _told_md5(headers: Mapping[str, str]) -> bytes | None:
    """The checksum that came with the file: `Content-MD5` (RFC 1864), or Google's `x-goog-hash`."""
    given = [headers.get("Content-MD5", "")] if "Content-Encoding" not in headers else []
    stored = [part.strip() for part in headers.get("x-goog-hash", "").split(",")]
    given += [part.removeprefix("md5=") for part in stored if part.startswith("md5=")]
    for text in given:
        with contextlib.suppress(binascii.Error, ValueError):
            decoded = base64.b64decode(text, validate=True)
            if len(decoded) == 16:
                return decoded
    return None


async def _pinned(
    url: str, trusted_origins: frozenset[str], media_origins: frozenset[str]
) -> tuple[str, dict[str, str], dict[str, str]]:
    """The address to connect to, with the headers and the TLS name that keep the original host's identity."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
        # httpx is stricter than urlsplit about what an address may hold.
        httpx.URL(url)
    except (ValueError, UnicodeError, httpx.InvalidURL) as error:
        raise NeverFetched(f"A provider gave {_shown(url)} as a media address, which is none: {error}.") from error
    if f"{parts.scheme}://{parts.netloc}" in trusted_origins:
        return url, {"Accept-Encoding": "identity"}, {}
    if media_origins and not Line("", origins=media_origins).is_ours(url):
        raise NeverFetched(f"A provider gave {_shown(url)} as a media address, which is on none of its hosts.")
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise NeverFetched(
            f"A provider gave {_shown(url)} as a media address; only plain https addresses are fetched."
        )
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise NeverFetched(f"A provider gave {_shown(url)} as a media address, which is none: {error}.") from error
    except socket.gaierror as error:
        raise NotFetched(f"{_shown(url)} could not be fetched: its host does not resolve") from error
    addresses = [str(info[4][0]) for info in found]
    refused = [address for address in addresses if not is_public(address)]
    if refused or not addresses:
        raise NeverFetched(
            f"A provider gave {_shown(url)} as a media address; it leads to {', '.join(refused) or 'nowhere'}, "
            "which is not a public address, and was not fetched."
        )
    host = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    pinned = parts._replace(netloc=f"{host}:{port}").geturl()
    return pinned, {"Host": parts.netloc, "Accept-Encoding": "identity"}, {"sni_hostname": parts.hostname}


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody's server on the internet may have."""
    parsed = ipaddress.ip_address(address.split("%", 1)[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        parsed = mapped
    if any(parsed.version == block.version and parsed in block for block in _DENIED):
        return False
    return parsed.is_global


def _shown(url: str) -> str:
    """An address without its query, which may hold a signature, and without its user, which may hold a password."""
    start, mark, rest = url.split("?", 1)[0].partition("://")
    host, slash, path = rest.partition("/")
    return clean(f"{start}{mark}{host.rpartition('@')[2]}{slash}{path}", 300)
