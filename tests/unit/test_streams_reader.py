"""asyncio.streams.StreamReader: what subclasses replace, what libraries look at, and when it dies."""

import asyncio
import gc
import itertools
import sys
import weakref

import pytest

from tests.unit.streams import Transport, turns, waiting


@pytest.fixture
def run(run_on_each_loop):
    return run_on_each_loop


class TestSubclass:
    def test_feeding(self, run, new_reader, impl):
        fed = []

        class Reader(impl.StreamReader):
            def feed_data(self, data):
                fed.append(data)
                super().feed_data(data.upper())

            def feed_eof(self):
                fed.append("end")
                super().feed_eof()

        async def main():
            reader = new_reader(cls=Reader)
            task = await waiting(reader.readline())
            reader.feed_data(b"line\n")
            assert await task == b"LINE\n"
            reader.feed_eof()
            assert fed == [b"line\n", "end"]

        run(main)

    def test_waiting(self, run, new_reader, impl):
        waits = []

        class Reader(impl.StreamReader):
            async def _wait_for_data(self, func_name):
                waits.append(func_name)
                await super()._wait_for_data(func_name)

        async def main():
            reader = new_reader(cls=Reader)
            for read in (reader.read(1), reader.readexactly(2), reader.readline(), reader.readuntil(b";")):
                task = await waiting(read)
                reader.feed_data(b"ab\n;")
                await task
                reader.feed_data(b"rest")
                await reader.read(100)
            assert waits == ["read", "readexactly", "readuntil", "readuntil"]

        run(main)

    def test_wait_that_feeds(self, run, new_reader, impl):
        class Reader(impl.StreamReader):
            async def _wait_for_data(self, func_name):
                self.feed_data(b"more;")

        async def main():
            reader = new_reader(cls=Reader)
            assert await reader.readuntil(b";") == b"more;"
            assert await reader.readexactly(7) == b"more;mo"

        run(main)

    def test_readline_by_way_of_readuntil(self, run, new_reader, impl):
        separators = []

        class Reader(impl.StreamReader):
            async def readuntil(self, separator=b"\n"):
                separators.append(separator)
                return await super().readuntil(separator)

        async def main():
            reader = new_reader(b"a\nb", cls=Reader, eof=True)
            assert await reader.readline() == b"a\n"
            assert await reader.readline() == b"b"
            assert separators == [b"\n", b"\n"]
            reader = new_reader(b"too long\nb\n", cls=Reader, limit=3)
            with pytest.raises(ValueError, match="chunk is longer than limit"):
                await reader.readline()
            assert await reader.readline() == b"b\n"

        run(main)

    def test_init_of_its_own(self, run, impl):
        class Reader(impl.StreamReader):
            def __init__(self, name):
                super().__init__(limit=7)
                self.name = name

        async def main():
            reader = Reader("mine")
            assert (reader.name, reader._limit, reader._loop) == ("mine", 7, asyncio.get_running_loop())
            reader.feed_data(b"a\n")
            assert await reader.readline() == b"a\n"

        run(main)

    def test_attributes_of_an_instance(self, run, new_reader):
        async def main():
            reader, fed = new_reader(), []
            reader.feed_eof = lambda: fed.append("end")
            reader.feed_eof()
            assert fed == ["end"]
            assert not reader._eof

        run(main)


