"""asyncio.streams.StreamReader: separators wherever they are cut, limits, and the transport that rests."""

import asyncio
import random
import sys

import pytest

from tests.unit.streams import Transport, turns, waiting

TUPLES = pytest.mark.skipif(sys.version_info < (3, 13), reason="since 3.13 there may be several separators")


@pytest.fixture
def run(run_on_each_loop):
    return run_on_each_loop


class TestSeparators:
    def test_is_not_empty(self, run, new_reader):
        async def main():
            with pytest.raises(ValueError, match=r"^Separator should be at least one-byte string$"):
                await new_reader(b"abc").readuntil(b"")

        run(main)

    @TUPLES
    def test_several(self, run, new_reader):
        async def main():
            reader = new_reader(b"GET /\r\nHost: a\n\r\nx;y")
            assert await reader.readuntil((b"\r\n", b"\n")) == b"GET /\r\n"
            assert await reader.readuntil((b"\r\n", b"\n")) == b"Host: a\n"
            assert await reader.readuntil((b"\n", b"\r\n")) == b"\r\n"
            assert await reader.readuntil((b"nowhere", b";")) == b"x;"
            with pytest.raises(ValueError, match=r"^Separator should contain at least one element$"):
                await reader.readuntil(())
            with pytest.raises(ValueError, match=r"^Separator should be at least one-byte string$"):
                await reader.readuntil((b"a", b""))

        run(main)

    @TUPLES
    def test_the_shortest_message_counts(self, run, new_reader):
        async def main():
            reader = new_reader(b"some dataABCDE", limit=5)
            with pytest.raises(asyncio.LimitOverrunError) as caught:
                await reader.readuntil((b"C", b"ABCDE"))
            assert caught.value.consumed == 11
            reader = new_reader(b"xABCD")
            assert await reader.readuntil((b"ABCDE", b"BC")) == b"xABC"

        run(main)

    @pytest.mark.parametrize("wrong", [None, 5, "text", [b"\n"]])
    def test_of_another_type(self, run, new_reader, wrong):
        async def main():
            reader = new_reader(b"abc\n")
            with pytest.raises(TypeError):
                await reader.readuntil(wrong)
            assert await reader.readline() == b"abc\n"

        run(main)

    def test_of_other_bytes(self, run, new_reader):
        async def main():
            reader = new_reader(b"ab;cd;")
            assert await reader.readuntil(bytearray(b";")) == b"ab;"
            assert await reader.readuntil(memoryview(b";")) == b"cd;"

        run(main)

    @pytest.mark.parametrize("seed", range(40))
    def test_wherever_it_is_cut(self, run, new_reader, seed):
        chance = random.Random(seed)
        alphabet = chance.choice([b"ab", b"abc", b"a\r\n"])
        data = bytes(chance.choices(alphabet, k=chance.randrange(1, 200)))
        longest = chance.choice([1, 2, 3, 5])
        separators = [
            bytes(chance.choices(alphabet, k=chance.randrange(1, longest + 1)))
            for _ in range(chance.randrange(1, 4) if sys.version_info >= (3, 13) else 1)
        ]
        separator = tuple(separators) if len(separators) > 1 else separators[0]
        expected, rest = [], data
        while ends := [end for end in range(len(rest) + 1) if rest[:end].endswith(tuple(separators))]:
            expected.append(rest[: ends[0]])
            rest = rest[ends[0] :]

        async def main():
            reader, messages = new_reader(), []

            async def read():
                while True:
                    try:
                        messages.append(await reader.readuntil(separator))
                    except asyncio.IncompleteReadError as error:
                        return error.partial

            task = asyncio.ensure_future(read())
            left = data
            while left:
                size = chance.randrange(1, chance.choice([2, 5, 60]))
                reader.feed_data(left[:size])
                left = left[size:]
                await turns(chance.randrange(3))
            reader.feed_eof()
            assert await task == rest
            assert messages == expected

        run(main)

    @pytest.mark.parametrize("seed", range(20))
    def test_mixed_reads_lose_nothing(self, run, new_reader, seed):
        chance = random.Random(seed)
        data = bytes(chance.choices(b"ab\n", k=2000))

        async def main():
            reader, got = new_reader(), []

            async def read():
                while not reader.at_eof():
                    try:
                        match chance.randrange(4):
                            case 0:
                                got.append(await reader.readline())
                            case 1:
                                got.append(await reader.readuntil(b"ab"))
                            case 2:
                                got.append(await reader.read(chance.randrange(1, 20)))
                            case 3:
                                got.append(await reader.readexactly(chance.randrange(1, 20)))
                    except asyncio.IncompleteReadError as error:
                        got.append(error.partial)
                    if chance.random() < 0.01:
                        # Whoever looks at the buffer sees what is there, and everything goes on.
                        assert isinstance(reader._buffer, bytearray)

            task = asyncio.ensure_future(read())
            left = data
            while left:
                size = chance.randrange(1, 40)
                reader.feed_data(left[:size])
                left = left[size:]
                await turns(chance.randrange(3))
            reader.feed_eof()
            await task
            assert b"".join(got) == data

        run(main)


