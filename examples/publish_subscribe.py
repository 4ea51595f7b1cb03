"""Publish and subscribe within a process: topics, subscribers, and a rule for those who are slow.

    python examples/publish_subscribe.py

Each subscriber has a queue of its own, so a slow one delays nobody. When its queue is full it loses the
oldest message and is told how many it has lost, which suits prices and positions; for messages of which
none may be lost, let `publish` wait for room instead (`await queue.put(message)`).
"""

from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import yibu as asyncio


@dataclass(eq=False)  # two subscriptions are never the same one
class Subscription:
    """What one subscriber has not taken yet: `async for message in subscription`."""

    queue: asyncio.Queue[Any] = field(default_factory=lambda: asyncio.Queue(maxsize=3))
    lost: int = 0

    def offer(self, message: Any) -> None:
        """Keep a message, in place of the oldest one if there is no room."""
        if self.queue.full():
            self.queue.get_nowait()
            self.lost += 1
        self.queue.put_nowait(message)

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Any:
        return await self.queue.get()


class Broker:
    def __init__(self) -> None:
        self.topics: defaultdict[str, set[Subscription]] = defaultdict(set)

    def publish(self, topic: str, message: Any) -> int:
        """Give a message to everybody who listens now; return how many these are. Never waits."""
        listeners = self.topics.get(topic, ())
        for subscription in listeners:
            subscription.offer(message)
        return len(listeners)

    @asynccontextmanager
    async def subscribe(self, *topics: str) -> AsyncGenerator[Subscription]:
        """Listen to topics as long as the block lasts."""
        subscription = Subscription()
        for topic in topics:
            self.topics[topic].add(subscription)
        try:
            yield subscription
        finally:
            for topic in topics:
                self.topics[topic].discard(subscription)


async def follow(broker: Broker, name: str, pause: float, ready: asyncio.Event) -> None:
    async with broker.subscribe("tea", "coffee") as news:
        ready.set()
        async for message in news:
            print(f"{name}: {message}, {news.lost} lost")
            if message == "closed":
                return
            await asyncio.sleep(pause)


async def main() -> None:
    broker = Broker()
    async with asyncio.TaskGroup() as group:
        for name, pause in ("quick", 0.0), ("slow", 0.05):
            ready = asyncio.Event()
            group.create_task(follow(broker, name, pause, ready))
            await ready.wait()
        for price in range(10):
            broker.publish("tea", price)
            await asyncio.sleep(0.01)
        print(broker.publish("coffee", "closed"), "were listening")
    print(broker.publish("tea", "late"), "are listening")


if __name__ == "__main__":
    asyncio.run(main())
