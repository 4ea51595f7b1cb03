"""Broken: a thread computes in Python, and the event loop gets the interpreter late, every time it needs it.

    python -m yibu --inspect examples/broken/gil_hog.py
    python -m yibu ps PID

The command names the thread and its line. The cure: a process, by `ProcessPoolExecutor`, not a thread.
"""

import asyncio
import threading


def count_words() -> None:
    count = 0
    while True:
        count += len(["all", "the", "words", "of", "a", "long", "text"])


async def answer() -> None:
    while True:
        await asyncio.sleep(0.001)


async def main() -> None:
    threading.Thread(target=count_words, name="word counter", daemon=True).start()
    await asyncio.create_task(answer(), name="answer")


asyncio.run(main())
