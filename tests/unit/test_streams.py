"""asyncio.streams.StreamReader, fed by hand: what each way to read gives, waits for and raises."""

import asyncio
import random
import re

import pytest

from tests.unit.streams import READS, turns, waiting


@pytest.fixture
def run(run_on_each_loop):
    return run_on_each_loop


@pytest.fixture(params=READS)
def kind(request):
    """Each way to read, with what completes it and what it gives."""
    return READS[request.param]


class TestReads:
    def test_of_what_is_there(self, run, new_reader):
        async def main():
            reader = new_reader(b"one\ntwo\nthree")
            assert await reader.readline() == b"one\n"
            assert await reader.readuntil(b"w") == b"tw"
            assert await reader.readexactly(3) == b"o\nt"
            assert await reader.read(2) == b"hr"
            assert await reader.read(0) == b""
            assert await reader.readexactly(0) == b""
            assert await reader.read(100) == b"ee"

        run(main)

    def test_satisfied_reads_do_not_give_way(self, run, new_reader):
        async def main():
            reader = new_reader(b"one\ntwo\nthree!")
            ran = []
            asyncio.get_running_loop().call_soon(ran.append, True)
            await reader.readline()
            await reader.readuntil(b"\n")
            await reader.readexactly(5)
            await reader.read(10)
            assert ran == []

        run(main)

    def test_waits_for_what_is_missing(self, run, new_reader, kind):
        read, data, expected = kind

        async def main():
            reader = new_reader()
            task = await waiting(read(reader))
            for byte in data[:-1]:
                reader.feed_data(bytes([byte]))
            await turns()
            reader.feed_data(data[-1:])
            reader.feed_eof()
            got = await task
            assert got == expected[: len(got)]
            assert got + await reader.read() == expected
            assert reader.at_eof()

        run(main)

    @pytest.mark.parametrize("how", ["create_task", "ensure_future", "wait_for", "gather", "shield"])
    def test_methods_are_coroutines(self, run, new_reader, impl, how):
        async def main():
            reader = new_reader(b"abcd\nefgh")
            drive = {
                "create_task": asyncio.create_task,
                "ensure_future": asyncio.ensure_future,
                "wait_for": lambda coroutine: impl.wait_for(coroutine, 5),
                "gather": impl.gather,
                "shield": impl.shield,
            }[how]
            reads = [reader.readline(), reader.readexactly(1), reader.readuntil(b"g"), reader.read(10)]
            assert all(asyncio.iscoroutine(read) for read in reads)
            got = [await drive(read) for read in reads]
            assert [each[0] if how == "gather" else each for each in got] == [b"abcd\n", b"e", b"fg", b"h"]

        run(main)

    def test_in_a_group(self, run, new_reader):
        async def main():
            readers = [new_reader() for _ in range(5)]
            lines = asyncio.gather(*(reader.readline() for reader in readers))
            await turns()
            for number, reader in enumerate(readers):
                reader.feed_data(b"%d\n" % number)
            assert await lines == [b"%d\n" % number for number in range(5)]

        run(main)

    def test_read_returns_bytes_of_its_own(self, run, new_reader):
        async def main():
            reader = new_reader(bytearray(b"abc"))
            got = await reader.read(10)
            assert type(got) is bytes
            whole = b"whole"
            reader.feed_data(whole)
            assert await reader.read(10) == whole
            reader.feed_data(memoryview(b"view"))
            assert await reader.readexactly(4) == b"view"

        run(main)

    def test_nothing_runs_before_it_is_awaited(self, run, new_reader):
        async def main():
            reader = new_reader(b"abc")
            read = reader.read(2)
            reader.feed_data(b"de")
            assert await reader.readexactly(5) == b"abcde"
            reader.feed_data(b"fg")
            assert await read == b"fg"

        run(main)

    @pytest.mark.parametrize("method", ["read", "readexactly"])
    def test_numbers_that_are_none(self, run, new_reader, method):
        async def main():
            for wrong in ("1", None, b""):
                with pytest.raises(TypeError):
                    await getattr(new_reader(b"abc"), method)(wrong)

        run(main)

    def test_negative_counts(self, run, new_reader):
        async def main():
            with pytest.raises(ValueError, match=r"^readexactly size can not be less than zero$"):
                await new_reader(b"abc").readexactly(-1)
            assert await new_reader(b"abc", eof=True).read(-7) == b"abc"

        run(main)

    def test_more_than_any_memory(self, run, new_reader):
        async def main():
            reader = new_reader()
            task = await waiting(reader.readexactly(2**62))
            reader.feed_data(b"abc")
            await turns()
            reader.feed_data(b"def")
            reader.feed_eof()
            with pytest.raises(asyncio.IncompleteReadError) as caught:
                await task
            assert caught.value.partial == b"abcdef"
            assert caught.value.expected == 2**62

        run(main)

    @pytest.mark.yibu_only  # stock forgets what it has read so far
    @pytest.mark.parametrize("shown", [False, True])
    def test_a_cancelled_read_gives_back_what_it_has(self, run, new_reader, shown):
        async def main():
            reader = new_reader(limit=4)
            task = await waiting(reader.read())
            for piece in b"one, ", b"two, ":
                reader.feed_data(piece)
                for _ in range(5):
                    await asyncio.sleep(0)
            if shown:
                assert reader._buffer == b""
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            reader.feed_data(b"three")
            if shown:
                assert reader._buffer == b"one, two, three"
            assert await reader.readexactly(5) == b"one, "
            reader.feed_eof()
            assert await reader.read() == b"two, three"

        run(main)

    def test_read_to_the_end_in_blocks_of_the_limit(self, run, new_reader, impl):
        blocks = []

        class Reader(impl.StreamReader):
            async def read(self, n=-1):
                blocks.append(n)
                return await super().read(n)

        async def main():
            reader = new_reader(b"x" * 10, cls=Reader, limit=4)
            task = await waiting(reader.read())
            reader.feed_data(b"y" * 3)
            reader.feed_eof()
            assert await task == b"x" * 10 + b"y" * 3
            assert blocks[0] == -1
            assert set(blocks[1:]) == {4}

        run(main)


