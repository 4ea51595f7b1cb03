"""What cancellation does to a tree of tasks, in what order, and what each of them sees."""

import asyncio

log = []


async def leaf(name, stubborn=0):
    while True:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            log.append(f"{name} cancelled {error.args} {asyncio.current_task().cancelling()}")
            if not stubborn:
                raise
            stubborn -= 1


async def branch(name, *children):
    tasks = [asyncio.create_task(child, name=f"{name}/{number}") for number, child in enumerate(children)]
    try:
        await asyncio.gather(*tasks)
    except asyncio.CancelledError as error:
        log.append(f"{name} cancelled {error.args}")
        raise
    finally:
        log.append(f"{name} ends: {[task.cancelled() for task in tasks]}")


async def cleanup(name):
    try:
        await leaf(name)
    finally:
        for step in range(3):
            log.append(f"{name} cleans {step}")
            await asyncio.sleep(0)


async def main():
    tree = asyncio.create_task(
        branch(
            "root", branch("left", leaf("l1"), cleanup("l2")), leaf("middle"), branch("right", leaf("r1"))
        ),
        name="tree",
    )
    for _ in range(4):
        await asyncio.sleep(0)
    tree.cancel("enough")
    try:
        await tree
    except asyncio.CancelledError as error:
        log.append(f"main saw {error.args}")

    stubborn = asyncio.create_task(leaf("stubborn", 2), name="stubborn")
    await asyncio.sleep(0)
    while not stubborn.done():
        log.append(f"asking: {stubborn.cancel('please')} {stubborn.cancelling()}")
        await asyncio.sleep(0)
    log.append(f"stubborn: {stubborn.cancelled()} {stubborn.cancelling()}")

    shielded = asyncio.create_task(leaf("inner"), name="inner")
    outer = asyncio.create_task(branch("outer", asyncio.wait_for(asyncio.shield(shielded), 60)))
    for _ in range(4):
        await asyncio.sleep(0)
    outer.cancel()
    await asyncio.wait([outer])
    log.append(f"outer {outer.cancelled()}, inner {shielded.done()}")
    shielded.cancel()
    await asyncio.wait([shielded])

    try:
        async with asyncio.timeout(0):
            await leaf("timed")
    except TimeoutError as error:
        log.append(f"timed out {error.args} {type(error.__cause__)} {asyncio.current_task().cancelling()}")


asyncio.run(main())
print("\n".join(log))
