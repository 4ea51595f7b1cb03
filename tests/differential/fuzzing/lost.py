"""Tasks that wait for something to which nothing but themselves leads. Called by `world.py`.

The collector has to find each of them, whatever it waits for.
"""


async def forever(aio):
    await aio.get_running_loop().create_future()


async def alone(aio, what):
    """Wait for ever for something of one's own."""
    match what:
        case "lock":
            lock = aio.Lock()
            await lock.acquire()
            async with lock:
                pass
        case "event":
            await aio.Event().wait()
        case "condition":
            condition = aio.Condition()
            async with condition:
                await condition.wait()
        case "semaphore":
            async with aio.Semaphore(0):
                pass
        case "barrier":
            async with aio.Barrier(2):
                pass
        case "get":
            await aio.Queue().get()
        case "put":
            queue = aio.Queue(1)
            await queue.put(1)
            await queue.put(2)
        case "join":
            queue = aio.Queue()
            queue.put_nowait(1)
            await queue.join()
        case "gather":
            await aio.gather(forever(aio), forever(aio))
        case "wait":
            await aio.wait([aio.get_running_loop().create_future()])
        case "shield":
            await aio.shield(forever(aio))
        case "future":
            await forever(aio)