class TestEnd:
    def test_reads_at_the_end(self, run, new_reader):
        async def main():
            reader = new_reader(eof=True)
            assert await reader.read() == await reader.read(5) == await reader.readline() == b""
            for read, expected in ((reader.readexactly(3), 3), (reader.readuntil(), None)):
                with pytest.raises(asyncio.IncompleteReadError) as caught:
                    await read
                assert (caught.value.partial, caught.value.expected) == (b"", expected)

        run(main)

    def test_what_is_left_is_partial(self, run, new_reader):
        async def main():
            reader = new_reader()
            task = await waiting(reader.readexactly(10))
            reader.feed_data(b"abc")
            await turns()
            reader.feed_eof()
            with pytest.raises(
                asyncio.IncompleteReadError, match="3 bytes read on a total of 10 expected"
            ) as caught:
                await task
            assert caught.value.partial == b"abc"
            reader = new_reader(b"abc\r", eof=True)
            with pytest.raises(
                asyncio.IncompleteReadError, match="4 bytes read on a total of undefined"
            ) as caught:
                await reader.readuntil(b"\r\n")
            assert caught.value.partial == b"abc\r"
            assert reader.at_eof()
            assert await new_reader(b"rest", eof=True).readline() == b"rest"

        run(main)

    def test_a_whole_message_at_the_end(self, run, new_reader):
        async def main():
            reader = new_reader(b"line\nrest", eof=True)
            assert await reader.readuntil() == b"line\n"
            assert not reader.at_eof()
            assert await reader.readexactly(4) == b"rest"
            assert reader.at_eof()

        run(main)

    def test_at_eof_needs_both(self, run, new_reader):
        async def main():
            reader = new_reader(b"a")
            assert not reader.at_eof()
            reader.feed_eof()
            assert not reader.at_eof()
            await reader.read(1)
            assert reader.at_eof()
            assert not new_reader().at_eof()

        run(main)

    def test_nothing_is_fed_behind_the_end(self, run, new_reader):
        async def main():
            reader = new_reader(eof=True)
            with pytest.raises(AssertionError, match=r"^feed_data after feed_eof$"):
                reader.feed_data(b"x")
            with pytest.raises(AssertionError, match=r"^_wait_for_data after EOF$"):
                await reader._wait_for_data("read")

        run(main)

    def test_the_end_twice(self, run, new_reader):
        async def main():
            reader = new_reader(b"x", eof=True)
            reader.feed_eof()
            assert await reader.read() == b"x"

        run(main)


