"""timeout and wait_for: what they raise, nested ones, and cancellations from outside."""

import asyncio
import sys


async def attempt(label, body):
    try:
        print(label, await body())
    except BaseException as error:
        # Before 3.13 asyncio does not put the TimeoutError there, and forgets to take its cancellation back.
        context = error.__context__ if sys.version_info >= (3, 13) else "?"
        print(label, "raised", repr(error), repr(error.__cause__), repr(context))
    if sys.version_info >= (3, 13):
        print("  cancelling", asyncio.current_task().cancelling())


async def long():
    await asyncio.sleep(1000)


async def expires():
    async with asyncio.timeout(0):
        await long()


async def does_not_expire():
    async with asyncio.timeout(1000) as scope:
        await asyncio.sleep(0)
    return scope.expired(), scope


async def inner_expires():
    async with asyncio.timeout(1000) as outer:
        try:
            async with asyncio.timeout(0) as inner:
                await long()
        except TimeoutError:
            return outer.expired(), inner.expired()


async def outer_expires():
    try:
        async with asyncio.timeout(0) as outer:
            async with asyncio.timeout(1000) as inner:
                await long()
    except TimeoutError:
        return outer.expired(), inner.expired()


async def both_expire():
    async with asyncio.timeout(0):
        async with asyncio.timeout(0):
            await long()


async def rescheduled():
    async with asyncio.timeout(1000) as scope:
        scope.reschedule(asyncio.get_running_loop().time() - 1)
        await long()


async def at_the_past():
    async with asyncio.timeout_at(0):
        await long()


async def own_error_wins():
    async with asyncio.timeout(0):
        try:
            await long()
        except asyncio.CancelledError:
            raise ValueError("instead") from None


async def cancelled_outside():
    async def body():
        async with asyncio.timeout(1000):
            await long()

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel("outside")
    await task


async def waits_for_too_long():
    return await asyncio.wait_for(long(), 0)


async def waits_for_a_future():
    future = asyncio.get_running_loop().create_future()
    try:
        await asyncio.wait_for(future, 0.001)
    except TimeoutError:
        return future.cancelled()


async def waits_without_limit():
    return await asyncio.wait_for(asyncio.sleep(0, "in time"), None)


async def waits_for_a_stubborn_one():
    async def stubborn():
        try:
            await long()
        except asyncio.CancelledError:
            return "stubborn"

    return await asyncio.wait_for(stubborn(), 0.001)


async def entered_twice():
    scope = asyncio.timeout(1000)
    async with scope:
        async with scope:
            pass


async def main():
    for body in (
        expires,
        does_not_expire,
        inner_expires,
        outer_expires,
        both_expire,
        rescheduled,
        at_the_past,
        own_error_wins,
        cancelled_outside,
        waits_for_too_long,
        waits_for_a_future,
        waits_without_limit,
        waits_for_a_stubborn_one,
        entered_twice,
    ):
        await attempt(body.__name__, body)


asyncio.run(main())
