"""Runs commands, so many at once, with a time limit for each, and shows their lines as they come.

    python examples/subprocess_pool.py --at-once 2 --limit 10 'echo one' 'sleep 60' 'ls /nowhere'

The status is 1 if any command failed. Shows child processes with their output read line by line, a
semaphore as a pool, and how to end a child that does not end by itself, with everything that it has
started.
"""

import argparse
import contextlib
import os
import signal
import sys

import yibu as asyncio


async def run(command: str, pool: asyncio.Semaphore, limit: float) -> bool:
    """Run one command when there is room in the pool. True if it succeeded."""
    async with pool:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a group of its own, so that all of it can be ended
        )
        try:
            async with asyncio.timeout(limit):
                assert process.stdout is not None
                async for line in process.stdout:
                    print(f"[{command}] {line.decode(errors='replace').rstrip()}")
                code = await process.wait()
        except TimeoutError:
            print(f"[{command}] ended after {limit:g} s")
            return False
        finally:
            await end(process)
        print(f"[{command}] exit code {code}")
        return code == 0


async def end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing running, also when the task was cancelled: ask first, then insist."""
    if process.returncode is not None:
        return
    for number, patience in (signal.SIGTERM, 2), (signal.SIGKILL, None):
        with contextlib.suppress(ProcessLookupError, TimeoutError):  # it has just ended; it does not listen
            os.killpg(process.pid, number)
            async with asyncio.timeout(patience):
                await process.communicate()  # until all in the group have closed their output
                return


async def main(commands: list[str], at_once: int, limit: float) -> int:
    pool = asyncio.Semaphore(at_once)
    results = await asyncio.gather(*(run(command, pool, limit) for command in commands))
    print(f"{results.count(True)} of {len(results)} succeeded")
    return 0 if all(results) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run commands in a pool.")
    parser.add_argument("commands", nargs="+")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--limit", type=float, default=60, help="seconds for each")
    options = parser.parse_args()
    sys.exit(asyncio.run(main(options.commands, options.at_once, options.limit)))
