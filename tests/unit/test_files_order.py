"""`yibu.files`: the order of operations, cancellation, closing, forks, and loops that end."""

import asyncio
import gc
import os
import threading
import warnings

import pytest
from yibu import files
from yibu.files.binary import AsyncBufferedReader


class Held:
    """An ordinary binary file whose reads and writes wait until they are let go."""

    def __init__(self, path, mode="r+b"):
        self.file = open(path, mode)  # noqa: SIM115
        self.begun = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.calls = []

    def _wait(self, name, *arguments):
        self.calls.append(name)
        self.begun.release()
        assert self.gate.acquire(timeout=10)
        return getattr(self.file, name)(*arguments)

    def read(self, size):
        return self._wait("read", size)

    def write(self, data):
        return self._wait("write", data)

    def tell(self):
        self.calls.append("tell")
        return self.file.tell()

    def close(self):
        self.calls.append("close")
        self.file.close()

    @property
    def closed(self):
        return self.file.closed


@pytest.fixture
def held(tmp_path):
    """Such a file, and the file of `yibu.files` over it."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    held = Held(path)
    yield held, AsyncBufferedReader(held)
    held.gate.release(100)
    held.file.close()


async def begun(held):
    """Wait until a call of the ordinary file has begun."""
    while not held.begun.acquire(blocking=False):
        await asyncio.sleep(0.001)


@pytest.fixture
def run(run_with_workers):
    return run_with_workers


def test_operations_are_in_the_order_of_their_calls(run, held):
    held, file = held

    async def main():
        reads = [asyncio.ensure_future(file.read(size)) for size in (1, 2, 3)]
        position = asyncio.ensure_future(file.tell())
        await begun(held)
        await asyncio.sleep(0.01)
        assert held.calls == ["read"]
        held.gate.release(3)
        assert await asyncio.gather(*reads) == [b"\0", b"\1\2", b"\3\4\5"]
        assert await position == 6
        assert held.calls == ["read", "read", "read", "tell"]

    run(main)


def test_an_operation_that_was_cancelled_goes_on(run, held):
    """The await ends at once; the next operation waits until the call is over."""
    held, file = held

    async def main():
        reading = asyncio.ensure_future(file.read(10))
        await begun(held)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        position = asyncio.ensure_future(file.tell())
        await asyncio.sleep(0.01)
        assert held.calls == ["read"]
        held.gate.release()
        assert await position == 10

    run(main)


def test_an_operation_cancelled_before_its_turn_is_not_done(run, held):
    held, file = held

    async def main():
        first = asyncio.ensure_future(file.read(1))
        second = asyncio.ensure_future(file.read(10))
        third = asyncio.ensure_future(file.read(1))
        await begun(held)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        held.gate.release(2)
        assert (await first, await third) == (b"\0", b"\1")
        assert held.calls == ["read", "read"]

    run(main)


def test_an_operation_cancelled_before_a_worker_has_begun_is_not_done(run, held):
    """All workers are busy with something else."""
    held, _ = held

    async def main():
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as executor:
            release = threading.Event()
            executor.submit(release.wait)
            file = AsyncBufferedReader(held, executor=executor)
            reading = asyncio.ensure_future(file.read(10))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            release.set()
            assert await file.tell() == 0
        assert held.calls == ["tell"]

    run(main)


def test_the_buffer_is_kept_until_the_call_is_over(run, held):
    held, file = held

    async def main():
        data = bytearray(b"x" * 50)
        writing = asyncio.ensure_future(file.write(memoryview(data)))
        await begun(held)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        del writing
        gc.collect()
        with pytest.raises(BufferError):
            data.clear()
        held.gate.release()
        assert await file.tell() == 50

    run(main)


def test_closing_waits_for_what_is_under_way(run, held):
    held, file = held

    async def main():
        reading = asyncio.ensure_future(file.read(1))
        closing = asyncio.ensure_future(file.close())
        late = asyncio.ensure_future(file.tell())
        await begun(held)
        await asyncio.sleep(0.01)
        assert not file.closed
        held.gate.release()
        assert await reading == b"\0"
        await closing
        with pytest.raises(ValueError, match="closed file"):
            await late
        assert held.calls == ["read", "close", "tell"]

    run(main)


def test_closing_that_was_cancelled_closes(run, held):
    held, file = held

    async def main():
        reading = asyncio.ensure_future(file.read(1))
        closing = asyncio.ensure_future(file.close())
        await begun(held)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not file.closed
        held.gate.release()
        assert await reading == b"\0"
        while not file.closed:
            await asyncio.sleep(0.001)

    run(main)


def test_a_cancelled_open_leaves_no_file_open(run, tmp_path):
    async def main():
        path = tmp_path / f"fifo-{id(asyncio.get_running_loop())}"
        os.mkfifo(path)
        opened = []

        def opener(name, flags):
            opened.append(os.open(name, flags))
            return opened[0]

        async def opens():
            return await files.open(path, "rb", opener=opener)

        opening = asyncio.ensure_future(opens())
        await asyncio.sleep(0.01)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        writer = os.open(path, os.O_WRONLY)  # now the worker's call returns
        await asyncio.get_running_loop().shutdown_default_executor()
        os.close(writer)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(opened[0])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main)
        gc.collect()


def test_a_file_is_used_by_one_loop_after_another(impl, tmp_path):
    path = tmp_path / "file"
    path.write_text("one\ntwo\nthree\n")
    file = None

    async def first():
        nonlocal file
        file = await files.open(path)
        return await anext(file)

    async def second():
        assert await anext(file) == "two\n"
        assert await file.read() == "three\n"
        await file.close()

    assert impl.run(first()) == "one\n"
    impl.run(second())


def test_a_loop_that_was_closed_with_an_operation_under_way(impl, held):
    held, file = held

    def run(main):
        loop = impl.new_event_loop()
        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()

    async def leaves():
        reading = asyncio.ensure_future(file.read(10))
        waiting = asyncio.ensure_future(file.read(10))
        await begun(held)
        for task in (reading, waiting):
            task.cancel()
        await asyncio.wait([reading, waiting])

    async def goes_on():
        position = asyncio.ensure_future(file.tell())
        await asyncio.sleep(0.01)
        assert held.calls == ["read"]
        held.gate.release()
        assert await position == 10

    run(leaves)
    run(goes_on)


def test_a_forked_child_goes_on(make_loop, held):
    """The child has no worker that would end what the parent has begun."""
    held, file = held
    loop = make_loop()

    async def begins():
        await begun(held)
        return reading

    reading = loop.create_task(file.read(10))
    loop.run_until_complete(begins())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            make_loop().run_until_complete(file.tell())
            code = 0 if held.calls == ["read", "tell"] else 2
        finally:
            os._exit(code)
    held.gate.release()
    assert len(loop.run_until_complete(reading)) == 10
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    loop.run_until_complete(loop.shutdown_default_executor())


def test_ps_shows_what_a_worker_does(held):
    import yibu

    held, file = held

    async def main():
        reading = asyncio.create_task(file.read(1), name="reading")
        await begun(held)
        tasks = {task.name: task for task in yibu.ps()}
        assert tasks["reading"].waits_for == "executor job Held.read, running"
        held.gate.release()
        await reading

    yibu.run(main())


def test_many_files_at_once(run, tmp_path):
    for number in range(100):
        (tmp_path / str(number)).write_text(f"{number}\n" * 100)

    async def reads(number):
        async with files.open(tmp_path / str(number)) as file:
            return [line async for line in file]

    async def main():
        contents = await asyncio.gather(*(reads(number) for number in range(100)))
        assert contents == [[f"{number}\n"] * 100 for number in range(100)]

    run(main)


class TestDescriptors:
    def test_reads_and_writes(self, run, tmp_path):
        path = tmp_path / "file"

        async def main():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            try:
                assert await files.write(descriptor, b"0123456789" * 1000) == 10_000
                assert await files.pwrite(descriptor, memoryview(b"abc"), 5) == 3
                assert await files.fsync(descriptor) is None
                assert await files.pread(descriptor, 10, 0) == b"01234abc89"
                assert await files.pread(descriptor, 20_000, 9_995) == b"56789"
                assert await files.pread(descriptor, 10, 20_000) == b""
                assert await files.pread(descriptor, 0, 0) == b""
                assert await files.read(descriptor, 10) == b""
                os.lseek(descriptor, 0, os.SEEK_SET)
                assert await files.read(descriptor, 5) == b"01234"
                assert await files.read(descriptor, 1 << 20) == b"abc89" + b"0123456789" * 999
                assert os.lseek(descriptor, 0, os.SEEK_CUR) == 10_000
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                assert len(await files.pread(descriptor, 10_000, 0)) == 10_000
            finally:
                os.close(descriptor)

        run(main)

    def test_errors_are_those_of_os(self, run, tmp_path):
        async def main():
            for name, arguments in [
                ("read", (-1, 5)),
                ("read", (0, -1)),
                ("pread", (-1, 5, 0)),
                ("pread", (0, 5, -1)),
                ("read", ("x", 5)),
                ("write", (-1, b"x")),
                ("write", (0, "x")),
                ("pwrite", (-1, b"x", 0)),
                ("fsync", (-1,)),
                ("stat", (tmp_path / "none",)),
                ("pread", (tmp_path, 5, 0)),
            ]:
                with pytest.raises(Exception) as expected:
                    getattr(os, name)(*arguments)
                with pytest.raises(type(expected.value)) as raised:
                    await getattr(files, name)(*arguments)
                assert str(raised.value) == str(expected.value), name
            folder = os.open(tmp_path, os.O_RDONLY)
            with pytest.raises(IsADirectoryError):
                await files.read(folder, 5)
            os.close(folder)

        run(main)

    def test_a_pipe(self, run):
        async def main():
            reader, writer = os.pipe()
            reading = asyncio.ensure_future(files.read(reader, 10))
            await asyncio.sleep(0.01)
            assert not reading.done()
            assert await files.write(writer, b"abc") == 3
            assert await reading == b"abc"
            with pytest.raises(OSError, match="Illegal seek"):
                await files.pread(reader, 10, 0)
            os.close(reader)
            with pytest.raises(BrokenPipeError):
                await files.write(writer, b"abc")
            os.close(writer)

        run(main)

    def test_stat_and_scandir(self, run, tmp_path):
        for number in range(600):
            (tmp_path / str(number)).touch()
        (tmp_path / "link").symlink_to("nowhere")

        async def main():
            assert await files.stat(tmp_path) == os.stat(tmp_path)
            with pytest.raises(FileNotFoundError):
                await files.stat(tmp_path / "link")
            assert await files.stat(tmp_path / "link", follow_symlinks=False) == os.lstat(tmp_path / "link")
            names = [entry.name async for entry in files.scandir(tmp_path)]
            assert names == [entry.name for entry in os.scandir(tmp_path)]
            async with files.scandir(str(tmp_path)) as entries:
                async for entry in entries:
                    assert entry.path.startswith(str(tmp_path))
                    break
            assert [entry async for entry in entries] == []
            with pytest.raises(FileNotFoundError) as raised:
                await anext(files.scandir(tmp_path / "none"))
            assert raised.value.filename == str(tmp_path / "none")

        run(main)