class TestLimit:
    @pytest.mark.parametrize("limit", [0, -1, -0.5])
    def test_is_positive(self, run, new_reader, limit):
        async def main():
            with pytest.raises(ValueError, match=r"^Limit cannot be <= 0$"):
                new_reader(limit=limit)

        run(main)

    def test_without_a_separator(self, run, new_reader):
        async def main():
            reader = new_reader(b"abcdef", limit=4)
            text = "^Separator is not found, and chunk exceed the limit$"
            with pytest.raises(asyncio.LimitOverrunError, match=text) as caught:
                await reader.readuntil(b"XY")
            # All but what may be half a separator.
            assert caught.value.consumed == 5
            assert await reader.readexactly(6) == b"abcdef"

        run(main)

    def test_with_a_separator_beyond(self, run, new_reader):
        async def main():
            reader = new_reader(b"abcdefX", limit=4)
            text = "^Separator is found, but chunk is longer than limit$"
            with pytest.raises(asyncio.LimitOverrunError, match=text) as caught:
                await reader.readuntil(b"X")
            assert caught.value.consumed == 6
            assert await reader.read(100) == b"abcdefX"

        run(main)

    def test_does_not_count_the_separator(self, run, new_reader):
        async def main():
            reader = new_reader(b"abcdXYZefgh\n", limit=4)
            assert await reader.readuntil(b"XYZ") == b"abcdXYZ"
            assert await reader.readline() == b"efgh\n"

        run(main)

    def test_while_it_waits(self, run, new_reader):
        async def main():
            reader = new_reader(limit=4)
            task = await waiting(reader.readuntil(b"X"))
            reader.feed_data(b"abcd")
            await turns()
            assert not task.done()
            reader.feed_data(b"e")
            with pytest.raises(asyncio.LimitOverrunError) as caught:
                await task
            assert caught.value.consumed == 5

        run(main)

    def test_a_line_that_is_too_long_is_thrown_away(self, run, new_reader):
        async def main():
            reader = new_reader(b"too long\nok\n", limit=4)
            with pytest.raises(
                ValueError, match=r"^Separator is found, but chunk is longer than limit$"
            ) as caught:
                await reader.readline()
            assert type(caught.value) is ValueError
            assert isinstance(caught.value.__context__, asyncio.LimitOverrunError)
            assert await reader.readline() == b"ok\n"
            reader.feed_data(b"much too long")
            with pytest.raises(ValueError, match=r"^Separator is not found, and chunk exceed the limit$"):
                await reader.readline()
            reader.feed_data(b"\n")
            assert await reader.readline() == b"\n"

        run(main)

    def test_does_not_hold_for_counts(self, run, new_reader):
        async def main():
            reader = new_reader(b"x" * 20, limit=2)
            assert len(await reader.readexactly(10)) == 10
            assert len(await reader.read(9)) == 9

        run(main)

    @pytest.mark.parametrize("limit", [2.5, 2**70, True])
    def test_of_any_number(self, run, new_reader, limit):
        async def main():
            reader = new_reader(b"x\n", limit=limit)
            assert reader._limit == limit
            assert await reader.readline() == b"x\n"
            assert f"limit={limit!r}" in repr(reader)

        run(main)

    def test_changed_while_it_waits(self, run, new_reader):
        async def main():
            reader = new_reader(limit=100)
            task = await waiting(reader.readuntil(b"X"))
            reader._limit = 3
            reader.feed_data(b"abcdefX")
            with pytest.raises(asyncio.LimitOverrunError):
                await task

        run(main)


