"""`open`, `wrap` and the standard streams, under the name that aiofiles has for their module."""

from yibu.files.opening import open, wrap
from yibu.files.standard import stderr, stderr_bytes, stdin, stdin_bytes, stdout, stdout_bytes

__all__ = (
    "open",
    "stderr",
    "stderr_bytes",
    "stdin",
    "stdin_bytes",
    "stdout",
    "stdout_bytes",
    "wrap",
)
