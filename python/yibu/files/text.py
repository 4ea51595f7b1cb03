"""Files of text: the classes of aiofiles, by which programs write their types.

Called by `opening.py`, `tempfile.py` and `standard.py`; calls `base.py`.
"""

from __future__ import annotations

from typing import BinaryIO

from yibu.files.base import AsyncBase, Indirect


class AsyncTextIOWrapper(AsyncBase[str]):
    """A text file."""

    async def readable(self) -> bool:
        """Tell whether the file was opened for reading."""
        return await self._run(self._file.readable)

    def detach(self) -> BinaryIO:
        """Separate the text layer from its buffer, and return that."""
        self._seek_to_shown_position()
        return self._file.detach()  # type: ignore[no-any-return]

    @property
    def buffer(self) -> BinaryIO:
        """The buffer below the text."""
        self._seek_to_shown_position()
        return self._file.buffer  # type: ignore[no-any-return]

    @property
    def encoding(self) -> str:
        """The encoding."""
        return self._file.encoding  # type: ignore[no-any-return]

    @property
    def errors(self) -> str | None:
        """What is done about what cannot be encoded or decoded."""
        return self._file.errors  # type: ignore[no-any-return]

    @property
    def line_buffering(self) -> bool:
        """Whether each line is written at once."""
        return self._file.line_buffering  # type: ignore[no-any-return]

    @property
    def newlines(self) -> str | tuple[str, ...] | None:
        """The ends of lines that were read so far."""
        return self._file.newlines  # type: ignore[no-any-return]


class AsyncTextIndirectIOWrapper(Indirect, AsyncTextIOWrapper):
    """A text stream that is looked up for each operation, as `sys.stdout`."""
