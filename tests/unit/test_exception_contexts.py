"""What an await raises within an `except` clause: the exception that is handled becomes its context."""

import asyncio

import pytest


def failed(loop):
    future = loop.create_future()
    future.set_exception(ValueError("failed"))
    return future


def cancelled(loop):
    future = loop.create_future()
    future.cancel()
    return future


async def shows(call, error):
    """Call or await something that raises while a KeyError is handled, which has to become the context."""
    key_error = KeyError("handled")
    try:
        raise key_error
    except KeyError:
        with pytest.raises(error) as caught:
            made = call()
            if made is not None:
                await made
    assert caught.value.__context__ is key_error


@pytest.mark.parametrize(("make", "error"), [(failed, ValueError), (cancelled, asyncio.CancelledError)])
class TestDoneFutures:
    def test_awaited(self, loop, run, make, error):
        run(shows(lambda: make(loop), error))

    def test_result(self, loop, run, make, error):
        run(shows(make(loop).result, error))

    def test_within_a_native_coroutine(self, impl, loop, run, make, error):
        run(shows(lambda: impl.wait_for(make(loop), 10), error))

    def test_of_a_shield(self, impl, loop, run, make, error):
        run(shows(lambda: impl.shield(make(loop)), error))


def test_exception_of_a_cancelled_future(loop, run):
    run(shows(cancelled(loop).exception, asyncio.CancelledError))


@pytest.mark.parametrize("waits", ["future", "event", "queue", "gather", "shield"])
def test_failure_while_waiting(impl, loop, run, waits):
    async def main():
        future = loop.create_future()
        events = {
            "future": lambda: future,
            "event": impl.Event().wait,
            "queue": impl.Queue().get,
            "gather": lambda: impl.gather(future),
            "shield": lambda: impl.shield(future),
        }
        task = loop.create_task(shows(events[waits], asyncio.CancelledError))
        await impl.sleep(0)
        task.cancel()
        await task

    run(main())


def test_condition_raises_the_cancellation_of_its_second_wait(impl, loop, run):
    """Cancelled while it waits for the lock again, it raises that when it has the lock: a new `raise`."""
    condition = impl.Condition()

    async def wait():
        async with condition:
            await condition.wait()

    async def main():
        task = loop.create_task(shows(wait, asyncio.CancelledError))
        await impl.sleep(0)
        async with condition:
            condition.notify()
            await impl.sleep(0)
            task.cancel()
            await impl.sleep(0)
        await task

    run(main())


@pytest.mark.parametrize("pending_last", [False, True])
def test_gather_raises_the_cancellation_of_the_child_listed_last(impl, loop, run, pending_last):
    done, pending = loop.create_future(), loop.create_future()
    done.set_result(None)

    async def wait():
        await impl.gather(*([done, pending] if pending_last else [pending, done]), return_exceptions=True)

    async def main():
        task = loop.create_task(wait())
        await impl.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == (("why",) if pending_last else ())

    run(main())
