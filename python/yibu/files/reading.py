"""Reads that a loop's thread does itself, because the kernel has the data in its page cache.

A `Reading` belongs to a file that was opened for reading only, is a regular file, and has one of the standard
library's buffers. It looks whether what the ordinary method is going to read is in the cache. Lines are
read several at once: those ahead are kept here, and where another method of the file needs the position that
the program sees, the file goes back to it first. Called by the classes of files; calls the extension module
and the ordinary file.
"""

from __future__ import annotations

import io
import os
import stat
from typing import IO, Any, AnyStr, Generic

from yibu import _yibu

#: A read of lines in the loop's thread stops after so many characters, so that other tasks run.
AT_ONCE = 8192
#: One that a worker does.
IN_WORKER = 64 * 1024
#: What is wanted of a line when a batch must not grow without limit.
NO_LIMIT = -1
#: Bytes that a character takes at most, with marks and escapes; and without those.
WIDEST = 8
NARROW = 4
#: The largest piece that the extension module looks at.
LARGEST = 256 * 1024
#: How much a text file reads at once.
CHUNK = 8192


def is_regular(descriptor: int) -> bool:
    """Whether a descriptor is that of a regular file, whose reads wait for nothing but a disk."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def reading_of(file: Any, newline: str | None, regular: bool | None) -> Reading[Any] | None:
    """What reads ahead for a file that was just opened, where that is possible.

    `regular` says whether it is a regular file; None is not known.
    """
    text = type(file) is io.TextIOWrapper
    buffer = file.buffer if text else file
    if type(buffer) is not io.BufferedReader or (text and newline not in (None, "\n")):
        return None
    descriptor = buffer.fileno()
    if not (is_regular(descriptor) if regular is None else regular):
        return None
    return Reading(file, descriptor, "\n" if text else b"\n", _buffer_size(buffer))


def _buffer_size(buffer: io.BufferedReader) -> int:
    """At most how much a buffer reads more than it is asked for."""
    size = getattr(buffer.raw, "_blksize", io.DEFAULT_BUFFER_SIZE)
    return max(size, io.DEFAULT_BUFFER_SIZE)


class Reading(Generic[AnyStr]):
    """What is known about the reads of one file."""

    __slots__ = (
        "_buffer_size",
        "_count",
        "_descriptor",
        "_failure",
        "_file",
        "_is_large",
        "_newline",
        "_start",
        "_tail",
        "_text",
        "_unknown",
        "lines",
        "reads_lines",
    )

    def __init__(self, file: IO[AnyStr], descriptor: int, newline: AnyStr, buffer_size: int) -> None:
        self._file: IO[AnyStr] = file
        self._descriptor = descriptor
        self._newline: AnyStr = newline
        self._text = isinstance(newline, str)
        self._buffer_size = buffer_size
        #: Whether the kernel does not tell what it has in the cache.
        self._unknown = False
        #: Whether a large read was more than the cache was asked for: then it is not asked again.
        self._is_large = False
        #: Whether the program seems to read line after line.
        self.reads_lines = False
        #: Complete lines that were read ahead, the next one last.
        self.lines: list[AnyStr] = []
        #: The last line of a batch if it had no end: more may follow.
        self._tail: AnyStr = newline[:0]
        #: What a batch raised after the lines that it gave.
        self._failure: BaseException | None = None
        #: Where the batch began, and how many lines it had.
        self._start = 0
        self._count = 0

    def is_cached(self, size: int | None) -> bool:
        """Whether a read of `size` bytes or characters waits for nothing; -1 is all there is."""
        if self._unknown or self.is_ahead():
            return False
        answer: bool | None
        large = size is not None and size > LARGEST
        if large and self._is_large:
            return False
        if size is None or size < 0:
            answer = _yibu._is_cached_to_the_end(self._descriptor)
        elif self._text:
            answer = self._is_cached_further(size * WIDEST + CHUNK)
        else:
            position = self._file.tell()
            answer = _yibu._is_cached_up_to(self._descriptor, position + size, self._buffer_size)
        if answer is None:
            self._unknown = True
            return False
        self._is_large = large and not answer
        self.reads_lines = False
        return answer

    def _is_cached_further(self, size: int) -> bool | None:
        """Whether so many bytes from the descriptor's position on are in the cache."""
        position = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        return _yibu._is_cached_up_to(self._descriptor, position + size, self._buffer_size)

    def line_now(self) -> AnyStr | None:
        """Read a batch of lines and return the first, if that waits for nothing; None if it may."""
        if self._unknown:
            return None
        answer: bool | None
        if self._tail:
            answer = _yibu._is_cached_to_the_end(self._descriptor)
        else:
            wide = NARROW if self._text else 1
            answer = self._is_cached_further(2 * AT_ONCE * wide + CHUNK)
        if answer is None:
            self._unknown = True
        return self._line(AT_ONCE, AT_ONCE) if answer else None

    def line_in_turn(self) -> AnyStr:
        """In the worker: the next line, read ahead or not."""
        if self.lines:
            return self.lines.pop()
        line = self._line(IN_WORKER, NO_LIMIT)
        # Without a limit a line is always complete.
        assert line is not None
        return line

    def seeks_now(self, whence: int) -> bool:
        """Whether a seek waits for nothing: the position of bytes, from the beginning or the end."""
        return not self._text and (whence in (0, 2) or (whence == 1 and not self.is_ahead()))

    def is_ahead(self) -> bool:
        """Whether the file's position is not the one that the program sees."""
        return bool(self.lines or self._tail or self._failure is not None)

    def _line(self, most: int, limit: int) -> AnyStr | None:
        """Read a batch of lines and return the first; None if it is longer than the limit.

        Called only when no lines are ahead.
        """
        if self._tail:
            tail, self._tail = self._tail, self._newline[:0]
            return tail + self._file.readline()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if not self.reads_lines:
            # One line may be all that is wanted, or the next may be wanted by another method.
            self.reads_lines = True
            most = 1
        try:
            start = self._file.tell()
        except OSError:
            # The state of the decoder cannot be told: there would be no way back to this place.
            return self._file.readline()
        return self._batch(start, most, limit)

    def _batch(self, start: int, most: int, limit: int) -> AnyStr | None:
        lines: list[AnyStr] = []
        tail: AnyStr = self._newline[:0]
        size = 0
        readline = self._file.readline
        try:
            while size < most:
                line = readline(limit)
                if not line.endswith(self._newline):
                    tail = line
                    break
                lines.append(line)
                size += len(line)
        except Exception as error:
            if not lines:
                raise
            self._failure = error
        if not lines and len(tail) != limit:
            # The file ends here.
            return tail
        lines.reverse()
        self._start, self._count, self._tail = start, len(lines), tail
        first = lines.pop() if lines else None
        self.lines = lines
        return first

    def give_back(self) -> None:
        """Go to the position that the program sees."""
        self.reads_lines = False
        if not self.is_ahead():
            return
        given = self._count - len(self.lines)
        self.forget()
        self._file.seek(self._start)
        for _ in range(given):
            self._file.readline()

    def forget(self) -> None:
        """Drop what was read ahead."""
        self.lines = []
        self._tail = self._newline[:0]
        self._failure = None
