"""A server that answers with the very bytes it was given, however wrong or slow they are."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class RawServer:
    """`asked` holds each request's head as it came."""

    base_url: str
    asked: list[bytes] = field(default_factory=list)


@contextmanager
def raw_server(pieces: Sequence[bytes], *, pause_s: float = 0.0, hold: bool = False) -> Iterator[RawServer]:
    """Answers every request with `pieces`, `pause_s` apart; with `hold` it never closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    record = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                received = connection.recv(65_536)
                if not received:
                    return
                head += received
            record.asked.append(head)
            for piece in pieces:
                connection.sendall(piece)
                if pause_s and ended.wait(pause_s):
                    return
            if hold:
                ended.wait()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def http(status: int, body: bytes, *headers: str) -> bytes:
    """An answer with its length, as a server would write it."""
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
