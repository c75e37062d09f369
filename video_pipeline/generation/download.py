"""Fetching a provider's file: streamed to a temporary file, capped, and never from where we must not go.

SSRF guard (https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html):
only https to public addresses, every resolved address is checked, the connection goes to the checked address,
no redirects, no credentials. The sandbox's own origin is the one exception.
"""

import asyncio
import hashlib
import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from video_pipeline.errors import ProviderError

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


class MediaGone(ProviderError):
    """The address no longer holds the file; the provider must be asked for a fresh one."""


@dataclass(frozen=True)
class Downloaded:
    path: Path
    size_bytes: int
    sha256: str


async def download(
    client: httpx.AsyncClient,
    url: str,
    target: Path,
    *,
    trusted_origins: frozenset[str],
    max_bytes: int,
    deadline_s: float = 600.0,
) -> Downloaded:
    """Stream `url` into `target`.

    Raises MediaGone (401, 403, 404, 410), ProviderError for a forbidden address, an oversized or short body, and
    httpx.TransportError or asyncio's TimeoutError for network trouble, which is worth a retry.
    """
    address, headers, extensions = await _pinned(url, trusted_origins)
    digest, size = hashlib.sha256(), 0
    async with asyncio.timeout(deadline_s):
        request = client.build_request("GET", address, headers=headers, extensions=extensions)
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            if response.status_code in (401, 403, 404, 410):
                raise MediaGone(f"The file at {_shown(url)} is gone (HTTP {response.status_code}).")
            if response.status_code != 200:
                raise httpx.RemoteProtocolError(f"HTTP {response.status_code} for a media file")
            with target.open("wb") as file:
                async for chunk in response.aiter_raw():
                    size += len(chunk)
                    if size > max_bytes:
                        raise ProviderError(
                            f"The file at {_shown(url)} is larger than the {max_bytes:,} bytes allowed."
                        )
                    digest.update(chunk)
                    file.write(chunk)
        finally:
            await response.aclose()
    declared = response.headers.get("Content-Length")
    if declared is not None and int(declared) != size:
        raise httpx.RemoteProtocolError(f"{size} of {declared} bytes arrived")
    return Downloaded(target, size, digest.hexdigest())


async def _pinned(url: str, trusted_origins: frozenset[str]) -> tuple[str, dict[str, str], dict[str, str]]:
    """The address to connect to, with the headers and the TLS name that keep the original host's identity."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
        # httpx is stricter than urlsplit about what an address may hold.
        httpx.URL(url)
    except (ValueError, UnicodeError, httpx.InvalidURL) as error:
        raise ProviderError(f"A provider gave {_shown(url)} as a media address, which is none: {error}.") from error
    if f"{parts.scheme}://{parts.netloc}" in trusted_origins:
        return url, {"Accept-Encoding": "identity"}, {}
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise ProviderError(
            f"A provider gave {_shown(url)} as a media address; only plain https addresses are fetched."
        )
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise ProviderError(f"A provider gave {_shown(url)} as a media address, which is none: {error}.") from error
    except socket.gaierror as error:
        raise httpx.ConnectError(f"{parts.hostname} does not resolve: {error}") from error
    addresses = [str(info[4][0]) for info in found]
    refused = [address for address in addresses if not is_public(address)]
    if refused or not addresses:
        raise ProviderError(
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
    return f"{start}{mark}{host.rpartition('@')[2]}{slash}{path}"
