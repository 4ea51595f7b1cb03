"""Writes that a loop's thread does itself, because they only fill a buffer.

A `Writing` belongs to a file that was opened for writing only and has one of the standard library's buffers.
It counts what was written since the buffer was empty. What may not fit goes to a worker, which empties the
buffer first. Called by the classes of files; calls the ordinary file.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

#: Bytes that a character takes at most, with marks and escapes, and where a line ends with two characters.
WIDEST = 16
#: How much text a file collects before it hands that to its buffer.
CHUNK = 8192
#: Encodings in which a character of ASCII is one byte.
NARROW = frozenset({"utf-8", "ascii", "us-ascii", "latin-1", "iso-8859-1", "iso8859-1"})


def writing_of(file: Any, buffering: int, newline: str | None) -> Writing | None:
    """What counts the writes of a file that was just opened, where that is possible."""
    if type(file) is io.TextIOWrapper:
        if type(file.buffer) is not io.BufferedWriter or file.line_buffering or file.write_through:
            return None
        narrow = file.encoding.lower() in NARROW and newline in (None, "", "\n")
        return Writing(file, CHUNK - 1, 1 if narrow else WIDEST)
    if type(file) is io.BufferedWriter:
        size = buffering if buffering > 1 else getattr(file.raw, "_blksize", 0)
        return Writing(file, size if size > 1 else io.DEFAULT_BUFFER_SIZE, 1)
    return None


class Writing:
    """What is known about the writes of one file."""

    __slots__ = ("_ascii", "_file", "_room", "_space")

    def __init__(self, file: Any, room: int, ascii_size: int) -> None:
        self._file = file
        self._ascii = ascii_size
        #: How much can be written after the buffer was emptied.
        self._room = room
        #: How much can be written now.
        self._space = room

    def size(self, data: Any) -> int:
        """How much of the buffer some data may take; more than there ever is, where that is not known."""
        if type(data) is bytes or type(data) is bytearray:
            return len(data)
        if type(data) is str:
            return len(data) * (self._ascii if data.isascii() else WIDEST)
        return self._room + 1

    def fits(self, size: int) -> bool:
        """Whether so much fits; then it is counted."""
        if size > self._space:
            return False
        self._space -= size
        return True

    def write(self, data: Any, size: int) -> int:
        """Empty the buffer, and write."""
        self._space = 0
        self._file.flush()
        written: int = self._file.write(data)
        self._space = max(0, self._room - size)
        return written

    def flush(self) -> None:
        """Empty the buffer."""
        self._space = 0
        self._file.flush()
        self._space = self._room

    def write_lines(self, lines: Iterable[Any]) -> None:
        """Write several pieces; how much the buffer has then is not known."""
        self._space = 0
        self._file.writelines(lines)
