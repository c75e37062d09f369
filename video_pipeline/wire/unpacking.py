"""Unpacking what arrives packed (gzip, deflate), a bounded piece at a time: a small body cannot fill memory."""

import zlib
from collections.abc import Iterator

_PIECE_BYTES = 65_536


class Unpacker:
    """Unpacks a body with the `Content-Encoding` that it came with. Raises ValueError where it cannot be unpacked."""

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        self._packed = encoding not in ("", "identity")
        if encoding in ("gzip", "x-gzip", "deflate"):
            # 32: zlib finds out by itself which of its two headers there is.
            self._inflate = zlib.decompressobj(32 + zlib.MAX_WBITS)
        elif self._packed:
            raise ValueError("it is packed in a way that was not asked for")

    def unpacked(self, chunk: bytes) -> Iterator[bytes]:
        """What `chunk` unpacks to, in pieces of 64 KiB at most; whoever has enough stops asking."""
        if not self._packed:
            yield chunk
            return
        try:
            while chunk:
                piece = self._inflate.decompress(chunk, _PIECE_BYTES)
                if piece:
                    yield piece
                chunk = self._inflate.unconsumed_tail
        except zlib.error:
            raise ValueError("it is damaged: it does not unpack") from None

    def check_end(self) -> None:
        """Raises ValueError when the body has ended before what is packed in it has."""
        if self._packed and not self._inflate.eof:
            raise ValueError("it is cut: it does not unpack to its end")
