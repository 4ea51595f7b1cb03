"""gather, wait and as_completed: order of results, and what happens to the others when one fails."""

import asyncio

log = []


async def work(name, turns, error=None):
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
        if error:
            raise error
        log.append(f"{name} done")
        return name
    except asyncio.CancelledError:
        log.append(f"{name} cancelled")
        raise


async def main():
    print(await asyncio.gather(work("a", 3), work("b", 1), work("c", 2)))
    same = work("same", 1)
    print(await asyncio.gather(same, same))
    try:
        await asyncio.gather(work("d", 5), work("e", 1, ValueError("e")), work("f", 2, KeyError("f")))
    except ValueError as error:
        print("gather raised", error)
    for _ in range(6):
        await asyncio.sleep(0)
    results = await asyncio.gather(work("g", 1), work("h", 2, OSError("h")), return_exceptions=True)
    print(results)
    print(await asyncio.gather())

    gathering = asyncio.gather(work("i", 9), work("j", 9))
    await asyncio.sleep(0)
    gathering.cancel("stop")
    try:
        await gathering
    except asyncio.CancelledError as error:
        print("gathering cancelled", error.args)

    for mode in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED):
        tasks = [
            asyncio.create_task(
                work(f"{mode} {turns}", turns, ValueError(turns) if turns == 2 else None), name=str(turns)
            )
            for turns in (3, 1, 2)
        ]
        done, pending = await asyncio.wait(tasks, return_when=mode)
        print(mode, sorted(t.get_name() for t in done), sorted(t.get_name() for t in pending))
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    for turns in asyncio.as_completed([work(f"as {turns}", turns) for turns in (5, 1, 3)]):
        print(await turns)
    done, pending = await asyncio.wait([asyncio.create_task(work("late", 50))], timeout=0)
    print(len(done), len(pending))
    pending.pop().cancel()
    try:
        for turns in asyncio.as_completed([work("never", 10**6)], timeout=0):
            await turns
    except TimeoutError as error:
        print("timed out", error.args)


asyncio.run(main())
print(*log, sep="\n")