class TestAttributes:
    def test_of_a_new_one(self, run, new_reader):
        async def main():
            reader = new_reader()
            assert reader._limit == 2**16
            assert reader._buffer == bytearray()
            assert reader._loop is asyncio.get_running_loop()
            for name in ("_waiter", "_exception", "_transport"):
                assert getattr(reader, name) is None
            assert reader._eof is reader._paused is False

        run(main)

    def test_the_buffer_can_be_changed(self, run, new_reader):
        async def main():
            reader = new_reader(b"abc")
            assert reader._buffer == b"abc"
            reader._buffer += b"def\n"
            assert reader._buffer is reader._buffer
            assert await reader.readexactly(2) == b"ab"
            assert reader._buffer == b"cdef\n"
            reader.feed_data(b"ghi")
            assert await reader.readline() == b"cdef\n"
            del reader._buffer[:1]
            assert await reader.read(100) == b"hi"
            reader._buffer = bytearray(b"new\n")
            assert await reader.readline() == b"new\n"
            reader._buffer.extend(b"last")
            reader.feed_eof()
            assert not reader.at_eof()
            with pytest.raises(asyncio.IncompleteReadError) as caught:
                await reader.readuntil()
            assert caught.value.partial == b"last"
            assert reader.at_eof()

        run(main)

    def test_the_buffer_while_somebody_waits(self, run, new_reader):
        async def main():
            reader = new_reader(b"ab")
            task = await waiting(reader.readuntil(b";"))
            reader._buffer.extend(b"c")
            reader.feed_data(b"d;")
            assert await task == b"abcd;"

        run(main)

    def test_waiting_by_hand(self, run, new_reader):
        async def main():
            reader = new_reader()
            reader._waiter = waiter = asyncio.get_running_loop().create_future()
            reader.feed_data(b"x")
            assert await waiter is None
            assert reader._waiter is None
            task = await waiting(reader._wait_for_data("mine"))
            reader.feed_data(b"y")
            assert await task is None
            assert await reader.read(10) == b"xy"

        run(main)

    def test_repr(self, run, new_reader):
        async def main():
            assert repr(new_reader()) == "<StreamReader>"
            assert repr(new_reader(b"abc", eof=True)) == "<StreamReader 3 bytes eof>"
            assert repr(new_reader(limit=123)) == "<StreamReader limit=123>"
            reader = new_reader(limit=1)
            reader.set_transport(transport := Transport())
            reader.feed_data(b"abc")
            assert repr(reader) == f"<StreamReader 3 bytes limit=1 transport={transport!r} paused>"
            reader = new_reader()
            reader.set_exception(ValueError("no"))
            assert repr(reader) == "<StreamReader exception=ValueError('no')>"
            reader = new_reader()
            task = await waiting(reader.read(1))
            assert repr(reader) == f"<StreamReader waiter={reader._waiter!r}>"
            reader.feed_eof()
            await task

        run(main)

    def test_is_a_reader_of_asyncio(self, run, new_reader):
        async def main():
            assert isinstance(new_reader(), asyncio.StreamReader)

        run(main)

    def test_where_it_was_made_in_debug_mode(self, impl, new_reader, make_loop):
        loop = make_loop()

        async def main():
            assert new_reader()._source_traceback is None
            asyncio.get_running_loop().set_debug(True)
            frames = new_reader()._source_traceback
            assert any(frame.name == "main" for frame in frames)

        loop.run_until_complete(main())


class TestLoops:
    def test_without_a_running_one(self, impl, make_loop):
        loop = make_loop()
        reader = impl.StreamReader(loop=loop)
        reader.feed_data(b"abc\n")
        reader.feed_eof()
        assert loop.run_until_complete(reader.readline()) == b"abc\n"

    def test_the_waiter_is_of_the_readers_loop(self, run, impl):
        futures = []

        class Loop(asyncio.SelectorEventLoop):
            def create_future(self):
                futures.append(super().create_future())
                return futures[-1]

        loop = Loop()

        async def main():
            reader = impl.StreamReader()
            task = asyncio.ensure_future(reader.read(1))
            await turns()
            assert reader._waiter in futures
            reader.feed_data(b"x")
            assert await task == b"x"

        try:
            loop.run_until_complete(main())
        finally:
            loop.close()


class TestLifetime:
    def test_dies_with_its_task(self, run, new_reader):
        async def read_and_give_up():
            reader = new_reader(b"half")
            task = await waiting(reader.readline())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return weakref.ref(reader)

        async def main():
            dead = await read_and_give_up()
            await turns()
            gc.collect()
            assert dead() is None

        run(main)

    def test_a_cycle_is_collected(self, run, new_reader):
        async def main():
            reader, transport = new_reader(b"half"), Transport()
            reader.set_transport(transport)
            transport.reader = reader.me = reader
            dead = weakref.ref(reader)
            del reader, transport
            gc.collect()
            assert dead() is None

        run(main)

    def test_a_suspended_read_that_is_dropped(self, run, new_reader):
        async def main():
            reader = new_reader()
            read = reader.readline()
            assert read.send(None) is reader._waiter
            del read
            gc.collect()
            assert reader._waiter is None
            reader.feed_data(b"line\n")
            assert await reader.readline() == b"line\n"

        run(main)

    def test_a_read_that_was_never_awaited(self, run, new_reader, recwarn):
        async def main():
            reader = new_reader(b"abc")
            with pytest.warns(RuntimeWarning, match=r"'StreamReader\.read' was never awaited"):
                reader.read(1)
                gc.collect()
            assert await reader.read(10) == b"abc"

        run(main)

    def test_memory_of_what_was_read_is_given_back(self, run, new_reader):
        async def main():
            reader = new_reader()
            pieces = itertools.repeat(b"x" * 1000, 100)

            async def through():
                for piece in pieces:
                    reader.feed_data(piece)
                    assert await reader.readexactly(1000) == piece

            await through()
            assert sys.getsizeof(reader._buffer) < 1000

        run(main)


class TestCancelled:
    @pytest.mark.yibu_only  # asyncio loses it
    def test_reading_to_the_end_loses_nothing(self, impl, run):
        async def main():
            reader = impl.StreamReader()
            reader.feed_data(b"begun")
            task = asyncio.ensure_future(reader.read())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            reader.feed_data(b", ended")
            reader.feed_eof()
            return await reader.read()

        assert run(main) == b"begun, ended"
