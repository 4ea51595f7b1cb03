"""Row "threads, processes": to_thread, executors, run_coroutine_threadsafe, files read in threads."""

import concurrent.futures
import contextvars
import multiprocessing
import threading

import pytest


def test_to_thread(aio):
    variable = contextvars.ContextVar("variable", default="default")

    def work(a, *, b):
        return a + b, variable.get(), threading.current_thread() is threading.main_thread()

    async def main():
        variable.set("set in main")
        return await aio.to_thread(work, 1, b=2)

    assert aio.run(main()) == (3, "set in main", False)


def test_run_in_the_default_executor(aio):
    async def main():
        loop = aio.get_running_loop()
        return await aio.gather(*[loop.run_in_executor(None, pow, number, 2) for number in range(20)])

    assert aio.run(main()) == [number**2 for number in range(20)]


def test_run_in_a_thread_pool(aio):
    async def main():
        with concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:
            return await aio.get_running_loop().run_in_executor(pool, lambda: threading.current_thread().name)

    assert aio.run(main()).startswith("mine")


def test_run_in_a_process_pool(aio):
    async def main():
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            return await aio.get_running_loop().run_in_executor(pool, pow, 2, 100)

    assert aio.run(main()) == 2**100


def test_set_default_executor_and_shut_it_down(aio):
    async def main():
        loop = aio.get_running_loop()
        pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="default")
        loop.set_default_executor(pool)
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError):
            loop.run_in_executor(None, int)
        return name

    assert aio.run(main()).startswith("default")


def test_an_exception_comes_through(aio):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await aio.to_thread(lambda: 1 / 0)

    aio.run(main())


def test_run_coroutine_threadsafe(aio):
    async def double(number):
        await aio.sleep(0)
        return 2 * number

    async def main():
        loop = aio.get_running_loop()

        def outside():
            return [aio.run_coroutine_threadsafe(double(number), loop).result(10) for number in range(5)]

        return await aio.to_thread(outside)

    assert aio.run(main()) == [0, 2, 4, 6, 8]


def test_files_are_read_in_threads(aio, tmp_path):
    paths = [tmp_path / f"{number}.txt" for number in range(10)]
    for number, path in enumerate(paths):
        path.write_text(f"content {number}\n" * 100)

    async def main():
        return await aio.gather(*[aio.to_thread(path.read_text) for path in paths])

    assert [text.splitlines()[-1] for text in aio.run(main())] == [f"content {n}" for n in range(10)]
