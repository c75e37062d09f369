"""Fetching a provider's file: where we never go, and what never becomes a file."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import os
from pathlib import Path

import httpx
import pytest

from video_pipeline.generation.download import Downloaded, NotFetched, download, is_public
from video_pipeline_tests.contract.answering import answering
from video_pipeline_tests.wire.raw_server import raw_server

CONTENT = bytes(range(256)) * 200


def fetch(url: str, target: Path, *, trusted: str = "", max_bytes: int = 10**6, deadline_s: float = 10) -> Downloaded:
    async def run() -> Downloaded:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            return await download(
                client,
                url,
                target,
                trusted_origins=frozenset({trusted} if trusted else ()),
                max_bytes=max_bytes,
                deadline_s=deadline_s,
            )

    return asyncio.run(run())


def test_a_file_arrives_whole_with_its_hash(tmp_path: Path) -> None:
    with answering(200, CONTENT) as server:
        file = fetch(f"{server.base_url}/clip.mp4", tmp_path / "clip.mp4", trusted=server.base_url)
    assert (file.size_bytes, file.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert file.path.read_bytes() == CONTENT


def test_a_file_of_this_machine_comes_from_a_trusted_folder_by_the_same_checks(tmp_path: Path) -> None:
    folder = tmp_path / "rendered by us"
    folder.mkdir()
    (folder / "clip 1.mp4").write_bytes(CONTENT)
    url = (folder / "clip 1.mp4").as_uri()
    file = fetch(url, tmp_path / "clip.mp4", trusted=folder.as_uri())
    assert (file.size_bytes, file.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert file.path.read_bytes() == CONTENT
    with pytest.raises(NotFetched, match="larger than the 1,000 bytes"):
        fetch(url, tmp_path / "clip.mp4", trusted=folder.as_uri(), max_bytes=1000)
    (folder / "clip 1.mp4").unlink()
    with pytest.raises(NotFetched, match="FileNotFoundError"):
        fetch(url, tmp_path / "clip.mp4", trusted=folder.as_uri())


@pytest.mark.parametrize("trusted", ["", "http://127.0.0.1:8188"])
def test_a_vendor_cannot_make_us_read_a_file(trusted: str, tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(CONTENT)
    for url in (
        f"file://{tmp_path}/secret.mp4",
        f"FILE://{tmp_path}/secret.mp4",
        f"file://host{tmp_path}/secret.mp4",
    ):
        with pytest.raises(NotFetched, match=r"only plain https addresses|could not be fetched"):
            fetch(url, tmp_path / "clip.mp4", trusted=trusted)
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize(
    "path",
    ["", "/", "/../secret.mp4", "/%2e%2e/secret.mp4", "/link.mp4", "/linked/secret.mp4", "-2/secret.mp4", "/%00"],
)
def test_a_trusted_folder_opens_no_other(path: str, tmp_path: Path) -> None:
    folder, beside = tmp_path / "rendered", tmp_path / "rendered-2"
    folder.mkdir()
    beside.mkdir()
    for place in (tmp_path, beside):
        (place / "secret.mp4").write_bytes(CONTENT)
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (folder / "linked").symlink_to(beside)
    with pytest.raises(NotFetched, match="only plain https addresses"):
        fetch(folder.as_uri() + path, tmp_path / "clip.mp4", trusted=folder.as_uri())
    assert not (tmp_path / "clip.mp4").exists()


def test_a_pipe_in_a_trusted_folder_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFetched, match="is no file"):
        fetch((tmp_path / "pipe").as_uri(), tmp_path / "clip.mp4", trusted=tmp_path.as_uri())


# --- where we never go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "localhost",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
    ],
)
def test_an_address_inside_is_never_fetched(host: str, tmp_path: Path) -> None:
    with pytest.raises(NotFetched, match=r"not a public address|which is none"):
        fetch(f"https://{host}/clip.mp4", tmp_path / "clip.mp4")
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/clip.mp4",
        "ftp://8.8.8.8/clip.mp4",
        "file:///etc/passwd",
        "data:video/mp4;base64,AAAA",
        "https://user@8.8.8.8/clip.mp4",
        "https://user:secret@8.8.8.8/clip.mp4",
        "https://:secret@8.8.8.8/clip.mp4",
        "https:///clip.mp4",
        "//8.8.8.8/clip.mp4",
        "clip.mp4",
        "",
    ],
)
def test_only_plain_https_addresses_are_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotFetched, match="only plain https"):
        fetch(url, tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    "url",
    [
        "https://8.8.8.8:99999/clip.mp4",
        "https://8.8.8.8:port/clip.mp4",
        "https://[::1/clip.mp4",
        f"https://{'a' * 64}.example/clip.mp4",
        "https://8.8.8.8/clip\x01.mp4",
    ],
    ids=["port too large", "port no number", "bracket", "label too long", "control character"],
)
def test_an_address_that_is_none_is_refused_with_a_sentence(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotFetched):
        fetch(url, tmp_path / "clip.mp4")


def test_a_secret_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(NotFetched) as refused:
        fetch("https://127.0.0.1/clip.mp4?signature=secret", tmp_path / "clip.mp4")
    assert "secret" not in str(refused.value)


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(NotFetched) as refused:
        fetch("https://user:secret@8.8.8.8/clip.mp4", tmp_path / "clip.mp4")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("change", ["localhost", "another port", "userinfo", "https"])
def test_the_sandboxs_own_origin_is_trusted_and_no_other(change: str, tmp_path: Path) -> None:
    with answering(200, CONTENT) as server, answering(200, CONTENT) as other:
        port = server.base_url.rsplit(":", 1)[1]
        url = {
            "localhost": f"http://localhost:{port}/clip.mp4",
            "another port": f"{other.base_url}/clip.mp4",
            "userinfo": f"http://user@127.0.0.1:{port}/clip.mp4",
            "https": f"https://127.0.0.1:{port}/clip.mp4",
        }[change]
        with pytest.raises(NotFetched):
            fetch(url, tmp_path / "clip.mp4", trusted=server.base_url)
        assert server.asked == other.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, tmp_path: Path) -> None:
    with answering(200, CONTENT) as inside:
        location = {"Location": f"{inside.base_url}/metadata"}
        with answering(status, b"", location) as server, pytest.raises(NotFetched):
            fetch(f"{server.base_url}/clip.mp4", tmp_path / "clip.mp4", trusted=server.base_url)
        assert inside.asked == []


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_anybodys_address_is_public(address: str) -> None:
    assert is_public(address)


# --- what never becomes a file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_file_that_is_gone_is_told_from_trouble(status: int, tmp_path: Path) -> None:
    with answering(status) as server, pytest.raises(NotFetched, match=str(status)):
        fetch(f"{server.base_url}/clip.mp4", tmp_path / "clip.mp4", trusted=server.base_url)


@pytest.mark.parametrize("status", [204, 206, 429, 500, 503])
def test_any_other_answer_is_trouble_worth_a_retry(status: int, tmp_path: Path) -> None:
    with answering(status) as server, pytest.raises(NotFetched):
        fetch(f"{server.base_url}/clip.mp4", tmp_path / "clip.mp4", trusted=server.base_url)


def test_a_body_that_is_too_large_is_stopped_at_the_limit(tmp_path: Path) -> None:
    target, unsaid = tmp_path / "clip.mp4", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    with raw_server([unsaid, CONTENT]) as server, pytest.raises(NotFetched, match="larger"):
        fetch(f"{server.base_url}/clip.mp4", target, trusted=server.base_url, max_bytes=1000)
    assert target.stat().st_size <= 1000


def test_a_body_that_says_that_it_is_too_large_is_not_begun(tmp_path: Path) -> None:
    with answering(200, CONTENT) as server, pytest.raises(NotFetched, match="larger"):
        fetch(f"{server.base_url}/clip.mp4", tmp_path / "clip.mp4", trusted=server.base_url, max_bytes=1000)
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize("said", [len(CONTENT) + 1, 10 * len(CONTENT)])
def test_a_body_shorter_than_it_says_is_no_file(said: int, tmp_path: Path) -> None:
    lying = {"Content-Length": str(said)}
    with answering(200, CONTENT, lying) as server, pytest.raises(NotFetched):
        fetch(f"{server.base_url}/clip.mp4", tmp_path / "clip.mp4", trusted=server.base_url)


def test_what_comes_after_the_length_said_is_left(tmp_path: Path) -> None:
    with answering(200, CONTENT, {"Content-Length": "1000"}) as server:
        file = fetch(f"{server.base_url}/clip.mp4", tmp_path / "clip.mp4", trusted=server.base_url)
    assert file.path.read_bytes() == CONTENT[:1000]


def test_a_body_that_comes_packed_is_unpacked_within_the_limit(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    with answering(200, gzip.compress(CONTENT), {"Content-Encoding": "gzip"}) as server:
        file = fetch(f"{server.base_url}/clip.mp4", target, trusted=server.base_url)
    assert file.path.read_bytes() == CONTENT
    bomb = gzip.compress(bytes(10**7))
    with answering(200, bomb, {"Content-Encoding": "gzip"}) as server, pytest.raises(NotFetched, match="larger"):
        fetch(f"{server.base_url}/clip.mp4", target, trusted=server.base_url)
    assert target.stat().st_size <= 10**6


@pytest.mark.parametrize("name", ["Content-MD5", "x-goog-hash"])
def test_a_file_is_the_one_that_its_checksum_is_of(name: str, tmp_path: Path) -> None:
    prefix = "crc32c=AAAAAA==,md5=" if name == "x-goog-hash" else ""
    right, wrong = (base64.b64encode(hashlib.md5(text).digest()).decode() for text in (CONTENT, b"other"))
    for told, whole in ((right, True), (wrong, False), ("no base64", True)):
        outcome = contextlib.nullcontext() if whole else pytest.raises(NotFetched, match="checksum")
        with answering(200, CONTENT, {name: prefix + told}) as server, outcome:
            fetch(f"{server.base_url}/clip.mp4", tmp_path / "clip.mp4", trusted=server.base_url)


def test_a_file_on_a_host_that_is_not_the_providers_is_not_fetched(tmp_path: Path) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await download(
                client,
                "https://8.8.8.8/clip.mp4",
                tmp_path / "clip.mp4",
                trusted_origins=frozenset(),
                media_origins=frozenset({"https://*.media.example"}),
                max_bytes=1000,
            )

    with pytest.raises(NotFetched, match="none of its hosts"):
        asyncio.run(run())


def test_a_server_that_never_answers_is_left_at_the_deadline(tmp_path: Path) -> None:
    async def silent() -> None:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, httpx.AsyncClient(timeout=5, trust_env=False) as client:
            await download(
                client,
                f"{origin}/clip.mp4",
                tmp_path / "clip.mp4",
                trusted_origins=frozenset({origin}),
                max_bytes=1000,
                deadline_s=0.2,
            )

    with pytest.raises(NotFetched, match="did not hand"):
        asyncio.run(silent())
