"""Task factories and own task and future classes."""

import asyncio

log = []


class LoudTask(asyncio.Task):
    def __init__(self, coro, **keywords):
        super().__init__(coro, **keywords)
        log.append(f"made {self.get_name()}")
        self.add_done_callback(lambda task: log.append(f"{task.get_name()} ended"))

    def cancel(self, msg=None):
        log.append(f"cancel {self.get_name()}")
        return super().cancel(msg)


class LoudFuture(asyncio.Future):
    def set_result(self, result):
        log.append(f"result {result}")
        super().set_result(result)


numbers = iter(range(100))


def factory(loop, coro, **keywords):
    keywords.setdefault("name", f"loud {next(numbers)}")
    return LoudTask(coro, loop=loop, **keywords)


async def work(future):
    return await future


async def main():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    future = LoudFuture(loop=loop)
    tasks = [asyncio.create_task(work(future)) for _ in range(2)]
    loop.call_soon(future.set_result, "shared")
    log.append(await asyncio.gather(*tasks))
    cancelled = asyncio.create_task(work(LoudFuture()))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    log.append([type(task).__name__ for task in (cancelled, *tasks)])
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))


asyncio.run(main())
print(*log, sep="\n")
