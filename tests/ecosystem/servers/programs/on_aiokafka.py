"""aiokafka: a producer, a consumer of a group, offsets, cancellation, with librdkafka's broker for tests."""

import asyncio
import os
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

MESSAGES = 300


async def consume(consumer, count):
    """Take messages; their numbers in order."""
    numbers = []
    async for message in consumer:
        numbers.append(int(message.value))
        if len(numbers) == count:
            return sorted(numbers)
    return None


async def main(address):
    assert type(asyncio.get_running_loop()).__module__ == os.environ["EXPECTED_LOOP"]
    topic = f"numbers-{os.getpid()}"
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        sent = [await producer.send(topic, b"%d" % number) for number in range(MESSAGES)]
        offsets = await asyncio.gather(*sent)
        assert len({(each.partition, each.offset) for each in offsets}) == MESSAGES
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=address,
            group_id=topic,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        async with consumer, asyncio.timeout(40):
            assert await consume(consumer, MESSAGES) == list(range(MESSAGES))
            await consumer.commit()
            waiting = asyncio.create_task(consumer.getone())
            await asyncio.sleep(0.05)
            waiting.cancel()
            try:
                await waiting
            except asyncio.CancelledError:
                pass
            else:
                raise AssertionError("nothing was sent, and something came")
            await producer.send_and_wait(topic, b"7")
            assert (await consumer.getone()).value == b"7"


asyncio.run(main(sys.argv[1]))
