from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from opsplane.errors import InvalidInput
from opsplane.files.limits import LimitExceeded, Limits

BLOCK = 1024 * 1024
_GZIP = b"\x1f\x8b"
_RATIO_FROM = 16 * BLOCK


class Damaged(InvalidInput):
    """The file is not what its beginning says: the compression is broken or cut off."""


class Facts(NamedTuple):
    """What one pass over a file tells: its checksum, and how much comes out of it."""

    sha256: str
    size: int
    text_size: int
    lines: int
    compressed: bool


def inspect(path: Path, limits: Limits) -> Facts:
    """The facts of a file. Raises `LimitExceeded` before anything of a file that is too large is used."""
    size = path.stat().st_size
    if size > limits.bytes:
        raise LimitExceeded(f"The file has {size} bytes; {limits.bytes} are allowed.", limit="bytes")
    digest = hashlib.sha256()
    text_size = lines = 0
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP
        raw.seek(0)
        while block := raw.read(BLOCK):
            digest.update(block)
            text_size += len(block)
            lines += block.count(b"\n")
    if compressed:
        text_size, lines = _unpacked(path, size, limits)
    if lines > limits.rows + 1:
        raise LimitExceeded(f"The file has {lines} lines; {limits.rows} rows are allowed.", limit="rows")
    return Facts(digest.hexdigest(), size, text_size, lines, compressed)


def _unpacked(path: Path, size: int, limits: Limits) -> tuple[int, int]:
    total = lines = 0
    with gzip.open(path, "rb") as file:
        while block := _read(file, BLOCK):
            total += len(block)
            lines += block.count(b"\n")
            if total > limits.decompressed_bytes:
                raise LimitExceeded(
                    f"The file unpacks to more than {limits.decompressed_bytes} bytes.",
                    limit="decompressed_bytes",
                )
            if total > _RATIO_FROM and total > size * limits.ratio:
                raise LimitExceeded(
                    f"The file unpacks to more than {limits.ratio:g} times its size.", limit="ratio"
                )
    return total, lines


class TextStream:
    """The bytes of a file as UTF-8 text, whatever it is packed and encoded in, read from any position.

    Positions count bytes of that text. Plain UTF-8 files are sought in; of others the beginning is read
    again. A lone carriage return is a line feed where the dialect says so.
    """

    def __init__(self, path: Path, *, compressed: bool, encoding: str = "utf-8", newline: str = "\n") -> None:
        self._path, self._compressed, self._encoding = path, compressed, encoding
        self._newline = newline
        self._direct = not compressed and encoding == "utf-8"
        self.position = 0
        self._file = self._open()
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._left = b""

    def __enter__(self) -> TextStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def seek(self, position: int) -> None:
        """Go on at `position`."""
        if position == self.position:
            return
        if self._direct:
            self._file.seek(position)
            self._left, self.position = b"", position
            return
        if position < self.position:
            self._restart()
        while self.position < position and self._take(min(BLOCK, position - self.position)):
            pass

    def unread(self, data: bytes) -> None:
        """Give back what was read last; it is read again next."""
        self._left = data + self._left
        self.position -= len(data)

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the end."""
        parts = []
        while count and (part := self._take(count)):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _take(self, count: int) -> bytes:
        if self._left:
            part, self._left = self._left[:count], self._left[count:]
        elif self._direct:
            part = self._translated(_read(self._file, count))
        else:
            self._fill()
            part, self._left = self._left[:count], self._left[count:]
        self.position += len(part)
        return part

    def _fill(self) -> None:
        while not self._left and (block := _read(self._file, BLOCK)):
            self._left = self._translated(self._decoded(block))
        if not self._left and self._encoding != "utf-8":
            self._left = self._translated(self._decoder.decode(b"", final=True).encode())

    def _decoded(self, block: bytes) -> bytes:
        return block if self._encoding == "utf-8" else self._decoder.decode(block).encode()

    def _translated(self, block: bytes) -> bytes:
        return block.replace(b"\r", b"\n") if self._newline == "\r" else block

    def _restart(self) -> None:
        self._file.close()
        self._file = self._open()
        self._decoder.reset()
        self._left, self.position = b"", 0

    def _open(self) -> IO[bytes] | gzip.GzipFile:
        return gzip.open(self._path, "rb") if self._compressed else self._path.open("rb")


def _read(file: IO[bytes] | gzip.GzipFile, count: int) -> bytes:
    try:
        return file.read(count)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Damaged(
            f"The compressed file is damaged: {error}.", remedy="Compress and upload it again."
        ) from error
