"""Row "running": run, Runner, loops and their errors, policies, one loop per thread."""

import asyncio
import contextvars
import sys
import threading
import warnings

import pytest


async def answer(aio):
    await aio.sleep(0)
    return 42


def test_run(aio):
    assert aio.run(answer(aio)) == 42


def test_run_debug(aio):
    async def main():
        return aio.get_running_loop().get_debug()

    assert aio.run(main(), debug=True) is True
    assert aio.run(main(), debug=False) is False


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_run_loop_factory(impl):
    made = []

    def factory():
        made.append(impl.new_event_loop())
        return made[-1]

    async def main():
        return asyncio.get_running_loop() is made[-1]

    assert asyncio.run(main(), loop_factory=factory)
    assert impl.run(main(), loop_factory=factory)
    assert [loop.is_closed() for loop in made] == [True, True]


def test_runner(aio):
    variable = contextvars.ContextVar("variable", default=0)

    async def count():
        variable.set(variable.get() + 1)
        return variable.get(), aio.get_running_loop()

    with aio.Runner() as runner:
        one, loop_of_one = runner.run(count())
        two, loop_of_two = runner.run(count())
        assert runner.get_loop() is loop_of_one is loop_of_two
    assert (one, two) == (1, 2)
    assert loop_of_one.is_closed()
    assert variable.get() == 0


def test_runner_with_a_context(aio):
    variable = contextvars.ContextVar("variable")
    context = contextvars.copy_context()

    async def main():
        variable.set("inside")

    with aio.Runner() as runner:
        runner.run(main(), context=context)
    assert context[variable] == "inside"


def test_get_running_loop(aio):
    async def main():
        return aio.get_running_loop() is aio.get_event_loop()

    assert aio.run(main())
    with pytest.raises(RuntimeError, match=r"^no running event loop$"):
        aio.get_running_loop()


def test_new_set_and_get_event_loop(aio):
    loop = aio.impl.new_event_loop()
    aio.set_event_loop(loop)
    assert aio.get_event_loop() is loop
    assert loop.run_until_complete(answer(aio)) == 42
    loop.close()
    assert loop.is_closed()
    again = aio.impl.new_event_loop()
    assert again.run_until_complete(answer(aio)) == 42
    again.close()


def test_run_forever_and_stop(aio):
    loop = aio.impl.new_event_loop()
    seen = []
    loop.call_soon(lambda: seen.append(loop.is_running()))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [True]
    assert not loop.is_running() and not loop.is_closed()
    loop.close()


def test_errors_of_a_loop(aio):
    loop = aio.impl.new_event_loop()

    async def nested():
        coroutine = answer(aio)
        try:
            loop.run_until_complete(coroutine)
        finally:
            coroutine.close()

    if not (aio.impl.is_stock and sys.version_info[:3] == (3, 13, 0)):  # stock forgets its running loop there
        with pytest.raises(RuntimeError, match=r"^This event loop is already running$"):
            loop.run_until_complete(nested())
    loop.close()
    coroutine = answer(aio)
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        loop.run_until_complete(coroutine)
    coroutine.close()


def test_policies(impl):
    if not hasattr(impl, "EventLoopPolicy"):
        pytest.skip("a policy of its own is what only yibu has")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        before = asyncio.get_event_loop_policy()
        asyncio.set_event_loop_policy(impl.EventLoopPolicy())
        try:
            loop = asyncio.new_event_loop()
            assert isinstance(loop, impl.EventLoop)
            asyncio.set_event_loop(loop)
            assert asyncio.get_event_loop() is loop
            loop.close()

            async def main():
                return asyncio.get_running_loop()

            assert isinstance(asyncio.run(main()), impl.EventLoop)
        finally:
            asyncio.set_event_loop_policy(before)


def test_one_loop_per_thread(aio):
    results = {}

    def work(number):
        async def main():
            await aio.sleep(0.001)
            return number, aio.get_running_loop()

        results[number] = aio.run(main())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[number][0] for number in range(5)] == list(range(5))
    assert len({id(results[number][1]) for number in range(5)}) == 5


def test_no_current_loop_in_a_thread(aio):
    errors = []

    def work():
        try:
            aio.get_event_loop()
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=work, name="bare")
    thread.start()
    thread.join()
    assert errors == ["There is no current event loop in thread 'bare'."]