class TestBackpressure:
    def test_pauses_beyond_twice_the_limit(self, run, new_reader):
        async def main():
            reader, transport = new_reader(limit=4), Transport()
            reader.set_transport(transport)
            reader.feed_data(b"x" * 8)
            assert transport.calls == []
            reader.feed_data(b"x")
            reader.feed_data(b"x" * 20)
            assert transport.calls == ["pause"]
            await reader.read(24)
            assert transport.calls == ["pause"]
            await reader.read(1)
            assert transport.calls == ["pause", "resume"]

        run(main)

    @pytest.mark.parametrize("read", ["read", "readexactly", "readuntil", "readline"])
    def test_every_read_resumes(self, run, new_reader, read):
        async def main():
            reader, transport = new_reader(limit=4), Transport()
            reader.set_transport(transport)
            reader.feed_data(b"abc\n" + b"abc\n" + b"xxxx")
            assert transport.calls == ["pause"]
            for _ in range(2):
                await (
                    getattr(reader, read)(4) if read in ("read", "readexactly") else getattr(reader, read)()
                )
            assert transport.calls == ["pause", "resume"]

        run(main)

    def test_waiting_for_more_than_the_limit_resumes(self, run, new_reader):
        async def main():
            reader, transport = new_reader(limit=4), Transport()
            reader.set_transport(transport)
            reader.feed_data(b"x" * 9)
            task = await waiting(reader.readexactly(30))
            assert transport.calls == ["pause", "resume"]
            while not task.done():
                reader.feed_data(b"x" * 7)
                await turns()
            assert len(await task) == 30
            assert transport.calls.count("pause") - transport.calls.count("resume") in (0, 1)

        run(main)

    def test_a_line_thrown_away_resumes(self, run, new_reader):
        async def main():
            reader, transport = new_reader(limit=4), Transport()
            reader.set_transport(transport)
            reader.feed_data(b"x" * 20)
            with pytest.raises(ValueError, match="chunk exceed the limit"):
                await reader.readline()
            assert transport.calls == ["pause", "resume"]

        run(main)

    def test_a_transport_that_cannot_pause_is_forgotten(self, run, new_reader):
        class Restless(Transport):
            def pause_reading(self):
                super().pause_reading()
                raise NotImplementedError

        async def main():
            reader, transport = new_reader(limit=1), Restless()
            reader.set_transport(transport)
            for _ in range(3):
                reader.feed_data(b"x" * 3)
            assert transport.calls == ["pause"]
            assert reader._transport is None
            assert await reader.readexactly(9) == b"x" * 9

        run(main)

    def test_a_transport_that_fails_to_pause(self, run, new_reader):
        class Broken(Transport):
            def pause_reading(self):
                raise ZeroDivisionError

        async def main():
            reader = new_reader(limit=1)
            reader.set_transport(Broken())
            with pytest.raises(ZeroDivisionError):
                reader.feed_data(b"x" * 3)
            assert not reader._paused
            assert await reader.readexactly(3) == b"x" * 3

        run(main)

    def test_one_transport(self, run, new_reader):
        async def main():
            reader = new_reader()
            reader.set_transport(Transport())
            with pytest.raises(AssertionError, match=r"^Transport already set$"):
                reader.set_transport(Transport())

        run(main)

    @pytest.mark.yibu_only(before=(3, 14))  # stock goes on to pause the transport that was replaced
    def test_another_transport(self, run, new_reader):
        async def main():
            reader, transport = new_reader(limit=1), Transport()
            with pytest.raises(AssertionError, match=r"^Transport not set$"):
                reader._replace_transport(transport)
            reader.set_transport(Transport())
            reader._replace_transport(transport)
            reader.feed_data(b"xxx")
            assert transport.calls == ["pause"]

        run(main)

    @pytest.mark.yibu_only  # stock leaves the first transport paused, for good
    def test_a_pause_moves_to_another_transport(self, run, new_reader):
        async def main():
            reader, first, second = new_reader(limit=1), Transport(), Transport()
            reader.set_transport(first)
            reader.feed_data(b"xxx")
            reader._replace_transport(second)
            assert (first.calls, second.calls) == (["pause", "resume"], ["pause"])
            assert await reader.readexactly(3) == b"xxx"
            assert (first.calls, second.calls) == (["pause", "resume"], ["pause", "resume"])

        run(main)
