"""Who gets a lock, a slot or an item, and in which turn."""

import asyncio

log = []


async def with_lock(lock, name):
    async with lock:
        log.append(f"{name} in")
        await asyncio.sleep(0)
        log.append(f"{name} out")


async def consume(queue, name):
    while True:
        item = await queue.get()
        log.append(f"{name} got {item}")
        queue.task_done()
        await asyncio.sleep(0)


async def produce(queue, name):
    for number in range(4):
        await queue.put(f"{name}{number}")
        log.append(f"{name} put {number} size {queue.qsize()}")


async def waiting(condition, name):
    async with condition:
        await condition.wait()
        log.append(f"{name} notified")


async def main():
    lock = asyncio.Lock()
    tasks = [asyncio.create_task(with_lock(lock, name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    queue = asyncio.Queue(2)
    consumers = [asyncio.create_task(consume(queue, name)) for name in ("x", "y")]
    await asyncio.gather(produce(queue, "p"), produce(queue, "q"))
    await queue.join()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)

    condition = asyncio.Condition()
    waiters = [asyncio.create_task(waiting(condition, name)) for name in "123"]
    await asyncio.sleep(0)
    async with condition:
        condition.notify(2)
    await asyncio.sleep(0)
    async with condition:
        condition.notify_all()
    await asyncio.gather(*waiters)

    semaphore = asyncio.BoundedSemaphore(2)
    await asyncio.gather(*[with_lock(semaphore, f"s{number}") for number in range(5)])
    try:
        semaphore.release()
    except ValueError as error:
        log.append(str(error))

    event = asyncio.Event()
    tasks = [asyncio.create_task(event.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    event.set()
    log.append(await asyncio.gather(*tasks))

    barrier = asyncio.Barrier(3)
    log.append(sorted(await asyncio.gather(*[barrier.wait() for _ in range(3)])))

    priority = asyncio.PriorityQueue()
    for number in (3, 1, 2):
        priority.put_nowait(number)
    log.append([priority.get_nowait() for _ in range(3)])
    stack = asyncio.LifoQueue(1)
    stack.put_nowait(1)
    try:
        stack.put_nowait(2)
    except asyncio.QueueFull as error:
        log.append(repr(error))


asyncio.run(main())
print(*log, sep="\n")