class TestIteration:
    def test_lines(self, run, new_reader):
        async def main():
            reader = new_reader(b"a\nb\n\nc", eof=True)
            assert [line async for line in reader] == [b"a\n", b"b\n", b"\n", b"c"]
            assert [line async for line in reader] == []
            assert aiter(reader) is reader

        run(main)

    def test_lines_that_come_later(self, run, new_reader):
        async def main():
            reader, lines = new_reader(), []

            async def read():
                async for line in reader:
                    lines.append(line)

            task = await waiting(read())
            for piece in (b"a", b"b\nc\n", b"d"):
                reader.feed_data(piece)
                await turns()
            assert lines == [b"ab\n", b"c\n"]
            reader.feed_eof()
            await task
            assert lines == [b"ab\n", b"c\n", b"d"]

        run(main)

    def test_overridden_readline(self, run, new_reader, impl):
        class Reader(impl.StreamReader):
            async def readline(self):
                return (await super().readline()).strip()

        async def main():
            reader = new_reader(b"a\nb\n\nc\n", cls=Reader, eof=True)
            # An empty line looks like the end, as on asyncio.
            assert [line async for line in reader] == [b"a", b"b"]

        run(main)


class TestTwoReaders:
    @pytest.mark.parametrize(
        ("read", "name"),
        [
            (lambda reader: reader.read(1), "read"),
            (lambda reader: reader.read(), "read"),
            (lambda reader: reader.readexactly(1), "readexactly"),
            (lambda reader: reader.readuntil(), "readuntil"),
            (lambda reader: reader.readline(), "readuntil"),
            (lambda reader: reader.__anext__(), "readuntil"),
        ],
    )
    def test_is_one_too_many(self, run, new_reader, read, name):
        async def main():
            reader = new_reader()
            first = await waiting(reader.readline())
            text = f"{name}() called while another coroutine is already waiting for incoming data"
            with pytest.raises(RuntimeError, match=f"^{re.escape(text)}$"):
                await read(reader)
            reader.feed_data(b"line\n")
            assert await first == b"line\n"

        run(main)

    def test_is_one_too_many_for_an_overridden_reader(self, impl, run):
        """The one who waits goes on to wait."""

        class Reader(impl.StreamReader):
            async def _wait_for_data(self, name):
                await super()._wait_for_data(name)

        async def main():
            reader = Reader()
            first = await waiting(reader.readline())
            with pytest.raises(RuntimeError, match="already waiting"):
                await reader.read(1)
            reader.feed_data(b"line\n")
            assert await first == b"line\n"

        run(main)

    def test_the_second_takes_what_is_there(self, run, new_reader):
        async def main():
            reader = new_reader()
            first = await waiting(reader.readline())
            reader.feed_data(b"abc")
            assert await reader.readexactly(2) == b"ab"
            reader.feed_data(b"d\n")
            assert await first == b"cd\n"

        run(main)

    @pytest.mark.parametrize("closed_at_once", [True, False])
    def test_one_that_comes_between_does_not_change_the_search(self, run, new_reader, closed_at_once):
        async def main():
            reader = new_reader()
            first = await waiting(reader.readline())
            reader.feed_data(b"aXb\n")
            # The first is woken but has not run.
            assert await reader.readexactly(4) == b"aXb\n"
            second = reader.readuntil(b"X")
            second.send(None)
            if closed_at_once:
                second.close()
            await turns()
            reader.feed_data(b"cXd\n")
            assert await first == b"cXd\n"
            second.close()

        run(main)


