"""Files whose operations are awaited, with the interface of aiofiles.

    import yibu.files as aiofiles

    async with aiofiles.open("names.txt") as file:
        async for line in file:
            ...

What the kernel has in its page cache is read at once; everything else is done by a worker of the default
executor of the running loop, which may be any asyncio loop. `read`, `pread`, `write`, `pwrite` and `fsync`
take descriptors; `stat` and `scandir` take paths. `docs/files.md` says what is promised.
"""

from yibu.files import os, ospath, tempfile
from yibu.files.descriptors import fsync, pread, pwrite, read, scandir, stat, write
from yibu.files.opening import open, wrap
from yibu.files.standard import stderr, stderr_bytes, stdin, stdin_bytes, stdout, stdout_bytes

__all__ = [
    "fsync",
    "open",
    "os",
    "ospath",
    "pread",
    "pwrite",
    "read",
    "scandir",
    "stat",
    "stderr",
    "stderr_bytes",
    "stdin",
    "stdin_bytes",
    "stdout",
    "stdout_bytes",
    "tempfile",
    "wrap",
    "write",
]
