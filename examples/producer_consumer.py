"""Producers and consumers with a bounded queue: the lines of files, counted by their words.

    python examples/producer_consumer.py FILE... [--consumers 4]

Shows backpressure (a producer that is too quick waits for room), threads for what blocks, and an end that
loses nothing: each consumer stops at a sign that comes after all work.
"""

import argparse
from collections import Counter
from pathlib import Path

import yibu as asyncio

QUEUE_SIZE = 100


async def produce(path: Path, queue: asyncio.Queue[str | None]) -> None:
    """Put each line of a file into the queue. Reading a disk blocks, so a thread does it."""
    text = await asyncio.to_thread(path.read_text, errors="replace")
    for line in text.splitlines():
        await queue.put(line)  # waits while the queue is full


async def consume(queue: asyncio.Queue[str | None], words: Counter[str]) -> int:
    """Take lines until the end; return how many they were."""
    lines = 0
    while (line := await queue.get()) is not None:
        words.update(line.lower().split())
        lines += 1
    return lines


async def main(paths: list[Path], consumers: int) -> None:
    queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_SIZE)
    words: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:  # if one of them fails, the others are cancelled
        working = [group.create_task(consume(queue, words), name=f"consumer {i}") for i in range(consumers)]
        async with asyncio.TaskGroup() as producers:
            for path in paths:
                producers.create_task(produce(path, queue), name=f"producer {path}")
        for _ in working:
            await queue.put(None)
    print(sum(task.result() for task in working), "lines,", words.total(), "words")
    for word, count in words.most_common(5):
        print(f"{count:6} {word}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count words.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--consumers", type=int, default=4)
    options = parser.parse_args()
    asyncio.run(main(options.files, options.consumers))