class TestExceptions:
    def test_every_read_raises_it(self, run, new_reader, kind):
        read, data, _ = kind

        async def main():
            reader = new_reader(data)
            error = ValueError("broken")
            assert reader.exception() is None
            reader.set_exception(error)
            assert reader.exception() is error
            with pytest.raises(ValueError, match="broken") as caught:
                await read(reader)
            assert caught.value is error

        run(main)

    def test_the_one_that_waits_raises_it(self, run, new_reader, kind):
        read, _, _ = kind

        async def main():
            reader = new_reader()
            task = await waiting(read(reader))
            reader.set_exception(ConnectionError("lost"))
            with pytest.raises(ConnectionError, match="lost"):
                await task
            assert reader._waiter is None

        run(main)

    def test_arguments_are_looked_at_first(self, run, new_reader):
        async def main():
            reader = new_reader()
            reader.set_exception(ConnectionError("lost"))
            with pytest.raises(ValueError, match="less than zero"):
                await reader.readexactly(-1)
            with pytest.raises(ValueError, match="one-byte string"):
                await reader.readuntil(b"")
            with pytest.raises(ConnectionError):
                await reader.read(0)

        run(main)


class TestCancellation:
    def test_loses_nothing(self, run, new_reader, kind):
        read, data, _ = kind

        async def main():
            reader = new_reader()
            for cut in range(len(data)):
                task = await waiting(read(reader))
                if cut and read is not READS["read"][0] and read is not READS["read all"][0]:
                    reader.feed_data(data[cut - 1 : cut])
                    await turns()
                task.cancel("enough")
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert reader._waiter is None
            left = len(reader._buffer)
            reader.feed_data(data[left:])
            reader.feed_eof()
            assert await read(reader) == data

        run(main)

    def test_when_the_bytes_have_just_come(self, run, new_reader, kind):
        read, data, _ = kind

        async def main():
            reader = new_reader()
            task = await waiting(read(reader))
            reader.feed_data(data)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            reader.feed_eof()
            assert await reader.read() == data

        run(main)

    def test_before_it_began(self, run, new_reader, kind):
        read, data, _ = kind

        async def main():
            reader = new_reader(data)
            task = asyncio.ensure_future(read(reader))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            reader.feed_eof()
            assert await reader.read() == data

        run(main)

    def test_of_the_waiter(self, run, new_reader):
        async def main():
            reader = new_reader()
            task = await waiting(reader.readline())
            reader._waiter.cancel()
            reader.feed_data(b"line\n")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await reader.readline() == b"line\n"
            task = await waiting(reader.readline())
            reader._waiter.cancel()
            reader.set_exception(ValueError("not for the waiter"))
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main)

    def test_wait_for_times_out(self, run, new_reader, impl):
        async def main():
            reader = new_reader(b"half a li")
            with pytest.raises(asyncio.TimeoutError):
                await impl.wait_for(reader.readline(), 0)
            task = await waiting(impl.wait_for(reader.readline(), 10))
            reader.feed_data(b"ne\n")
            assert await task == b"half a line\n"

        run(main)

    @pytest.mark.parametrize("seed", range(10))
    def test_at_random(self, run, new_reader, seed):
        chance = random.Random(seed)
        lines = [b"x" * chance.randrange(30) + b"\n" for _ in range(100)]

        async def main():
            reader, got = new_reader(), []

            async def read():
                while len(got) < len(lines):
                    got.append(await reader.readline())

            task = asyncio.ensure_future(read())
            left = b"".join(lines)
            while left:
                size = chance.randrange(1, 20)
                reader.feed_data(left[:size])
                left = left[size:]
                await turns(chance.randrange(3))
                if chance.random() < 0.3 and task.cancel():
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    task = asyncio.ensure_future(read())
            await task
            assert got == lines

        run(main)
