"""What a thread came to goes with its last holder, without the garbage collector."""

import concurrent.futures
import contextlib
import gc
import threading
import weakref

import pytest

COUNT = 20


class Result:
    pass


class Failure(Exception):
    pass


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def executor():
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        yield executor


def make(_impl, loop, executor, work):
    return loop.run_in_executor(None, work)


def make_on_a_pool(_impl, loop, executor, work):
    return loop.run_in_executor(executor, work)


def make_by_wrapping(impl, loop, executor, work):
    return impl.wrap_future(executor.submit(work), loop=loop)


@pytest.mark.parametrize("callback", [True, False], ids=["callback", "plain"])
@pytest.mark.parametrize("make", [make, make_on_a_pool, make_by_wrapping])
def test_results_and_failures(impl, loop, executor, without_collector, make, callback):
    outcomes = []

    def work():
        result = Result()
        outcomes.append(weakref.ref(result))
        return result

    def fail():
        error = Failure()
        outcomes.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async def main():
        for function in [work, fail] * COUNT:
            future = make(impl, loop, executor, function)
            if callback:
                future.add_done_callback(lambda _: None)
            with contextlib.suppress(Failure):
                await future
            del future
        # The worker lets go of the last one when it takes another job.
        await make(impl, loop, executor, int)

    loop.run_until_complete(main())
    assert len(outcomes) == 2 * COUNT
    assert sum(outcome() is not None for outcome in outcomes) == 0


@pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "finished"])
def test_coroutines_of_other_threads(impl, loop, without_collector, cancelled):
    results, begun = [], threading.Semaphore(0)

    async def work():
        await impl.sleep(0)
        result = Result()
        results.append(weakref.ref(result))
        if cancelled:
            begun.release()
            await loop.create_future()
        return result

    def submit():
        for _ in range(COUNT):
            future = impl.run_coroutine_threadsafe(work(), loop)
            future.add_done_callback(lambda _: None)
            if cancelled:
                begun.acquire()
                future.cancel()
            else:
                future.result()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=submit)
    thread.start()
    loop.run_forever()
    thread.join()
    loop.run_until_complete(impl.sleep(0))
    assert len(results) == COUNT
    assert sum(result() is not None for result in results) == 0
