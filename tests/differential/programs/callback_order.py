"""In what order callbacks, timers, task steps and future callbacks run."""

import asyncio


def main():
    loop = asyncio.new_event_loop()
    log = []
    note = log.append

    def nested(depth):
        note(f"nested {depth}")
        if depth:
            loop.call_soon(nested, depth - 1)
            loop.call_at(loop.time() - depth, note, f"timer of {depth}")

    async def stepping(name, steps):
        for step in range(steps):
            note(f"{name} step {step}")
            await asyncio.sleep(0)
        return name

    loop.call_soon(note, "first")
    loop.call_soon(nested, 4)
    tasks = [loop.create_task(stepping(name, steps)) for name, steps in (("a", 3), ("b", 2), ("c", 4))]
    future = loop.create_future()
    for number in range(3):
        future.add_done_callback(lambda done, number=number: note(f"done callback {number} {done.result()}"))
    loop.call_soon(future.set_result, "now")
    for offset in (3, 1, 2):
        loop.call_at(loop.time() - offset, note, f"timer due {offset} ago")
    tasks[1].add_done_callback(lambda task: note(f"{task.result()} ended"))
    loop.call_soon_threadsafe(note, "threadsafe")
    loop.call_soon(note, "last")
    print(loop.run_until_complete(asyncio.gather(*tasks)))
    loop.close()
    print("\n".join(log))


main()
