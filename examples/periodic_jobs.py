"""Jobs that run at intervals: without drift, never twice at once, and without taking each other down.

    python examples/periodic_jobs.py [--seconds 3]

Shows a schedule by the loop's clock, failures that are logged and not fatal, a time limit for each run, and
an end that lets a run that has begun finish.
"""

import argparse
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import yibu as asyncio

log = logging.getLogger("jobs")


@dataclass
class Job:
    name: str
    every: float
    action: Callable[[], Awaitable[None]]
    limit: float = 60.0
    runs: int = 0
    skipped: int = 0

    async def repeat(self, stop: asyncio.Event) -> None:
        """Run at start + every, start + 2 * every and so on until told to stop."""
        loop = asyncio.get_running_loop()
        start, tick = loop.time(), 0
        while True:
            tick += 1
            # A run that took too long has missed its turns. They are left out, not made up for.
            late = int((loop.time() - start) / self.every) - tick + 1
            if late > 0:
                self.skipped += late
                tick += late
            if await self.stopped(stop, start + tick * self.every):
                return
            await self.run()

    async def run(self) -> None:
        self.runs += 1
        try:
            async with asyncio.timeout(self.limit):
                await self.action()
        except Exception:  # a job's bug is not the other jobs' trouble
            log.exception("%s failed", self.name)

    @staticmethod
    async def stopped(stop: asyncio.Event, when: float) -> bool:
        """Wait until a time of the loop's clock, or less if it is over before. True if it is over."""
        try:
            async with asyncio.timeout_at(when):
                return await stop.wait()
        except TimeoutError:
            return False


async def heartbeat() -> None:
    print("alive", flush=True)


async def slow() -> None:
    await asyncio.sleep(0.25)  # longer than its interval


async def unlucky() -> None:
    if random.random() < 0.5:
        raise ValueError("bad luck")


async def main(seconds: float) -> None:
    jobs = [Job("heartbeat", 0.1, heartbeat), Job("slow", 0.1, slow), Job("unlucky", 0.05, unlucky)]
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)  # or a signal: see graceful_shutdown.py
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(job.repeat(stop), name=job.name)
    for job in jobs:
        print(f"{job.name}: {job.runs} runs, {job.skipped} skipped")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run jobs at intervals.")
    parser.add_argument("--seconds", type=float, default=3.0)
    asyncio.run(main(parser.parse_args().seconds))
