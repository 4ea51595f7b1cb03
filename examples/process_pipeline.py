"""A pipeline whose middle needs the processor: read, compute in other processes, write in order.

    python examples/process_pipeline.py FILE... [--processes 2]

prints the SHA-256 of each file after many rounds, which stands for any work that would block the loop.
Shows a pool of processes, a bound on what is under way, and results in the order of the input although they
are done in any order. Worker processes are fresh interpreters ("spawn"): forking a process that has threads
is unsafe.
"""

import argparse
import hashlib
import multiprocessing
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import yibu as asyncio

ROUNDS = 1000


def digest(data: bytes) -> str:
    """The work. It runs in another process, so arguments and result are pickled."""
    for _ in range(ROUNDS):
        data = hashlib.sha256(data).digest()
    return data.hex()


async def read(paths: Iterable[Path]) -> AsyncIterator[tuple[Path, bytes]]:
    """The first stage: one file after the other, in a thread, because a disk may be slow."""
    for path in paths:
        yield path, await asyncio.to_thread(path.read_bytes)


async def compute(
    source: AsyncIterator[tuple[Path, bytes]], pool: ProcessPoolExecutor, under_way: int
) -> AsyncIterator[tuple[Path, str]]:
    """The second stage: several at once, handed on in the order in which they came."""
    loop = asyncio.get_running_loop()
    pending: list[tuple[Path, asyncio.Future[str]]] = []
    async for path, data in source:
        pending.append((path, loop.run_in_executor(pool, digest, data)))
        if len(pending) >= under_way:  # do not read files faster than they are computed
            first, future = pending.pop(0)
            yield first, await future
    for path, future in pending:
        yield path, await future


async def main(paths: list[Path], processes: int) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        async for path, result in compute(read(paths), pool, under_way=2 * processes):
            print(result[:16], path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Digest files in several processes.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    asyncio.run(main(options.files, options.processes))
